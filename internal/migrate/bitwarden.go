package migrate

import (
	"bytes"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// bitwardenExport is a plain JSON export of Bitwarden's vault, or of its Secrets Manager, as far as it is read.
type bitwardenExport struct {
	Encrypted bool                     `json:"encrypted"`
	Folders   []bitwardenFolder        `json:"folders"`
	Groups    []bitwardenFolder        `json:"collections"`
	Items     []bitwardenItem          `json:"items"`
	Projects  []bitwardenFolder        `json:"projects"`
	Secrets   []bitwardenManagerSecret `json:"secrets"`
	bitwardenSealed
}

type bitwardenFolder struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

type bitwardenManagerSecret struct {
	Key        string   `json:"key"`
	Value      string   `json:"value"`
	Note       string   `json:"note"`
	ProjectIDs []string `json:"projectIds"`
}

type bitwardenItem struct {
	Name        string   `json:"name"`
	Notes       string   `json:"notes"`
	FolderID    string   `json:"folderId"`
	Collections []string `json:"collectionIds"`
	Revised     string   `json:"revisionDate"`
	Deleted     string   `json:"deletedDate"`
	Login       *struct {
		URIs []struct {
			URI string `json:"uri"`
		} `json:"uris"`
		Username string `json:"username"`
		Password string `json:"password"`
		TOTP     string `json:"totp"`
	} `json:"login"`
	Card     map[string]jsontext.Value `json:"card"`
	Identity map[string]jsontext.Value `json:"identity"`
	SSHKey   map[string]jsontext.Value `json:"sshKey"`
	Fields   []struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	} `json:"fields"`
	History []bitwardenOld `json:"passwordHistory"`
}

type bitwardenOld struct {
	LastUsed string `json:"lastUsedDate"`
	Password string `json:"password"`
}

// Bitwarden reads an export of Bitwarden: JSON, JSON under a password of its own, CSV, or JSON of its Secrets Manager. Password
// is asked for only where the file wants one. An item becomes a folder below its own folder, its fields the secrets.
func Bitwarden(name string, content []byte, password func() (sensitive.Value, error), o Options) (*Plan, error) {
	if err := tooLarge(name, content); err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(bytes.TrimSpace(content), []byte("{")) {
		return itemsCSV("bitwarden", name, content, o)
	}
	var export bitwardenExport
	if json.Unmarshal(content, &export) != nil {
		return nil, unreadable(name, "an export of Bitwarden")
	}
	if export.Encrypted {
		if !export.Protected {
			return nil, fault.New(fault.Unsupported, "%s is encrypted for one account of Bitwarden", name).
				WithHint("export it again as JSON, or as encrypted JSON with a password of its own")
		}
		secret, err := password()
		if err != nil {
			return nil, err
		}
		plain, err := export.open(secret)
		if err != nil {
			return nil, err
		}
		export = bitwardenExport{}
		if json.Unmarshal(plain, &export) != nil || export.Encrypted {
			return nil, unreadable(name, "an export of Bitwarden inside its encryption")
		}
	}
	if export.Secrets != nil {
		return export.manager(name, o)
	}
	if export.Items == nil {
		return nil, unreadable(name, "an export of Bitwarden")
	}
	return export.vault(name, o)
}

// vault makes one project of a vault.
func (x *bitwardenExport) vault(name string, o Options) (*Plan, error) {
	p, e := filePlan("bitwarden", name, o)
	b := itemBuilder{plan: p, env: e, where: p.Projects[0].Slug}
	folders := map[string]string{}
	for _, f := range append(slices.Clone(x.Folders), x.Groups...) {
		folders[f.ID] = canonicalPath(f.Name)
	}
	for i := range x.Items {
		item := &x.Items[i]
		if item.Deleted != "" {
			p.note(Skipped, word(item.Name), "lies in the bin")
			continue
		}
		b.parent = folders[item.FolderID]
		if b.parent == "" && len(item.Collections) > 0 {
			b.parent = folders[item.Collections[0]]
			if len(item.Collections) > 1 {
				p.note(Changed, word(item.Name), "lies in several collections: it comes into the first")
			}
		}
		if err := b.bitwarden(item, o); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// bitwarden makes a folder of an item.
func (b *itemBuilder) bitwarden(item *bitwardenItem, o Options) error {
	b.begin(item.Name, nil)
	if l := item.Login; l != nil {
		b.field("username", l.Username)
		b.field("password", l.Password)
		b.field("one-time-password", l.TOTP)
		for _, u := range l.URIs {
			b.field("url", u.URI)
		}
	}
	for _, group := range []map[string]jsontext.Value{item.Card, item.Identity, item.SSHKey} {
		names := make([]string, 0, len(group))
		for n := range group {
			names = append(names, n)
		}
		slices.Sort(names)
		for _, n := range names {
			b.field(n, oneValue("", group[n]))
		}
	}
	for _, f := range item.Fields {
		b.field(first(strings.TrimSpace(f.Name), "field"), f.Value)
	}
	b.field("notes", item.Notes)
	if o.History != 1 {
		history := slices.Clone(item.History)
		slices.SortStableFunc(history, func(a, c bitwardenOld) int { return strings.Compare(a.LastUsed, c.LastUsed) })
		if keep := o.History - 1; keep >= 0 && len(history) > keep {
			history = history[len(history)-keep:]
		}
		for _, h := range history {
			b.old("password", h.Password, moment(h.LastUsed))
		}
	}
	return b.end(moment(item.Revised))
}

// manager makes projects of an export of the Secrets Manager. Its projects name no environment.
func (x *bitwardenExport) manager(name string, o Options) (*Plan, error) {
	p := &Plan{Source: "bitwarden", Where: name}
	names := map[string]string{}
	for _, q := range x.Projects {
		names[q.ID] = q.Name
	}
	byName := map[string]*Project{}
	var order []string
	for _, s := range x.Secrets {
		project := projectName(name)
		if len(s.ProjectIDs) > 0 {
			project = first(names[s.ProjectIDs[0]], project)
		}
		q := byName[project]
		if q == nil {
			q = &Project{Slug: project, Name: project}
			byName[project] = q
			order = append(order, project)
			q.env(o.Env).Folders, q.env(o.Env).Steps = []Folder{{Path: "/"}}, []Step{{}}
		}
		if err := p.count(len(s.Value)); err != nil {
			return nil, err
		}
		st := &q.Envs[0].Steps[0]
		if slices.ContainsFunc(st.Sets, func(have Secret) bool { return have.Name == s.Key }) {
			p.note(Unfit, word(project+":/"+s.Key), "stands there twice; the first one is taken")
			continue
		}
		st.Sets = append(st.Sets, Secret{Key: Key{"/", s.Key}, Value: sensitive.FromString(s.Value), Comment: s.Note})
	}
	for _, n := range order {
		p.Projects = append(p.Projects, *byName[n])
	}
	return p, nil
}
