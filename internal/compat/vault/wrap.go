package vault

import (
	"context"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/keyturn/keyturn/internal/access"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/httpkit"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// mayWrap refuses, before the request is run, what could not be wrapped afterwards.
func (s *Surface) mayWrap(c *call) error {
	switch c.path {
	case "sys/wrapping/unwrap", "sys/wrapping/lookup", "sys/wrapping/rewrap", oldResponse:
		return fault.New(fault.Invalid, "this answer is not wrapped again: leave X-Vault-Wrap-TTL out, or use sys/wrapping/rewrap")
	}
	return s.Access.CheckWrap(c.wrap)
}

// wrapped puts an answer under a token of its own, which opens it once, and gives what is answered in its place. What has no
// envelope is answered as it is.
func (s *Surface) wrapped(ctx context.Context, c *call, a *reply) (*reply, error) {
	if a == nil {
		a = &reply{}
	}
	if a.sent || a.bare != nil || a.wrap != nil || a.status >= http.StatusBadRequest {
		return a, nil
	}
	content, err := a.envelope("")
	if err != nil {
		return nil, err
	}
	if a.empty() {
		content = []byte("null")
	}
	in := access.AnswerInput{Path: shownPath(c.path), Answer: sensitive.New(content), TTL: c.wrap, Accessor: a.accessor, Made: a.made}
	if in.Accessor == "" && a.made != nil {
		in.Accessor = access.Accessor(*a.made)
	}
	row, token, err := s.Access.WrapAnswer(ctx, in)
	if err != nil {
		return nil, err
	}
	return &reply{wrap: wrapOf(row, token)}, nil
}

// maxShownPath bounds a path that an answer repeats, in bytes: the front takes no longer URL.
const maxShownPath = 8 << 10

// shownPath gives a path as answers may repeat it.
func shownPath(path string) string {
	if len(path) > maxShownPath || !utf8.ValidString(path) || strings.ContainsFunc(path, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return "..."
	}
	return path
}

func wrapOf(row access.Wrapped, token sensitive.Value) *wrapInfo {
	return &wrapInfo{Token: text(token), Accessor: row.ID, TTL: (row.ExpiresAt - row.CreatedAt) / 1000, CreationTime: stamp(row.CreatedAt),
		CreationPath: row.Path, WrappedAccessor: row.Accessor}
}

// sysWrapping answers the calls on wrapped answers.
func (s *Surface) sysWrapping(ctx context.Context, c *call) (*reply, error) {
	op, _ := c.below("sys/wrapping/")
	switch op {
	case "wrap", "unwrap", "lookup", "rewrap":
	default:
		return nil, nothing(c)
	}
	if c.verb != verbWrite && !(op == "lookup" && c.verb == verbRead) {
		return nil, unsupported()
	}
	if op == "wrap" {
		if c.wrap == 0 {
			return nil, bad("endpoint requires response wrapping to be used")
		}
		return &reply{data: c.fields}, nil
	}
	token, org, err := s.wrapToken(ctx, c)
	if err != nil {
		return nil, err
	}
	switch op {
	case "unwrap":
		opened, err := s.Access.UnwrapIn(ctx, token, org)
		if err != nil {
			return nil, wrapFault(err)
		}
		return unwrapped(opened)
	case "rewrap":
		row, fresh, err := s.Access.Rewrap(ctx, token, org)
		if err != nil {
			return nil, wrapFault(err)
		}
		return &reply{wrap: wrapOf(row, fresh)}, nil
	}
	row, err := s.Access.LookUpWrap(ctx, token)
	if err != nil {
		return nil, wrapFault(err)
	}
	return &reply{data: map[string]any{"creation_path": row.Path, "creation_time": stamp(row.CreatedAt), "creation_ttl": (row.ExpiresAt - row.CreatedAt) / 1000}}, nil
}

// wrapToken gives the token that opens something: that of the body, or else the one in the place of the caller's own. A caller who
// shows one of his own beside it must be somebody, and of the organisation that it is in.
func (s *Surface) wrapToken(ctx context.Context, c *call) (sensitive.Value, domain.OrgID, error) {
	token, err := c.fields.text("token")
	if err != nil {
		return sensitive.Value{}, "", err
	}
	if token == "" {
		return sensitive.FromString(c.token), "", nil
	}
	if kind, err := domain.CheckToken(c.token); c.token == "" || err == nil && kind == domain.WrapToken {
		return sensitive.FromString(token), "", nil
	}
	who, err := s.Access.Authenticate(ctx, c.token, httpkit.Address(c.http))
	if err != nil {
		return sensitive.Value{}, "", s.Access.Refused(ctx, err)
	}
	return sensitive.FromString(token), who.Org, nil
}

// wrapFault says the one thing that clients know, whatever keeps a token from opening anything.
func wrapFault(err error) error {
	switch fault.KindOf(err) {
	case fault.Unauthenticated, fault.Conflict, fault.Expired:
		return &shaped{status: http.StatusBadRequest, messages: []string{"wrapping token is not valid or does not exist"}, cause: err}
	}
	return err
}

// unwrapped gives the answer that was wrapped; of a bare value, which other clients have wrapped, the value.
func unwrapped(in access.Unwrapped) (*reply, error) {
	raw := in.Value.Reveal()
	if in.Row.Kind != access.WrappedAnswer {
		return &reply{data: map[string]any{"value": string(raw)}}, nil
	}
	if string(raw) == "null" {
		return &reply{}, nil
	}
	var e envelope
	if err := json.Unmarshal(raw, &e); err != nil {
		return nil, fault.Wrap(fault.Internal, err, "a wrapped answer is damaged")
	}
	out := &reply{auth: e.Auth, warnings: e.Warnings, lease: lease{e.LeaseID, e.Renewable, time.Duration(e.LeaseDuration) * time.Second}}
	if e.Data.Kind() != 'n' {
		out.data = e.Data
	}
	return out, nil
}

// oldResponse is where the token of a wrapped answer reads it in the way of the first Vaults, as Spring does.
const oldResponse = "cubbyhole/response"

// oldUnwrap gives a wrapped answer as text in data.response.
func (s *Surface) oldUnwrap(ctx context.Context, c *call) (*reply, error) {
	if c.verb != verbRead {
		return nil, unsupported()
	}
	opened, err := s.Access.UnwrapIn(ctx, sensitive.FromString(c.token), "")
	if err != nil {
		return nil, wrapFault(err)
	}
	a, err := unwrapped(opened)
	if err != nil {
		return nil, err
	}
	content, err := a.envelope("")
	if err != nil {
		return nil, err
	}
	return &reply{data: map[string]jsontext.Value{"response": quoted(content)}}, nil
}

// quoted gives text as a JSON string.
func quoted(content []byte) jsontext.Value {
	out, err := jsontext.AppendQuote(nil, content)
	if err != nil { // it is JSON, so it is UTF-8
		return jsontext.Value(`""`)
	}
	return out
}
