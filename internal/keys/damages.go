package keys

import (
	"fmt"
	"strings"

	"github.com/keyturn/keyturn/internal/fault"
)

// maxDamages bounds how many rows a turn passes over: more means that something is wrong with all of them, and that somebody
// should look before anything goes on.
const maxDamages = 100

// Damages are rows that do not open. A turn goes on around them, and their key is not destroyed: a repaired row must open.
type Damages struct {
	ids map[string][]string // by table
	all []string            // in words
}

// In lists the damaged rows of a table by id.
func (d *Damages) In(table string) []string { return d.ids[table] }

// Add notes one more. Too many are [fault.Internal].
func (d *Damages) Add(table, id string, cause error) error {
	if len(d.all) >= maxDamages {
		return fault.Wrap(fault.Internal, cause, "more than %d rows do not open", maxDamages).WithHint("run: keyturn audit verify --deep")
	}
	if d.ids == nil {
		d.ids = map[string][]string{}
	}
	d.ids[table] = append(d.ids[table], id)
	d.all = append(d.all, fmt.Sprintf("%s %s", table, id))
	return nil
}

// text names them for people.
func (d *Damages) text() string {
	const named = 5
	switch n := len(d.all); {
	case n == 0:
		return ""
	case n <= named:
		return "does not open: " + strings.Join(d.all, ", ")
	default:
		return fmt.Sprintf("%d rows do not open, the first are: %s", n, strings.Join(d.all[:named], ", "))
	}
}
