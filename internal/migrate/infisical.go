package migrate

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// InfisicalAccess says how to reach an Infisical. Either a token or a client id with its secret is there.
type InfisicalAccess struct {
	Address      string // with or without /api
	Token        sensitive.Value
	ClientID     string
	ClientSecret sensitive.Value
	Roots        []byte // PEM, nil for those of the system
}

type infisicalReader struct {
	*source
	o    Options
	plan *Plan
}

// Infisical reads all projects that the credential may see. Projects and environments keep their ids, references their meaning.
func Infisical(ctx context.Context, access InfisicalAccess, o Options) (*Plan, error) {
	address := strings.TrimRight(access.Address, "/")
	if !strings.HasSuffix(address, "/api") {
		address += "/api"
	}
	s, err := newSource("Infisical", address, access.Roots)
	if err != nil {
		return nil, err
	}
	return readInfisical(ctx, s, access, o)
}

func readInfisical(ctx context.Context, s *source, access InfisicalAccess, o Options) (*Plan, error) {
	r := &infisicalReader{source: s, o: o, plan: &Plan{Source: "infisical", Where: strings.TrimSuffix(s.base.String(), "/api"), References: true}}
	if err := r.login(ctx, access); err != nil {
		return nil, err
	}
	projects, err := r.projects(ctx)
	if err != nil {
		return nil, err
	}
	for _, p := range projects {
		if !selected(o.Only, p.Slug) {
			continue
		}
		if err := r.project(ctx, p); err != nil {
			return nil, err
		}
	}
	r.plan.Advice = append(r.plan.Advice,
		"INFISICAL_API_URL={server}/api for programs and pipelines, --domain {server}/api for the infisical command",
		"the same address in siteUrl of SDKs and hostAPI of the Kubernetes operator; project ids and environment slugs stay",
		"a client id and client secret from here: keyturn identity create NAME, then keyturn identity secret create NAME")
	return r.plan, nil
}

// login takes the token, or gets one.
func (r *infisicalReader) login(ctx context.Context, access InfisicalAccess) error {
	token := string(access.Token.Reveal())
	if token == "" {
		body := map[string]string{"clientId": access.ClientID, "clientSecret": string(access.ClientSecret.Reveal())}
		a, err := r.call(ctx, http.MethodPost, "/v1/auth/universal-auth/login", nil, body)
		if err != nil {
			return err
		}
		if a.status != http.StatusOK {
			return fault.New(fault.Unauthenticated, "Infisical does not take the client id and client secret").WithHint("are they of this installation, and not expired?")
		}
		var got struct {
			AccessToken string `json:"accessToken"`
		}
		if err := r.decode(a, &got); err != nil {
			return err
		}
		token = got.AccessToken
	}
	r.header.Set("Authorization", "Bearer "+token)
	return nil
}

type infisicalProject struct {
	ID   string `json:"id"`
	Slug string `json:"slug"`
	Name string `json:"name"`
	Type string `json:"type"`
	Envs []struct {
		ID   string `json:"id"`
		Slug string `json:"slug"`
		Name string `json:"name"`
	} `json:"environments"`
}

// ask gets a path and decodes the answer; found is false for 403 and 404, which the caller judges.
func (r *infisicalReader) ask(ctx context.Context, path string, query url.Values, what string, out any) (found bool, err error) {
	a, err := r.get(ctx, path, query)
	switch {
	case err != nil:
		return false, err
	case a.status == http.StatusForbidden || a.status == http.StatusNotFound:
		return false, nil
	case a.status != http.StatusOK:
		return false, r.refusal(a, what)
	}
	return true, r.decode(a, out)
}

