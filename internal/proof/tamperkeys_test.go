package proof

import (
	"bytes"
	"crypto/rand"
	"database/sql"
	"strings"
	"testing"

	"github.com/keyturn/keyturn/api"
)

// keyCrime is a change of keys or envelopes in the database of a stopped server, and how it must come to light: in the words of
// a start that refuses, or in the findings of the deep verification of a server that starts, and then in those alone.
type keyCrime struct {
	name    string
	do      func(t *testing.T, v *victim)
	refused []string // texts that the refusal must hold
	named   []string // rows that the verification must name, and no others
	census  string   // state under which the next census must show something
}

var keyCrimes = []keyCrime{
	{name: "a flipped bit in an envelope", named: []string{"secret {V03}/"}, do: func(t *testing.T, v *victim) {
		flipBit(t, v.db, "secret", "value", "id = '"+v.ids["V03"]+"'")
	}},
	{name: "a flipped bit in a comment", named: []string{"secret {V03}/"}, do: func(t *testing.T, v *victim) {
		flipBit(t, v.db, "secret", "comment", "id = '"+v.ids["V03"]+"'")
	}},
	{name: "a flipped bit in somebody's own value", named: []string{"personal {PERSONAL}"}, do: func(t *testing.T, v *victim) {
		flipBit(t, v.db, "personal", "value", "id = '"+v.ids["PERSONAL"]+"'")
	}},
	{name: "a truncated envelope", named: []string{"secret {V03}/"}, do: func(t *testing.T, v *victim) {
		v.exec(t, "UPDATE secret SET value = substr(value, 1, length(value) - 1) WHERE id = '{V03}'")
	}},
	{name: "an envelope shorter than any", named: []string{"secret {V03}/"}, do: func(t *testing.T, v *victim) {
		v.exec(t, "UPDATE secret SET value = X'0101' WHERE id = '{V03}'")
	}},
	{name: "an unknown algorithm", named: []string{"secret {V03}/"}, do: func(t *testing.T, v *victim) {
		v.exec(t, "UPDATE secret SET value = CAST(substr(value, 1, 1) || X'09' || substr(value, 3) AS BLOB) WHERE id = '{V03}'")
	}},
	{name: "an unknown key id", named: []string{"secret {V03}/"}, census: "unknown", do: func(t *testing.T, v *victim) {
		v.exec(t, "UPDATE secret SET value = CAST(substr(value, 1, 2) || X'0198c0de000070008000000000000001' || substr(value, 19) AS BLOB) WHERE id = '{V03}'")
	}},
	{name: "ciphertexts of two secrets swapped", named: []string{"secret {V03}/", "secret {V04}/"}, do: func(t *testing.T, v *victim) {
		a, b := v.row(t, v.db, "SELECT value FROM secret WHERE id = '{V03}'"), v.row(t, v.db, "SELECT value FROM secret WHERE id = '{V04}'")
		v.exec(t, "UPDATE secret SET value = ? WHERE id = '{V03}'", b...)
		v.exec(t, "UPDATE secret SET value = ? WHERE id = '{V04}'", a...)
	}},
	{name: "an envelope under a destroyed key put back", named: []string{"secret {V03}/"}, census: "destroyed", do: func(t *testing.T, v *victim) {
		v.exec(t, "UPDATE secret SET value = ? WHERE id = '{V03}'", v.row(t, v.old, "SELECT value FROM secret WHERE id = '{V03}'")...)
	}},
	{name: "wrapped keys of two projects swapped", refused: []string{"project key {KEPT}"}, do: func(t *testing.T, v *victim) {
		a, b := v.row(t, v.db, "SELECT wrapped FROM key_generation WHERE id = '{KEY}'"), v.row(t, v.db, "SELECT wrapped FROM key_generation WHERE id = '{KEPT}'")
		v.exec(t, "UPDATE key_generation SET wrapped = ? WHERE id = '{KEY}'", b...)
		v.exec(t, "UPDATE key_generation SET wrapped = ? WHERE id = '{KEPT}'", a...)
	}},
	{name: "a flipped bit in a wrapped key", refused: []string{"project key {KEY}"}, do: func(t *testing.T, v *victim) {
		flipBit(t, v.db, "key_generation", "wrapped", "id = '"+v.ids["KEY"]+"'")
	}},
	{name: "an older row of a wrapped key put back", refused: []string{"project key {KEPT}"}, do: func(t *testing.T, v *victim) {
		v.exec(t, "UPDATE key_generation SET (wrapped, wrapped_by) = (?, ?) WHERE id = '{KEPT}'",
			v.row(t, v.old, "SELECT wrapped, wrapped_by FROM key_generation WHERE id = '{KEPT}'")...)
	}},
	{name: "a destroyed key put back", refused: []string{"{GONE}"}, do: func(t *testing.T, v *victim) {
		v.exec(t, "DELETE FROM key_generation WHERE id = '{GONE}'")
		v.insert(t, "key_generation", v.row(t, v.old, "SELECT * FROM key_generation WHERE id = '{GONE}'"))
	}},
	{name: "a slot forged for an attacker's key", refused: []string{"key slot 0198c0de-0000-7000-8000-000000000001"}, do: func(t *testing.T, v *victim) {
		public := rootOf(t, strings.Repeat("5a", 31)+"a5").Public()
		wrapped := make([]byte, 1300)
		_, _ = rand.Read(wrapped)
		v.exec(t, `INSERT INTO key_slot (id, kind, fingerprint, key_id, wrapped, key_check, created_at, source, kept, public, proof, proved_at)
			SELECT '0198c0de-0000-7000-8000-000000000001', 'file', ?, key_id, ?, X'', created_at, '', NULL, ?, proof, 1 FROM key_slot LIMIT 1`, public.Fingerprint, wrapped, public.Key)
	}},
	{name: "a slot given an attacker's public key", refused: []string{"key slot {SLOT}"}, do: func(t *testing.T, v *victim) {
		v.exec(t, "UPDATE key_slot SET public = ?", rootOf(t, otherKey).Public().Key)
	}},
	{name: "a slot moved to another kind", refused: []string{"key slot {SLOT}"}, do: func(t *testing.T, v *victim) {
		v.exec(t, "UPDATE key_slot SET kind = 'file'")
	}},
	{name: "a slot given another source", refused: []string{"key slot {SLOT}"}, do: func(t *testing.T, v *victim) {
		v.exec(t, "UPDATE key_slot SET source = 'file:/somewhere/else'")
	}},
	{name: "an older slot put back", refused: []string{"key slot {SLOT}"}, do: func(t *testing.T, v *victim) {
		v.exec(t, "UPDATE key_slot SET (key_id, wrapped, proof) = (?, ?, ?)", v.row(t, v.old, "SELECT key_id, wrapped, proof FROM key_slot")...)
	}},
	{name: "a retired key made primary", refused: []string{"{RETIRED}"}, do: func(t *testing.T, v *victim) {
		v.exec(t, "UPDATE key_generation SET state = 'primary' WHERE id = '{RETIRED}'")
	}},
	{name: "a retired key made active", named: []string{"key_generation {RETIRED}"}, do: func(t *testing.T, v *victim) {
		v.exec(t, "UPDATE key_generation SET state = 'active' WHERE id = '{RETIRED}'")
	}},
	{name: "a primary key retired", named: []string{"key_generation {KEY}"}, do: func(t *testing.T, v *victim) {
		v.exec(t, "UPDATE key_generation SET state = 'retired' WHERE id = '{KEY}'")
	}},
	{name: "a destroyed key made primary", refused: []string{"{GONE}"}, do: func(t *testing.T, v *victim) {
		v.exec(t, "UPDATE key_generation SET state = 'primary' WHERE id = '{GONE}'")
	}},
	{name: "a key made younger, so that it is not due", named: []string{"key_generation {KEY}"}, do: func(t *testing.T, v *victim) {
		v.exec(t, "UPDATE key_generation SET created_at = created_at + 86400000 WHERE id = '{KEY}'")
	}},
	{name: "the cause of a turn changed", named: []string{"key_turn {TURN}"}, do: func(t *testing.T, v *victim) {
		v.exec(t, "UPDATE key_turn SET cause = 'schedule' WHERE id = '{TURN}'")
	}},
	{name: "the census of a turn changed", named: []string{"key_turn {TURN}"}, do: func(t *testing.T, v *victim) {
		v.exec(t, "UPDATE key_turn SET census = replace(census, 'secret', 'sacred') WHERE id = '{TURN}'")
	}},
	{name: "a turn that is over begun again by hand", named: []string{"key_turn {TURN}"}, do: func(t *testing.T, v *victim) {
		v.exec(t, "UPDATE key_turn SET ended_at = 0, stage = 'counted' WHERE id = '{TURN}'")
	}},
	{name: "a turn of a live key said to be counted", named: []string{"key_turn {TURN}"}, do: func(t *testing.T, v *victim) {
		v.exec(t, "UPDATE key_turn SET ended_at = 0, stage = 'counted', old_key = '{KEY}' WHERE id = '{TURN}'")
	}},
	{name: "a key in use retired and its turn said to be counted", named: []string{"key_turn {TURN}", "key_generation {KEPT}"}, do: func(t *testing.T, v *victim) {
		// Both rows together would destroy a key in use, were the count not repeated.
		v.exec(t, "UPDATE key_generation SET state = 'retired' WHERE id = '{KEPT}'")
		v.exec(t, "UPDATE key_turn SET ended_at = 0, stage = 'counted', old_key = '{KEPT}' WHERE id = '{TURN}'")
	}},
	{name: "a turn removed from the history", named: []string{"key_turn {TURN}"}, do: func(t *testing.T, v *victim) {
		v.exec(t, "DELETE FROM key_turn WHERE id = '{TURN}'")
	}},
}

