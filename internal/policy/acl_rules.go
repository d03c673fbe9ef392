package policy

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/keyturn/keyturn/internal/domain"
)

// Rules of a role that say the same as an ACL policy.
//
// Vault judges a request by the one path that fits it best; here all rules that fit count, and a deny wins. So where a narrower
// path of a policy gives less than a wider one, a deny is made for the difference, and where that deny would take something away
// that a third path gives, the policy is refused with both lines. What comes out allows exactly what the policy does, by rights:
// a right is given where one of the paths that lead to it allows it.

// ACLRules translates. The fault of a policy that cannot be kept tells the line, why, and what to write in its place.
func ACLRules(paths []ACLPath, mounts []ACLMount) ([]domain.Rule, error) {
	t := &translation{mounts: mounts}
	for i := range paths {
		if err := t.path(&paths[i]); err != nil {
			return nil, err
		}
	}
	allows, denies, err := t.settle()
	if err != nil {
		return nil, err
	}
	rules := slices.Concat(t.other, gather(domain.Allow, allows), gather(domain.Deny, denies))
	if len(rules) > MaxRules {
		return nil, aclRefused(paths[len(paths)-1].Line, fmt.Sprintf("the policy comes to more than %d rules", MaxRules), "split it into several")
	}
	return rules, nil
}

type translation struct {
	mounts  []ACLMount
	entries []entry
	other   []domain.Rule // about what is no document
}

// ruling is one right in one region.
type ruling struct {
	right  right
	region region
}

// mountOf finds the mount that a path is about, and the rest of the path.
func mountOf(path string, mounts []ACLMount) (*ACLMount, string) {
	for i := range mounts {
		if rest, ok := strings.CutPrefix(path, mounts[i].Path); ok && (rest == "" || rest[0] == '/') {
			return &mounts[i], strings.TrimPrefix(rest, "/")
		}
	}
	return nil, ""
}

func (t *translation) path(p *ACLPath) error {
	if done, err := t.server(p); done || err != nil {
		return err
	}
	m, rest := mountOf(p.Path, t.mounts)
	switch {
	case m == nil:
		return aclRefused(p.Line, "there is no mount of that name; case matters, and no wildcard can stand in it",
			"make the mount before, or write one path for each mount: keyturn mount list shows them")
	case m.Kind == aclTransit:
		return t.transit(p, m.Path, m.Project, rest)
	case m.Env == "" && (rest == aclTransit || strings.HasPrefix(rest, aclTransit+"/")): // the namespace of a project has keys of its own
		return t.transit(p, m.Path+"/"+aclTransit, m.Project, strings.TrimPrefix(strings.TrimPrefix(rest, aclTransit), "/"))
	case m.Kind != aclKV:
		return aclRefused(p.Line, "the engine of this mount has no rights that a policy could give", "")
	case p.can(CanSudo) && len(p.Capabilities) == 1:
		return aclRefused(p.Line, "sudo alone gives nothing on documents", "take it out")
	case m.Version == 1:
		return t.documents(p, m, kv1, rest)
	}
	if rest == "*" { // all that the mount has
		return t.documents(p, m, kv2, rest)
	}
	word, address, _ := strings.Cut(rest, "/")
	if address == "" && strings.HasSuffix(rest, "/") {
		address = "/"
	}
	var classes []*class
	for _, c := range kv2 {
		if word == c.name || word == "+" {
			classes = append(classes, c)
		}
	}
	if len(classes) == 0 {
		return aclRefused(p.Line, "the mount keeps versions, so a path goes on with data, metadata, delete, undelete, destroy or subkeys",
			fmt.Sprintf("write %s/data/... for values and %s/metadata/... for names", m.Path, m.Path))
	}
	return t.documents(p, m, classes, address)
}

