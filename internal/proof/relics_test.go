package proof

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hpke"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the searcher's own way in

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/testpg"
)

// An envelope as DESIGN.md of package keyring tells it: format, algorithm, key id, generation, then nonce and ciphertext.
const (
	envelopeKeyID  = 2
	envelopeNonce  = 22
	envelopeSealed = 34
	keyIDSize      = 16
	aesBlock       = aes.BlockSize
)

// column is a place in the database that holds envelopes or wrappings.
type column struct{ table, name, id, project string }

var sealedColumns = []column{
	{"secret", "value", "id", "project_id"}, {"secret", "comment", "id", "project_id"}, {"secret_history", "value", "id", "project_id"},
	{"secret_history", "comment", "id", "project_id"}, {"personal", "value", "id", "project_id"}, {"idempotency", "answer", "id", "''"},
	{"key_generation", "wrapped", "id", "project_id"}, {"key_slot", "wrapped", "id", "''"}, {"key_slot", "proof", "id", "''"},
	{"transit_version", "value", "id", "project_id"},
}

// envelope is one that lay in the database.
type envelope struct {
	column
	row, of string // ids of the row and of its project
	bytes   []byte
}

func (e envelope) key() string { return string(e.bytes[envelopeKeyID : envelopeKeyID+keyIDSize]) }

// envelopesIn collects all that a database holds.
func envelopesIn(t *testing.T, db *sql.DB) []envelope {
	t.Helper()
	var out []envelope
	for _, c := range sealedColumns {
		rows, err := db.Query("SELECT " + c.id + ", " + c.project + ", " + c.name + " FROM " + c.table + " WHERE " + c.name + " IS NOT NULL")
		if err != nil {
			t.Fatal(err)
		}
		n := len(out)
		for rows.Next() {
			e := envelope{column: c}
			if err := rows.Scan(&e.row, &e.of, &e.bytes); err != nil {
				t.Fatal(err)
			}
			out = append(out, e)
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		_ = rows.Close()
		if len(out) == n {
			t.Fatalf("%s.%s holds nothing, so a search for it proves nothing", c.table, c.name)
		}
	}
	return out
}

// rawKeys opens every key of a database with its root key, by the documented format and not by the program: what somebody
// can do who took a copy in time. They are given by id.
func rawKeys(t *testing.T, db *sql.DB, root string) map[string][]byte {
	t.Helper()
	var slot string
	if err := db.QueryRow("SELECT id FROM key_slot").Scan(&slot); err != nil {
		t.Fatal(err)
	}
	return rawKeysOf(t, db, root, slot)
}

func rawKeysOf(t *testing.T, db *sql.DB, root, slot string) map[string][]byte {
	t.Helper()
	var instance string
	if err := db.QueryRow("SELECT id FROM instance").Scan(&instance); err != nil {
		t.Fatal(err)
	}
	secret, err := hex.DecodeString(root)
	if err != nil {
		t.Fatal(err)
	}
	seed, err := hkdf.Key(sha256.New, secret, nil, "keyturn root key pair v1", 32)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := hpke.MLKEM768P256().DeriveKeyPair(seed)
	if err != nil {
		t.Fatal(err)
	}
	var s struct{ id, kind, fingerprint, source, key string }
	var kept, wrapped []byte
	err = db.QueryRow("SELECT id, kind, fingerprint, source, key_id, kept, wrapped FROM key_slot WHERE id = '"+slot+"'").Scan(&s.id, &s.kind, &s.fingerprint, &s.source, &s.key, &kept, &wrapped)
	if err != nil {
		t.Fatal(err)
	}
	keptSum := sha256.Sum256(kept)
	info := lengthed("keyturn slot v2", instance, string(wrapped[:envelopeNonce]), s.id, s.kind, s.fingerprint, s.source, string(keptSum[:]), idBytes(t, s.key))
	raw, err := hpke.Open(pair, hpke.HKDFSHA256(), hpke.AES256GCM(), info, wrapped[envelopeNonce:])
	if err != nil {
		t.Fatalf("the slot does not open as it is documented: %v", err)
	}
	out := map[string][]byte{s.key: raw}
	rows, err := db.Query("SELECT id, layer, project_id, generation, wrapped, wrapped_by FROM key_generation WHERE wrapped IS NOT NULL")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, layer, project, by string
		var generation uint32
		if err := rows.Scan(&id, &layer, &project, &generation, &wrapped, &by); err != nil {
			t.Fatal(err)
		}
		associated := lengthed("keyturn key v1", instance, string(wrapped[:envelopeNonce]), idBytes(t, id), layer, project, string(binary.BigEndian.AppendUint32(nil, generation)))
		gcm, err := cipher.NewGCM(blockOf(t, out[by]))
		if err != nil {
			t.Fatal(err)
		}
		key, err := gcm.Open(nil, wrapped[envelopeNonce:envelopeSealed], wrapped[envelopeSealed:], associated)
		if err != nil {
			t.Fatalf("key %s does not open as it is documented: %v", id, err)
		}
		out[id] = key
	}
	return out
}

