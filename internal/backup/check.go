package backup

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	json "github.com/go-json-experiment/json"

	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
)

// Problem is one thing that is wrong with the rows of a backup. It holds no value.
type Problem struct {
	Row  string // table and key, or the table alone
	Text string
}

// maxProblems keeps the report of a backup that is wrong everywhere readable.
const maxProblems = 100

// Fields in the associated data of envelopes, as the rooms that seal them name them.
const (
	fieldValue    = "secret.value"
	fieldComment  = "secret.comment"
	fieldPersonal = "personal.value"
	fieldInstance = "instance.secret"
	fieldTransit  = "transit.key"
)

// reference is a column that names a row of a table that comes before.
type reference struct{ column, table string }

// references are those that the schema declares, without the rows that a restore would refuse anyway for other reasons. A test
// compares them with the schema.
var references = map[string][]reference{
	"project":       {{"org_id", "org"}},
	"environment":   {{"org_id", "org"}, {"project_id", "project"}},
	"person":        {{"org_id", "org"}},
	"identity":      {{"org_id", "org"}},
	"client_secret": {{"identity_id", "identity"}},
	"commits":       {{"env_id", "environment"}},
	"folder":        {{"env_id", "environment"}},
	"secret":        {{"env_id", "environment"}, {"folder_id", "folder"}},
	"personal":      {{"secret_id", "secret"}},

	"project_tag": {{"org_id", "org"}, {"project_id", "project"}},

	"role":         {{"org_id", "org"}},
	"user_group":   {{"org_id", "org"}},
	"group_member": {{"group_id", "user_group"}},

	"org_setting":   {{"org_id", "org"}},
	"invite":        {{"org_id", "org"}},
	"second_factor": {{"org_id", "org"}, {"user_id", "person"}},
	"recovery_code": {{"org_id", "org"}, {"user_id", "person"}},
	"leaver_task":   {{"org_id", "org"}},
	"passkey":       {{"org_id", "org"}, {"user_id", "person"}},

	"sso_connection": {{"org_id", "org"}},
	"sso_link":       {{"connection_id", "sso_connection"}, {"user_id", "person"}},
	"scim_user":      {{"connection_id", "sso_connection"}, {"user_id", "person"}},
	"scim_group":     {{"connection_id", "sso_connection"}, {"group_id", "user_group"}},

	"login_method":    {{"org_id", "org"}, {"identity_id", "identity"}},
	"wrapped":         {{"org_id", "org"}},
	"signing_overlap": {{"org_id", "org"}},
	"auth_mount":      {{"org_id", "org"}},
	"auth_role":       {{"org_id", "org"}, {"identity_id", "identity"}},

	"mount":            {{"org_id", "org"}, {"project_id", "project"}},
	"document_version": {{"folder_id", "folder"}},
	"token_role":       {{"org_id", "org"}},
	"cubbyhole":        {{"org_id", "org"}},

	"env_approval":       {{"env_id", "environment"}},
	"change_part":        {{"change_id", "change_set"}},
	"change_review":      {{"change_id", "change_set"}},
	"change_link":        {{"change_id", "change_set"}},
	"breakglass_share":   {{"breakglass_id", "breakglass"}},
	"breakglass_opening": {{"breakglass_id", "breakglass"}},
	"breakglass_entry":   {{"opening_id", "breakglass_opening"}},
	"breakglass_task":    {{"opening_id", "breakglass_opening"}},

	"transit_key":     {{"org_id", "org"}},
	"transit_version": {{"key_id", "transit_key"}},
}

// parents are the tables whose ids are remembered: 16 bytes for each row.
var parents = []string{
	"org", "project", "environment", "person", "identity", "folder", "secret",
	"user_group", "sso_connection", "change_set", "breakglass", "breakglass_opening", "transit_key",
}

// rowSet is some rows of one table, from a backup or from a database.
type rowSet interface {
	about() *tableHead
	each(visit func(cells []cell) error) error
}

func (b block) about() *tableHead { return b.tableHead }

