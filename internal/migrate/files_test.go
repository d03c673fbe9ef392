package migrate

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/keyturn/keyturn/internal/fault"
)

// The golden files in testdata hold made-up values and were written by the programs themselves, where those can be had: the
// sops files by github.com/getsops/sops/v3 v3.13.3, dotenvx.* by @dotenvx/dotenvx 2.38.2. Those of 1Password, Bitwarden and
// Infisical were written by hand after the vendors' descriptions of their formats; the tests seal the encrypted ones themselves.

func golden(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// shown writes a plan as text: every folder, secret, old state and note.
func shown(p *Plan) string {
	var b strings.Builder
	for _, q := range p.Projects {
		for _, e := range q.Envs {
			fmt.Fprintf(&b, "[%s/%s]\n", q.Slug, e.Slug)
			for _, f := range e.Folders {
				if len(f.Imports) > 0 {
					fmt.Fprintf(&b, "%s imports %v\n", f.Path, f.Imports)
				}
			}
			for _, s := range e.Now() {
				fmt.Fprintf(&b, "%s=%q", s.Key, s.Value.Reveal())
				if s.Literal {
					b.WriteString(" literal")
				}
				if s.JSON {
					b.WriteString(" json")
				}
				if s.Comment != "" {
					fmt.Fprintf(&b, " # %s", s.Comment)
				}
				if len(s.Tags) > 0 {
					fmt.Fprintf(&b, " tags %v", s.Tags)
				}
				if len(s.Meta) > 0 {
					fmt.Fprintf(&b, " meta %v", s.Meta)
				}
				if s.RotateEvery != "" {
					fmt.Fprintf(&b, " every %s", s.RotateEvery)
				}
				b.WriteString("\n")
			}
			if slices.ContainsFunc(e.Steps, func(st Step) bool { return !st.At.IsZero() }) && len(e.Steps) > 1 {
				for _, st := range e.Steps {
					fmt.Fprintf(&b, "- %s %s", st.At.UTC().Format("2006-01-02"), st.Author)
					for _, s := range st.Sets {
						fmt.Fprintf(&b, " %s=%s", s.Key, s.Value.Reveal())
					}
					for _, k := range st.Gone {
						fmt.Fprintf(&b, " gone %s", k)
					}
					b.WriteString("\n")
				}
			}
		}
	}
	for _, n := range p.Notes {
		fmt.Fprintf(&b, "%s %s: %s\n", n.Kind, n.Where, n.Text)
	}
	return b.String()
}

func same(t *testing.T, p *Plan, want string) {
	t.Helper()
	got := shown(p)
	if strings.TrimSpace(got) != strings.TrimSpace(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func fitted(t *testing.T, p *Plan, err error, f Fitting) *Plan {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Fit(f); err != nil {
		t.Fatal(err)
	}
	return p
}

func identities(t testing.TB) []age.Identity {
	t.Helper()
	ids, err := AgeIdentities("age-keys.txt", golden(t, "age-keys.txt"))
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

func refusedAs(t *testing.T, err error, kind fault.Kind, words ...string) {
	t.Helper()
	if err == nil || fault.KindOf(err) != kind {
		t.Fatalf("got %v, want %s", err, kind)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q does not say %q", err, w)
		}
	}
	if strings.Contains(err.Error(), "test-value") {
		t.Errorf("the error holds a value: %v", err)
	}
}

func TestFilesOfSopsAreOpenedForAge(t *testing.T) {
	p, err := Sops("sops.json", golden(t, "sops.json"), identities(t), Options{Env: "prod"})
	same(t, fitted(t, p, err, Fitting{}), `
[sops/prod]
/count_unencrypted="1.5" json
/list="[\"test-value-one\",2]" json
/region_unencrypted="eu"
/database/port="5432" json
/database/ratio="0.5" json
/database/tls="true" json
/database/url="postgres://app:test-value@db.example.test/app"
changed /list: is a list: kept as JSON text
`)
	for _, name := range []string{"sops.yaml", "sops-maconly.yaml"} {
		p, err := Sops(name, golden(t, name), identities(t), Options{Env: "prod"})
		same(t, fitted(t, p, err, Fitting{Into: "shop"}), `
[shop/prod]
/list="[\"test-value-one\",{\"name\":\"nested test-value\",\"n\":3}]" json
/multi="line one test-value\nline two\n"
/region_unencrypted="eu"
/replicas_unencrypted="3" json
/database/empty=""
/database/port="5432" json
/database/ratio="0.5" json
/database/tls="true" json
/database/url="postgres://app:test-value@db.example.test/app"
changed /list: is a list: kept as JSON text
`)
	}
	p, err = Sops("sops.env", golden(t, "sops.env"), identities(t), Options{Env: "dev"})
	same(t, fitted(t, p, err, Fitting{}), `
[sops/dev]
/API_KEY="test-value-api"
/MULTI="line one test-value\nline two"
/REGION_unencrypted="eu"
`)
}

func TestChangedFilesOfSopsAreRefused(t *testing.T) {
	yaml := string(golden(t, "sops.yaml"))
	line := func(prefix string) string {
		for l := range strings.SplitSeq(yaml, "\n") {
			if strings.HasPrefix(strings.TrimSpace(l), prefix) {
				return l
			}
		}
		t.Fatal("no such line", prefix)
		return ""
	}
	value := func(l string) string { _, v, _ := strings.Cut(l, ": "); return v }
	for what, c := range map[string]struct {
		content string
		kind    fault.Kind
		words   string
	}{
		"a plain value changed":     {strings.Replace(yaml, "region_unencrypted: eu", "region_unencrypted: us", 1), fault.Invalid, "MAC"},
		"a value left out":          {strings.Replace(yaml, line("port:")+"\n", "", 1), fault.Invalid, "MAC"},
		"a value added":             {strings.Replace(yaml, "region_unencrypted: eu", "region_unencrypted: eu\nmore: x", 1), fault.Invalid, "MAC"},
		"two values swapped":        {strings.Replace(yaml, value(line("url:")), value(line("ratio:")), 1), fault.Invalid, "does not open"},
		"a value broken":            {strings.Replace(yaml, "type:float", "type:str", 1), fault.Invalid, ""},
		"another time":              {strings.Replace(yaml, `lastmodified: "2026`, `lastmodified: "2025`, 1), fault.Invalid, "MAC"},
		"no time":                   {strings.Replace(yaml, `lastmodified: "2026`, `lastmodified: "x2026`, 1), fault.Invalid, "lastmodified"},
		"the MAC of the other kind": {strings.Replace(yaml, "    version: 3.13.3", "    mac_only_encrypted: true\n    version: 3.13.3", 1), fault.Invalid, "MAC"},
		"no metadata":               {yaml[:strings.Index(yaml, "\nsops:")], fault.Invalid, "sops"},
		"an alias":                  {"a: &x y\nb: *x\n" + yaml, fault.Invalid, "aliases"},
		"not YAML":                  {"\t- {", fault.Invalid, "YAML"},
		"no recipient of age":       {strings.Replace(yaml, "    age:\n        - enc: |", "    pgp:\n        - enc: |", 1), fault.Unsupported, "age"},
		"key groups":                {strings.Replace(yaml, "    version: 3.13.3", "    key_groups:\n        - age: []\n    version: 3.13.3", 1), fault.Unsupported, "groups"},
	} {
		t.Run(what, func(t *testing.T) {
			if c.content == yaml {
				t.Fatal("nothing was changed")
			}
			_, err := Sops("sops.yaml", []byte(c.content), identities(t), Options{})
			if what == "a value broken" { // its type is not in the seal: the MAC decides, and a number that is text counts the same
				return
			}
			refusedAs(t, err, c.kind, c.words)
		})
	}
	other, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	_, err = Sops("sops.yaml", []byte(yaml), []age.Identity{other}, Options{})
	refusedAs(t, err, fault.Unauthenticated, "identity")
	_, err = Sops("sops.yaml", []byte(yaml), nil, Options{})
	refusedAs(t, err, fault.Unauthenticated)
	_, err = Sops("deep.json", []byte(strings.Repeat(`{"a":`, 1000)+"1"+strings.Repeat("}", 1000)), identities(t), Options{})
	refusedAs(t, err, fault.Invalid)
}

func TestFilesOfDotenvxAreOpened(t *testing.T) {
	keys, err := ReadDotenvxKeys(".env.keys", golden(t, "dotenvx.env.keys"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := Dotenvx(".env.production", golden(t, "dotenvx.env.production"), keys, Options{Env: "prod"})
	same(t, fitted(t, p, err, Fitting{Into: "shop"}), `
[shop/prod]
/API_KEY="test-value-api"
/DATABASE_URL="postgres://app:test-value@db.example.test/app" # .env.production
made for a test
/EMPTY=""
/MULTI="line one test-value\nline two"
`)
	_, err = Dotenvx(".env.production", golden(t, "dotenvx.env.production"), nil, Options{})
	refusedAs(t, err, fault.Unauthenticated, "private key")
	wrong := DotenvxKeys{"DOTENV_PRIVATE_KEY_PRODUCTION": text(strings.Repeat("11", 32))}
	_, err = Dotenvx(".env.production", golden(t, "dotenvx.env.production"), wrong, Options{})
	refusedAs(t, err, fault.Denied, "does not open")
	for _, bad := range []string{"", "zz", strings.Repeat("00", 32), strings.Repeat("ff", 32), strings.Repeat("11", 31)} {
		_, err = Dotenvx(".env.production", golden(t, "dotenvx.env.production"), DotenvxKeys{"DOTENV_PRIVATE_KEY": text(bad)}, Options{})
		refusedAs(t, err, fault.Invalid, "private key")
	}
	changed := bytes.Replace(golden(t, "dotenvx.env.production"), []byte("API_KEY=encrypted:BJpTdThr"), []byte("API_KEY=encrypted:BJpTdThs"), 1)
	_, err = Dotenvx(".env.production", changed, keys, Options{})
	refusedAs(t, err, fault.Denied, "API_KEY")
}

func TestFilesOfAgeAreOpened(t *testing.T) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	seal := func(plain string) []byte {
		var b bytes.Buffer
		w, err := age.Encrypt(&b, id.Recipient())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(plain)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	p, err := AgeFile("shop.env.age", seal("A=test-value\nB='x ${A}'\n"), []age.Identity{id}, Options{Env: "prod"})
	same(t, fitted(t, p, err, Fitting{}), "[shop/prod]\n/A=\"test-value\"\n/B=\"x ${A}\"\n")
	p, err = AgeFile("shop.json.age", seal(`{"A": "test-value"}`), []age.Identity{id}, Options{Env: "prod"})
	same(t, fitted(t, p, err, Fitting{}), "[shop/prod]\n/A=\"test-value\"\n")
	_, err = AgeFile("shop.env.age", seal("A=test-value"), identities(t), Options{})
	refusedAs(t, err, fault.Unauthenticated, "identity")
	cut := seal("A=test-value\n")
	_, err = AgeFile("shop.env.age", cut[:len(cut)-1], []age.Identity{id}, Options{})
	refusedAs(t, err, fault.Invalid, "whole")
	_, err = AgeFile("shop.env.age", []byte("A=test-value"), []age.Identity{id}, Options{})
	refusedAs(t, err, fault.Invalid)
}