// keyScene is a stopped world whose keys have turned, and a copy of it from before.
type keyScene struct {
	place, earlier place
	vault          *vault
	ids            map[string]string
}

func buildKeyScene(t *testing.T) keyScene {
	t.Helper()
	sc := keyScene{place: onSQLite(t), earlier: onSQLite(t), ids: map[string]string{}}
	server := sc.place.start(t)
	s := siteAt(t, server.url)
	sc.vault = newVault(t, s, s.setUp(t))
	crowdKeys(t, s, sc.vault.token, 2)
	server.stop(t)
	copyWorld(t, sc.place.data(), sc.earlier.data())
	server = sc.place.start(t)
	s = siteAt(t, server.url)
	for _, r := range []api.KeyRotation{{Layer: "project", Project: vaulted}, {Layer: "instance"}, {Layer: "project", Project: "crowd-0", KeepOld: true}} {
		rotate(t, s, sc.vault.token, r)
		settleTurns(t, s, sc.vault.token)
	}
	server.stop(t)
	db := openFile(t, sc.place.data())
	for id, query := range map[string]string{
		"V03": "SELECT id FROM secret WHERE name = 'V03'", "V04": "SELECT id FROM secret WHERE name = 'V04'", "SLOT": "SELECT id FROM key_slot",
		"KEY":      "SELECT k.id FROM key_generation k JOIN project p ON p.id = k.project_id WHERE p.slug = 'vault' AND k.state = 'primary'",
		"GONE":     "SELECT k.id FROM key_generation k JOIN project p ON p.id = k.project_id WHERE p.slug = 'vault' AND k.state = 'destroyed'",
		"KEPT":     "SELECT k.id FROM key_generation k JOIN project p ON p.id = k.project_id WHERE p.slug = 'crowd-1'",
		"RETIRED":  "SELECT k.id FROM key_generation k JOIN project p ON p.id = k.project_id WHERE p.slug = 'crowd-0' AND k.state = 'retired'",
		"TURN":     "SELECT id FROM key_turn WHERE layer = 'project' ORDER BY started_at LIMIT 1",
		"PERSONAL": "SELECT id FROM personal LIMIT 1",
	} {
		var text string
		if err := db.QueryRow(query).Scan(&text); err != nil {
			t.Fatalf("%s: %v", id, err)
		}
		sc.ids[id] = text
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return sc
}

func TestKeysChangedBehindTheServersBackAreNamed(t *testing.T) {
	t.Parallel()
	sc := buildKeyScene(t)
	for _, c := range append(keyCrimes, keyCrime{name: "nothing", do: func(*testing.T, *victim) {}}) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.comesToLight(t, sc)
		})
	}
}

