package backup

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/bucket"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/store"
)

// summary is what the catalogue keeps of a manifest, and of how making and drilling went.
type summary struct {
	Content string  `json:"content"` // hex
	Schema  int64   `json:"schema"`
	Epoch   int64   `json:"epoch"`
	LogSize int64   `json:"log_size"`
	Rows    int64   `json:"rows"`
	Secrets int64   `json:"secrets"`
	Seconds float64 `json:"seconds"`
	Drill   float64 `json:"drill_seconds,omitzero"`
}

// A row of the catalogue is in one of these states: being made (no digest, not removed), failed (no digest, removed), made
// (digest), removed (digest, removed).

func made(r *store.Backup) bool    { return len(r.Digest) > 0 && r.RemovedAt == 0 }
func claimed(r *store.Backup) bool { return len(r.Digest) == 0 && r.RemovedAt == 0 }
func broken(r *store.Backup) bool  { return len(r.Digest) == 0 && r.RemovedAt != 0 }

func summaryOf(r *store.Backup) summary {
	var out summary
	if json.Unmarshal([]byte(r.Summary), &out) != nil { // what a newer program wrote
		return summary{}
	}
	return out
}

func (s summary) text() string {
	b, err := json.Marshal(s)
	if err != nil { // numbers and a text
		return "{}"
	}
	return string(b)
}

// fill takes over what was written.
func fill(r *store.Backup, w Written, took time.Duration) {
	m := &w.Manifest
	r.CreatedAt, r.Bytes, r.Digest, r.Recipients = m.CreatedMS, w.Bytes, w.Digest[:], fingerprints(m.Recipients)
	r.Summary = summary{Content: hex.EncodeToString(w.Content[:]), Schema: m.Schema, Epoch: m.Epoch, LogSize: m.Log.Size, Rows: m.Rows(),
		Secrets: m.Count("secret"), Seconds: took.Seconds()}.text()
}

// facts are what the log keeps of a backup.
func facts(r *store.Backup) map[string]string {
	return map[string]string{"sha256": hex.EncodeToString(r.Digest), "manifest": r.Summary}
}

const (
	wherePlace    = "place"
	whereMissing  = "missing"
	whereClient   = "client"
	whereUnlisted = "unlisted"
)

// shown is a row for people.
func shown(r *store.Backup) api.Backup {
	sum := summaryOf(r)
	out := api.Backup{Name: r.Name, CreatedAt: atMS(r.CreatedAt), Bytes: r.Bytes, Digest: hex.EncodeToString(r.Digest), Content: sum.Content, Recipients: r.Recipients,
		Schema: sum.Schema, Epoch: sum.Epoch, LogSize: sum.LogSize, Rows: sum.Rows, Secrets: sum.Secrets, Seconds: sum.Seconds,
		VerifiedAt: atMS(r.CheckedAt), DrilledAt: atMS(r.DrilledAt), Problem: r.Problem, Where: wherePlace}
	if r.Place == "" {
		out.Where = whereClient
	}
	return out
}

// List tells what the catalogue knows and what lies at the place.
func (s *Service) List(ctx context.Context) (api.Backups, error) {
	out := api.Backups{Place: s.at(), Backups: []api.Backup{}}
	err := s.door.Read(ctx, op(ctx, "list", "", nil), func(guard.Permit) error {
		rows, err := s.src.DB.Backups(ctx)
		if err != nil {
			return err
		}
		there, lost := s.there(ctx)
		if lost != nil {
			out.Problem = fault.As(lost).Message
		}
		for i := range rows {
			r := &rows[i]
			if !made(r) {
				continue
			}
			b := shown(r)
			if r.Place != "" {
				_, found := there[r.Name]
				if r.Place != s.at() || lost == nil && !found {
					b.Where = whereMissing
				}
				delete(there, r.Name)
			}
			out.Backups = append(out.Backups, b)
		}
		for name, o := range there {
			out.Backups = append(out.Backups, api.Backup{Name: name, CreatedAt: atMS(o.ModifiedMS), Bytes: o.Size, Where: whereUnlisted})
		}
		slices.SortStableFunc(out.Backups, func(a, b api.Backup) int {
			return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(a.Name, b.Name))
		})
		out.Schedule, err = s.schedule(ctx, rows)
		if own, failed := OwnIdentity(ctx, s.src.DB, s.src.Ring); failed == nil {
			kits, failed := RecoveryRecipients(ctx, s.src.DB.Queries)
			if failed == nil {
				out.Drill = own.Recipient(kits)
			}
		}
		return err
	})
	return out, err
}

// there lists what lies at the place, by name.
func (s *Service) there(ctx context.Context) (map[string]bucket.Object, error) {
	out := map[string]bucket.Object{}
	if s.settings.Place == nil {
		return out, nil
	}
	prefix := key(s.instance, "")
	objects, err := s.settings.Place.List(ctx, prefix)
	if err != nil {
		return out, err
	}
	for _, o := range objects {
		if name := strings.TrimPrefix(o.Name, prefix); checkName(name) == nil {
			out[name] = o
		}
	}
	return out, nil
}

// find gives the row of a name: false when the catalogue does not know it.
func (s *Service) find(ctx context.Context, name string) (store.Backup, bool, error) {
	rows, err := s.src.DB.Backups(ctx)
	if err != nil {
		return store.Backup{}, false, err
	}
	i := slices.IndexFunc(rows, func(r store.Backup) bool { return r.Name == name && r.Place == s.at() && made(&r) })
	if i < 0 {
		return store.Backup{}, false, nil
	}
	return rows[i], true, nil
}

// newest gives the newest backup that lies at the place.
func (s *Service) newest(ctx context.Context) (store.Backup, error) {
	rows, err := s.src.DB.Backups(ctx)
	if err != nil {
		return store.Backup{}, err
	}
	for _, r := range rows {
		if made(&r) && r.Place != "" && r.Place == s.at() {
			return r, nil
		}
	}
	return store.Backup{}, fault.New(fault.NotFound, "there is no backup yet").WithHint("make one: keyturn backup create")
}
