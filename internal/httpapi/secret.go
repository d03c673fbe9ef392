package httpapi

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/secrets"
	"github.com/keyturn/keyturn/internal/sensitive"
)

func itoa(n int) string { return strconv.Itoa(n) }

type getParams struct {
	Project  string `path:"project" doc:"slug or id"`
	Env      string `path:"env" doc:"slug or id"`
	Name     string `path:"name" doc:"name of the secret"`
	Path     string `query:"path" doc:"folder, default /"`
	Version  int64  `query:"version" doc:"this version instead of the current one"`
	At       int64  `query:"at" doc:"as it was at this revision of the environment"`
	Raw      bool   `query:"raw" doc:"leave references as they are written"`
	Personal bool   `query:"personal" doc:"the caller's own value where there is one"`
}

type listParams struct {
	Project   string `path:"project" doc:"slug or id"`
	Env       string `path:"env" doc:"slug or id"`
	Path      string `query:"path" doc:"folder, default /"`
	Recursive bool   `query:"recursive" doc:"with all folders below"`
	Reveal    bool   `query:"reveal" doc:"with values"`
	Imports   bool   `query:"imports" doc:"with what imports show"`
	Raw       bool   `query:"raw" doc:"leave references as they are written"`
	Personal  bool   `query:"personal" doc:"the caller's own values where there are some"`
	At        int64  `query:"at" doc:"as it was at this revision"`
	Only      string `query:"only" doc:"these names only, separated by commas"`
}

type logParams struct {
	Project string `path:"project" doc:"slug or id"`
	Env     string `path:"env" doc:"slug or id"`
	Below   int64  `query:"below" doc:"only revisions below this one"`
	Limit   int64  `query:"limit" doc:"at most so many, up to 200"`
}

type historyParams struct {
	Project string `path:"project" doc:"slug or id"`
	Env     string `path:"env" doc:"slug or id"`
	Name    string `path:"name" doc:"name of the secret"`
	Path    string `query:"path" doc:"folder, default /"`
}

type diffParams struct {
	Project string `path:"project" doc:"slug or id"`
	From    string `query:"from" doc:"ENV or ENV@REVISION"`
	To      string `query:"to" doc:"ENV or ENV@REVISION"`
	Path    string `query:"path" doc:"only this folder and below"`
	Reveal  bool   `query:"reveal" doc:"with values"`
}

type folderParams struct {
	Project string `path:"project" doc:"slug or id"`
	Env     string `path:"env" doc:"slug or id"`
	Path    string `query:"path" doc:"folder, default /"`
}

type dueParams struct {
	Project string `query:"project" doc:"only this project"`
	Owner   string `query:"owner" doc:"only this owner"`
	Within  string `query:"within" doc:"due within this time, default 30d"`
}

type searchParams struct {
	Project string `query:"project" doc:"only this project"`
	Text    string `query:"text" doc:"part of a name, tag, owner or metadata"`
}

type reuseParams struct {
	Project string `query:"project" doc:"only this project"`
}

