package policy

import "github.com/keyturn/keyturn/internal/domain"

// BuiltIn gives the rules of a built-in role. They are rules like all others: nothing else in this package knows their names.
func BuiltIn(role domain.Role) ([]domain.Rule, bool) {
	allow := func(actions ...Action) []domain.Rule {
		r := domain.Rule{Effect: domain.Allow}
		for _, a := range actions {
			r.Actions = append(r.Actions, string(a))
		}
		return []domain.Rule{r}
	}
	switch role {
	case domain.Admin:
		return allow("*"), true
	case domain.Developer:
		return allow(SecretList, SecretRead, SecretWrite, SecretDelete, ChangeReview, ProjectRead, TokenCreate, TokenRevoke,
			TransitRead, TransitEncrypt, TransitDecrypt, TransitSign, TransitVerify, TransitHMAC), true
	case domain.Viewer:
		return allow(SecretList, ChangeReview, ProjectRead, TokenCreate, TokenRevoke, TransitRead), true
	case domain.None:
		return []domain.Rule{{Effect: domain.Deny, Actions: []string{"*"}}}, true
	}
	return nil, false
}

// RulesOf gives the rules of a role as the principal holds it, and the name that people know it by.
func RulesOf(p *domain.Principal, role domain.Role) (string, []domain.Rule) {
	if rules, ok := BuiltIn(role); ok {
		return string(role), rules
	}
	c := p.Roles[role]
	return string(c.Name), c.Rules
}
