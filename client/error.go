package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/keyturn/keyturn/api"
)

// Kind is a sort of failure, as the server tells it. Kinds are errors, so that errors.Is(err, client.NotFound) works.
type Kind string

// The kinds.
const (
	Invalid         Kind = "invalid"
	Unauthenticated Kind = "unauthenticated"
	Denied          Kind = "denied"
	NotFound        Kind = "not_found"
	Exists          Kind = "exists"
	Conflict        Kind = "conflict"
	Expired         Kind = "expired"
	Exhausted       Kind = "exhausted"
	Sealed          Kind = "sealed"
	Unavailable     Kind = "unavailable"
	Unsupported     Kind = "unsupported"
	Internal        Kind = "internal"
)

// The reasons that a [Error] may have, for programs that can mend it by themselves.
const (
	ReasonSecondFactor   = "second_factor"  // log in again with a code
	ReasonReauthenticate = "reauthenticate" // [Client.Reauth], then the same again; see [WithReauth]
	ReasonEnrolFactor    = "enrol_factor"   // enrol a second factor first
)

// Error implements error for the bare kind.
func (k Kind) Error() string { return string(k) }

// Error is a failure that the server told.
type Error struct {
	api.Problem
	// RetryAfter is what the server asks to wait; zero when it says nothing.
	RetryAfter time.Duration
}

// Error gives the sentence, without hint and fields.
func (e *Error) Error() string { return e.Detail }

// Is matches a [Kind].
func (e *Error) Is(target error) bool {
	k, ok := target.(Kind)
	return ok && string(k) == e.Kind
}

// ErrUnreachable is what errors.Is finds when no server answered: no route, refused, timed out, cut off, or a gateway that
// reached nobody.
var ErrUnreachable = errors.New("the server cannot be reached")

// unreachable is a failure of transport.
type unreachable struct {
	server string
	cause  error
	sent   bool // a write may have reached the server
}

func (e *unreachable) Error() string {
	text := fmt.Sprintf("%s cannot be reached: %v", e.server, e.cause)
	if e.sent {
		text += "; whether the change was made is not known"
	}
	return text
}

func (e *unreachable) Is(target error) bool { return target == ErrUnreachable }
func (e *unreachable) Unwrap() error        { return e.cause }

// bare takes the address off an error of net/http: it repeats the query.
func bare(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// refused tells whether the request never left: nobody listened.
func refused(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}

// problem reads the body of an answer that is no success.
func (c *Client) problem(resp *http.Response) error {
	if kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err == nil && kind == "application/problem+json" {
		e := &Error{}
		if b, err := io.ReadAll(io.LimitReader(resp.Body, maxProblem)); err == nil && json.Unmarshal(b, &e.Problem) == nil && e.Kind != "" {
			if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s > 0 {
				e.RetryAfter = time.Duration(s) * time.Second
			}
			return e
		}
	}
	switch resp.StatusCode {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return &unreachable{server: c.base, cause: fmt.Errorf("a gateway answered %d", resp.StatusCode)}
	}
	return fmt.Errorf("%s answered %d and nothing that Keyturn says: is it the right address?", c.base, resp.StatusCode)
}
