package cli

import (
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/runner"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// merged collects the variables of several folders; later ones win.
type merged struct {
	app  *app
	vars []runner.Var
	from map[string]string // name → path
}

func (m *merged) add(path string, secrets []api.Secret) error {
	for _, secret := range secrets {
		if secret.Value == nil {
			return fault.New(fault.Denied, "the value of %s is not shown to you", secret.Name)
		}
		b, err := secret.Value.Bytes()
		if err != nil {
			return fault.Wrap(fault.Internal, err, "the server sent a value of %s that cannot be read", secret.Name)
		}
		v := runner.Var{Name: secret.Name, Value: sensitive.New(b), Public: secret.Public}
		earlier, twice := m.from[secret.Name]
		m.from[secret.Name] = path
		if !twice {
			m.vars = append(m.vars, v)
			continue
		}
		if earlier != path {
			m.app.info("%s of %s is used in place of that of %s", secret.Name, path, earlier)
		}
		m.vars[slices.IndexFunc(m.vars, func(o runner.Var) bool { return o.Name == v.Name })] = v
	}
	return nil
}

// offlineHeader is how a server says, with each list of values, how long a client may keep a sealed copy.
const offlineHeader = "Keyturn-Offline-Max-Age"

// maxOffline bounds what a server may allow; a longer time means a mistake in its settings.
const maxOffline = 30 * 24 * time.Hour

// offlineAge holds what the server said last; zero means that no copy may be kept. Several goroutines may use it.
type offlineAge struct{ allowed atomic.Int64 }

func (o *offlineAge) get() time.Duration { return time.Duration(o.allowed.Load()) }

// hear takes the header of an answer. A value that is not a duration counts as none.
func (o *offlineAge) hear(h http.Header) {
	d, err := time.ParseDuration(h.Get(offlineHeader))
	if err != nil || d < 0 {
		d = 0
	}
	o.allowed.Store(int64(min(d, maxOffline)))
}
