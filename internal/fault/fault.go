// Package fault is the one error type that crosses package borders: a kind that decides status and exit code, a sentence
// for the user, and a cause that only the log sees.
package fault

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Kind says what sort of failure it is. Kinds are errors themselves, so that errors.Is(err, fault.NotFound) works.
type Kind string

// The kinds. Surfaces map each to their own status; no other place knows status codes.
const (
	Invalid         Kind = "invalid"         // the request is wrong and will stay wrong
	Unauthenticated Kind = "unauthenticated" // no credential, or one that is not known
	Denied          Kind = "denied"          // known, but may not
	NotFound        Kind = "not_found"       // no such thing, or no right to know of it
	Exists          Kind = "exists"          // the name is taken
	Conflict        Kind = "conflict"        // changed meanwhile
	Expired         Kind = "expired"         // was valid once
	Exhausted       Kind = "exhausted"       // a limit, rate or quota is reached
	Sealed          Kind = "sealed"          // the root key is missing or wrong
	Unavailable     Kind = "unavailable"     // a dependency fails; may be retried
	Unsupported     Kind = "unsupported"     // not a thing that this server does
	Internal        Kind = "internal"        // a defect of ours
)

// Error implements error for the bare kind.
func (k Kind) Error() string { return string(k) }

// Field names one wrong input. It never holds the rejected value.
type Field struct {
	Where   string `json:"where"`   // JSON pointer, flag name or file:line
	Problem string `json:"problem"` // what is wrong and what would be right
}

// Error is a failure with all that a user needs to mend it.
type Error struct {
	Kind       Kind
	Message    string        // lower case, no full stop, no secret, names the object
	Hint       string        // the next step, may be empty
	Reason     string        // for clients that can mend it by themselves: a stable word, one of the Reason constants, or empty
	Fields     []Field       // may be empty
	RetryAfter time.Duration // only for Exhausted and Unavailable; zero means unknown
	cause      error         // for the log only
}

// New makes an error of kind k. The format must not print a secret.
func New(k Kind, format string, args ...any) *Error {
	return &Error{Kind: k, Message: fmt.Sprintf(format, args...)}
}

// Wrap makes an error of kind k around a cause that only the log shows.
func Wrap(k Kind, cause error, format string, args ...any) *Error {
	e := New(k, format, args...)
	e.cause = cause
	return e
}

// WithHint returns e with the next step for the user.
func (e *Error) WithHint(format string, args ...any) *Error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

// What a client can mend by itself: it asks the person for a code or a password and tries again.
const (
	ReasonSecondFactor = "second_factor"  // the login was right so far and needs a code
	ReasonReprove      = "reauthenticate" // the session is too old for this: prove again who you are
	ReasonEnrol        = "enrol_factor"   // the organisation asks for a second factor, and there is none yet
)

// WithReason returns e with the word by which clients know what to do.
func (e *Error) WithReason(reason string) *Error {
	e.Reason = reason
	return e
}

// WithField returns e with one more wrong input.
func (e *Error) WithField(where, format string, args ...any) *Error {
	e.Fields = append(e.Fields, Field{where, fmt.Sprintf(format, args...)})
	return e
}

// Error shows kind, message and cause. Surfaces use Message and Hint instead.
func (e *Error) Error() string {
	if e.cause != nil {
		return e.Message + ": " + e.cause.Error()
	}
	return e.Message
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.cause }

// Is matches the kind.
func (e *Error) Is(target error) bool {
	k, ok := target.(Kind)
	return ok && k == e.Kind
}

// As finds the outermost fault in err, or makes an [Internal] one around it. What was said in front of it on the way up, by
// fmt.Errorf("name: %w"), stays in front of its message.
func As(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		if said, ok := strings.CutSuffix(err.Error(), e.Error()); ok && said != "" {
			named := *e
			named.Message = said + e.Message
			return &named
		}
		return e
	}
	if k, ok := errors.AsType[Kind](err); ok {
		return &Error{Kind: k, Message: string(k), cause: err}
	}
	return Wrap(Internal, err, "something went wrong inside the server")
}

// KindOf tells the kind of err, [Internal] for foreign errors.
func KindOf(err error) Kind { return As(err).Kind }