func idBytes(t *testing.T, id string) string {
	t.Helper()
	k, err := keyring.ParseKeyID(id)
	if err != nil {
		t.Fatal(err)
	}
	return string(k[:])
}

func lengthed(fields ...string) (b []byte) {
	for _, f := range fields {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(f))), f...)
	}
	return b
}

func blockOf(t *testing.T, key []byte) cipher.Block {
	t.Helper()
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	return block
}

// opener tries to decrypt at every place: the twelve bytes there as a nonce, the sixteen after them as the first block of a
// ciphertext (SP 800-38D, section 7.2: the counter begins at 2). Neither tag, length nor header need to have survived, so this
// finds more than opening whole envelopes would.
type opener struct {
	what  string
	block cipher.Block
	known [][]byte // beginnings of what was sealed, 8 to 16 bytes each
}

func (o *opener) search(where string, data []byte) []string {
	var out []string
	var maybe [1 << 16]bool // by the first two bytes, so that nearly every place is passed over at once
	for _, k := range o.known {
		maybe[binary.BigEndian.Uint16(k)] = true
	}
	counter, stream := make([]byte, aesBlock), make([]byte, aesBlock)
	counter[aesBlock-1] = 2
	for i := 0; i+12+aesBlock <= len(data); i++ {
		if binary.LittleEndian.Uint64(data[i:]) == 0 { // no nonce, and most of an empty page
			continue
		}
		copy(counter, data[i:i+12])
		o.block.Encrypt(stream, counter)
		if !maybe[binary.BigEndian.Uint16(stream)^binary.BigEndian.Uint16(data[i+12:])] {
			continue
		}
		subtle.XORBytes(stream, stream, data[i+12:i+12+aesBlock])
		for _, k := range o.known {
			if bytes.HasPrefix(stream, k) {
				out = append(out, fmt.Sprintf("%s opens in %s at %d", o.what, where, i))
			}
		}
	}
	return out
}

// relics are all that must be gone: pieces of bytes, and keys under which nothing may open.
type relics struct {
	pieces  *searcher
	openers []*opener
	planted int
}

// maxOpeners bounds under how many keys everything is tried: each tries a block at every byte of every file.
const maxOpeners = 3

// relicsOf makes the search for what lay under keys that go. gone tells by key id; whatever they sealed or what held them
// must not be found.
func relicsOf(t *testing.T, envelopes []envelope, keys map[string][]byte, gone func(id string) bool) *relics {
	t.Helper()
	const window = 24
	out := &relics{pieces: newSearcher()}
	byKey := map[string]string{} // id bytes to id
	for id := range keys {
		byKey[idBytes(t, id)] = id
	}
	old := map[string]*opener{}
	opens := func(id string) *opener {
		if old[id] == nil && len(old) == maxOpeners {
			return &opener{} // its pieces are looked for all the same
		}
		if old[id] == nil {
			old[id] = &opener{what: "something under key " + id, block: blockOf(t, keys[id])}
			out.openers = append(out.openers, old[id])
		}
		return old[id]
	}
	for _, e := range envelopes {
		by := byKey[e.key()] // "" for slots, whose header names the slot
		holder := e.table == "key_generation" && gone(e.row)
		if !holder && !(by != "" && gone(by)) && !(e.table == "key_slot" && gone("slot")) {
			continue
		}
		out.planted++
		for _, from := range []int{envelopeNonce, 40, 64} {
			if from+window <= len(e.bytes) {
				out.pieces.add(string(e.bytes[from:from+window]), fmt.Sprintf("%s.%s of %s from byte %d on", e.table, e.name, e.row, from), "envelope")
			}
		}
		if by != "" && e.name == "wrapped" { // also the live instance key must find no copy of what is destroyed
			o := opens(by)
			o.known = append(o.known, keys[e.row][:aesBlock])
		}
	}
	for _, id := range slices.Sorted(maps.Keys(keys)) { // the instance key is the oldest, then the vault's
		raw := keys[id]
		if !gone(id) {
			continue
		}
		out.pieces.add("\x01\x01"+idBytes(t, id), "the header of everything under key "+id, "header")
		out.pieces.plant("key "+id+" itself", raw)
		o := opens(id)
		o.known = append(o.known, []byte("test-value "), []byte(`{"asked":`))
	}
	return out
}

