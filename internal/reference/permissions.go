package reference

import (
	"strings"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/httpapi"
	"github.com/keyturn/keyturn/internal/policy"
)

// The place that the page asks about. Any ids will do: the policy only compares them.
const (
	someOrg     domain.OrgID     = "organisation"
	someProject domain.ProjectID = "project"
	someEnv     domain.EnvID     = "environment"
)

// holder is one column: somebody with what he was given.
type holder struct {
	name string
	who  domain.Principal
}

func with(name string, g domain.Grant) holder {
	return holder{name, domain.Principal{Kind: domain.User, ID: "somebody", Org: someOrg, Grants: []domain.Grant{g}}}
}

func holders() []holder {
	return []holder{
		with("admin", domain.Grant{Role: domain.Admin}),
		with("admin of a project", domain.Grant{Project: someProject, Role: domain.Admin}),
		with("developer", domain.Grant{Project: someProject, Role: domain.Developer}),
		with("viewer", domain.Grant{Project: someProject, Role: domain.Viewer}),
		{"no role", domain.Principal{Kind: domain.User, ID: "somebody", Org: someOrg}},
		{"no token", domain.Principal{Kind: domain.Anonymous}},
	}
}

// places lists where an action can be asked for, from the narrowest place up. What belongs to no project is asked of the
// organisation alone, as the services ask it.
func places(a policy.Action) []policy.Resource {
	org := policy.Resource{Org: someOrg}
	project := policy.Resource{Org: someOrg, Project: someProject}
	switch noun, _, _ := strings.Cut(string(a), "."); {
	case noun == "secret":
		return []policy.Resource{{Org: someOrg, Project: someProject, Env: someEnv, Path: domain.Root}}
	case noun == "project" && a != policy.ProjectCreate, a == policy.TokenCreate:
		return []policy.Resource{project}
	case a == policy.AccessManage:
		return []policy.Resource{project, org}
	}
	return []policy.Resource{org}
}

func writePermissions(p *page) error {
	p.line("Every call asks for one action in one place. The rules decide from the roles that somebody was given and from the scopes of the")
	p.line("token that was shown; what no rule allows is refused, and both outcomes are entries in the audit log. Without the right to see")
	p.line("something, a refusal looks like \"not found\".")
	p.heading(2, "Roles")
	p.line("A role is given everywhere, in a project, or in one environment of it: `keyturn user grant`, `keyturn identity grant`. Roles add up,")
	p.line("and `none` takes all others away where it holds. The columns for developer and viewer are those of a role in a project.\n")
	heads := []string{"action", "what it allows"}
	for _, h := range holders() {
		heads = append(heads, h.name)
	}
	var rows [][]string
	for _, a := range policy.Actions {
		row := []string{code(string(a.Action)), a.Means}
		for _, h := range holders() {
			row = append(row, allowed(&h.who, a.Action))
		}
		rows = append(rows, row)
	}
	p.table(heads, rows)
	p.line("A role in one environment allows there what its column allows in a project as far as secrets go, and lets its holder see the project.")
	p.line("Nobody gives a role that he does not have himself, and a token with scopes gives none.")
	p.heading(2, "Scopes of tokens")
	p.line("`keyturn token create --scope ENV:PATH:ACTIONS[;...]` makes a token that may do what its maker may, and no more than the scopes say.")
	p.line("`*` stands for every environment, every action, or one folder of a path; `**` for any number of folders. A path covers what lies below it; with `/.` at its end it is that folder alone.\n")
	rows = nil
	for _, v := range []domain.Verb{domain.VerbList, domain.VerbRead, domain.VerbWrite, domain.VerbDelete} {
		rows = append(rows, []string{code(string(v)), strings.Join(scoped(v), ", ")})
	}
	p.table([]string{"action in a scope", "allows"}, rows)
	p.heading(2, "Routes by action")
	rows = nil
	for _, a := range policy.Actions {
		var routes []string
		for _, r := range httpapi.Routes() {
			if r.Action == string(a.Action) {
				routes = append(routes, "["+r.OperationID()+"](api.md#"+strings.ToLower(r.OperationID())+")")
			}
		}
		rows = append(rows, []string{code(string(a.Action)), strings.Join(routes, ", ")})
	}
	p.table([]string{"action", "routes"}, rows)
	p.line("A commit asks for `secret.write`, and for `secret.delete` where it deletes or restores; a list with values, and whatever a reference or an")
	p.line("import points to, asks for `secret.read`. Routes that answer about many places ask again for each row and leave out what may not be seen.")
	return nil
}

func allowed(who *domain.Principal, a policy.Action) string {
	all := places(a)
	for i, r := range all {
		if who.Kind == domain.Anonymous {
			r = policy.Resource{}
		}
		if policy.Decide(who, a, r).Allowed {
			if len(all) > 1 && i == 0 && !policy.Decide(who, a, all[len(all)-1]).Allowed {
				return "in the project"
			}
			return "yes"
		}
	}
	return ""
}

// scoped lists what a token whose scope holds one verb may do with the secrets of the place, shown by an admin.
func scoped(v domain.Verb) []string {
	who := domain.Principal{Kind: domain.User, Org: someOrg, Grants: []domain.Grant{{Role: domain.Admin}},
		Scopes: []domain.Scope{{Project: someProject, Path: "/", Verbs: []domain.Verb{v}}}}
	var out []string
	for _, a := range policy.Actions {
		if strings.HasPrefix(string(a.Action), "secret.") && allowed(&who, a.Action) != "" {
			out = append(out, code(string(a.Action)))
		}
	}
	return out
}
