package transit

import (
	"sync"
	"sync/atomic"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/store"
)

const (
	// maxHeld bounds the memory for keys at hand, in bytes of their envelopes and rows; past it all are forgotten. It holds some
	// ten thousand symmetric keys.
	maxHeld = 16 << 20
	// rowSize is about what a version takes beside its envelope.
	rowSize = 512
)

// key is one as it was at a moment. It is never changed: a change makes a new one.
type key struct {
	row      store.TransitKey
	versions map[int64]*version
	size     int64
	renewed  bool // loaded anew for one request
}

// version is one generation of a key. Its material is opened when it is first needed.
type version struct {
	row  store.TransitVersion
	kind Kind

	opening sync.Mutex
	opened  atomic.Pointer[material]
}

// held are the keys at hand, so that an operation asks the disk for nothing. What is forgotten is left to the collector and not
// wiped: others may be at work with it.
type held struct {
	mu         sync.RWMutex
	generation int64 // moved on by every change, so that nothing stale is entered
	names      map[spot]*key
	ids        map[string]*key
	size       int64
}

func newHeld() *held { return &held{names: map[spot]*key{}, ids: map[string]*key{}} }

func (h *held) byName(at spot) *key {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.names[at]
}

func (h *held) byID(id string) *key {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.ids[id]
}

func (h *held) now() int64 {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.generation
}

func (h *held) keep(at spot, k *key, generation int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.generation != generation {
		return
	}
	if h.size+k.size > maxHeld {
		clear(h.names)
		clear(h.ids)
		h.size = 0
	}
	if old := h.names[at]; old != nil {
		h.size -= old.size
	}
	h.names[at], h.ids[k.row.ID] = k, k
	h.size += k.size
}

// forget drops the keys of one place.
func (h *held) forget(project domain.ProjectID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.generation++
	for at, k := range h.names {
		if at.project == project {
			delete(h.names, at)
			delete(h.ids, k.row.ID)
			h.size -= k.size
		}
	}
}

func (h *held) clear() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.generation++
	clear(h.names)
	clear(h.ids)
	h.size = 0
}
