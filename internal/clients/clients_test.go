package clients_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/testvault"
	"github.com/keyturn/keyturn/keyturntest"
)

var update = flag.Bool("update", false, "write docs/compat.md")

const (
	page = "../../docs/compat.md"
	// runWithin bounds one program on a busy machine.
	runWithin = 3 * time.Minute
)

// program is one client with the operations that are tried through it.
type program struct {
	name    string // as the page calls it, with its version
	dialect string
	command func(t *testing.T) []string
	folder  string
	env     []string
}

var programs = []program{
	{"github.com/infisical/go-sdk v0.8.0", "infisical", compiled("infisical"), "", nil},
	{"npm @infisical/sdk 5.0.2", "infisical", node("infisical.mjs"), "", nil},
	{"github.com/hashicorp/vault/api v1.23.0", "vault", compiled("vault"), "", []string{"PERSON=ann@example.test"}},
	{"github.com/openbao/openbao/api/v2 v2.7.1", "vault", compiled("openbao"), "", []string{"PERSON=ann@example.test"}},
	{"npm node-vault 0.12.0", "vault", node("nodevault.mjs"), "", nil},
	{"hvac 0.11.2 (Python)", "vault", python, "", nil},
	{"consul-template 0.41.1", "vault", consulTemplate, "", nil},
}

// differences are operations with which Vault 1.14 does not do what is wanted here, with the reason.
var differences = map[string]string{
	"kv2 get keeps JSON types": "Vault reads numbers as floating point and writes them anew: 12345678901234567 comes back as 12345678901234568. Keyturn keeps the text of a number.",
	"approle wrong secret":     "Vault 1.14 answers 500 to a secret id that has not the form of one, newer ones and Keyturn 400.",
	"userpass login":           "Vault 1.14 answers 500 to a wrong password, newer ones and Keyturn 400.",
	"approle list and destroy": "Vault 1.14 answers 500 to a destroyed secret id, newer ones and Keyturn 400.",
}

// result is what came of an operation: "ok" or what was wrong.
type result struct{ operation, text string }

