package access

import (
	"errors"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/store"
)

// shownRevoked is the cause of a refusal: somebody shows a token that was revoked. He is told what everybody is told; the record
// says whose it was, since that is what a thief does who does not know yet.
type shownRevoked struct{ row store.Token }

// Error implements error.
func (*shownRevoked) Error() string { return "the token was revoked" }

func revoked(row store.Token) *fault.Error {
	u := unknown()
	return fault.Wrap(u.Kind, &shownRevoked{row}, "%s", u.Message).WithHint("%s", u.Hint)
}

// refusedToken is what the record of a refused token says of it.
func refusedToken(cause error) map[string]string {
	if r, ok := errors.AsType[*shownRevoked](cause); ok {
		return map[string]string{"token": "revoked", "token_id": string(r.row.ID), "name": r.row.Name, "principal": r.row.PrincipalID}
	}
	return map[string]string{"token": "refused"}
}
