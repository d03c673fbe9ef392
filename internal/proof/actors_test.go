package proof

import (
	"slices"
	"testing"

	"github.com/keyturn/keyturn/api"
)

// actor is somebody in the simulation, with what the naive model thinks that he may do.
type actor struct {
	name  string
	token string
	id    string            // of the principal, as the log tells it
	roles map[string]string // by environment; "" for the whole project
	// scope narrows a token that acts as somebody else; nil for the person or machine itself.
	scope   *scope
	owner   *actor
	tokenID string
	revoked bool
}

// scope is the most that a token may do.
type scope struct {
	env, folder string
	verbs       []string
}

var everything = []string{"read", "list", "write", "delete"}

// may answers by the words of the documentation: none wins, then any role that allows; a token never more than its scope.
func (a *actor) may(verb, env, folder string) bool {
	if a.owner != nil {
		s := a.scope
		return slices.Contains(s.verbs, verb) && (s.env == "*" || s.env == env) && inside(s.folder, folder) && a.owner.may(verb, env, folder)
	}
	allowed := false
	for place, role := range a.roles {
		if place != "" && place != env {
			continue
		}
		switch role {
		case "none":
			return false
		case "admin", "developer":
			allowed = true
		case "viewer":
			allowed = allowed || verb == "list"
		}
	}
	return allowed
}

// reaches tells whether there is any folder in which he may.
func (a *actor) reaches(verb, env string) bool {
	if a.owner != nil {
		s := a.scope
		return slices.Contains(s.verbs, verb) && (s.env == "*" || s.env == env) && a.owner.reaches(verb, env)
	}
	return a.may(verb, env, "/")
}

// reachesAny tells whether he may do anything at all in the environment.
func (a *actor) reachesAny(env string) bool {
	return slices.ContainsFunc(everything, func(verb string) bool { return a.reaches(verb, env) })
}

// mayMakeTokens needs a role somewhere in the project, and a credential that is not narrowed itself.
func (a *actor) mayMakeTokens() bool {
	if a.owner != nil || a.roles[""] == "none" {
		return false
	}
	for _, role := range a.roles {
		if role != "none" {
			return true
		}
	}
	return false
}

// cast are the machines of the whole simulation; what they may do is another thing in every run.
type cast struct {
	site  *site
	admin string // token
	id    string // of the admin
	names []string
	token map[string]string
	ids   map[string]string
}

func newCast(tb testing.TB, s *site, admin string) *cast {
	tb.Helper()
	c := &cast{site: s, admin: admin, names: []string{"ada", "ben", "cleo", "dan"}, token: map[string]string{}, ids: map[string]string{}}
	c.id = must[api.Principal](tb, s, admin, "GET", "/whoami", nil).ID
	for _, name := range c.names {
		i := must[api.Identity](tb, s, admin, "POST", "/identities", api.IdentityRequest{Name: name, TokenTTL: "24h"})
		proof := must[api.ClientSecret](tb, s, admin, "POST", "/identities/"+name+"/client-secrets", api.ClientSecretRequest{})
		session := must[api.Session](tb, s, "", "POST", "/login/identity", api.IdentityLoginRequest{ClientID: i.ID, ClientSecret: proof.Secret})
		c.token[name], c.ids[name] = session.Token, i.ID
	}
	return c
}

// actors gives the cast for one run: an admin, and machines without any role yet.
func (c *cast) actors() []*actor {
	all := []*actor{{name: "admin", token: c.admin, id: c.id, roles: map[string]string{"": "admin"}}}
	for _, name := range c.names {
		all = append(all, &actor{name: name, token: c.token[name], id: c.ids[name], roles: map[string]string{}})
	}
	return all
}
