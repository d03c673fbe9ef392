package breakglass

import (
	"context"
	"crypto/subtle"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
)

// standing is a credential and its last opening inside a transaction.
type standing struct {
	b         store.BreakGlass
	o         store.BreakGlassOpening
	there     bool // there was an opening
	custodian bool
}

// on runs work on the newest preparation of a name, for those who have to do with it.
func (s *Service) on(ctx context.Context, action policy.Action, name string, work func(*store.Tx, guard.Permit, *standing) error) (api.BreakGlass, error) {
	who := guard.CallerOf(ctx).Principal
	op := guard.Op{Action: action, Resource: policy.Resource{Org: who.Org}, Detail: map[string]string{"name": domain.RecordedName(name)}}
	found, err := s.db.BreakGlassNamed(ctx, who.Org, domain.Slug(name))
	if err == nil {
		if _, concerned, e := s.concerns(ctx, s.db.Queries, who, &found); e != nil {
			err = e
		} else if !concerned {
			err = fault.New(fault.NotFound, "no such credential")
		}
	}
	if err != nil {
		return api.BreakGlass{}, s.door.Miss(ctx, op, err)
	}
	op.Resource = resource(&found)
	var out api.BreakGlass
	err = s.door.Do(ctx, op, func(tx *store.Tx, p guard.Permit) error {
		var st standing
		if st.b, err = tx.BreakGlassNamed(ctx, who.Org, domain.Slug(name)); err != nil {
			return err
		}
		if st.custodian, _, err = s.concerns(ctx, tx.Queries, who, &st.b); err != nil {
			return err
		}
		st.o, err = tx.BreakGlassOpening(ctx, st.b.ID)
		if st.there = err == nil; err != nil && fault.KindOf(err) != fault.NotFound {
			return err
		}
		if st.there {
			p.Note("opening", st.o.ID)
		}
		if err := work(tx, p, &st); err != nil {
			return err
		}
		out, err = s.show(ctx, tx.Queries, &st.b, tx.Now())
		return err
	})
	return out, err
}

// Begin asks the custodians for their shares.
func (s *Service) Begin(ctx context.Context, name, reason string) (api.BreakGlass, error) {
	if reason == "" || len(reason) > maxReason {
		return api.BreakGlass{}, fault.New(fault.Invalid, "say why, in at most %d bytes", maxReason).WithField("/reason", "missing or too long")
	}
	return s.on(ctx, policy.BreakBegin, name, func(tx *store.Tx, p guard.Permit, st *standing) error {
		who := p.Principal()
		switch {
		case who.Kind != domain.User || !who.Session:
			return fault.New(fault.Denied, "a person begins this, logged in himself")
		case st.there && st.o.State == open, st.there && st.o.State == begun && st.o.ExpiresAt > tx.Now():
			return fault.New(fault.Exists, "it is being opened, or open, already")
		case st.b.State != ready:
			return fault.New(fault.Conflict, "it was opened before and is good for nothing now").WithHint("prepare it anew: keyturn breakglass create %s", st.b.Name)
		}
		if st.there && st.o.State == begun {
			st.o.State, st.o.ClosedAt = lapsed, tx.Now()
			if err := tx.PutBreakGlassOpening(ctx, &st.o); err != nil {
				return err
			}
		}
		st.o = store.BreakGlassOpening{ID: domain.NewID[string](), BreakGlass: st.b.ID, Org: st.b.Org, Name: st.b.Name, Project: st.b.Project, Env: st.b.Env, Opener: domain.UserID(who.ID),
			OpenerName: who.Name, Reason: reason, State: begun, BegunAt: tx.Now(), ExpiresAt: tx.Now() + sharesWithin.Milliseconds(), LogFrom: tx.LogSize()}
		p.Note("opening", st.o.ID)
		p.Note("reason", reason)
		return tx.PutBreakGlassOpening(ctx, &st.o)
	})
}

// Enter takes the share of the custodian who is logged in. With the last one that is needed the credential is open, and its
// time runs.
func (s *Service) Enter(ctx context.Context, name string, share sensitive.Value) (api.BreakGlass, error) {
	return s.on(ctx, policy.BreakShare, name, func(tx *store.Tx, p guard.Permit, st *standing) error {
		who := p.Principal()
		if !st.custodian {
			return fault.New(fault.Denied, "you are no custodian of it")
		}
		if !st.there || st.o.State != begun {
			return fault.New(fault.Conflict, "nobody has begun to open it").WithHint("begin with: keyturn breakglass open %s --reason WHY", st.b.Name)
		}
		if st.o.ExpiresAt <= tx.Now() {
			return fault.New(fault.Expired, "the shares did not come together within %v", sharesWithin).WithHint("begin again: keyturn breakglass open %s --reason WHY", st.b.Name)
		}
		if err := s.judge(ctx, tx, st, who, share); err != nil {
			return err
		}
		entries, err := tx.BreakGlassEntries(ctx, st.o.ID)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if string(e.User) == who.ID {
				return fault.New(fault.Exists, "your share is entered already").WithHint("another custodian enters his")
			}
		}
		if err := tx.PutBreakGlassEntry(ctx, &store.BreakGlassEntry{ID: domain.NewID[string](), Opening: st.o.ID, User: domain.UserID(who.ID), UserName: who.Name, At: tx.Now()}); err != nil {
			return err
		}
		if int64(len(entries))+1 < st.b.Need {
			return nil
		}
		p.Note("opened", "true")
		st.o.State, st.o.OpenedAt, st.o.ExpiresAt, st.b.State = open, tx.Now(), tx.Now()+st.b.TTL, used
		if err := tx.PutBreakGlass(ctx, &st.b); err != nil {
			return err
		}
		return tx.PutBreakGlassOpening(ctx, &st.o)
	})
}

