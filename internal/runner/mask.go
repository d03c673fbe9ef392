package runner

import (
	"io"
	"sync"
	"time"

	"github.com/keyturn/keyturn/internal/sensitive"
)

// masked replaces what is hidden.
const masked = "[masked]"

const (
	// silence is how long a few held bytes wait for more; a person does not notice it.
	silence = 100 * time.Millisecond
	// maxReleased is how many first bytes of a secret silence may let out: fewer than what counts as a secret at all.
	maxReleased = minMasked - 1
)

// Mask returns a writer that passes everything on to w but replaces each occurrence of a value by "[masked]". It looks for
//   - the value, and without its final line break;
//   - each line of at least 8 bytes of a value with several lines;
//   - base64 (standard and URL alphabet; also in the midst of a longer encoding), hex in either case, percent-encoding,
//     JSON and Go string escapes.
//
// Values of fewer than 4 bytes are not masked. Occurrences that overlap become one "[masked]", so that the longest wins
// and no rest of the other stays. Encodings that are themselves broken into lines, compressed or encrypted are not found;
// masking guards against accidents, not against a command that wants to leak.
//
// It does not matter how the stream is cut into writes. Only bytes that may be the beginning of an occurrence are held
// back, everything before them is written at once. Held bytes are written when more output shows them harmless, and by
// Close. After 100 ms of silence up to 3 held bytes are written, so that a prompt is whole; 4 or more, which could be most
// of a secret that is still being written, stay until there is more or Close.
//
// Close writes what is held and does not close w. The writer may be used by several goroutines. An error of w is returned
// by that write and all later ones.
func Mask(w io.Writer, values []sensitive.Value) io.WriteCloser {
	return &masker{w: w, find: build(forms(values))}
}

// masker is the writer. Positions count the bytes of the stream.
//
//	       done      held bytes             end
//	-------|-----------------------------|
//	         ^ node's string begins here or later than done: an occurrence that is not complete may begin there
type masker struct {
	w    io.Writer
	find *automaton

	mu     sync.Mutex
	timer  *time.Timer
	err    error
	node   int32
	held   []byte // from done to end
	done   int64  // all before is written or masked
	hidden int64  // all before belongs to a [masked] that is written already; may exceed done
	hits   []span // occurrences at or after done, in order, apart from each other
	out    []byte
}

type span struct{ from, to int64 }

// Write implements [io.Writer].
func (m *masker) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.timer != nil {
		m.timer.Stop()
	}
	if m.err != nil {
		return 0, m.err
	}
	m.scan(p)
	end := m.done + int64(len(m.held)+len(p))
	m.settle(p, end-int64(m.find.nodes[m.node].depth))
	if m.emit(); m.err != nil {
		return 0, m.err
	}
	if n := len(m.held); n > 0 && n <= maxReleased {
		if m.timer == nil {
			m.timer = time.AfterFunc(silence, m.release)
		} else {
			m.timer.Reset(silence)
		}
	}
	return len(p), nil
}

// Close implements [io.Closer].
func (m *masker) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.timer != nil {
		m.timer.Stop()
	}
	m.settle(nil, m.done+int64(len(m.held)))
	m.emit()
	return m.err
}

// release writes few held bytes after silence. The node stays: if an occurrence completes later, its rest is masked. Bytes
// of one occurrence are let out only while its first three are all there is.
func (m *masker) release() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.held) <= maxReleased && int(m.find.nodes[m.node].depth) <= maxReleased {
		m.settle(nil, m.done+int64(len(m.held)))
		m.emit()
	}
}

// scan reads p and notes the occurrences that end in it.
func (m *masker) scan(p []byte) {
	start := m.done + int64(len(m.held))
	a, node := m.find, m.node
	for i := 0; i < len(p); {
		// If all that may have begun began in p and is shorter than the filter's view, look where the next may begin.
		if d := int(a.nodes[node].depth); d < head && d <= i {
			if next := a.skip(p, i-d); next >= i {
				i, node = next, 0
			}
		}
		node = a.step(node, p[i])
		i++
		if n := int64(a.nodes[node].longest); n > 0 {
			m.hit(start+int64(i)-n, start+int64(i))
		}
	}
	m.node = node
}

// hit notes an occurrence that ends later than all before.
func (m *masker) hit(from, to int64) {
	if from < m.hidden {
		m.hidden, m.hits = to, m.hits[:0]
		return
	}
	for n := len(m.hits); n > 0 && m.hits[n-1].to > from; n-- {
		from = min(from, m.hits[n-1].from)
		m.hits = m.hits[:n-1]
	}
	m.hits = append(m.hits, span{from, to})
}

// settle moves to out what is certain when no occurrence to come begins before limit, and keeps the rest of held and p.
func (m *masker) settle(p []byte, limit int64) {
	held, start := m.held, m.done
	seam := start + int64(len(held))
	end := seam + int64(len(p))
	pass := func(to int64) { // silence may have let out more already
		if m.done < min(to, seam) {
			m.out = append(m.out, held[m.done-start:min(to, seam)-start]...)
			m.done = min(to, seam)
		}
		if m.done < to {
			m.out = append(m.out, p[m.done-seam:to-seam]...)
			m.done = to
		}
	}
	m.done = max(m.done, min(m.hidden, end))
	for len(m.hits) > 0 && m.hits[0].from <= limit {
		pass(m.hits[0].from)
		m.out = append(m.out, masked...)
		m.hidden = m.hits[0].to
		m.done = m.hidden
		m.hits = m.hits[:copy(m.hits, m.hits[1:])]
	}
	pass(limit)
	if m.done >= seam {
		m.held = append(held[:0], p[m.done-seam:]...)
		return
	}
	if gone := m.done - start; gone > 0 {
		held = held[:copy(held, held[gone:])]
	}
	m.held = append(held, p...)
}

// emit writes out.
func (m *masker) emit() {
	if len(m.out) == 0 || m.err != nil {
		return
	}
	n, err := m.w.Write(m.out)
	if err == nil && n < len(m.out) {
		err = io.ErrShortWrite
	}
	m.out, m.err = m.out[:0], err
}
