package server_test

import (
	"testing"

	"github.com/keyturn/keyturn/api"
)

func TestNobodyComesToMoreThanHeWasGiven(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		t.Run("by his own hand", func(t *testing.T) { selfGrants(t, w) })
		t.Run("by the name of a role that was", func(t *testing.T) { reusedNames(t, w) })
		t.Run("by groups", func(t *testing.T) { groupAttacks(t, w) })
		t.Run("by taking a deny away", func(t *testing.T) { liftedDenies(t, w) })
	})
}

// TestTheLastAdminStays has a server of its own: others make admins.
func TestTheLastAdminStays(t *testing.T) {
	onBoth(t, lastAdmin)
}

// selfGrants tries every way by which somebody who manages access, and has little else, could have more.
func selfGrants(t *testing.T, w *world) {
	e, other := w.project(t), w.project(t)
	e.commit(t, set("/", "A", "test-value"))
	manager := w.role(t, "- {effect: allow, actions: [access.manage, access.read, secret.list, project.read]}")
	everywhere, i, _ := w.machineID(t, api.GrantRequest{Role: manager})
	inProject, j, _ := w.machineID(t, api.GrantRequest{Project: e.project, Role: manager})
	_, strong, _ := w.machineID(t, api.GrantRequest{Role: "admin"})
	give := func(p person, id, project, role string) reply {
		return p.do(t, "POST", "/grants", api.GrantRequest{Kind: "identity", Principal: id, Project: project, Role: role})
	}
	for _, role := range []string{"admin", "developer", "viewer"} { // a viewer makes tokens, which the manager does not
		give(everywhere, i.ID, "", role).refused(t, "denied", "nobody can grant what he lacks")
		give(everywhere, i.ID, e.project, role).refused(t, "denied")
		give(inProject, j.ID, e.project, role).refused(t, "denied")
		if r := give(inProject, j.ID, other.project, role); r.status < 400 {
			t.Errorf("%s: %s", r.what, r.body)
		}
	}
	// What he has he gives: the same role, in the same place or a smaller one.
	give(everywhere, j.ID, "", manager).fits(t, &api.Grant{})
	give(inProject, i.ID, e.project, manager).fits(t, &api.Grant{})
	// A role of his own with more in it, made, changed, or hidden behind conditions that others have not.
	for n, rules := range []string{
		"- {effect: allow, actions: \"*\"}", "- {effect: allow, actions: [secret.read]}", "- {effect: allow, actions: \"secret.*\", names: [A]}",
		"- {effect: allow, actions: secret.read, when: {networks: [127.0.0.0/8]}}", "- {effect: allow, actions: \"secret.*\"}\n- {effect: deny, actions: secret.read, names: [B]}",
	} {
		made := send[api.CustomRole](t, everywhere, "POST", "/roles", api.RoleRequest{Name: w.fresh("own-"), Rules: rules})
		give(everywhere, i.ID, "", made.Name).refused(t, "denied", "rule 1")
		give(everywhere, i.ID, e.project, made.ID).refused(t, "denied")
		if n > 0 {
			continue
		}
		everywhere.do(t, "PATCH", "/roles/"+manager, api.RoleRequest{Rules: rules}).refused(t, "denied", "nobody can grant")
	}
	// By acting as somebody who has more, or by the way into a group that has.
	everywhere.do(t, "POST", "/identities/"+strong.Name+"/client-secrets", api.ClientSecretRequest{}).refused(t, "denied")
	send[api.Done](t, w.admin, "PATCH", "/identities/"+strong.Name, api.EnabledRequest{Disabled: true})
	everywhere.do(t, "PATCH", "/identities/"+strong.Name, api.EnabledRequest{}).refused(t, "denied")
	admins := send[api.Group](t, w.admin, "POST", "/groups", api.GroupRequest{Name: w.fresh("admins-")})
	send[api.Grant](t, w.admin, "POST", "/grants", api.GrantRequest{Kind: "group", Principal: admins.Name, Role: "admin"})
	everywhere.do(t, "POST", "/groups/"+admins.ID+"/members", api.MemberRequest{Kind: "identity", Member: i.ID}).refused(t, "denied")
	own := send[api.Group](t, everywhere, "POST", "/groups", api.GroupRequest{Name: w.fresh("own-")})
	send[api.Done](t, everywhere, "POST", "/groups/"+own.ID+"/members", api.MemberRequest{Kind: "identity", Member: i.ID})
	everywhere.do(t, "POST", "/groups/"+admins.ID+"/members", api.MemberRequest{Kind: "group", Member: own.ID}).refused(t, "denied")
	everywhere.do(t, "POST", "/grants", api.GrantRequest{Kind: "group", Principal: own.Name, Role: "admin"}).refused(t, "denied")
	// Longer than he has it himself.
	_, k, _ := w.machineID(t)
	passing := w.machine(t, api.GrantRequest{Role: "admin", TTL: "1h"})
	give(passing, k.ID, "", "admin").refused(t, "denied")
	passing.do(t, "POST", "/grants", api.GrantRequest{Kind: "identity", Principal: k.ID, Role: "admin", TTL: "2h"}).refused(t, "denied")
	passing.do(t, "POST", "/grants", api.GrantRequest{Kind: "identity", Principal: k.ID, Role: "viewer", TTL: "10m"}).fits(t, &api.Grant{})
	for _, p := range []person{everywhere, inProject} {
		if r := e.as(p).ask(t, "/", "A"); r.status < 400 {
			t.Errorf("in the end he reads: %s", r.body)
		}
	}
}

