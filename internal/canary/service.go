package canary

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

// The kinds of decoys.
const (
	Token  = "token"  // looks like an API token and opens nothing
	Secret = "secret" // an ordinary secret whose value nothing needs
)

// Touched is the action of the entry that tells of a touch.
const Touched = "canary.touched"

const (
	// maxCanaries bounds the decoys of an organisation: one for each machine of a large one.
	maxCanaries = 10_000
	// maxPlace bounds the words for a place, in bytes.
	maxPlace = 200
	// maxExempt bounds the principals whose reads are no touch.
	maxExempt = 32
	// lookAgain is how often decoy secrets are looked up when that failed, or a change was not heard of.
	lookAgain = time.Minute
)

// Service keeps decoys and hears of touches.
type Service struct {
	db     *store.DB
	door   *guard.Door
	change chan struct{} // holds one token when decoys may have changed
	floods flood
	// secrets are the decoy secrets by id; nil or empty when there are none.
	secrets atomic.Pointer[map[domain.SecretID]store.Canary]
}

// New makes the service.
func New(db *store.DB, door *guard.Door) *Service {
	s := &Service{db: db, door: door, change: make(chan struct{}, 1)}
	db.Hear(func(f store.Feed) {
		if f.Kind == store.FeedWatching || f.Kind == store.FeedLost {
			s.nudge()
		}
	})
	return s
}

func (s *Service) nudge() {
	select {
	case s.change <- struct{}{}:
	default:
	}
}

// Load looks up the decoy secrets. Call it before the first request.
func (s *Service) Load(ctx context.Context) error {
	rows, err := s.db.SecretCanaries(ctx)
	if err != nil {
		return err
	}
	all := make(map[domain.SecretID]store.Canary, len(rows))
	for _, row := range rows {
		all[row.Secret] = row
	}
	s.secrets.Store(&all)
	return nil
}

// Run keeps what is known of decoy secrets those of the table until the context ends.
func (s *Service) Run(ctx context.Context) {
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.change:
		case <-tick.C:
		}
		if err := s.Load(ctx); err != nil && ctx.Err() == nil {
			slog.Warn("the decoys cannot be looked up", "error", err)
		}
	}
}

// Input is what a new decoy is made of.
type Input struct {
	Kind    string
	Place   string
	Exempt  []string         // ids of principals whose reads are no touch
	Project domain.ProjectID // these three of a secret
	Env     domain.EnvID     //
	Secret  domain.SecretID  //
}

func (in Input) check() error {
	switch {
	case in.Kind != Token && in.Kind != Secret:
		return fault.New(fault.Invalid, "there is no kind of canary of that name").WithHint("want token or secret").WithField("/kind", "unknown")
	case in.Place == "" || len(in.Place) > maxPlace || !utf8.ValidString(in.Place) || !printable(in.Place):
		return fault.New(fault.Invalid, "the place is not valid: want up to %d bytes that tell where this one lies", maxPlace).WithField("/place", "not valid")
	case len(in.Exempt) > maxExempt || slices.ContainsFunc(in.Exempt, func(id string) bool { return !domain.IsID(id) }):
		return fault.New(fault.Invalid, "the exempt are not valid: want up to %d ids of people or machines", maxExempt).WithField("/exempt", "not valid")
	case len(in.Exempt) > 0 && in.Kind == Token:
		return fault.New(fault.Invalid, "nobody is exempt from a decoy token: nobody has a reason to show it").WithField("/exempt", "not used")
	}
	return nil
}

func printable(text string) bool {
	for _, r := range text {
		if r < ' ' || r == 0x7f {
			return false
		}
	}
	return true
}

func op(ctx context.Context, what string) guard.Op {
	return guard.Op{Action: policy.AuditManage, Resource: policy.Resource{Org: guard.CallerOf(ctx).Principal.Org}, Detail: map[string]string{"what": what}}
}