// checker looks at the rows of an instance: that they refer to what is there, that every value opens in its place and has the
// digest that stands beside it, and that the log gives its root.
type checker struct {
	manifest *Manifest
	ring     *keyring.Ring
	values   atomic.Int64
	tree     *audit.Tree // of the log, as far as its chunks came
	archived int64       // entries of which only hashes come

	rows keyring.Rows // slots and keys, as far as they came

	mu       sync.Mutex
	ids      map[string]map[rowID]struct{} // of parents
	commits  map[string]int64              // by environment
	emptied  map[string]gone               // states without a value, by row
	purged   map[string]bool               // ids that the log says were purged
	problems []Problem
}

// gone is a state that has lost its value: right only if the log knows why.
type gone struct{ id, version, env, text string }

// rowID is an id in the form that takes the least memory.
type rowID [16]byte

// idOf turns a UUID into its bytes, and anything else into a part of its hash.
func idOf(text []byte) (id rowID) {
	var plain [32]byte
	if len(text) == 36 && len(append(append(append(append(append(plain[:0], text[:8]...), text[9:13]...), text[14:18]...), text[19:23]...), text[24:]...)) == 32 {
		if _, err := hex.Decode(id[:], plain[:]); err == nil {
			return id
		}
	}
	sum := sha256.Sum256(text)
	return rowID(sum[:16])
}

func newChecker(m *Manifest) *checker {
	c := &checker{manifest: m, tree: audit.EmptyTree(), ids: map[string]map[rowID]struct{}{}, commits: map[string]int64{},
		emptied: map[string]gone{}, purged: map[string]bool{}}
	for _, t := range parents {
		c.ids[t] = make(map[rowID]struct{}, min(m.Count(t), 1<<20)) // the manifest may claim any number
	}
	return c
}

func (c *checker) problem(row, format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.problems) < maxProblems {
		c.problems = append(c.problems, Problem{row, fmt.Sprintf(format, args...)})
	} else if len(c.problems) == maxProblems {
		c.problems = append(c.problems, Problem{"", fmt.Sprintf("more than %d things are wrong; the others are not listed", maxProblems)})
	}
}

// inOrder tells whether the rows of a table must be looked at one after the other, on the goroutine that reads them.
func inOrder(table string) bool {
	return table == "instance" || table == "key_slot" || table == "key_generation" || table == "audit_segment" || table == "audit_tile" || table == "audit_chunk"
}

// look checks rows. Those of one table may be looked at in parallel unless [inOrder]; all of a table must be done before the
// next one begins.
func (c *checker) look(rows rowSet) error {
	head := rows.about()
	switch head.Table {
	case "instance":
		return c.instance(rows)
	case "key_slot", "key_generation":
		return rows.each(func(cells []cell) error { return addKeyRow(&c.rows, head.Table, head.Columns, values(cells)) })
	case "audit_segment":
		return rows.each(func(cells []cell) error { return c.segment(head.Columns, cells) })
	case "audit_tile":
		return rows.each(func(cells []cell) error { return c.tile(head.Columns, cells) })
	case "audit_chunk":
		return rows.each(func(cells []cell) error { return c.chunk(head.Columns, cells) })
	}
	if err := c.relations(rows); err != nil {
		return err
	}
	switch head.Table {
	case "secret", "secret_history":
		return c.states(rows)
	case "personal":
		return c.personal(rows)
	case "instance_secret":
		return c.instanceSecrets(rows)
	case "transit_version":
		return c.transitVersions(rows)
	}
	return nil
}

// columns finds the places of columns in a row.
func (h *tableHead) columns(names ...string) ([]int, error) {
	out := make([]int, len(names))
	for i, name := range names {
		if out[i] = slices.Index(h.Columns, name); out[i] < 0 {
			return nil, malformed("table %s has no column %s", h.Table, name)
		}
	}
	return out, nil
}

func (c *checker) instance(rows rowSet) error {
	at, err := rows.about().columns("id", "log_size", "log_root")
	if err != nil {
		return err
	}
	return rows.each(func(cells []cell) error {
		m := c.manifest
		if string(cells[at[0]].b) != m.Instance || cells[at[1]].n < m.Log.Size || cells[at[1]].n == m.Log.Size && !bytes.Equal(cells[at[2]].b, m.Log.Root) {
			c.problem("instance", "its row is of another instance or log than the manifest says")
		}
		return nil
	})
}

