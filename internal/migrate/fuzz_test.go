package migrate

import (
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// held checks that whatever a parser accepts becomes a plan that can be held: every name is one of ours.
func held(t *testing.T, p *Plan, err error) {
	t.Helper()
	if err != nil {
		if fault.KindOf(err) == fault.Internal {
			t.Fatalf("a defect: %v", err)
		}
		return
	}
	if err := p.Fit(Fitting{Rename: true}); err != nil {
		if fault.KindOf(err) == fault.Internal {
			t.Fatalf("a defect: %v", err)
		}
		return
	}
	for _, q := range p.Projects {
		if _, err := domain.ParseSlug(q.Slug); err != nil {
			t.Fatalf("the project %q: %v", q.Slug, err)
		}
		for _, e := range q.Envs {
			if _, err := domain.ParseSlug(e.Slug); err != nil {
				t.Fatalf("the environment %q: %v", e.Slug, err)
			}
			seen := map[Key]bool{}
			for _, s := range e.Now() {
				path, err := domain.ParsePath(s.Path)
				if err != nil || string(path) != s.Path {
					t.Fatalf("the folder %q: %v", s.Path, err)
				}
				if _, err := domain.ParseSecretName(s.Name); err != nil {
					t.Fatalf("the name %q: %v", s.Name, err)
				}
				if seen[s.Key] || s.Value.Len() > domain.MaxValue || len(s.Comment) > domain.MaxComment {
					t.Fatalf("%s is there twice or too large", s.Key)
				}
				seen[s.Key] = true
			}
		}
	}
	for _, n := range p.Notes {
		if strings.ContainsAny(n.Where, "\n\r\x1b") {
			t.Fatalf("the note %q has more than one line", n.Where)
		}
	}
}

func FuzzOnePassword(f *testing.F) {
	f.Add(golden(f, "1password.csv"))
	f.Add(golden(f, "1pux-export.data"))
	f.Add(zipped(f, "export.data", string(golden(f, "1pux-export.data"))))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := OnePassword("x", b, Options{Env: "prod"})
		held(t, p, err)
		p, err = OnePassword("x", zipped(t, "export.data", string(b)), Options{Env: "prod"})
		held(t, p, err)
	})
}

func FuzzBitwarden(f *testing.F) {
	f.Add(golden(f, "bitwarden.json"))
	f.Add(golden(f, "bitwarden.csv"))
	f.Add(sealBitwarden(f, "{}", "test-value", map[string]any{"salt": "x", "kdfType": 0, "kdfIterations": 1}))
	f.Add([]byte(`{"projects":[{"id":"p1","name":"Shop"}],"secrets":[{"key":"A","value":"test-value","projectIds":["p1"]}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if strings.Contains(string(b), "kdfIterations") && len(b) > 40 && strings.Contains(string(b), "00") {
			return // stretching is slow by its nature, not by a fault
		}
		p, err := Bitwarden("x", b, func() (sensitive.Value, error) { return text("test-value"), nil }, Options{Env: "prod"})
		held(t, p, err)
	})
}

func FuzzSops(f *testing.F) {
	for _, name := range []string{"sops.yaml", "sops-maconly.yaml", "sops.json", "sops.env"} {
		f.Add(golden(f, name))
	}
	ids := identities(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := Sops("x", b, ids, Options{Env: "prod"})
		held(t, p, err)
	})
}

func FuzzDotenvx(f *testing.F) {
	f.Add(golden(f, "dotenvx.env.production"))
	f.Add([]byte("A=encrypted:AAAA\nB=x"))
	keys, err := ReadDotenvxKeys(".env.keys", golden(f, "dotenvx.env.keys"))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := Dotenvx(".env.production", b, keys, Options{Env: "prod"})
		held(t, p, err)
	})
}

func FuzzInfisicalExport(f *testing.F) {
	f.Add([]byte(`[{"key": "URL", "value": "${A}", "secretPath": "/backend", "tags": [{"slug": "critical"}]}]`))
	f.Add([]byte("A=test-value\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := InfisicalExport("x.json", b, Options{Env: "prod"})
		held(t, p, err)
	})
}

func FuzzAgeFile(f *testing.F) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte("age-encryption.org/v1\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := AgeFile("x.env", b, []age.Identity{id}, Options{Env: "prod"})
		held(t, p, err)
	})
}

// FuzzFit gives names of all sorts to folders, secrets, projects and values, which may refer to each other.
func FuzzFit(f *testing.F) {
	f.Add("my project", "Prod", "/a b/c", "my key", "${A}", "/a", "B", "${Prod.a b.c.my key}")
	f.Add("shop", "prod", "/", "A", "$${A}", "/", "A", "${@shop.prod.A}")
	f.Fuzz(func(t *testing.T, project, env, path1, name1, value1, path2, name2, value2 string) {
		for _, references := range []bool{true, false} {
			p := &Plan{Source: "x", References: references, Projects: []Project{{Slug: project}}}
			e := p.Projects[0].env(env)
			e.Folders = []Folder{{Path: canonicalPath(path1), Imports: []Place{{Path: canonicalPath(path2)}, {Path: canonicalPath(path1)}}}}
			e.Steps = []Step{{Sets: []Secret{{Key: Key{canonicalPath(path1), name1}, Value: text(value1)}}}, {Sets: []Secret{{Key: Key{canonicalPath(path2), name2}, Value: text(value2), Tags: []string{name1}, Meta: map[string]string{name2: value1}}}}}
			held(t, p, nil)
		}
	})
}
