package evidence

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/bucket"
	"github.com/keyturn/keyturn/internal/crashpoint"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

// Archiving is what it takes to move old entries out of the database.
type Archiving struct {
	Place bucket.Place // nil for none
	// Seal seals what is written to the recovery kits of the instance.
	Seal func(ctx context.Context, w io.Writer) (io.WriteCloser, error)
	// Handled tells up to which entry all followers of the log have come: what is not handled stays.
	Handled func(ctx context.Context) (int64, error)
}

// archiver does it, one at a time on a server; servers on one database stop each other at the transaction.
type archiver struct {
	Archiving
	busy sync.Mutex
}

// ArchiveTo says where old entries may go. Call it before the service is used.
func (l *Log) ArchiveTo(a Archiving) { l.archive = &archiver{Archiving: a} }

// listSegments bounds the segments of one answer.
const listSegments = 1000

func manage(ctx context.Context, what string) guard.Op {
	return guard.Op{Action: policy.AuditManage, Resource: policy.Resource{Org: guard.CallerOf(ctx).Principal.Org}, Detail: map[string]string{"what": what}}
}

// Archived lists what was archived, oldest first, from a first index on.
func (l *Log) Archived(ctx context.Context, from int64) (api.Archive, error) {
	out := api.Archive{Segments: []api.ArchiveSegment{}}
	err := l.door.Read(ctx, manage(ctx, "archive list"), func(guard.Permit) (err error) {
		if out.Archived, err = l.db.ArchivedEntries(ctx); err != nil {
			return err
		}
		rows, err := l.db.ArchiveSegments(ctx, from, listSegments)
		for i := range rows {
			out.Segments = append(out.Segments, segmentView(&rows[i]))
		}
		return err
	})
	return out, err
}

