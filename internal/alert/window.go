package alert

import (
	"container/list"
	"time"
)

// maxKeys bounds the keys that are watched for one rule at once. Past it those that were idle longest are forgotten: an attacker
// who shows ten thousand names can hide one behind them, but not the flood itself, which has a key of its own.
const maxKeys = 10_000

// window counts what happens within a time, by key. It is a pure value: the clock is the times of the entries.
type window struct {
	within int64 // milliseconds
	keys   *recent[string, *recent[string, struct{}]]
}

func newWindow(within time.Duration) *window {
	return &window{within: within.Milliseconds(), keys: newRecent[string, *recent[string, struct{}]]()}
}

// add counts an item of a key and tells how many different ones there were within the time, at most limit: more are not kept.
func (w *window) add(key, item string, at, limit int64) int64 {
	items, ok := w.keys.get(key)
	if !ok {
		items = newRecent[string, struct{}]()
	}
	w.keys.put(key, items, at)
	w.keys.trim(maxKeys, at-w.within)
	items.put(item, struct{}{}, at)
	items.trim(int(limit), at-w.within)
	return int64(items.len())
}

// recent is a map in the order in which its keys were last put.
type recent[K comparable, V any] struct {
	order *list.List // of *kept, the oldest first
	at    map[K]*list.Element
}

type kept[K comparable, V any] struct {
	key   K
	value V
	at    int64
}

func newRecent[K comparable, V any]() *recent[K, V] {
	return &recent[K, V]{list.New(), map[K]*list.Element{}}
}

func (r *recent[K, V]) len() int { return len(r.at) }

func (r *recent[K, V]) get(key K) (value V, ok bool) {
	if e := r.at[key]; e != nil {
		return e.Value.(*kept[K, V]).value, true
	}
	return value, false
}

func (r *recent[K, V]) put(key K, value V, at int64) {
	if e := r.at[key]; e != nil {
		k := e.Value.(*kept[K, V])
		k.value, k.at = value, max(k.at, at)
		r.order.MoveToBack(e)
		return
	}
	r.at[key] = r.order.PushBack(&kept[K, V]{key, value, at})
}

// trim forgets what was put at before or sooner, and then the oldest until at most limit are left.
func (r *recent[K, V]) trim(limit int, before int64) {
	for e := r.order.Front(); e != nil; e = r.order.Front() {
		k := e.Value.(*kept[K, V])
		if k.at > before && r.len() <= limit {
			return
		}
		delete(r.at, k.key)
		r.order.Remove(e)
	}
}
