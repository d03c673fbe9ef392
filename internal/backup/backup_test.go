package backup

import (
	"bytes"
	"crypto/sha256"
	"math/rand/v2"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/keyturn/keyturn/internal/fault"
)

func want(tb testing.TB, err error, kind fault.Kind) {
	tb.Helper()
	if err == nil || fault.KindOf(err) != kind {
		tb.Errorf("error %v (%s), want %s", err, fault.KindOf(err), kind)
	}
}

func TestABackupHoldsEverythingAndVerifies(t *testing.T) {
	for name, fresh := range engines {
		t.Run(name, func(t *testing.T) {
			i := found(t, fresh(t), 500, 100)
			file, w := i.backup(t)
			if w.Bytes != int64(len(file)) || w.Digest != sha256.Sum256(file) {
				t.Errorf("%d bytes told, %d there", w.Bytes, len(file))
			}
			r, err := Verify(t.Context(), bytes.NewReader(file), i.check())
			must(t, err)
			if !r.Sound() {
				t.Errorf("problems: %v", r.Problems)
			}
			if r.Content != w.Content || r.Manifest.Engine != name || r.Manifest.Count("secret") != 500 || r.Values != 501 {
				t.Errorf("report %+v", r)
			}
			if want := testOrigin + "+"; !strings.HasPrefix(r.Signer, want) || r.Known {
				t.Errorf("signer %s, known %t", r.Signer, r.Known)
			}
		})
	}
}

func TestEveryCorruptionIsCaught(t *testing.T) {
	i := found(t, engines["sqlite"](t), 40, 60)
	file, _ := i.backup(t)
	r := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		bad := bytes.Clone(file)
		how := ""
		switch r.IntN(6) {
		case 0:
			how = "a bit flipped"
			bad[r.IntN(len(bad))] ^= 1 << r.IntN(8)
		case 1:
			how = "cut short"
			bad = bad[:r.IntN(len(bad))]
		case 2:
			how = "a byte taken out"
			at := r.IntN(len(bad))
			bad = append(bad[:at], bad[at+1:]...)
		case 3:
			how = "bytes put in"
			at := r.IntN(len(bad) + 1)
			bad = append(bad[:at:at], append([]byte{byte(r.Uint32())}, bad[at:]...)...)
		case 4:
			how = "zeros written over"
			at := r.IntN(len(bad))
			part := bad[at:min(len(bad), at+1+r.IntN(4096))]
			if bytes.Count(part, []byte{0}) == len(part) {
				continue
			}
			clear(part)
		case 5:
			how = "two parts swapped"
			n := 1 + r.IntN(len(bad)/2)
			a, b := bytes.Clone(bad[:n]), bytes.Clone(bad[n:])
			bad = append(b, a...)
		}
		if bytes.Equal(bad, file) {
			continue
		}
		report, err := Verify(t.Context(), bytes.NewReader(bad), i.check())
		if err == nil && report.Sound() {
			t.Errorf("not caught: %s", how)
		}
		if err != nil && fault.KindOf(err) == fault.Internal {
			t.Errorf("%s: %v", how, err)
		}
	}
}

