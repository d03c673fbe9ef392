package alert

import (
	"time"
)

// maxKeys bounds the keys that are watched for one rule at once. Past it those that were idle longest are forgotten: an attacker
// who shows ten thousand names can hide one behind them, but not the flood itself, which has a key of its own.
const maxKeys = 10_000

// window counts what happens within a time, by key. It is a pure value: the clock is the times of the entries.
type window struct {
	within time.Duration
	keys   map[string]*counted
}

// counted is what one key did. Items that are equal count once.
type counted struct {
	items map[string]int64 // to the last time, unix milliseconds
	last  int64
}

func newWindow(within time.Duration) *window {
	return &window{within: within, keys: map[string]*counted{}}
}

// add counts an item of a key and tells how many different ones there were within the time, at most limit.
func (w *window) add(key, item string, at, limit int64) int64 {
	c := w.keys[key]
	if c == nil {
		if len(w.keys) >= maxKeys {
			w.drop(at)
		}
		c = &counted{items: map[string]int64{}}
		w.keys[key] = c
	}
	c.last = max(c.last, at)
	begin := c.last - w.within.Milliseconds()
	if _, known := c.items[item]; known || int64(len(c.items)) < limit {
		c.items[item] = max(c.items[item], at)
		if int64(len(c.items)) < limit {
			return int64(len(c.items)) // old ones may be among them, but too few all the same
		}
	}
	for i, t := range c.items {
		if t <= begin {
			delete(c.items, i)
		}
	}
	if _, known := c.items[item]; !known && int64(len(c.items)) < limit {
		c.items[item] = at
	}
	return int64(len(c.items))
}

// drop forgets keys that did nothing within the time, and when there are none the one that was idle longest.
func (w *window) drop(now int64) {
	begin := now - w.within.Milliseconds()
	oldest, at := "", int64(0)
	for k, c := range w.keys {
		if c.last <= begin {
			delete(w.keys, k)
		} else if oldest == "" || c.last < at {
			oldest, at = k, c.last
		}
	}
	if len(w.keys) >= maxKeys {
		delete(w.keys, oldest)
	}
}