func (c keyCrime) comesToLight(t *testing.T, sc keyScene) {
	t.Helper()
	p := onSQLite(t)
	copyWorld(t, sc.place.data(), p.data())
	v := &victim{db: openFile(t, p.data()), old: openFile(t, sc.earlier.data()), ids: sc.ids}
	c.do(t, v)
	for _, db := range []*sql.DB{v.db, v.old} {
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	server, up := p.tryStart(t)
	if bytes.Contains([]byte(server.out.String()), []byte("panic")) {
		t.Errorf("a panic:\n%s", server.out)
	}
	if up == (c.refused != nil) {
		t.Fatalf("the start succeeded: %t\n%s", up, server.out)
	}
	if !up {
		for _, text := range c.refused {
			if text = v.filled(text); !strings.Contains(server.out.String(), text) {
				t.Errorf("the refusal does not name %s:\n%s", text, server.out)
			}
		}
		return
	}
	s := siteAt(t, server.url)
	token := sc.vault.token
	if c.census != "" {
		found := false
		for _, n := range must[api.KeyCensus](t, s, token, "GET", "/keys/census", nil).Counts {
			found = found || n.State == c.census && n.Count == 1
		}
		if !found {
			t.Errorf("the census shows nothing under a key that is %s", c.census)
		}
	}
	// Turns that were begun by hand must come to rest before: told as a problem, or taken to their end, and nothing is lost.
	eventually(t, turnsWithin, "turns to rest", func() bool {
		for _, turn := range must[api.KeysStatus](t, s, token, "GET", "/keys", nil).Running {
			if turn.Problem == "" {
				return false
			}
		}
		return true
	})
	problems := must[api.Verification](t, s, token, "POST", "/audit/verify?deep=true", nil).Problems
	for _, name := range c.named {
		if name = v.filled(name); !named(problems, name) {
			t.Errorf("nothing names %s: %v", name, problems)
		}
	}
	for _, f := range problems {
		right := false
		for _, name := range c.named {
			right = right || strings.HasPrefix(f.Row+" ", v.filled(name))
		}
		if !right {
			t.Errorf("a row that nobody touched is accused: %s: %s", f.Row, f.Text)
		}
	}
	if c.named == nil || strings.HasPrefix(c.named[0], "key_") { // nothing that opens may be lost for it
		sc.vault.unchanged(t, s)
	}
	server.stop(t)
}

func named(findings []api.Finding, name string) bool {
	for _, f := range findings {
		if strings.HasPrefix(f.Row+" ", name) {
			return true
		}
	}
	return false
}

// An epoch that is set back while servers run would let one of them write under keys that another one has replaced.
func TestAnEpochSetBackIsRefusedAndNamed(t *testing.T) {
	t.Parallel()
	p := onSQLite(t)
	server := p.start(t)
	s := siteAt(t, server.url)
	v := newVault(t, s, s.setUp(t))
	rotate(t, s, v.token, rotationOf("project"))
	settleTurns(t, s, v.token)
	db := openFile(t, p.data())
	defer func() { _ = db.Close() }()
	if _, err := db.Exec("UPDATE instance SET epoch = epoch - 1"); err != nil {
		t.Fatal(err)
	}
	for _, a := range []answer{
		s.call(v.token, "POST", at(vaulted, "dev", "commits"), set("/", "V03", "test-value that was refused")),
		s.call(v.token, "GET", at(vaulted, "dev", "secrets", "V03"), nil),
	} {
		if a.ok() || a.err != nil || !strings.Contains(string(a.body), "epoch in the instance row") {
			t.Errorf("an epoch that was set back: %s", a)
		}
	}
	if _, err := db.Exec("UPDATE instance SET epoch = epoch + 1"); err != nil {
		t.Fatal(err)
	}
	v.unchanged(t, s)
	turned(t, s, v.token)
	server.stop(t)
}

// A row that does not open keeps nothing else: the turn moves the rest, names the row, keeps the old key, and ends by itself
// when the right bytes are back.
func TestATurnGoesOnAroundADamagedRow(t *testing.T) {
	t.Parallel()
	p := onSQLite(t)
	server := p.start(t)
	s := siteAt(t, server.url)
	v := newVault(t, s, s.setUp(t))
	db := openFile(t, p.data())
	defer func() { _ = db.Close() }()
	if _, err := db.Exec("PRAGMA busy_timeout = 10000"); err != nil {
		t.Fatal(err)
	}
	var id string
	if err := db.QueryRow("SELECT id FROM secret WHERE name = 'V03'").Scan(&id); err != nil {
		t.Fatal(err)
	}
	flipBit(t, db, "secret", "value", "id = '"+id+"'")
	turn := rotate(t, s, v.token, rotationOf("project"))[0]
	eventually(t, turnsWithin, "the problem is told", func() bool {
		for _, r := range must[api.KeysStatus](t, s, v.token, "GET", "/keys", nil).Running {
			if r.Problem != "" {
				if !strings.Contains(r.Problem, "secret "+id) || strings.Count(r.Problem, "secret ") != 1 {
					t.Fatalf("the problem is told as %q", r.Problem)
				}
				return true
			}
		}
		return false
	})
	left := int64(0)
	for _, n := range must[api.KeyCensus](t, s, v.token, "GET", "/keys/census", nil).Counts {
		if n.KeyID == turn.Old {
			left += n.Count
		}
	}
	if left != 2 { // its value and its comment
		t.Errorf("%d envelopes are left under the old key", left)
	}
	for _, k := range must[api.KeysStatus](t, s, v.token, "GET", "/keys", nil).Keys {
		if k.ID == turn.Old && k.State != "active" {
			t.Errorf("the old key is %s", k.State)
		}
	}
	flipBit(t, db, "secret", "value", "id = '"+id+"'") // back
	settleTurns(t, s, v.token)
	v.unchanged(t, s)
	turned(t, s, v.token)
	server.stop(t)
}
