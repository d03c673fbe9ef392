package login

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
)

const (
	// maxSubject is the length that OpenID Connect Core allows a subject, in bytes; SAML allows a persistent NameID the same.
	maxSubject = 256
	// maxGroups bounds the groups that are taken from one answer. Directories of large companies put some hundreds of people's
	// groups into tokens; whoever is in more is told so instead of losing some in silence.
	maxGroups = 1000
	// maxGroup bounds the name of a group, in bytes: distinguished names are long.
	maxGroup = 512
	// maxName cuts the display name, in characters.
	maxName = 100
)

// Person is what an identity provider proved about somebody.
type Person struct {
	// Subject names the person for good within the connection. It is compared byte by byte.
	Subject string
	// Email is an address that the provider vouches for, "" when there is none.
	Email domain.Email
	// Name is for display, "" when none was told.
	Name string
	// Groups are the names that the provider gives them, each once, sorted.
	Groups []string
	// MFA tells that the provider asked for more than one factor.
	MFA bool
}

// Refused makes the failure of an answer that broke a rule. why never holds what was sent.
func refused(why string) *fault.Error {
	return fault.New(fault.Unauthenticated, "the answer of the identity provider is refused: %s", why)
}

// refusedFor is refused with a cause that only the log shows.
func refusedFor(cause error, why string) *fault.Error {
	return fault.Wrap(fault.Unauthenticated, cause, "the answer of the identity provider is refused: %s", why)
}

// unreachable is the failure of a provider that does not answer. A failure of ours inside, such as an address that may not be
// called, is kept.
func unreachable(err error, what string) error {
	if f := fault.As(err); f.Kind != fault.Internal {
		return f
	}
	return fault.Wrap(fault.Unavailable, err, "%s cannot be reached or does not answer as it should", what).
		WithHint("try again; if it stays so, let an admin run: keyturn sso test NAME")
}

// person checks what every protocol gives.
func person(subject, email, name string, groups []string, mfa bool) (Person, error) {
	if subject == "" || len(subject) > maxSubject || !utf8.ValidString(subject) || strings.ContainsFunc(subject, unicode.IsControl) || strings.TrimSpace(subject) != subject {
		return Person{}, refused("it names nobody, or with an unfit subject")
	}
	p := Person{Subject: subject, MFA: mfa}
	if email != "" {
		address, err := domain.ParseEmail(email)
		if err != nil {
			return Person{}, refusedFor(err, "its e-mail address is not valid")
		}
		p.Email = address
	}
	p.Name = displayName(name)
	for _, g := range groups {
		if g == "" {
			continue
		}
		if len(g) > maxGroup || !utf8.ValidString(g) {
			return Person{}, refused("the name of a group is not valid")
		}
		p.Groups = append(p.Groups, g)
	}
	slices.Sort(p.Groups)
	p.Groups = slices.Compact(p.Groups)
	if len(p.Groups) > maxGroups {
		return Person{}, refused("it has more groups than are taken").WithHint("let the provider send only the groups that are assigned to this application")
	}
	return p, nil
}

// displayName gives a name that can be shown, or none: it decides nothing, so an odd one is no reason to refuse a login.
func displayName(name string) string {
	name = strings.Join(strings.FieldsFunc(name, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
	if r := []rune(name); len(r) > maxName {
		name = strings.TrimSpace(string(r[:maxName]))
	}
	if _, err := domain.ParseLabel(name); err != nil {
		return ""
	}
	return name
}