func segmentView(s *store.ArchiveSegment) api.ArchiveSegment {
	at := func(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
	return api.ArchiveSegment{First: s.First, Last: s.First + s.Count - 1, From: at(s.FromMS), To: at(s.ToMS), Place: s.Place, Name: s.Name, Sealed: s.Sealed, Bytes: s.Bytes,
		Digest: hex.EncodeToString(s.Digest), ArchivedAt: at(s.ArchivedAt)}
}

// Archive moves entries that are older than a moment into segments at the place for archives, sealed to the recovery kits unless
// open is set. Each segment is one transaction, made when its file was read back: wherever this ends, an entry is in the
// database or in a file that was read back.
func (l *Log) Archive(ctx context.Context, before time.Time, open bool) (api.Archive, error) {
	out := api.Archive{Segments: []api.ArchiveSegment{}}
	o := manage(ctx, "archive")
	if !l.door.Check(ctx, o.Action, o.Resource) { // what is allowed is recorded when it is done
		return out, l.door.Read(ctx, o, func(guard.Permit) error { return nil })
	}
	err := l.archiveAll(ctx, before, open, &out)
	if err != nil {
		return out, l.door.Fail(context.WithoutCancel(ctx), o, err)
	}
	if len(out.Segments) == 0 {
		err = l.door.Read(ctx, o, func(guard.Permit) error { return nil })
	}
	return out, err
}

func (l *Log) archiveAll(ctx context.Context, before time.Time, open bool, out *api.Archive) error {
	a := l.archive
	switch {
	case a == nil || a.Place == nil:
		return fault.New(fault.Unsupported, "this server has no place for archives of the log").WithHint("set KEYTURN_AUDIT_ARCHIVE_TO to a folder or an s3:// address")
	case before.After(time.Now()):
		return fault.New(fault.Invalid, "what is not written yet cannot be archived").WithField("/before", "lies ahead")
	case !a.busy.TryLock():
		return fault.New(fault.Conflict, "the log is being archived already")
	}
	defer a.busy.Unlock()
	if err := l.sound(ctx); err != nil {
		return err
	}
	for {
		made, err := l.archiveNext(ctx, before, open)
		if err != nil {
			return err
		}
		if made == nil {
			break
		}
		out.Segments = append(out.Segments, segmentView(made))
	}
	var err error
	out.Archived, err = l.db.ArchivedEntries(ctx)
	return err
}

// sound refuses to archive a log that is not what was signed: afterwards nobody could tell what was wrong.
func (l *Log) sound(ctx context.Context) error {
	cp, _, err := l.sign(ctx)
	if err != nil {
		return err
	}
	report, err := audit.Verify(ctx, l.db.Log(), []byte(cp.Checkpoint), cp.Key, nil)
	if err != nil {
		return err
	}
	if report.Sound() && report.Archived > 0 {
		_, err = audit.LastRows(ctx, l.db.Log())
	}
	if err != nil || !report.Sound() {
		return fault.Wrap(fault.Conflict, err, "the log is not sound, so nothing is archived").WithHint("run: keyturn audit verify")
	}
	return nil
}

// limit tells which entries may leave at most: those whose hashes lie in complete tiles, that are indexed for searches, and that
// every follower has handled.
func (l *Log) limit(ctx context.Context) (int64, error) {
	size, _, err := l.db.Log().Head(ctx)
	if err != nil {
		return 0, err
	}
	blocks, err := l.db.IndexedBlocks(ctx)
	if err != nil {
		return 0, err
	}
	handled, err := l.archive.Handled(ctx)
	const tile = 256
	return min(size/tile*tile, blocks*audit.IndexEntries, handled), err
}

// next gathers the chunks of the next segment; none when there is nothing to archive.
func (l *Log) next(ctx context.Context, before time.Time) ([]audit.Chunk, error) {
	from, err := l.db.ArchivedEntries(ctx)
	if err != nil {
		return nil, err
	}
	limit, err := l.limit(ctx)
	if err != nil {
		return nil, err
	}
	var out []audit.Chunk
	entries, size := 0, 0
	for c, err := range l.db.Log().Chunks(ctx, from, limit) {
		if err != nil {
			return nil, err
		}
		if c.ToMS >= before.UnixMilli() || c.First+int64(c.Count) > limit || entries+c.Count > audit.SegmentEntries && entries > 0 {
			break
		}
		if err := audit.CheckLeaves(ctx, l.db.Log(), c); err != nil {
			return nil, err
		}
		out = append(out, c)
		if entries, size = entries+c.Count, size+len(c.Data); size >= audit.SegmentBytes {
			break
		}
	}
	if len(out) > 0 && out[0].First != from {
		return nil, fault.New(fault.Conflict, "entry %d is missing, so nothing is archived", from).WithHint("run: keyturn audit verify")
	}
	return out, nil
}

func (l *Log) archiveNext(ctx context.Context, before time.Time, open bool) (*store.ArchiveSegment, error) {
	chunks, err := l.next(ctx, before)
	if err != nil || len(chunks) == 0 {
		return nil, err
	}
	file, head, err := l.segment(ctx, chunks, open)
	if err != nil {
		return nil, err
	}
	carry, err := audit.CarryOf(chunks)
	if err != nil {
		return nil, err
	}
	suffix := ".kts"
	if !open {
		suffix += ".age"
	}
	// A name of its own each time: what a crash left without a row is never written over.
	name := fmt.Sprintf("%s/segment-%016d-%016d-%s%s", placeName(head.Origin), head.First, head.First+head.Count-1, strings.ToLower(rand.Text())[:8], suffix)
	if err := l.put(ctx, name, file); err != nil {
		return nil, err
	}
	crashpoint.At("audit.archive.put")
	sum := sha256.Sum256(file)
	row := &store.ArchiveSegment{First: head.First, Count: head.Count, FromMS: head.FromMS, ToMS: head.ToMS, Place: l.archive.Place.String(), Name: name, Sealed: !open,
		Bytes: int64(len(file)), Digest: sum[:], Carry: carry}
	o := manage(ctx, "archive")
	o.Detail["segment"], o.Detail["first"], o.Detail["last"], o.Detail["digest"] = name, fmt.Sprint(head.First), fmt.Sprint(head.First+head.Count-1), hex.EncodeToString(sum[:])
	o.Detail["root"] = head.Root.String()
	err = l.door.Do(ctx, o, func(tx *store.Tx, _ guard.Permit) error {
		row.ArchivedAt = tx.Now()
		return tx.MoveToArchive(ctx, row)
	})
	crashpoint.At("audit.archive.moved")
	if err != nil { // nothing was moved: the file is of no use
		_ = l.archive.Place.Delete(context.WithoutCancel(ctx), name)
		return nil, err
	}
	return row, nil
}

// segment makes the file and reads it as whoever needs it will.
func (l *Log) segment(ctx context.Context, chunks []audit.Chunk, open bool) ([]byte, audit.SegmentHead, error) {
	var signers []note.Signer
	var vkeys []string
	for _, seed := range l.seeds() {
		signer, vkey, err := audit.NewSigner(l.origin, seed)
		seed.Wipe()
		if err != nil {
			return nil, audit.SegmentHead{}, err
		}
		signers, vkeys = append(signers, signer), append(vkeys, vkey)
	}
	var plain bytes.Buffer
	head, err := audit.WriteSegment(&plain, l.origin, chunks, signers...)
	if err != nil {
		return nil, head, err
	}
	if again, _, err := audit.ReadSegment(bytes.NewReader(plain.Bytes()), vkeys...); err != nil || again != head {
		return nil, head, fault.Wrap(fault.Internal, err, "the segment cannot be read back")
	}
	if open {
		return plain.Bytes(), head, nil
	}
	var sealed bytes.Buffer
	w, err := l.archive.Seal(ctx, &sealed)
	if err != nil {
		return nil, head, fault.As(err).WithHint("make a recovery kit: keyturn keys recovery create, or archive without sealing: --open")
	}
	if _, err = w.Write(plain.Bytes()); err == nil {
		err = w.Close()
	}
	return sealed.Bytes(), head, err
}

// put stores a file and reads it back.
func (l *Log) put(ctx context.Context, name string, file []byte) error {
	if _, err := l.archive.Place.Put(ctx, name, bytes.NewReader(file)); err != nil {
		return err
	}
	r, err := l.archive.Place.Get(ctx, name)
	if err != nil {
		return err
	}
	back, err := io.ReadAll(io.LimitReader(r, int64(len(file))+1))
	_ = r.Close()
	if err != nil || !bytes.Equal(back, file) {
		return fault.Wrap(fault.Unavailable, err, "the place for archives does not give back what it was given")
	}
	return nil
}

// placeName turns an origin into a part of a name.
func placeName(origin string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '.', r == '-', r == '_':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, origin)
}

// refuseArchived answers a question for an entry that is archived.
func (l *Log) refuseArchived(ctx context.Context, index int64) error {
	n, err := l.db.ArchivedEntries(ctx)
	if err != nil || index < 0 || index >= n {
		return err
	}
	s, err := l.db.ArchiveSegmentOf(ctx, index)
	if err != nil {
		return err
	}
	return s.GoneToArchive()
}
