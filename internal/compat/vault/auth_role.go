package vault

import (
	"context"
	"maps"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/keyturn/keyturn/internal/access"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// methodKind is a type of place whose roles are login methods of machines.
type methodKind struct {
	config []kept // fields of the place
	secret string // name of the field of the place that is a secret; "" for none
	role   []kept // fields of a role beside those of its tokens
	// refusedConfig and refusedRole say why fields cannot be kept, by name.
	refusedConfig, refusedRole map[string]string
	// checkConfig and checkRole refuse in the words of the original what it refuses too.
	checkConfig, checkRole func(f fields) error
	// method gives the login method of a role.
	method func(config, role fields) (kind string, settings any, err error)
}

// refuseAll refuses the fields of a table that are there with a value.
func (f fields) refuseAll(why map[string]string) error {
	for name, reason := range why {
		if err := f.refuse(reason, name); err != nil {
			return err
		}
	}
	return nil
}

// again derives the login method of a role.
func (k methodKind) again(m access.AuthMount, r *access.AuthRole) error {
	kind, settings, err := k.method(of(m.Settings.Fields), of(r.Settings.Fields))
	if err != nil {
		return err
	}
	raw, err := json.Marshal(settings, json.Deterministic(true))
	r.Method = &access.AuthMethod{Kind: kind, Settings: raw, Secret: k.secret != ""}
	return err
}

// configure answers the calls on the configuration of a place. It is replaced as a whole; a secret that is not given stays.
func (s *Surface) configure(ctx context.Context, p *place, k methodKind) (*reply, error) {
	switch p.verb {
	case verbRead:
		m, err := s.Access.AuthMount(ctx, p.mount.Path)
		if err != nil {
			return nil, err
		}
		if len(m.Settings.Fields) == 0 {
			return nil, nothing(p.call)
		}
		out := shownKept(k.config, m.Settings.Fields, map[string]any{})
		if k.secret != "" {
			out[k.secret+"_set"] = m.Secret
		}
		return &reply{data: out}, nil
	case verbWrite:
		if err := p.fields.refuseAll(k.refusedConfig); err != nil {
			return nil, err
		}
		if err := k.checkConfig(p.fields); err != nil {
			return nil, err
		}
		kept := map[string]string{}
		if err := store(k.config, p.fields, &kept); err != nil {
			return nil, err
		}
		secret := ""
		if k.secret != "" {
			var err error
			if secret, err = p.fields.text(k.secret); err != nil {
				return nil, err
			}
		}
		err := s.Access.ChangeAuth(ctx, p.mount.Path, func(m *access.AuthMount) (access.AuthSecret, error) {
			m.Settings.Fields = kept
			if secret == "" {
				return access.AuthSecret{Forget: k.secret != "" && p.fields.has(k.secret)}, nil
			}
			return access.AuthSecret{Value: sensitive.FromString(secret)}, nil
		}, k.again)
		return written(p.fields.unrecognized(namesOf(k.config), []string{k.secret})), err
	}
	return nil, p.leaf()
}

// methodRoles answers the list of the roles of a place.
func (s *Surface) methodRoles(ctx context.Context, p *place) (*reply, error) {
	if err := p.only(verbList); err != nil {
		return nil, err
	}
	names, err := s.Access.AuthRoles(ctx, p.mount)
	if err != nil {
		return nil, err
	}
	return listing(sorted(names), p.call)
}

// methodRole answers the calls on one role.
func (s *Surface) methodRole(ctx context.Context, p *place, name string, k methodKind) (*reply, error) {
	switch p.verb {
	case verbRead:
		r, err := s.Access.AuthRole(ctx, p.mount, name)
		if err != nil {
			return nil, err
		}
		return &reply{data: shownKept(k.role, r.Settings.Fields, shownTokens(r))}, nil
	case verbDelete:
		return nil, s.Access.DeleteAuthRole(ctx, p.mount, name)
	case verbWrite:
		f := p.fields.renamed()
		if err := f.refuseAll(k.refusedRole); err != nil {
			return nil, err
		}
		err := s.Access.ChangeAuthRole(ctx, p.mount, name, true, func(m access.AuthMount, r *access.AuthRole) error {
			if err := f.tokens(r); err != nil {
				return err
			}
			r.Settings.Fields = maps.Clone(r.Settings.Fields)
			if err := store(k.role, f, &r.Settings.Fields); err != nil {
				return err
			}
			if err := k.checkRole(of(r.Settings.Fields)); err != nil {
				return err
			}
			return k.again(m, r)
		})
		return written(f.unrecognized(tokenNames, namesOf(k.role), []string{"name", "role"})), err
	}
	return nil, p.leaf()
}

// roleOf gives the role that a login names, or the one that the place has for those that name none.
func (p *place) role() (string, error) {
	name, err := p.fields.text("role")
	if name == "" && err == nil {
		name, err = of(p.mount.Settings.Fields).text("default_role")
	}
	if err == nil && name == "" {
		err = bad("missing role")
	}
	return name, err
}

// glob turns a pattern of the originals, in which '*' is any text, into one of ours.
func glob(name, text string) (string, error) {
	for strings.Contains(text, "**") {
		text = strings.ReplaceAll(text, "**", "*")
	}
	if text == "" {
		return "", wrong(name, "no empty text")
	}
	return strings.ReplaceAll(text, "*", "**"), nil
}

// globs does so for a list.
func globs(f fields, name string) ([]string, error) {
	all, err := f.list(name)
	if err != nil {
		return nil, err
	}
	out := make([]string, 0, len(all))
	for _, text := range all {
		p, err := glob(name, text)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// literal gives a text as a pattern that fits nothing else.
func literal(name, text string) (string, error) {
	if text == "" || strings.Contains(text, "*") {
		return "", unheld(name, "an asterisk stands for any text here")
	}
	return text, nil
}

// authFault gives the words of a failed login by a machine's credential.
func authFault(err error, role, missing, prefix string) error {
	switch {
	case err == nil:
		return nil
	case noSuchRole(err):
		return &shaped{status: 400, messages: []string{strings.ReplaceAll(missing, "ROLE", named(role))}, cause: err}
	case fault.KindOf(err) == fault.Unauthenticated:
		return &shaped{status: 400, messages: []string{prefix + reason(err)}, cause: err}
	}
	return err
}
