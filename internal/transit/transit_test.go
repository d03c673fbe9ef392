package transit

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
	"github.com/keyturn/keyturn/internal/store/storetest"
)

func decodeBase64(t *testing.T, to, from []byte) int {
	t.Helper()
	n, err := base64.StdEncoding.Decode(to, from)
	must(t, err)
	return n
}

func (w *world) one(t rapidT, ref Ref, in Plain) string {
	t.Helper()
	out, err := w.Encrypt(w.ctx, ref, []Plain{in}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return out[0].Ciphertext
}

// rapidT is what both testing and rapid have.
type rapidT interface {
	Helper()
	Fatal(...any)
	Errorf(string, ...any)
}

func TestWhatIsEncryptedOpensAndWhatIsAlteredDoesNot(t *testing.T) {
	w := newWorld(t)
	refs := map[Kind]Ref{}
	for _, kind := range []Kind{AES128, AES256, ChaCha20} {
		refs[kind] = w.make(t, NewKey{Name: string(kind), Kind: kind})
		w.make(t, NewKey{Name: "derived-" + string(kind), Kind: kind, Derived: true})
		w.make(t, NewKey{Name: "convergent-" + string(kind), Kind: kind, Derived: true, Convergent: true})
	}
	other := w.make(t, NewKey{Name: "other"})
	rapid.Check(t, func(t *rapid.T) {
		name := string(rapid.SampledFrom([]Kind{AES128, AES256, ChaCha20}).Draw(t, "kind"))
		form := rapid.SampledFrom([]string{"", "derived-", "convergent-"}).Draw(t, "form")
		ref := Ref{Name: form + name}
		in := Plain{Plaintext: sensitive.New(rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "plaintext")), Associated: rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "associated")}
		if form != "" {
			in.Context = rapid.SliceOfN(rapid.Byte(), 1, 20).Draw(t, "context")
		}
		text := w.one(t, ref, in)
		if again := w.one(t, ref, in); (again == text) != (form == "convergent-") {
			t.Errorf("%s: twice the same is %v", ref.Name, again == text)
		}
		closed := Closed{Ciphertext: text, Context: in.Context, Associated: in.Associated}
		opens := func(ref Ref, c Closed) bool {
			out, err := w.Decrypt(w.ctx, ref, []Closed{c})
			return err == nil && out[0].Plaintext.Equal(in.Plaintext)
		}
		if !opens(ref, closed) {
			t.Errorf("%s: what was encrypted does not open", ref.Name)
		}
		rewrapped, err := w.Rewrap(w.ctx, ref, []Closed{closed})
		if err != nil || !opens(ref, Closed{Ciphertext: rewrapped[0].Ciphertext, Context: in.Context, Associated: in.Associated}) {
			t.Errorf("%s: what was rewrapped does not open: %v", ref.Name, err)
		}
		wrong := []Closed{closed, closed, closed}
		wrong[0].Associated = append(bytes.Clone(in.Associated), 0)
		wrong[1].Context = append(bytes.Clone(in.Context), 0)
		if form == "" {
			wrong[1].Associated = append([]byte{0}, in.Associated...)
		}
		raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(text, "vault:v1:"))
		if err != nil {
			t.Fatal(err)
		}
		raw[rapid.IntRange(0, len(raw)-1).Draw(t, "byte")] ^= byte(1 << rapid.IntRange(0, 7).Draw(t, "bit"))
		wrong[2].Ciphertext = format(1, raw, base64.StdEncoding)
		for i, c := range wrong {
			if _, err := w.Decrypt(w.ctx, ref, []Closed{c}); !errors.Is(err, fault.Invalid) {
				t.Errorf("%s, wrong %d: %v", ref.Name, i, err)
			}
		}
		if opens(other, closed) || opens(other, Closed{Ciphertext: text, Associated: in.Associated}) {
			t.Errorf("%s opens under another key", ref.Name)
		}
	})
}