func reusedNames(t *testing.T, w *world) {
	e := w.project(t)
	e.commit(t, set("/", "A", "test-value"))
	name := w.role(t, "- {effect: allow, actions: \"secret.*\"}")
	p := e.as(w.machine(t, api.GrantRequest{Project: e.project, Role: name}))
	if got := p.value(t, "/", "A"); got != "test-value" {
		t.Errorf("%q", got)
	}
	for _, taken := range []string{"admin", "none", name} {
		w.admin.do(t, "POST", "/roles", api.RoleRequest{Name: taken, Rules: readerRules}).refused(t, "exists")
	}
	for _, bad := range []string{"Admin", "admın", "admin ", "", "0198c0de-0000-7000-8000-000000000000"} {
		w.admin.do(t, "POST", "/roles", api.RoleRequest{Name: bad, Rules: readerRules}).refused(t, "invalid")
	}
	before := len(get[api.Grants](t, w.admin, "/grants").Grants)
	send[api.Done](t, w.admin, "DELETE", "/roles/"+name, nil)
	p.ask(t, "/", "A").refused(t, "not_found")
	if after := len(get[api.Grants](t, w.admin, "/grants").Grants); after != before-1 {
		t.Errorf("%d grants, then %d", before, after)
	}
	send[api.CustomRole](t, w.admin, "POST", "/roles", api.RoleRequest{Name: name, Rules: "- {effect: allow, actions: \"*\"}"})
	p.ask(t, "/", "A").refused(t, "not_found")
	w.admin.do(t, "GET", "/roles/gone", nil).refused(t, "not_found")
	w.admin.do(t, "PATCH", "/roles/admin", api.RoleRequest{Rules: readerRules}).refused(t, "invalid")
	w.admin.do(t, "DELETE", "/roles/admin", nil).refused(t, "invalid")
	w.admin.do(t, "POST", "/roles", api.RoleRequest{Name: w.fresh("role-"), Rules: "- effect: allow\n  actions: [secret.red]\n"}).refused(t, "invalid", "line 2", "rule 1", "actions", "no such action")
}

