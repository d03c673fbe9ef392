// Package evidence answers questions about the audit log: what happened, what proves it, and whether log and data still
// agree. It combines the door, the log and the store, which no other package but the door does.
package evidence

import (
	"context"
	"encoding/base64"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
)

// Values opens every stored value and compares it with its digest; report is told what does not fit.
type Values interface {
	CheckValues(ctx context.Context, p guard.Permit, purged func(id string) bool, report func(row, text string)) (values int64, err error)
}

// Filter says which entries are wanted; empty fields match everything.
type Filter struct {
	Who, What, Outcome, Project, Env, Key string
	SinceMS, UntilMS                      int64 // unix milliseconds
}

// Log answers questions about one instance's log.
type Log struct {
	db     *store.DB
	door   *guard.Door
	values Values
	origin string
	seeds  func() []sensitive.Value
	// archive moves old entries elsewhere; nil for never.
	archive *archiver
}

// New builds the service; seeds gives those of the log-signing keys of that moment, the primary first. While keys overlap
// there are two, and both sign.
func New(db *store.DB, door *guard.Door, values Values, origin string, seeds func() []sensitive.Value) *Log {
	return &Log{db: db, door: door, values: values, origin: origin, seeds: seeds}
}

func (l *Log) read(ctx context.Context, what string, work func(guard.Permit) error) error {
	who := guard.CallerOf(ctx).Principal
	return l.door.Read(ctx, guard.Op{Action: policy.AuditRead, Resource: policy.Resource{Org: who.Org}, Detail: map[string]string{"log": what}}, work)
}

// Bounds of lists and pages, in entries.
const (
	defaultList = 100
	maxList     = 1000
	window      = 4096 // entries looked at in one step backwards
	pageSize    = 2000
)

// List gives entries that match, newest first, below an index.
func (l *Log) List(ctx context.Context, f Filter, before int64, limit int) (api.Entries, error) {
	filter := audit.Filter{Actor: f.Who, Action: f.What, Project: f.Project, Env: f.Env, Key: f.Key, Outcome: f.Outcome, FromMS: f.SinceMS, ToMS: f.UntilMS}
	if limit <= 0 {
		limit = defaultList
	}
	limit = min(limit, maxList)
	out := api.Entries{Entries: []api.Entry{}}
	err := l.read(ctx, "list", func(p guard.Permit) error {
		size, _, err := l.db.Log().Head(ctx)
		if err != nil {
			return err
		}
		out.Size = size
		found, stopped, err := l.search(ctx, filter, string(p.Org()), min(before, size), limit)
		if err != nil {
			return err
		}
		out.Entries = append(out.Entries, found...)
		if len(out.Entries) > limit {
			out.Entries = out.Entries[:limit]
			out.Next = &out.Entries[limit-1].Index
		} else if stopped > 0 {
			out.Next = &stopped
		}
		out.Archived, err = l.db.ArchivedEntries(ctx)
		return err
	})
	return out, err
}

func (l *Log) matching(ctx context.Context, f audit.Filter, org string, begin, end int64) ([]api.Entry, error) {
	var out []api.Entry
	for chunk, err := range l.db.Log().Chunks(ctx, begin, end) {
		if err != nil {
			return nil, err
		}
		if !f.Overlaps(chunk) {
			continue
		}
		for i, raw := range chunk.Entries() {
			if i < begin || i >= end {
				continue
			}
			e, err := audit.ParseEntry(raw)
			if err != nil {
				return nil, err
			}
			if f.Match(&e) && (e.Org == "" || e.Org == org) {
				out = append(out, api.Entry{Index: i, Entry: raw})
			}
		}
	}
	return out, nil
}

// Checkpoint signs the tree as it stands.
func (l *Log) Checkpoint(ctx context.Context) (api.Checkpoint, error) {
	var out api.Checkpoint
	err := l.read(ctx, "checkpoint", func(guard.Permit) (err error) {
		out, _, err = l.sign(ctx)
		return err
	})
	return out, err
}

