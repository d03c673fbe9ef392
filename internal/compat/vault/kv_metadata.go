package vault

import (
	"context"
	"net/http"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/keyturn/keyturn/internal/secrets"
)

type metadataAnswer struct {
	CASRequired        bool                   `json:"cas_required"`
	CreatedTime        string                 `json:"created_time"`
	CurrentVersion     int64                  `json:"current_version"`
	CustomMetadata     any                    `json:"custom_metadata"`
	DeleteVersionAfter string                 `json:"delete_version_after"`
	MaxVersions        int64                  `json:"max_versions"`
	OldestVersion      int64                  `json:"oldest_version"`
	UpdatedTime        string                 `json:"updated_time"`
	Versions           map[string]versionLine `json:"versions"`
}

type versionLine struct {
	CreatedTime  string `json:"created_time"`
	CreatedBy    string `json:"created_by,omitzero"` // more than the originals tell
	DeletionTime string `json:"deletion_time"`
	Destroyed    bool   `json:"destroyed"`
}

func (k *kvCall) readMetadata(ctx context.Context, _ *call) (*reply, error) {
	if yes, err := strconv.ParseBool(k.query.Get("scan")); err == nil && yes {
		return k.listed(ctx, secrets.ListOfDocuments{Recursive: true})
	}
	ref, err := k.there()
	if err != nil {
		return nil, err
	}
	m, err := k.s.Secrets.DocumentMetadata(ctx, ref)
	if err != nil {
		return nil, orNothing(k.call, err)
	}
	out := metadataAnswer{CASRequired: m.CASRequired, CreatedTime: stamp(m.CreatedAt), CurrentVersion: m.Current, DeleteVersionAfter: m.DeleteAfter.String(),
		MaxVersions: m.MaxVersions, OldestVersion: m.Oldest, UpdatedTime: stamp(m.UpdatedAt), Versions: map[string]versionLine{}}
	out.CustomMetadata = customOf(m.Custom)
	for _, v := range m.Versions {
		out.Versions[strconv.FormatInt(v.Version, 10)] = versionLine{CreatedTime: stamp(v.CreatedAt), CreatedBy: v.CreatedBy, DeletionTime: stamp(v.DeletedAt), Destroyed: v.Destroyed}
	}
	return &reply{data: out}, nil
}

func (k *kvCall) list(ctx context.Context, _ *call) (*reply, error) {
	return k.listed(ctx, secrets.ListOfDocuments{})
}

type keysAnswer struct {
	Keys []string `json:"keys"`
}

// listed answers with a list, or a page of one: keys after a key, at most so many.
func (k *kvCall) listed(ctx context.Context, o secrets.ListOfDocuments) (*reply, error) {
	after, err := k.fields.text("after")
	if err != nil {
		return nil, err
	}
	limit, err := k.fields.integer("limit")
	if err != nil {
		return nil, err
	}
	keys, err := k.s.Secrets.ListDocuments(ctx, k.mount, k.path, o)
	if err != nil {
		return nil, orNothing(k.call, err)
	}
	page := keys[:0]
	for _, key := range keys {
		if key > after && (limit <= 0 || int64(len(page)) < limit) {
			page = append(page, key)
		}
	}
	if len(page) == 0 {
		return nil, nothing(k.call)
	}
	return &reply{data: keysAnswer{page}}, nil
}

func (k *kvCall) writeMetadata(ctx context.Context, _ *call) (*reply, error) {
	var c secrets.DocumentSettings
	if k.fields.has("custom_metadata") {
		custom, err := k.fields.texts("custom_metadata")
		if err != nil {
			return nil, bad("custom_metadata validation failed: want an object of texts")
		}
		c.Custom = &custom
	}
	return k.setMetadata(ctx, c, false)
}

func (k *kvCall) patchMetadata(ctx context.Context, _ *call) (*reply, error) {
	c := secrets.DocumentSettings{Patch: true}
	if raw, ok := k.fields["custom_metadata"]; ok {
		var err error
		if raw.Kind() == 'n' {
			c.Custom = &map[string]string{}
		} else if c.Merge, err = customPatch(raw); err != nil {
			return nil, err
		}
	}
	return k.setMetadata(ctx, c, true)
}

// customPatch gives what becomes of entries of the metadata: nil removes one.
func customPatch(raw jsontext.Value) (map[string]*string, error) {
	failed := bad("custom_metadata validation failed: want an object of texts")
	var all map[string]jsontext.Value
	if raw.Kind() != '{' || json.Unmarshal(raw, &all) != nil {
		return nil, failed
	}
	out := map[string]*string{}
	for name, v := range all {
		if v.Kind() == 'n' {
			out[name] = nil
			continue
		}
		text, err := (fields{name: v}).text(name)
		if err != nil {
			return nil, failed
		}
		out[name] = &text
	}
	return out, nil
}

