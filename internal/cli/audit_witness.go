package cli

import (
	"context"
	"errors"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/audit"
)

// witness remembers what a server's log looked like and refuses one that does not continue it.
type witness struct {
	app    *app
	client *client.Client
	memory checkpointMemory
	server string
	trust  bool // accept a log or key that is not known
}

// sighting is a checkpoint that was found good.
type sighting struct {
	head   audit.Head
	keys   []string // that the machine trusts for this log
	before int64    // size of the log when this machine saw it last; 0 for never
}

func (a *app) witness(trust bool) (*witness, error) {
	c, err := a.client()
	if err != nil {
		return nil, err
	}
	file, err := a.checkpointsFile()
	if err != nil {
		return nil, err
	}
	return &witness{app: a, client: c, memory: checkpointMemory{file}, server: c.Server(), trust: trust}, nil
}

// see checks the signature of a checkpoint and that its log continues the remembered one, then remembers the newest state.
func (w *witness) see(ctx context.Context, now api.Checkpoint) (sighting, error) {
	known, err := w.memory.of(w.server)
	if err != nil {
		return sighting{}, err
	}
	head, log, err := w.open(now, known)
	if err != nil {
		return sighting{}, err
	}
	out := sighting{head: head, keys: log.Keys, before: log.Size}
	newest := newer{head: head, signed: now.Checkpoint}
	if log.Size > 0 {
		old, err := log.head(head.Origin)
		if err != nil {
			return sighting{}, err
		}
		if newest, err = w.continues(ctx, old, head, now, log.Keys); err != nil {
			return sighting{}, err
		}
	}
	log.Size, log.Root, log.Checkpoint = newest.head.Size, rootText(newest.head.Root), newest.signed
	return out, w.memory.put(w.server, head.Origin, log)
}

// open finds the trusted keys of the checkpoint's log and checks its signature. A key is trusted when this machine saw it
// first, when a trusted key signed the same checkpoint, as it does while two keys overlap, or when a trusted key handed over
// to it: so a machine that slept through a whole overlap finds its way.
func (w *witness) open(now api.Checkpoint, known map[string]knownLog) (audit.Head, knownLog, error) {
	offered := strings.Fields(now.Key)
	origin, _, _ := strings.Cut(now.Checkpoint, "\n")
	log, met := known[origin]
	if !met {
		if len(known) > 0 && !w.trust {
			return audit.Head{}, log, refuse("%s shows another log than before: %q instead of %q", w.server, origin, anyOf(known))
		}
		log.Keys = offered
		head, err := audit.OpenCheckpoint([]byte(now.Checkpoint), offered...)
		if err != nil {
			return head, log, refuse("the checkpoint of %s is not signed as it must be: %s", w.server, reportOf(err).message)
		}
		w.app.info("first sight of the log %s: its key is remembered: %s", origin, strings.Join(offered, " "))
		return head, log, nil
	}
	head, err := audit.OpenCheckpoint([]byte(now.Checkpoint), log.Keys...)
	if err != nil {
		if led := audit.Follow(log.Keys, now.Handovers); len(led) > len(log.Keys) {
			if head, err = audit.OpenCheckpoint([]byte(now.Checkpoint), led...); err == nil {
				w.app.info("the key of the log has turned since this machine looked last; each key signed that the next one follows it: %s", strings.Join(led[len(log.Keys):], " "))
				log.Keys = led
			}
		}
	}
	if err != nil && w.trust {
		log.Keys = offered
		head, err = audit.OpenCheckpoint([]byte(now.Checkpoint), offered...)
	}
	if err != nil {
		return head, log, refuse("the checkpoint of %s is not signed by the key that this machine remembers: %s", w.server, reportOf(err).message)
	}
	for _, key := range offered {
		if _, err := audit.OpenCheckpoint([]byte(now.Checkpoint), key); err == nil && !slices.Contains(log.Keys, key) {
			w.app.info("the log has a new key beside the one that is remembered: %s", key)
			log.Keys = append(slices.Clone(log.Keys), key)
		}
	}
	return head, log.settled(now), nil
}

