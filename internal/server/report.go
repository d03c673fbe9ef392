package server

import (
	"context"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
)

// reporter tells how the server stands.
type reporter struct{ s *Server }

func (r *reporter) read(ctx context.Context, what string, work func(guard.Permit) error) error {
	who := guard.CallerOf(ctx).Principal
	return guard.New(r.s.db).Read(ctx, guard.Op{Action: policy.InstanceRead, Resource: policy.Resource{Org: who.Org}, Detail: map[string]string{"report": what}}, work)
}

// Status implements httpapi.Reporter.
func (r *reporter) Status(ctx context.Context) (api.Status, error) {
	s := r.s
	out := api.Status{Version: s.o.Version, Mode: string(s.o.Config.Mode), Store: s.db.Name(), InstanceID: s.world.instance, StartedAt: s.started.UTC().Truncate(time.Millisecond),
		Fingerprint: s.world.fingerprint, OfflineMaxAge: s.o.Config.OfflineMaxAge.String(), Keys: []api.Key{}}
	err := r.read(ctx, "status", func(guard.Permit) error {
		i, err := s.db.Instance(ctx)
		if err != nil {
			return err
		}
		out.LogSize = i.LogSize
		for _, k := range s.ring.Rows() {
			out.Keys = append(out.Keys, api.Key{ID: k.ID.String(), Layer: string(k.Layer), ProjectID: string(domain.ProjectID(k.Project)), Generation: k.Generation,
				State: string(k.State), CreatedAt: time.UnixMilli(k.CreatedMS).UTC()})
		}
		out.NeedsSetup, err = s.access.NeedsSetup(ctx)
		return err
	})
	return out, err
}
