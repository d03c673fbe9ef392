// Package channel sends alerts to where people look: one file for each kind of place, one registry of kinds, one contract that
// all of them keep. A channel knows neither rules nor retries. It makes one attempt and says by the kind of its failure whether
// another one can help.
//
// Names that stand in a message were chosen by others, also by an attacker. Each kind shows them as text: markup, links and
// mentions in them do nothing. No failure repeats an address or a credential of the channel, nor what the other side answered.
package channel

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// Severity says how soon a person should look.
type Severity string

// The severities.
const (
	Critical Severity = "critical" // now
	Warning  Severity = "warning"  // today
	Info     Severity = "info"     // when there is time
)

// Severities lists them, the gravest first.
func Severities() []Severity { return []Severity{Critical, Warning, Info} }

// Fact is one line of what is known, such as "principal": "ci-deploy".
type Fact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Message is one alert as it is sent.
type Message struct {
	ID       string    `json:"id"`  // the same for each attempt, so that a receiver can drop what it has
	Key      string    `json:"key"` // the same for all messages about one matter
	Rule     string    `json:"rule"`
	Severity Severity  `json:"severity"`
	Title    string    `json:"title"` // one sentence
	Facts    []Fact    `json:"facts"`
	Count    int64     `json:"count"`    // how often it happened since the last message about the same matter
	At       time.Time `json:"at"`       // of the first time
	LastAt   time.Time `json:"last_at"`  // of the last time
	Instance string    `json:"instance"` // which Keyturn this is
	Test     bool      `json:"test"`     // sent by hand to see whether it arrives
}

// Sender makes one attempt to send. It returns nil when the other side took the message; [fault.Unavailable] and
// [fault.Exhausted], maybe with RetryAfter, when a later attempt may succeed; any other fault when none will before somebody
// has changed something.
type Sender interface {
	Send(ctx context.Context, m Message) error
}

// Field is one setting of a kind.
type Field struct {
	Name     string
	Means    string // for people
	Required bool
	Secret   bool   // kept sealed and never shown again
	Default  string // of what is not required
}

// Config is the settings of one channel: those that may be shown, and those that may not.
type Config struct {
	Public map[string]string
	Secret map[string]sensitive.Value
}

// Outside is how channels reach the world: guarded against addresses inside.
type Outside struct {
	Client *http.Client // redirects are refused whatever its own rule is
	Dial   func(ctx context.Context, network, address string) (net.Conn, error)
	TLS    *tls.Config // for mail servers; nil for the system's roots
}

// Kind is one kind of place.
type Kind struct {
	Name   string
	Title  string
	Fields []Field
	// open checks the settings and makes a sender. Where tells people which place it is without giving away what opens it.
	open func(c Config, o Outside) (s Sender, where string, err error)
}

// Kinds lists every kind. It is the one registry: a kind that is not here does not exist.
func Kinds() []Kind {
	return []Kind{slack(), discord(), teams(), pagerDuty(), alertmanager(), webhook(), mail()}
}

// KindNamed finds one; an unknown name is [fault.Invalid].
func KindNamed(name string) (Kind, error) {
	kinds := Kinds()
	if i := slices.IndexFunc(kinds, func(k Kind) bool { return k.Name == name }); i >= 0 {
		return kinds[i], nil
	}
	var names []string
	for _, k := range kinds {
		names = append(names, k.Name)
	}
	return Kind{}, fault.New(fault.Invalid, "no such kind of channel: want one of %s", strings.Join(names, ", ")).WithField("/kind", "unknown")
}

// Secret tells of a setting whether it is kept sealed.
func (k Kind) Secret(field string) bool {
	return slices.ContainsFunc(k.Fields, func(f Field) bool { return f.Name == field && f.Secret })
}

// maxSetting bounds one setting, in bytes: addresses and tokens are far shorter.
const maxSetting = 4 << 10

// Open checks settings and makes a sender; where tells people which place it is, without what opens it. Settings that are
// missing, unknown or wrong are [fault.Invalid].
func (k Kind) Open(c Config, o Outside) (s Sender, where string, err error) {
	full := Config{Public: map[string]string{}, Secret: map[string]sensitive.Value{}}
	known := map[string]bool{}
	for _, f := range k.Fields {
		known[f.Name] = true
		text, value := strings.TrimSpace(c.Public[f.Name]), c.Secret[f.Name]
		if f.Secret {
			text = ""
		} else {
			value = sensitive.Value{}
		}
		switch {
		case f.Required && text == "" && value.Empty():
			return nil, "", fault.New(fault.Invalid, "a channel of kind %s needs %s: %s", k.Name, f.Name, f.Means).WithField("/settings/"+f.Name, "missing")
		case len(text) > maxSetting || value.Len() > maxSetting:
			return nil, "", fault.New(fault.Invalid, "the setting %s is longer than %d bytes", f.Name, maxSetting).WithField("/settings/"+f.Name, "too long")
		case text == "" && !f.Secret:
			text = f.Default
		}
		if f.Secret {
			full.Secret[f.Name] = value
		} else {
			full.Public[f.Name] = text
		}
	}
	for name := range c.Public {
		if !known[name] || k.Secret(name) {
			return nil, "", unknownSetting(k, name)
		}
	}
	for name := range c.Secret {
		if !k.Secret(name) {
			return nil, "", unknownSetting(k, name)
		}
	}
	return k.open(full, o)
}

func unknownSetting(k Kind, name string) error {
	var names []string
	for _, f := range k.Fields {
		names = append(names, f.Name)
	}
	return fault.New(fault.Invalid, "a channel of kind %s has the settings %s, and no other", k.Name, strings.Join(names, ", ")).WithField("/settings", "unknown setting")
}

// Retryable tells whether another attempt may succeed where one has failed.
func Retryable(err error) bool {
	k := fault.KindOf(err)
	return k == fault.Unavailable || k == fault.Exhausted
}