func TestAVersionOpensOnlyWhatItMade(t *testing.T) {
	w := newWorld(t)
	ref := w.make(t, NewKey{Name: "k"})
	first := w.one(t, ref, Plain{Plaintext: sensitive.FromString("x")})
	_, err := w.Rotate(w.ctx, ref)
	must(t, err)
	second := w.one(t, ref, Plain{Plaintext: sensitive.FromString("x")})
	for _, text := range []string{strings.Replace(first, "v1", "v2", 1), strings.Replace(second, "v2", "v1", 1)} {
		if _, err := w.Decrypt(w.ctx, ref, []Closed{{Ciphertext: text}}); !errors.Is(err, fault.Invalid) {
			t.Errorf("got %v", err)
		}
	}
	if _, err := w.Decrypt(w.ctx, ref, []Closed{{Ciphertext: first}, {Ciphertext: second}}); err != nil {
		t.Error(err)
	}
}

// Material that was exchanged in the database does not open: it is bound to its key and version.
func TestExchangedMaterialDoesNotOpen(t *testing.T) {
	w := newWorld(t)
	a, b := w.make(t, NewKey{Name: "a"}), w.make(t, NewKey{Name: "b"})
	_, err := w.Rotate(w.ctx, a)
	must(t, err)
	versions := func(ref Ref) []store.TransitVersion {
		all, err := w.db.TransitVersions(w.ctx, w.row(t, ref).ID)
		must(t, err)
		return all
	}
	mine, theirs := versions(a), versions(b)
	for name, value := range map[string][]byte{"of another version": mine[1].Value, "of another key": theirs[0].Value} {
		changed := mine[0]
		changed.Value = value
		must(t, w.db.Write(w.ctx, storetest.Entry("test"), func(tx *store.Tx) error { return tx.PutTransitVersions(w.ctx, &changed) }))
		w.held.clear()
		if _, err := w.Encrypt(w.ctx, a, []Plain{{Version: 1}}, nil); err == nil {
			t.Errorf("material %s opens", name)
		}
		if _, err := w.Encrypt(w.ctx, a, []Plain{{Version: 2}}, nil); err != nil {
			t.Errorf("another version: %v", err)
		}
		var found []string
		must(t, w.door.Read(w.ctx, guard.Op{Action: policy.AuditRead}, func(p guard.Permit) error {
			_, err := w.CheckValues(w.ctx, p, nil, func(row, _ string) { found = append(found, row) })
			return err
		}))
		if len(found) != 1 || found[0] != "transit_version "+changed.ID {
			t.Errorf("the deep check finds %v", found)
		}
	}
}

// Another organisation's key is not there, by name or by id, and what it made opens nowhere else.
func TestKeysOfAnotherOrganisationAreNotThere(t *testing.T) {
	w := newWorld(t)
	ref := w.make(t, NewKey{Name: "k", Exportable: true, PlainBackup: true})
	text := w.one(t, ref, Plain{Plaintext: sensitive.FromString("x")})
	row := w.row(t, ref)
	org := store.Org{ID: domain.NewID[domain.OrgID](), Slug: "other", Name: "Other"}
	must(t, w.db.Write(w.ctx, storetest.Entry("test"), func(tx *store.Tx) error { return tx.PutOrg(w.ctx, &org) }))
	who := &domain.Principal{Kind: domain.System, ID: "other", Org: org.ID}
	other := guard.WithCaller(w.ctx, &guard.Caller{Principal: who, Dialect: "native"})
	for _, by := range []Ref{ref, {ID: row.ID}, {ID: "no id"}} {
		_, read := w.Key(other, by)
		_, decrypted := w.Decrypt(other, by, []Closed{{Ciphertext: text}})
		_, rotated := w.Rotate(other, by)
		_, configured := w.Configure(other, by, Config{})
		_, deleted := w.Delete(other, by)
		_, _, exported := w.Export(other, by, EncryptionKey, 0)
		_, kept := w.Backup(other, by)
		for i, err := range []error{read, decrypted, rotated, configured, deleted, exported, kept} {
			if !errors.Is(err, fault.NotFound) {
				t.Errorf("%+v, %d: %v", by, i, err)
			}
		}
	}
	if _, err := w.Create(other, "", NewKey{Name: "k"}); err != nil {
		t.Errorf("a name that another organisation uses: %v", err)
	}
	if _, err := w.Decrypt(other, ref, []Closed{{Ciphertext: text}}); !errors.Is(err, fault.Invalid) {
		t.Errorf("a ciphertext of another organisation: %v", err)
	}
}