// Create makes a decoy. A token is in the answer, and nowhere else ever again.
func (s *Service) Create(ctx context.Context, in Input) (api.CanaryMade, error) {
	var out api.CanaryMade
	err := s.door.Do(ctx, op(ctx, "canary create"), func(tx *store.Tx, p guard.Permit) error {
		if err := in.check(); err != nil {
			return err
		}
		all, err := tx.Canaries(ctx, p.Org())
		switch {
		case err != nil:
			return err
		case len(all) >= maxCanaries:
			return fault.New(fault.Exhausted, "there are %d canaries already, and no more are kept", maxCanaries)
		case slices.ContainsFunc(all, func(c store.Canary) bool { return c.Place == in.Place }):
			return fault.New(fault.Exists, "there is a canary in this place").WithHint("a touch must tell where it came from: say the place more exactly")
		case in.Secret != "" && slices.ContainsFunc(all, func(c store.Canary) bool { return c.Secret == in.Secret }):
			return fault.New(fault.Exists, "this secret is a canary already")
		}
		row := store.Canary{ID: domain.NewID[string](), Org: p.Org(), Kind: in.Kind, Place: in.Place, Exempt: in.Exempt, Project: in.Project, Env: in.Env, Secret: in.Secret,
			CreatedAt: tx.Now(), CreatedBy: p.Principal().ID}
		if in.Kind == Token {
			token := domain.NewToken(domain.APIToken)
			out.Token = string(token.Reveal())
			hash := domain.TokenHash(out.Token)
			row.Hash = hash[:]
		}
		p.Note("canary_id", row.ID)
		out.Canary = view(row)
		if err := tx.PutCanary(ctx, &row); err != nil {
			return err
		}
		tx.After(func() { s.know(row) })
		return tx.Announce(ctx, store.Feed{Kind: store.FeedWatching})
	})
	return out, err
}

// know takes a decoy secret in at once: the next read may touch it.
func (s *Service) know(row store.Canary) {
	if row.Secret == "" {
		return
	}
	for {
		old := s.secrets.Load()
		all := map[domain.SecretID]store.Canary{}
		if old != nil {
			all = maps.Clone(*old)
		}
		all[row.Secret] = row
		if s.secrets.CompareAndSwap(old, &all) {
			return
		}
	}
}

func view(row store.Canary) api.Canary {
	out := api.Canary{ID: row.ID, Kind: row.Kind, Place: row.Place, ProjectID: string(row.Project), EnvID: string(row.Env), SecretID: string(row.Secret), Exempt: row.Exempt,
		CreatedAt: time.UnixMilli(row.CreatedAt).UTC(), Touched: row.Touched}
	if row.TouchedAt != 0 {
		out.TouchedAt = time.UnixMilli(row.TouchedAt).UTC()
	}
	return out
}

// List tells of all decoys. It shows no token.
func (s *Service) List(ctx context.Context) (api.Canaries, error) {
	out := api.Canaries{Canaries: []api.Canary{}}
	err := s.door.Read(ctx, op(ctx, "canaries"), func(p guard.Permit) error {
		rows, err := s.db.Canaries(ctx, p.Org())
		for _, row := range rows {
			out.Canaries = append(out.Canaries, view(row))
		}
		return err
	})
	return out, err
}

// Delete forgets a decoy: its token becomes one that nobody has, its secret an ordinary one.
func (s *Service) Delete(ctx context.Context, id string) error {
	o := op(ctx, "canary delete")
	o.Detail["canary_id"] = domain.RecordedName(id)
	return s.door.Do(ctx, o, func(tx *store.Tx, p guard.Permit) error {
		row, err := tx.Canary(ctx, id)
		if err == nil && row.Org != p.Org() || err != nil && fault.KindOf(err) == fault.NotFound {
			return fault.New(fault.NotFound, "there is no canary of this id").WithHint("see: keyturn canary list")
		}
		if err != nil {
			return err
		}
		if err := tx.RemoveCanary(ctx, &row); err != nil {
			return err
		}
		return tx.Announce(ctx, store.Feed{Kind: store.FeedWatching})
	})
}
