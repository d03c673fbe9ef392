package vault

import (
	"context"
	"net/http"

	"github.com/keyturn/keyturn/internal/access"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/login"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// kubernetesKind is how service accounts of a cluster are taken: their tokens are shown to its API server.
var kubernetesKind = methodKind{
	config: []kept{{"kubernetes_host", ""}, {"kubernetes_ca_cert", ""}, {"disable_local_ca_jwt", false}, {"disable_iss_validation", true}, {"issuer", ""},
		{"pem_keys", []string{}}, {"use_annotations_as_alias_metadata", false}},
	secret: "token_reviewer_jwt",
	role: []kept{{"bound_service_account_names", []string{}}, {"bound_service_account_namespaces", []string{}}, {"bound_service_account_namespace_selector", ""},
		{"audience", ""}, {"alias_name_source", "serviceaccount_uid"}},
	refusedConfig: map[string]string{"pem_keys": "tokens are shown to the API server, which knows its keys", "use_annotations_as_alias_metadata": "there are no aliases"},
	refusedRole:   map[string]string{"bound_service_account_namespace_selector": "name the namespaces in bound_service_account_namespaces"},
	checkConfig: func(f fields) error {
		if blank(f["kubernetes_host"]) {
			return bad("no host provided")
		}
		if on, err := f.boolean("disable_iss_validation", true); err != nil || !on {
			return unheld("disable_iss_validation", "the API server checks the issuer")
		}
		return nil
	},
	checkRole: func(f fields) error {
		for _, name := range []string{"bound_service_account_names", "bound_service_account_namespaces"} {
			if all, err := f.list(name); err != nil || len(all) == 0 {
				return bad(`"` + name + `" can not be empty`)
			}
		}
		switch source, err := f.text("alias_name_source"); {
		case err != nil:
			return err
		case source != "" && source != "serviceaccount_uid" && source != "serviceaccount_name":
			return bad("invalid alias_name_source " + named(source))
		}
		return nil
	},
	method: func(config, role fields) (string, any, error) {
		set := map[string]any{}
		for from, to := range map[string]string{"kubernetes_host": "server", "kubernetes_ca_cert": "ca"} {
			text, err := config.text(from)
			if err != nil {
				return "", nil, err
			}
			set[to] = text
		}
		if set["server"] == "" {
			return "", nil, bad("could not load backend configuration")
		}
		audience, err := role.text("audience")
		if err != nil {
			return "", nil, err
		}
		if audience == "" {
			return "", nil, fault.New(fault.Invalid, "audience must be set: a token that a pod shows to another service must not open this one").
				WithHint("the tokens that every pod has are made for the API server, mostly https://kubernetes.default.svc.cluster.local")
		}
		set["audience"] = []string{audience}
		for from, to := range map[string]string{"bound_service_account_names": "service_accounts", "bound_service_account_namespaces": "namespaces"} {
			if set[to], err = globs(role, from); err != nil {
				return "", nil, err
			}
		}
		return string(login.KindKubernetes), set, nil
	},
}

// kubernetes answers the calls at a place of service accounts.
func (s *Surface) kubernetes(ctx context.Context, p *place) (*reply, error) {
	parts := p.parts()
	switch {
	case p.below == "login":
		return s.kubernetesLogin(ctx, p)
	case p.below == "config":
		return s.configure(ctx, p, kubernetesKind)
	case p.below == "role":
		return s.methodRoles(ctx, p)
	case parts[0] == "role" && len(parts) == 2:
		return s.methodRole(ctx, p, parts[1], kubernetesKind)
	}
	return nil, noPath()
}

func (s *Surface) kubernetesLogin(ctx context.Context, p *place) (*reply, error) {
	if err := p.only(verbWrite); err != nil {
		return nil, err
	}
	role, err := p.fields.required("role")
	if err != nil {
		return nil, err
	}
	token, err := p.fields.required("jwt")
	if err != nil {
		return nil, err
	}
	out, err := s.Access.LoginRole(ctx, access.RoleLogin{Mount: p.mount, Role: role, Kinds: []string{string(login.KindKubernetes)}, Credential: login.Credential{Token: sensitive.FromString(token)},
		Meta: func(role string, _ access.RoleSettings, e login.Evidence) map[string]string {
			return map[string]string{"role": role, "service_account_name": e.Attributes["service_account"], "service_account_namespace": e.Attributes["namespace"],
				"service_account_secret_name": "", "service_account_uid": e.Attributes["uid"]}
		}})
	switch {
	case err == nil:
		return s.session(ctx, out)
	case noSuchRole(err):
		return nil, &shaped{status: http.StatusBadRequest, messages: []string{"invalid role name " + named(role)}, cause: err}
	case fault.KindOf(err) == fault.Unauthenticated:
		return nil, &shaped{status: http.StatusForbidden, messages: []string{denied}, cause: err}
	}
	return nil, err
}
