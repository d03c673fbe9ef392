package audit

import (
	"hash/fnv"
	"strings"

	"github.com/keyturn/keyturn/internal/fault"
)

// The index over the log tells a search where it need not look. It is computed from the entries and proves nothing: a search
// reads every entry that it shows, and [IndexBlock.Check] finds an index that hides one.
//
// Each block of [IndexEntries] entries has 64 Bloom filters, one for each stretch of 64 entries (B. H. Bloom, Space/time
// trade-offs in hash coding with allowable errors, CACM 13, 1970). With the hundred or two different terms that a stretch
// really has, one search in ten thousand looks into a stretch in vain, for 16 bytes of index to each entry.
const (
	IndexEntries = 64 * stretch
	stretch      = 64
	filterBytes  = 1024
	filterHashes = 5
)

// IndexBlock is the index of the entries [Block*IndexEntries, (Block+1)*IndexEntries).
type IndexBlock struct {
	Block        int64
	FromMS, ToMS int64 // enclose the times of all its entries, unix milliseconds, both inclusive
	Filters      []byte
}

// NewIndexBlock makes an empty block to add entries to.
func NewIndexBlock(block int64) *IndexBlock {
	return &IndexBlock{Block: block, Filters: make([]byte, stretch*filterBytes)}
}

// Add notes an entry by its index in the log, which must lie in the block.
func (b *IndexBlock) Add(index int64, e *Entry) {
	at := (index - b.Block*IndexEntries) / stretch
	filter := b.Filters[at*filterBytes : (at+1)*filterBytes]
	if b.FromMS == 0 || e.At < b.FromMS {
		b.FromMS = e.At
	}
	b.ToMS = max(b.ToMS, e.At)
	entryTerms(e, func(kind byte, text string) {
		for h := range termHashes(kind, text) {
			filter[h/8] |= 1 << (h % 8)
		}
	})
}

// Check compares with the block as it should be.
func (b *IndexBlock) Check(want *IndexBlock) error {
	if b.FromMS != want.FromMS || b.ToMS != want.ToMS || string(b.Filters) != string(want.Filters) {
		return fault.New(fault.Internal, "the index over entries %d to %d is not what the entries make: searches may miss some of them", b.Block*IndexEntries, (b.Block+1)*IndexEntries-1).
			WithHint("the log itself is not touched by this; make the index anew with: keyturn audit verify --deep")
	}
	return nil
}

// The kinds of terms. An actor is searched for by id, name and token alike.
const (
	termActor   = 'a'
	termAction  = 'c'
	termPrefix  = 'p' // of an action, with the dot
	termProject = 'j'
	termEnv     = 'e'
	termKey     = 'k'
	termName    = 'n' // last element of a key
	termOutcome = 'o'
)

func entryTerms(e *Entry, add func(kind byte, text string)) {
	for _, actor := range []string{e.Actor.ID, e.Actor.Name, e.Actor.Token} {
		add(termActor, actor)
	}
	add(termAction, e.Action)
	for i, c := range e.Action {
		if c == '.' {
			add(termPrefix, e.Action[:i+1])
		}
	}
	add(termProject, e.Project)
	add(termEnv, e.Env)
	add(termOutcome, e.Outcome)
	for _, key := range e.Keys {
		add(termKey, key)
		add(termName, key[strings.LastIndexByte(key, '/')+1:])
	}
}

// filterTerms gives what a stretch must have to hold an entry that the filter selects. A prefix of an action that does not end
// at a dot cannot be looked up, and does not narrow.
func (f Filter) filterTerms(add func(kind byte, text string)) {
	if prefix, ok := strings.CutSuffix(f.Action, "*"); !ok && f.Action != "" {
		add(termAction, f.Action)
	} else if ok && strings.HasSuffix(prefix, ".") {
		add(termPrefix, prefix)
	}
	for kind, text := range map[byte]string{termActor: f.Actor, termProject: f.Project, termEnv: f.Env, termOutcome: f.Outcome} {
		if text != "" {
			add(kind, text)
		}
	}
	switch {
	case f.Key == "":
	case strings.Contains(f.Key, "/"):
		add(termKey, f.Key)
	default:
		add(termName, f.Key)
	}
}

// termHashes gives the bits of a term (A. Kirsch and M. Mitzenmacher, Less hashing, same performance, ESA 2006).
func termHashes(kind byte, text string) func(func(uint32) bool) {
	h := fnv.New64a()
	_, _ = h.Write([]byte{kind})
	_, _ = h.Write([]byte(text))
	sum := h.Sum64()
	sum ^= sum >> 29 // FNV leaves the high bits of short texts alike
	sum *= 0xbf58476d1ce4e5b9
	first, step := uint32(sum), uint32(sum>>32)|1
	return func(yield func(uint32) bool) {
		for i := range uint32(filterHashes) {
			if !yield((first + i*step) % (filterBytes * 8)) {
				return
			}
		}
	}
}

// Query is a filter prepared to be asked of many blocks.
type Query struct {
	filter Filter
	bits   []uint32
}

// Query prepares the filter.
func (f Filter) Query() Query {
	q := Query{filter: f}
	f.filterTerms(func(kind byte, text string) {
		for h := range termHashes(kind, text) {
			q.bits = append(q.bits, h)
		}
	})
	return q
}

// Stretches gives the index of the first entry of each stretch that may hold an entry which the filter selects, and of the one
// after its last, newest first. A block of the wrong size answers with all of itself.
func (b *IndexBlock) Stretches(q Query) [][2]int64 {
	begin := b.Block * IndexEntries
	if len(b.Filters) != stretch*filterBytes {
		return [][2]int64{{begin, begin + IndexEntries}}
	}
	if b.ToMS < q.filter.FromMS || q.filter.ToMS != 0 && b.FromMS >= q.filter.ToMS {
		return nil
	}
	var out [][2]int64
	for at := int64(stretch - 1); at >= 0; at-- {
		filter, may := b.Filters[at*filterBytes:(at+1)*filterBytes], true
		for _, h := range q.bits {
			if filter[h/8]&(1<<(h%8)) == 0 {
				may = false
				break
			}
		}
		if !may {
			continue
		}
		first := begin + at*stretch
		if n := len(out); n > 0 && out[n-1][0] == first+stretch && out[n-1][1]-first <= 8*stretch {
			out[n-1][0] = first // neighbours are read at once, in steps that a page fills
			continue
		}
		out = append(out, [2]int64{first, first + stretch})
	}
	return out
}
