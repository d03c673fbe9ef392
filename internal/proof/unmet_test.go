//go:build unmet

package proof

import "testing"

// What stands here is promised and not kept yet. A defect that is mended moves its rows into the tables of the other files.

var unmetCrimes = []crime{
	{name: "a value thrown away as if it were purged", named: []string{"secret {A}/3"}, do: func(t *testing.T, v *victim) {
		v.exec(t, "UPDATE secret SET value = NULL, comment = NULL, digest = NULL WHERE id = '{A}'")
	}},
	{name: "a comment thrown away", named: []string{"secret {A}/3"}, do: func(t *testing.T, v *victim) {
		v.exec(t, "UPDATE secret SET comment = NULL WHERE id = '{A}'")
	}},
	{name: "an older personal value put back", named: []string{"personal {PERSONAL}"}, do: func(t *testing.T, v *victim) {
		old := v.row(t, v.old, "SELECT value FROM personal WHERE id = '{PERSONAL}'")
		v.exec(t, "UPDATE personal SET value = ? WHERE id = '{PERSONAL}'", old...)
	}},
}

func TestUnmetDataChangedBehindTheServersBackIsNamed(t *testing.T) {
	sc := buildScene(t)
	for _, c := range unmetCrimes {
		t.Run(c.name, func(t *testing.T) { c.comesToLight(t, sc) })
	}
}
