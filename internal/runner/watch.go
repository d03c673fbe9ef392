package runner

import (
	"os"
	"time"
)

// supervisor keeps one child at a time. All fields belong to the goroutine of run.
type supervisor struct {
	path      string
	stdin     *os.File
	grace     time.Duration
	hide      masking
	platform  platform
	signals   <-chan os.Signal
	release   func() // gives the signals back
	changes   <-chan []Var
	cancelled <-chan struct{}
	gaveUp    bool // ctx ended before the child

	child    *child
	next     *Options         // what to start after this child; nil if nothing changed
	nextEnv  []string         // of next
	stopping bool             // we asked the child to end
	ending   bool             // whatever happens, no restart
	asked    time.Time        // when a signal last asked the child to end
	wait     <-chan time.Time // when a postponed change may go ahead
	killAt   <-chan time.Time // when patience ends
}

// run starts the command and returns how the last child ended.
func (s *supervisor) run(o Options, env []string) (ending, error) {
	for {
		var err error
		if s.child, err = start(o, s.path, env, s.stdin, s.hide, s.platform); err != nil {
			return ending{}, err
		}
		s.next, s.stopping, s.wait, s.killAt, s.asked = nil, false, nil, nil, time.Time{}
		end := s.tend(o)
		if s.stopping {
			s.clearGroup()
		}
		if !s.stopping || s.ending || s.next == nil {
			s.release() // while the last output is written, signals are for us again
			s.child.close()
			return end, nil
		}
		s.child.close()
		o.logf("restarting %s with changed variables", o.Args[0])
		old := o.secrets()
		o, env = *s.next, s.nextEnv
		// What the last child knew may still lie in files and answers that the new one shows.
		s.hide.values = append(o.secrets(), old...)
	}
}

// tend looks after the child until it ends.
func (s *supervisor) tend(o Options) ending {
	for {
		select {
		case end := <-s.child.exited:
			return end
		case sig := <-s.signals:
			s.heard(sig)
		case vars, open := <-s.changes:
			if !open {
				s.changes = nil
				continue
			}
			s.changed(vars, o)
		case <-s.wait:
			s.wait = nil
			s.stop()
		case <-s.cancelled:
			s.cancelled, s.ending, s.gaveUp = nil, true, true
			s.stop()
		case <-s.killAt:
			s.child.kill()
		}
	}
}

func (s *supervisor) heard(sig os.Signal) {
	s.child.forward(sig)
	if s.child.asksToEnd(sig) {
		s.asked = time.Now()
		s.ending = s.ending || s.stopping
	}
}

// changed takes note of new variables for the child that runs with o.
func (s *supervisor) changed(vars []Var, o Options) {
	if sameVars(o.Vars, vars) && !s.stopping {
		s.next, s.wait = nil, nil // changed and changed back before anything happened
		return
	}
	o.Vars = vars
	env, err := Environ(o)
	if err != nil {
		o.logf("keeping %s as it runs: %v", o.Args[0], err)
		return
	}
	s.next, s.nextEnv = &o, env
	if since := time.Since(s.asked); !s.asked.IsZero() && since < s.grace {
		s.wait = time.After(s.grace - since)
		return
	}
	s.stop()
}

// stop asks the child to end, once.
func (s *supervisor) stop() {
	if !s.stopping {
		s.stopping = true
		s.killAt = time.After(s.grace)
		s.child.terminate()
	}
}

// unkillable bounds the wait for processes that even SIGKILL does not end: the dead that their parents never collect.
const unkillable = time.Second

// clearGroup waits until all that a stopped child had started is gone too: a server behind a wrapper would keep its port.
func (s *supervisor) clearGroup() {
	tick := time.NewTicker(leftoverPoll)
	defer tick.Stop()
	var enough <-chan time.Time
	for s.child.leftovers() {
		select {
		case <-tick.C:
		case sig := <-s.signals:
			s.ending = s.ending || s.child.asksToEnd(sig)
		case <-s.cancelled:
			s.cancelled, s.ending, s.gaveUp = nil, true, true
		case <-s.killAt:
			s.child.killLeftovers()
			enough = time.After(unkillable)
		case <-enough:
			return
		}
	}
}
