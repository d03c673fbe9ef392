package httpapi

import (
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/access"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/secrets"
	"github.com/keyturn/keyturn/internal/sensitive"
)

func at(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

func maybe(ms int64) *time.Time {
	if ms == 0 {
		return nil
	}
	t := at(ms)
	return &t
}

func texts[T ~string](in []T) []string {
	out := make([]string, 0, len(in))
	for _, s := range in {
		out = append(out, string(s))
	}
	return out
}

// reveal is the one place where a value becomes text of an answer.
func reveal(v *sensitive.Value) *api.Value {
	if v == nil {
		return nil
	}
	out := api.NewValue(v.Reveal())
	return &out
}

func secretOf(it *secrets.Item) api.Secret {
	return api.Secret{ID: string(it.ID), Path: string(it.Path), Name: string(it.Name), Version: it.Version, Revision: it.Revision,
		Value: reveal(it.Value), Comment: string(it.Comment.Reveal()), Attributes: attributesOf(it.Attrs), ChangedAt: at(it.At),
		DueAt: maybe(it.Attrs.Due()), Personal: it.Personal, From: it.From, Deleted: it.Deleted != 0, Purged: it.Purged}
}

func attributesOf(a domain.Attributes) api.Attributes {
	return api.Attributes{Owner: a.Owner, Tags: texts(a.Tags), Metadata: a.Meta, Public: a.Public, RotateEvery: string(a.Cadence),
		ExpiresAt: maybe(a.ExpiresAt), RotatedAt: maybe(a.RotatedAt), Generated: a.Generated, Required: a.Required, Literal: a.Literal, JSON: a.JSON}
}

func projectOf(p secrets.Project) api.Project {
	out := api.Project{ID: string(p.ID), Slug: string(p.Slug), Name: string(p.Name), CreatedAt: at(p.CreatedAt), DeletedAt: maybe(p.DeletedAt), Envs: []api.Env{}}
	for _, e := range p.Envs {
		out.Envs = append(out.Envs, envOf(e))
	}
	return out
}

func envOf(e secrets.Env) api.Env {
	return api.Env{ID: string(e.ID), Slug: string(e.Slug), Name: string(e.Name), Revision: e.Revision, CreatedAt: at(e.CreatedAt), DeletedAt: maybe(e.DeletedAt)}
}

func committedOf(c secrets.Committed) api.Committed {
	return api.Committed{ID: string(c.ID), Revision: c.Revision, Effects: effectsOf(c.Effects)}
}

func effectsOf(all []secrets.Effect) []api.Effect {
	out := make([]api.Effect, 0, len(all))
	for _, e := range all {
		out = append(out, api.Effect{Path: string(e.Path), Name: string(e.Name), Outcome: string(e.Outcome), Version: e.Version})
	}
	return out
}

func commitOf(c secrets.CommitRow) api.Commit {
	return api.Commit{ID: string(c.ID), Revision: c.Revision, AuthorKind: string(c.AuthorKind), AuthorID: c.AuthorID, Author: c.AuthorName,
		At: at(c.At), Message: c.Message, Cause: c.Cause, Changes: c.Changes}
}

func locatedOf(all []secrets.Located) api.Found {
	out := api.Found{Secrets: make([]api.Located, 0, len(all))}
	for i := range all {
		l := &all[i]
		out.Secrets = append(out.Secrets, api.Located{Project: string(l.Project), Env: string(l.Env), Secret: secretOf(&l.Item), Group: l.Group, Replaced: l.Replaced, Cause: l.Cause})
		if l.DueAt != 0 {
			out.Secrets[i].Secret.DueAt = maybe(l.DueAt)
		}
	}
	return out
}

func tokenOf(t access.Token) api.TokenInfo {
	out := api.TokenInfo{ID: string(t.ID), Name: t.Name, Kind: string(t.Kind), PrincipalKind: string(t.PrincipalKind), PrincipalID: t.PrincipalID,
		CreatedAt: at(t.CreatedAt), ExpiresAt: at(t.ExpiresAt), RevokedAt: maybe(t.RevokedAt), Scopes: scopesOf(t.Scopes),
		Method: t.Method, RenewUntil: maybe(t.RenewUntil), LastUsedAt: maybe(t.LastUsedAt), Uses: t.Uses, Used: t.Used, Networks: t.Networks, Owner: string(t.Owner), Address: t.Address}
	return out
}

func scopesOf(in []domain.Scope) []api.Scope {
	var out []api.Scope
	for _, s := range in {
		out = append(out, api.Scope{ProjectID: string(s.Project), EnvID: string(s.Env), Path: string(s.Path), Actions: texts(s.Verbs)})
	}
	return out
}

func identityOf(i access.Identity) api.Identity {
	return api.Identity{ID: string(i.ID), Name: string(i.Name), TokenTTL: span(i.TokenTTL), Disabled: i.Disabled, CreatedAt: at(i.CreatedAt),
		MaxTokenTTL: span(i.MaxTTL), TokenUses: i.TokenUses, Networks: i.Networks}
}

func clientSecretOf(s access.ClientSecret) api.ClientSecret {
	return api.ClientSecret{ID: s.ID, Name: s.Name, ClientID: string(s.Identity), CreatedAt: at(s.CreatedAt), ExpiresAt: maybe(s.ExpiresAt), RevokedAt: maybe(s.RevokedAt),
		Uses: s.Uses, Used: s.Used, LastUsedAt: maybe(s.LastUsedAt)}
}

// span gives milliseconds as people write a time, "" for none.
func span(ms int64) string {
	if ms == 0 {
		return ""
	}
	return (time.Duration(ms) * time.Millisecond).String()
}

func userOf(u access.User) api.User {
	return api.User{ID: string(u.ID), Email: string(u.Email), Name: string(u.Name), Disabled: u.Disabled, CreatedAt: at(u.CreatedAt)}
}

func grantOf(g access.GrantRow) api.Grant {
	return api.Grant{ID: g.ID, PrincipalKind: string(g.PrincipalKind), PrincipalID: g.PrincipalID, ProjectID: string(g.Project), EnvID: string(g.Env), Path: string(g.Path), Role: string(g.Role),
		CreatedAt: at(g.CreatedAt), ExpiresAt: maybe(g.ExpiresAt), Reason: g.Reason, Cause: g.Cause}
}

// commitIn translates the changes of a request.
func commitIn(in *api.CommitRequest) (secrets.Commit, error) {
	out := secrets.Commit{Message: in.Message, Cause: in.Cause, IfRevision: -1, DryRun: in.DryRun}
	if out.Cause == "" {
		out.Cause = "person"
	}
	if len(out.Cause) > 64 {
		return out, fault.New(fault.Invalid, "the cause is too long").WithField("/cause", "at most 64 bytes")
	}
	if in.IfRevision != nil {
		if *in.IfRevision < 0 {
			return out, fault.New(fault.Invalid, "not a revision").WithField("/if_revision", "want 0 or more")
		}
		out.IfRevision = *in.IfRevision
	}
	out.Changes = make([]secrets.Change, 0, len(in.Changes))
	for i := range in.Changes {
		c, err := changeIn(&in.Changes[i])
		if err != nil {
			f := fault.As(err)
			where := "/changes/" + itoa(i)
			for j := range f.Fields {
				f.Fields[j].Where = where + f.Fields[j].Where
			}
			if len(f.Fields) == 0 {
				f = fault.New(f.Kind, "%s", f.Message).WithField(where, "%s", f.Message)
			}
			return out, f
		}
		out.Changes = append(out.Changes, c)
	}
	return out, nil
}

// maxGenerated bounds random values; longer ones are no safer.
const maxGenerated = 512

func changeIn(in *api.Change) (secrets.Change, error) {
	out := secrets.Change{Verb: secrets.Verb(in.Op), Comment: in.Comment, Generate: in.Generate}
	var err error
	if out.Path, err = domain.ParsePath(in.Path); err != nil {
		return out, err
	}
	folder := len(in.Op) > 7 && in.Op[:7] == "folder."
	if !folder && (in.Name != "" || in.Op != string(secrets.Copy)) {
		if out.Name, err = domain.ParseSecretName(in.Name); err != nil {
			return out, err
		}
	}
	if in.Generate < 0 || in.Generate > maxGenerated {
		return out, fault.New(fault.Invalid, "a generated value has 1 to %d characters", maxGenerated).WithField("/generate", "out of range")
	}
	if in.Generate > 0 && in.Value != nil {
		return out, fault.New(fault.Invalid, "a change has either a value or generate").WithField("/generate", "not together with a value")
	}
	if in.Value != nil {
		b, err := api.Value{Value: *in.Value, Encoding: in.Encoding}.Bytes()
		if err != nil {
			return out, fault.New(fault.Invalid, "the value of a change is not valid").WithField("/value", "%s", err)
		}
		v := sensitive.New(b)
		out.Value = &v
	}
	if in.To != "" {
		if out.To, err = domain.ParseSecretName(in.To); err != nil {
			return out, err
		}
	}
	if in.Op == string(secrets.Rename) && out.To == "" {
		return out, fault.New(fault.Invalid, "a rename needs the new name").WithField("/to", "missing")
	}
	if in.ToPath == "" && (in.Op == string(secrets.Move) || in.Op == string(secrets.FolderMove)) {
		return out, fault.New(fault.Invalid, "a move needs the new folder").WithField("/to_path", "missing; / is the root")
	}
	if in.ToPath != "" {
		if out.ToPath, err = domain.ParsePath(in.ToPath); err != nil {
			return out, err
		}
	}
	out.Attrs = secrets.AttributeChange{Owner: in.Owner, Meta: in.Metadata, Public: in.Public, Required: in.Required, Literal: in.Literal, JSON: in.JSON}
	if in.Tags != nil {
		tags := make([]domain.Tag, 0, len(*in.Tags))
		for _, t := range *in.Tags {
			tags = append(tags, domain.Tag(t))
		}
		out.Attrs.Tags = &tags
	}
	if in.RotateEvery != nil {
		cadence := domain.Cadence(*in.RotateEvery)
		out.Attrs.Cadence = &cadence
	}
	if in.ExpiresAt != nil {
		ms := int64(0)
		if !in.ExpiresAt.IsZero() {
			ms = in.ExpiresAt.UnixMilli()
		}
		out.Attrs.ExpiresAt = &ms
	}
	if in.From == nil && in.Op == string(secrets.Copy) {
		return out, fault.New(fault.Invalid, "a copy needs to know what is copied").WithField("/from", "missing")
	}
	if in.From != nil {
		if out.From, err = sourceIn(*in.From); err != nil {
			return out, err
		}
		if out.From.Name == "" {
			return out, fault.New(fault.Invalid, "a copy needs the name of what is copied").WithField("/from/name", "missing")
		}
	}
	for _, p := range in.Imports {
		src, err := sourceIn(p)
		if err != nil {
			return out, err
		}
		out.Imports = append(out.Imports, src)
	}
	for _, n := range in.Requires {
		name, err := domain.ParseSecretName(n)
		if err != nil {
			return out, err
		}
		out.Required = append(out.Required, name)
	}
	return out, nil
}

func sourceIn(p api.Place) (secrets.Source, error) {
	out := secrets.Source{EnvRef: env(p.Project, p.Env)}
	var err error
	if out.Path, err = domain.ParsePath(p.Path); err != nil {
		return out, err
	}
	if p.Name != "" {
		out.Name, err = domain.ParseSecretName(p.Name)
	}
	return out, err
}
