package audit

import (
	"slices"
	"strings"
)

// Filter selects entries. Empty fields select all; the set ones must all match.
type Filter struct {
	Actor   string // id or name of the actor, or id of the token
	Action  string // exact, or every action under a prefix: "secret.*"
	Project string // id
	Env     string // id
	Key     string // full path, or with no slash the last element of one
	Outcome string // one of the outcomes
	FromMS  int64  // not before, unix milliseconds; 0 for the beginning
	ToMS    int64  // before, unix milliseconds; 0 for the end
}

// Match tells whether the filter selects e.
func (f Filter) Match(e *Entry) bool {
	return (f.Actor == "" || f.Actor == e.Actor.ID || f.Actor == e.Actor.Name || f.Actor == e.Actor.Token) &&
		(f.Action == "" || matchAction(f.Action, e.Action)) &&
		(f.Project == "" || f.Project == e.Project) &&
		(f.Env == "" || f.Env == e.Env) &&
		(f.Outcome == "" || f.Outcome == e.Outcome) &&
		e.At >= f.FromMS && (f.ToMS == 0 || e.At < f.ToMS) &&
		(f.Key == "" || slices.ContainsFunc(e.Keys, func(k string) bool { return matchKey(f.Key, k) }))
}

// Overlaps tells whether a chunk can hold a selected entry by its times, so that others need not be opened.
func (f Filter) Overlaps(c Chunk) bool {
	return c.ToMS >= f.FromMS && (f.ToMS == 0 || c.FromMS < f.ToMS)
}

func matchAction(want, action string) bool {
	if prefix, ok := strings.CutSuffix(want, "*"); ok {
		return strings.HasPrefix(action, prefix)
	}
	return want == action
}

func matchKey(want, key string) bool {
	if !strings.Contains(want, "/") {
		key = key[strings.LastIndexByte(key, '/')+1:]
	}
	return want == key
}
