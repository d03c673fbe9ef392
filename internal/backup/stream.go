package backup

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"io"

	"filippo.io/age"
	json "github.com/go-json-experiment/json"

	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/store"
)

// stream is an opened backup, read once from front to end. What it gives before [stream.next] has returned [io.EOF] is
// authentic to the holders of the recovery kits and no more: the signature comes last.
type stream struct {
	src      *source
	plain    *bufio.Reader
	sum      hash.Hash
	bytes    int64
	manifest wireManifest

	table int // index of the table whose rows are read, -1 before the first
	head  tableHead
	rows  int64 // of this table so far
	total int64
	end   *trailer
}

// block is a number of rows of one table, still in one piece.
type block struct {
	*tableHead
	count int64
	data  []byte
}

// openStream reads as far as the manifest.
func openStream(r io.Reader, identities []age.Identity) (*stream, error) {
	return openTee(r, identities, nil)
}

// openTee is openStream for a reader whose plaintext goes somewhere else as well.
func openTee(r io.Reader, identities []age.Identity, to io.Writer) (*stream, error) {
	s := &stream{src: &source{r: r}, sum: sha256.New(), table: -1}
	plain, err := unseal(s.src, identities)
	if err != nil {
		return nil, err
	}
	if to != nil {
		plain = io.TeeReader(plain, to)
	}
	// Larger than one chunk of age, 64 KiB, so that no chunk is copied twice.
	s.plain = bufio.NewReaderSize(plain, 256<<10)
	if err := s.begin(); err != nil {
		return nil, s.classify(err)
	}
	return s, nil
}

func (s *stream) begin() error {
	line := make([]byte, len(magic))
	if _, err := io.ReadFull(s.plain, line); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	switch {
	case string(line) == magic:
	case bytes.HasPrefix(line, []byte(magicPrefix)):
		return fault.New(fault.Unsupported, "the backup is of a format that this program does not know").WithHint("use a newer program")
	default:
		return fault.New(fault.Invalid, "this file opens, but it holds no Keyturn backup")
	}
	s.count(line)
	kind, payload, err := s.frame()
	if err != nil {
		return err
	}
	if kind != frameManifest {
		return malformed("it does not begin with its manifest")
	}
	if s.manifest, err = parseManifest(payload); err != nil {
		return err
	}
	if newest := store.NewestSchema(); s.manifest.Schema > newest {
		return fault.New(fault.Unsupported, "the backup has schema %d, this program knows %d", s.manifest.Schema, newest).
			WithHint("use the program that made it, or a newer one")
	}
	return nil
}

func (s *stream) count(b []byte) {
	s.sum.Write(b)
	s.bytes += int64(len(b))
}

// frame reads the next frame and, unless it is the trailer, takes it into the digest.
func (s *stream) frame() (byte, []byte, error) {
	var head [frameHead]byte
	kind, payload, err := readFrame(s.plain, &head)
	if err != nil {
		return 0, nil, err
	}
	if kind != frameTrailer {
		s.count(head[:])
		s.count(payload)
	}
	return kind, payload, nil
}

// next gives the next rows, [io.EOF] after a trailer that fits and a good signature. Every table of the manifest comes
// once, in its order, with the rows that were counted; one without rows gives one empty block, so that its columns are known.
func (s *stream) next(ctx context.Context) (block, error) {
	if s.end != nil {
		return block{}, io.EOF
	}
	if err := ctx.Err(); err != nil {
		return block{}, fault.Wrap(fault.Unavailable, err, "the reading of the backup was given up")
	}
	kind, payload, err := s.frame()
	if err == nil {
		switch kind {
		case frameTable:
			return s.begun(payload)
		case frameRows:
			return s.some(payload)
		case frameTrailer:
			if err = s.finish(payload); err == nil {
				return block{}, io.EOF
			}
		default:
			err = malformed("it has two manifests")
		}
	} else if err == io.EOF {
		err = cutShort() // no trailer
	}
	return block{}, s.classify(err)
}

// classify tells a source that failed from a file that is wrong.
func (s *stream) classify(err error) error {
	if s.src.err != nil {
		return unreadable(s.src.err)
	}
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return err
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return cutShort()
	}
	return altered(err)
}

// complete tells whether the table that was read has all its rows.
func (s *stream) complete() error {
	if s.table >= 0 && s.rows != s.manifest.Tables[s.table].Rows {
		return malformed("table %s has %d rows, the manifest says %d", s.head.Table, s.rows, s.manifest.Tables[s.table].Rows)
	}
	return nil
}

func (s *stream) begun(payload []byte) (block, error) {
	if err := s.complete(); err != nil {
		return block{}, err
	}
	var head tableHead
	if err := json.Unmarshal(payload, &head); err != nil {
		return block{}, malformed("the head of a table is not valid JSON")
	}
	s.table++
	if s.table >= len(s.manifest.Tables) || s.manifest.Tables[s.table].Name != head.Table || len(head.Columns) == 0 {
		return block{}, malformed("its tables are not those of the manifest")
	}
	s.head, s.rows = head, 0
	return block{tableHead: &head}, nil
}

func (s *stream) some(payload []byte) (block, error) {
	n, used := binary.Uvarint(payload)
	// A row has at least one byte for each column.
	if s.table < 0 || used <= 0 || n == 0 || n > uint64(len(payload)) {
		return block{}, malformed("rows come without their number or their table")
	}
	s.rows += int64(n)
	s.total += int64(n)
	if s.rows > s.manifest.Tables[s.table].Rows {
		return block{}, malformed("table %s has more rows than the manifest says", s.head.Table)
	}
	head := s.head
	return block{&head, int64(n), payload[used:]}, nil
}

// each visits the rows; cells are used again for the next one, what is in them is not.
func (b block) each(visit func(cells []cell) error) error {
	cells, rest := make([]cell, len(b.Columns)), b.data
	for range b.count {
		var err error
		if rest, err = parseRow(rest, cells); err != nil {
			return err
		}
		if err := visit(cells); err != nil {
			return err
		}
	}
	if len(rest) > 0 {
		return malformed("bytes follow the rows of %s", b.Table)
	}
	return nil
}

// finish checks the trailer, that nothing follows it, the signature, and the signed checkpoint of the log.
func (s *stream) finish(payload []byte) error {
	if err := s.complete(); err != nil {
		return err
	}
	if s.table+1 != len(s.manifest.Tables) {
		return malformed("it lacks tables of the manifest")
	}
	var t trailer
	if err := json.Unmarshal(payload, &t); err != nil {
		return malformed("its trailer is not valid JSON")
	}
	if !bytes.Equal(t.Digest, s.sum.Sum(nil)) || t.Rows != s.total || t.Bytes != s.bytes {
		return malformed("its digest or its counts are not those of what it holds")
	}
	if n, err := io.Copy(io.Discard, s.plain); err != nil {
		return err
	} else if n > 0 {
		return malformed("bytes follow its trailer")
	}
	public, err := s.manifest.signingKey()
	if err != nil {
		return err
	}
	if !ed25519.Verify(public, signedText(s.manifest.Instance, t), t.Signature) {
		return fault.New(fault.Invalid, "the signature of the backup is not that of its log-signing key")
	}
	vkey, err := s.manifest.Signer()
	if err != nil {
		return err
	}
	head, err := audit.OpenCheckpoint([]byte(s.manifest.Log.Checkpoint), vkey)
	if err != nil {
		return err
	}
	if head.Size != s.manifest.Log.Size || !bytes.Equal(head.Root[:], s.manifest.Log.Root) {
		return malformed("its checkpoint is of another log than its manifest says")
	}
	s.end = &t
	return nil
}
