package keyring

// State is where a key stands in its life.
//
//	pending ─→ primary ⇄ active ⇄ retired ─→ destroyed
//	   └───────────────────────────↗
type State string

// The states. The states of key sets in Tink and of NIST SP 800-57 part 1, section 7, are the models.
const (
	StatePending   State = "pending"   // made and loaded everywhere, seals nothing yet
	StatePrimary   State = "primary"   // seals and opens; at most one per layer and project
	StateActive    State = "active"    // opens only, while its envelopes are moved to the primary
	StateRetired   State = "retired"   // believed unused; still opens, so that a missed envelope is not lost
	StateDestroyed State = "destroyed" // the key is gone, its row stays as history
)

// next holds the allowed steps. Retired is the only door to destroyed, because the census stands before that door; the
// steps backwards exist so that a turn can be taken back until then.
func (s State) next() []State {
	switch s {
	case StatePending:
		return []State{StatePrimary, StateRetired}
	case StatePrimary:
		return []State{StateActive}
	case StateActive:
		return []State{StatePrimary, StateRetired}
	case StateRetired:
		return []State{StateActive, StateDestroyed}
	default:
		return nil
	}
}

// CanBecome tells whether a key may step from s to t. Staying is not a step.
func (s State) CanBecome(t State) bool {
	for _, n := range s.next() {
		if n == t {
			return true
		}
	}
	return false
}

// CanSeal tells whether new envelopes may be made under a key in this state.
func (s State) CanSeal() bool { return s == StatePrimary }

// CanOpen tells whether envelopes may be opened under a key in this state.
func (s State) CanOpen() bool { return s.known() && s != StateDestroyed }

func (s State) known() bool {
	switch s {
	case StatePending, StatePrimary, StateActive, StateRetired, StateDestroyed:
		return true
	}
	return false
}

// reaches tells whether t can follow s in any number of steps, none included: a server that slept may have missed some.
// Every state reaches every other, except that nothing leaves destroyed and nothing returns to pending.
func (s State) reaches(t State) bool {
	return s == t || (s != StateDestroyed && t != StatePending)
}