func groupAttacks(t *testing.T, w *world) {
	e := w.project(t)
	e.commit(t, set("/", "A", "test-value"))
	group := func() api.Group {
		return send[api.Group](t, w.admin, "POST", "/groups", api.GroupRequest{Name: w.fresh("Group ")})
	}
	add := func(g api.Group, kind, member string) reply {
		return w.admin.do(t, "POST", "/groups/"+g.ID+"/members", api.MemberRequest{Kind: kind, Member: member})
	}
	a, b, c := group(), group(), group()
	add(b, "group", a.Name).fits(t, &api.Done{}) // b holds a, c holds b
	add(c, "group", b.ID).fits(t, &api.Done{})
	for _, circle := range []reply{add(a, "group", a.ID), add(a, "group", b.ID), add(a, "group", c.ID)} {
		circle.refused(t, "conflict", "circle")
	}
	p, i, _ := w.machineID(t)
	me := e.as(p)
	add(a, "identity", i.Name).fits(t, &api.Done{})
	send[api.Grant](t, w.admin, "POST", "/grants", api.GrantRequest{Kind: "group", Principal: c.Name, Project: e.project, Role: "developer"})
	if got := me.value(t, "/", "A"); got != "test-value" { // through two other groups
		t.Errorf("%q", got)
	}
	if who := get[api.Principal](t, p, "/whoami"); len(who.Grants) != 1 || who.Grants[0].GroupID != c.ID {
		t.Errorf("%+v", who)
	}
	if m := get[api.Members](t, w.admin, "/groups/"+a.ID+"/members"); len(m.Members) != 1 || m.Members[0].Name != i.Name || m.Members[0].Cause != "hand" {
		t.Errorf("%+v", m)
	}
	send[api.Grant](t, w.admin, "POST", "/grants", api.GrantRequest{Kind: "group", Principal: a.ID, Project: e.project, Role: "none"})
	me.ask(t, "/", "A").refused(t, "not_found") // the deny of one group wins over the allow of the other
	send[api.Done](t, w.admin, "DELETE", "/groups/"+a.ID+"/members/identity/"+i.Name, nil)
	w.admin.do(t, "DELETE", "/groups/"+a.ID+"/members/identity/"+i.Name, nil).refused(t, "not_found")
	me.ask(t, "/", "A").refused(t, "not_found")
	add(b, "identity", i.ID).fits(t, &api.Done{})
	if got := me.value(t, "/", "A"); got != "test-value" {
		t.Errorf("%q", got)
	}
	send[api.Done](t, w.admin, "DELETE", "/groups/"+b.ID, nil)
	me.ask(t, "/", "A").refused(t, "not_found")
	add(a, "group", c.ID).fits(t, &api.Done{}) // no circle any more
	add(b, "identity", i.ID).refused(t, "not_found")
	add(a, "robot", i.ID).refused(t, "invalid", "/kind")
	w.admin.do(t, "POST", "/groups", api.GroupRequest{Name: c.Name}).refused(t, "exists")
}

func liftedDenies(t *testing.T, w *world) {
	e := w.project(t)
	e.commit(t, set("/", "A", "test-value"))
	manager := w.role(t, "- {effect: allow, actions: [access.manage, access.read]}")
	p, i, _ := w.machineID(t, api.GrantRequest{Role: manager})
	_, held, _ := w.machineID(t, api.GrantRequest{Role: "developer"})
	none := send[api.Grant](t, w.admin, "POST", "/grants", api.GrantRequest{Kind: "identity", Principal: held.ID, Project: e.project, Role: "none"})
	p.do(t, "DELETE", "/grants/"+none.ID, nil).refused(t, "not_found")
	// Neither is it replaced by something weaker in its place.
	p.do(t, "POST", "/grants", api.GrantRequest{Kind: "identity", Principal: held.ID, Project: e.project, Role: manager}).fits(t, &api.Grant{})
	if got := get[api.Explanation](t, w.admin.with(w.admin.token), "/roles/none"); got.Allowed {
		t.Error("none allows")
	}
	ask := func() api.Explanation {
		return send[api.Explanation](t, w.admin, "POST", "/policy/explain", api.ExplainRequest{Principal: "identity:" + held.Name, Action: "secret.read", Resource: e.project + "/dev:/A"})
	}
	if got := ask(); got.Allowed || got.Reason != "role none" || got.Rules[0].Effect != "deny" || !got.Rules[0].Holds || got.Rules[0].GrantID != none.ID {
		t.Errorf("%+v", got)
	}
	// Nor by a custom role that denies: changing it, deleting it, or leaving the group that has it.
	deny := w.role(t, "- {effect: deny, actions: \"secret.*\"}")
	send[api.Done](t, w.admin, "DELETE", "/grants/"+none.ID, nil)
	g := send[api.Group](t, w.admin, "POST", "/groups", api.GroupRequest{Name: w.fresh("kept-")})
	send[api.Grant](t, w.admin, "POST", "/grants", api.GrantRequest{Kind: "group", Principal: g.ID, Role: deny})
	send[api.Done](t, w.admin, "POST", "/groups/"+g.ID+"/members", api.MemberRequest{Kind: "identity", Member: held.ID})
	for _, r := range []reply{
		p.do(t, "PATCH", "/roles/"+deny, api.RoleRequest{Rules: "- {effect: deny, actions: secret.purge}"}), p.do(t, "DELETE", "/roles/"+deny, nil),
		p.do(t, "DELETE", "/groups/"+g.ID, nil), p.do(t, "DELETE", "/groups/"+g.ID+"/members/identity/"+held.ID, nil),
	} {
		r.refused(t, "denied")
	}
	if got := ask(); got.Allowed {
		t.Errorf("%+v", got)
	}
	// The one who is denied does not free himself.
	self := send[api.Grant](t, w.admin, "POST", "/grants", api.GrantRequest{Kind: "identity", Principal: i.ID, Project: e.project, Env: "prod", Role: "none"})
	p.do(t, "DELETE", "/grants/"+self.ID, nil).refused(t, "not_found")
	send[api.Done](t, w.admin, "DELETE", "/grants/"+self.ID, nil)
}