func secretRoutes() []Route {
	const base = "/projects/{project}/envs/{env}"
	return []Route{
		with(Route{Method: "GET", Path: base + "/secrets/{name}", Auth: Token, Action: "secret.read", Summary: "Read one value.",
			Example: api.Secret{Path: "/backend", Name: "DATABASE_URL", Version: 3, Value: &api.Value{Value: "postgres://test-value"}}}, getSecret),
		with(Route{Method: "GET", Path: base + "/secrets", Auth: Token, Action: "secret.list", Summary: "List the secrets of a folder, with reveal also their values (then the action is secret.read).", Example: api.Secrets{Revision: 7}}, listSecrets),
		with(Route{Method: "GET", Path: base + "/secrets/{name}/history", Auth: Token, Action: "secret.list", Summary: "List every state of a secret, newest first, without values.", Example: api.History{}},
			func(c *call, p *historyParams, _ *none) (api.History, error) {
				path, name, err := pathAndName(p.Path, p.Name)
				if err != nil {
					return api.History{}, err
				}
				states, err := c.secrets.History(c.ctx, env(p.Project, p.Env), path, name)
				return api.History{States: each(states, func(s secrets.State) api.State {
					return api.State{Secret: secretOf(&s.Item), Commit: commitOf(s.Commit)}
				})}, err
			}),
		with(Route{Method: "POST", Path: base + "/commits", Auth: Token, Action: "secret.write", Waits: true, Summary: "Change an environment, all or nothing; it gets its next revision.", MaxBody: commitBody,
			Example: api.CommitRequest{Message: "first values", Changes: []api.Change{{Op: "set", Path: "/backend", Name: "LOG_LEVEL", Value: ptr("info")}}}},
			func(c *call, p *envParams, b *api.CommitRequest) (api.Committed, error) {
				in, err := commitIn(b)
				if err != nil {
					return api.Committed{}, err
				}
				out, err := c.secrets.Commit(c.ctx, env(p.Project, p.Env), in)
				return committedOf(out), err
			}),
		with(Route{Method: "GET", Path: base + "/commits", Auth: Token, Action: "secret.list", Summary: "List commits, newest first.", Example: api.Commits{}},
			func(c *call, p *logParams, _ *none) (api.Commits, error) {
				rows, err := c.secrets.Log(c.ctx, env(p.Project, p.Env), p.Below, int(min(p.Limit, math.MaxInt32)))
				out := api.Commits{Commits: each(rows, commitOf)}
				if n := len(rows); n > 0 && rows[n-1].Revision > 1 {
					out.Next = rows[n-1].Revision
				}
				return out, err
			}),
		with(Route{Method: "POST", Path: base + "/rollback", Auth: Token, Action: "secret.write", Waits: true, Summary: "Put an environment, a folder or one secret back to a revision, by a new commit.", MaxBody: smallBody, Example: api.RollbackRequest{To: 4, Path: "/backend"}},
			func(c *call, p *envParams, b *api.RollbackRequest) (api.Committed, error) {
				if !c.names("to") {
					return api.Committed{}, fault.New(fault.Invalid, "say which revision to go back to").WithField("/to", "missing; 0 is the empty environment")
				}
				o := secrets.RollbackOptions{To: b.To, Message: b.Message, DryRun: b.DryRun}
				var err error
				if o.Path, err = domain.ParsePath(b.Path); err == nil && b.Name != "" {
					o.Name, err = domain.ParseSecretName(b.Name)
				}
				if err != nil {
					return api.Committed{}, err
				}
				out, err := c.secrets.Rollback(c.ctx, env(p.Project, p.Env), o)
				return committedOf(out), err
			}),
		with(Route{Method: "POST", Path: base + "/secrets/purge", Auth: Token, Action: "secret.purge", Waits: true, Summary: "Destroy every version of a deleted secret for good.", MaxBody: smallBody, Example: api.PurgeRequest{Path: "/backend", Name: "OLD"}},
			func(c *call, p *envParams, b *api.PurgeRequest) (api.Done, error) {
				path, name, err := pathAndName(b.Path, b.Name)
				if err != nil {
					return api.Done{}, err
				}
				return done(c.secrets.Purge(c.ctx, env(p.Project, p.Env), path, name))
			}),
		with(Route{Method: "PUT", Path: base + "/personal", Auth: Token, Action: "secret.write", Summary: "Give the caller a value of his own for a secret.", MaxBody: valueBody,
			Example: api.PersonalRequest{Path: "/", Name: "LOG_LEVEL", Value: api.Value{Value: "debug"}}},
			func(c *call, p *envParams, b *api.PersonalRequest) (api.Done, error) {
				path, name, err := pathAndName(b.Path, b.Name)
				if err != nil {
					return api.Done{}, err
				}
				v, err := valueIn(b.Value)
				if err != nil {
					return api.Done{}, err
				}
				return done(c.secrets.SetPersonal(c.ctx, env(p.Project, p.Env), path, name, &v))
			}),
		with(Route{Method: "DELETE", Path: base + "/personal/{name}", Auth: Token, Action: "secret.write", Summary: "Take the caller's own value away.", Example: api.Done{Done: true}},
			func(c *call, p *historyParams, _ *none) (api.Done, error) {
				path, name, err := pathAndName(p.Path, p.Name)
				if err != nil {
					return api.Done{}, err
				}
				return done(c.secrets.SetPersonal(c.ctx, env(p.Project, p.Env), path, name, nil))
			}),
		with(Route{Method: "GET", Path: base + "/schema", Auth: Token, Action: "secret.list", Summary: "Tell what a folder needs, what is missing and which value is a placeholder.", Example: api.Schema{Path: "/backend"}},
			func(c *call, p *folderParams, _ *none) (api.Schema, error) {
				path, err := domain.ParsePath(p.Path)
				if err != nil {
					return api.Schema{}, err
				}
				s, err := c.secrets.Schema(c.ctx, env(p.Project, p.Env), path)
				return api.Schema{Path: string(s.Path), Required: texts(s.Required), Names: each(s.Requirements, func(r secrets.Requirement) api.Requirement {
					return api.Requirement{Name: string(r.Name), Owner: r.Owner, Public: r.Public, Missing: r.Missing, Problem: r.Problem}
				})}, err
			}),
		with(Route{Method: "GET", Path: base + "/example", Auth: Token, Action: "secret.list", Summary: "Write a .env.example for a folder, without values.", Example: api.Example{Text: "LOG_LEVEL=\n"}},
			func(c *call, p *folderParams, _ *none) (api.Example, error) {
				path, err := domain.ParsePath(p.Path)
				if err != nil {
					return api.Example{}, err
				}
				text, err := c.secrets.Example(c.ctx, env(p.Project, p.Env), path)
				return api.Example{Text: string(text)}, err
			}),
		with(Route{Method: "GET", Path: base + "/events", Auth: Token, Action: "secret.list", Summary: "Send an event for each commit (text/event-stream).", Stream: true, Example: api.Event{Kind: "commit", Revision: 8}}, streamEvents),
		with(Route{Method: "GET", Path: "/projects/{project}/diff", Auth: Token, Action: "secret.list", Summary: "Compare two environments or revisions; values are compared by digest and shown only with reveal.", Example: api.Diff{}}, diff),
		with(Route{Method: "GET", Path: "/due", Auth: Token, Action: "self.read", Summary: "List what is overdue or falls due soon.", Example: api.Found{}},
			func(c *call, p *dueParams, _ *none) (api.Found, error) {
				if p.Within == "" {
					p.Within = "30d"
				}
				within, err := parseDuration("?within", p.Within)
				if err != nil {
					return api.Found{}, err
				}
				rows, err := c.secrets.Due(c.ctx, p.Project, p.Owner, time.Now().Add(within).UnixMilli())
				return locatedOf(rows), err
			}),
		with(Route{Method: "GET", Path: "/reuse", Auth: Token, Action: "self.read", Summary: "List values that are stored in more than one place, without opening them.", Example: api.Found{}},
			func(c *call, p *reuseParams, _ *none) (api.Found, error) {
				rows, err := c.secrets.Reuse(c.ctx, p.Project)
				return locatedOf(rows), err
			}),
		with(Route{Method: "GET", Path: "/search", Auth: Token, Action: "self.read", Summary: "Find secrets by name, tag, owner or metadata.", Example: api.Found{}},
			func(c *call, p *searchParams, _ *none) (api.Found, error) {
				if p.Text == "" {
					return api.Found{}, fault.New(fault.Invalid, "say what to search for").WithField("?text", "missing")
				}
				rows, err := c.secrets.Search(c.ctx, p.Project, p.Text)
				return locatedOf(rows), err
			}),
		with(Route{Method: "POST", Path: "/where", Auth: Token, Action: "self.read", Summary: "Find where a value is stored, by its digest.", MaxBody: valueBody, Example: api.WhereRequest{Value: api.Value{Value: "test-value"}}},
			func(c *call, _ *none, b *api.WhereRequest) (api.Found, error) {
				v, err := valueIn(b.Value)
				if err != nil {
					return api.Found{}, err
				}
				rows, err := c.secrets.Where(c.ctx, v)
				return locatedOf(rows), err
			}),
	}
}

