package policy

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
)

// Bounds of a role. They are far beyond what people can keep in their heads, and keep a decision quick.
const (
	MaxRules    = 1000      // of one role
	maxPatterns = 100       // of one list in a rule
	maxPattern  = 256       // bytes; names of secrets are no longer
	maxRuleText = 512 << 10 // bytes of a file of rules
	maxMFA      = 366 * 24 * time.Hour
)

var (
	errDay         = errors.New("want days such as mon, tue, wed, thu, fri, sat or sun")
	errClock       = errors.New("want a time of day such as 08:00, UTC")
	errEmptyWindow = errors.New("begins and ends at the same minute: leave both out for the whole day")
)

// problem is one thing that is wrong with rules, by its place in the tree.
type problem struct {
	at   []any // keys and indexes from the list of rules down
	text string
}

func (p problem) pointer() string {
	var b strings.Builder
	b.WriteString("/rules")
	for _, step := range p.at {
		fmt.Fprintf(&b, "/%v", step)
	}
	return b.String()
}

// CheckRules refuses rules that could not mean what their author wants: a wrong word would make a deny that never holds.
func CheckRules(rules []domain.Rule) error {
	return failure(checkRules(rules), problem.pointer)
}

func failure(problems []problem, where func(problem) string) error {
	if len(problems) == 0 {
		return nil
	}
	f := fault.New(fault.Invalid, "the rules are not right: %s: %s", where(problems[0]), problems[0].text)
	for _, p := range problems {
		f = f.WithField(where(p), "%s", p.text)
	}
	return f
}

// maxProblems bounds what is told at once.
const maxProblems = 20

type ruleChecker struct{ problems []problem }

func (c *ruleChecker) add(text string, at ...any) {
	if len(c.problems) < maxProblems {
		c.problems = append(c.problems, problem{at, text})
	}
}

func checkRules(rules []domain.Rule) []problem {
	c := &ruleChecker{}
	if len(rules) == 0 {
		c.add("no rule: want at least one, such as: {effect: allow, actions: [secret.read]}")
	}
	if len(rules) > MaxRules {
		c.add(fmt.Sprintf("too many rules: at most %d", MaxRules))
		return c.problems
	}
	for i := range rules {
		c.rule(i, &rules[i])
	}
	return c.problems
}

func (c *ruleChecker) rule(i int, r *domain.Rule) {
	if r.Effect != domain.Allow && r.Effect != domain.Deny {
		c.add("want allow or deny", i, "effect")
	}
	if len(r.Actions) == 0 {
		c.add("missing: want actions such as secret.read, secret.* or *", i, "actions")
	}
	c.length(len(r.Actions), i, "actions")
	for j, a := range r.Actions {
		if set, all := actionsOf([]string{a}); !all && set == (actionSet{}) {
			c.add("no such action: the reference of permissions lists them; '*' stands for any characters", i, "actions", j)
		}
	}
	c.length(len(r.Projects), i, "projects")
	for j, id := range r.Projects {
		if _, err := domain.ParseSlug(string(id)); err != nil && !domain.IsID(string(id)) {
			c.add("want the slug or the id of a project", i, "projects", j)
		}
	}
	c.globs(r.Environments, "-", false, "a slug such as prod, or a pattern such as prod-*", i, "environments")
	c.globs(r.Names, "_-.", true, "a name such as DATABASE_URL, or a pattern such as DB_*", i, "names")
	c.globs(r.Tags, "-_.:", false, "a tag such as pci, or a pattern such as team:*", i, "tags")
	c.length(len(r.Paths), i, "paths")
	for j, p := range r.Paths {
		if canonical, err := domain.ParsePattern(string(p)); err != nil {
			c.add(fault.As(err).Message, i, "paths", j)
		} else if canonical != p {
			c.add("not in its canonical form: want a '/' at the beginning and none at the end", i, "paths", j)
		}
	}
	c.when(r.When, i, "when")
	c.when(r.Unless, i, "unless")
}

func (c *ruleChecker) length(n int, at ...any) {
	if n > maxPatterns {
		c.add(fmt.Sprintf("too many: at most %d", maxPatterns), at...)
	}
}

func (c *ruleChecker) globs(list []string, extra string, upper bool, want string, at ...any) {
	c.length(len(list), at...)
	for j, g := range list {
		if !globOf(g, extra, upper) {
			c.add("want "+want, append(slices.Clone(at), j)...)
		}
	}
}

func globOf(s, extra string, upper bool) bool {
	if s == "" || len(s) > maxPattern {
		return false
	}
	for i := range len(s) {
		b := s[i]
		switch {
		case b == '*', b == '?', b >= 'a' && b <= 'z', b >= '0' && b <= '9', upper && b >= 'A' && b <= 'Z', strings.IndexByte(extra, b) >= 0:
		default:
			return false
		}
	}
	return true
}

func (c *ruleChecker) when(w *domain.When, i int, part string) {
	if w == nil {
		return
	}
	if len(w.Networks)+len(w.Times)+len(w.Attribute) == 0 && w.MFAWithin == "" {
		c.add("holds no condition: leave it out, or want networks, times, mfa_within or attributes", i, part)
	}
	c.length(len(w.Networks), i, part, "networks")
	for j, n := range w.Networks {
		switch prefix, err := netip.ParsePrefix(n); {
		case err != nil:
			c.add("want a network such as 10.0.0.0/8 or 2001:db8::/32; one address is 192.0.2.1/32", i, part, "networks", j)
		case prefix.Masked() != prefix:
			c.add("has bits beyond its length: want "+prefix.Masked().String(), i, part, "networks", j)
		case prefix.Addr().Is4In6():
			c.add("want an IPv4 network in its own form", i, part, "networks", j)
		}
	}
	c.length(len(w.Times), i, part, "times")
	for j, t := range w.Times {
		if _, err := spanOf(t); err != nil {
			c.add(err.Error(), i, part, "times", j)
		}
	}
	if w.MFAWithin != "" {
		if d, err := time.ParseDuration(w.MFAWithin); err != nil || d < time.Second || d > maxMFA {
			c.add("want a time such as 15m or 8h", i, part, "mfa_within")
		}
	}
	c.length(len(w.Attribute), i, part, "attributes")
	for name, value := range w.Attribute {
		if name == "" || len(name) > maxPattern || len(value) > maxPattern {
			c.add(fmt.Sprintf("names and values of attributes have 1 to %d bytes", maxPattern), i, part, "attributes")
		}
	}
}
