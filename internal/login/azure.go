package login

import (
	"regexp"
	"slices"
	"strings"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/keyturn/keyturn/internal/fault"
)

// Azure is a method for tokens of managed identities, which Entra ID signs for one tenant.
//
// https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token,
// https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference
type Azure struct {
	Tenant   string   `json:"tenant"` // id, a UUID
	Audience []string `json:"audience"`
	// Objects are object ids ("oid") of identities that may log in.
	Objects []string `json:"objects,omitempty"`
	// Subscriptions, Groups and Resources bind the resource that the identity is of, as "xms_mirid" names it. Names are compared
	// without regard to case, as Azure does.
	Subscriptions []string `json:"subscriptions,omitempty"`
	Groups        []string `json:"resource_groups,omitempty"`
	Resources     []string `json:"resources,omitempty"` // names of virtual machines or user-assigned identities
	// Login is where Entra ID is; sovereign clouds, and tests, have another.
	Login       string   `json:"login,omitzero"`
	CA          string   `json:"ca,omitzero"`
	MaxLifetime Duration `json:"max_lifetime,omitzero"`
}

const azureLogin = "https://login.microsoftonline.com"

var tenantID = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

func (s *Azure) check() error {
	if s.Login == "" {
		s.Login = azureLogin
	}
	s.Tenant = strings.ToLower(s.Tenant)
	for _, list := range [][]string{s.Objects, s.Subscriptions, s.Groups, s.Resources} {
		if len(list) > maxPatterns || slices.Contains(list, "") {
			return fault.New(fault.Invalid, "the bound identities are not valid").WithField("/settings/objects", "want at most %d of each", maxPatterns)
		}
	}
	switch {
	case !tenantID.MatchString(s.Tenant):
		return fault.New(fault.Invalid, "an azure method needs the tenant").WithField("/settings/tenant", "want its id, a UUID")
	case len(s.Objects) == 0 && len(s.Subscriptions) == 0:
		return fault.New(fault.Invalid, "an azure method must say which identities may log in").WithHint("name object ids, or subscriptions, and better their resource groups").
			WithField("/settings/objects", "missing")
	}
	return s.published("").check()
}

func (s *Azure) published(issuer string) *PublishedJWT {
	if issuer == "" {
		issuer = "https://sts.windows.net/" + s.Tenant + "/"
	}
	return &PublishedJWT{URL: trimSlash(s.Login) + "/" + s.Tenant + "/discovery/v2.0/keys", CA: s.CA, Algorithms: []string{"RS256"},
		Rules: Rules{Issuer: issuer, Audience: s.Audience, MaxLifetime: s.MaxLifetime, Bound: Bound{"tid": {Pattern(s.Tenant)}}}}
}

func (s *Azure) needs() (least, most int) { return 0, 0 }

// Which of the two versions a token is of depends on the application that it is for, and each has an issuer of its own.
func (s *Azure) open(a Around) (Verifier, error) {
	var versions [2]*keyedJWT
	for i, issuer := range []string{"", trimSlash(s.Login) + "/" + s.Tenant + "/v2.0"} {
		p := s.published(issuer)
		if err := p.check(); err != nil {
			return nil, err
		}
		v, err := p.open(a)
		if err != nil {
			return nil, err
		}
		versions[i] = v.(*keyedJWT)
		versions[i].also = s.identity
	}
	return &azureToken{versions[0], versions[1], []jose.SignatureAlgorithm{jose.RS256}}, nil
}

func (s *Azure) identity(c claims, e *Evidence) error {
	oid, resource := strings.ToLower(c.text("oid")), c.text("xms_mirid")
	if len(s.Objects) > 0 && !containsFold(s.Objects, oid) {
		return rejected("the method does not allow this identity")
	}
	r := parseResource(resource)
	for _, rule := range []struct {
		allowed []string
		is      string
	}{{s.Subscriptions, r.subscription}, {s.Groups, r.group}, {s.Resources, r.name}} {
		if len(rule.allowed) > 0 && !containsFold(rule.allowed, rule.is) {
			return rejected("the method does not allow this resource")
		}
	}
	note(e.Attributes, "oid", oid)
	note(e.Attributes, "tid", s.Tenant)
	note(e.Attributes, "resource", resource)
	note(e.Attributes, "subscription", r.subscription)
	note(e.Attributes, "resource_group", r.group)
	return nil
}

func containsFold(list []string, s string) bool {
	return s != "" && slices.ContainsFunc(list, func(item string) bool { return strings.EqualFold(item, s) })
}

// resource is what an Azure resource id names.
type resource struct{ subscription, group, kind, name string }

// parseResource reads /subscriptions/S/resourcegroups/G/providers/NAMESPACE/TYPE/NAME; anything else names nothing.
func parseResource(id string) resource {
	p := strings.Split(id, "/")
	if len(p) != 9 || p[0] != "" || !strings.EqualFold(p[1], "subscriptions") || !strings.EqualFold(p[3], "resourcegroups") || !strings.EqualFold(p[5], "providers") {
		return resource{}
	}
	return resource{p[2], p[4], p[6] + "/" + p[7], p[8]}
}
