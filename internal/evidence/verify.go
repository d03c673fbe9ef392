package evidence

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/store"
)

// maxFindings bounds how many findings one answer names; the first ones are what matters.
const maxFindings = 200

// Verify checks the whole log against a fresh checkpoint and, with deep, every row that decides something against the log
// and every value against its row.
func (l *Log) Verify(ctx context.Context, deep bool) (api.Verification, error) {
	out := api.Verification{Deep: deep, Problems: []api.Finding{}}
	done := false
	err := l.read(ctx, "verify", func(p guard.Permit) (err error) {
		defer func() { done = err == nil }()
		cp, _, err := l.sign(ctx)
		if err != nil {
			return err
		}
		out.Checkpoint = cp
		report, err := l.verify(ctx, cp)
		if err != nil {
			return err
		}
		out.Size, out.Root = report.Size, base64.StdEncoding.EncodeToString(report.Root[:])
		for _, problem := range report.Problems {
			out.Problems = append(out.Problems, api.Finding{Index: problem.Index, Text: problem.Text})
		}
		defer func() {
			if n := len(out.Problems); n > 0 {
				p.Note("problems", strconv.Itoa(n)) // whoever follows the log hears of it
			}
		}()
		out.Archived = report.Archived
		if !report.Sound() || !deep && report.Archived == 0 {
			return nil
		}
		logged, err := audit.LastRows(ctx, l.db.Log())
		if kind := fault.KindOf(err); err != nil && (kind == fault.Internal || kind == fault.Invalid) { // of what is archived: the rest was just read
			out.Problems = append(out.Problems, api.Finding{Index: -1, Text: fault.As(err).Message})
			return nil
		}
		if err != nil || !deep {
			return err
		}
		return l.deep(ctx, p, logged, &out)
	})
	if err != nil && done && len(out.Problems) > 0 {
		// A log that is damaged at its end takes no entries, and that is just what was asked about: the answer holds no values,
		// and keeping it back would hide the damage.
		out.Problems = append(out.Problems, api.Finding{Index: -1, Text: "this verification could not be recorded: " + fault.As(err).Message})
		err = nil
	}
	return out, err
}

// verify checks the log, and again when entries were archived under its hands.
func (l *Log) verify(ctx context.Context, cp api.Checkpoint) (audit.Report, error) {
	for {
		before, err := l.db.ArchivedEntries(ctx)
		if err != nil {
			return audit.Report{}, err
		}
		report, err := audit.Verify(ctx, l.db.Log(), []byte(cp.Checkpoint), cp.Key, func(int64, int64) {})
		if err != nil || report.Sound() {
			return report, err
		}
		// Not what the report calls archived: somebody may have written down more than can be.
		if now, err := l.db.ArchivedEntries(ctx); err != nil || now == before {
			return report, err
		}
	}
}

// deep compares rows with the digests in the log. Rows that were written while it runs are left for the next time.
func (l *Log) deep(ctx context.Context, p guard.Permit, logged map[audit.RowKey][32]byte, out *api.Verification) error {
	before := out.Size
	err := l.checkIndex(ctx, out)
	if err != nil {
		return err
	}
	findings := map[audit.RowKey]string{}
	seen := map[audit.RowKey]bool{}
	current := map[audit.RowKey]audit.RowKey{} // the state that stands as the current one of a thing that has several
	err = l.db.Digests(ctx, func(table, key string, digest [32]byte) error {
		k := audit.RowKey{T: table, K: key}
		out.Rows++
		if thing, _, ok := stateOf(k); ok {
			if _, again := current[thing]; !again { // current states are walked before replaced ones
				current[thing] = k
			}
		}
		was, known := logged[k]
		switch {
		case !known:
			findings[k] = "the log knows nothing of this row: it was made by hand"
		case was == [32]byte{}:
			findings[k] = "the log says that this row was removed: it was put back by hand"
		case was != digest:
			findings[k] = "this row is not as the log says that it was written: it was changed by hand or put back to an older state"
		}
		seen[k] = true
		return nil
	})
	if err != nil {
		return err
	}
	for k, digest := range logged {
		if !seen[k] && digest != [32]byte{} && k.T != store.PurgeMark {
			findings[k] = "the log says that this row was written, and it is gone: it was removed or rolled back by hand"
		}
		thing, revision, ok := stateOf(k)
		if now, known := current[thing]; ok && known {
			if _, stands, _ := stateOf(now); revision > stands {
				findings[now] = fmt.Sprintf("this state stands as the current one, and the log knows a later one, of revision %d: it was put back by hand", revision)
			}
		}
	}
	if len(findings) > 0 {
		if err := l.forgive(ctx, before, findings); err != nil {
			return err
		}
	}
	purged := func(id string) bool { _, ok := logged[audit.RowKey{T: store.PurgeMark, K: id}]; return ok }
	values, err := l.values.CheckValues(ctx, p, purged, func(row, text string) {
		table, key, _ := strings.Cut(row, " ")
		findings[audit.RowKey{T: table, K: key}] = text
	})
	out.Values = values
	for k, text := range findings {
		out.Problems = append(out.Problems, api.Finding{Index: -1, Row: fmt.Sprintf("%s %s", k.T, k.K), Text: text})
	}
	slices.SortFunc(out.Problems, func(a, b api.Finding) int { return strings.Compare(a.Row, b.Row) })
	if len(out.Problems) > maxFindings {
		out.Problems = out.Problems[:maxFindings]
	}
	return err
}

// stateOf takes the key of one state of a thing apart: the thing, and the revision that made the state.
func stateOf(k audit.RowKey) (thing audit.RowKey, revision int64, ok bool) {
	if k.T != "secret" && k.T != "folder" {
		return audit.RowKey{}, 0, false // the keys of other rows may look alike
	}
	id, text, ok := strings.Cut(k.K, "/")
	if !ok {
		return audit.RowKey{}, 0, false
	}
	revision, err := strconv.ParseInt(text, 10, 64)
	return audit.RowKey{T: k.T, K: id}, revision, err == nil
}

// forgive drops findings about rows that were written after the log was read.
func (l *Log) forgive(ctx context.Context, since int64, findings map[audit.RowKey]string) error {
	now, _, err := l.db.Log().Head(ctx)
	if err != nil {
		return err
	}
	for chunk, err := range l.db.Log().Chunks(ctx, since, now) {
		if err != nil {
			return err
		}
		for _, raw := range chunk.Entries() {
			e, err := audit.ParseEntry(raw)
			if err != nil {
				return err
			}
			for _, row := range e.Rows {
				delete(findings, audit.RowKey{T: row.T, K: row.K})
				if id, _, ok := strings.Cut(row.K, "/"); ok { // the state that this one replaced moved meanwhile
					for k := range findings {
						if k.T == row.T && strings.HasPrefix(k.K, id+"/") {
							delete(findings, k)
						}
					}
				}
			}
		}
	}
	return nil
}