// Two servers that look at the same moment rotate a key once.
func TestKeysRotateByThemselvesOnce(t *testing.T) {
	w := newWorld(t)
	ref := w.make(t, NewKey{Name: "k", RotateEvery: time.Hour})
	w.make(t, NewKey{Name: "never"})
	second := New(w.db, guard.New(w.db), w.keys, noProjects{})
	now := time.Now().UnixMilli()
	must(t, w.rotateDue(w.ctx, now))
	if got := w.row(t, ref).Latest; got != 1 {
		t.Fatalf("it rotated before its time, to version %d", got)
	}
	// The time has come an hour after the last rotation.
	due := w.row(t, ref)
	due.RotatedAt = now - time.Hour.Milliseconds()
	must(t, w.db.Write(w.ctx, storetest.Entry("test"), func(tx *store.Tx) error { return tx.PutTransitKey(w.ctx, &due) }))
	var all sync.WaitGroup
	for _, s := range []*Service{w.Service, second, w.Service, second} {
		all.Go(func() {
			if err := s.rotateDue(w.ctx, now); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := w.row(t, ref); got.Latest != 2 || got.RotatedAt < now {
		t.Errorf("version %d", got.Latest)
	}
	if got := w.row(t, Ref{Name: "never"}).Latest; got != 1 {
		t.Errorf("a key that never rotates has version %d", got)
	}
	if out, err := second.Encrypt(w.ctx, ref, []Plain{{}}, nil); err != nil || out[0].Version != 2 {
		t.Errorf("the second server encrypts with version %d (%v)", out[0].Version, err)
	}
}

func TestKeysAtHandAreBounded(t *testing.T) {
	h := newHeld()
	for i := range 3 * maxHeld / (maxHeld / 8) {
		h.keep(spot{name: fmt.Sprint(i)}, &key{row: store.TransitKey{ID: fmt.Sprint(i)}, size: maxHeld / 8}, 0)
		if h.size > maxHeld || len(h.names) != len(h.ids) || int64(len(h.names))*(maxHeld/8) != h.size {
			t.Fatalf("%d bytes of %d keys", h.size, len(h.names))
		}
	}
	h.forget("")
	if h.size != 0 || len(h.names) != 0 {
		t.Errorf("%d bytes are left", h.size)
	}
	h.keep(spot{name: "stale"}, &key{}, 0)
	if len(h.names) != 0 {
		t.Error("what was loaded before a change is entered after it")
	}
}

func TestMaterialPrintsNowhere(t *testing.T) {
	m, err := generate(P256, 0)
	must(t, err)
	text := fmt.Sprintf("%v %+v %#v %x", m, m, *m, m)
	if strings.Contains(text, "PrivateKey") || !strings.Contains(text, sensitive.Redacted) {
		t.Errorf("%.300s", text)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"vault:v1:AAAA", "vault:v01:AAAA", "vault:v1:AAA=", "vault:v999999999:", "vault:v1:AA\nAA", "vault:v-1:AAAA", "vault:v1", "", "vault:v1:AB=="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, form := range []Marshaling{ASN1, JWS} {
			version, b, err := parse(s, form.encoding(), ofCiphertext)
			if err != nil {
				if !errors.Is(err, fault.Invalid) {
					t.Errorf("%v", err)
				}
				continue
			}
			if back := format(version, b, form.encoding()); back != s {
				t.Errorf("%q is %q", s, back)
			}
		}
	})
}

func FuzzBackup(f *testing.F) {
	w := newWorld(f)
	ref := w.make(f, NewKey{Name: "k", Exportable: true, PlainBackup: true})
	text, err := w.Backup(w.ctx, ref)
	must(f, err)
	raw, err := base64.StdEncoding.DecodeString(string(text.Reveal()))
	must(f, err)
	f.Add(raw)
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, materials, err := parseBackup(sensitive.FromString(base64.StdEncoding.EncodeToString(raw)))
		if err == nil && (len(materials) == 0 || b.Latest < 1 || len(b.Versions) != len(materials)) {
			t.Errorf("%+v", b)
		}
	})
}

func BenchmarkEncrypt(b *testing.B) {
	w := newWorld(b)
	ref := w.make(b, NewKey{Name: "k"})
	in := []Plain{{Plaintext: sensitive.New(make([]byte, 1<<10))}}
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := w.Encrypt(w.ctx, ref, in, nil); err != nil {
				b.Error(err)
			}
		}
	})
}
