package fault_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/keyturn/keyturn/internal/fault"
)

func TestKindsAreFoundThroughWrapping(t *testing.T) {
	err := fmt.Errorf("/backend/KEY: %w", fault.Wrap(fault.Invalid, errors.New("a private cause"), "not a cadence").WithHint("say 90d").WithField("/x", "bad"))
	if !errors.Is(err, fault.Invalid) || errors.Is(err, fault.NotFound) || fault.KindOf(err) != fault.Invalid {
		t.Fatal("the kind is not found")
	}
	f := fault.As(err)
	if f.Message != "/backend/KEY: not a cadence" {
		t.Errorf("message is %q", f.Message)
	}
	if f.Hint != "say 90d" || len(f.Fields) != 1 {
		t.Error("hint or fields were lost")
	}
}

func TestForeignErrorsAreInternalAndSayNothing(t *testing.T) {
	f := fault.As(errors.New("a private cause"))
	if f.Kind != fault.Internal || f.Message != "something went wrong inside the server" {
		t.Errorf("got %s: %s", f.Kind, f.Message)
	}
	if fault.As(fault.Conflict).Kind != fault.Conflict {
		t.Error("a bare kind is lost")
	}
	if got := fault.Wrap(fault.Unavailable, errors.New("why"), "what").Error(); got != "what: why" {
		t.Errorf("the log sees %q", got)
	}
}
