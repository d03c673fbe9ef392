package vault

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/keyturn/keyturn/internal/access"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/httpkit"
)

// place is a call at one place to log in: below is what follows the path of the place.
type place struct {
	*call
	mount access.AuthMount
	below string
}

// parts splits what follows the path of the place.
func (p *place) parts() []string { return strings.Split(p.below, "/") }

// login answers the calls at places to log in, other than those on tokens: the logins themselves, which anybody may try, and what
// administers them, which goes through the door of the services.
func (s *Surface) login(ctx context.Context, c *call) (*reply, error) {
	rest, _ := c.below("auth/")
	mount, below, err := s.Access.AuthRoute(ctx, c.namespace, rest)
	if err != nil {
		switch {
		case fault.KindOf(err) != fault.NotFound:
			return nil, err
		case isOpen(c):
			return nil, &shaped{status: http.StatusForbidden, messages: []string{denied}, cause: err}
		}
		return nil, noRoute(c)
	}
	p := &place{c, mount, below}
	switch mount.Type {
	case access.AuthAppRole:
		return s.approle(ctx, p)
	case access.AuthUserpass:
		return s.userpass(ctx, p)
	case access.AuthLDAP:
		return s.ldap(ctx, p)
	case access.AuthJWT, access.AuthOIDC:
		return s.jwt(ctx, p)
	case access.AuthKubernetes:
		return s.kubernetes(ctx, p)
	case access.AuthCert:
		return s.cert(ctx, p)
	}
	return nil, noRoute(c)
}

// loggedIn answers a login, or says in the words of the original that it failed. Which part was wrong is not said.
func (s *Surface) loggedIn(ctx context.Context, in access.Session, err error, words string) (*reply, error) {
	if err != nil {
		f := fault.As(err)
		switch {
		case f.Reason == fault.ReasonSecondFactor:
			return nil, &shaped{status: http.StatusBadRequest, messages: []string{f.Message + " (field passcode)"}, cause: err}
		case f.Kind == fault.Unauthenticated:
			return nil, &shaped{status: http.StatusBadRequest, messages: []string{words}, cause: err}
		}
		return nil, err
	}
	return s.session(ctx, in)
}

// reason repeats what a service said of a credential.
func reason(err error) string { return httpkit.Sentence(fault.As(err)) }

// named gives a name of the request as a message may repeat it, which the originals do.
func named(name string) string {
	if _, err := domain.ParseLabel(name); err != nil || domain.RecordedLabel(name) != name {
		name = "..."
	}
	return `"` + name + `"`
}

// noPath is what a place says of a path that it does not have.
func noPath() error {
	return &shaped{status: http.StatusNotFound, messages: []string{"1 error occurred:\n\t* unsupported path\n\n"}}
}

// leaf refuses verbs that the path of one thing does not have: there is nothing to list below it.
func (c *call) leaf() error {
	if c.verb == verbList {
		return noPath()
	}
	return unsupported()
}

// noSuchRole tells whether a login named a role that is not there.
func noSuchRole(err error) bool { return errors.Is(err, access.ErrNoAuthRole) }

// only refuses verbs that a path does not have.
func (c *call) only(verbs ...verb) error {
	for _, v := range verbs {
		if c.verb == v {
			return nil
		}
	}
	return unsupported()
}

// required gives a text that must be there.
func (f fields) required(name string) (string, error) {
	s, err := f.text(name)
	if err == nil && s == "" {
		err = bad("missing " + name)
	}
	return s, err
}

// listing answers a list, or that there is nothing.
func listing(names []string, c *call) (*reply, error) {
	if len(names) == 0 {
		return nil, nothing(c)
	}
	return &reply{data: map[string]any{"keys": names}}, nil
}