func ptr[T any](v T) *T { return &v }

func valueIn(v api.Value) (sensitive.Value, error) {
	b, err := v.Bytes()
	if err != nil {
		return sensitive.Value{}, fault.New(fault.Invalid, "the value is not valid").WithField("/value", "%s", err)
	}
	return sensitive.New(b), nil
}

func pathAndName(path, name string) (domain.Path, domain.SecretName, error) {
	p, err := domain.ParsePath(path)
	if err != nil {
		return "", "", err
	}
	n, err := domain.ParseSecretName(name)
	return p, n, err
}

func getSecret(c *call, p *getParams, _ *none) (any, error) {
	path, name, err := pathAndName(p.Path, p.Name)
	if err != nil {
		return nil, err
	}
	ref := env(p.Project, p.Env)
	tag, done := c.notModified(ref, path)
	if done {
		return nil, nil
	}
	it, err := c.secrets.Get(c.ctx, ref, path, name, secrets.GetOptions{Version: p.Version, At: p.At, Raw: p.Raw, Personal: p.Personal})
	if err != nil {
		return nil, err
	}
	c.tagged(tag)
	return secretOf(&it), nil
}

func listSecrets(c *call, p *listParams, _ *none) (any, error) {
	path, err := domain.ParsePath(p.Path)
	if err != nil {
		return nil, err
	}
	o := secrets.ListOptions{Recursive: p.Recursive, Reveal: p.Reveal, Imports: p.Imports, Raw: p.Raw, Personal: p.Personal, At: p.At}
	if p.Only != "" {
		for s := range strings.SplitSeq(p.Only, ",") {
			name, err := domain.ParseSecretName(s)
			if err != nil {
				return nil, err
			}
			o.Only = append(o.Only, name)
		}
	}
	ref := env(p.Project, p.Env)
	if p.Reveal {
		c.w.Header().Set(api.OfflineMaxAge, c.offline)
	}
	tag, done := c.notModified(ref, path)
	if done {
		return nil, nil
	}
	l, err := c.secrets.List(c.ctx, ref, path, o)
	if err != nil {
		return nil, err
	}
	c.tagged(tag)
	out := api.Secrets{Revision: l.Revision, Secrets: make([]api.Secret, 0, len(l.Items)), Folders: texts(l.Folders)}
	for i := range l.Items {
		out.Secrets = append(out.Secrets, secretOf(&l.Items[i]))
	}
	return out, nil
}

