package vault

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/secrets"
)

// versionInfo is how a version looks in answers about data.
type versionInfo struct {
	CreatedTime    string `json:"created_time"`
	CustomMetadata any    `json:"custom_metadata"` // an object of texts, or null
	DeletionTime   string `json:"deletion_time"`
	Destroyed      bool   `json:"destroyed"`
	Version        int64  `json:"version"`
}

func infoOf(v secrets.DocumentVersion, custom map[string]string) versionInfo {
	return versionInfo{CreatedTime: stamp(v.CreatedAt), CustomMetadata: customOf(custom), DeletionTime: stamp(v.DeletedAt), Destroyed: v.Destroyed, Version: v.Version}
}

// customOf gives metadata as answers show it: null when there is none.
func customOf(custom map[string]string) any {
	if len(custom) == 0 {
		return nil
	}
	return custom
}

type dataAnswer struct {
	Data     jsontext.Value `json:"data"`
	Metadata versionInfo    `json:"metadata"`
}

var null = jsontext.Value("null")

// document reads the version that the call asks for.
func (k *kvCall) document(ctx context.Context) (secrets.Document, error) {
	ref, err := k.there()
	if err != nil {
		return secrets.Document{}, err
	}
	version, err := k.fields.integer("version")
	if err != nil {
		return secrets.Document{}, err
	}
	doc, err := k.s.Secrets.ReadDocument(ctx, ref, version)
	return doc, orNothing(k.call, err)
}

func (k *kvCall) read(ctx context.Context, _ *call) (*reply, error) {
	tag, same := k.unchanged(ctx)
	if same {
		k.writer.Header().Set("ETag", tag)
		k.writer.WriteHeader(http.StatusNotModified)
		return &reply{sent: true}, nil
	}
	doc, err := k.document(ctx)
	if err != nil {
		return nil, err
	}
	if tag != "" { // only who may read it hears that there is something
		k.writer.Header().Set("ETag", tag)
	}
	if doc.Gone {
		return &reply{status: http.StatusNotFound, data: dataAnswer{null, infoOf(doc.DocumentVersion, doc.Custom)}}, nil
	}
	text, warnings, err := object(doc.Fields)
	if err != nil {
		return nil, err
	}
	return &reply{data: dataAnswer{text, infoOf(doc.DocumentVersion, doc.Custom)}, warnings: warnings}, nil
}

// unchanged names the state that the answer will be made from, and tells whether the client has it already. That opens nothing. It is
// more than the originals do.
func (k *kvCall) unchanged(ctx context.Context) (tag string, same bool) {
	ref, err := k.mount.Document(k.path)
	if err != nil || k.wrap != 0 || k.query.Get("version") != "" && k.query.Get("version") != "0" {
		return "", false
	}
	tag, err = k.s.Secrets.DocumentTag(ctx, ref)
	if err != nil {
		return "", false
	}
	tag = `W/"` + tag + `"` // weak: the id of the request differs
	for sent := range strings.SplitSeq(k.http.Header.Get("If-None-Match"), ",") {
		if strings.TrimSpace(sent) == tag {
			return tag, true
		}
	}
	return tag, false
}

func (k *kvCall) write(ctx context.Context, _ *call) (*reply, error) { return k.put(ctx, false) }

func (k *kvCall) patch(ctx context.Context, _ *call) (*reply, error) { return k.put(ctx, true) }

func (k *kvCall) put(ctx context.Context, merge bool) (*reply, error) {
	ref, err := k.mount.Document(k.path)
	if err != nil {
		return nil, err
	}
	w := secrets.DocumentWrite{Merge: merge}
	if w.CAS, err = k.cas(); err != nil {
		return nil, err
	}
	raw, ok := k.fields["data"]
	if !ok {
		return nil, bad("no data provided")
	}
	members, err := members(raw)
	if err != nil {
		return nil, err
	}
	if w.Fields, err = documentOf(members); err != nil {
		return nil, err
	}
	made, custom, err := k.s.Secrets.WriteDocument(ctx, ref, w)
	if gone, ok := errors.AsType[*secrets.DocumentGone](err); ok {
		return &reply{status: http.StatusNotFound, data: infoOf(gone.DocumentVersion, gone.Custom)}, nil
	}
	if err != nil {
		return nil, orNothing(k.call, err)
	}
	return &reply{data: infoOf(made, custom)}, nil
}

// members takes the object of a field apart; null is an empty one.
func members(raw jsontext.Value) (fields, error) {
	switch raw.Kind() {
	case 'n':
		return fields{}, nil
	case '{':
		return jsonFields(raw)
	}
	return nil, fault.New(fault.Invalid, "the data must be a JSON object")
}

// cas gives the version that must be the current one, nil when the call says nothing of it. Other options are ignored.
func (k *kvCall) cas() (*int64, error) {
	if !k.fields.has("options") {
		return nil, nil
	}
	wrong := bad("error parsing check-and-set parameter")
	options, err := members(k.fields["options"])
	if err != nil {
		return nil, wrong
	}
	if !options.has("cas") {
		return nil, nil
	}
	text, err := options.text("cas")
	if err != nil {
		return nil, wrong
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return nil, wrong
	}
	return &n, nil
}

func (k *kvCall) delete(ctx context.Context, _ *call) (*reply, error) {
	ref, err := k.mount.Document(k.path)
	if err != nil {
		return nil, err
	}
	return nil, k.s.Secrets.DeleteDocument(ctx, ref, nil)
}

func (k *kvCall) deleteVersions(ctx context.Context, _ *call) (*reply, error) {
	return k.onVersions(ctx, "No version number provided", k.s.Secrets.DeleteDocument)
}

func (k *kvCall) undelete(ctx context.Context, _ *call) (*reply, error) {
	return k.onVersions(ctx, "No version number provided", k.s.Secrets.UndeleteDocument)
}

func (k *kvCall) destroy(ctx context.Context, _ *call) (*reply, error) {
	return k.onVersions(ctx, "no version number provided", k.s.Secrets.DestroyDocument)
}

func (k *kvCall) onVersions(ctx context.Context, none string, do func(context.Context, secrets.DocumentRef, []int64) error) (*reply, error) {
	ref, err := k.mount.Document(k.path)
	if err != nil {
		return nil, err
	}
	named, err := k.fields.list("versions")
	if err != nil {
		return nil, wrong("versions", "a list of version numbers")
	}
	if len(named) == 0 {
		return nil, bad(none)
	}
	versions := make([]int64, len(named))
	for i, text := range named {
		if versions[i], err = strconv.ParseInt(strings.TrimSpace(text), 10, 64); err != nil || versions[i] < 0 {
			return nil, wrong("versions", "version numbers from 1")
		}
	}
	return nil, do(ctx, ref, versions)
}
