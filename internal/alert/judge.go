package alert

import (
	"context"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/keyturn/keyturn/internal/follow"
	"github.com/keyturn/keyturn/internal/store"
)

// hit is one thing that a rule found.
type hit struct {
	rule   string
	matter string
	title  string
	facts  []store.AlertFact
	at     int64 // unix milliseconds
	entry  int64 // index, -1 for states
	count  int64
}

// memory is what the judge asks about the world. It may wait.
type memory interface {
	// fresh tells of things whether each is seen for the first time; asking makes it known.
	fresh(ctx context.Context, ids ...string) (map[string]bool, error)
	// marked tells which of the full names of an environment have the tag break-glass.
	marked(ctx context.Context, e *follow.Entry) ([]string, error)
	// envName gives the slug of an environment, "" for one that is gone.
	envName(ctx context.Context, id string) (string, error)
}

// judge holds the rules over entries, with what they counted. It belongs to one goroutine.
type judge struct {
	rules   map[string]Rule
	windows map[string]*window
	next    int64 // index after the last entry that was counted
}

func newJudge() *judge { return &judge{windows: map[string]*window{}} }

// use sets the rules. Windows whose length has changed begin anew.
func (j *judge) use(rules []Rule) {
	j.rules = map[string]Rule{}
	for _, r := range rules {
		j.rules[r.ID] = r
		if r.Threshold > 0 && (j.windows[r.ID] == nil || j.windows[r.ID].within != r.Within.Milliseconds()) {
			j.windows[r.ID] = newWindow(r.Within)
		}
	}
}

func (j *judge) on(rule string) bool { return j.rules[rule].Enabled }

// look gives what the rules find in one entry. Entries come in order; one that was counted before gives nothing. After an error
// the entry may be shown again.
func (j *judge) look(ctx context.Context, e *follow.Entry, m memory) ([]hit, error) {
	if e.Index < j.next {
		return nil, nil
	}
	out, err := j.judge(ctx, e, m)
	if err != nil {
		return nil, err
	}
	j.next = e.Index + 1
	return out, nil
}

// watched are the actions that rules look at.
func watched(action string) bool {
	switch action {
	case "secret.read", "session.login", "canary.touched", "keys.manage", "keys.unlock", "audit.read", "alert.manage", "audit.manage", "access.manage", "role.manage":
		return true
	}
	return strings.HasPrefix(action, "breakglass.") || strings.HasSuffix(action, ".freeze") || strings.HasSuffix(action, ".kill") || strings.HasSuffix(action, ".thaw")
}

