package domain

// RoleID names a custom role. A grant holds it in place of a built-in role's name, so that a name which is used again after
// a role was deleted brings nothing back.
type RoleID string

// Effect says what a rule does with the actions that it is about.
type Effect string

// The effects. Deny wins over every allow, in whatever role it stands.
const (
	Allow Effect = "allow"
	Deny  Effect = "deny"
)

// Rule is one line of a role. Each part that is absent narrows nothing; all that are there must hold. A rule that is narrowed
// to projects, environments, folders, names or tags says nothing about what lies above them, but that an allow lets its holder see the
// project and the environment which hold its place.
type Rule struct {
	Effect       Effect      `json:"effect"`
	Actions      []string    `json:"actions"`                // such as "secret.read"; '*' stands for any characters
	Projects     []ProjectID `json:"projects,omitempty"`     // the rule says nothing outside of them
	Environments []string    `json:"environments,omitempty"` // slugs; '*' for any characters, '?' for one
	Paths        []Pattern   `json:"paths,omitempty"`        // folders
	Names        []string    `json:"names,omitempty"`        // of secrets; '*' for any characters, '?' for one; case matters
	Tags         []string    `json:"tags,omitempty"`         // one tag of the secret must fit one of these
	When         *When       `json:"when,omitempty"`         // the rule holds only when all of this does
	Unless       *When       `json:"unless,omitempty"`       // the rule does not hold when all of this does
}

// When is a condition on the moment and the caller. Parts that are absent ask nothing.
type When struct {
	Networks  []string          `json:"networks,omitempty"`   // the client's address is in one of these, CIDR
	Times     []Window          `json:"times,omitempty"`      // it is one of these times, UTC
	MFAWithin string            `json:"mfa_within,omitempty"` // a second factor was shown no longer ago, as a Go duration
	Attribute map[string]string `json:"attributes,omitempty"` // what the login proved; '*' for any characters, '?' for one
}

// Window is a time of the week in UTC. One that ends before it begins runs over midnight and belongs to the day on which it
// began.
type Window struct {
	Days []string `json:"days,omitempty"` // mon, tue, wed, thu, fri, sat, sun; absent for every day
	From string   `json:"from,omitempty"` // "08:00", absent for midnight
	To   string   `json:"to,omitempty"`   // "18:00", not in it any more; absent for midnight
}

// CustomRole is a bundle of rules with the name that people gave it.
type CustomRole struct {
	Name  Slug
	Rules []Rule
}

// Placed is a project with its live environments by slug.
type Placed struct {
	ID   ProjectID
	Slug Slug
	Envs map[Slug]EnvID
}
