package keys

import (
	"fmt"
	"strings"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/store"
)

// maxDamages bounds how many rows a turn passes over: more means that something is wrong with all of them, and that somebody
// should look before anything goes on.
const maxDamages = 100

// Pass is what a turn remembers from slice to slice: how far it walked, and which rows do not open. It is lost with the
// process, and nothing hangs on it. A turn goes on around rows that do not open, and their key is not destroyed: a repaired row
// must open.
type Pass struct {
	walks   map[string]*store.Walk
	damaged map[string][]string // ids by table
	all     []string            // in words
}

// Walk gives the walk over a table.
func (p *Pass) Walk(table string) *store.Walk {
	if p.walks == nil {
		p.walks = map[string]*store.Walk{}
	}
	if p.walks[table] == nil {
		p.walks[table] = &store.Walk{}
	}
	return p.walks[table]
}

// Damaged lists the rows of a table that do not open, by id.
func (p *Pass) Damaged(table string) []string { return p.damaged[table] }

// Damage notes one more. Too many are [fault.Internal].
func (p *Pass) Damage(table, id string, cause error) error {
	if len(p.all) >= maxDamages {
		return fault.Wrap(fault.Internal, cause, "more than %d rows do not open", maxDamages).WithHint("run: keyturn audit verify --deep")
	}
	if p.damaged == nil {
		p.damaged = map[string][]string{}
	}
	p.damaged[table] = append(p.damaged[table], id)
	p.all = append(p.all, fmt.Sprintf("%s %s", table, id))
	return nil
}

// text names them for people.
func (p *Pass) text() string {
	const named = 5
	switch n := len(p.all); {
	case n == 0:
		return ""
	case n <= named:
		return "does not open: " + strings.Join(p.all, ", ")
	default:
		return fmt.Sprintf("%d rows do not open, the first are: %s", n, strings.Join(p.all[:named], ", "))
	}
}
