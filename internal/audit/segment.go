package audit

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/keyturn/keyturn/internal/fault"
)

// A segment file holds an archived stretch of the log: the title on a line, the length of the manifest (4 bytes, big-endian),
// the manifest as a C2SP signed-note by the log's key, and the chunks, compressed with gzip. In there each chunk is its first
// index, count, earliest and latest time (8 bytes each, big-endian), the length of its data (4 bytes), and the data.
const segmentTitle = "keyturn audit segment v1"

const (
	// SegmentEntries and SegmentBytes bound a segment: what is in memory while one is made or read.
	SegmentEntries = 1 << 16
	SegmentBytes   = 16 << 20
	// maxSegmentBody is that, one chunk more, and what stands around the chunks.
	maxSegmentBody = SegmentBytes + maxChunkEntries*(prefixBytes+64) + 64<<20
	maxSegmentHead = 16 << 10
	chunkHeadBytes = 4*8 + 4
)

// SegmentHead is what the manifest of a segment says.
type SegmentHead struct {
	Origin       string
	First, Count int64
	FromMS, ToMS int64     // that enclose the times of all entries, unix milliseconds
	Root         tlog.Hash // of a tree with these entries alone (RFC 6962)
	Body         [32]byte  // SHA-256 of what is compressed
	Bytes        int64     // and its length
}

func (h SegmentHead) text() string {
	return fmt.Sprintf("%s\norigin %s\nentries %d %d\ntimes %d %d\nroot %s\nbody %x %d\n", segmentTitle, h.Origin, h.First, h.Count, h.FromMS, h.ToMS, h.Root, h.Body, h.Bytes)
}

// WriteSegment writes consecutive chunks as one segment. Chunks that do not follow each other are [fault.Internal].
func WriteSegment(w io.Writer, origin string, chunks []Chunk, signers ...note.Signer) (SegmentHead, error) {
	if len(chunks) == 0 || len(signers) == 0 {
		return SegmentHead{}, fault.New(fault.Internal, "a segment needs entries and a signer")
	}
	h := SegmentHead{Origin: origin, First: chunks[0].First, FromMS: chunks[0].FromMS, ToMS: chunks[0].ToMS}
	var body []byte
	tree := EmptyTree()
	for _, c := range chunks {
		if err := c.Check(); err != nil {
			return h, err
		}
		if c.First != h.First+h.Count {
			return h, damaged("entry %d is missing", h.First+h.Count)
		}
		h.Count += int64(c.Count)
		h.FromMS, h.ToMS = min(h.FromMS, c.FromMS), max(h.ToMS, c.ToMS)
		for _, n := range [...]int64{c.First, int64(c.Count), c.FromMS, c.ToMS} {
			body = binary.BigEndian.AppendUint64(body, uint64(n))
		}
		body = append(binary.BigEndian.AppendUint32(body, uint32(len(c.Data))), c.Data...)
		for _, leaf := range leaves(c) {
			tree.add(leaf, new([]Tile))
		}
	}
	h.Root, h.Body, h.Bytes = tree.Root(), sha256.Sum256(body), int64(len(body))
	if h.Bytes > maxSegmentBody {
		return h, fault.New(fault.Internal, "a segment of %d bytes is too large", h.Bytes)
	}
	signed, err := note.Sign(&note.Note{Text: h.text()}, signers...)
	if err != nil {
		return h, fault.Wrap(fault.Internal, err, "could not sign the segment")
	}
	var out bytes.Buffer
	out.WriteString(segmentTitle + "\n")
	_ = binary.Write(&out, binary.BigEndian, uint32(len(signed))) // a buffer takes everything
	out.Write(signed)
	z := gzip.NewWriter(&out)
	_, err = z.Write(body)
	if err = errors.Join(err, z.Close()); err == nil {
		_, err = out.WriteTo(w)
	}
	return h, err
}

// ReadSegment reads a segment to its end and checks all of it: signature, digest, that the chunks are well formed and follow each
// other, that each entry is canonical, and that they give the root. Otherwise it is [fault.Invalid]; an error of r itself comes
// back wrapped. Without keys the signature is not checked: whoever compares the entries with the root of a signed checkpoint
// knows more than it says.
func ReadSegment(r io.Reader, vkeys ...string) (SegmentHead, []Chunk, error) {
	bad := func(what string) error {
		return fault.New(fault.Invalid, "the segment of the audit log is damaged: %s", what)
	}
	start := make([]byte, len(segmentTitle)+1+4)
	if _, err := io.ReadFull(r, start); err != nil || !bytes.HasPrefix(start, []byte(segmentTitle+"\n")) {
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return SegmentHead{}, nil, fmt.Errorf("read segment: %w", err)
		}
		return SegmentHead{}, nil, fault.New(fault.Invalid, "this file is no segment of an audit log")
	}
	size := binary.BigEndian.Uint32(start[len(segmentTitle)+1:])
	if size > maxSegmentHead {
		return SegmentHead{}, nil, bad("its manifest is too long")
	}
	signed := make([]byte, size)
	if _, err := io.ReadFull(r, signed); err != nil {
		return SegmentHead{}, nil, bad("its manifest is cut short")
	}
	text, origin, err := unsigned(signed)
	if len(vkeys) > 0 {
		text, origin, err = openNote(signed, maxSegmentHead, "segment", vkeys)
	}
	if err != nil {
		return SegmentHead{}, nil, err
	}
	h, err := parseSegmentHead(text)
	if err != nil || h.text() != text || len(vkeys) > 0 && h.Origin != origin {
		return h, nil, fault.New(fault.Invalid, "the segment is signed, but not in the form of %q", segmentTitle)
	}
	z, err := gzip.NewReader(r)
	if err != nil {
		return h, nil, bad("its entries are not compressed")
	}
	body, err := io.ReadAll(io.LimitReader(z, h.Bytes+1))
	if err != nil || int64(len(body)) != h.Bytes || sha256.Sum256(body) != h.Body {
		return h, nil, bad("its entries are not those that were signed")
	}
	chunks, err := parseSegment(h, body)
	return h, chunks, err
}