func (l *Log) sign(ctx context.Context) (api.Checkpoint, audit.Head, error) {
	size, root, err := l.db.Log().Head(ctx)
	if err != nil {
		return api.Checkpoint{}, audit.Head{}, err
	}
	head := audit.Head{Origin: l.origin, Size: size, Root: root}
	var signers []note.Signer
	var vkeys []string
	for _, seed := range l.seeds() {
		signer, vkey, err := audit.NewSigner(l.origin, seed)
		seed.Wipe()
		if err != nil {
			return api.Checkpoint{}, head, err
		}
		signers, vkeys = append(signers, signer), append(vkeys, vkey)
	}
	out := api.Checkpoint{Key: strings.Join(vkeys, "\n")}
	turns, err := l.db.LogHandovers(ctx)
	if err != nil {
		return out, head, err
	}
	for _, t := range turns {
		out.Handovers = append(out.Handovers, t.Handover)
	}
	signed, err := audit.Checkpoint(l.origin, size, root, signers...)
	out.Checkpoint = string(signed)
	return out, head, err
}

func hashes(in []tlog.Hash) []string {
	out := make([]string, 0, len(in))
	for _, h := range in {
		out = append(out, base64.StdEncoding.EncodeToString(h[:]))
	}
	return out
}

// Inclusion proves that an entry is in the tree.
func (l *Log) Inclusion(ctx context.Context, index int64) (api.InclusionProof, error) {
	out := api.InclusionProof{Index: index}
	err := l.read(ctx, "proof", func(guard.Permit) error {
		cp, head, err := l.sign(ctx)
		if err != nil {
			return err
		}
		if index < 0 || index >= head.Size {
			return fault.New(fault.NotFound, "no entry %d: the log has %d, counted from 0", index, head.Size)
		}
		out.Checkpoint = cp
		if err := l.refuseArchived(ctx, index); err != nil {
			return err
		}
		proof, err := audit.InclusionProof(ctx, l.db.Log(), head.Size, index)
		if err != nil {
			return err
		}
		out.Proof = hashes(proof)
		for chunk, err := range l.db.Log().Chunks(ctx, index, index+1) {
			if err != nil {
				return err
			}
			for i, raw := range chunk.Entries() {
				if i == index {
					out.Entry = raw
				}
			}
		}
		return nil
	})
	return out, err
}

// Consistency proves that the tree is a later state of a smaller one.
func (l *Log) Consistency(ctx context.Context, oldSize int64) (api.ConsistencyProof, error) {
	out := api.ConsistencyProof{OldSize: oldSize, Proof: []string{}}
	err := l.read(ctx, "consistency", func(guard.Permit) error {
		cp, head, err := l.sign(ctx)
		if err != nil {
			return err
		}
		out.Checkpoint = cp
		if oldSize > head.Size || oldSize < 0 {
			return fault.New(fault.Conflict, "the log has %d entries, fewer than the %d asked for", head.Size, oldSize).
				WithHint("the log shrank: somebody put an older database back; keep your checkpoint as evidence")
		}
		if oldSize == 0 || oldSize == head.Size {
			return nil
		}
		proof, err := audit.ConsistencyProof(ctx, l.db.Log(), oldSize, head.Size)
		out.Proof = hashes(proof)
		return err
	})
	return out, err
}

// Page gives a stretch of the raw log.
func (l *Log) Page(ctx context.Context, from int64) (api.LogPage, error) {
	out := api.LogPage{From: from}
	err := l.read(ctx, "page", func(guard.Permit) error {
		size, _, err := l.db.Log().Head(ctx)
		if err != nil {
			return err
		}
		out.Size = size
		if err := l.refuseArchived(ctx, from); err != nil {
			return err
		}
		to := min(from+pageSize, size)
		for chunk, err := range l.db.Log().Chunks(ctx, from, to) {
			if err != nil {
				return err
			}
			for i, raw := range chunk.Entries() {
				if i >= from && i < to {
					out.Entries = append(out.Entries, raw)
				}
			}
		}
		return nil
	})
	return out, err
}
