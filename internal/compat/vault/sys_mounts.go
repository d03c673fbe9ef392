package vault

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/secrets"
)

// defaultLeaseSeconds is what Vault says of mounts whose leases have no other length, in seconds: 32 days.
const defaultLeaseSeconds = 32 * 24 * 3600

// The types of mounts that are made: the older spelling of the second version of the KV engine is one of its own.
const (
	typeKV      = "kv"
	typeKV2     = "kv-v2"
	typeGeneric = "generic" // the first version, as it was called once
	typeTransit = "transit"
)

// mountConfig is the part of a mount that tells of its leases. Nothing here has any.
type mountConfig struct {
	DefaultLeaseTTL int64 `json:"default_lease_ttl"`
	ForceNoCache    bool  `json:"force_no_cache"`
	MaxLeaseTTL     int64 `json:"max_lease_ttl"`
}

// mountOptions are those of a KV mount. The version is a text: clients want it as such.
type mountOptions struct {
	Version string `json:"version"`
}

// mountEntry is a mount as lists show it.
type mountEntry struct {
	Accessor              string        `json:"accessor"`
	Config                mountConfig   `json:"config"`
	DeprecationStatus     string        `json:"deprecation_status"`
	Description           string        `json:"description"`
	ExternalEntropyAccess bool          `json:"external_entropy_access"`
	Local                 bool          `json:"local"`
	Options               *mountOptions `json:"options"`       // null for engines without versions
	Path                  string        `json:"path,omitzero"` // in the preflight only
	PluginVersion         string        `json:"plugin_version"`
	RunningPluginVersion  string        `json:"running_plugin_version"`
	RunningSHA256         string        `json:"running_sha256"`
	SealWrap              bool          `json:"seal_wrap"`
	Type                  string        `json:"type"`
	UUID                  string        `json:"uuid"`
}

func entryOf(m secrets.Mount) mountEntry {
	out := mountEntry{Type: string(m.Kind), UUID: m.ID, Description: m.Description, DeprecationStatus: "supported"}
	if m.Version != 0 {
		out.Options = &mountOptions{strconv.Itoa(m.Version)}
	}
	out.Accessor = out.Type + "_" + m.ID[max(0, len(m.ID)-accessorDigits):]
	return out
}

// accessorDigits are taken of an id for what clients show beside it.
const accessorDigits = 8

// always are the mounts that every server of the dialect has.
func (s *Surface) always() map[string]mountEntry {
	entry := func(kind, description string) mountEntry {
		return mountEntry{Type: kind, Description: description, UUID: s.Instance.ID, Accessor: kind + "_" + s.Instance.ID[max(0, len(s.Instance.ID)-accessorDigits):], DeprecationStatus: "supported"}
	}
	return map[string]mountEntry{
		"sys/":       entry("system", "system endpoints used for control, policy and debugging"),
		"cubbyhole/": entry("cubbyhole", "per-token private secret storage"),
	}
}

// sysMounts answers the calls on mounts.
func (s *Surface) sysMounts(ctx context.Context, c *call, path string) (*reply, error) {
	if path == "remount" {
		if c.verb != verbWrite {
			return nil, unsupported()
		}
		return nil, bad("a mount cannot be moved: make one of the new path over the same documents, move the clients, and delete the old one")
	}
	name, ok := strings.CutPrefix(path, "mounts")
	if !ok || name != "" && name[0] != '/' {
		return nil, nothing(c)
	}
	name = strings.TrimPrefix(name, "/")
	if rest, ok := strings.CutPrefix(name, "auth/"); ok {
		c.path = "sys/auth/" + rest
		return s.sysAuth(ctx, c)
	}
	tune := false
	if mount, ok := strings.CutSuffix(name, "/tune"); ok {
		name, tune = mount, true
	}
	full := strings.Trim(c.full(name), "/")
	switch {
	case name == "" && (c.verb == verbRead || c.verb == verbList):
		all, err := s.mountEntries(ctx, c)
		return &reply{data: all, copies: true}, err
	case name == "":
		return nil, unsupported()
	case c.verb == verbRead && tune:
		return s.readTune(ctx, c, name, full)
	case c.verb == verbWrite && tune:
		return nil, s.tune(ctx, c, full)
	case c.verb == verbRead:
		if e, ok := s.always()[name+"/"]; ok {
			return &reply{data: e, copies: true}, nil
		}
		m, err := s.Secrets.Mount(ctx, full)
		if fault.KindOf(err) == fault.NotFound && err != nil {
			return nil, bad("No secret engine mount at " + repeatable(name) + "/")
		}
		if err != nil {
			return nil, err
		}
		return &reply{data: entryOf(m), copies: true}, nil
	case c.verb == verbWrite && !tune:
		return nil, s.mount(ctx, c, name, full)
	case c.verb == verbDelete && !tune:
		err := s.Secrets.DeleteMount(ctx, full)
		if err != nil && fault.KindOf(err) == fault.NotFound {
			err = nil // as in the original
		}
		return nil, err
	}
	return nil, unsupported()
}

// repeatable gives a path as a message may repeat it.
func repeatable(path string) string {
	if _, err := domain.ParseLabel(path); err != nil {
		return "..."
	}
	return path
}

// mountEntries lists the mounts of the call's namespace, by path with a slash at the end.
func (s *Surface) mountEntries(ctx context.Context, c *call) (map[string]mountEntry, error) {
	all, err := s.Secrets.Mounts(ctx)
	if err != nil {
		return nil, err
	}
	out := s.always()
	for _, m := range all {
		if path, ok := c.within(m.Path); ok && path != "" {
			out[path+"/"] = entryOf(m)
		}
	}
	return out, nil
}