// setMetadata takes the other settings of a call; in a patch null puts one back.
func (k *kvCall) setMetadata(ctx context.Context, c secrets.DocumentSettings, patch bool) (*reply, error) {
	ref, err := k.mount.Document(k.path)
	if err != nil {
		return nil, err
	}
	t, err := k.settings(patch)
	if err != nil {
		return nil, err
	}
	c.MaxVersions, c.CASRequired, c.DeleteAfter = t.MaxVersions, t.CASRequired, t.DeleteVersionAfter
	return nil, orNothing(k.call, k.s.Secrets.SetDocument(ctx, ref, c))
}

// settings reads those that documents and mounts share. With nulls, a null counts as the setting's zero.
func (k *kvCall) settings(nulls bool) (secrets.MountTune, error) {
	var out secrets.MountTune
	given := func(name string) bool {
		_, there := k.fields[name]
		return k.fields.has(name) || there && nulls
	}
	if given("max_versions") {
		n, err := k.fields.integer("max_versions")
		if err != nil {
			return out, err
		}
		out.MaxVersions = &n
	}
	if given("cas_required") {
		yes, err := k.fields.boolean("cas_required", false)
		if err != nil {
			return out, err
		}
		out.CASRequired = &yes
	}
	if given("delete_version_after") {
		d, err := k.fields.duration("delete_version_after")
		if err != nil {
			return out, err
		}
		out.DeleteVersionAfter = &d
	}
	return out, nil
}

func (k *kvCall) forget(ctx context.Context, _ *call) (*reply, error) {
	ref, err := k.mount.Document(k.path)
	if err != nil {
		return nil, err
	}
	return nil, k.s.Secrets.ForgetDocument(ctx, ref)
}

type configAnswer struct {
	CASRequired        bool   `json:"cas_required"`
	DeleteVersionAfter string `json:"delete_version_after"`
	MaxVersions        int64  `json:"max_versions"`
}

func (k *kvCall) config(ctx context.Context, _ *call) (*reply, error) {
	m, err := k.s.Secrets.Mount(ctx, k.mount.Path)
	if err != nil {
		return nil, orNothing(k.call, err)
	}
	return &reply{data: configAnswer{m.Settings.CASRequired, m.Settings.DeleteVersionAfter.String(), m.Settings.MaxVersions}}, nil
}

func (k *kvCall) configure(ctx context.Context, _ *call) (*reply, error) {
	t, err := k.settings(false)
	if err != nil {
		return nil, err
	}
	_, err = k.s.Secrets.TuneMount(ctx, k.mount.Path, t)
	return nil, orNothing(k.call, err)
}

type subkeysAnswer struct {
	Metadata versionInfo    `json:"metadata"`
	Subkeys  jsontext.Value `json:"subkeys"`
}

func (k *kvCall) subkeys(ctx context.Context, _ *call) (*reply, error) {
	depth, err := k.fields.integer("depth")
	if err != nil {
		return nil, err
	}
	if depth < 0 {
		return nil, wrong("depth", "0 or more")
	}
	doc, err := k.document(ctx)
	if err != nil {
		return nil, err
	}
	info := infoOf(doc.DocumentVersion, doc.Custom)
	if doc.Gone {
		return &reply{status: http.StatusNotFound, data: subkeysAnswer{info, null}}, nil
	}
	out := map[string]any{}
	for _, f := range doc.Fields {
		out[string(f.Name)] = nil
		if f.JSON && depth != 1 {
			out[string(f.Name)] = namesIn(f.Value.Reveal(), depth-1)
		}
	}
	text, err := json.Marshal(out, json.Deterministic(true))
	if err != nil {
		return nil, err
	}
	return &reply{data: subkeysAnswer{info, text}}, nil
}

// namesIn gives the names in a JSON object and in the objects below, down to a depth, 0 or less for all; nil for what is no object
// or an empty one.
func namesIn(raw jsontext.Value, depth int64) any {
	var all map[string]jsontext.Value
	if raw.Kind() != '{' || json.Unmarshal(raw, &all) != nil || len(all) == 0 {
		return nil
	}
	out := map[string]any{}
	for name, v := range all {
		out[name] = nil
		if depth != 1 {
			out[name] = namesIn(v, depth-1)
		}
	}
	return out
}
