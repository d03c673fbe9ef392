package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/keyturn/keyturn/bench/measure"
)

// keyturnPeer is the product in development mode, on embedded SQLite unless env says otherwise. What it assumes about the product's surface is in keyturn_facts.go.
type keyturnPeer struct {
	tools tools
	dir   string
	label string
	proc  *process
	host  string   // host:port
	env   []string // beside ktServerEnv
	token string   // of the first admin; set by the first Start
}

func (p *keyturnPeer) Name() string    { return p.label }
func (p *keyturnPeer) PID() int        { return p.proc.pid() }
func (p *keyturnPeer) Address() string { return p.host }
func (p *keyturnPeer) Stop() error     { return p.proc.stop() }
func (p *keyturnPeer) url() string     { return "http://" + p.host }

// Start runs the server until it says that it is ready; the first time it
// makes the first admin and the project too.
func (p *keyturnPeer) Start(ctx context.Context) error {
	if err := p.boot(ctx); err != nil {
		return err
	}
	if p.token != "" {
		return nil
	}
	if err := p.bootstrap(ctx); err != nil {
		return err
	}
	return p.send(ctx, rawRequest("POST", p.host, ktProjects, ktProjectBody(ktProject), ktAuth(p.token)))
}

// boot runs the server until it says that it is ready.
func (p *keyturnPeer) boot(ctx context.Context) error {
	var err error
	if p.host, err = freeAddress(); err != nil {
		return err
	}
	data := filepath.Join(p.dir, "data")
	p.proc, err = startServer(ctx, p.dir, append(ktServerEnv(), p.env...), p.tools.keyturn, ktServerArgs(data, p.host)...)
	if err != nil {
		return err
	}
	return p.proc.poll(ctx, func() (bool, error) {
		resp, err := http.Get(p.url() + ktReady)
		if err != nil {
			return false, nil
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK, nil
	})
}

func (p *keyturnPeer) bootstrap(ctx context.Context) error {
	password := filepath.Join(p.dir, "password")
	if err := os.WriteFile(password, []byte(ktPassword+"\n"), 0o600); err != nil {
		return err
	}
	out, err := p.command(ctx, "", ktBootstrapArgs(p.url(), password)...).Output()
	if err != nil {
		return fmt.Errorf("keyturn bootstrap: %w%s", err, stderrOf(err))
	}
	var made struct {
		Token string `json:"token"`
	}
	if err := json.Unmarshal(out, &made); err != nil || made.Token == "" {
		return fmt.Errorf("keyturn bootstrap printed no token")
	}
	p.token = made.Token
	return nil
}

// Seed fills all three environments.
func (p *keyturnPeer) Seed(ctx context.Context, n int) error {
	for env, count := range map[string]int{ktReadEnv: n, ktListEnv: listSize, ktExampleEnv: exampleSize} {
		if err := p.fill(ctx, ktProject, env, count); err != nil {
			return err
		}
	}
	return nil
}

// fill stores generation 0 of count secrets in as few commits as may be.
func (p *keyturnPeer) fill(ctx context.Context, project, env string, count int) error {
	for from := 0; from < count; from += ktMaxChanges {
		if err := p.send(ctx, p.importRequest(project, env, from, min(from+ktMaxChanges, count))); err != nil {
			return err
		}
	}
	return nil
}

// importRequest is one commit with the secrets from..to-1.
func (p *keyturnPeer) importRequest(project, env string, from, to int) []byte {
	changes := make([]ktChange, 0, to-from)
	for i := from; i < to; i++ {
		changes = append(changes, ktSet(measure.Name(i), measure.Value(i, 0)))
	}
	return rawRequest("POST", p.host, ktCommitPath(project, env), ktCommitBody("bench", changes), ktAuth(p.token))
}

func (p *keyturnPeer) ReadRequest(i int) []byte {
	return rawRequest("GET", p.host, ktSecretPath(ktProject, ktReadEnv, measure.Name(i)), nil, ktAuth(p.token))
}

func (p *keyturnPeer) ListRequests() [][]byte {
	return [][]byte{rawRequest("GET", p.host, ktListPath(ktProject, ktListEnv), nil, ktAuth(p.token))}
}

func (p *keyturnPeer) WriteRequest(i, generation int) []byte {
	change := ktSet(measure.Name(i), measure.Value(i, generation))
	return rawRequest("POST", p.host, ktCommitPath(ktProject, ktReadEnv), ktCommitBody("bench", []ktChange{change}), ktAuth(p.token))
}

// sizes asks the server how much its answers weigh.
func (p *keyturnPeer) sizes(ctx context.Context) (sizes, error) {
	single, err := ask(ctx, p.host, p.ReadRequest(0))
	if err != nil {
		return sizes{}, err
	}
	list, err := ask(ctx, p.host, p.ListRequests()[0])
	return sizes{answer: len(single), item: len(list) / listSize}, err
}

func (p *keyturnPeer) send(ctx context.Context, request []byte) error {
	return sendAll(ctx, p.host, [][]byte{request})
}

// command is the CLI, as a person would run it against this server. It is not
// pinned: the start of taskset would count as the CLI's own.
func (p *keyturnPeer) command(ctx context.Context, env string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, p.tools.keyturn, args...)
	cmd.Env = append(os.Environ(), "HOME="+p.dir, "XDG_CONFIG_HOME="+p.dir, "XDG_CACHE_HOME="+p.dir)
	cmd.Env = append(cmd.Env, ktServerEnv()...)
	if env != "" {
		cmd.Env = append(cmd.Env, ktClientEnv(p.url(), p.token, ktProject, env)...)
	}
	cmd.Dir = p.dir
	return cmd
}

// freeAddress is a loopback address whose port was free just now.
func freeAddress() (string, error) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer lis.Close()
	return lis.Addr().String(), nil
}