// projects lists them with their environments. Newer servers call a workspace project.
func (r *infisicalReader) projects(ctx context.Context) ([]infisicalProject, error) {
	var list struct {
		Workspaces []infisicalProject `json:"workspaces"`
		Projects   []infisicalProject `json:"projects"`
	}
	found, err := r.ask(ctx, "/v1/workspace", nil, "projects", &list)
	if err == nil && (!found || len(list.Workspaces) == 0) {
		found, err = r.ask(ctx, "/v1/projects", nil, "projects", &list)
	}
	if err != nil {
		return nil, err
	}
	all := append(list.Workspaces, list.Projects...)
	if !found && len(all) == 0 {
		return nil, fault.New(fault.Denied, "the credential may not list the projects of Infisical").WithHint("give it the role of a viewer in each project that is to be moved")
	}
	all = slices.DeleteFunc(all, func(p infisicalProject) bool {
		other := p.Type != "" && p.Type != "secret-manager"
		if other {
			r.plan.note(Skipped, word(p.Slug), "is a project of type "+word(p.Type)+", which holds no secrets")
		}
		return other
	})
	slices.SortFunc(all, func(a, b infisicalProject) int { return strings.Compare(a.Slug, b.Slug) })
	return all, nil
}

func (r *infisicalReader) project(ctx context.Context, p infisicalProject) error {
	var one struct {
		Workspace infisicalProject `json:"workspace"`
	}
	if found, err := r.ask(ctx, "/v1/workspace/"+url.PathEscape(p.ID), nil, "project "+word(p.Slug), &one); err != nil {
		return err
	} else if found && one.Workspace.ID == p.ID {
		p.Envs = one.Workspace.Envs
	}
	project := Project{ID: uuidOrNone(p.ID), Slug: p.Slug, Name: p.Name}
	for i, env := range p.Envs {
		if !selected(r.o.Only, p.Slug+"/"+env.Slug) {
			continue
		}
		e := project.env(env.Slug)
		e.ID, e.Name = uuidOrNone(env.ID), env.Name
		if err := r.env(ctx, p, e); err != nil {
			return err
		}
		r.o.tell("reading "+word(p.Slug), i+1, len(p.Envs))
	}
	if r.o.History != 1 {
		r.members(ctx, p)
	}
	r.plan.Projects = append(r.plan.Projects, project)
	return nil
}

// uuidOrNone keeps an id only when it has the form of ours.
func uuidOrNone(s string) string {
	if domain.IsID(s) {
		return s
	}
	return ""
}

// env reads folders, imports and secrets of an environment.
func (r *infisicalReader) env(ctx context.Context, p infisicalProject, e *Env) error {
	at := url.Values{"workspaceId": {p.ID}, "environment": {e.Slug}}
	folders, err := r.folders(ctx, at, p, e)
	if err != nil {
		return err
	}
	e.Folders = make([]Folder, len(folders))
	err = each(ctx, len(folders), func(ctx context.Context, i int) (err error) {
		e.Folders[i].Path = folders[i]
		e.Folders[i].Imports, err = r.imports(ctx, at, folders[i], e.Slug)
		return err
	})
	if err != nil {
		return err
	}
	return r.secrets(ctx, at, p, e)
}

type infisicalFolder struct {
	Name         string `json:"name"`
	Path         string `json:"path"`
	RelativePath string `json:"relativePath"`
	Reserved     bool   `json:"isReserved"`
}

// folders lists all folders, level by level, so that older servers serve too. A tree that holds itself ends at the bounds.
func (r *infisicalReader) folders(ctx context.Context, at url.Values, p infisicalProject, e *Env) ([]string, error) {
	out, level := []string{"/"}, []string{"/"}
	for depth := 0; len(level) > 0; depth++ {
		if depth > maxVaultDepth {
			r.plan.note(Unfit, word(p.Slug+"/"+e.Slug+level[0]), "lies deeper than "+strconv.Itoa(maxVaultDepth)+" folders")
			break
		}
		found := make([][]infisicalFolder, len(level))
		err := each(ctx, len(level), func(ctx context.Context, i int) error {
			var list struct {
				Folders []infisicalFolder `json:"folders"`
			}
			q := url.Values{"workspaceId": at["workspaceId"], "environment": at["environment"], "path": {level[i]}}
			_, err := r.ask(ctx, "/v1/folders", q, "folders", &list)
			found[i] = list.Folders
			return err
		})
		if err != nil {
			return nil, err
		}
		var next []string
		for i, parent := range level {
			for _, f := range found[i] {
				if f.Reserved || strings.HasPrefix(f.Name, "__reserve") {
					continue // replicas of other folders, which Infisical keeps there
				}
				if f.Name == "" || dots(f.Name) || strings.Contains(f.Name, "/") {
					r.plan.note(Unfit, word(p.Slug+"/"+e.Slug+parent), "holds a folder whose name cannot be asked for")
					continue
				}
				path := strings.TrimSuffix(parent, "/") + "/" + f.Name
				if selected(r.o.Only, p.Slug+"/"+e.Slug+path) {
					next = append(next, path)
				}
			}
		}
		slices.Sort(next)
		if level = slices.Compact(next); len(out)+len(level) > maxPlaces {
			return nil, fault.New(fault.Exhausted, "%s of Infisical has more than %d folders", word(p.Slug), maxPlaces)
		}
		out = append(out, level...)
	}
	return out, nil
}