func TestWhatIsNoBackupIsRefusedInOneSentence(t *testing.T) {
	i := found(t, engines["sqlite"](t), 5, 60)
	file, _ := i.backup(t)
	seal := func(plain string) []byte {
		var out bytes.Buffer
		w, err := age.Encrypt(&out, i.recovery.Recipient())
		must(t, err)
		_, err = w.Write([]byte(plain))
		must(t, err)
		must(t, w.Close())
		return out.Bytes()
	}
	stranger, err := age.GenerateX25519Identity()
	must(t, err)
	for name, c := range map[string]struct {
		file []byte
		who  age.Identity
		kind fault.Kind
	}{
		"an empty file":           {nil, i.recovery, fault.Invalid},
		"a foreign file":          {[]byte("SQLite format 3\x00 and what follows it"), i.recovery, fault.Invalid},
		"half of the first line":  {file[:10], i.recovery, fault.Invalid},
		"half of the head":        {file[:100], i.recovery, fault.Invalid},
		"half of the file":        {file[:len(file)/2], i.recovery, fault.Invalid},
		"all but the last byte":   {file[:len(file)-1], i.recovery, fault.Invalid},
		"a later age":             {[]byte("age-encryption.org/v2\n-> X25519 abc"), i.recovery, fault.Unsupported},
		"a text form":             {[]byte("-----BEGIN AGE ENCRYPTED FILE-----\nabc"), i.recovery, fault.Unsupported},
		"another's kit":           {file, stranger, fault.Denied},
		"a letter to the kit":     {seal("hello"), i.recovery, fault.Invalid},
		"nothing to the kit":      {seal(""), i.recovery, fault.Invalid},
		"a newer format":          {seal("keyturn backup v2\nM...."), i.recovery, fault.Unsupported},
		"a newer schema":          {seal(magic + string(appendHead(nil, frameManifest, len(newer))) + newer), i.recovery, fault.Unsupported},
		"a manifest and no more":  {seal(magic + string(appendHead(nil, frameManifest, len(early))) + early), i.recovery, fault.Invalid},
		"a length beyond measure": {seal(magic + "M\xff\xff\xff\xff"), i.recovery, fault.Invalid},
	} {
		_, err := Verify(t.Context(), bytes.NewReader(c.file), Check{Identities: []age.Identity{c.who}})
		if err == nil || fault.KindOf(err) != c.kind || strings.Contains(fault.As(err).Message, "\n") {
			t.Errorf("%s: %v (%s), want %s", name, err, fault.KindOf(err), c.kind)
		}
	}
}

const (
	root32 = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
	newer  = `{"instance":"a","schema":9999,"log":{"size":0,"root":"` + root32 + `"},"root":""}`
	early  = `{"instance":"a","schema":1,"log":{"size":0,"root":"` + root32 + `"},"root":""}`
)

func TestABackupNeedsARecoveryKit(t *testing.T) {
	i := found(t, engines["sqlite"](t), 0, 0)
	src := i.source()
	src.Recipients = nil
	_, err := Write(t.Context(), &bytes.Buffer{}, src)
	want(t, err, fault.Invalid)
	src.Recipients = []string{"not a recipient"}
	_, err = Write(t.Context(), &bytes.Buffer{}, src)
	want(t, err, fault.Invalid)
	hybrid, err := age.GenerateHybridIdentity()
	must(t, err)
	src.Recipients = []string{i.recovery.Recipient().String(), hybrid.Recipient().String()}
	_, err = Write(t.Context(), &bytes.Buffer{}, src)
	want(t, err, fault.Invalid)
	src.Recipients = src.Recipients[1:]
	var out bytes.Buffer
	_, err = Write(t.Context(), &out, src)
	must(t, err)
	r, err := Verify(t.Context(), &out, Check{Identities: []age.Identity{hybrid}})
	must(t, err)
	if !r.Sound() {
		t.Errorf("problems %v", r.Problems)
	}
}

func TestAWriterThatFailsMakesNoWholeBackup(t *testing.T) {
	i := found(t, engines["sqlite"](t), 200, 500)
	file, _ := i.backup(t)
	for _, n := range []int{0, 50, 1000, len(file) / 2, len(file) - 100} {
		w := &limited{left: n}
		if _, err := Write(t.Context(), w, i.source()); err == nil {
			t.Errorf("no error after %d bytes", n)
		}
		if _, err := Verify(t.Context(), bytes.NewReader(w.Bytes()), i.check()); err == nil {
			t.Errorf("%d bytes are a whole backup", n)
		}
	}
}

type limited struct {
	bytes.Buffer
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	if l.left -= len(p); l.left < 0 {
		return 0, fault.New(fault.Unavailable, "the disk is full")
	}
	return l.Buffer.Write(p)
}
