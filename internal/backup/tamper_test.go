package backup

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/store"
)

// Each change is made behind the server's back, so that the backup is made and signed in good order: only opening the values
// shows it.
func TestWhatWasWrongBeforeTheBackupIsFoundByVerifyAndDrillAndIsNotRestored(t *testing.T) {
	for name, c := range map[string]struct {
		change func(a, b *store.Secret)
		want   string
	}{
		"two values swapped":         {func(a, b *store.Secret) { a.Value, b.Value = b.Value, a.Value; a.Digest, b.Digest = b.Digest, a.Digest }, "does not open in its place"},
		"a value of another version": {func(a, _ *store.Secret) { a.Version++ }, "does not open in its place"},
		"a byte of a value":          {func(a, _ *store.Secret) { a.Value[len(a.Value)-1] ^= 1 }, "does not open in its place"},
		"a value cut":                {func(a, _ *store.Secret) { a.Value = a.Value[:10] }, "does not open in its place"},
		"an empty value":             {func(a, _ *store.Secret) { a.Value = []byte{} }, "does not open in its place"},
		"a value thrown away":        {func(a, _ *store.Secret) { a.Value = nil }, "knows of no purge"},
		"a digest":                   {func(a, _ *store.Secret) { a.Digest[8] ^= 1 }, "digest"},
		"no digest":                  {func(a, _ *store.Secret) { a.Digest = nil }, "digest"},
		"a comment":                  {func(a, _ *store.Secret) { a.Comment[40] ^= 1 }, "its comment does not open"},
		"a comment thrown away":      {func(a, _ *store.Secret) { a.Comment = nil }, "its comment is gone"},
		"another project":            {func(a, _ *store.Secret) { a.Project = "01a21461-40d3-7dae-9311-5755840a37cb" }, "does not open in its place"},
	} {
		t.Run(name, func(t *testing.T) {
			i := found(t, engines["sqlite"](t), 20, 60)
			a, b := i.secrets[3], i.secrets[13]
			c.change(a, b)
			must(t, i.db.Write(t.Context(), entry("behind the back"), func(tx *store.Tx) error { return tx.PutSecrets(t.Context(), nil, []*store.Secret{a, b}) }))
			file, _ := i.backup(t)
			r, err := Verify(t.Context(), bytes.NewReader(file), i.check())
			must(t, err)
			if r.Sound() || !strings.Contains(r.Problems[0].Text, c.want) || !strings.Contains(r.Problems[0].Row, string(a.ID)) && !strings.Contains(r.Problems[0].Row, string(b.ID)) {
				t.Errorf("problems %v, want %q", r.Problems, c.want)
			}
			d, err := Drill(t.Context(), bytes.NewReader(file), i.check(), t.TempDir())
			must(t, err)
			if len(d.Report.Problems) != len(r.Problems) || d.Report.Problems[0] != r.Problems[0] {
				t.Errorf("the drill found %v", d.Report.Problems)
			}
			e, err := engines["sqlite"](t)(t.Context())
			must(t, err)
			defer func() { _ = e.Close() }()
			_, err = Restore(t.Context(), restoring(t, i, file, e, keyring.NewRoot()))
			want(t, err, fault.Invalid)
			if here, err := Look(t.Context(), e); err != nil || here.Holds {
				t.Errorf("something was restored: %v", err)
			}
		})
	}
}

// Recovery recipients are public: anybody can seal a whole instance of his own making to them.
func TestABackupThatAStrangerMadeForOurKitIsRefusedWhereOurKeysAreKnown(t *testing.T) {
	ours := found(t, engines["sqlite"](t), 5, 60)
	theirs := found(t, engines["sqlite"](t), 5, 60)
	src := theirs.source()
	src.Recipients = ours.source().Recipients
	var file bytes.Buffer
	_, err := Write(t.Context(), &file, src)
	must(t, err)
	r, err := Verify(t.Context(), bytes.NewReader(file.Bytes()), ours.check())
	must(t, err)
	if r.Known {
		t.Error("the stranger is known")
	}
	check := ours.check()
	check.Signers, err = LogKeys(t.Context(), ours.db.Queries)
	must(t, err)
	_, err = Verify(t.Context(), bytes.NewReader(file.Bytes()), check)
	want(t, err, fault.Denied)
	_, err = Drill(t.Context(), bytes.NewReader(file.Bytes()), check, t.TempDir())
	want(t, err, fault.Denied)

	own, _ := ours.backup(t)
	if r, err = Verify(t.Context(), bytes.NewReader(own), check); err != nil || !r.Known {
		t.Errorf("our own backup: %v", err)
	}
}

// rewrite changes the plaintext of a backup and seals it again, as somebody who holds the kit could.
func rewrite(tb testing.TB, i *instance, file []byte, change func(plain []byte) []byte) []byte {
	tb.Helper()
	r, err := age.Decrypt(bytes.NewReader(file), i.recovery)
	must(tb, err)
	plain, err := io.ReadAll(r)
	must(tb, err)
	var out bytes.Buffer
	w, err := age.Encrypt(&out, i.recovery.Recipient())
	must(tb, err)
	_, err = w.Write(change(plain))
	must(tb, err)
	must(tb, w.Close())
	return out.Bytes()
}

func TestWhoeverHoldsTheKitStillCannotChangeABackup(t *testing.T) {
	i := found(t, engines["sqlite"](t), 20, 60)
	file, _ := i.backup(t)
	for name, change := range map[string]func([]byte) []byte{
		"a name": func(b []byte) []byte { return bytes.Replace(b, []byte("KEY_000004"), []byte("KEY_000999"), 1) },
		"a role": func(b []byte) []byte {
			return bytes.Replace(b, []byte("you@example.test"), []byte("him@example.test"), 1)
		},
		"the manifest":   func(b []byte) []byte { return bytes.Replace(b, []byte(`"epoch":1`), []byte(`"epoch":2`), 1) },
		"the trailer":    func(b []byte) []byte { return append(b[:len(b)-5:len(b)-5], "AAAA}"...) },
		"bytes after it": func(b []byte) []byte { return append(b, 0) },
		"no trailer":     func(b []byte) []byte { return b[:bytes.LastIndexByte(b, frameTrailer)] },
		"nothing":        func(b []byte) []byte { return b },
	} {
		_, err := Verify(t.Context(), bytes.NewReader(rewrite(t, i, file, change)), i.check())
		if (err == nil) != (name == "nothing") || err != nil && fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The root key of the backup is the only thing in the file that opens anything; it must be in the sealed part alone.
func TestNothingOfABackupIsReadableWithoutAKit(t *testing.T) {
	i := found(t, engines["sqlite"](t), 20, 60)
	file, _ := i.backup(t)
	for _, text := range []string{"KEY_0000", "you@example", i.id, "keyturn backup", "manifest"} {
		if bytes.Contains(file, []byte(text)) {
			t.Errorf("%q can be read", text)
		}
	}
	rewrite(t, i, file, func(plain []byte) []byte {
		if bytes.Contains(plain, plaintext(0, 60)) || bytes.Contains(plain, i.root.Hex().Reveal()) {
			t.Error("the stream holds a value or the instance's own root key")
		}
		return plain
	})
}
