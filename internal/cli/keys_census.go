package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/term"
)

// Where the key came from that a census was checked with.
const (
	keyGiven      = "command line"
	keyRemembered = "memory of this machine"
	keyOfFile     = "file"
	keyOfServer   = "server"
)

// censusResult is a census that was checked.
type censusResult struct {
	Turn    string         `json:"turn,omitempty"`
	Layer   string         `json:"layer,omitempty"`
	Project string         `json:"project_id,omitempty"`
	Old     string         `json:"old,omitempty"`
	Left    int64          `json:"left"`
	Counted int64          `json:"counted"`
	Counts  []api.KeyCount `json:"counts"`
	At      time.Time      `json:"at"`
	Epoch   int64          `json:"epoch"`
	LogSize int64          `json:"log_size"`
	Sum     string         `json:"sha256"`
	Key     string         `json:"key"`
	KeyFrom string         `json:"key_from"`
}

func (r *censusResult) summary(w io.Writer, keepOld bool) {
	what, fate := scopeName(r.Layer, r.Project), "it is destroyed"
	switch {
	case r.Layer == layerRoot:
		fate = "its slot is gone"
	case keepOld:
		fate = "it is kept, retired"
	}
	_, _ = fmt.Fprintf(w, "%s: %s; %s\n", what, r.leftText(), fate)
	_, _ = fmt.Fprintf(w, "  census of %s: %d counted, sha256 %s\n", when(r.At), r.Counted, r.Sum)
}

func (r *censusResult) leftText() string {
	if r.Left == 0 {
		return "nothing is left under " + term.Clean(r.Old)
	}
	return fmt.Sprintf("%d are left under %s", r.Left, term.Clean(r.Old))
}

// checkCensus opens a signed census with the first of the keys that fits. They are tried one by one, since there may be more
// of them than are tried for one note.
func checkCensus(signed string, keys []string, from string) (censusResult, error) {
	failed := error(fault.New(fault.Invalid, "there is no key to check it with"))
	for _, key := range keys {
		c, err := audit.OpenCensus([]byte(signed), key)
		if err != nil {
			failed = err
			continue
		}
		r := censusResult{Turn: c.Turn, Layer: c.Layer, Project: c.Project, Old: c.Old, Left: c.Left, Counts: []api.KeyCount{}, At: time.UnixMilli(c.AtMS).UTC(), Epoch: c.Epoch,
			LogSize: c.LogSize, Sum: censusSum(signed), Key: key, KeyFrom: from}
		for _, n := range c.Counts {
			r.Counts = append(r.Counts, api.KeyCount{Where: n.Where, KeyID: n.Key, Layer: n.Layer, State: n.State, Count: n.Count})
			r.Counted += n.Count
		}
		return r, nil
	}
	return censusResult{}, failed
}

// bestKeys gives the keys of a census's log that this machine remembers, else those that came with it.
func (a *app) bestKeys(signed string, offered []string, from string) ([]string, string, error) {
	file, err := a.checkpointsFile()
	if err != nil {
		return nil, "", err
	}
	known, err := checkpointMemory{file}.keysOf(censusOrigin(signed))
	if err != nil || len(known) > 0 {
		return known, keyRemembered, err
	}
	return offered, from, nil
}

// censusOrigin reads which log a census says that it is of. It only picks keys, so nothing hangs on it being true.
func censusOrigin(signed string) string {
	for line := range strings.Lines(signed) {
		if origin, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "origin "); ok {
			return origin
		}
	}
	return ""
}

// turnCensus checks the census that ended a turn.
func (a *app) turnCensus(ctx context.Context, c *client.Client, t api.KeyTurn) (censusResult, error) {
	k, err := c.KeyCensus(ctx, t.ID)
	if err != nil {
		return censusResult{}, err
	}
	r, err := a.onlineCensus(k)
	if err == nil && t.Project != "" {
		r.Project = t.Project
	}
	return r, err
}

// onlineCensus checks a census that a server gave, with the keys that this machine remembers if it does. A log whose key has
// turned since then is looked at by audit checkpoint or keys verify, so a census by a key that is not remembered yet is
// checked with the server's keys, and says so.
func (a *app) onlineCensus(k api.KeyCensus) (censusResult, error) {
	keys, from, err := a.bestKeys(k.Census, k.Keys, keyOfServer)
	if err != nil {
		return censusResult{}, err
	}
	r, err := checkCensus(k.Census, keys, from)
	if err != nil && from == keyRemembered {
		r, err = checkCensus(k.Census, k.Keys, keyOfServer)
	}
	if err != nil {
		return r, checkFailed("keep this answer and ask the server's owner; keyturn keys verify tells more", "the server's census does not hold: %s", reportOf(err).message)
	}
	return r, nil
}

// savedCensus is the file that keys census writes.
type savedCensus struct {
	Census string   `json:"census"`
	Keys   []string `json:"keys"`
}

