package vault

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/transit"
)

// transitPrefix is where the encryption service is mounted in every namespace. At the top it holds the keys of the organisation, in
// the namespace of a project those of the project.
const transitPrefix = "transit/"

// maxTransitBatch bounds the items that are taken out of a body before anything is done with them. The service may take fewer.
const maxTransitBatch = 10_000

// transit answers for everything below the mount.
func (s *Surface) transit(ctx context.Context, c *call) (*reply, error) {
	rest, _ := c.below(transitPrefix)
	project, err := s.Transit.InNamespace(ctx, c.namespace)
	if err != nil {
		return nil, err
	}
	parts := strings.Split(rest, "/")
	t := &transitCall{call: c, service: s.Transit, project: project, args: parts[1:]}
	switch parts[0] {
	case "keys":
		return t.keys(ctx)
	case "encrypt":
		return t.encrypt(ctx)
	case "decrypt":
		return t.decrypt(ctx)
	case "rewrap":
		return t.rewrap(ctx)
	case "datakey":
		return t.dataKey(ctx)
	case "sign":
		return t.sign(ctx)
	case "verify":
		return t.verify(ctx)
	case "hmac":
		return t.hmac(ctx)
	case "random":
		return t.random(ctx)
	case "hash":
		return t.hash(ctx)
	case "export":
		return t.export(ctx)
	case "backup":
		return t.backup(ctx)
	case "restore":
		return t.restore(ctx)
	}
	return nil, nothing(c)
}

// transitCall is a call with what the mount makes of its path.
type transitCall struct {
	*call
	service *transit.Service
	project string
	args    []string // segments after the operation
}

// key names the key of a segment.
func (t *transitCall) key(segment int) transit.Ref {
	return transit.Ref{Project: t.project, Name: t.args[segment]}
}

// takes refuses another verb, and another number of segments.
func (t *transitCall) takes(v verb, least, most int) error {
	if n := len(t.args); n < least || n > most || n > 0 && t.args[n-1] == "" {
		return nothing(t.call)
	}
	if t.verb != v {
		return unsupported()
	}
	return nil
}

// orMissing says in the words of an operation that its key is not there.
func orMissing(err error, message string) error {
	if err != nil && errors.Is(err, transit.ErrNoKey) {
		return bad(message)
	}
	return err
}

// noTransitKey is what most operations say of a key that is not there.
const noTransitKey = "encryption key not found"

// bytesOf gives a field that is base64; problem is what is said of one that is not.
func (f fields) bytesOf(name, problem string) ([]byte, error) {
	text, err := f.text(name)
	if err != nil || text == "" {
		return nil, err
	}
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		if problem != "" {
			return nil, bad(problem)
		}
		return nil, bad(err.Error()) // tells the place of the first wrong byte and nothing else
	}
	return b, nil
}

// batch is the work of one call: the fields of each item, and how the results come together.
type batch struct {
	items  []fields
	whole  bool    // it came as a batch
	wrong  []error // of items that could not be read
	code   int     // of an answer in which some items failed
	chosen []int   // items that could be read, in their order
}

// readBatch takes the items of a call apart; without a batch the call is the one item.
func (t *transitCall) readBatch() (*batch, error) {
	b := &batch{code: http.StatusBadRequest}
	code, err := t.fields.integer("partial_failure_response_code")
	if err != nil {
		return nil, err
	}
	if code != 0 {
		if code < 200 || code > 599 {
			return nil, bad("partial_failure_response_code is no status code")
		}
		b.code = int(code)
	}
	if !t.fields.has("batch_input") {
		b.items = []fields{t.fields}
	} else if b.items, err = batchItems(t.fields["batch_input"]); err != nil {
		return nil, err
	} else {
		b.whole = true
	}
	b.wrong = make([]error, len(b.items))
	return b, nil
}

// batchItems reads a list of objects, and no further than it may be long.
func batchItems(raw jsontext.Value) ([]fields, error) {
	failed := bad("failed to parse batch input: want a list of objects")
	if raw.Kind() != '[' {
		return nil, failed
	}
	d := jsontext.NewDecoder(bytes.NewReader(raw))
	if _, err := d.ReadToken(); err != nil {
		return nil, failed
	}
	var out []fields
	for d.PeekKind() != ']' {
		item, err := d.ReadValue()
		if err != nil || item.Kind() != '{' {
			return nil, failed
		}
		if len(out) == maxTransitBatch {
			return nil, fault.New(fault.Invalid, "too many items in one request: at most %d", maxTransitBatch)
		}
		f, err := jsonFields(item.Clone())
		if err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	if len(out) == 0 {
		return nil, bad("missing batch input to process")
	}
	return out, nil
}

// read takes each item through a parser; those that fail are left out of the work. A call that is no batch fails itself.
func readItems[T any](b *batch, parse func(fields) (T, error)) ([]T, error) {
	var out []T
	for i, item := range b.items {
		v, err := parse(item)
		if err != nil {
			if !b.whole {
				return nil, err
			}
			b.wrong[i] = err
			continue
		}
		b.chosen = append(b.chosen, i)
		out = append(out, v)
	}
	return out, nil
}

// settle tells whether the failure of a whole operation is that of its one item, which stands with the item then.
func (b *batch) settle(err error, n int, first error) error {
	if err != nil && b.whole && n == 1 && first != nil {
		return nil
	}
	return err
}

// answer puts results together. result gives that of the i-th item that could be read, or why it failed.
func (b *batch) answer(result func(i int) (map[string]any, error)) (*reply, error) {
	if !b.whole {
		data, err := result(0)
		return &reply{data: data}, err
	}
	out := make([]map[string]any, len(b.items))
	failed := 0
	fail := func(i int, err error) {
		failed++
		out[i] = map[string]any{"error": said(err)}
	}
	for i, err := range b.wrong {
		if err != nil {
			fail(i, err)
		}
	}
	for n, i := range b.chosen {
		data, err := result(n)
		if err != nil {
			fail(i, err)
			continue
		}
		out[i] = data
	}
	for i, item := range b.items {
		reference, err := item.text("reference")
		if err != nil {
			reference = ""
		}
		out[i]["reference"] = reference
	}
	r := &reply{data: map[string]any{"batch_results": out}}
	switch {
	case failed == len(out):
		r.status = http.StatusBadRequest
	case failed > 0:
		r.status = b.code
	}
	return r, nil
}

// said gives the words of a failure as they stand beside an item.
func said(err error) string {
	if s, ok := errors.AsType[*shaped](err); ok {
		return s.Error()
	}
	f := fault.As(err)
	if f.Kind == fault.Internal {
		return "internal error"
	}
	return f.Message
}
