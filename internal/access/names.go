package access

import "github.com/keyturn/keyturn/internal/store"

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
	// Factor is a second factor of a person.
	Factor = store.SecondFactor
	// GrantRow is a role that was given.
	GrantRow = store.Grant
)
