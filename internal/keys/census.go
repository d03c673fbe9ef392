package keys

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"golang.org/x/mod/sumdb/note"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/store"
)

// count takes the census of a turn whose old key is retired. Nothing can be sealed under that key any more, so what a count
// finds now is the last word. Only a count of zero goes on.
func (s *Service) count(ctx context.Context, t *store.KeyTurn) error {
	census, err := s.census(ctx)
	if err != nil {
		return err
	}
	census.Turn, census.Layer, census.Project, census.Old = t.ID, t.Layer, string(t.Project), t.Old
	if census.Left, err = s.left(ctx, s.db.Queries, t); err != nil {
		return err
	}
	signed, err := s.sign(census)
	if err != nil {
		return err
	}
	if census.Left != 0 {
		return s.advance(ctx, t, "recount", func(ctx context.Context, tx *store.Tx, p guard.Permit, now *store.KeyTurn) error {
			p.Note("left", "true")
			return s.unsettle(ctx, tx, now)
		})
	}
	sum := sha256.Sum256([]byte(signed))
	return s.advance(ctx, t, "census", func(ctx context.Context, tx *store.Tx, p guard.Permit, now *store.KeyTurn) error {
		now.Stage, now.Census = stageCounted, signed
		p.Note("census_sha256", hex.EncodeToString(sum[:]))
		p.Note("left", "0")
		return tx.PutKeyTurn(ctx, now)
	})
}

// left counts what lies under the old key of a turn.
func (s *Service) left(ctx context.Context, q store.Queries, t *store.KeyTurn) (int64, error) {
	if t.Layer == string(LayerRoot) {
		slots, err := q.KeySlots(ctx)
		var n int64
		for _, slot := range slots {
			if slot.Fingerprint == t.Old {
				n++
			}
		}
		return n, err
	}
	old, err := keyring.ParseKeyID(t.Old)
	if err != nil {
		return 0, fault.Wrap(fault.Internal, err, "turn %s is damaged", t.ID)
	}
	return q.CountUnder(ctx, s.under(keyring.Layer(t.Layer), old))
}

// unsettle makes a retired key active again, because something was found under it: put back by hand, most likely.
func (s *Service) unsettle(ctx context.Context, tx *store.Tx, t *store.KeyTurn) error {
	if t.Layer == string(LayerRoot) {
		return fault.New(fault.Conflict, "the root key %s has a slot again", t.Old).WithHint("find out who put it back; remove it with: keyturn keys slot remove")
	}
	stored, err := tx.KeyGeneration(ctx, t.Old)
	if err != nil {
		return err
	}
	if stored.State != string(keyring.StateRetired) { // also a primary one could become active, and then nothing would be sealed any more
		return fault.New(fault.Internal, "turn %s is %s, and its old key %s is %s", t.ID, t.Stage, t.Old, stored.State).WithHint("run: keyturn audit verify --deep")
	}
	old, err := s.restate(ctx, tx, t.Old, keyring.StateActive)
	if err != nil {
		return err
	}
	t.Stage = stageMoving
	if err := tx.PutKeyTurn(ctx, t); err != nil {
		return err
	}
	return s.moved(ctx, tx, keyring.Rows{Keys: []keyring.KeyRow{old}})
}

// census counts everything by key.
func (s *Service) census(ctx context.Context) (audit.Census, error) {
	i, err := s.db.Instance(ctx)
	if err != nil {
		return audit.Census{}, err
	}
	counts, err := s.db.SealedCounts(ctx)
	if err != nil {
		return audit.Census{}, err
	}
	slots, err := s.db.KeySlots(ctx)
	if err != nil {
		return audit.Census{}, err
	}
	out := audit.Census{Origin: s.origin, AtMS: now(), Epoch: i.Epoch, LogSize: i.LogSize, LogRoot: i.LogRoot}
	known := map[string]keyring.KeyRow{}
	for _, k := range s.ring.Rows() {
		known[string(k.ID[:])] = k
		if k.Layer == keyring.LayerIndex {
			known[string(keyring.DigestPrefix(k.Generation))] = k
		}
	}
	for _, c := range counts {
		k, ok := known[string(c.Key)]
		line := audit.CensusCount{Where: c.Where, Key: "unknown:" + hex.EncodeToString(c.Key), Layer: "unknown", State: "unknown", Count: c.Count}
		if ok {
			line.Key, line.Layer, line.State = k.ID.String(), string(k.Layer), string(k.State)
		}
		out.Counts = append(out.Counts, line)
	}
	bySlot := map[string]int64{}
	for _, slot := range slots {
		bySlot[slot.Key]++
	}
	for id, n := range bySlot {
		line := audit.CensusCount{Where: "key_slot.wrapped", Key: id, Layer: string(keyring.LayerInstance), State: "unknown", Count: n}
		if key, err := keyring.ParseKeyID(id); err == nil {
			line.State = string(known[string(key[:])].State)
		}
		out.Counts = append(out.Counts, line)
	}
	slices.SortFunc(out.Counts, audit.CompareCounts)
	return out, nil
}

// sign signs a census with the log's keys.
func (s *Service) sign(c audit.Census) (string, error) {
	var signers []note.Signer
	for _, seed := range s.ring.LogSeeds() {
		signer, _, err := audit.NewSigner(c.Origin, seed)
		if err != nil {
			return "", err
		}
		signers = append(signers, signer)
	}
	signed, err := c.Sign(signers...)
	return string(signed), err
}

// vkeys are what verifies today's signatures.
func (s *Service) vkeys() ([]string, error) {
	var out []string
	for _, seed := range s.ring.LogSeeds() {
		_, vkey, err := audit.NewSigner(s.origin, seed)
		if err != nil {
			return nil, err
		}
		seed.Wipe()
		out = append(out, vkey)
	}
	return out, nil
}

// everyKey gives what verifies the signatures of every generation of the log's key, since a census outlives the key that
// signed it.
func (s *Service) everyKey() ([]string, error) {
	var out []string
	for _, k := range s.ring.Rows() {
		if k.Layer != keyring.LayerLog || len(k.Public) == 0 {
			continue
		}
		vkey, err := audit.VerifierKey(s.origin, k.Public)
		if err != nil {
			return nil, err
		}
		out = append(out, vkey)
	}
	return out, nil
}

// Census gives a signed count of all envelopes as they are, or the one that ended a turn.
func (s *Service) Census(ctx context.Context, turn string) (api.KeyCensus, error) {
	var out api.KeyCensus
	err := s.read(ctx, "census", func(guard.Permit) (err error) {
		if out.Keys, err = s.vkeys(); err != nil {
			return err
		}
		if turn != "" {
			t, err := s.db.KeyTurn(ctx, turn)
			if err != nil {
				return err
			}
			if out.Census = t.Census; t.Census == "" {
				return fault.New(fault.NotFound, "turn %s has no census yet: it is %s", t.ID, t.Stage)
			}
			out.Keys, err = s.everyKey()
			return err
		}
		census, err := s.census(ctx)
		if err != nil {
			return err
		}
		for _, c := range census.Counts {
			out.Counts = append(out.Counts, api.KeyCount{Where: c.Where, KeyID: c.Key, Layer: c.Layer, State: c.State, Count: c.Count})
		}
		out.Census, err = s.sign(census)
		return err
	})
	return out, err
}
