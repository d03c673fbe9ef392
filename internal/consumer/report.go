package consumer

import (
	"cmp"
	"context"
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

// Bounds of reports.
const (
	maxDays   = 3650
	maxListed = 1000
)

func at(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// place is a secret that was found.
type place struct {
	project store.Project
	env     store.Environment
	path    domain.Path
	secret  store.Secret
}

func (p place) resource() policy.Resource {
	return policy.Resource{Org: p.project.Org, Project: p.project.ID, Env: p.env.ID, EnvSlug: p.env.Slug, Path: p.path, Name: p.secret.Name, Tags: p.secret.Attrs.Tags}
}

// Of tells who uses a secret, and who holds the current version. It needs the right to see the name.
func (s *Service) Of(ctx context.Context, project, env, path, name string) (api.Consumers, error) {
	out := api.Consumers{Consumers: []api.Consumer{}}
	pl, err := s.find(ctx, project, env, path, name)
	if err != nil {
		return out, s.door.Miss(ctx, guard.Op{Action: policy.SecretList, Resource: pl.resource(), Detail: map[string]string{"report": "consumers"}}, err)
	}
	key := pl.path.Key(pl.secret.Name)
	op := guard.Op{Action: policy.SecretList, Resource: pl.resource(), Keys: []string{key}, Detail: map[string]string{"report": "consumers"}}
	err = s.door.Read(ctx, op, func(guard.Permit) error {
		rows, err := s.db.Consumers(ctx, pl.secret.ID)
		if err != nil {
			return err
		}
		s.fresher(rows)
		out.Place, out.Version = string(pl.project.Slug)+"/"+string(pl.env.Slug)+":"+key, pl.secret.Version
		for _, r := range rows {
			c := consumerOf(&r)
			c.Current = r.Version == pl.secret.Version
			if !c.Current {
				out.Behind++
			}
			out.Consumers = append(out.Consumers, c)
		}
		return nil
	})
	return out, err
}

// fresher puts in what this server has counted and not written yet.
func (s *Service) fresher(rows []store.Consumer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dirty == 0 {
		return
	}
	for i, r := range rows {
		if c := s.rows[key{r.Secret, r.PrincipalID, r.Address}]; c != nil && c.row.Entry > r.Entry {
			rows[i] = c.row
		}
	}
}

func consumerOf(r *store.Consumer) api.Consumer {
	return api.Consumer{Kind: string(r.PrincipalKind), ID: r.PrincipalID, Name: r.PrincipalName, Address: r.Address, Agent: r.Agent,
		Version: r.Version, FirstSeen: at(r.FirstAt), LastSeen: at(r.LastAt), Reads: r.Reads}
}

// find gives a live secret of the caller's organisation. What was found before something was missing is in the place.
func (s *Service) find(ctx context.Context, project, env, path, name string) (pl place, err error) {
	org := guard.CallerOf(ctx).Principal.Org
	pl.project.Org = org
	clean, err := domain.ParsePath(path)
	if err != nil {
		return pl, err
	}
	found := store.Project{}
	if domain.IsID(project) {
		found, err = s.db.Project(ctx, domain.ProjectID(project))
	} else {
		found, err = s.db.ProjectBySlug(ctx, org, domain.Slug(project))
	}
	if err == nil && (found.Org != org || found.DeletedAt != 0) {
		err = fault.New(fault.NotFound, "no such project")
	}
	if err != nil {
		return pl, err
	}
	pl.project = found
	e := store.Environment{}
	if domain.IsID(env) {
		e, err = s.db.Environment(ctx, domain.EnvID(env))
	} else {
		e, err = s.db.EnvironmentBySlug(ctx, found.ID, domain.Slug(env))
	}
	if err == nil && (e.Project != found.ID || e.DeletedAt != 0) {
		err = fault.New(fault.NotFound, "no such environment")
	}
	if err != nil {
		return pl, err
	}
	pl.env, pl.path = e, clean
	folder, err := s.db.FolderByPath(ctx, e.ID, clean)
	if err != nil {
		return pl, err
	}
	rows, err := s.db.SecretsNamed(ctx, folder.ID, domain.SecretName(name))
	if err == nil && len(rows) == 0 {
		err = fault.New(fault.NotFound, "no such secret")
	}
	if err != nil {
		return pl, err
	}
	pl.secret = rows[0]
	return pl, nil
}

// reportOp is the question for the door of a report over everything that one may see.
func reportOp(ctx context.Context, action policy.Action, name string) guard.Op {
	return guard.Op{Action: action, Resource: policy.Resource{Org: guard.CallerOf(ctx).Principal.Org}, Detail: map[string]string{"report": name}}
}

// Unused lists the secrets that nobody has read and nobody has changed for some days, among those whose names the caller may
// see, the longest unused first.
func (s *Service) Unused(ctx context.Context, days int) (api.Unused, error) {
	out := api.Unused{Days: days, Secrets: []api.UnusedSecret{}}
	if days < 1 || days > maxDays {
		return out, fault.New(fault.Invalid, "want 1 to %d days", maxDays).WithField("/days", "out of range")
	}
	err := s.door.Read(ctx, reportOp(ctx, policy.SelfRead, "unused"), func(p guard.Permit) error {
		before := time.Now().Add(-time.Duration(days) * 24 * time.Hour).UnixMilli()
		return s.each(ctx, p.Org(), func(project store.Project, env store.Environment) error {
			places, err := s.db.Places(ctx, env.ID)
			if err != nil {
				return err
			}
			seen, err := s.lastSeen(ctx, env.ID)
			if err != nil {
				return err
			}
			for _, pl := range places {
				last := seen[pl.ID]
				r := policy.Resource{Org: project.Org, Project: project.ID, Env: env.ID, EnvSlug: env.Slug, Path: pl.Path, Name: pl.Name, Tags: pl.Tags}
				if pl.At >= before || last >= before || !p.Can(policy.SecretList, r) {
					continue
				}
				u := api.UnusedSecret{Project: string(project.Slug), Env: string(env.Slug), Path: string(pl.Path), Name: string(pl.Name), ChangedAt: at(pl.At)}
				if last != 0 {
					t := at(last)
					u.LastSeen = &t
				}
				out.Secrets = append(out.Secrets, u)
			}
			return nil
		})
	})
	slices.SortStableFunc(out.Secrets, func(a, b api.UnusedSecret) int { return cmp.Compare(lastOf(a), lastOf(b)) })
	return out, err
}

func lastOf(u api.UnusedSecret) int64 {
	if u.LastSeen == nil {
		return u.ChangedAt.UnixMilli()
	}
	return max(u.LastSeen.UnixMilli(), u.ChangedAt.UnixMilli())
}

func (s *Service) lastSeen(ctx context.Context, env domain.EnvID) (map[domain.SecretID]int64, error) {
	rows, err := s.db.ConsumersIn(ctx, env)
	out := map[domain.SecretID]int64{}
	for _, r := range rows {
		out[r.Secret] = max(out[r.Secret], r.LastAt)
	}
	return out, err
}

// each visits the live environments of an organisation.
func (s *Service) each(ctx context.Context, org domain.OrgID, visit func(store.Project, store.Environment) error) error {
	projects, err := s.db.Projects(ctx, org)
	if err != nil {
		return err
	}
	for _, p := range projects {
		if p.DeletedAt != 0 {
			continue
		}
		envs, err := s.db.Environments(ctx, p.ID)
		if err != nil {
			return err
		}
		for _, e := range envs {
			if e.DeletedAt != 0 {
				continue
			}
			if err := visit(p, e); err != nil {
				return err
			}
		}
	}
	return nil
}

// Read is one secret that a principal was given.
type Read struct {
	Org      domain.OrgID
	Project  domain.ProjectID
	Env      domain.EnvID
	Secret   domain.SecretID
	Place    string // "project/env:/path/NAME" as it is now
	Owner    string
	Version  int64 // the newest that he was given
	Current  int64
	LastSeen int64 // unix milliseconds
	// RotatedSince is true when the current version is newer than any that he was given.
	RotatedSince bool
}

// ReadsOf lists the secrets that a principal was given and that are still there, those that were not rotated since first. It asks
// nobody at the door: the caller has done so.
func (s *Service) ReadsOf(ctx context.Context, principal string) ([]Read, error) {
	rows, err := s.db.ConsumersOf(ctx, principal)
	if err != nil {
		return nil, err
	}
	newest := map[domain.SecretID]*Read{}
	for _, r := range rows {
		got := newest[r.Secret]
		if got == nil {
			got = &Read{Org: r.Org, Secret: r.Secret}
			newest[r.Secret] = got
		}
		got.Version, got.LastSeen = max(got.Version, r.Version), max(got.LastSeen, r.LastAt)
	}
	var out []Read
	f := &finder{s: s, projects: map[domain.ProjectID]store.Project{}, envs: map[domain.EnvID]store.Environment{}, folders: map[domain.FolderID]store.Folder{}}
	for _, r := range newest {
		ok, err := f.place(ctx, r)
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, *r)
		}
	}
	slices.SortFunc(out, func(a, b Read) int {
		if a.RotatedSince != b.RotatedSince {
			if a.RotatedSince {
				return 1
			}
			return -1
		}
		return strings.Compare(a.Place, b.Place)
	})
	return out, nil
}

