package access

import (
	"context"
	"sync"
	"time"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

// The states of a request for access.
const (
	RequestOpen      = "open"
	RequestApproved  = "approved"
	RequestDenied    = "denied"
	RequestWithdrawn = "withdrawn"
	RequestExpired   = "expired"
)

// Bounds of requests.
const (
	requestKept       = 7 * 24 * time.Hour  // that long an undecided one waits
	minRequestTTL     = time.Second         // shorter is a mistake
	maxRequestTTL     = 30 * 24 * time.Hour // longer work wants a grant that somebody looks after
	maxOpenRequests   = 20                  // of one principal
	maxRequestReason  = 1000                // bytes
	maxListedRequests = 1000
	causeOfRequest    = "request:" // and the id, as the cause of a grant
)

// AccessInput is what somebody asks for.
type AccessInput struct {
	Role    domain.Role
	Project string // slug or id, "" for the organisation
	Env     string // slug, "" for the project
	Path    string // pattern of folders, "" for all
	For     time.Duration
	Reason  string
}

// RequestAccess asks for a role somewhere, for a time. Whether the place is there is not told: the answer is the same.
func (s *Service) RequestAccess(ctx context.Context, places Places, in AccessInput) (store.AccessRequest, error) {
	row := store.AccessRequest{ID: domain.NewID[string](), Project: in.Project, Env: in.Env, TTL: in.For.Milliseconds(), Reason: in.Reason, State: RequestOpen}
	if err := in.check(&row); err != nil {
		return row, err
	}
	who := guard.CallerOf(ctx).Principal
	if in.Project != "" {
		id, envs, err := places.Place(ctx, in.Project)
		if err == nil && in.Env != "" {
			row.EnvID = envs[domain.Slug(in.Env)]
		}
		if err == nil && (in.Env == "" || row.EnvID != "") {
			row.ProjectID = id
		}
		if err != nil && fault.KindOf(err) != fault.NotFound {
			return row, err
		}
	}
	op := guard.Op{Action: policy.AccessRequest, Resource: policy.Resource{Org: who.Org}, Detail: map[string]string{"request": row.ID, "role": string(row.Role),
		"project": domain.RecordedName(in.Project), "env": domain.RecordedName(in.Env), "path": string(row.Path), "for": in.For.String()}}
	err := s.door.Do(ctx, op, func(tx *store.Tx, p guard.Permit) error {
		if who.Scopes != nil || who.Policies != nil || who.Kind != domain.User && who.Kind != domain.Identity {
			return fault.New(fault.Denied, "a scoped token asks for nothing").WithHint("log in, and ask again")
		}
		open, err := tx.AccessRequestsOf(ctx, who.ID)
		if err != nil {
			return err
		}
		if len(open) >= maxOpenRequests {
			return fault.New(fault.Exhausted, "too many open requests: at most %d", maxOpenRequests).WithHint("withdraw one: keyturn access list")
		}
		row.Org, row.PrincipalKind, row.PrincipalID, row.PrincipalName = who.Org, who.Kind, who.ID, who.Name
		row.CreatedAt, row.ExpiresAt = tx.Now(), tx.Now()+requestKept.Milliseconds()
		return tx.PutAccessRequest(ctx, &row)
	})
	return row, err
}

func (in *AccessInput) check(row *store.AccessRequest) error {
	var err error
	if row.Role, err = domain.ParseRole(string(in.Role)); err != nil {
		return err
	}
	switch {
	case row.Role == domain.None:
		return fault.New(fault.Invalid, "nobody asks for less").WithField("/role", "want admin, developer or viewer")
	case in.For < minRequestTTL || in.For > maxRequestTTL:
		return fault.New(fault.Invalid, "access is asked for between %v and 30 days", minRequestTTL).WithField("/for", "out of range")
	case in.Reason == "" || len(in.Reason) > maxRequestReason:
		return fault.New(fault.Invalid, "say why, in at most %d bytes", maxRequestReason).WithField("/reason", "missing or too long")
	case in.Project == "" && in.Env != "":
		return fault.New(fault.Invalid, "an environment needs its project").WithField("/project", "missing")
	case in.Path != "" && in.Env == "":
		return fault.New(fault.Invalid, "a folder needs its environment").WithField("/env", "missing")
	}
	for _, name := range []string{in.Project, in.Env} {
		if name == "" || domain.IsID(name) {
			continue
		}
		if _, err := domain.ParseSlug(name); err != nil {
			return err
		}
	}
	if in.Path != "" {
		if row.Path, err = domain.ParsePattern(in.Path); err == nil && row.Path == "/" {
			row.Path = "" // every folder, as grants spell it
		}
	}
	return err
}

func grantFor(row *store.AccessRequest) domain.Grant {
	return domain.Grant{Project: row.ProjectID, Env: row.EnvID, Path: row.Path, Role: row.Role}
}

// mayDecide tells whether somebody could grant what is asked for. Nobody decides about his own request, and machines decide
// nothing.
func mayDecide(p *domain.Principal, row *store.AccessRequest) bool {
	return p.Kind == domain.User && p.ID != row.PrincipalID && p.Method != domain.BreakGlassMethod && (row.Project == "" || row.ProjectID != "") && policy.CanGrant(p, grantFor(row))
}

// Request is a request for access as a caller sees it.
type Request struct {
	store.AccessRequest
	Mine      bool
	MayDecide bool
}

func requestOf(p *domain.Principal, row store.AccessRequest, now int64) Request {
	if row.State == RequestOpen && row.ExpiresAt <= now {
		row.State = RequestExpired
	}
	return Request{row, row.PrincipalID == p.ID && row.PrincipalKind == p.Kind, row.State == RequestOpen && mayDecide(p, &row)}
}

// AccessRequests lists one's own requests and those that one could grant, newest first; with all also decided ones.
func (s *Service) AccessRequests(ctx context.Context, all bool) ([]Request, error) {
	who := guard.CallerOf(ctx).Principal
	var out []Request
	op := guard.Op{Action: policy.SelfRead, Resource: policy.Resource{Org: who.Org}, Detail: map[string]string{"list": "requests"}}
	err := s.door.Read(ctx, op, func(p guard.Permit) error {
		rows, err := s.db.AccessRequests(ctx, p.Org(), !all, maxListedRequests)
		for _, row := range rows {
			r := requestOf(who, row, time.Now().UnixMilli())
			if (r.Mine || mayDecide(who, &row)) && (all || r.State == RequestOpen) {
				out = append(out, r)
			}
		}
		return err
	})
	return out, err
}

// DecideAccess approves or denies a request. An approval gives a grant that ends by itself.
func (s *Service) DecideAccess(ctx context.Context, id string, approve bool, comment string) (Request, error) {
	if len(comment) > maxRequestReason {
		return Request{}, fault.New(fault.Invalid, "the comment is too long: at most %d bytes", maxRequestReason).WithField("/comment", "too long")
	}
	verdict := RequestDenied
	if approve {
		verdict = RequestApproved
	}
	return s.onRequest(ctx, policy.AccessManage, id, func(tx *store.Tx, p guard.Permit, row *store.AccessRequest) error {
		who := p.Principal()
		switch {
		case who.ID == row.PrincipalID:
			return fault.New(fault.Denied, "nobody decides about his own request").WithHint("ask another one")
		case !mayDecide(who, row):
			return fault.New(fault.Denied, "nobody can grant what he lacks")
		}
		p.Note("verdict", verdict)
		p.Note("principal", row.PrincipalID)
		row.State, row.DecidedAt, row.DecidedID, row.DecidedName, row.Comment = verdict, tx.Now(), who.ID, who.Name, comment
		if !approve {
			return nil
		}
		if _, err := s.Principal(ctx, tx.Queries, row.PrincipalKind, row.PrincipalID); err != nil {
			return err
		}
		if row.EnvID != "" {
			if env, err := tx.Environment(ctx, row.EnvID); err != nil || env.DeletedAt != 0 {
				return fault.New(fault.Conflict, "the environment is gone").WithHint("deny the request")
			}
		}
		row.Grant, row.GrantedUntil = domain.NewID[string](), tx.Now()+row.TTL
		g := store.Grant{ID: row.Grant, Org: row.Org, PrincipalKind: row.PrincipalKind, PrincipalID: row.PrincipalID, Project: row.ProjectID, Env: row.EnvID, Path: row.Path,
			Role: row.Role, CreatedAt: tx.Now(), ExpiresAt: row.GrantedUntil, Reason: row.Reason, Cause: causeOfRequest + row.ID}
		if err := tx.PutGrant(ctx, &g); err != nil {
			return err
		}
		return s.changed(ctx, tx)
	})
}

// WithdrawAccess takes one's own open request back.
func (s *Service) WithdrawAccess(ctx context.Context, id string) (Request, error) {
	return s.onRequest(ctx, policy.AccessRequest, id, func(tx *store.Tx, p guard.Permit, row *store.AccessRequest) error {
		if p.Principal().ID != row.PrincipalID {
			return guard.Missing()
		}
		row.State, row.DecidedAt = RequestWithdrawn, tx.Now()
		return nil
	})
}

// onRequest runs work on an open request and stores it.
func (s *Service) onRequest(ctx context.Context, action policy.Action, id string, work func(*store.Tx, guard.Permit, *store.AccessRequest) error) (Request, error) {
	who := guard.CallerOf(ctx).Principal
	found, err := s.db.AccessRequest(ctx, id)
	op := guard.Op{Action: action, Resource: policy.Resource{Org: who.Org}, Detail: map[string]string{"request": domain.RecordedName(id)}}
	if err == nil && (found.Org != who.Org || found.PrincipalID != who.ID && !policy.CanGrant(who, grantFor(&found))) {
		err = fault.New(fault.NotFound, "no such request")
	}
	if err != nil {
		return Request{}, s.door.Miss(ctx, op, err)
	}
	if action == policy.AccessManage {
		op.Resource = policy.Resource{Org: found.Org, Project: found.ProjectID, Env: found.EnvID}
	}
	var out Request
	err = s.door.Do(ctx, op, func(tx *store.Tx, p guard.Permit) error {
		row, err := tx.AccessRequest(ctx, id)
		if err != nil {
			return err
		}
		if row.State == RequestOpen && row.ExpiresAt <= tx.Now() {
			return fault.New(fault.Expired, "the request has expired").WithHint("ask again")
		}
		if row.State != RequestOpen {
			return fault.New(fault.Conflict, "the request is decided: it is %s", row.State)
		}
		if err := work(tx, p, &row); err != nil {
			return err
		}
		out = requestOf(who, row, tx.Now())
		return tx.PutAccessRequest(ctx, &row)
	})
	return out, err
}

// How often it is looked for what has ended, and how much at once. Nothing hangs on it: policy looks at the time too.
const (
	sweepEvery = 30 * time.Second
	sweepBatch = 100
)

// Run ends grants and requests whose time is over, and writes down when tokens were used, until the context ends.
func (s *Service) Run(ctx context.Context) {
	var both sync.WaitGroup
	defer both.Wait()
	ended := ctx // ctx is another one below
	both.Go(func() { s.runUses(ended) })
	ctx = guard.WithCaller(ctx, &guard.Caller{Principal: &domain.Principal{Kind: domain.System, ID: "access", Name: "access"}, Dialect: "system"})
	for {
		s.Sweep(ctx)
		select {
		case <-ctx.Done():
			return
		case <-time.After(sweepEvery):
		}
	}
}

// Sweep ends what is over. What could not be ended is tried again with the next look.
func (s *Service) Sweep(ctx context.Context) {
	now := time.Now().UnixMilli()
	over, err := s.db.GrantsOver(ctx, now, sweepBatch)
	if err != nil {
		return // an engine in trouble says so elsewhere
	}
	for i := range over {
		g := &over[i]
		op := guard.Op{Action: policy.AccessManage, Resource: policy.Resource{Org: g.Org, Project: g.Project, Env: g.Env},
			Detail: map[string]string{"grant": "ended", "principal": g.PrincipalID, "role": string(g.Role), "cause": g.Cause}}
		_ = s.door.Do(ctx, op, func(tx *store.Tx, _ guard.Permit) error {
			if err := tx.RemoveGrant(ctx, g); err != nil {
				return err
			}
			return s.changed(ctx, tx)
		})
	}
	due, err := s.db.AccessRequestsDue(ctx, now, sweepBatch)
	if err != nil {
		return
	}
	for i := range due {
		op := guard.Op{Action: policy.AccessRequest, Resource: policy.Resource{Org: due[i].Org}, Detail: map[string]string{"request": due[i].ID, "expired": "true"}}
		_ = s.door.Do(ctx, op, func(tx *store.Tx, _ guard.Permit) error {
			row, err := tx.AccessRequest(ctx, due[i].ID)
			if err != nil || row.State != RequestOpen {
				return err
			}
			row.State = RequestExpired
			return tx.PutAccessRequest(ctx, &row)
		})
	}
}
