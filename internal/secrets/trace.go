package secrets

import (
	"crypto/sha256"
	"encoding/json"
	"slices"
	"strings"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/store"
)

// trail is what decides about one secret or folder of a draft: where it came from and what becomes of it. Ids and times that
// are made anew each time are left out.
type trail struct {
	ID       string             `json:"id"`  // "new" of what is not there yet
	Was      int64              `json:"was"` // revision of the state that is replaced
	Path     domain.Path        `json:"path"`
	Name     domain.SecretName  `json:"name,omitzero"`
	Deleted  bool               `json:"deleted,omitzero"`
	Attrs    *domain.Attributes `json:"attrs,omitzero"`
	Value    []byte             `json:"value,omitzero"`
	Comment  []byte             `json:"comment,omitzero"`
	Imports  []store.Import     `json:"imports,omitzero"`
	Required []string           `json:"required,omitzero"`
	Note     string             `json:"note,omitzero"`
}

const unborn = "new"

// trace gives everything that the draft does to its own environment, in an order of its own, and the same without values for
// people. Other environments follow by rules alone and are not part of it.
func (d *draft) trace(salt []byte) ([]byte, []store.ChangeItem, error) {
	hash := func(b []byte) []byte {
		h := sha256.New()
		h.Write(salt)
		h.Write(b)
		return h.Sum(nil)
	}
	e := d.home
	var trails []trail
	var items []store.ChangeItem
	for _, f := range e.forders {
		t := trail{ID: unborn, Path: f.row.Path, Deleted: f.row.Deleted != 0, Imports: slices.Clone(f.row.Settings.Imports), Note: f.row.Settings.Note}
		item := store.ChangeItem{Path: f.row.Path, Outcome: string(Added)}
		for _, name := range f.row.Settings.Required {
			t.Required = append(t.Required, string(name))
		}
		if f.old != nil {
			t.ID, t.Was = string(f.old.ID), f.old.Revision
			if f.old.Deleted == 0 {
				item.Outcome = string(Changed)
			}
			if f.old.Path != f.row.Path {
				item.From = string(f.old.Path)
			}
		}
		if t.Deleted {
			item.Outcome = string(Removed)
		}
		trails, items = append(trails, t), append(items, item)
	}
	for _, s := range e.order {
		t, item, err := d.secretTrail(s, hash)
		if err != nil {
			return nil, nil, err
		}
		trails, items = append(trails, t), append(items, item)
	}
	slices.SortFunc(trails, func(a, b trail) int { return strings.Compare(a.Path.Key(a.Name)+a.ID, b.Path.Key(b.Name)+b.ID) })
	slices.SortFunc(items, func(a, b store.ChangeItem) int { return strings.Compare(a.Path.Key(a.Name), b.Path.Key(b.Name)) })
	b, err := json.Marshal(trails)
	return b, items, err
}

func (d *draft) secretTrail(s *secretDraft, hash func([]byte) []byte) (trail, store.ChangeItem, error) {
	path := d.home.pathOf(s.row.Folder)
	attrs := s.row.Attrs
	attrs.RotatedAt, attrs.CommentRev = 0, 0
	if len(attrs.Tags) == 0 {
		attrs.Tags = nil
	}
	if len(attrs.Meta) == 0 {
		attrs.Meta = nil
	}
	t := trail{ID: unborn, Path: path, Name: s.row.Name, Deleted: s.row.Deleted != 0, Attrs: &attrs}
	item := store.ChangeItem{Path: path, Name: s.row.Name, Outcome: string(Added), Value: s.value != nil, Attrs: &attrs}
	was := domain.Attributes{}
	if s.old != nil {
		t.ID, t.Was, was = string(s.old.ID), s.old.Revision, s.old.Attrs
		if s.old.Deleted == 0 {
			item.Outcome = string(Changed)
		}
		if from := d.home.pathOf(s.old.Folder).Key(s.old.Name); from != path.Key(s.row.Name) {
			item.From = from
		}
	}
	if t.Deleted {
		item.Outcome = string(Removed)
	}
	item.Changed = changedFacts(was, attrs)
	if s.value != nil {
		t.Value = hash(s.value.Reveal())
	}
	comment, err := d.s.openComment(d.p, &s.row)
	if err != nil {
		return t, item, err
	}
	t.Comment = hash(comment.Reveal())
	return t, item, nil
}

func (e *envDraft) pathOf(id domain.FolderID) domain.Path {
	if f := e.byID[id]; f != nil {
		return f.row.Path
	}
	return "?"
}

// changedFacts names what people see of a secret that differs.
func changedFacts(a, b domain.Attributes) []string {
	var out []string
	note := func(name string, differs bool) {
		if differs {
			out = append(out, name)
		}
	}
	note("owner", a.Owner != b.Owner)
	note("tags", !slices.Equal(a.Tags, b.Tags))
	note("metadata", !(domain.Attributes{Meta: a.Meta}).Equal(domain.Attributes{Meta: b.Meta}))
	note("public", a.Public != b.Public)
	note("rotate_every", a.Cadence != b.Cadence)
	note("expires_at", a.ExpiresAt != b.ExpiresAt)
	note("required", a.Required != b.Required)
	note("literal", a.Literal != b.Literal)
	note("one_line", a.OneLine != b.OneLine)
	note("reminder", a.Reminder != b.Reminder)
	return out
}

// newValues gives the values that the draft writes, by full name.
func (d *draft) newValues() map[string][]byte {
	out := map[string][]byte{}
	for _, s := range d.home.order {
		if s.value != nil {
			out[d.home.pathOf(s.row.Folder).Key(s.row.Name)] = s.value.Reveal()
		}
	}
	return out
}
