package breakglass

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

const (
	// sweepEvery is how often it is looked for openings whose time is over. Their sessions end by themselves, to the moment.
	sweepEvery = 2 * time.Second
	// settleAfter is when the report becomes final: requests that were under way when the credential closed have their entries
	// by then.
	settleAfter = time.Minute
	// maxReportedActs bounds a report; the log has all of them, and every value that was read has its task.
	maxReportedActs = 2000
)

func (s *Service) asSystem(ctx context.Context) context.Context {
	return guard.WithCaller(ctx, &guard.Caller{Principal: &domain.Principal{Kind: domain.System, ID: "breakglass", Name: "break-glass"}, Dialect: "system"})
}

// Run closes what is over and files reports, until the context ends. It begins with what an earlier server left.
func (s *Service) Run(ctx context.Context) {
	for {
		s.Sweep(ctx)
		select {
		case <-ctx.Done():
			return
		case <-time.After(sweepEvery):
		}
	}
}

// Sweep looks once. What failed is tried again with the next look.
func (s *Service) Sweep(ctx context.Context) {
	ctx = s.asSystem(ctx)
	rows, err := s.db.BreakGlassUnsettled(ctx)
	if err != nil {
		return // an engine in trouble says so elsewhere
	}
	now := time.Now().UnixMilli()
	for i := range rows {
		o := &rows[i]
		var err error
		switch {
		case o.State != closed && o.ExpiresAt <= now:
			err = s.closeByTime(ctx, o)
		case o.State == closed && (o.Report == "" || o.ClosedAt+settleAfter.Milliseconds() <= now):
			err = s.file(ctx, o.ID, o.ClosedAt+settleAfter.Milliseconds() <= now)
		}
		if err != nil && ctx.Err() == nil {
			slog.Error("a break-glass opening could not be closed or reported", "name", o.Name, "opening", o.ID, "error", err)
		}
	}
}

func (s *Service) closeByTime(ctx context.Context, o *store.BreakGlassOpening) error {
	op := guard.Op{Action: policy.BreakClose, Resource: policy.Resource{Org: o.Org, Project: o.Project, Env: o.Env},
		Detail: map[string]string{"name": string(o.Name), "opening": o.ID, "by": "time"}}
	state := ""
	err := s.door.Do(ctx, op, func(tx *store.Tx, _ guard.Permit) error {
		fresh, err := tx.BreakGlassOpeningByID(ctx, o.ID)
		if err != nil || fresh.State != begun && fresh.State != open || fresh.ExpiresAt > tx.Now() {
			return err
		}
		err = end(ctx, tx, &fresh, "time")
		state = fresh.State
		return err
	})
	if err == nil && state == closed {
		err = s.file(ctx, o.ID, false)
	}
	return err
}

// file makes the report of a closed opening and a task for each value that was read in it. It may be done again: what came
// later is added.
func (s *Service) file(ctx context.Context, id string, final bool) error {
	ctx = s.asSystem(ctx)
	o, err := s.db.BreakGlassOpeningByID(ctx, id)
	if err != nil {
		return err
	}
	acts, err := s.log.Acts(ctx, o.LogFrom, id)
	if err != nil {
		return err
	}
	op := guard.Op{Action: policy.BreakReport, Resource: policy.Resource{Org: o.Org, Project: o.Project, Env: o.Env},
		Detail: map[string]string{"name": string(o.Name), "opening": o.ID, "report": "filed"}}
	return s.door.Do(ctx, op, func(tx *store.Tx, p guard.Permit) error {
		o, err := tx.BreakGlassOpeningByID(ctx, id)
		if err != nil || o.State != closed || o.Settled {
			return err
		}
		if err := s.putTasks(ctx, tx, &o, acts); err != nil {
			return err
		}
		r, err := s.report(ctx, tx, &o, acts)
		if err != nil {
			return err
		}
		r.Final = final
		b, err := json.Marshal(r)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(b)
		p.Note("sha256", hex.EncodeToString(sum[:])) // the report is under the signature of the log's tree
		o.Report, o.Settled = string(b), final
		return tx.PutBreakGlassOpening(ctx, &o)
	})
}

func (s *Service) report(ctx context.Context, tx *store.Tx, o *store.BreakGlassOpening, acts []api.BreakGlassAct) (api.BreakGlassReport, error) {
	out := api.BreakGlassReport{Name: string(o.Name), ClosedBy: o.ClosedBy, LogFrom: o.LogFrom, Acts: acts, FiledAt: at(tx.Now()), Tasks: []api.BreakGlassTask{}}
	b, err := tx.BreakGlass(ctx, o.BreakGlass)
	if err != nil {
		return out, err
	}
	out.Role = string(b.Role)
	if len(acts) > maxReportedActs {
		out.Acts, out.Incomplete = acts[:maxReportedActs], "there is more in the audit log: search it for the opening"
	}
	out.Opening, err = s.showOpening(ctx, tx.Queries, o, tx.Now())
	return out, err
}

// touched is a value that was read.
type touched struct {
	project domain.ProjectID
	env     domain.EnvID
	path    domain.Path
	name    domain.SecretName
}