type infisicalImport struct {
	ImportPath string `json:"importPath"`
	Position   int    `json:"position"`
	ImportEnv  struct {
		Slug string `json:"slug"`
	} `json:"importEnv"`
}

// imports lists what a folder shows of others, in their order: the last wins, as here.
func (r *infisicalReader) imports(ctx context.Context, at url.Values, path, env string) ([]Place, error) {
	var list struct {
		Imports []infisicalImport `json:"secretImports"`
	}
	q := url.Values{"workspaceId": at["workspaceId"], "environment": at["environment"], "path": {path}}
	if _, err := r.ask(ctx, "/v1/secret-imports", q, "imports", &list); err != nil {
		return nil, err
	}
	slices.SortStableFunc(list.Imports, func(a, b infisicalImport) int { return a.Position - b.Position })
	var out []Place
	for _, i := range list.Imports {
		if strings.Contains(i.ImportPath, "__reserve") {
			continue
		}
		to := Place{Env: i.ImportEnv.Slug, Path: canonicalPath(i.ImportPath)}
		if to.Env == env {
			to.Env = ""
		}
		out = append(out, to)
	}
	return out, nil
}

func canonicalPath(s string) string { return "/" + strings.Trim(s, "/") }

type infisicalSecret struct {
	Key      string `json:"secretKey"`
	Value    string `json:"secretValue"`
	Comment  string `json:"secretComment"`
	Path     string `json:"secretPath"`
	Version  int    `json:"version"`
	Type     string `json:"type"`
	Hidden   bool   `json:"secretValueHidden"`
	OneLine  bool   `json:"skipMultilineEncoding"`
	Reminder int    `json:"secretReminderRepeatDays"`
	Updated  string `json:"updatedAt"`
	Tags     []struct {
		Slug string `json:"slug"`
	} `json:"tags"`
	Meta []struct {
		Key   string `json:"key"`
		Value string `json:"value"`
	} `json:"secretMetadata"`
	Actor struct {
		Name string `json:"name"`
	} `json:"actor"`
}

// secrets reads the secrets of all folders, unexpanded, and their older versions.
func (r *infisicalReader) secrets(ctx context.Context, at url.Values, p infisicalProject, e *Env) error {
	var list struct {
		Secrets []infisicalSecret `json:"secrets"`
	}
	where := p.Slug + "/" + e.Slug
	q := url.Values{"workspaceId": at["workspaceId"], "environment": at["environment"], "secretPath": {"/"}, "recursive": {"true"},
		"include_imports": {"false"}, "expandSecretReferences": {"false"}, "viewSecretValue": {"true"}}
	found, err := r.ask(ctx, "/v3/secrets/raw", q, "secrets", &list)
	if err == nil && !found {
		q = url.Values{"projectId": at["workspaceId"], "environment": at["environment"], "secretPath": {"/"}, "recursive": {"true"},
			"includeImports": {"false"}, "expandSecretReferences": {"false"}, "includePersonalOverrides": {"false"}, "viewSecretValue": {"true"}}
		found, err = r.ask(ctx, "/v4/secrets", q, "secrets", &list)
	}
	if err != nil {
		return err
	}
	if !found {
		r.plan.note(Unread, word(where), "may not be read by this credential")
		return nil
	}
	steps := make([][]Step, len(list.Secrets))
	var kept []infisicalSecret
	for _, s := range list.Secrets {
		key := Key{canonicalPath(s.Path), s.Key}
		switch {
		case !wanted(r.o.Only, where+key.Path) && !wanted(r.o.Only, where+key.String()):
		case s.Type == "personal":
			r.plan.note(Skipped, word(where+":"+key.String()), "is somebody's own value: he sets it again with keyturn personal set")
		case s.Hidden:
			r.plan.note(Unread, word(where+":"+key.String()), "has a value that this credential may not read")
		default:
			kept = append(kept, s)
			if s.OneLine {
				r.plan.note(Changed, word(where+":"+key.String()), "skips the encoding of line breaks at the source; here line breaks are always kept")
			}
		}
	}
	err = each(ctx, len(kept), func(ctx context.Context, i int) (err error) {
		steps[i], err = r.states(ctx, at, kept[i])
		return err
	})
	if err != nil {
		return err
	}
	for _, own := range steps {
		for _, st := range own {
			if err := r.plan.count(st.Sets[0].Value.Len()); err != nil {
				return err
			}
			e.Steps = append(e.Steps, st)
		}
	}
	return nil
}

