package backup

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/keyturn/keyturn/internal/fault"
)

// Keep says which backups stay when others have become old: of each of the last so many hours, days, weeks, months and years
// that have a backup, the newest.
type Keep struct{ rules []keepRule }

type keepRule struct {
	count int
	unit  byte // h, d, w, m, y
}

// DefaultKeep holds a week in days, a month in weeks, and a year in months.
const DefaultKeep = "7d,5w,12m"

// maxKept bounds the number of one rule: more is a slip of the finger, or a wish to keep all.
const maxKept = 10_000

// ParseKeep reads rules such as "7d,5w,12m", "all" or nothing.
func ParseKeep(text string) (Keep, error) {
	wrong := fault.New(fault.Invalid, "want which backups stay, such as %s: hours (h), days (d), weeks (w), months (m), years (y); or all", DefaultKeep)
	var k Keep
	if text == "all" || text == "" {
		return k, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		if len(part) < 2 || !strings.ContainsRune("hdwmy", rune(part[len(part)-1])) {
			return Keep{}, wrong
		}
		n, err := strconv.Atoi(part[:len(part)-1])
		if err != nil || n < 1 || n > maxKept || part[0] == '+' {
			return Keep{}, wrong
		}
		k.rules = append(k.rules, keepRule{n, part[len(part)-1]})
	}
	return k, nil
}

// String writes the rules as ParseKeep reads them.
func (k Keep) String() string {
	if len(k.rules) == 0 {
		return "all"
	}
	var parts []string
	for _, r := range k.rules {
		parts = append(parts, strconv.Itoa(r.count)+string(r.unit))
	}
	return strings.Join(parts, ",")
}

// kept is one backup as retention looks at it.
type kept struct {
	id   string
	at   time.Time
	good bool // a verification or drill found it sound
}

// drop gives the ids of those that may go. The newest stays always, and the newest that was proved.
func (k Keep) drop(all []kept) []string {
	if len(k.rules) == 0 || len(all) == 0 {
		return nil
	}
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b kept) int { return cmp.Or(b.at.Compare(a.at), cmp.Compare(b.id, a.id)) })
	stay := map[string]bool{all[0].id: true}
	for _, b := range all {
		if b.good {
			stay[b.id] = true
			break
		}
	}
	for _, rule := range k.rules {
		last, seen := "", 0
		for _, b := range all {
			period := rule.period(b.at)
			if period == last {
				continue
			}
			if seen++; seen > rule.count {
				break
			}
			last, stay[b.id] = period, true
		}
	}
	var out []string
	for _, b := range all {
		if !stay[b.id] {
			out = append(out, b.id)
		}
	}
	return out
}

// period names the hour, day, ISO week, month or year of a time, UTC.
func (r keepRule) period(t time.Time) string {
	t = t.UTC()
	switch r.unit {
	case 'h':
		return t.Format("2006-01-02T15")
	case 'd':
		return t.Format(time.DateOnly)
	case 'w':
		year, week := t.ISOWeek()
		return strconv.Itoa(year) + "W" + strconv.Itoa(week)
	case 'm':
		return t.Format("2006-01")
	}
	return t.Format("2006")
}