func (a *app) keysCensusCommand() *cobra.Command {
	var turn, out, check string
	var keys []string
	c := &cobra.Command{
		Use:   "census",
		Short: "Count everything by key, signed; or check such a count without a server",
		Long: `Counts every envelope by the key that it lies under, signed with the key of the log. With --turn it is the count that ended a
turn, taken after the old key could seal nothing any more and before it was destroyed. --out keeps it with the keys that verify
it.

With --check such a file, or the signed text alone, is checked without a server: with --key, else with the keys of that log
that this machine remembers, else with those in the file, which shows only that the file agrees with itself.`,
		Example: `  keyturn keys census
  keyturn keys census --turn TURN --out census.json
  keyturn keys census --check census.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if check != "" {
				return a.checkSavedCensus(check, keys)
			}
			if len(keys) > 0 {
				return &usageError{text: "--key is for --check", command: cmd.CommandPath()}
			}
			return a.census(cmd.Context(), turn, out)
		},
	}
	c.Flags().StringVar(&turn, "turn", "", "the count that ended this `TURN`, instead of a new one")
	c.Flags().StringVar(&out, "out", "", "keep it in this new `FILE`, with the keys that verify it")
	c.Flags().StringVar(&check, "check", "", "check this `FILE` instead, without a server")
	c.Flags().StringArrayVar(&keys, "key", nil, "with --check: verification `KEY` of the log, learned elsewhere; repeat it for more")
	c.MarkFlagsMutuallyExclusive("check", "turn")
	c.MarkFlagsMutuallyExclusive("check", "out")
	_ = c.RegisterFlagCompletionFunc("turn", a.completeTurns) // fails only for a flag that is not there
	return c
}

func (a *app) census(ctx context.Context, turn, out string) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	stop := a.waiting("the server counts")
	k, err := c.KeyCensus(ctx, turn)
	stop()
	if err != nil {
		return err
	}
	r, err := a.onlineCensus(k)
	if err != nil {
		return err
	}
	if out != "" {
		b, err := json.MarshalIndent(savedCensus{k.Census, k.Keys}, "", "  ")
		if err == nil {
			err = writeNew(out, append(b, '\n'), publicMode)
		}
		if err != nil {
			return err
		}
		a.info("kept in %s; check it with: keyturn keys census --check %s", out, out)
	}
	return a.print(r, func(w io.Writer) { a.showCensus(w, &r) })
}

func (a *app) showCensus(w io.Writer, r *censusResult) {
	t := term.NewTable("WHERE", "LAYER", "KEY", "STATE", "COUNT")
	for _, n := range r.Counts {
		t.Row(n.Where, n.Layer, n.KeyID, n.State, fmt.Sprint(n.Count))
	}
	a.table(w, t)
	_, _ = fmt.Fprintf(w, "\ncounted %d at %s, log of %d entries, epoch %d\n", r.Counted, when(r.At), r.LogSize, r.Epoch)
	if r.Turn != "" {
		_, _ = fmt.Fprintf(w, "turn    %s of the %s: %s\n", term.Clean(r.Turn), term.Clean(scopeName(r.Layer, r.Project)), r.leftText())
	}
	_, _ = fmt.Fprintf(w, "sha256  %s\nsigned  by %s, key from: %s\n", r.Sum, term.Clean(r.Key), r.KeyFrom)
}

// maxCensusFile bounds a file with a census, in bytes: the largest census in JSON, where line ends take two.
const maxCensusFile = 10 << 20

func (a *app) checkSavedCensus(file string, given []string) error {
	b, err := readBounded(file, maxCensusFile, a.in)
	if err != nil {
		return err
	}
	saved := savedCensus{Census: string(b)}
	if strings.HasPrefix(strings.TrimSpace(string(b)), "{") {
		saved.Census = ""
		if err := json.Unmarshal(b, &saved); err != nil || saved.Census == "" {
			return fault.New(fault.Invalid, "%s holds no census", file).WithHint("make one with: keyturn keys census --out FILE")
		}
	}
	keys, from := given, keyGiven
	if len(given) == 0 {
		if keys, from, err = a.bestKeys(saved.Census, saved.Keys, keyOfFile); err != nil {
			return err
		}
	}
	if len(keys) == 0 {
		return fault.New(fault.Invalid, "there is no key to check the census with").WithHint("add --key, or look once at the log of its server: keyturn audit checkpoint")
	}
	r, err := checkCensus(saved.Census, keys, from)
	if err != nil {
		return checkFailed("compare the file with the server's: keyturn keys census --turn TURN; and the key, with --key", "%s: %s", file, reportOf(err).message)
	}
	if from == keyOfFile {
		a.warn("the key is taken from the file itself, so this shows only that the file agrees with itself; give one learned elsewhere with --key")
	}
	if err := a.print(r, func(w io.Writer) { a.showCensus(w, &r) }); err != nil {
		return err
	}
	if r.Turn != "" && r.Left != 0 {
		return checkFailed("ask the server's owner: such a turn is not over", "%d are left under %s", r.Left, r.Old)
	}
	return nil
}

// publicMode is for files that anybody may read, privateMode for those that open something.
const (
	publicMode  os.FileMode = 0o644
	privateMode os.FileMode = 0o600
)
