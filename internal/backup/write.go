package backup

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"io"
	"time"

	"filippo.io/age"
	json "github.com/go-json-experiment/json"

	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
)

// Source is the instance that is backed up.
type Source struct {
	DB   *store.DB
	Ring *keyring.Ring
	// Origin names the audit log in its checkpoints.
	Origin string
	// Program is the version of this program, for the manifest.
	Program string
	// Recipients are the age recipients that may open the backup. Without any, they are those of the instance's recovery
	// kits, of which there must be one.
	Recipients []string
	// Own is the server's own identity, for drills; nil for none.
	Own *Own
	// Progress, which may be nil, hears of rows. It is called on the caller's goroutine.
	Progress func(done, total int64)
}

// Written is a backup that was made.
type Written struct {
	Manifest Manifest
	Bytes    int64    // of the sealed file
	Digest   [32]byte // SHA-256 of the sealed file
	Content  [32]byte // SHA-256 of the stream inside, which resealing leaves as it is
}

// Write makes a backup of the instance as of one moment, however much is written meanwhile. It needs memory for a few rows. A
// file that was not written to its end cannot be taken for a whole one. Without a recovery kit it is [fault.Invalid].
func Write(ctx context.Context, w io.Writer, src Source) (Written, error) {
	m, err := freeze(ctx, src)
	if err != nil {
		return Written{}, err
	}
	defer m.close()
	names := src.Recipients
	if len(names) == 0 {
		if names = m.kits; len(names) == 0 {
			return Written{}, errRecipients()
		}
	}
	if src.Own != nil {
		names = append(names[:len(names):len(names)], src.Own.Recipient(names))
	}
	recipients, err := parseRecipients(names)
	if err != nil {
		return Written{}, err
	}
	m.manifest.Recipients = names
	return m.write(ctx, w, recipients, src.Progress)
}

// moment is an instance that holds still.
type moment struct {
	snap     *store.Snapshot
	root     keyring.Root    // of this backup
	slot     keyring.SlotRow // opens the instance key with root
	ring     *keyring.Ring   // what the rows of the snapshot give under root
	kits     []string        // recipients of the instance's recovery kits
	manifest Manifest
}

// freezeTries bounds how often a snapshot is taken again because the instance key turned just then.
const freezeTries = 3

// freeze takes a snapshot and proves that the new slot opens it, before a byte is written. The running keyring may know an
// instance key that is younger or older than the snapshot; then there is another try.
func freeze(ctx context.Context, src Source) (*moment, error) {
	var last error
	for range freezeTries {
		snap, err := src.DB.Snapshot(ctx)
		if err != nil {
			return nil, err
		}
		m := &moment{snap: snap, root: keyring.NewRoot()}
		if err = m.open(ctx, src); err == nil {
			if err = m.describe(ctx, src); err == nil {
				return m, nil
			}
			m.close()
			return nil, err
		}
		m.close()
		last = err
	}
	return nil, fault.Wrap(fault.KindOf(last), last, "the keys in the database do not open with those in memory, so no backup was made").
		WithHint("try again in a moment; if that does not help: keyturn audit verify --deep")
}

func (m *moment) open(ctx context.Context, src Source) error {
	var err error
	m.slot, err = src.Ring.NewSlot(keyring.SlotDraft{Kind: slotKind, Root: m.root.Public(), NowMS: time.Now().UnixMilli()})
	if err != nil {
		return err
	}
	rows, err := rowsIn(ctx, m.snap)
	if err != nil {
		return err
	}
	for _, s := range rows.Slots {
		m.manifest.Slots = append(m.manifest.Slots, Slot{s.ID, s.Kind, s.Fingerprint})
		if s.Kind == recoveryKind {
			m.kits = append(m.kits, kitRecipients(s.Source)...)
		}
	}
	for _, k := range rows.Keys {
		m.manifest.Keys = append(m.manifest.Keys, Key{k.ID.String(), string(k.Layer), k.Project, k.Generation, string(k.State), k.Public})
	}
	rows.Slots = append(rows.Slots, m.slot)
	m.ring, err = keyring.Unlock(m.root, m.snap.Instance.ID, rows)
	return err
}

func (m *moment) close() { _ = m.snap.Close() }

func (m *moment) describe(ctx context.Context, src Source) error {
	i := m.snap.Instance
	out := &m.manifest
	out.Instance, out.Epoch, out.Schema, out.CreatedMS = i.ID, i.Epoch, m.snap.Schema, time.Now().UnixMilli()
	out.Engine, out.Program = src.DB.Name(), src.Program
	for _, t := range m.snap.Tables() {
		n, err := m.snap.Count(ctx, t.Name)
		if err != nil {
			return err
		}
		out.Tables = append(out.Tables, Table{t.Name, n})
	}
	err := m.snap.Commits(ctx, func(env string, n int64) error {
		out.Environments = append(out.Environments, Line{env, n})
		return nil
	})
	if err != nil {
		return err
	}
	seed, key := m.ring.LogSeed()
	defer seed.Wipe()
	signer, _, err := audit.NewSigner(src.Origin, seed)
	if err != nil {
		return err
	}
	checkpoint, err := audit.Checkpoint(src.Origin, i.LogSize, i.LogRoot, signer)
	out.Log = Log{Size: i.LogSize, Root: i.LogRoot[:], Checkpoint: string(checkpoint), Key: key.String()}
	return err
}

