package vault

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/keyturn/keyturn/internal/access"
	"github.com/keyturn/keyturn/internal/fault"
)

// authToken answers the calls on tokens.
func (s *Surface) authToken(ctx context.Context, c *call) (*reply, error) {
	rest, _ := c.below("auth/token/")
	op, name, named := strings.Cut(rest, "/")
	switch {
	case op == "roles":
		return s.tokenRoles(ctx, c, name)
	case op == "create" && c.verb == verbWrite && (!named || name != "" && !strings.Contains(name, "/")):
		return s.createToken(ctx, c, access.ChildInput{Role: name})
	case named:
		return nil, nothing(c)
	case op == "lookup-self" && (c.verb == verbRead || c.verb == verbWrite):
		return s.lookUpToken(ctx, c, access.Which{})
	case op == "accessors" && c.verb == verbList:
		return s.listAccessors(ctx)
	}
	if c.verb != verbWrite && op != "lookup" {
		return nil, unsupported()
	}
	switch op {
	case "create-orphan":
		return s.createToken(ctx, c, access.ChildInput{Orphan: true})
	case "lookup", "lookup-accessor", "renew", "renew-accessor", "revoke", "revoke-orphan", "revoke-accessor":
		which, err := whichToken(c, op)
		if err != nil {
			return nil, err
		}
		switch verb, _, _ := strings.Cut(op, "-"); verb {
		case "lookup":
			return s.lookUpToken(ctx, c, which)
		case "renew":
			return s.renewToken(ctx, c, which)
		}
		return s.revokeToken(ctx, which, op == "revoke-orphan")
	case "renew-self":
		return s.renewToken(ctx, c, access.Which{})
	case "revoke-self":
		return nil, s.Access.EndToken(ctx, access.Which{}, false)
	case "tidy":
		if err := s.Access.AskManager(ctx, "tidy"); err != nil {
			return nil, err
		}
		return &reply{status: http.StatusAccepted, warnings: []string{"Nothing to do: the server clears what has ended by itself."}}, nil
	}
	return nil, nothing(c)
}

// whichToken reads which token a call is about.
func whichToken(c *call, op string) (access.Which, error) {
	var which access.Which
	var err error
	if strings.HasSuffix(op, "-accessor") {
		which.Accessor, err = c.fields.text("accessor")
		if err == nil && which.Accessor == "" {
			err = bad("missing accessor")
		}
		return which, err
	}
	which.Token, err = c.fields.text("token")
	if err == nil && which.Token == "" && op != "lookup" {
		err = bad("missing token ID")
	}
	return which, err
}

// createToken makes a token.
func (s *Surface) createToken(ctx context.Context, c *call, in access.ChildInput) (*reply, error) {
	for _, name := range []string{"id", "entity_alias"} {
		text, err := c.fields.text(name)
		if err != nil {
			return nil, err
		}
		if text != "" {
			return nil, fault.New(fault.Unsupported, "field %q cannot be kept: the server chooses it", name).WithHint("leave it out")
		}
	}
	r := reader{fields: c.fields}
	in.Policies, in.Meta = r.list("policies"), r.texts("meta")
	if len(in.Policies) == 0 {
		in.Policies = nil
	}
	in.TTL = r.duration("ttl")
	if in.TTL == 0 {
		in.TTL = r.duration("lease") // its old name
	}
	in.ExplicitMax, in.Period = r.duration("explicit_max_ttl"), r.duration("period")
	in.Display, in.Uses = r.text("display_name"), r.integer("num_uses")
	in.NotRenewable, in.NoDefault = !r.boolean("renewable", true), r.boolean("no_default_policy", false)
	in.Orphan = r.boolean("no_parent", false) || in.Orphan
	switch r.text("type") {
	case "", typeService:
	case typeBatch:
		in.Batch = true
	default:
		return nil, bad("invalid 'type' value")
	}
	if r.err != nil {
		return nil, r.err
	}
	made, warnings, err := s.Access.CreateChild(ctx, in)
	if err != nil {
		return nil, tokenFault(err, "")
	}
	return s.session(ctx, made, warnings...)
}

// reader reads fields one after the other and keeps the first fault.
type reader struct {
	fields fields
	err    error
}

func keep[T any](r *reader, v T, err error) T {
	if r.err == nil {
		r.err = err
	}
	return v
}

func (r *reader) text(name string) string {
	v, err := r.fields.text(name)
	return keep(r, v, err)
}

func (r *reader) integer(name string) int64 {
	v, err := r.fields.integer(name)
	return keep(r, v, err)
}

func (r *reader) boolean(name string, otherwise bool) bool {
	v, err := r.fields.boolean(name, otherwise)
	return keep(r, v, err)
}

func (r *reader) list(name string) []string {
	v, err := r.fields.list(name)
	return keep(r, v, err)
}

func (r *reader) texts(name string) map[string]string {
	v, err := r.fields.texts(name)
	return keep(r, v, err)
}

func (r *reader) duration(name string) time.Duration {
	v, err := r.fields.duration(name)
	return keep(r, v, err)
}

// tokenFault gives a fault in the words that clients know. gone is what they read when there is no such token.
func tokenFault(err error, gone string) error {
	switch {
	case errors.Is(err, access.ErrNotSubset):
		return bad(fault.As(err).Message)
	case errors.Is(err, access.ErrNotRenewable):
		return bad("lease is not renewable")
	case errors.Is(err, access.ErrNoToken):
		return bad(gone)
	}
	return err
}

func (s *Surface) renewToken(ctx context.Context, c *call, which access.Which) (*reply, error) {
	increment, err := c.fields.duration("increment")
	if err != nil {
		return nil, err
	}
	renewed, err := s.Access.RenewToken(ctx, which, increment)
	if which.Accessor != "" && errors.Is(err, access.ErrNoToken) {
		return nil, &shaped{status: http.StatusForbidden, messages: []string{"invalid accessor"}}
	}
	if err != nil {
		return nil, tokenFault(err, "token not found")
	}
	out, err := s.session(ctx, renewed)
	if err == nil && which.Accessor == "" {
		out.auth.ClientToken = which.Token
		if which.Token == "" {
			out.auth.ClientToken = c.token
		}
	}
	return out, err
}

func (s *Surface) revokeToken(ctx context.Context, which access.Which, orphaning bool) (*reply, error) {
	err := s.Access.EndToken(ctx, which, orphaning)
	if which.Accessor != "" && errors.Is(err, access.ErrNoToken) {
		return &reply{warnings: []string{"No token found with this accessor"}}, nil
	}
	return nil, tokenFault(err, "token to revoke not found")
}

func (s *Surface) listAccessors(ctx context.Context) (*reply, error) {
	keys, err := s.Access.Accessors(ctx)
	if err != nil {
		return nil, err
	}
	return &reply{data: map[string]any{"keys": keys}}, nil
}