// unsigned gives the text of a note without looking at its signatures.
func unsigned(signed []byte) (text, origin string, err error) {
	i := bytes.LastIndex(signed, []byte("\n\n"))
	if i < 0 {
		return "", "", fault.New(fault.Invalid, "the segment of the audit log has no signature")
	}
	return string(signed[:i+1]), "", nil
}

func parseSegment(h SegmentHead, body []byte) ([]Chunk, error) {
	var chunks []Chunk
	tree := EmptyTree()
	next := h.First
	for len(body) > 0 {
		if len(body) < chunkHeadBytes {
			return nil, fault.New(fault.Invalid, "the segment of the audit log is cut short")
		}
		number := func(i int) int64 { return int64(binary.BigEndian.Uint64(body[8*i:])) }
		c := Chunk{First: number(0), FromMS: number(2), ToMS: number(3)}
		count, size := number(1), int(binary.BigEndian.Uint32(body[32:]))
		if body = body[chunkHeadBytes:]; size > len(body) || count < 1 || count > maxChunkEntries {
			return nil, fault.New(fault.Invalid, "the segment of the audit log is cut short")
		}
		c.Count, c.Data, body = int(count), body[:size:size], body[size:]
		if err := c.Check(); err != nil {
			return nil, err
		}
		if c.First != next || c.FromMS < h.FromMS || c.ToMS > h.ToMS {
			return nil, fault.New(fault.Invalid, "the segment of the audit log lacks entry %d", next)
		}
		for i, b := range c.Entries() {
			if _, err := ParseEntry(b); err != nil {
				return nil, fmt.Errorf("entry %d: %w", i, err)
			}
		}
		for _, leaf := range leaves(c) {
			tree.add(leaf, new([]Tile))
		}
		chunks, next = append(chunks, c), next+count
	}
	if next != h.First+h.Count || tree.Root() != h.Root {
		return nil, fault.New(fault.Invalid, "the entries of the segment do not give the root that its manifest signs")
	}
	return chunks, nil
}

func parseSegmentHead(text string) (h SegmentHead, err error) {
	wrong := fault.New(fault.Invalid, "no manifest of a segment")
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) != 6 || lines[0] != segmentTitle {
		return h, wrong
	}
	fields := map[string][]string{}
	for _, l := range lines[1:] {
		name, rest, _ := strings.Cut(l, " ")
		fields[name] = strings.Split(rest, " ")
	}
	number := func(name string, i int) (n int64) {
		if i >= len(fields[name]) {
			err = wrong
			return 0
		}
		n, e := strconv.ParseInt(fields[name][i], 10, 64)
		if e != nil || n < 0 || n > maxLogSize {
			err = wrong
		}
		return n
	}
	h = SegmentHead{Origin: strings.Join(fields["origin"], " "), First: number("entries", 0), Count: number("entries", 1), FromMS: number("times", 0), ToMS: number("times", 1), Bytes: number("body", 1)}
	if err != nil || len(fields["root"]) != 1 || h.Bytes > maxSegmentBody || h.Count < 1 {
		return h, wrong
	}
	if h.Root, err = tlog.ParseHash(fields["root"][0]); err != nil {
		return h, wrong
	}
	sum, err := hex.DecodeString(fields["body"][0])
	if err != nil || len(sum) != len(h.Body) {
		return h, wrong
	}
	h.Body = [32]byte(sum)
	return h, nil
}

// Until cuts off the entries from an index on. A chunk that begins there is [fault.Invalid].
func (c Chunk) Until(end int64) (Chunk, error) {
	if c.First+int64(c.Count) <= end {
		return c, nil
	}
	if c.First >= end {
		return c, fault.New(fault.Invalid, "audit chunk begins at entry %d, where none belongs", c.First)
	}
	if err := c.Check(); err != nil {
		return c, err
	}
	size := 0
	for i, b := range c.Entries() {
		if i == end {
			break
		}
		size += prefixBytes + len(b)
	}
	c.Count, c.Data = int(end-c.First), c.Data[:size]
	return c, nil
}
