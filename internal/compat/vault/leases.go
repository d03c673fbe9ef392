package vault

import (
	"context"
	"strings"
	"time"

	"github.com/keyturn/keyturn/internal/fault"
)

// Lease is something that an engine handed out for a time. Times are unix milliseconds.
type Lease struct {
	ID                             string
	IssuedAt, ExpiresAt, RenewedAt int64 // RenewedAt 0: never
	Renewable                      bool
}

// Leases are what engines have handed out. Each method judges and records by itself whether the caller may do it. What is not there
// is [fault.NotFound], what cannot be renewed [fault.Conflict].
type Leases interface {
	LookUp(ctx context.Context, id string) (Lease, error)
	Renew(ctx context.Context, id string, increment time.Duration) (Lease, error)
	// Revoke ends one; one that is not there is no error.
	Revoke(ctx context.Context, id string) error
	// RevokePrefix ends all whose id begins with the prefix. With force it forgets those that the engine cannot end.
	RevokePrefix(ctx context.Context, prefix string, force bool) error
	// List gives what lies directly below a prefix: names, and folders with a slash at their end.
	List(ctx context.Context, prefix string) ([]string, error)
}

// isLeases tells whether a path is about leases, in the spelling of today or the old one.
func isLeases(path string) bool {
	for _, root := range []string{"sys/leases", "sys/renew", "sys/revoke", "sys/revoke-prefix", "sys/revoke-force"} {
		if path == root || strings.HasPrefix(path, root+"/") {
			return true
		}
	}
	return false
}

// sysLeases answers the calls on leases.
func (s *Surface) sysLeases(ctx context.Context, c *call) (*reply, error) {
	op, rest, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(c.path, "sys/leases/"), "sys/"), "/")
	var leases Leases = noLeases{s}
	if s.Leases != nil {
		leases = s.Leases
	}
	if op == "lookup" && c.verb == verbList {
		keys, err := leases.List(ctx, rest)
		if err == nil && len(keys) == 0 {
			err = nothing(c)
		}
		return &reply{data: map[string]any{"keys": keys}}, err
	}
	switch op {
	case "lookup", "renew", "revoke", "revoke-prefix", "revoke-force", "tidy":
	default:
		return nil, nothing(c)
	}
	if c.verb != verbWrite {
		return nil, unsupported()
	}
	switch op {
	case "tidy":
		return nil, s.Access.AskManager(ctx, "leases tidy")
	case "revoke-prefix", "revoke-force":
		if rest == "" {
			return nil, unsupported()
		}
		return nil, leases.RevokePrefix(ctx, rest, op == "revoke-force")
	}
	id, err := c.fields.text("lease_id")
	if err == nil && id == "" {
		id = rest
	}
	if err == nil && id == "" {
		err = bad("lease_id must be specified")
	}
	if err != nil {
		return nil, err
	}
	switch op {
	case "lookup":
		found, err := leases.LookUp(ctx, id)
		if fault.KindOf(err) == fault.NotFound && err != nil {
			err = bad("invalid lease")
		}
		return &reply{data: found.data(time.Now())}, err
	case "revoke":
		if _, err := c.fields.boolean("sync", true); err != nil {
			return nil, err
		}
		return nil, leases.Revoke(ctx, id)
	}
	increment, err := c.fields.duration("increment")
	if err != nil {
		return nil, err
	}
	renewed, err := leases.Renew(ctx, id, increment)
	switch k := fault.KindOf(err); {
	case err == nil:
	case k == fault.NotFound:
		err = bad("lease not found")
	case k == fault.Conflict:
		err = bad("lease is not renewable")
	}
	return &reply{lease: lease{renewed.ID, renewed.Renewable, time.Duration(renewed.ExpiresAt-time.Now().UnixMilli()) * time.Millisecond}}, err
}

func (l Lease) data(now time.Time) map[string]any {
	data := map[string]any{"id": l.ID, "issue_time": stamp(l.IssuedAt), "expire_time": stamp(l.ExpiresAt), "last_renewal": nil, "renewable": l.Renewable,
		"ttl": max((l.ExpiresAt-now.UnixMilli())/1000, 0)}
	if l.RenewedAt != 0 {
		data["last_renewal"] = stamp(l.RenewedAt)
	}
	return data
}

// noLeases is what there is before any engine hands something out. Who asks is recorded all the same.
type noLeases struct{ s *Surface }

func noLease() error { return fault.New(fault.NotFound, "no such lease") }

// LookUp implements [Leases].
func (n noLeases) LookUp(ctx context.Context, _ string) (Lease, error) {
	if err := n.s.Access.Ask(ctx, "lease"); err != nil {
		return Lease{}, err
	}
	return Lease{}, noLease()
}

// Renew implements [Leases].
func (n noLeases) Renew(ctx context.Context, id string, _ time.Duration) (Lease, error) {
	return n.LookUp(ctx, id)
}

// Revoke implements [Leases].
func (n noLeases) Revoke(ctx context.Context, _ string) error {
	return n.s.Access.Ask(ctx, "lease revoke")
}

// RevokePrefix implements [Leases].
func (n noLeases) RevokePrefix(ctx context.Context, _ string, _ bool) error {
	return n.s.Access.AskManager(ctx, "leases revoke")
}

// List implements [Leases].
func (n noLeases) List(ctx context.Context, _ string) ([]string, error) {
	return nil, n.s.Access.AskManager(ctx, "leases")
}
