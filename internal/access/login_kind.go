package access

import (
	"context"
	"slices"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/login"
)

// LoginMachineBy checks the credential of a machine by those of its login methods that are of certain kinds, for clients that name
// a kind and no method. The first that takes it counts; of refusals the last is told. It is one try, however many methods there
// are. A malformed id is refused as an unknown one.
func (s *Service) LoginMachineBy(ctx context.Context, machine string, kinds []login.Kind, c login.Credential) (Session, error) {
	id, err := domain.ParseID[domain.IdentityID](machine)
	if err != nil {
		return Session{}, badLogin()
	}
	return s.login(ctx, string(id), func() (Proof, error) {
		all, err := s.db.LoginMethods(ctx, id)
		if err != nil {
			return Proof{}, err
		}
		last := error(badLogin())
		for _, m := range all {
			if !slices.Contains(kinds, login.Kind(m.Kind)) || m.Disabled {
				continue
			}
			proof, _, err := s.proveMethod(ctx, id, m.Name, c)
			if err == nil {
				return proof, nil
			}
			// A method that could not be asked must not hide behind the refusal of another: the client should try again.
			if last = err; fault.KindOf(err) != fault.Unauthenticated {
				return Proof{}, err
			}
		}
		return Proof{}, last
	})
}