// states gives the versions of one secret, oldest first.
func (r *infisicalReader) states(ctx context.Context, at url.Values, s infisicalSecret) ([]Step, error) {
	first := s.Version
	if r.o.History == 0 {
		first = 1
	} else if r.o.History > 1 {
		first = max(1, s.Version-r.o.History+1)
	}
	var out []Step
	for n := first; n < s.Version; n++ {
		if dots(s.Key) {
			break
		}
		var one struct {
			Secret infisicalSecret `json:"secret"`
		}
		q := url.Values{"workspaceId": at["workspaceId"], "environment": at["environment"], "secretPath": {canonicalPath(s.Path)}, "version": {strconv.Itoa(n)},
			"type": {"shared"}, "include_imports": {"false"}, "expandSecretReferences": {"false"}}
		found, err := r.ask(ctx, "/v3/secrets/raw/"+url.PathEscape(s.Key), q, "versions", &one)
		if err != nil {
			return nil, err
		}
		if found && !one.Secret.Hidden && one.Secret.Version == n {
			one.Secret.Key, one.Secret.Path = s.Key, s.Path
			out = append(out, one.Secret.step())
		}
	}
	return append(out, s.step()), nil
}

func (s *infisicalSecret) step() Step {
	secret := Secret{Key: Key{canonicalPath(s.Path), s.Key}, Value: sensitive.FromString(s.Value), Comment: s.Comment}
	for _, t := range s.Tags {
		secret.Tags = append(secret.Tags, t.Slug)
	}
	for _, m := range s.Meta {
		if secret.Meta == nil {
			secret.Meta = map[string]string{}
		}
		secret.Meta[m.Key] = m.Value
	}
	if s.Reminder > 0 {
		secret.RotateEvery = strconv.Itoa(s.Reminder) + "d"
	}
	at, err := time.Parse(time.RFC3339Nano, s.Updated)
	if err != nil {
		at = time.Time{}
	}
	return Step{At: at, Author: s.Actor.Name, Sets: []Secret{secret}}
}

// members notes who has access, which is given anew here. What the credential may not list is left out.
func (r *infisicalReader) members(ctx context.Context, p infisicalProject) {
	var list struct {
		Members []struct {
			Identity struct {
				Name string `json:"name"`
			} `json:"identity"`
			Roles []struct {
				Role string `json:"role"`
			} `json:"roles"`
		} `json:"identityMemberships"`
	}
	if found, err := r.ask(ctx, "/v2/workspace/"+url.PathEscape(p.ID)+"/identity-memberships", nil, "identities", &list); err != nil || !found {
		return
	}
	for _, m := range list.Members {
		var roles []string
		for _, role := range m.Roles {
			roles = append(roles, word(role.Role))
		}
		r.plan.note(Identity, "identity "+word(m.Identity.Name), "is "+strings.Join(roles, ", ")+" in "+word(p.Slug)+": keyturn identity create NAME, then keyturn identity grant NAME --role developer --project "+word(p.Slug))
	}
}