// documents takes in what a path says of documents.
func (t *translation) documents(p *ACLPath, m *ACLMount, classes []*class, rest string) error {
	a := aclAddress(strings.TrimPrefix(rest, "/"))
	if rest == "/" {
		a.tail = tailDir
	}
	known := p.can(CanDeny)
	if a.tail != tailBelow && len(a.segments) == 0 { // the mount itself: only lists are about it
		lists := slices.ContainsFunc(classes, func(c *class) bool { return c.dirs }) && len(classes) < len(kv2)
		if !lists || slices.ContainsFunc(p.Capabilities, func(c Capability) bool { return c != CanList && c != CanDeny }) {
			return aclRefused(p.Line, "the path names no document", "write /* at its end for all of them")
		}
		if m.Env == "" { // a list of environments: whoever may know that the project is there
			if p.can(CanDeny) {
				return aclRefused(p.Line, "the environments of a project cannot be hidden from who reads in one of them", "take the path out")
			}
			t.other = append(t.other, domain.Rule{Effect: domain.Allow, Actions: []string{string(ProjectRead)}, Projects: []domain.ProjectID{m.Project}})
			return nil
		}
	}
	if a.tail == tailDir && slices.ContainsFunc(p.Capabilities, func(c Capability) bool { return c != CanList && c != CanDeny }) {
		return aclRefused(p.Line, "a path that ends in a slash is a directory, of which there is only a list", "take the slash away, or write /* for what lies below")
	}
	for _, c := range classes {
		if !c.dirs && a.tail != tailBelow && len(a.segments) == 0 {
			continue
		}
		entries, why := m.entriesOf(p, c, a)
		if why != "" {
			return aclRefused(p.Line, why, "")
		}
		t.entries = append(t.entries, entries...)
		if (c == kv2Data || c == kv1Data) && p.can(CanCreate) != p.can(CanUpdate) {
			return aclRefused(p.Line, "here one right both makes and changes a document: a path that has only one of create and update cannot be kept", "write create and update, or neither")
		}
		for capability := range c.gives {
			known = known || p.can(capability)
		}
		for capability := range c.needs {
			known = known || p.can(capability)
		}
	}
	if !known && len(p.Capabilities) > 0 {
		return aclRefused(p.Line, "none of these capabilities means anything on this path", "take it out")
	}
	return nil
}

// gives tells whether an entry gives a right.
func (e *entry) gives(r right) bool {
	for c, given := range e.class.gives {
		if given == r && e.of.can(c) {
			return true
		}
	}
	return false
}

// about tells whether requests of the entry's class could come to a right.
func (e *entry) about(r right) bool {
	if e.of.can(CanDeny) && slices.Contains(slices.Collect(maps.Values(e.class.needs)), r) { // one right serves several paths: a deny on one is about all of them
		return true
	}
	for _, given := range e.class.gives {
		if given == r {
			return true
		}
	}
	return false
}

// settle makes rulings of the entries: allows, and the denies that keep wider allows from what narrower paths do not give.
func (t *translation) settle() (allows, denies []ruling, err error) {
	for _, r := range slices.Concat([]right{toRead, toList, toWrite, toDelete, toPurge}, transitRights) {
		var given, kept []*entry
		for i := range t.entries {
			if e := &t.entries[i]; e.about(r) {
				if e.gives(r) {
					given = append(given, e)
				} else {
					kept = append(kept, e)
				}
			}
		}
		for _, k := range kept {
			denied, err := t.keptBack(k, given)
			if err != nil {
				return nil, nil, err
			}
			if denied {
				denies = append(denies, ruling{r, k.where})
			}
		}
		for _, g := range given {
			allows = append(allows, ruling{r, g.where})
		}
	}
	return allows, denies, t.accompanied(allows, denies)
}

// keptBack tells whether a path that does not give a right must deny it, so that a wider path does not give it there.
func (t *translation) keptBack(k *entry, given []*entry) (bool, error) {
	narrows, beaten := false, (*entry)(nil)
	for _, g := range given {
		if !g.where.meets(k.where) {
			continue
		}
		if g.rivals(k) && k.beats(g) {
			narrows = true
		} else {
			beaten = g
		}
	}
	explicit := k.of.can(CanDeny) && (k.tier != tierPatternDir || beaten == nil)
	if !narrows && !explicit {
		return false, nil
	}
	if beaten != nil {
		return false, aclRefused(max(k.of.Line, beaten.of.Line), fmt.Sprintf("line %d gives what line %d keeps back in a part of the same documents, and here a deny wins over every allow", beaten.of.Line, k.of.Line),
			"write the paths so that none is taken back: what no path gives is refused anyway")
	}
	return true, nil
}

