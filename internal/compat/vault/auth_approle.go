package vault

import (
	"context"
	"net/http"
	"strings"

	"github.com/keyturn/keyturn/internal/access"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

const (
	badAppRole  = "invalid role or secret ID"
	badPassword = "invalid username or password"
	badCert     = "invalid certificate or no client certificate supplied"
	whyNoSecret = "whoever knows a role id could log in: a secret id is always asked for"
	whyLocal    = "there is one set of secret ids"
)

// approleNames are the fields of a role beside those of its tokens.
var approleNames = []string{"role_id", "role_name", "bind_secret_id", "secret_id_bound_cidrs", "secret_id_num_uses", "secret_id_ttl", "local_secret_ids"}

// approleFields are the paths below a role that are one field each.
var approleFields = map[string]string{
	"policies": "token_policies", "period": "token_period", "token-ttl": "token_ttl", "token-max-ttl": "token_max_ttl", "token-num-uses": "token_num_uses",
	"token-bound-cidrs": "token_bound_cidrs", "bind-secret-id": "bind_secret_id", "secret-id-ttl": "secret_id_ttl", "secret-id-num-uses": "secret_id_num_uses",
	"secret-id-bound-cidrs": "secret_id_bound_cidrs", "bound-cidr-list": "secret_id_bound_cidrs", "local-secret-ids": "local_secret_ids",
}

// approle answers the calls at a place of machines that have a role id and a secret id.
func (s *Surface) approle(ctx context.Context, p *place) (*reply, error) {
	parts := p.parts()
	switch {
	case p.below == "login":
		return s.approleLogin(ctx, p)
	case p.below == "role":
		return s.approleList(ctx, p)
	case parts[0] == "role" && len(parts) == 2:
		return s.approleRole(ctx, p, parts[1])
	case parts[0] == "role" && len(parts) == 3 && parts[2] == "role-id":
		return s.approleID(ctx, p, parts[1])
	case parts[0] == "role" && len(parts) == 3 && approleFields[parts[2]] != "":
		return s.approleField(ctx, p, parts[1], approleFields[parts[2]])
	case parts[0] == "role" && len(parts) >= 3:
		return s.secretIDs(ctx, p, parts[1], strings.Join(parts[2:], "/"))
	case p.below == "tidy/secret-id":
		if err := p.only(verbWrite); err != nil {
			return nil, err
		}
		if _, err := s.Access.TidySecretIDs(ctx, p.mount); err != nil {
			return nil, err
		}
		return &reply{status: http.StatusAccepted, warnings: []string{"Tidy operation successfully started. Any information from the operation will be printed to the server's logs."}}, nil
	}
	return nil, noPath()
}

func (s *Surface) approleLogin(ctx context.Context, p *place) (*reply, error) {
	if err := p.only(verbWrite); err != nil {
		return nil, err
	}
	role, err := p.fields.required("role_id")
	if err != nil {
		return nil, err
	}
	secret, err := p.fields.required("secret_id")
	if err != nil {
		return nil, err
	}
	in, err := s.Access.LoginAppRole(ctx, p.mount, strings.TrimSpace(role), sensitive.FromString(secret))
	return s.loggedIn(ctx, in, err, badAppRole)
}

func (s *Surface) approleList(ctx context.Context, p *place) (*reply, error) {
	if err := p.only(verbList); err != nil {
		return nil, err
	}
	names, err := s.Access.AuthRoles(ctx, p.mount)
	if err != nil {
		return nil, err
	}
	return listing(sorted(names), p.call)
}

// approleRole answers the calls on one role.
func (s *Surface) approleRole(ctx context.Context, p *place, name string) (*reply, error) {
	switch p.verb {
	case verbRead:
		r, err := s.Access.AuthRole(ctx, p.mount, name)
		if err != nil {
			return nil, err
		}
		return &reply{data: shownAppRole(r)}, nil
	case verbDelete:
		return nil, s.Access.DeleteAuthRole(ctx, p.mount, name)
	case verbWrite:
		f := p.fields.renamed()
		err := s.Access.ChangeAuthRole(ctx, p.mount, name, true, func(_ access.AuthMount, r *access.AuthRole) error { return f.approle(r) })
		return written(f.unrecognized(tokenNames, approleNames)), err
	}
	return nil, p.leaf()
}

// approle puts what a write says into a role.
func (f fields) approle(r *access.AuthRole) error {
	if err := f.tokens(r); err != nil {
		return err
	}
	if bind, err := f.boolean("bind_secret_id", true); err != nil || !bind {
		if err == nil {
			err = unheld("bind_secret_id", whyNoSecret)
		}
		return err
	}
	if err := f.refuse(whyLocal, "local_secret_ids"); err != nil {
		return err
	}
	if err := f.setTime("secret_id_ttl", &r.Settings.SecretTTL); err != nil {
		return err
	}
	if err := f.setCount("secret_id_num_uses", &r.Settings.SecretUses); err != nil {
		return err
	}
	if err := f.setList("secret_id_bound_cidrs", &r.Settings.SecretNetworks); err != nil {
		return err
	}
	if f.has("role_id") {
		id, err := f.required("role_id")
		r.RoleID = id
		return err
	}
	return nil
}

func shownAppRole(r access.AuthRole) map[string]any {
	out := shownTokens(r)
	out["bind_secret_id"], out["local_secret_ids"] = true, false
	out["secret_id_ttl"], out["secret_id_num_uses"] = seconds(r.Settings.SecretTTL), r.Settings.SecretUses
	out["secret_id_bound_cidrs"] = any(nil)
	if len(r.Settings.SecretNetworks) > 0 {
		out["secret_id_bound_cidrs"] = r.Settings.SecretNetworks
	}
	return out
}

// approleID shows or changes what a role logs in as.
func (s *Surface) approleID(ctx context.Context, p *place, name string) (*reply, error) {
	switch p.verb {
	case verbRead:
		r, err := s.Access.AuthRole(ctx, p.mount, name)
		if err != nil {
			return nil, err
		}
		return &reply{data: map[string]any{"role_id": r.RoleID}}, nil
	case verbWrite:
		id, err := p.fields.required("role_id")
		if err != nil {
			return nil, err
		}
		return nil, pathOfRole(s.Access.ChangeAuthRole(ctx, p.mount, name, false, func(_ access.AuthMount, r *access.AuthRole) error {
			r.RoleID = id
			return nil
		}))
	}
	return nil, p.leaf()
}

// missingRole says in the words of the original that there is no role.
func missingRole(name string, err error) error {
	if err != nil && fault.KindOf(err) == fault.NotFound {
		return &shaped{status: http.StatusNotFound, messages: []string{"role " + named(name) + " does not exist"}, cause: err}
	}
	return err
}

// pathOfRole says that a role which is not there has no paths.
func pathOfRole(err error) error {
	if err != nil && fault.KindOf(err) == fault.NotFound {
		return noPath()
	}
	return err
}

// approleField answers the calls on one field of a role.
func (s *Surface) approleField(ctx context.Context, p *place, name, field string) (*reply, error) {
	change := func(f fields, reset bool) error {
		err := s.Access.ChangeAuthRole(ctx, p.mount, name, false, func(_ access.AuthMount, r *access.AuthRole) error { return f.approle(r) })
		if reset && err != nil && fault.KindOf(err) == fault.NotFound {
			return nil // what is not there has no such field
		}
		return pathOfRole(err)
	}
	switch p.verb {
	case verbRead:
		r, err := s.Access.AuthRole(ctx, p.mount, name)
		if err != nil {
			return nil, err
		}
		shown := shownAppRole(r)[field]
		if field == "token_bound_cidrs" && len(r.Networks) == 0 {
			shown = nil
		}
		return &reply{data: map[string]any{field: shown}}, nil
	case verbWrite:
		f := p.fields.renamed()
		if !f.has(field) {
			return nil, bad("missing " + field)
		}
		return nil, change(fields{field: f[field]}, false)
	case verbDelete:
		back := fields{field: []byte("0")}
		switch field {
		case "token_policies", "token_bound_cidrs", "secret_id_bound_cidrs":
			back[field] = []byte("[]")
		case "bind_secret_id":
			back[field] = []byte("true")
		case "local_secret_ids":
			return nil, unsupported()
		}
		return nil, change(back, true)
	}
	return nil, p.leaf()
}
