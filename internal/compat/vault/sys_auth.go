package vault

import (
	"context"
	"errors"
	"strings"

	"github.com/keyturn/keyturn/internal/access"
	"github.com/keyturn/keyturn/internal/fault"
)

const (
	whyHeaders = "requests are passed on to nobody, and the log keeps no values"
	whyMount   = "everything is sealed, and all servers have the same"
)

// sysAuth answers sys/auth and what lies below: the places at which one logs in.
func (s *Surface) sysAuth(ctx context.Context, c *call) (*reply, error) {
	path, below := c.below("sys/auth/")
	switch tuned, ok := strings.CutSuffix(path, "/tune"); {
	case !below:
		return s.listAuth(ctx, c)
	case ok:
		return s.tuneAuth(ctx, c, tuned)
	}
	switch c.verb {
	case verbRead:
		m, err := s.Access.AuthMount(ctx, path)
		if fault.KindOf(err) == fault.NotFound && err != nil {
			return nil, bad("No auth engine at " + strings.Trim(named(path+"/"), `"`))
		}
		if err != nil {
			return nil, err
		}
		return &reply{data: shownAuth(m), copies: true}, nil
	case verbWrite:
		return s.enableAuth(ctx, c, path)
	case verbDelete:
		return nil, s.Access.DisableAuth(ctx, path)
	}
	return nil, unsupported()
}

func (s *Surface) listAuth(ctx context.Context, c *call) (*reply, error) {
	if err := c.only(verbRead); err != nil {
		return nil, err
	}
	all, err := s.Access.AuthMounts(ctx)
	if err != nil {
		return nil, err
	}
	out := map[string]any{}
	for _, m := range all {
		out[m.Path+"/"] = shownAuth(m)
	}
	return &reply{data: out, copies: true}, nil
}

// shownAuth gives a place as the list shows it.
func shownAuth(m access.AuthMount) map[string]any {
	description := m.Description
	if m.Type == access.AuthToken && description == "" {
		description = "token based credentials"
	}
	config := map[string]any{"default_lease_ttl": seconds(m.Settings.TTL), "max_lease_ttl": seconds(m.Settings.MaxTTL), "force_no_cache": false, "token_type": tokenType(m)}
	if m.Settings.Visibility != "" {
		config["listing_visibility"] = m.Settings.Visibility
	}
	uuid := m.ID
	if uuid == "" {
		uuid = m.Accessor
	}
	return map[string]any{"accessor": m.Accessor, "config": config, "deprecation_status": "supported", "description": description, "external_entropy_access": false, "local": false,
		"options": map[string]string{}, "plugin_version": "", "running_plugin_version": "", "running_sha256": "", "seal_wrap": false, "type": m.Type, "uuid": uuid}
}

func tokenType(m access.AuthMount) string {
	if m.Settings.TokenType != "" {
		return m.Settings.TokenType
	}
	return "default-service"
}

func (s *Surface) enableAuth(ctx context.Context, c *call, path string) (*reply, error) {
	f := c.fields
	kind, err := f.required("type")
	if err != nil {
		return nil, err
	}
	in := access.AuthMountInput{Path: path, Type: kind}
	if in.Description, err = f.text("description"); err != nil {
		return nil, err
	}
	if err := f.refuse(whyMount, "local", "seal_wrap", "external_entropy_access", "plugin_version", "options"); err != nil {
		return nil, err
	}
	if f.has("config") {
		inner, err := jsonFields(f["config"])
		if err != nil {
			return nil, wrong("config", "an object")
		}
		m := access.AuthMount{}
		m.Type = kind
		if err := inner.tune(&m); err != nil {
			return nil, err
		}
		in.Settings = m.Settings
	}
	if err := s.Access.EnableAuth(ctx, in); err != nil {
		if used, ok := errors.AsType[*access.PathInUse](err); ok {
			return nil, bad(used.Error())
		}
		if fault.KindOf(err) == fault.Unsupported {
			return nil, bad("plugin not found in the catalog: " + strings.Trim(named(kind), `"`))
		}
		return nil, err
	}
	return written(f.unrecognized([]string{"type", "description", "config", "local", "seal_wrap", "external_entropy_access", "options", "plugin_name", "plugin_version", "path"})), nil
}

// tune puts what a write says of a place into its settings.
func (f fields) tune(m *access.AuthMount) error {
	switch m.Type {
	case access.AuthToken, access.AuthUserpass, access.AuthLDAP:
		if err := f.refuse("no role of this place has tokens whose lifetime it could be: those of people are settings of the organisation", "default_lease_ttl", "max_lease_ttl"); err != nil {
			return err
		}
	}
	if err := f.setTime("default_lease_ttl", &m.Settings.TTL); err != nil {
		return err
	}
	if err := f.setTime("max_lease_ttl", &m.Settings.MaxTTL); err != nil {
		return err
	}
	if err := f.refuse(whyHeaders, "passthrough_request_headers", "allowed_response_headers", "audit_non_hmac_request_keys", "audit_non_hmac_response_keys", "allowed_managed_keys", "user_lockout_config", "force_no_cache"); err != nil {
		return err
	}
	if err := f.refuse(whyMount, "options", "plugin_version", "plugin_name"); err != nil {
		return err
	}
	if f.has("listing_visibility") {
		v, err := f.text("listing_visibility")
		if err != nil || v != "" && v != "hidden" && v != "unauth" {
			return wrong("listing_visibility", `"hidden" or "unauth"`)
		}
		m.Settings.Visibility = v
	}
	if f.has("token_type") {
		v, err := f.text("token_type")
		switch {
		case err != nil:
			return err
		case v == "" || v == "default-service" || v == "service":
			m.Settings.TokenType = v
		default:
			return unheld("token_type", "say it of the roles that shall have tokens of another type")
		}
	}
	return nil
}

// tuneAuth answers the calls on the settings of a place.
func (s *Surface) tuneAuth(ctx context.Context, c *call, path string) (*reply, error) {
	switch c.verb {
	case verbRead:
		m, err := s.Access.AuthMount(ctx, path)
		if err != nil {
			return nil, noAuth(path, err)
		}
		ttl, longest := m.Lease()
		out := map[string]any{"default_lease_ttl": seconds(ttl.Milliseconds()), "max_lease_ttl": seconds(longest.Milliseconds()), "force_no_cache": false,
			"description": shownAuth(m)["description"], "token_type": tokenType(m)}
		if m.Settings.Visibility != "" {
			out["listing_visibility"] = m.Settings.Visibility
		}
		return &reply{data: out, copies: true}, nil
	case verbWrite:
		f := c.fields
		err := s.Access.ChangeAuth(ctx, path, func(m *access.AuthMount) (access.AuthSecret, error) {
			if f.has("description") {
				var err error
				if m.Description, err = f.text("description"); err != nil {
					return access.AuthSecret{}, err
				}
			}
			return access.AuthSecret{}, f.tune(m)
		}, nil)
		return nil, noAuth(path, err)
	}
	return nil, unsupported()
}

// noAuth says that there is no place of a path.
func noAuth(path string, err error) error {
	if err != nil && fault.KindOf(err) == fault.NotFound {
		return bad("cannot fetch sysview for path " + named("auth/"+path+"/"))
	}
	return err
}