// finder tells where secrets are now.
type finder struct {
	s        *Service
	projects map[domain.ProjectID]store.Project
	envs     map[domain.EnvID]store.Environment
	folders  map[domain.FolderID]store.Folder
}

// place fills in where a secret is, and tells whether it is still there.
func (f *finder) place(ctx context.Context, r *Read) (bool, error) {
	row, err := f.s.db.Secret(ctx, r.Secret)
	if err != nil {
		return false, unlessMissing(err)
	}
	if row.Deleted != 0 || row.Value == nil {
		return false, nil
	}
	project, err := memo(f.projects, row.Project, func() (store.Project, error) { return f.s.db.Project(ctx, row.Project) })
	if err != nil || project.DeletedAt != 0 {
		return false, err
	}
	env, err := memo(f.envs, row.Env, func() (store.Environment, error) { return f.s.db.Environment(ctx, row.Env) })
	if err != nil || env.DeletedAt != 0 {
		return false, err
	}
	folder, err := memo(f.folders, row.Folder, func() (store.Folder, error) { return f.s.db.Folder(ctx, row.Folder) })
	if err != nil {
		return false, err
	}
	r.Project, r.Env, r.Owner, r.Current = row.Project, row.Env, row.Attrs.Owner, row.Version
	r.Place = string(project.Slug) + "/" + string(env.Slug) + ":" + folder.Path.Key(row.Name)
	r.RotatedSince = r.Current > r.Version
	return true, nil
}