func (j *judge) judge(ctx context.Context, e *follow.Entry, m memory) ([]hit, error) {
	var out []hit
	add := func(rule, matter, title string, facts ...store.AlertFact) {
		if j.on(rule) {
			out = append(out, hit{rule, matter, title, append(facts, about(e)...), e.At, e.Index, 1})
		}
	}
	switch action := e.Action; {
	case (action == "secret.read" || action == "breakglass.read") && e.Outcome == "allowed":
		if action == "breakglass.read" {
			j.emergency(e, add)
		}
		if err := j.read(ctx, e, m, add); err != nil {
			return nil, err
		}
	case action == "session.login" && e.Outcome == "failed":
		j.login(e, &out, add)
	case action == "canary.touched":
		add(CanaryTouched, e.Detail["canary_id"], "a decoy was touched: "+first(e.Detail["place"], e.Detail["canary_id"]), fact("place", e.Detail["place"]), fact("kind", e.Detail["kind"]))
	case strings.HasPrefix(action, "breakglass."):
		if action != "breakglass.report" { // what was done is looked at afterwards
			j.emergency(e, add)
		}
	case strings.HasSuffix(action, ".freeze") || strings.HasSuffix(action, ".kill") || strings.HasSuffix(action, ".thaw"):
		if e.Outcome == "allowed" {
			what := first(e.Detail["change"], action)
			place := "the server: "
			if e.Project != "" {
				place = "a project: "
			}
			add(Frozen, e.Project, place+what+" by "+who(e), fact("reason", e.Detail["reason"]), fact("project", e.Project))
		}
	case action == "keys.manage" || action == "keys.unlock":
		j.keys(e, add)
	case action == "audit.read" && e.Detail["problems"] != "" && e.Detail["problems"] != "0":
		add(LogDamaged, "log", "the audit log does not verify: "+e.Detail["problems"]+" findings")
	case action == "alert.manage" || action == "audit.manage":
		if e.Outcome == "allowed" && e.Detail["what"] != "test" && e.Detail["what"] != "resend" && !strings.HasSuffix(e.Detail["what"], " test") {
			add(WatchChanged, action, "what is watched was changed by "+who(e)+": "+first(e.Detail["what"], action))
		}
	case action == "access.manage" || action == "role.manage":
		if err := j.access(ctx, e, m, add); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// emergency tells of a step of break-glass, whether it was allowed or not. Reads are one matter, each other step its own.
func (j *judge) emergency(e *follow.Entry, add adder) {
	name := first(e.Detail["breakglass"], e.Detail["credential"], e.Detail["name"])
	add(BreakGlass, e.Action+" "+first(name, e.Actor.ID), "break-glass: "+e.Action+" by "+who(e), fact("credential", name), fact("outcome", e.Outcome), fact("reason", e.Detail["reason"]))
}

type adder func(rule, matter, title string, facts ...store.AlertFact)

// read looks at values that were given away.
func (j *judge) read(ctx context.Context, e *follow.Entry, m memory, add adder) error {
	marked, err := m.marked(ctx, e)
	if err != nil {
		return err
	}
	if len(marked) > 0 {
		add(BreakGlassItem, e.Actor.ID+" "+e.Env+" "+marked[0], who(e)+" read "+marked[0]+", which is for emergencies", fact("secrets", strings.Join(marked, " ")))
	}
	if e.Actor.ID == "" || e.Actor.Kind == "system" {
		return nil
	}
	if err := j.firsts(ctx, e, m, add); err != nil {
		return err
	}
	if r := j.rules[BulkExport]; r.Enabled {
		n := int64(0)
		for _, key := range e.Keys {
			n = max(n, j.windows[BulkExport].add(e.Actor.ID, e.Env+" "+key, e.At, r.Threshold))
		}
		if n >= r.Threshold {
			add(BulkExport, e.Actor.ID, who(e)+" read "+strconv.FormatInt(r.Threshold, 10)+" different values or more within "+r.Within.String())
		}
	}
	return nil
}

// firsts looks whether a principal is in a project, at a secret or in a network for the first time. In which network a principal
// is met first says nothing; every further one does.
func (j *judge) firsts(ctx context.Context, e *follow.Entry, m memory, add adder) error {
	project, network := "project "+e.Actor.ID+" "+e.Project, ""
	ids := []string{project}
	if n := networkOf(e.Address); n != "" {
		network = "network " + e.Actor.ID + " " + n
		ids = append(ids, network, "somewhere "+e.Actor.ID)
	}
	var secrets []string
	if j.on(FirstSecret) {
		for _, key := range e.Keys {
			secrets = append(secrets, "secret "+e.Actor.ID+" "+e.Env+" "+key)
		}
		ids = append(ids, secrets...)
	}
	fresh, err := m.fresh(ctx, ids...)
	if err != nil {
		return err
	}
	if fresh[project] {
		add(FirstRead, e.Actor.ID, who(e)+" read values of a project for the first time", fact("project", e.Project))
	}
	if network != "" && fresh[network] && !fresh["somewhere "+e.Actor.ID] {
		add(NewNetwork, e.Actor.ID, who(e)+" read values from a new network", fact("network", networkOf(e.Address)))
	}
	n := 0
	for _, s := range secrets {
		if fresh[s] {
			n++
		}
	}
	if n > 0 {
		add(FirstSecret, e.Actor.ID, who(e)+" read secrets for the first time", fact("number", strconv.Itoa(n)))
	}
	return nil
}

// networkOf gives the network of an address: /24 of IPv4 and /48 of IPv6, which is what one site mostly has.
func networkOf(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return ""
	}
	ip = ip.Unmap().WithZone("")
	bits := 48
	if ip.Is4() {
		bits = 24
	}
	p, err := ip.Prefix(bits)
	if err != nil {
		return ""
	}
	return p.String()
}

// login looks at a login that failed, or a token that was refused.
func (j *judge) login(e *follow.Entry, out *[]hit, add adder) {
	if e.Detail["token"] == "revoked" {
		add(RevokedToken, first(e.Detail["token_id"], e.Detail["principal"]), "a revoked token of "+first(e.Detail["name"], e.Detail["principal"])+" was used",
			fact("token", e.Detail["token_id"]), fact("principal", first(e.Detail["name"], e.Detail["principal"])))
	}
	r := j.rules[FailedLogins]
	if !r.Enabled {
		return
	}
	missed, _ := strconv.ParseInt(e.Detail["not_recorded_before"], 10, 64) // what a flood left out
	missed = min(max(missed, 0), maxThreshold)
	try := func(matter, title string) {
		n := j.windows[FailedLogins].add(matter, strconv.FormatInt(e.Index, 10), e.At, r.Threshold)
		if n+missed >= r.Threshold {
			add(FailedLogins, matter, title)
			(*out)[len(*out)-1].count += missed
		}
	}
	if account := e.Detail["account"]; account != "" {
		try("account "+account, "logins of "+account+" fail again and again")
	}
	if e.Address != "" {
		try("address "+e.Address, "logins from "+e.Address+" fail again and again")
	}
}

// keys looks at changes of the ways to unlock the server.
func (j *judge) keys(e *follow.Entry, add adder) {
	what := first(e.Detail["keys"], e.Detail["what"], e.Action)
	if e.Action == "keys.manage" && (e.Outcome != "allowed" || what != "slot add" && what != "slot remove") {
		return
	}
	add(KeysChanged, what, "ways to unlock the server: "+what+" by "+who(e), fact("slot", e.Detail["slot"]), fact("outcome", first(e.Detail["outcome"], e.Outcome)))
}

// access looks at changes of what people may do. Production is what is called so; a role in a whole project or everywhere
// reaches it.
func (j *judge) access(ctx context.Context, e *follow.Entry, m memory, add adder) error {
	about := false
	for _, r := range e.Rows {
		about = about || slices.Contains([]string{"role_grant", "role", "group_member", "user_group"}, r.T)
	}
	if !about || e.Outcome != "allowed" {
		return nil
	}
	if e.Env != "" {
		name, err := m.envName(ctx, e.Env)
		if err != nil {
			return err
		}
		if !production(name) {
			return nil
		}
	}
	add(GrantInProd, e.Actor.ID, who(e)+" changed who may do what", fact("role", e.Detail["role"]), fact("of", first(e.Detail["principal"], e.Detail["group"])))
	return nil
}

// production tells of an environment by its slug whether it is the one that counts.
func production(slug string) bool {
	return slug == "live" || slug == "main" || strings.HasPrefix(slug, "prod")
}

func who(e *follow.Entry) string {
	return first(e.Actor.Name, e.Actor.ID, "somebody unknown")
}

// about is what is known of every entry.
func about(e *follow.Entry) []store.AlertFact {
	return []store.AlertFact{fact("who", who(e)), fact("kind of principal", e.Actor.Kind), fact("address", e.Address), fact("client", e.Agent),
		fact("action", e.Action), fact("log entry", strconv.FormatInt(e.Index, 10))}
}

func fact(name, value string) store.AlertFact { return store.AlertFact{Name: name, Value: value} }

func first(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}
