package rootkey

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

const (
	transitTestToken = "hvs.planted-vault-token-9f3c"
	transitTestHost  = "bao.example.net:8200"
)

// transitProcess is a running engine.
type transitProcess struct {
	address string
	stdin   io.WriteCloser // it ends when this is closed, at the latest with this process
}

// transitServer is the real transit engine, see testdata/transitpeer, built and started once for all tests.
var transitServer = sync.OnceValues(func() (p transitProcess, err error) {
	folder, err := os.MkdirTemp("", "transitpeer")
	if err != nil {
		return p, err
	}
	defer func() { _ = os.RemoveAll(folder) }() // a running program does not need its file
	program := filepath.Join(folder, "transitpeer")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Dir = filepath.Join("testdata", "transitpeer")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return p, fmt.Errorf("build the transit engine: %w", err)
	}
	run := exec.Command(program, transitTestToken)
	run.Stderr = os.Stderr
	if p.stdin, err = run.StdinPipe(); err != nil {
		return p, err
	}
	out, err := run.StdoutPipe()
	if err != nil {
		return p, err
	}
	if err := run.Start(); err != nil {
		return p, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	p.address = strings.TrimSpace(line)
	return p, err
})

// transitRelay hands requests to the real engine.
type transitRelay struct {
	t         *testing.T
	address   string
	namespace string
}

func newTransitPeer(t *testing.T) *peer {
	server, err := transitServer()
	if err != nil {
		t.Fatal(err)
	}
	plaintext := func(b []byte) func(map[string]any) {
		return set("data.plaintext", base64.StdEncoding.EncodeToString(b))
	}
	p := &peer{
		uri: "transit://" + transitTestHost + "/transit/keys/root", otherURI: "transit://" + transitTestHost + "/transit/keys/other",
		host: transitTestHost, hosts: map[string]http.Handler{transitTestHost: transitRelay{t, server.address, ""}}, perWrap: 2,
		variables: map[string]string{"VAULT_TOKEN": transitTestToken},
		planted:   []string{transitTestToken},
		swapped:   func(k *kept) { k.Key = "transit/keys/other" },
		wrapLies: map[string]func(map[string]any){
			"no ciphertext":         set("data.ciphertext", ""),
			"another form":          set("data.ciphertext", "bao:v1:AAAA"),
			"line ends":             set("data.ciphertext", "vault:v1:AAAA\nAAAA"),
			"a short ciphertext":    set("data.ciphertext", "vault:v1:AAAA"),
			"a number":              set("data.ciphertext", 1),
			"an unlimited base64":   set("data.ciphertext", "vault:v1:"+strings.Repeat("A", maxWrapped)),
			"an answer to batching": func(o map[string]any) { o["data"] = map[string]any{"batch_results": []any{}} },
		},
		unwrapLies: map[string]func(map[string]any){
			"another plaintext": plaintext(random(Size)),
			"a short plaintext": plaintext([]byte("short")),
			"no plaintext":      set("data.plaintext", ""),
			"no data":           func(o map[string]any) { clear(o) },
			"not base64":        set("data.plaintext", "?"),
		},
	}
	p.withoutCredentials = func() { delete(p.variables, "VAULT_TOKEN") }
	return p
}

// ServeHTTP implements [http.Handler]. Connections are not kept, so that none outlives a test.
func (f transitRelay) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("X-Vault-Namespace") != f.namespace || r.Header.Get("X-Vault-Request") != "true" {
		f.t.Errorf("the headers are not those of a client: %v", r.Header)
	}
	req, err := http.NewRequestWithContext(r.Context(), r.Method, "http://"+f.address+r.URL.Path, r.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	req.Header = r.Header.Clone()
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	w.WriteHeader(resp.StatusCode)
	if _, err := io.Copy(w, resp.Body); err != nil {
		f.t.Fatal(err)
	}
}