func memo[K comparable, V any](m map[K]V, k K, ask func() (V, error)) (V, error) {
	if v, ok := m[k]; ok {
		return v, nil
	}
	v, err := ask()
	if err == nil {
		m[k] = v
	}
	return v, err
}

// Reads is [Service.ReadsOf] for somebody who asks at the door. It needs the right to list people and machines.
func (s *Service) Reads(ctx context.Context, principal string) (api.Reads, error) {
	out := api.Reads{Reads: []api.Read{}}
	op := reportOp(ctx, policy.AccessRead, "reads")
	op.Detail["principal"] = domain.RecordedName(principal)
	err := s.door.Read(ctx, op, func(p guard.Permit) error {
		reads, err := s.ReadsOf(ctx, principal)
		for _, r := range reads {
			if r.Org != p.Org() {
				continue
			}
			if !r.RotatedSince {
				out.NotRotated++
			}
			out.Reads = append(out.Reads, api.Read{SecretID: string(r.Secret), Place: r.Place, Owner: r.Owner, Version: r.Version, Current: r.Current, LastSeen: at(r.LastSeen), RotatedSince: r.RotatedSince})
		}
		return err
	})
	return out, err
}

// First lists the consumers that are new since some days, newest first. It needs the right to read the log.
func (s *Service) First(ctx context.Context, days int) (api.FirstReads, error) {
	out := api.FirstReads{Days: days, Reads: []api.FirstRead{}}
	if days < 1 || days > maxDays {
		return out, fault.New(fault.Invalid, "want 1 to %d days", maxDays).WithField("/days", "out of range")
	}
	err := s.door.Read(ctx, reportOp(ctx, policy.AuditRead, "first-reads"), func(p guard.Permit) error {
		rows, err := s.db.ConsumersSince(ctx, p.Org(), time.Now().Add(-time.Duration(days)*24*time.Hour).UnixMilli(), maxListed)
		if err != nil {
			return err
		}
		f := &finder{s: s, projects: map[domain.ProjectID]store.Project{}, envs: map[domain.EnvID]store.Environment{}, folders: map[domain.FolderID]store.Folder{}}
		for i := range rows {
			r := Read{Secret: rows[i].Secret}
			if _, err := f.place(ctx, &r); err != nil {
				return err
			}
			out.Reads = append(out.Reads, api.FirstRead{Place: r.Place, Consumer: consumerOf(&rows[i])})
		}
		return nil
	})
	return out, err
}