// sink takes finished parts of the stream on a goroutine of its own, so that sealing and reading go on at the same time.
type sink struct {
	to     io.Writer
	sum    hash.Hash
	bytes  int64
	parts  chan []byte
	failed chan struct{} // closed when err is set before the end
	done   chan struct{}
	err    error
}

// sinkDepth is how many parts may wait.
const sinkDepth = 4

func newSink(to io.Writer) *sink {
	s := &sink{to: to, sum: sha256.New(), parts: make(chan []byte, sinkDepth), failed: make(chan struct{}), done: make(chan struct{})}
	go s.run()
	return s
}

func (s *sink) run() {
	defer close(s.done)
	for part := range s.parts {
		s.sum.Write(part)
		s.bytes += int64(len(part))
		if _, s.err = s.to.Write(part); s.err != nil {
			close(s.failed)
			return
		}
	}
}

func (s *sink) put(part []byte) error {
	select {
	case s.parts <- part:
		return nil
	case <-s.failed:
		return s.err
	}
}

// wait ends the goroutine.
func (s *sink) wait() error {
	close(s.parts)
	<-s.done
	return s.err
}

// counter counts and hashes what goes into the file.
type counter struct {
	to  io.Writer
	sum hash.Hash
	n   int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.to.Write(p)
	c.sum.Write(p[:n])
	c.n += int64(n)
	if err != nil {
		return n, unwritable(err)
	}
	return n, nil
}

func unwritable(err error) error {
	return fault.Wrap(fault.KindOf(err), err, "the backup cannot be written")
}

func (m *moment) write(ctx context.Context, w io.Writer, recipients []age.Recipient, progress func(done, total int64)) (Written, error) {
	file := &counter{to: w, sum: sha256.New()}
	sealed, err := age.Encrypt(file, recipients...)
	if err != nil {
		return Written{}, err
	}
	s := newSink(sealed)
	err = m.stream(ctx, s, progress)
	if waited := s.wait(); err == nil {
		err = waited
	}
	if err != nil {
		return Written{}, err // sealed is not closed: a file without its last chunk does not open to its end
	}
	end, err := m.trailer(s)
	if err == nil {
		_, err = sealed.Write(end)
	}
	if err == nil {
		err = sealed.Close()
	}
	if err != nil {
		return Written{}, err
	}
	return Written{m.manifest, file.n, [32]byte(file.sum.Sum(nil)), [32]byte(s.sum.Sum(nil))}, nil
}

func (m *moment) stream(ctx context.Context, s *sink, progress func(done, total int64)) error {
	payload, err := json.Marshal(wireManifest{m.manifest, rootText{m.root.Hex()}, newWireSlot(m.slot)})
	if err != nil {
		return err
	}
	if len(payload) > maxManifest {
		return fault.New(fault.Unsupported, "the instance has more environments and keys than a manifest can hold")
	}
	if err := s.put(append(appendHead([]byte(magic), frameManifest, len(payload)), payload...)); err != nil {
		return err
	}
	p := &packer{s: s}
	total, done := m.manifest.Rows(), int64(0)
	for _, t := range m.snap.Tables() {
		if err := p.begin(t); err != nil {
			return err
		}
		if err := m.snap.Rows(ctx, t.Name, p.add); err != nil {
			return err
		}
		if err := p.flush(); err != nil {
			return err
		}
		if done += m.manifest.Count(t.Name); progress != nil {
			progress(done, total)
		}
	}
	return nil
}

// packer packs rows into frames.
type packer struct {
	s    *sink
	rows []byte
	n    uint64
}

func (p *packer) begin(t store.TableInfo) error {
	head, err := json.Marshal(tableHead{t.Name, t.Columns})
	if err != nil {
		return err
	}
	return p.s.put(append(appendHead(nil, frameTable, len(head)), head...))
}

func (p *packer) add(row []any) (err error) {
	if p.rows == nil {
		p.rows = make([]byte, 0, rowsFrame+rowsFrame/8)
	}
	if p.rows, err = appendRow(p.rows, row); err != nil {
		return err
	}
	if p.n++; len(p.rows) < rowsFrame {
		return nil
	}
	return p.flush()
}

func (p *packer) flush() error {
	if p.n == 0 {
		return nil
	}
	count := binary.AppendUvarint(nil, p.n)
	head := append(appendHead(nil, frameRows, len(count)+len(p.rows)), count...)
	err := p.s.put(head)
	if err == nil {
		err = p.s.put(p.rows)
	}
	p.rows, p.n = nil, 0
	return err
}

// trailer makes the last frame. The sink has ended.
func (m *moment) trailer(s *sink) ([]byte, error) {
	t := trailer{Digest: s.sum.Sum(nil), Rows: m.manifest.Rows(), Bytes: s.bytes}
	seed, _ := m.ring.LogSeed()
	defer seed.Wipe()
	t.Signature = sign(seed, signedText(m.manifest.Instance, t))
	payload, err := json.Marshal(t)
	return append(appendHead(nil, frameTrailer, len(payload)), payload...), err
}

func sign(seed sensitive.Value, text []byte) []byte {
	key := ed25519.NewKeyFromSeed(seed.Reveal())
	defer clear(key)
	return bytes.Clone(ed25519.Sign(key, text))
}
