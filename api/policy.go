package api

import "time"

// RoleRequest makes or changes a custom role.
type RoleRequest struct {
	Name        string  `json:"name,omitzero"`        // a-z, 0-9 and '-'; only when it is made
	Description *string `json:"description,omitzero"` // absent: as the rules' text says, or as it was
	Rules       string  `json:"rules,omitzero"`       // YAML or JSON text: a list of rules, or a mapping with rules and description
}

// CustomRole is a role with its rules.
type CustomRole struct {
	ID          string     `json:"id,omitzero"` // absent: built in
	Name        string     `json:"name"`
	Description string     `json:"description"`
	Rules       []Rule     `json:"rules"`
	CreatedAt   *time.Time `json:"created_at,omitzero"`
}

// CustomRoles is a list of roles, the built-in ones first.
type CustomRoles struct {
	Roles []CustomRole `json:"roles"`
}

// Rule is one line of a role. Lists that are absent narrow nothing.
type Rule struct {
	Effect       string   `json:"effect"` // allow, deny
	Actions      []string `json:"actions"`
	Projects     []string `json:"projects,omitzero"` // ids; in the text of a role slugs will do
	Environments []string `json:"environments,omitzero"`
	Paths        []string `json:"paths,omitzero"`
	Names        []string `json:"names,omitzero"`
	Tags         []string `json:"tags,omitzero"`
	When         *When    `json:"when,omitzero"`
	Unless       *When    `json:"unless,omitzero"`
}

// When is a condition of a rule.
type When struct {
	Networks   []string          `json:"networks,omitzero"` // CIDR
	Times      []Window          `json:"times,omitzero"`    // UTC
	MFAWithin  string            `json:"mfa_within,omitzero"`
	Attributes map[string]string `json:"attributes,omitzero"`
}

// Window is a time of the week.
type Window struct {
	Days []string `json:"days,omitzero"`
	From string   `json:"from,omitzero"`
	To   string   `json:"to,omitzero"`
}

// GroupRequest makes a group.
type GroupRequest struct {
	Name string `json:"name"`
}

// Group holds users, machines and other groups.
type Group struct {
	ID         string    `json:"id"`
	Name       string    `json:"name"`
	ExternalID string    `json:"external_id,omitzero"` // of a directory that manages it
	CreatedAt  time.Time `json:"created_at"`
}

// Groups is a list of groups.
type Groups struct {
	Groups []Group `json:"groups"`
}

// MemberRequest puts somebody into a group.
type MemberRequest struct {
	Kind   string `json:"kind"`   // user, identity or group
	Member string `json:"member"` // id, address of a user, name of an identity or group
}

// Member is one direct member of a group.
type Member struct {
	Kind  string `json:"kind"`
	ID    string `json:"id"`
	Name  string `json:"name"`
	Cause string `json:"cause"` // hand, or the connection that put it there
}

// Members is a list of members.
type Members struct {
	Members []Member `json:"members"`
}

// Circumstances are what a decision may depend on beside who asks for what.
type Circumstances struct {
	Address    string            `json:"address,omitzero"`    // of the client
	At         *time.Time        `json:"at,omitzero"`         // absent: now
	MFA        string            `json:"mfa,omitzero"`        // how long ago a second factor was shown; absent: never
	Attributes map[string]string `json:"attributes,omitzero"` // what the login proved
}

// ExplainRequest asks what the policy says to somebody.
type ExplainRequest struct {
	Principal string `json:"principal"` // user:ADDRESS, identity:NAME or group:NAME
	Action    string `json:"action"`
	Resource  string `json:"resource"` // PROJECT/ENV:/path/NAME or a part of it; * for the organisation
	Circumstances
}