// judge compares a share with the one that this custodian was given for this preparation.
func (s *Service) judge(ctx context.Context, tx *store.Tx, st *standing, who *domain.Principal, share sensitive.Value) error {
	shares, err := tx.BreakGlassShares(ctx, st.b.ID)
	if err != nil {
		return err
	}
	text := string(share.Reveal())
	kind, err := domain.CheckToken(text)
	hash := domain.TokenHash(text)
	for _, x := range shares {
		if string(x.User) == who.ID && err == nil && kind == domain.CustodyShare && subtle.ConstantTimeCompare(x.Hash, hash[:]) == 1 {
			return nil
		}
	}
	return fault.New(fault.Denied, "this is not your share of this credential").WithHint("a share of an earlier preparation is good for nothing; it may be mistyped")
}

// Session gives the session of an opened credential to whoever began it, once. It ends with the opening, is never renewed, and
// has the role that was prepared in place of its holder's own.
func (s *Service) Session(ctx context.Context, name string) (api.Session, error) {
	var out api.Session
	_, err := s.on(ctx, policy.BreakOpen, name, func(tx *store.Tx, p guard.Permit, st *standing) error {
		who := p.Principal()
		switch {
		case !st.there || who.Kind != domain.User || !who.Session || string(st.o.Opener) != who.ID:
			return fault.New(fault.Denied, "only who began the opening takes its session")
		case st.o.State == open && st.o.ExpiresAt <= tx.Now():
			return fault.New(fault.Expired, "its time is over").WithHint("prepare it anew: keyturn breakglass create %s", st.b.Name)
		case st.o.State != open:
			return fault.New(fault.Conflict, "it is not open: it is %s", st.o.State)
		case st.o.Token != "":
			return fault.New(fault.Conflict, "its session was given out already").WithHint("close it and prepare it anew")
		}
		value := domain.NewToken(domain.SessionToken)
		hash := domain.TokenHash(string(value.Reveal()))
		token := store.Token{ID: domain.NewID[domain.TokenID](), Org: st.o.Org, Hash: hash[:], Kind: domain.SessionToken, Name: "break-glass " + string(st.b.Name),
			PrincipalKind: domain.User, PrincipalID: who.ID, CreatedAt: tx.Now(), ExpiresAt: st.o.ExpiresAt, Method: domain.BreakGlassMethod, AuthAt: who.AuthAt, MFAAt: who.MFAAt,
			Attributes: map[string]string{domain.BreakGlassAttribute: st.o.ID}, Parent: who.Token}
		grant := store.Grant{ID: domain.NewID[string](), Org: st.o.Org, PrincipalKind: breakGlassHolder, PrincipalID: st.o.ID, Project: st.b.Project, Env: st.b.Env, Role: st.b.Role,
			CreatedAt: tx.Now(), ExpiresAt: st.o.ExpiresAt, Reason: st.o.Reason, Cause: "breakglass:" + st.o.ID}
		st.o.Token = token.ID
		if err := tx.PutToken(ctx, &token); err != nil {
			return err
		}
		if err := tx.PutGrant(ctx, &grant); err != nil {
			return err
		}
		if err := tx.PutBreakGlassOpening(ctx, &st.o); err != nil {
			return err
		}
		out = api.Session{Token: string(value.Reveal()), ID: string(token.ID), Name: who.Name, ExpiresAt: time.UnixMilli(token.ExpiresAt).UTC()}
		return tx.Announce(ctx, store.Feed{Kind: store.FeedAccess})
	})
	if err != nil {
		return api.Session{}, err
	}
	return out, nil
}

// breakGlassHolder is what holds the grant of an opening: the opening itself, which is nobody.
const breakGlassHolder domain.PrincipalKind = "breakglass"

// Close ends an opening: its session at once, then its report is filed.
func (s *Service) Close(ctx context.Context, name string) (api.BreakGlass, error) {
	var o store.BreakGlassOpening
	out, err := s.on(ctx, policy.BreakClose, name, func(tx *store.Tx, p guard.Permit, st *standing) error {
		if !st.there || st.o.State != open && st.o.State != begun {
			return fault.New(fault.Conflict, "it is not open")
		}
		if err := end(ctx, tx, &st.o, p.Principal().Name); err != nil {
			return err
		}
		o = st.o
		return nil
	})
	if err == nil && o.State == closed {
		err = s.file(ctx, o.ID, false)
	}
	return out, err
}

// end closes an opening inside a transaction.
func end(ctx context.Context, tx *store.Tx, o *store.BreakGlassOpening, by string) error {
	state := closed
	if o.State == begun {
		state = lapsed
	}
	o.State, o.ClosedAt, o.ClosedBy = state, tx.Now(), by
	if o.Token != "" {
		token, err := tx.Token(ctx, o.Token)
		if err != nil {
			return err
		}
		if _, err := tx.EndToken(ctx, &token); err != nil {
			return err
		}
	}
	grants, err := tx.GrantsOf(ctx, o.ID)
	if err != nil {
		return err
	}
	for i := range grants {
		if err := tx.RemoveGrant(ctx, &grants[i]); err != nil {
			return err
		}
	}
	if err := tx.PutBreakGlassOpening(ctx, o); err != nil {
		return err
	}
	return tx.Announce(ctx, store.Feed{Kind: store.FeedAccess})
}