// accompanied refuses capabilities that give nothing by themselves where the right is not given that they are a part of.
func (t *translation) accompanied(allows, denies []ruling) error {
	for i := range t.entries {
		e := &t.entries[i]
		for c, r := range e.class.needs {
			if !e.of.can(c) {
				continue
			}
			covered := slices.ContainsFunc(allows, func(a ruling) bool { return a.right == r && a.region.around(e.where) }) &&
				!slices.ContainsFunc(denies, func(d ruling) bool { return d.right == r && d.region.meets(e.where) })
			if c == CanPatch && e.class != kv2Meta { // a patch reads what it changes
				covered = covered && e.of.can(CanRead)
			}
			if !covered {
				return aclRefused(e.of.Line, fmt.Sprintf("%s on %s is a part of the right %s here, which the policy does not give for all of these documents", c, cmp.Or(e.class.name, "documents"), r), instead(e.class, c))
			}
		}
	}
	return nil
}

func instead(c *class, capability Capability) string {
	switch {
	case c == kv2Restore:
		return "give delete on data too, or take the path out"
	case capability == CanPatch && c != kv2Meta:
		return "write create, update and read beside patch"
	}
	return "give create and update on data for the same documents, or take them out"
}

// gather puts rulings into few rules: those of the same place share a rule, and places with the same rights share one too.
func gather(effect domain.Effect, rulings []ruling) []domain.Rule {
	type spot struct {
		project domain.ProjectID
		envs    string
		folders domain.Pattern
		names   string
	}
	actions := map[spot][]string{}
	var spots []spot
	for _, r := range rulings {
		s := spot{r.region.project, strings.Join(r.region.envs, ","), r.region.folders, strings.Join(r.region.names, ",")}
		if _, ok := actions[s]; !ok {
			spots = append(spots, s)
			if effect == domain.Allow && !slices.Contains(transitRights, r.right) { // who may do something in a project may know of it
				actions[s] = []string{string(ProjectRead)}
			}
		}
		if !slices.Contains(actions[s], string(r.right)) {
			actions[s] = append(actions[s], string(r.right))
		}
	}
	var out []domain.Rule
	for _, s := range spots {
		slices.Sort(actions[s])
		rule := domain.Rule{Effect: effect, Actions: actions[s], Projects: []domain.ProjectID{s.project}}
		if s.envs != "" {
			rule.Environments = strings.Split(s.envs, ",")
		}
		if s.names != "" {
			rule.Names = strings.Split(s.names, ",")
		}
		if !wide(s.folders) {
			rule.Paths = []domain.Pattern{s.folders}
		}
		i := slices.IndexFunc(out, func(o domain.Rule) bool {
			return len(o.Paths) > 0 && len(rule.Paths) > 0 && len(o.Paths) < maxPatterns && o.Projects[0] == s.project && slices.Equal(o.Actions, rule.Actions) && slices.Equal(o.Environments, rule.Environments)
		})
		if i >= 0 {
			out[i].Paths = append(out[i].Paths, rule.Paths...)
		} else {
			out = append(out, rule)
		}
	}
	for i := range out {
		out[i].Paths = joined(out[i].Paths)
		if len(out[i].Paths) == 1 && wide(out[i].Paths[0]) {
			out[i].Paths = nil
		}
	}
	return out
}

// joined writes a folder alone and all that lies below it as one pattern.
func joined(paths []domain.Pattern) []domain.Pattern {
	var out []domain.Pattern
	for _, p := range paths {
		folder, below := strings.CutSuffix(string(p), "/*")
		if below && slices.Contains(paths, domain.Pattern(folder+"/"+domain.Alone)) {
			p = domain.Pattern(max(folder, "/"))
		}
		if folder, alone := strings.CutSuffix(string(p), "/"+domain.Alone); alone && slices.Contains(paths, domain.Pattern(folder+"/*")) {
			continue
		}
		if !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}