// look searches files as they lie there.
func (r *relics) look(t *testing.T, root string, only func(path string) bool) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || !only(path) {
			return err
		}
		b, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			return nil // a database server removes files while we look
		}
		name := filepath.Base(path)
		for _, f := range r.pieces.search(name, b) {
			out = append(out, fmt.Sprintf("%s lies in %s at %d", f.of, f.where, f.offset))
		}
		for _, o := range r.openers {
			out = append(out, o.search(name, b)...)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// crowdKeys makes many projects with secrets of many sizes, written several times, so that pages split, merge and move rows.
func crowdKeys(t *testing.T, s *site, token string, projects int) {
	t.Helper()
	for i := range projects {
		slug := fmt.Sprintf("crowd-%d", i)
		must[api.Project](t, s, token, "POST", "/projects", api.ProjectRequest{Slug: slug, Envs: []string{"dev"}})
		for round := range 3 {
			var r api.CommitRequest
			for j := range 4 {
				value, comment := "test-value "+strings.Repeat("c", (i*31+j*577+round*211)%2500), "test-value note"
				r.Changes = append(r.Changes, api.Change{Op: "set", Path: "/", Name: fmt.Sprintf("C%d", j), Value: &value, Comment: &comment})
			}
			must[api.Committed](t, s, token, "POST", at(slug, "dev", "commits"), r)
		}
	}
}

// sites of one search: where the files lie, and how the database is asked.
type evidenceRoom struct {
	place  place
	open   func() *sql.DB
	root   string
	only   func(path string) bool
	settle func()
}

func TestNothingOfADestroyedKeyIsLeftInTheFilesOfSQLite(t *testing.T) {
	for _, layer := range []string{"project", "instance", "all"} {
		t.Run(layer, func(t *testing.T) {
			t.Parallel()
			p := onSQLite(t)
			leavesNothing(t, layer, evidenceRoom{place: p, root: p.data(), open: func() *sql.DB { return openFile(t, p.data()) }, settle: func() {},
				only: func(path string) bool { return strings.HasPrefix(filepath.Base(path), "keyturn.db") }})
		})
	}
}

// Of PostgreSQL the search is for the tables, below base. Its write-ahead log is left out: it holds every page that was
// written until its segments are used again, which is the database server's own affair and cannot be hurried by a client; and
// so are replicas, archives and backups. docs tell operators so.
func TestNothingOfADestroyedKeyIsLeftInTheTablesOfPostgreSQL(t *testing.T) {
	leavesNothingOnPostgres(t, "all")
}

func leavesNothingOnPostgres(t *testing.T, layers ...string) {
	for _, layer := range layers {
		t.Run(layer, func(t *testing.T) {
			server := testpg.Private(t)
			p := onPostgres(t, server)
			leavesNothing(t, layer, evidenceRoom{place: p, root: filepath.Join(server.Folder(), "data", "base"), only: ofOurs,
				settle: func() { settlePostgres(t, server) }, open: func() *sql.DB { return openPostgres(t, p) }})
		})
	}
}

func openPostgres(t *testing.T, p place) *sql.DB {
	t.Helper()
	for _, variable := range p.env {
		if address, ok := strings.CutPrefix(variable, "KEYTURN_DATABASE_URL="); ok {
			db, err := sql.Open("pgx", address)
			if err != nil {
				t.Fatal(err)
			}
			return db
		}
	}
	t.Fatal("the place has no database")
	return nil
}

// A transaction that somebody forgot to end still sees what was replaced, so that a vacuum keeps it: the turn waits for its end.
func TestATurnOnPostgreSQLWaitsForWhoeverStillSeesTheOldRows(t *testing.T) {
	p := onPostgres(t, testpg.Start(t))
	server := p.start(t)
	s := siteAt(t, server.url)
	v := newVault(t, s, s.setUp(t))
	db := openPostgres(t, p)
	defer func() { _ = db.Close() }()
	forgotten, err := db.BeginTx(t.Context(), &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = forgotten.Rollback() }()
	var old []byte
	if err := forgotten.QueryRow("SELECT value FROM secret WHERE name = 'V03'").Scan(&old); err != nil {
		t.Fatal(err)
	}
	turn := rotate(t, s, v.token, rotationOf("project"))[0]
	eventually(t, turnsWithin, "the turn tells what it waits for", func() bool {
		turn = must[api.KeyTurn](t, s, v.token, "GET", "/keys/turns/"+turn.ID, nil)
		if !turn.EndedAt.IsZero() {
			t.Fatal("the turn ended, and a transaction still sees the old rows")
		}
		return strings.Contains(turn.Problem, "open transaction")
	})
	v.unchanged(t, s)
	if err := forgotten.Rollback(); err != nil {
		t.Fatal(err)
	}
	settleTurns(t, s, v.token)
	v.unchanged(t, s)
	turned(t, s, v.token)
	server.stop(t)
}

// ofOurs picks the files of user tables (pg_class.oid from 16384 on, FirstNormalObjectId) and those of pg_statistic with its
// overflow table, where the server itself puts samples of rows. The other catalogs hold nothing that any row held.
func ofOurs(path string) bool {
	const firstNormal = 16384
	database, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
	file, _, _ := strings.Cut(filepath.Base(path), "_")
	file, _, _ = strings.Cut(file, ".")
	table, _ := strconv.Atoi(file)
	return database >= firstNormal && (table >= firstNormal || slices.Contains([]int{2619, 2840, 2841}, table))
}

func leavesNothing(t *testing.T, layer string, room evidenceRoom) {
	t.Helper()
	server := room.place.start(t)
	s := siteAt(t, server.url)
	v := newVault(t, s, s.setUp(t))
	const projects = 12
	crowdKeys(t, s, v.token, projects)
	server.stop(t)
	db := room.open()
	defer func() { _ = db.Close() }()
	if _, err := db.Exec("ANALYZE"); err != nil { // as both engines' upkeep does now and then
		t.Fatal(err)
	}
	before, keys := envelopesIn(t, db), rawKeys(t, db, rootKey)
	layerOf := map[string]string{} // by key id
	rows, err := db.Query("SELECT k.id, k.layer, coalesce(p.slug, '') FROM key_generation k LEFT JOIN project p ON p.id = k.project_id")
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var id, of, slug string
		if err := rows.Scan(&id, &of, &slug); err != nil {
			t.Fatal(err)
		}
		layerOf[id] = of
		if slug == vaulted {
			layerOf[id] = "project"
		} else if slug != "" {
			layerOf[id] = "other project"
		}
	}
	_ = rows.Close()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	r := relicsOf(t, before, keys, func(id string) bool {
		return layer == "all" || id == "slot" && layer == "instance" || layerOf[id] == layer
	})
	room.settle()
	if found := r.look(t, room.root, room.only); len(found) < r.planted { // the control
		t.Fatalf("of %d envelopes %d traces are found before their key turns", r.planted, len(found))
	}
	server = room.place.start(t)
	s = siteAt(t, server.url)
	rotate(t, s, v.token, rotationOf(layer))
	settleTurns(t, s, v.token)
	for _, when := range []string{"at once", "after a stop"} {
		room.settle()
		found := r.look(t, room.root, room.only)
		for i, f := range found {
			if i == 10 {
				t.Errorf("and %d more", len(found)-i)
				break
			}
			t.Errorf("%s: %s", when, f)
		}
		if when == "at once" {
			v.unchanged(t, s)
			turned(t, s, v.token)
			server.stop(t)
		}
	}
}