func diff(c *call, p *diffParams, _ *none) (api.Diff, error) {
	path, err := domain.ParsePath(p.Path)
	if err != nil {
		return api.Diff{}, err
	}
	from, err := sideIn("?from", p.From)
	if err != nil {
		return api.Diff{}, err
	}
	to, err := sideIn("?to", p.To)
	if err != nil {
		return api.Diff{}, err
	}
	all, err := c.secrets.Diff(c.ctx, p.Project, from, to, path, p.Reveal)
	return diffOf(all), err
}

func diffOf(all []secrets.Difference) api.Diff {
	out := api.Diff{Differences: []api.Difference{}}
	for _, d := range all {
		x := api.Difference{Path: string(d.Path), Name: string(d.Name), Outcome: string(d.Outcome)}
		if d.From != nil {
			x.From = ptr(secretOf(d.From))
		}
		if d.To != nil {
			x.To = ptr(secretOf(d.To))
		}
		out.Differences = append(out.Differences, x)
	}
	return out
}

func sideIn(where, s string) (secrets.Side, error) {
	name, revision, dated := strings.Cut(s, "@")
	side := secrets.Side{Env: name}
	if name == "" {
		return side, fault.New(fault.Invalid, "say what to compare").WithField(where, "want ENV or ENV@REVISION")
	}
	if dated {
		n, err := strconv.ParseInt(revision, 10, 64)
		if err != nil || n < 1 {
			return side, fault.New(fault.Invalid, "not a revision").WithField(where, "want ENV@REVISION with a number from 1")
		}
		side.At = n
	}
	return side, nil
}