func TestClientsThatNobodyHereWrote(t *testing.T) {
	found := map[string][]result{}
	for _, p := range programs {
		t.Run(p.name, func(t *testing.T) {
			ours := p.run(t, target(t, p.dialect))
			for _, r := range ours {
				if r.text != "ok" {
					t.Errorf("%s: %s", r.operation, r.text)
				}
			}
			if len(ours) == 0 {
				t.Error("it did nothing")
			}
			found[p.name] = ours
		})
	}
	if t.Failed() || len(found) < len(programs) { // only some of them were asked for
		return
	}
	written := matrix(found)
	if *update {
		if err := os.WriteFile(page, written, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if now, err := os.ReadFile(page); err != nil || !bytes.Equal(now, written) {
		t.Errorf("docs/compat.md is not what was found (%v); write it anew: go test ./internal/clients -update", err)
	}
}

// What the clients of Vault find here they find at a real Vault too, but for the differences that are listed.
func TestVaultItselfDoesTheSame(t *testing.T) {
	for _, p := range programs {
		if p.dialect != "vault" {
			continue
		}
		t.Run(p.name, func(t *testing.T) {
			v := testvault.Start(t)
			p.env = append(slices.Clone(p.env), "PERSON=ann", "WITH_TRANSIT=")
			if strings.Contains(p.name, "node-vault") || strings.Contains(p.name, "hvac") || strings.Contains(p.name, "consul-template") {
				mountSecret(t, v.URL, v.Token)
			}
			for _, r := range p.run(t, []string{"VAULT_ADDR=" + v.URL, "VAULT_TOKEN=" + v.Token}) {
				if reason := differences[r.operation]; (r.text == "ok") == (reason != "") {
					t.Errorf("%s: %s; listed as different: %q", r.operation, r.text, reason)
				}
			}
		})
	}
}

// mountSecret lays the mount of the programs that make none themselves.
func mountSecret(t *testing.T, url, token string) {
	t.Helper()
	cmd := exec.Command("curl", "-sS", "-f", "-X", "POST", "-H", "X-Vault-Token: "+token, url+"/v1/sys/mounts/secret", "-d", `{"type":"kv","options":{"version":"2"}}`)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	// Vault upgrades a fresh mount for a moment, in which it refuses writes.
	for until := time.Now().Add(10 * time.Second); ; {
		cmd := exec.Command("curl", "-sS", "-f", "-X", "POST", "-H", "X-Vault-Token: "+token, url+"/v1/secret/config", "-d", `{"max_versions":10}`)
		if err := cmd.Run(); err == nil {
			return
		} else if time.Now().After(until) {
			t.Fatal(err)
		}
	}
}

// target starts a server of ours and tells a program where it is.
func target(t *testing.T, dialect string) []string {
	t.Helper()
	s := keyturntest.Start(t)
	if dialect == "vault" {
		if !strings.Contains(t.Name(), "/api") {
			mountSecret(t, s.URL, s.Token)
		}
		return []string{"VAULT_ADDR=" + s.URL, "VAULT_TOKEN=" + s.Token, "WITH_TRANSIT=1"}
	}
	ctx := t.Context()
	c, err := client.New(s.URL, s.Token)
	if err != nil {
		t.Fatal(err)
	}
	project, err1 := c.CreateProject(ctx, api.ProjectRequest{Slug: "app", Envs: []string{"dev", "staging", "prod"}})
	identity, err2 := c.CreateIdentity(ctx, api.IdentityRequest{Name: "pipeline", TokenTTL: "1h", MaxTokenTTL: "24h"})
	secret, err3 := c.CreateClientSecret(ctx, identity.Name, api.ClientSecretRequest{})
	_, err4 := c.Grant(ctx, api.GrantRequest{Kind: "identity", Principal: identity.Name, Project: "app", Role: "admin"})
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		t.Fatal(err)
	}
	return []string{"SITE=" + s.URL, "CLIENT_ID=" + identity.ID, "CLIENT_SECRET=" + secret.Secret, "PROJECT_ID=" + project.ID, "PROJECT_SLUG=" + project.Slug}
}

// run runs the program and gives what it tells.
func (p program) run(t *testing.T, env []string) []result {
	t.Helper()
	command := p.command(t)
	ctx, cancel := context.WithTimeout(t.Context(), runWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = slices.Concat(os.Environ(), p.env, env)
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s\n%s", err, out.Bytes(), problems.Bytes())
	}
	var all []result
	for line := range strings.Lines(out.String()) {
		operation, text, ok := strings.Cut(strings.TrimSpace(line), "\t")
		if !ok {
			t.Errorf("not a result: %s", line)
		}
		all = append(all, result{operation, text})
	}
	return all
}

// matrix writes the page.
func matrix(found map[string][]result) []byte {
	var b bytes.Buffer
	b.WriteString(`# What works unmodified

This page is written by the tests (` + "`go test ./internal/clients -update`" + `): each line is an operation that a client which
nobody here wrote has done against a Keyturn server, with nothing changed but its address.

`)
	for _, p := range programs {
		fmt.Fprintf(&b, "## %s\n\n| operation | result |\n|---|---|\n", p.name)
		for _, r := range found[p.name] {
			fmt.Fprintf(&b, "| %s | %s |\n", r.operation, r.text)
		}
		b.WriteString("\n")
	}
	b.WriteString("## Where Vault itself differs\n\nThe programs of the Vault family do the same against the core of Vault 1.14.0. There it differs:\n\n")
	names := []string{}
	for name := range differences {
		names = append(names, name)
	}
	slices.SortFunc(names, cmp.Compare)
	for _, name := range names {
		fmt.Fprintf(&b, "- %s: %s\n", name, differences[name])
	}
	return b.Bytes()
}

// built holds the folder with the compiled programs; they are compiled once.
var built = sync.OnceValues(func() (string, error) {
	folder, err := os.MkdirTemp("", "keyturn-clients-")
	if err != nil {
		return "", err
	}
	source := filepath.Join(folder, "source")
	if err := os.CopyFS(source, os.DirFS("testdata/go")); err != nil {
		return "", err
	}
	text, err := os.ReadFile("testdata/go/vault/main.go")
	if err != nil {
		return "", err
	}
	text = bytes.Replace(text, []byte(`vault "github.com/hashicorp/vault/api"`), []byte(`vault "github.com/openbao/openbao/api/v2"`), 1)
	if err := os.WriteFile(filepath.Join(source, "openbao", "main.go"), text, 0o600); err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-o", folder+"/", "./...")
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return folder, nil
})

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	if folder, err := built(); err == nil {
		_ = os.RemoveAll(folder)
	}
	os.Exit(code)
}

func compiled(name string) func(t *testing.T) []string {
	return func(t *testing.T) []string {
		t.Helper()
		folder, err := built()
		if err != nil {
			t.Fatal(err)
		}
		return []string{filepath.Join(folder, name)}
	}
}

// installed holds the folder with the programs of npm.
var installed = sync.OnceValues(func() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	folder := filepath.Join(cache, "keyturn-test", "clients-node")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", err
	}
	entries, err := os.ReadDir("testdata/node")
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join("testdata/node", e.Name()))
		if err == nil {
			err = os.WriteFile(filepath.Join(folder, e.Name()), text, 0o600)
		}
		if err != nil {
			return "", err
		}
	}
	cmd := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
	cmd.Dir = folder
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm ci: %w\n%s", err, out)
	}
	return folder, nil
})

func node(script string) func(t *testing.T) []string {
	return func(t *testing.T) []string {
		t.Helper()
		folder, err := installed()
		if err != nil {
			t.Fatal(err)
		}
		return []string{"node", filepath.Join(folder, script)}
	}
}

// python runs that of Debian, for which the library is packaged.
func python(t *testing.T) []string {
	t.Helper()
	script, err := filepath.Abs("testdata/hvac.py")
	if err != nil {
		t.Fatal(err)
	}
	return []string{"/usr/bin/python3", "-W", "ignore::DeprecationWarning", script}
}

// consulTemplate renders a template once, by way of a small script that tells what came of it.
func consulTemplate(t *testing.T) []string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(cache, "keyturn-test", "consul-template-0.41.1")
	if _, err := os.Stat(filepath.Join(folder, "consul-template")); err != nil {
		cmd := exec.Command("go", "install", "github.com/hashicorp/consul-template@v0.41.1")
		cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off", "GOBIN="+folder)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	script, err := filepath.Abs("testdata/consul-template.sh")
	if err != nil {
		t.Fatal(err)
	}
	return []string{"sh", script, filepath.Join(folder, "consul-template")}
}
