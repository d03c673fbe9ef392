package audit

import (
	"cmp"
	"crypto/ed25519"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/keyturn/keyturn/internal/fault"
)

// A restored instance keeps its id, since every envelope is bound to it, and begins a new life: its epoch jumps, so that a
// server of the old life writes nothing into it, and its log signs under another name and key, so that the checkpoints of two
// clones cannot be taken for one log that forked.

// lifeSpan is how many epochs belong to one life: key changes count single epochs, far fewer than this.
const lifeSpan = 1_000_000

// Life tells the life that an epoch belongs to: 0 for the first, else the time of its restore in unix seconds. Two clones of
// one backup differ in it unless they were made in the same second.
func Life(epoch int64) int64 { return epoch / lifeSpan }

// NextLife gives the first epoch of a new life.
func NextLife(epoch, nowMS int64) int64 { return max(nowMS/1000, Life(epoch)+1)*lifeSpan + 1 }

// Origin names the log of one life of an instance in its checkpoints (C2SP tlog-checkpoint asks for a schema-less URL).
func Origin(instanceID string, epoch int64) string {
	origin := "keyturn.dev/log/" + instanceID
	if life := Life(epoch); life > 0 {
		origin += "/" + strconv.FormatInt(life, 10)
	}
	return origin
}

// VerifierKey gives the key that verifies notes of the log named origin, in the form of C2SP signed-note, from the 32-byte
// public key (RFC 8032).
func VerifierKey(origin string, public []byte) (string, error) {
	if len(public) != ed25519.PublicKeySize {
		return "", fault.New(fault.Internal, "the public key of the log has %d bytes, not %d", len(public), ed25519.PublicKeySize)
	}
	return note.NewEd25519VerifierKey(origin, public)
}

// What signed statements begin with, so that none can be taken for another or for a checkpoint.
const (
	censusTitle   = "keyturn census v1"
	handoverTitle = "keyturn log key handover v1"
)

// maxCensusBytes bounds a census: a line for each key and place, and a few thousand projects.
const maxCensusBytes = 4 << 20

// Census is a count of every envelope by the key that it lies under. Its text form is lines of "name value", signed as a C2SP
// signed-note by the key of the log:
//
//	keyturn census v1
//	origin ORIGIN
//	time MILLISECONDS
//	epoch NUMBER
//	log SIZE ROOT
//	turn ID LAYER PROJECT-OR-DASH OLD-KEY left NUMBER   (of a census that ended a turn)
//	count WHERE KEY LAYER STATE NUMBER                  (any number, sorted)
type Census struct {
	Origin                    string
	AtMS                      int64
	Epoch                     int64
	LogSize                   int64
	LogRoot                   tlog.Hash
	Turn, Layer, Project, Old string // of the turn that it ended; empty for a count at any other time
	Left                      int64  // under Old
	Counts                    []CensusCount
}

// CensusCount is one line of a census.
type CensusCount struct {
	Where string // table and column, such as "secret.value"
	Key   string // key id
	Layer string
	State string
	Count int64
}

// CompareCounts orders the lines of a census.
func CompareCounts(a, b CensusCount) int {
	return cmp.Or(strings.Compare(a.Where, b.Where), strings.Compare(a.Key, b.Key))
}

func (c *Census) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\norigin %s\ntime %d\nepoch %d\nlog %d %s\n", censusTitle, c.Origin, c.AtMS, c.Epoch, c.LogSize, c.LogRoot)
	if c.Turn != "" {
		fmt.Fprintf(&b, "turn %s %s %s %s left %d\n", c.Turn, c.Layer, cmp.Or(c.Project, "-"), c.Old, c.Left)
	}
	for _, n := range c.Counts {
		fmt.Fprintf(&b, "count %s %s %s %s %d\n", n.Where, n.Key, n.Layer, n.State, n.Count)
	}
	return b.String()
}

// Sign gives the signed text.
func (c *Census) Sign(signers ...note.Signer) ([]byte, error) {
	signed, err := note.Sign(&note.Note{Text: c.text()}, signers...)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "could not sign the census")
	}
	return signed, nil
}

