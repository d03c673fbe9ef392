package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/fault"
)

func TestEachKindHasItsExitCodeWhereverItComesFrom(t *testing.T) {
	for kind, want := range map[fault.Kind]int{
		fault.Internal: 1, fault.Invalid: 2, fault.Unauthenticated: 3, fault.Denied: 4, fault.NotFound: 5, fault.Exists: 6, fault.Conflict: 6,
		fault.Expired: 7, fault.Exhausted: 8, fault.Sealed: 9, fault.Unavailable: 10, fault.Unsupported: 11, "unheard of": 1,
	} {
		here := fmt.Errorf("around: %w", fault.New(kind, "what"))
		there := fmt.Errorf("around: %w", &client.Error{Problem: api.Problem{Kind: string(kind), Detail: "what"}})
		if got := exitCode(here); got != want {
			t.Errorf("%s from here: %d, want %d", kind, got, want)
		}
		if got := exitCode(there); got != want {
			t.Errorf("%s from the server: %d, want %d", kind, got, want)
		}
	}
	for _, tt := range []struct {
		err  error
		want int
	}{
		{nil, 0}, {errors.New("foreign"), 1}, {errDeclined, 1}, {&usageError{"what", "keyturn"}, 2}, {client.ErrUnreachable, 10},
		{context.DeadlineExceeded, 10}, {checkFailed("", "the log forked"), 12}, {exitWith(0), 0}, {exitWith(77), 77}, {context.Canceled, 130},
	} {
		if got := exitCode(tt.err); got != tt.want {
			t.Errorf("%v: %d, want %d", tt.err, got, tt.want)
		}
	}
}

func TestTheHelpTellsEveryExitCode(t *testing.T) {
	for _, code := range []int{exitOK, exitInternal, exitInvalid, exitUnauthenticated, exitDenied, exitNotFound, exitConflict, exitExpired,
		exitExhausted, exitSealed, exitUnavailable, exitUnsupported, exitCheck, exitInterrupted} {
		if !strings.Contains(exitHelp, fmt.Sprintf("\n%5d  ", code)) {
			t.Errorf("the help says nothing of %d", code)
		}
	}
}

func TestAnErrorIsToldWithItsPlaceAndTheNextStep(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{
		{fault.New(fault.Invalid, "no project is named").WithHint("add --project").WithField("line 3", "empty"),
			"keyturn: no project is named\n  line 3: empty\n  next: add --project\n"},
		{&client.Error{Problem: api.Problem{Kind: "internal", Detail: "something went wrong", Instance: "0198"}},
			"keyturn: something went wrong\n  next: the server's log tells more under request 0198\n"},
		{&client.Error{Problem: api.Problem{Kind: "denied", Detail: "esc \x1b[31m", Fields: []api.FieldProblem{{Where: "/a", Problem: "b\nc"}}}},
			"keyturn: esc \ufffd[31m\n  /a: b c\n"},
		{&usageError{"say what to do", "keyturn project"}, "keyturn: say what to do\n  next: keyturn project --help\n"},
		{checkFailed("keep both checkpoints", "the log forked"), "keyturn: the log forked\n  next: keep both checkpoints\n"},
		{context.Canceled, "keyturn: interrupted\n"},
		{exitWith(3), ""},
	} {
		var b bytes.Buffer
		testApp(t).explain(&b, tt.err)
		if b.String() != tt.want {
			t.Errorf("got\n%swant\n%s", b.String(), tt.want)
		}
	}
}

// A mistake on the command line is a fault of usage; what a command meets later is not.
func TestMistakesOnTheCommandLineAreUsage(t *testing.T) {
	for _, args := range [][]string{
		{"nothing"}, {"project"}, {"project", "nothing"}, {"get"}, {"version", "extra"}, {"--nothing"}, {"version", "--json=perhaps"},
		{"token", "create", "--ttl", "1h"}, {"login", "--email", "a", "--client-id", "b"}, {"SECRET=test-value"}, {"version", "SECRET=test-value"},
	} {
		a := testApp(t)
		if code := a.execute(t.Context(), args); code != exitInvalid {
			t.Errorf("%q gives %d", args, code)
		}
		said := a.err.(*bytes.Buffer).String()
		if !strings.Contains(said, "  next: ") || strings.Contains(said, "test-value") {
			t.Errorf("%q says %q", args, said)
		}
		if a.out.(*bytes.Buffer).Len() > 0 {
			t.Errorf("%q prints on standard output", args)
		}
	}
}
