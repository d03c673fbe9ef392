package access

import (
	"context"
	"reflect"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

// Reader names the custom role that sees values and changes nothing: what other products call a viewer. It is made when it is
// first given to somebody through a dialect, whose clients could not make it.
const Reader = "reader"

func readerRules() []domain.Rule {
	rule := domain.Rule{Effect: domain.Allow}
	for _, a := range []policy.Action{policy.SecretList, policy.SecretRead, policy.ProjectRead, policy.TokenCreate, policy.TokenRevoke} {
		rule.Actions = append(rule.Actions, string(a))
	}
	return []domain.Rule{rule}
}

// needReader makes the role where it is not there. One of that name that somebody else made is not taken for it.
func (s *Service) needReader(ctx context.Context, tx *store.Tx, org domain.OrgID) error {
	row, err := tx.RoleByName(ctx, org, Reader)
	switch {
	case err == nil && !reflect.DeepEqual(row.Rules, readerRules()):
		return fault.New(fault.Conflict, "the role %s of this organisation is another one than that which only reads", Reader).WithHint("rename it: keyturn role update %s --name NAME", Reader)
	case err == nil || fault.KindOf(err) != fault.NotFound:
		return err
	}
	row = store.Role{ID: domain.NewID[domain.RoleID](), Org: org, Name: Reader, Description: "sees values and changes nothing", Rules: readerRules(), CreatedAt: tx.Now()}
	return tx.PutRole(ctx, &row)
}
