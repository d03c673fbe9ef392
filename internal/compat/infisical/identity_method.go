package infisical

import (
	"context"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/keyturn/keyturn/internal/access"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/login"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// attachment is one of the dialect's ways for a machine to log in, in terms of one of our methods. A machine has at most one of
// each, named as the dialect names it.
type attachment struct {
	name   string // "kubernetes-auth"
	answer string // the member of answers
	kind   login.Kind
	// read puts what the client says into our settings; what it does not say is as before. It may give a secret.
	read func(c *call, settings object) ([]sensitive.Value, error)
	// show puts our settings into the members that clients read.
	show func(settings, out object)
}

func attachments() []attachment {
	return []attachment{
		{"kubernetes-auth", "identityKubernetesAuth", login.KindKubernetes, readKubernetes, showKubernetes},
		{"oidc-auth", "identityOidcAuth", login.KindOIDC, readOIDC, showOIDC},
		{"jwt-auth", "identityJwtAuth", login.KindJWKS, readJWKS, showJWKS},
		{"aws-auth", "identityAwsAuth", login.KindAWS, readAWS, showAWS},
		{"gcp-auth", "identityGcpAuth", login.KindGCP, readGCP, showGCP},
		{"azure-auth", "identityAzureAuth", login.KindAzure, readAzure, showAzure},
	}
}

func (s *Surface) identityMethodRoutes() []route {
	var out []route
	for _, a := range attachments() {
		at := "/v1/auth/" + a.name + "/identities/{identity}"
		out = append(out, route{"POST " + at, withToken, s.attach(a)}, route{"GET " + at, withToken, s.showMethod(a)}, route{"PATCH " + at, withToken, s.changeMethod(a)},
			route{"DELETE " + at, withToken, s.detach(a)})
	}
	refused := notServed("machines do not log in in this way here")
	return append(out, route{"POST /v1/auth/ldap-auth/identities/{identity}", withToken, refused}, route{"POST /v1/auth/oci-auth/identities/{identity}", withToken, refused})
}

func (a attachment) of(m access.Method) (*answer, error) {
	settings := object{}
	if err := json.Unmarshal([]byte(m.Settings), &settings); err != nil {
		return nil, fault.Wrap(fault.Internal, err, "the settings of a login method are damaged")
	}
	out := limitsOf(object{"id": m.ID, "identityId": m.Identity, "createdAt": stamp(m.CreatedAt), "updatedAt": stamp(m.CreatedAt)}, methodLimits(m))
	a.show(settings, out)
	return with(object{a.answer: out}), nil
}

// method finds what a machine has of an attachment.
func (s *Surface) method(ctx context.Context, c *call, a attachment) (access.Method, error) {
	all, err := s.Access.Methods(ctx, c.http.PathValue("identity"))
	if err != nil {
		return access.Method{}, err
	}
	at := slices.IndexFunc(all, func(m access.Method) bool { return m.Kind == string(a.kind) && m.Name == a.name })
	if at < 0 {
		return access.Method{}, fault.New(fault.NotFound, "the machine has no %s", a.name)
	}
	return all[at], nil
}

// input reads a request into ours, on top of what was there.
func (a attachment) input(c *call, settings object, before access.Limits) (access.MethodInput, error) {
	limits, err := c.limits(before)
	if err != nil {
		return access.MethodInput{}, err
	}
	secrets, err := a.read(c, settings)
	if err != nil {
		return access.MethodInput{}, err
	}
	text, err := json.Marshal(settings, json.Deterministic(true))
	if err != nil {
		return access.MethodInput{}, fault.New(fault.Invalid, "the settings are not UTF-8")
	}
	return access.MethodInput{Name: a.name, Kind: string(a.kind), Settings: text, Secrets: secrets, Limits: limits}, nil
}

func (s *Surface) attach(a attachment) func(context.Context, *call) (*answer, error) {
	return func(ctx context.Context, c *call) (*answer, error) {
		in, err := a.input(c, object{}, freshLimits)
		if err != nil {
			return nil, err
		}
		m, err := s.Access.AddMethod(ctx, c.http.PathValue("identity"), in)
		if err != nil {
			return nil, err
		}
		return a.of(m)
	}
}

func (s *Surface) showMethod(a attachment) func(context.Context, *call) (*answer, error) {
	return func(ctx context.Context, c *call) (*answer, error) {
		m, err := s.method(ctx, c, a)
		if err != nil {
			return nil, err
		}
		return a.of(m)
	}
}

func (s *Surface) changeMethod(a attachment) func(context.Context, *call) (*answer, error) {
	return func(ctx context.Context, c *call) (*answer, error) {
		m, err := s.method(ctx, c, a)
		if err != nil {
			return nil, err
		}
		settings := object{}
		if err := json.Unmarshal([]byte(m.Settings), &settings); err != nil {
			return nil, fault.Wrap(fault.Internal, err, "the settings of a login method are damaged")
		}
		in, err := a.input(c, settings, methodLimits(m))
		if err == nil {
			m, err = s.Access.ChangeMethod(ctx, string(m.Identity), in)
		}
		if err != nil {
			return nil, err
		}
		return a.of(m)
	}
}

func (s *Surface) detach(a attachment) func(context.Context, *call) (*answer, error) {
	return func(ctx context.Context, c *call) (*answer, error) {
		m, err := s.method(ctx, c, a)
		if err == nil {
			err = s.Access.RemoveMethod(ctx, string(m.Identity), m.Name)
		}
		if err != nil {
			return nil, err
		}
		return a.of(m)
	}
}

// listed reads names that the dialect writes into one text, between commas.
func listed(text string) []string {
	var out []string
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}

// textInto puts a text of the request into the settings.
func (c *call) textInto(settings object, name, here string) error {
	text, err := c.optional(name)
	if err == nil && text != nil {
		if settings[here] = *text; *text == "" {
			delete(settings, here)
		}
	}
	return err
}

// listInto does so with names between commas.
func (c *call) listInto(settings object, name, here string) error {
	text, err := c.optional(name)
	if err == nil && text != nil {
		if all := listed(*text); len(all) > 0 {
			settings[here] = all
		} else {
			delete(settings, here)
		}
	}
	return err
}

// joined writes a list of the settings back.
func joined(v any) string {
	var out []string
	switch all := v.(type) {
	case []string:
		out = all
	case []any:
		for _, one := range all {
			if text, ok := one.(string); ok {
				out = append(out, text)
			}
		}
	}
	return strings.Join(out, ",")
}

// shown writes a text of the settings back, "" when it is not there.
func shown(v any) string {
	text, _ := v.(string)
	return text
}

// boundInto reads what claims must look like.
func (c *call) boundInto(settings object) error {
	bound, _ := settings["bound"].(object)
	if bound == nil {
		bound = object{}
	}
	if _, there := c.raw("boundClaims"); there {
		claims := map[string]string{}
		if err := c.into("boundClaims", &claims); err != nil {
			return err
		}
		subject := bound["sub"]
		bound = object{}
		if subject != nil {
			bound["sub"] = subject
		}
		for name, text := range claims {
			bound[name] = listed(text)
		}
	}
	if err := c.listInto(bound, "boundSubject", "sub"); err != nil {
		return err
	}
	settings["bound"] = bound
	return c.unheldMap("claimMetadataMapping")
}

// unheldMap refuses an object that says something; an empty one says nothing.
func (c *call) unheldMap(name string) error {
	all := map[string]any{}
	if err := c.into(name, &all); err != nil || len(all) == 0 {
		return err
	}
	return fault.New(fault.Unsupported, "what a login proves is kept under names of its own here").WithHint("leave %s out", name)
}

func showBound(settings, out object) {
	claims, subject := object{}, ""
	bound, _ := settings["bound"].(object)
	for name, patterns := range bound {
		if name == "sub" {
			subject = joined(patterns)
			continue
		}
		claims[name] = joined(patterns)
	}
	out["boundClaims"], out["boundSubject"], out["claimMetadataMapping"] = claims, subject, object{}
	out["boundIssuer"], out["boundAudiences"] = shown(settings["issuer"]), joined(settings["audience"])
}

// each runs steps until one fails.
func each(steps ...error) error {
	for _, err := range steps {
		if err != nil {
			return err
		}
	}
	return nil
}