// Explanation is what the policy says and why.
type Explanation struct {
	Kind    string     `json:"kind"`
	ID      string     `json:"id"`
	Name    string     `json:"name"`
	Allowed bool       `json:"allowed"`
	Reason  string     `json:"reason"`
	Halted  string     `json:"halted,omitzero"` // what a freeze stops although the roles allow it
	Rules   []RuleSaid `json:"rules"`           // about the action, those that decided first
}

// RuleSaid is one rule of one grant and what it says.
type RuleSaid struct {
	GrantID   string     `json:"grant_id"`
	GroupID   string     `json:"group_id,omitzero"` // through which it is held
	ProjectID string     `json:"project_id,omitzero"`
	EnvID     string     `json:"env_id,omitzero"`
	Path      string     `json:"path,omitzero"`
	ExpiresAt *time.Time `json:"expires_at,omitzero"`
	Role      string     `json:"role"`
	Rule      int        `json:"rule"` // its number in the role, from 1
	Effect    string     `json:"effect"`
	Holds     bool       `json:"holds"`
	Why       string     `json:"why,omitzero"` // what keeps it from holding: place, secret, condition, ended
}

// WhoCanRequest asks who may do something somewhere.
type WhoCanRequest struct {
	Action   string `json:"action"`
	Resource string `json:"resource"`
	Circumstances
}

// Holder is somebody who may.
type Holder struct {
	Kind        string `json:"kind"`
	ID          string `json:"id"`
	Name        string `json:"name"`
	Reason      string `json:"reason"`
	Conditional bool   `json:"conditional"` // only if conditions turn out in his favour
}

// Holders is a list of them.
type Holders struct {
	Holders []Holder `json:"holders"`
}

// PolicyDiffRequest asks who would gain and lose what by a change: other rules of a role, one more grant, or one less.
type PolicyDiffRequest struct {
	Role   string        `json:"role,omitzero"`
	Rules  string        `json:"rules,omitzero"` // YAML or JSON text
	Grant  *GrantRequest `json:"grant,omitzero"`
	Remove string        `json:"remove,omitzero"` // id of a grant
}

// PolicyDifference is what one principal gains or loses in one place.
type PolicyDifference struct {
	Kind        string   `json:"kind"`
	ID          string   `json:"id"`
	Name        string   `json:"name"`
	Place       string   `json:"place"`
	Actions     []string `json:"actions"`
	Gains       bool     `json:"gains"` // false: loses
	Conditional bool     `json:"conditional"`
}

// PolicyDifferences is a list of them.
type PolicyDifferences struct {
	Differences []PolicyDifference `json:"differences"`
}

// PolicyTestRequest compares expectations with the policy.
type PolicyTestRequest struct {
	Tests string `json:"tests"` // YAML or JSON text: a list of tests, or a mapping with tests
}

// PolicyTested is one expectation and what came of it.
type PolicyTested struct {
	Line      int    `json:"line"`
	Principal string `json:"principal"`
	Action    string `json:"action"`
	Resource  string `json:"resource"`
	Expect    string `json:"expect"` // allow, deny
	Got       string `json:"got"`    // allow, deny; absent with a problem
	Reason    string `json:"reason,omitzero"`
	Problem   string `json:"problem,omitzero"` // why it could not be asked
	Passed    bool   `json:"passed"`
}

// PolicyTests is what came of all.
type PolicyTests struct {
	Tests  []PolicyTested `json:"tests"`
	Failed int            `json:"failed"`
}

// FreezeRequest freezes a project or everything.
type FreezeRequest struct {
	Kill   bool   `json:"kill,omitzero"` // reads of secrets are refused too
	Reason string `json:"reason"`
}

// Freeze is what is frozen, by whom and why.
type Freeze struct {
	ProjectID string    `json:"project_id,omitzero"` // absent: everything
	Kill      bool      `json:"kill"`
	By        string    `json:"by"`
	Reason    string    `json:"reason"`
	At        time.Time `json:"at"`
}

// Freezes is a list of them.
type Freezes struct {
	Freezes []Freeze `json:"freezes"`
}
