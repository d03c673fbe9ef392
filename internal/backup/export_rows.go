package backup

import (
	"cmp"
	"slices"
	"time"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/store"
)

// The records of an export, as export_readme.txt documents them. Times are RFC 3339 in UTC, and left out where there is none.

type state struct {
	ID string `json:"id"`
	address
	Name       domain.SecretName `json:"name"`
	Version    int64             `json:"version"`
	Revision   int64             `json:"revision"`
	DeletedIn  int64             `json:"deleted_in,omitzero"`
	Purged     bool              `json:"purged,omitzero"`
	ChangedAt  string            `json:"changed_at,omitzero"`
	Attributes domain.Attributes `json:"attributes"`
	Comment    string            `json:"comment,omitzero"`
	plain
}

type commitRecord struct {
	ID string `json:"id"`
	address
	Revision   int64  `json:"revision"`
	At         string `json:"at,omitzero"`
	AuthorKind string `json:"author_kind"`
	AuthorID   string `json:"author_id"`
	AuthorName string `json:"author_name"`
	Message    string `json:"message"`
	Cause      string `json:"cause"`
	Changes    int64  `json:"changes"`
}

type own struct {
	SecretID domain.SecretID `json:"secret_id"`
	PersonID domain.UserID   `json:"person_id"`
	Version  int64           `json:"version"`
	At       string          `json:"changed_at,omitzero"`
	plain
}

type person struct {
	ID        domain.UserID `json:"id"`
	Email     domain.Email  `json:"email"`
	Name      domain.Label  `json:"name"`
	Password  string        `json:"password"` // argon2id in PHC form
	CreatedAt string        `json:"created_at,omitzero"`
	Disabled  bool          `json:"disabled,omitzero"`
}

type identity struct {
	ID        domain.IdentityID `json:"id"`
	Name      domain.Label      `json:"name"`
	TokenTTL  int64             `json:"token_ttl_ms"`
	CreatedAt string            `json:"created_at,omitzero"`
	Disabled  bool              `json:"disabled,omitzero"`
}

type grant struct {
	ID          string      `json:"id"`
	Kind        string      `json:"principal_kind"`
	Principal   string      `json:"principal_id"`
	Project     domain.Slug `json:"project,omitzero"`     // none: the whole organisation
	Environment domain.Slug `json:"environment,omitzero"` // none: the whole project
	Role        domain.Role `json:"role"`
	CreatedAt   string      `json:"created_at,omitzero"`
}

func instant(ms int64) string {
	if ms == 0 {
		return ""
	}
	return time.UnixMilli(ms).UTC().Format(time.RFC3339Nano)
}

// rows writes the rows of one table.
func (e *exporting) rows(x *opened, b block) error {
	switch b.Table {
	case "secret":
		return rowsOf(b, store.SecretOf, func(row store.Secret) error { return e.state(x, row, fileValues) })
	case "secret_history":
		return rowsOf(b, store.SecretOf, func(row store.Secret) error { return e.state(x, row, fileHistory) })
	case "commits":
		return rowsOf(b, store.CommitOf, func(c store.Commit) error {
			return e.files[fileCommits].put(commitRecord{string(c.ID), x.address(c.Env, ""), c.Revision, instant(c.At), string(c.AuthorKind), c.AuthorID,
				c.AuthorName, c.Message, c.Cause, c.Changes})
		})
	case "personal":
		return rowsOf(b, store.PersonalOf, func(p store.Personal) error {
			if p.Value == nil {
				return nil
			}
			v, err := x.personalValue(p)
			if err != nil {
				return err
			}
			defer v.Wipe()
			return e.files[filePersonal].put(own{p.Secret, p.User, p.Version, instant(p.At), inTheOpen(v)})
		})
	case "person":
		return rowsOf(b, store.PersonOf, func(p store.Person) error {
			e.people.People = append(e.people.People, person{p.ID, p.Email, p.Name, p.Password, instant(p.CreatedAt), p.Disabled})
			return nil
		})
	case "identity":
		return rowsOf(b, store.IdentityOf, func(i store.Identity) error {
			e.people.Identities = append(e.people.Identities, identity{i.ID, i.Name, i.TokenTTL, instant(i.CreatedAt), i.Disabled})
			return nil
		})
	case "role_grant":
		return rowsOf(b, store.GrantOf, func(g store.Grant) error {
			e.grants = append(e.grants, grant{g.ID, string(g.PrincipalKind), g.PrincipalID, x.projects[g.Project].Slug, x.envs[g.Env].Slug, g.Role, instant(g.CreatedAt)})
			return nil
		})
	}
	return nil
}