// settled stops trusting keys that handed over and sign no more: a key is turned because somebody may have it, and he shall
// not be believed for ever by those who remember it.
func (l knownLog) settled(now api.Checkpoint) knownLog {
	var keys, former []string
	for _, key := range l.Keys {
		_, err := audit.OpenCheckpoint([]byte(now.Checkpoint), key)
		if err != nil && len(audit.Follow([]string{key}, now.Handovers)) > 1 {
			former = append(former, key)
		} else {
			keys = append(keys, key)
		}
	}
	l.Keys = keys
	l.Former = append(slices.Clone(l.Former), former...)
	l.Former = l.Former[max(0, len(l.Former)-maxFormer):]
	return l
}

// maxFormer bounds the keys that are kept for old censuses: as many as are tried for one note.
const maxFormer = 8

// newer is a checkpoint with what it says.
type newer struct {
	head   audit.Head
	signed string
}

// continues checks that the log at now continues the one at old, and gives the newest good state. Every question makes an
// entry of its own, so a proof usually leads to a checkpoint beyond now. Then now itself is tied to its own successor, so
// that no answer of this command stands alone.
func (w *witness) continues(ctx context.Context, old, now audit.Head, signed api.Checkpoint, keys []string) (newer, error) {
	if now.Size < old.Size {
		return newer{}, refuse("THE LOG OF %s SHRANK: this machine saw %d entries, now there are %d", w.server, old.Size, now.Size)
	}
	if now.Size == old.Size {
		if now.Root != old.Root {
			return newer{}, w.forked(old)
		}
		return newer{now, signed.Checkpoint}, nil
	}
	next, err := w.proven(ctx, old, now.Size, keys)
	if err != nil {
		return newer{}, err
	}
	if next.head.Size == now.Size {
		if next.head.Root != now.Root {
			return newer{}, w.forked(old)
		}
		return next, nil
	}
	if _, err := w.proven(ctx, now, next.head.Size, keys); err != nil {
		return newer{}, err
	}
	return next, nil
}

// proven asks for the proof that the log continues old, and gives the state that it leads to, of at least so many entries.
func (w *witness) proven(ctx context.Context, old audit.Head, least int64, keys []string) (newer, error) {
	p, err := w.client.Consistency(ctx, old.Size)
	if err != nil {
		return newer{}, err
	}
	next, err := audit.OpenCheckpoint([]byte(p.Checkpoint.Checkpoint), audit.Follow(keys, p.Checkpoint.Handovers)...)
	if err != nil {
		return newer{}, refuse("the checkpoint of %s is not signed by the key that this machine remembers: %s", w.server, reportOf(err).message)
	}
	if next.Size < least {
		return newer{}, refuse("THE LOG OF %s SHRANK while it was looked at: from %d entries to %d", w.server, least, next.Size)
	}
	hashes, err := decodeHashes(p.Proof)
	if err != nil {
		return newer{}, refuse("%s proves nothing: %s", w.server, err)
	}
	if err := audit.CheckConsistency(tlog.TreeProof(hashes), old, next); err != nil {
		if errors.Is(err, audit.Shrank) || errors.Is(err, audit.Forked) {
			return newer{}, w.forked(old)
		}
		return newer{}, refuse("%s proves nothing: %s", w.server, reportOf(err).message)
	}
	return newer{next, p.Checkpoint.Checkpoint}, nil
}

func (w *witness) forked(old audit.Head) error {
	return refuse("THE LOG OF %s FORKED: its first %d entries are not those that this machine saw before", w.server, old.Size)
}

// refuse makes the loud error of a log that cannot be believed.
func refuse(format string, args ...any) error {
	return checkFailed("somebody may have put back or replaced the data: ask the server's owner. If it was restored or set up anew on purpose, "+
		"compare the key with him, then: keyturn audit forget", format, args...)
}

func anyOf(known map[string]knownLog) string {
	for origin := range known {
		return origin
	}
	return ""
}
