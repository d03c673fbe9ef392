package access

import (
	"context"
	"github.com/keyturn/keyturn/internal/policy"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/store"
)

// What a link is good for, in [LinkInfo].
const (
	LinkInvite   = store.LinkInvite   // an account of one's own
	LinkPassword = store.LinkPassword // a new password
	LinkAddress  = store.LinkAddress  // another address
)

// What surfaces see of stored rows. They import this package and never the store.
type (
	// Token is what is known of a token.
	Token = store.Token
	// Identity is a machine.
	Identity = store.Identity
	// ClientSecret is what is known of a machine's secret.
	ClientSecret = store.ClientSecret
	// Method is a way for a machine to log in.
	Method = store.LoginMethod
	// User is a person.
	User = store.Person
	// InviteRow is a link that works once.
	InviteRow = store.Invite
	// Factor is a second factor of a person.
	Factor = store.SecondFactor
	// CustomRole is a role that the organisation made; one without an id is built in.
	CustomRole = store.Role
	// Group holds users, machines and other groups.
	Group = store.Group
	// Freeze says what is frozen, by whom and why.
	Freeze = store.Freeze
	// Because is one rule and what it says to a question.
	Because = policy.Because
	// Org is an organisation.
	Org = store.Org
	// Metadata is a fact that somebody keeps about a machine.
	Metadata = store.Metadata
	// GrantRow is a role that was given.
	GrantRow = store.Grant
)

// Caller gives who asks.
func Caller(ctx context.Context) *domain.Principal { return guard.CallerOf(ctx).Principal }