func lastAdmin(t *testing.T, w *world) {
	me := get[api.Principal](t, w.admin, "/whoami")
	grants := get[api.Grants](t, w.admin, "/grants").Grants
	if len(grants) != 1 {
		t.Fatalf("%+v", grants)
	}
	stays := func(what string, r reply) {
		t.Helper()
		t.Log(what)
		r.refused(t, "conflict", "nobody who may do everything")
	}
	give := func(kind, who, role, ttl string) reply {
		return w.admin.do(t, "POST", "/grants", api.GrantRequest{Kind: kind, Principal: who, Role: role, TTL: ttl})
	}
	stays("taking it away", w.admin.do(t, "DELETE", "/grants/"+grants[0].ID, nil))
	for _, role := range []string{"viewer", "developer", "none"} {
		stays("putting "+role+" in its place", give("user", me.ID, role, ""))
	}
	stays("none for an hour", give("user", me.ID, "none", "1h"))
	stays("a deny of his own", give("user", me.ID, w.role(t, "- {effect: deny, actions: secret.purge}"), ""))
	// None of these is another live person who is an admin for good.
	strong := w.machine(t, api.GrantRequest{Role: "admin"})
	w.userID(t, api.GrantRequest{Role: "admin", TTL: "1h"})
	_, off := w.userID(t, api.GrantRequest{Role: "admin"})
	send[api.Done](t, w.admin, "PATCH", "/users/"+off.ID, api.EnabledRequest{Disabled: true})
	g := send[api.Group](t, w.admin, "POST", "/groups", api.GroupRequest{Name: "admins"})
	give("group", g.ID, "admin", "").fits(t, &api.Grant{})
	send[api.Done](t, w.admin, "POST", "/groups/"+g.ID+"/members", api.MemberRequest{Kind: "user", Member: off.ID})
	stays("taking it away, with a machine, a passing and a disabled admin", w.admin.do(t, "DELETE", "/grants/"+grants[0].ID, nil))
	second, u := w.userID(t)
	second.do(t, "PATCH", "/users/"+me.ID, api.EnabledRequest{Disabled: true}).refused(t, "denied")
	send[api.Done](t, w.admin, "POST", "/groups/"+g.ID+"/members", api.MemberRequest{Kind: "user", Member: u.ID})
	// Now there is one, by a group. Then the other ways out of it are closed.
	send[api.Done](t, w.admin, "DELETE", "/grants/"+grants[0].ID, nil)
	stays("leaving the group", second.do(t, "DELETE", "/groups/"+g.ID+"/members/user/"+u.ID, nil))
	stays("deleting the group", second.do(t, "DELETE", "/groups/"+g.ID, nil))
	stays("disabling him", strong.do(t, "PATCH", "/users/"+u.ID, api.EnabledRequest{Disabled: true}))
}
