package domain

import (
	"slices"
	"strings"

	"github.com/keyturn/keyturn/internal/fault"
)

// PrincipalKind says what acts.
type PrincipalKind string

// The kinds of principals.
const (
	User      PrincipalKind = "user"
	Identity  PrincipalKind = "identity"
	Group     PrincipalKind = "group"     // never acts; holds roles for its members
	System    PrincipalKind = "system"    // an engine of ours, with a narrow role of its own
	Directory PrincipalKind = "directory" // keeps people and groups by SCIM, and may do nothing else
	Anonymous PrincipalKind = "anonymous" // nobody yet: set-up and login
)

// Principal is who acts, with what he was given. It is made by the access service alone.
type Principal struct {
	Kind   PrincipalKind
	ID     string
	Name   string
	Org    OrgID
	Token  TokenID // the credential shown; "" for system
	Grants []Grant // its own and those of its groups
	Groups []GroupID
	Scopes []Scope // nil: the token narrows nothing
	// Policies are the only roles that count, and [DefaultPolicy]; nil: the token narrows nothing. Of other roles only the denies
	// are among Grants and Roles.
	Policies []Role
	// ExpiresAt is when the credential ends, unix milliseconds, zero for never.
	ExpiresAt int64
	// Method is how the login proved who it is; "" of what was not made by a login.
	Method string
	// AuthAt and MFAAt are when a credential, and a second factor, were last shown, unix milliseconds, zero for never.
	AuthAt, MFAAt int64
	// Attributes are what the login proved about the holder, such as the repository of a pipeline.
	Attributes map[string]string
	// Roles are the custom roles among the grants, by id. A grant of a role that is neither here nor built in gives nothing.
	Roles map[Role]CustomRole
	// Rights is what package policy made of all this, nil before. It belongs to this principal and not to a copy of it.
	Rights any
	// Idle is how long the credential may lie unused before it ends, milliseconds, zero for ever.
	Idle int64
	// Session is true when the credential is a person's own login, not a token that he or a machine was given.
	Session bool
	// Factor is true when the person has a second factor in force.
	Factor bool
	// EnrolBy is from when a person without a second factor may do nothing but enrol one, unix milliseconds, zero for never.
	EnrolBy int64
	// Fresh is how long after a proof a session may do dangerous things, milliseconds; zero for any time.
	Fresh int64
}

// Proven is when the holder of a session last showed what he must show for dangerous things: the second factor where he has
// one, else the first. Unix milliseconds, zero for never.
func (p *Principal) Proven() int64 {
	if p.Factor {
		return p.MFAAt
	}
	return max(p.AuthAt, p.MFAAt)
}

// BreakGlassMethod is the method of sessions of break-glass credentials. BreakGlassAttribute names the opening among their
// attributes.
const (
	BreakGlassMethod    = "break-glass"
	BreakGlassAttribute = "breakglass"
)

// Role names a bundle of permissions.
type Role string

// The built-in roles.
const (
	Admin     Role = "admin"
	Developer Role = "developer" // reads and writes values
	Viewer    Role = "viewer"    // sees names, never values
	None      Role = "none"      // sees nothing, wins over the others
)

// DefaultPolicy stands in a token's list of roles for what everybody may do with what is his own. It is no role.
const DefaultPolicy Role = "default"

// ParseRole knows the built-in roles.
func ParseRole(s string) (Role, error) {
	r := Role(s)
	if !slices.Contains([]Role{Admin, Developer, Viewer, None}, r) {
		return "", fault.New(fault.Invalid, "no such role: want admin, developer, viewer or none")
	}
	return r, nil
}

// IsBuiltIn tells whether the role is one of those that every organisation has.
func (r Role) IsBuiltIn() bool { return slices.Contains([]Role{Admin, Developer, Viewer, None}, r) }

// Grant is a role given somewhere: everywhere in the organisation, in a project, in one environment of it, or in some of
// the folders there.
type Grant struct {
	ID        string    `json:"id,omitzero"`
	Project   ProjectID `json:"project,omitzero"`
	Env       EnvID     `json:"env,omitzero"`
	Path      Pattern   `json:"path,omitzero"` // "" for every folder
	Role      Role      `json:"role"`
	ExpiresAt int64     `json:"expires_at,omitzero"` // unix milliseconds, zero for never
	Via       GroupID   `json:"via,omitzero"`        // the group that has it, "" for one's own
}

// Verb is one of the four things a token scope can allow on secrets.
type Verb string

// The verbs of a scope.
const (
	VerbRead   Verb = "read"   // values
	VerbList   Verb = "list"   // names
	VerbWrite  Verb = "write"  // new values, folders
	VerbDelete Verb = "delete" // and restore
)

// Scope is the most that a token may do: verbs in the folders of one environment.
type Scope struct {
	Project ProjectID `json:"project"`
	Env     EnvID     `json:"env,omitzero"` // "" for every environment of the project
	Path    Pattern   `json:"path"`
	Verbs   []Verb    `json:"verbs"`
}

// ScopeText is a scope as people write it, before environment names are looked up: ENV:PATH:VERB[,VERB...], '*' for any.
type ScopeText struct {
	Env   string // slug, or "*"
	Path  Pattern
	Verbs []Verb
}

// maxScopes bounds the scopes of one token.
const maxScopes = 64

// ParseScopes reads "prod:/backend:read,list;dev:/:*".
func ParseScopes(s string) ([]ScopeText, error) {
	var out []ScopeText
	for item := range strings.SplitSeq(s, ";") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		parts := strings.Split(item, ":")
		if len(parts) != 3 {
			return nil, fault.New(fault.Invalid, "not a scope: want ENV:PATH:ACTIONS, for example prod:/backend:read,list")
		}
		st := ScopeText{Env: parts[0]}
		if st.Env != "*" {
			if _, err := ParseSlug(st.Env); err != nil {
				return nil, fault.New(fault.Invalid, "scope: environment: %v", err)
			}
		}
		var err error
		if st.Path, err = ParsePattern(parts[1]); err != nil {
			return nil, err
		}
		for verb := range strings.SplitSeq(parts[2], ",") {
			switch v := Verb(strings.TrimSpace(verb)); v {
			case VerbRead, VerbList, VerbWrite, VerbDelete:
				st.Verbs = append(st.Verbs, v)
			case "*":
				st.Verbs = append(st.Verbs, VerbRead, VerbList, VerbWrite, VerbDelete)
			default:
				return nil, fault.New(fault.Invalid, "scope: no such action: want read, list, write, delete or *")
			}
		}
		slices.Sort(st.Verbs)
		st.Verbs = slices.Compact(st.Verbs)
		out = append(out, st)
	}
	if len(out) == 0 || len(out) > maxScopes {
		return nil, fault.New(fault.Invalid, "want 1 to %d scopes, for example prod:/backend:read", maxScopes)
	}
	return out, nil
}