// relations remembers ids and checks what rows refer to.
func (c *checker) relations(rows rowSet) error {
	head := rows.about()
	refs := references[head.Table]
	parent := slices.Contains(parents, head.Table)
	counts := head.Table == "commits"
	if len(refs) == 0 && !parent {
		return nil
	}
	names := []string{"id"}
	if !parent && !slices.Contains(head.Columns, "id") && len(head.Columns) > 0 {
		names[0] = head.Columns[0] // some tables are keyed by what they belong to
	}
	for _, r := range refs {
		names = append(names, r.column)
	}
	at, err := head.columns(names...)
	if err != nil {
		return err
	}
	var fresh []rowID
	commits := map[string]int64{}
	err = rows.each(func(cells []cell) error {
		if parent {
			fresh = append(fresh, idOf(cells[at[0]].b))
		}
		for i, r := range refs {
			if _, ok := c.ids[r.table][idOf(cells[at[i+1]].b)]; !ok {
				c.problem(head.Table+" "+string(cells[at[0]].b), "it belongs to a row of %s that is not there", r.table)
			}
		}
		if counts {
			commits[string(cells[at[1]].b)]++
		}
		return nil
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range fresh {
		c.ids[head.Table][id] = struct{}{}
	}
	for env, n := range commits {
		c.commits[env] += n
	}
	return err
}

// states opens the values and comments of secrets, current or replaced.
func (c *checker) states(rows rowSet) error {
	at, err := rows.about().columns("id", "project_id", "env_id", "revision", "version", "attrs", "comment", "value", "digest")
	if err != nil {
		return err
	}
	opened := int64(0)
	defer func() { c.values.Add(opened) }()
	return rows.each(func(cells []cell) error {
		id, project := string(cells[at[0]].b), string(cells[at[1]].b)
		name := func() string { return fmt.Sprintf("secret %s/%d", id, cells[at[3]].n) }
		commented, err := commentRevision(cells[at[5]].b)
		if err != nil {
			c.problem(name(), "its attributes are not valid JSON")
			return nil
		}
		comment, value := cells[at[6]], cells[at[7]]
		if commented != 0 && len(comment.b) == 0 {
			c.gone(name(), gone{id: id, env: string(cells[at[2]].b), text: "its comment is gone, and the log knows of no purge"})
		}
		if len(comment.b) > 0 && !c.opens(keyring.Place{Project: project, Record: id, Field: fieldComment, Version: commented}, comment.b, nil) {
			c.problem(name(), "its comment does not open in its place")
		}
		if value.kind == cellNull {
			c.gone(name(), gone{id, store.PurgedVersion(id, cells[at[4]].n), string(cells[at[2]].b), "its value is gone, and the log knows of no purge"})
			return nil
		}
		opened++
		if !c.opens(keyring.Place{Project: project, Record: id, Field: fieldValue, Version: cells[at[4]].n}, value.b, func(v sensitive.Value) {
			if !digestFits(c.ring, cells[at[8]].b, v) {
				c.problem(name(), "the digest of its value is not that of the value")
			}
		}) {
			c.problem(name(), "its value does not open in its place: it was altered, swapped or put back from another version")
		}
		return nil
	})
}

// commentRevision gives the revision that an envelope of a comment is bound to.
func commentRevision(attrs []byte) (int64, error) {
	if !bytes.Contains(attrs, []byte(`"comment_rev"`)) {
		return 0, nil
	}
	var a struct {
		CommentRev int64 `json:"comment_rev"`
	}
	err := json.Unmarshal(attrs, &a)
	return a.CommentRev, err
}

// opens tells whether an envelope opens in its place; use may look at what was in it.
func (c *checker) opens(p keyring.Place, envelope []byte, use func(sensitive.Value)) bool {
	v, err := c.ring.Open(p, envelope)
	if err != nil {
		return false
	}
	if use != nil {
		use(v)
	}
	v.Wipe()
	return true
}

// digestFits tells whether a stored digest is that of the value. In schema 1 a digest did not say its generation, which was the
// first.
func digestFits(ring *keyring.Ring, stored []byte, v sensitive.Value) bool {
	if len(stored) == sha256.Size {
		stored = append(keyring.DigestPrefix(1), stored...)
	}
	return ring.DigestFits(v, stored)
}

func (c *checker) gone(row string, g gone) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.emptied[row] = g
}

func (c *checker) personal(rows rowSet) error {
	at, err := rows.about().columns("id", "project_id", "secret_id", "version", "value")
	if err != nil {
		return err
	}
	return rows.each(func(cells []cell) error {
		id := string(cells[at[0]].b)
		if cells[at[4]].kind == cellNull {
			c.gone("personal "+id, gone{id: string(cells[at[2]].b), text: "its value is gone, and the log knows of no purge"})
			return nil
		}
		c.values.Add(1)
		if !c.opens(keyring.Place{Project: string(cells[at[1]].b), Record: id, Field: fieldPersonal, Version: cells[at[3]].n}, cells[at[4]].b, nil) {
			c.problem("personal "+id, "its value does not open in its place: it was altered, swapped or put back from another version")
		}
		return nil
	})
}

func (c *checker) instanceSecrets(rows rowSet) error {
	at, err := rows.about().columns("id", "value")
	if err != nil {
		return err
	}
	return rows.each(func(cells []cell) error {
		id := string(cells[at[0]].b)
		if !c.opens(keyring.Place{Record: id, Field: fieldInstance}, cells[at[1]].b, nil) {
			c.problem("instance_secret "+id, "it does not open in its place")
		}
		return nil
	})
}

// transitVersions opens the material of the encryption service's keys. A version is bound to its own id, which names its key.
func (c *checker) transitVersions(rows rowSet) error {
	at, err := rows.about().columns("id", "project_id", "key_id", "version", "value")
	if err != nil {
		return err
	}
	return rows.each(func(cells []cell) error {
		id, version := string(cells[at[0]].b), cells[at[3]].n
		c.values.Add(1)
		if id != fmt.Sprintf("%s:%d", cells[at[2]].b, version) ||
			!c.opens(keyring.Place{Project: string(cells[at[1]].b), Record: id, Field: fieldTransit, Version: version}, cells[at[4]].b, nil) {
			c.problem("transit_version "+id, "it does not open in its place: it was altered, swapped or put back")
		}
		return nil
	})
}

// chunk takes entries into the tree and notes what they say was purged.
func (c *checker) chunk(columns []string, cells []cell) error {
	chunk, err := store.ChunkOf(columns, values(cells))
	if err != nil {
		return err
	}
	if err := c.tree.CatchUp(chunk); err != nil {
		return fault.Wrap(fault.Invalid, err, "the audit log in the backup is damaged at entry %d", c.tree.Size())
	}
	if log := c.manifest.Log; c.tree.Size() == log.Size {
		if root := c.tree.Root(); !bytes.Equal(root[:], log.Root) {
			c.problem("audit_chunk", "the entries of the log do not give the root that its checkpoint signs")
		}
	}
	mark := []byte(`"t":"` + store.PurgeMark + `"`)
	if !bytes.Contains(chunk.Data, mark) {
		return nil
	}
	for i, raw := range chunk.Entries() {
		if !bytes.Contains(raw, mark) {
			continue
		}
		e, err := audit.ParseEntry(raw)
		if err != nil {
			return fault.Wrap(fault.Invalid, err, "the audit log in the backup is damaged at entry %d", i)
		}
		for _, row := range e.Rows {
			if row.T == store.PurgeMark {
				c.purged[row.K] = true
			}
		}
	}
	return nil
}

// conclude checks what can be told only at the end.
func (c *checker) conclude() {
	if c.tree.Size() < c.manifest.Log.Size {
		c.problem("audit_chunk", "the log has %d entries, its checkpoint signs %d", c.tree.Size(), c.manifest.Log.Size)
	}
	for row, g := range c.emptied {
		if !c.purged[g.id] && !c.purged[g.env] && (g.version == "" || !c.purged[g.version]) {
			c.problem(row, "%s", g.text)
		}
	}
	for _, line := range c.manifest.Environments {
		if n := c.commits[line.Environment]; n != line.Commits {
			c.problem("environment "+line.Environment, "it has %d commits, the manifest says %d", n, line.Commits)
		}
		delete(c.commits, line.Environment)
	}
	for env := range c.commits {
		c.problem("environment "+env, "it has commits, and the manifest knows of none")
	}
	slices.SortFunc(c.problems, func(a, b Problem) int { return bytes.Compare([]byte(a.Row+a.Text), []byte(b.Row+b.Text)) })
}