// OpenCensus checks a signed census against the verification keys of a log and reads it. One good signature by any of the
// keys is enough. Errors are [fault.Invalid].
func OpenCensus(signed []byte, vkeys ...string) (Census, error) {
	text, origin, err := openNote(signed, maxCensusBytes, "census", vkeys)
	if err != nil {
		return Census{}, err
	}
	c, err := parseCensus(text)
	if err != nil || c.text() != text || c.Origin != origin {
		return Census{}, fault.New(fault.Invalid, "the census is signed, but not in the form of %q", censusTitle)
	}
	return c, nil
}

// openNote checks a signed note that is no checkpoint, and gives its text and the name of the key that signed it.
func openNote(signed []byte, limit int, what string, vkeys []string) (text, origin string, err error) {
	verifiers, err := openKeys(vkeys)
	if err != nil {
		return "", "", err
	}
	if len(signed) > limit {
		return "", "", fault.New(fault.Invalid, "the %s is longer than %d bytes", what, limit)
	}
	n, err := note.Open(signed, note.VerifierList(verifiers...))
	if err != nil {
		return "", "", fault.Wrap(fault.Invalid, err, "the %s is not signed by a key of this log, or was altered", what)
	}
	return n.Text, n.Sigs[0].Name, nil
}

func parseCensus(text string) (Census, error) {
	var c Census
	wrong := fault.New(fault.Invalid, "not a census")
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) < 5 || lines[0] != censusTitle {
		return c, wrong
	}
	var err error
	number := func(s string) int64 {
		n, e := strconv.ParseInt(s, 10, 64)
		if e != nil && err == nil {
			err = wrong
		}
		return n
	}
	for i, line := range lines[1:] {
		f := strings.Split(line, " ")
		switch {
		case i == 0 && len(f) == 2 && f[0] == "origin":
			c.Origin = f[1]
		case i == 1 && len(f) == 2 && f[0] == "time":
			c.AtMS = number(f[1])
		case i == 2 && len(f) == 2 && f[0] == "epoch":
			c.Epoch = number(f[1])
		case i == 3 && len(f) == 3 && f[0] == "log":
			c.LogSize = number(f[1])
			if c.LogRoot, err = tlog.ParseHash(f[2]); err != nil {
				return c, wrong
			}
		case i == 4 && len(f) == 7 && f[0] == "turn" && f[5] == "left":
			c.Turn, c.Layer, c.Project, c.Old, c.Left = f[1], f[2], strings.TrimPrefix(f[3], "-"), f[4], number(f[6])
		case i >= 4 && len(f) == 6 && f[0] == "count":
			c.Counts = append(c.Counts, CensusCount{f[1], f[2], f[3], f[4], number(f[5])})
		default:
			return c, wrong
		}
	}
	return c, err
}

// SignHandover is the old key's statement that another key signs the log from now on as well: title, origin and the new
// verification key on a line each, signed as a C2SP signed-note.
func SignHandover(origin, next string, old note.Signer) ([]byte, error) {
	signed, err := note.Sign(&note.Note{Text: handoverTitle + "\n" + origin + "\n" + next + "\n"}, old)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "could not sign the handover")
	}
	return signed, nil
}

// OpenHandover checks a handover against the keys that are trusted and gives the key that follows them. Errors are
// [fault.Invalid].
func OpenHandover(signed []byte, vkeys ...string) (next string, err error) {
	text, origin, err := openNote(signed, maxCheckpointBytes, "handover", vkeys)
	if err != nil {
		return "", err
	}
	lines := strings.Split(text, "\n")
	if len(lines) != 4 || lines[0] != handoverTitle || lines[1] != origin {
		return "", fault.New(fault.Invalid, "the handover is signed, but not in the form of %q", handoverTitle)
	}
	if _, err := openKeys(lines[2:3]); err != nil {
		return "", err
	}
	if name, _, _ := strings.Cut(lines[2], "+"); name != origin {
		return "", fault.New(fault.Invalid, "the handover is to the key of another log")
	}
	return lines[2], nil
}

// Follow gives the keys that are trusted when those in vkeys are and the handovers were found: each handover that a trusted
// key signed adds one. Others are passed over.
func Follow(vkeys []string, handovers []string) []string {
	out := append([]string{}, vkeys...)
	for range handovers { // in any order
		for _, h := range handovers {
			next, err := OpenHandover([]byte(h), out...)
			if err == nil && !slices.Contains(out, next) && len(out) < maxLogKeys {
				out = append(out, next)
			}
		}
	}
	return out
}