// state writes one state of a secret.
func (e *exporting) state(x *opened, row store.Secret, to string) error {
	out := state{ID: string(row.ID), address: x.address(row.Env, row.Folder), Name: row.Name, Version: row.Version, Revision: row.Revision,
		DeletedIn: row.Deleted, ChangedAt: instant(row.At), Attributes: row.Attrs}
	v, ok, err := x.value(row)
	if err != nil {
		return err
	}
	defer v.Wipe()
	if out.Purged = !ok; ok {
		out.plain = inTheOpen(v)
	}
	comment, err := x.comment(row)
	if err != nil {
		return err
	}
	out.Comment = string(comment.Reveal())
	return e.files[to].put(out)
}

// places is the tree of what there is.
type places struct {
	Organisations []organisation `json:"organisations"`
}

type organisation struct {
	ID       domain.OrgID `json:"id"`
	Slug     domain.Slug  `json:"slug"`
	Name     domain.Label `json:"name"`
	Projects []project    `json:"projects"`
}

type project struct {
	ID           domain.ProjectID `json:"id"`
	Slug         domain.Slug      `json:"slug"`
	Name         domain.Label     `json:"name"`
	DeletedAt    string           `json:"deleted_at,omitzero"`
	Environments []environment    `json:"environments"`
}

type environment struct {
	ID        domain.EnvID `json:"id"`
	Slug      domain.Slug  `json:"slug"`
	Name      domain.Label `json:"name"`
	Position  int64        `json:"position"`
	Revision  int64        `json:"revision"`
	DeletedAt string       `json:"deleted_at,omitzero"`
	Folders   []folder     `json:"folders"`
}

type folder struct {
	ID        domain.FolderID      `json:"id"`
	Path      domain.Path          `json:"path"`
	DeletedIn int64                `json:"deleted_in,omitzero"`
	Settings  store.FolderSettings `json:"settings"`
}

func placesOf(x *opened) places {
	folders := map[domain.EnvID][]folder{}
	for _, f := range x.folders {
		folders[f.Env] = append(folders[f.Env], folder{f.ID, f.Path, f.Deleted, f.Settings})
	}
	envs := map[domain.ProjectID][]environment{}
	for _, e := range x.envs {
		all := folders[e.ID]
		slices.SortFunc(all, func(a, b folder) int { return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.ID, b.ID)) })
		envs[e.Project] = append(envs[e.Project], environment{e.ID, e.Slug, e.Name, e.Position, e.Revision, instant(e.DeletedAt), all})
	}
	projects := map[domain.OrgID][]project{}
	for _, p := range x.projects {
		all := envs[p.ID]
		slices.SortFunc(all, func(a, b environment) int {
			return cmp.Or(cmp.Compare(a.Position, b.Position), cmp.Compare(a.ID, b.ID))
		})
		projects[p.Org] = append(projects[p.Org], project{p.ID, p.Slug, p.Name, instant(p.DeletedAt), all})
	}
	var out places
	for _, o := range x.orgs {
		all := projects[o.ID]
		slices.SortFunc(all, func(a, b project) int { return cmp.Compare(a.ID, b.ID) })
		out.Organisations = append(out.Organisations, organisation{o.ID, o.Slug, o.Name, all})
	}
	return out
}
