package canary

import (
	"bytes"
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/follow"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

// mark is the detail of a record that showed decoy secrets: their ids with commas between.
const mark = "canary"

// rawMark stands in every canonical entry that has the mark. No text of an entry holds it: quotes in texts are escaped.
var rawMark = []byte(`"` + mark + `":"`)

// Opened marks the record of a request that is shown a decoy secret. It is [secrets.Service.OnShow]'s, and stands on the path
// of every read: where there are no decoys it costs one load.
//
// [secrets.Service.OnShow]: https://pkg.go.dev/github.com/keyturn/keyturn/internal/secrets#Service.OnShow
func (s *Service) Opened(p guard.Permit, id domain.SecretID) {
	all := s.secrets.Load()
	if all == nil || len(*all) == 0 {
		return
	}
	row, ok := (*all)[id]
	if !ok || p.Principal().Kind == domain.System || slices.Contains(row.Exempt, p.Principal().ID) {
		return
	}
	p.NoteMore(mark, row.ID)
}

// Follower makes canary.touched of marked records.
func (s *Service) Follower() follow.Follower {
	return follow.Follower{Name: "canary", Picks: func(raw []byte) bool { return bytes.Contains(raw, rawMark) }, Handle: s.handle}
}

func (s *Service) handle(ctx context.Context, batch []follow.Entry) error {
	for _, e := range batch {
		if e.Part > 1 || e.Action == Touched { // the parts of one event say the same
			continue
		}
		for id := range strings.SplitSeq(e.Detail[mark], ",") {
			row, err := s.db.Canary(ctx, id)
			if fault.KindOf(err) == fault.NotFound && err != nil { // deleted meanwhile
				continue
			}
			if err != nil {
				return err
			}
			who := &domain.Principal{Kind: domain.PrincipalKind(e.Actor.Kind), ID: e.Actor.ID, Name: e.Actor.Name, Org: domain.OrgID(e.Org), Token: domain.TokenID(e.Actor.Token)}
			ctx := guard.WithCaller(ctx, &guard.Caller{Principal: who, Address: e.Address, Agent: e.Agent, Request: e.Request, Dialect: e.Dialect})
			if err := s.report(ctx, row, map[string]string{"entry": strconv.FormatInt(e.Index, 10), "action": e.Action}); err != nil {
				return err
			}
		}
	}
	return nil
}

// TokenShown looks whether a token that nobody has is a decoy. It is [access.Service.OnUnknown]'s.
//
// [access.Service.OnUnknown]: https://pkg.go.dev/github.com/keyturn/keyturn/internal/access#Service.OnUnknown
func (s *Service) TokenShown(ctx context.Context, hash [32]byte) error {
	row, err := s.db.CanaryByHash(ctx, hash[:])
	if err != nil {
		if fault.KindOf(err) == fault.NotFound {
			return nil
		}
		return err
	}
	missed, ok := s.floods.allow(row.ID, time.Now())
	if !ok {
		return nil
	}
	c := *guard.CallerOf(ctx)
	who := *c.Principal
	who.Org = row.Org // so that those see it whose decoy it is
	c.Principal = &who
	detail := map[string]string{}
	if missed > 0 {
		detail["not_recorded_before"] = strconv.Itoa(missed)
	}
	return s.report(guard.WithCaller(ctx, &c), row, detail)
}

// report records a touch and counts it.
func (s *Service) report(ctx context.Context, row store.Canary, detail map[string]string) error {
	detail["canary_id"], detail["kind"], detail["place"] = row.ID, row.Kind, row.Place
	o := guard.Op{Action: policy.Action(Touched), Resource: policy.Resource{Org: row.Org, Project: row.Project, Env: row.Env}, Detail: detail}
	ctx = context.WithoutCancel(ctx) // whoever hangs up is recorded all the same
	return s.door.Notice(ctx, o, func(tx *store.Tx) error { return tx.TouchCanary(ctx, row.ID) })
}

// flood bounds what somebody can have recorded by showing one decoy token again and again: the first touch at once, then one a
// second with the number of those between.
type flood struct {
	mu   sync.Mutex
	last map[string]shown
}

type shown struct {
	at     time.Time
	missed int
}

const (
	// floodEvery is how often touches of one decoy token are recorded.
	floodEvery = time.Second
	// maxFloods bounds what is remembered; past it all is forgotten, which records too much rather than too little.
	maxFloods = 1000
)

func (f *flood) allow(id string, now time.Time) (missed int, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.last) >= maxFloods || f.last == nil {
		f.last = map[string]shown{}
	}
	before, known := f.last[id]
	if known && now.Sub(before.at) < floodEvery {
		before.missed++
		f.last[id] = before
		return 0, false
	}
	f.last[id] = shown{at: now}
	return before.missed, true
}