type tuning struct {
	DefaultLeaseTTL int64         `json:"default_lease_ttl"`
	Description     string        `json:"description"`
	ForceNoCache    bool          `json:"force_no_cache"`
	MaxLeaseTTL     int64         `json:"max_lease_ttl"`
	Options         *mountOptions `json:"options,omitzero"`
}

func (s *Surface) readTune(ctx context.Context, _ *call, name, full string) (*reply, error) {
	out := tuning{DefaultLeaseTTL: defaultLeaseSeconds, MaxLeaseTTL: defaultLeaseSeconds}
	if e, ok := s.always()[name+"/"]; ok {
		out.Description = e.Description
		return &reply{data: out, copies: true}, nil
	}
	m, err := s.Secrets.Mount(ctx, full)
	if err != nil && fault.KindOf(err) == fault.NotFound {
		return nil, bad("cannot fetch sysview for path \"" + repeatable(name) + "/\"")
	}
	if err != nil {
		return nil, err
	}
	e := entryOf(m)
	out.Description, out.Options = e.Description, e.Options
	return &reply{data: out, copies: true}, nil
}

// leases are the fields that only tell how long leases last. Nothing that lies in documents has one.
var leases = []string{"default_lease_ttl", "max_lease_ttl"}

// unkept refuses the settings of a mount that would change nothing here, unless they are what holds anyhow.
func unkept(f fields, known ...string) error {
	for _, name := range slices.Sorted(maps.Keys(f)) {
		if slices.Contains(known, name) || !f.has(name) {
			continue
		}
		text, err := f.text(name)
		switch {
		case err == nil && (text == "" || text == "0" || text == "0s" || text == "false" || text == "hidden" || text == "system" && slices.Contains(leases, name)):
		case err != nil && emptyList(f[name]):
		default:
			return bad("the setting " + repeatable(name) + " has no meaning for this mount, and is not kept: leave it out")
		}
	}
	return nil
}

func emptyList(v jsontext.Value) bool {
	return strings.Trim(string(v), " \t\r\n[]{}") == ""
}

// objectField gives the fields of a field that is an object; none when it is not there.
func objectField(f fields, name string) (fields, error) {
	if !f.has(name) {
		return fields{}, nil
	}
	return jsonFields(f[name])
}

// tune changes a mount.
func (s *Surface) tune(ctx context.Context, c *call, full string) error {
	if err := unkept(c.fields, "description", "options"); err != nil {
		return err
	}
	options, err := objectField(c.fields, "options")
	if err != nil {
		return err
	}
	if err := unkept(options, "version"); err != nil {
		return err
	}
	var t secrets.MountTune
	if c.fields.has("description") {
		text, err := c.fields.text("description")
		if err != nil {
			return err
		}
		t.Description = &text
	}
	if options.has("version") {
		n, err := options.integer("version")
		if err != nil {
			return err
		}
		version := int(n)
		t.Version = &version
	}
	_, err = s.Secrets.TuneMount(ctx, full, t)
	if err != nil && fault.KindOf(err) == fault.NotFound {
		err = bad("no mount there")
	}
	return err
}

// mount makes a mount.
func (s *Surface) mount(ctx context.Context, c *call, name, full string) error {
	kind, err := c.fields.text("type")
	if err != nil {
		return err
	}
	options, err := objectField(c.fields, "options")
	if err != nil {
		return err
	}
	config, err := objectField(c.fields, "config")
	if err == nil {
		err = unkept(config)
	}
	if err == nil {
		err = unkept(c.fields, "type", "description", "options", "config")
	}
	if err != nil {
		return err
	}
	description, err := c.fields.text("description")
	if err != nil {
		return err
	}
	if slices.Contains(shared, name) && !(name == typeTransit && kind == typeTransit) {
		return bad("path is already in use at " + name + "/")
	}
	switch kind {
	case typeKV, typeKV2, typeGeneric:
		return s.mountKV(ctx, kind, full, description, options)
	case typeTransit:
		if name != typeTransit {
			return bad("there is one encryption service, at transit/: leave the path out")
		}
		return nil
	case "":
		return bad("backend type must be specified as a string")
	}
	return bad("plugin not found in the catalog: " + repeatable(kind))
}

func (s *Surface) mountKV(ctx context.Context, kind, full, description string, options fields) error {
	if err := unkept(options, "version", "project", "env", "path"); err != nil {
		return err
	}
	request := secrets.MountRequest{Path: full, Description: description, Version: map[string]int{typeKV: 1, typeKV2: 2, typeGeneric: 1}[kind]}
	version, err := options.integer("version")
	if err != nil {
		return err
	}
	request.Version = cmp.Or(int(version), request.Version)
	folder := ""
	for name, to := range map[string]*string{"project": &request.Project, "env": &request.Env, "path": &folder} {
		if *to, err = options.text(name); err != nil {
			return err
		}
	}
	if request.Folder, err = domain.ParsePath(folder); err != nil {
		return err
	}
	if request.Project == "" && (request.Env != "" || request.Folder != domain.Root) {
		return bad("the options name an environment or a folder and no project: add project=SLUG")
	}
	if request.Project == "" {
		_, err = s.Secrets.MountNew(ctx, request)
	} else {
		_, err = s.Secrets.CreateMount(ctx, request)
	}
	if f := fault.As(err); err != nil && f.Kind == fault.Exists && strings.HasPrefix(f.Message, "path is already in use") {
		return bad(f.Message)
	}
	return err
}
