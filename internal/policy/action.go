package policy

// actionSet holds actions by their place in [Actions].
type actionSet [2]uint64

func (s *actionSet) add(i int)      { s[i/64] |= 1 << (i % 64) }
func (s *actionSet) has(i int) bool { return s[i/64]&(1<<(i%64)) != 0 }

// actionIndex gives the place of an action in [Actions].
var actionIndex = func() map[Action]int {
	out := make(map[Action]int, len(Actions))
	for i, a := range Actions {
		out[a.Action] = i
	}
	return out
}()

// indexOf gives the place of an action, -1 for one that is not listed.
func indexOf(a Action) int {
	if i, ok := actionIndex[a]; ok {
		return i
	}
	return -1
}

// actionsOf gives the actions that fit one of the patterns, and whether one of them takes in everything.
func actionsOf(patterns []string) (set actionSet, all bool) {
	for _, p := range patterns {
		all = all || p == "*"
		if i, ok := actionIndex[Action(p)]; ok {
			set.add(i)
			continue
		}
		for i, a := range Actions {
			if fits(p, string(a.Action)) {
				set.add(i)
			}
		}
	}
	return set, all
}