// putTasks makes a task for each value that was read and has none yet.
func (s *Service) putTasks(ctx context.Context, tx *store.Tx, o *store.BreakGlassOpening, acts []api.BreakGlassAct) error {
	old, err := tx.BreakGlassTasks(ctx, o.ID)
	if err != nil {
		return err
	}
	known := map[touched]bool{}
	for _, t := range old {
		known[touched{t.Project, t.Env, t.Path, t.Name}] = true
	}
	for _, act := range acts {
		// Whoever writes a value knows it, and a copy names what it was taken from: it may be read elsewhere later.
		if act.Outcome != "allowed" || act.Action != string(policy.BreakRead) && act.Action != string(policy.SecretWrite) {
			continue
		}
		for _, key := range act.Keys {
			t, err := locate(ctx, tx, o.Org, &act, key)
			if err != nil {
				return err
			}
			if known[t] || t.name == "" {
				continue
			}
			known[t] = true
			row := store.BreakGlassTask{ID: domain.NewID[string](), Opening: o.ID, Org: o.Org, Project: t.project, Env: t.env, Path: t.path, Name: t.name,
				ReadAt: act.At.UnixMilli(), DueAt: o.ClosedAt}
			if folder, err := tx.FolderByPath(ctx, t.env, t.path); err == nil {
				if found, err := tx.SecretsNamed(ctx, folder.ID, t.name); err == nil && len(found) > 0 {
					row.Secret = found[0].ID
				}
			} else if fault.KindOf(err) != fault.NotFound {
				return err
			}
			if err := tx.PutBreakGlassTasks(ctx, &row); err != nil {
				return err
			}
		}
	}
	return nil
}

// locate finds what a key of the log names: "/folder/NAME" of the entry's own environment, or "project/env:/folder/NAME".
func locate(ctx context.Context, tx *store.Tx, org domain.OrgID, act *api.BreakGlassAct, key string) (touched, error) {
	t := touched{project: domain.ProjectID(act.ProjectID), env: domain.EnvID(act.EnvID)}
	if !strings.HasPrefix(key, "/") {
		place, rest, _ := strings.Cut(key, ":")
		project, env, _ := strings.Cut(place, "/")
		key, t.project, t.env = rest, "", ""
		row, err := tx.ProjectBySlug(ctx, org, domain.Slug(project))
		if err == nil {
			t.project = row.ID
			var e store.Environment
			if e, err = tx.EnvironmentBySlug(ctx, row.ID, domain.Slug(env)); err == nil {
				t.env = e.ID
			}
		}
		if err != nil && fault.KindOf(err) != fault.NotFound {
			return t, err
		}
	}
	i := max(strings.LastIndexByte(key, '/'), 0)
	if t.path = domain.Path(key[:i]); i == 0 {
		t.path = domain.Root
	}
	t.name = domain.SecretName(strings.TrimPrefix(key[i:], "/"))
	return t, nil
}

// Report gives the report of an opening of a name: the last one, or the one of that id.
func (s *Service) Report(ctx context.Context, name, opening string) (api.BreakGlassReport, error) {
	who := guard.CallerOf(ctx).Principal
	op := guard.Op{Action: policy.BreakReport, Resource: policy.Resource{Org: who.Org}, Detail: map[string]string{"name": domain.RecordedName(name)}}
	o, err := s.reported(ctx, who, name, opening)
	if err != nil {
		return api.BreakGlassReport{}, s.door.Miss(ctx, op, err)
	}
	op.Resource, op.Detail["opening"] = policy.Resource{Org: o.Org, Project: o.Project, Env: o.Env}, o.ID
	var out api.BreakGlassReport
	err = s.door.Read(ctx, op, func(guard.Permit) error {
		if o.Report == "" {
			return fault.New(fault.Conflict, "there is no report yet: the opening is %s", o.State).WithHint("close it first: keyturn breakglass close %s", o.Name)
		}
		if err := json.Unmarshal([]byte(o.Report), &out); err != nil {
			return fault.Wrap(fault.Internal, err, "the report is damaged")
		}
		tasks, err := s.db.BreakGlassTasks(ctx, o.ID)
		if err != nil {
			return err
		}
		for i := range tasks {
			t, err := s.task(ctx, &tasks[i], string(o.Name))
			if err != nil {
				return err
			}
			if out.Tasks = append(out.Tasks, t); t.DoneAt == nil {
				out.OpenTasks++
			}
		}
		return nil
	})
	return out, err
}

func (s *Service) reported(ctx context.Context, who *domain.Principal, name, opening string) (store.BreakGlassOpening, error) {
	missing := fault.New(fault.NotFound, "no such opening")
	all, err := s.db.BreakGlassOpeningsOf(ctx, who.Org, domain.Slug(name))
	if err != nil {
		return store.BreakGlassOpening{}, err
	}
	i := slices.IndexFunc(all, func(o store.BreakGlassOpening) bool {
		return o.ID == opening || opening == "" && o.State != lapsed && o.State != begun
	})
	if i < 0 {
		return store.BreakGlassOpening{}, missing
	}
	b, err := s.db.BreakGlass(ctx, all[i].BreakGlass)
	if err != nil {
		return all[i], err
	}
	_, concerned, err := s.concerns(ctx, s.db.Queries, who, &b)
	if err == nil && !concerned {
		err = missing
	}
	return all[i], err
}
