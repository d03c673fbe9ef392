package stream

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/follow"
	"github.com/keyturn/keyturn/internal/outbound"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// sink is one way to send entries on. It belongs to one goroutine.
type sink interface {
	// send returns nil only when the other side has taken all of the batch, as far as its protocol tells.
	send(ctx context.Context, batch []follow.Entry) error
	// test shows that the other side can be reached and takes what it is given, without an entry of the log.
	test(ctx context.Context) error
	close() error
}

// surroundings are what sinks stand on.
type surroundings struct {
	rules  outbound.Rules
	folder string // the only folder that file sinks write to
	origin string // of the log: names instance and life
}

// kind is one way to send entries on.
type kind struct {
	name string
	// settings are those that may be given, with what they mean.
	settings map[string]string
	// credential tells what the credential is; "" for none.
	credential string
	// generated makes a credential when none is given; nil where there can be none, or where it has to be given.
	generated func() sensitive.Value
	// slow is true where each batch costs much, so that entries should gather.
	slow bool
	open func(around surroundings, settings map[string]string, credential sensitive.Value) (sink, error)
}

// kinds lists all, by name.
var kinds = [...]kind{bucketKind, fileKind, syslogKind, webhookKind}

func kindOf(name string) (kind, error) {
	for _, k := range kinds {
		if k.name == name {
			return k, nil
		}
	}
	return kind{}, fault.New(fault.Invalid, "there is no kind of stream of that name").WithHint("want file, syslog, webhook or bucket").WithField("/kind", "unknown")
}

// maxSetting bounds one setting: room for a chain of certificates.
const maxSetting = 16 << 10

// check refuses settings that the kind does not know.
func (k kind) check(settings map[string]string) error {
	for name, value := range settings {
		if _, ok := k.settings[name]; !ok {
			known := make([]string, 0, len(k.settings))
			for n := range k.settings {
				known = append(known, n)
			}
			slices.Sort(known)
			return fault.New(fault.Invalid, "a %s stream has no such setting", k.name).WithHint("it has: %s", strings.Join(known, ", ")).WithField("/settings", "unknown")
		}
		if len(value) > maxSetting {
			return fault.New(fault.Invalid, "the setting %s is longer than %d bytes", name, maxSetting).WithField("/settings/"+name, "too long")
		}
	}
	return nil
}

// line is how an entry looks to those who read lines of JSON.
type line struct {
	Log   string          `json:"log"`   // origin
	Index int64           `json:"index"` // from 0
	Entry json.RawMessage `json:"entry"` // canonical, as the tree has it
}

// appendLines appends one line of JSON for each entry.
func appendLines(b []byte, origin string, batch []follow.Entry) ([]byte, error) {
	for _, e := range batch {
		text, err := json.Marshal(line{origin, e.Index, e.Raw})
		if err != nil {
			return nil, fault.Wrap(fault.Internal, err, "entry %d cannot be written as JSON", e.Index)
		}
		b = append(append(b, text...), '\n')
	}
	return b, nil
}
