package migrate

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/keyturn/keyturn/internal/sensitive"
)

// onePUX is export.data of a 1PUX archive, as far as it is read. (1Password: 1Password Unencrypted Export format.)
type onePUX struct {
	Accounts []struct {
		Attrs struct {
			AccountName string `json:"accountName"`
		} `json:"attrs"`
		Vaults []struct {
			Attrs struct {
				Name string `json:"name"`
			} `json:"attrs"`
			Items []oneItem `json:"items"`
		} `json:"vaults"`
	} `json:"accounts"`
}

type oneItem struct {
	UpdatedAt int64  `json:"updatedAt"`
	State     string `json:"state"`
	Overview  struct {
		Title string   `json:"title"`
		URL   string   `json:"url"`
		Tags  []string `json:"tags"`
	} `json:"overview"`
	Details struct {
		LoginFields []struct {
			Value       string `json:"value"`
			Name        string `json:"name"`
			Designation string `json:"designation"`
		} `json:"loginFields"`
		NotesPlain string `json:"notesPlain"`
		Password   string `json:"password"`
		Sections   []struct {
			Title  string `json:"title"`
			Fields []struct {
				Title string                    `json:"title"`
				ID    string                    `json:"id"`
				Value map[string]jsontext.Value `json:"value"`
			} `json:"fields"`
		} `json:"sections"`
		PasswordHistory []oneOld `json:"passwordHistory"`
		Document        *struct {
			FileName string `json:"fileName"`
		} `json:"documentAttributes"`
	} `json:"details"`
}

type oneOld struct {
	Value string `json:"value"`
	Time  int64  `json:"time"` // Unix seconds
}

// OnePassword reads an export of 1Password, 1PUX or CSV. A vault becomes a project, an item a folder, its fields the secrets;
// what the same item held before comes as older versions of its password.
func OnePassword(name string, content []byte, o Options) (*Plan, error) {
	if err := tooLarge(name, content); err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(content, []byte("PK")) {
		return itemsCSV("onepassword", name, content, o)
	}
	data, others, err := unpack(name, content, "export.data")
	if err != nil {
		return nil, err
	}
	var export onePUX
	if json.Unmarshal(data, &export) != nil {
		return nil, unreadable(name, "an export of 1Password (1PUX)")
	}
	p := &Plan{Source: "onepassword", Where: name}
	if others > 1 { // export.attributes is one
		p.note(Skipped, word(name), plural(others-1, "attached file is", "attached files are")+" left out")
	}
	for _, account := range export.Accounts {
		for _, vault := range account.Vaults {
			// Vaults of one name in two accounts become two projects.
			project := Project{Slug: vault.Attrs.Name, Name: vault.Attrs.Name}
			if slices.ContainsFunc(p.Projects, func(q Project) bool { return q.Slug == project.Slug }) {
				project.Slug = account.Attrs.AccountName + " " + project.Slug
			}
			b := itemBuilder{plan: p, env: project.env(o.Env), where: project.Slug}
			for i := range vault.Items {
				if err := b.one(&vault.Items[i], o); err != nil {
					return nil, err
				}
			}
			p.Projects = append(p.Projects, project)
		}
	}
	return p, nil
}

// one makes a folder of an item.
func (b *itemBuilder) one(item *oneItem, o Options) error {
	if item.State == "archived" || item.State == "deleted" {
		b.plan.note(Skipped, word(b.where+"/"+item.Overview.Title), "is archived")
		return nil
	}
	b.begin(item.Overview.Title, item.Overview.Tags)
	if d := item.Details.Document; d != nil {
		b.plan.note(Skipped, word(b.where+"/"+item.Overview.Title), "is a document: its file is left out")
	}
	for _, f := range item.Details.LoginFields {
		b.field(first(f.Designation, f.Name, "field"), f.Value)
	}
	b.field("password", item.Details.Password)
	for _, s := range item.Details.Sections {
		for _, f := range s.Fields {
			for kind, raw := range f.Value {
				b.field(first(f.Title, s.Title, f.ID, kind), oneValue(kind, raw))
			}
		}
	}
	b.field("url", item.Overview.URL)
	b.field("notes", item.Details.NotesPlain)
	at := time.Unix(item.UpdatedAt, 0)
	if item.UpdatedAt == 0 {
		at = time.Time{}
	}
	if o.History != 1 {
		history := slices.Clone(item.Details.PasswordHistory)
		slices.SortStableFunc(history, func(a, c oneOld) int { return cmp.Compare(a.Time, c.Time) })
		if keep := o.History - 1; keep >= 0 && len(history) > keep {
			history = history[len(history)-keep:]
		}
		for _, h := range history {
			b.old("password", h.Value, time.Unix(h.Time, 0))
		}
	}
	return b.end(at)
}

// oneValue shows a field as text: text as it is, all else as JSON, so that nothing is lost.
func oneValue(kind string, raw jsontext.Value) string {
	if raw.Kind() == '"' {
		if text, err := jsontext.AppendUnquote(nil, raw); err == nil {
			return string(text)
		}
	}
	if raw.Kind() == 'n' {
		return ""
	}
	var key struct {
		PrivateKey string `json:"privateKey"`
	}
	if kind == "sshKey" && json.Unmarshal(raw, &key) == nil && key.PrivateKey != "" {
		return key.PrivateKey
	}
	return string(raw)
}

// itemBuilder makes folders of the items of a password manager.
type itemBuilder struct {
	plan   *Plan
	env    *Env
	where  string
	parent string // folder that items lie in
	path   string
	tags   []string
	step   Step
	before []Step
}

// begin starts an item. A title is one folder, whatever it holds; two items of one title are told apart by a number.
func (b *itemBuilder) begin(title string, tags []string) {
	base := strings.TrimSuffix(b.parent, "/") + "/" + strings.ReplaceAll(first(strings.TrimSpace(title), "untitled"), "/", "-")
	b.path, b.tags, b.step, b.before = base, tags, Step{}, nil
	for n := 2; slices.ContainsFunc(b.env.Folders, func(f Folder) bool { return f.Path == b.path }); n++ {
		b.path = base + " " + itoa(n)
	}
	b.env.Folders = append(b.env.Folders, Folder{Path: b.path})
}

// field adds a field; an empty one says nothing and is left out.
func (b *itemBuilder) field(name, value string) {
	if value == "" {
		return
	}
	unique := name
	for n := 2; slices.ContainsFunc(b.step.Sets, func(s Secret) bool { return s.Name == unique }); n++ {
		unique = name + " " + itoa(n)
	}
	b.step.Sets = append(b.step.Sets, Secret{Key: Key{b.path, unique}, Value: sensitive.FromString(value), Tags: b.tags})
}

func (b *itemBuilder) old(name, value string, at time.Time) {
	if value != "" {
		b.before = append(b.before, Step{At: at, Sets: []Secret{{Key: Key{b.path, name}, Value: sensitive.FromString(value)}}})
	}
}

// end takes the item into the environment. Older values of a field that is gone are left out.
func (b *itemBuilder) end(at time.Time) error {
	for _, st := range b.before {
		if !slices.ContainsFunc(b.step.Sets, func(s Secret) bool { return s.Key == st.Sets[0].Key }) {
			continue
		}
		if err := b.plan.count(st.Sets[0].Value.Len()); err != nil {
			return err
		}
		b.env.Steps = append(b.env.Steps, st)
	}
	for _, s := range b.step.Sets {
		if err := b.plan.count(s.Value.Len()); err != nil {
			return err
		}
	}
	b.step.At = at
	b.env.Steps = append(b.env.Steps, b.step)
	return nil
}
