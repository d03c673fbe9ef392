package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/keyturn/keyturn/internal/fault"
)

const (
	defaultServer   = "http://127.0.0.1:8420"
	projectFile     = ".keyturn.json"
	infisicalFile   = ".infisical.json"
	maxSettingsFile = 64 << 10 // bytes; these files hold a few names
)

// settings are what a file in the working folder, or above it, says. No secret stands there.
type settings struct {
	Server  string `json:"server,omitempty"`
	Project string `json:"project,omitempty"`
	Env     string `json:"env,omitempty"`
	Path    string `json:"path,omitempty"`

	file string // where it was found, empty when there is none
}

// settings looks for .keyturn.json, or else .infisical.json, in the working folder and then in each above it.
func (a *app) settings() (*settings, error) {
	if a.found != nil {
		return a.found, nil
	}
	dir, err := os.Getwd()
	if err != nil {
		return nil, fmt.Errorf("find the working folder: %w", err)
	}
	for {
		for _, name := range []string{projectFile, infisicalFile} {
			found, err := readSettings(filepath.Join(dir, name))
			if err != nil {
				return nil, err
			}
			if found != nil {
				a.found = found
				return found, nil
			}
		}
		up := filepath.Dir(dir)
		if up == dir {
			a.found = &settings{}
			return a.found, nil
		}
		dir = up
	}
}

// readSettings reads one file; nil when it is not there.
func readSettings(file string) (*settings, error) {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSettingsFile+1))
	if err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	out, err := parseSettings(filepath.Base(file), b)
	if err != nil {
		return nil, fault.New(fault.Invalid, "%s is not valid: %s", file, err).WithHint("mend it, or write it anew with: keyturn init")
	}
	out.file = file
	return out, nil
}

// parseSettings reads the bytes of a settings file of that name.
func parseSettings(name string, b []byte) (*settings, error) {
	if len(b) > maxSettingsFile {
		return nil, fmt.Errorf("it is larger than %d bytes", maxSettingsFile)
	}
	if name == infisicalFile {
		// Their file: workspaceId is the project, and there may be more than we read.
		var theirs struct {
			Workspace string `json:"workspaceId"`
			Env       string `json:"defaultEnvironment"`
		}
		if json.Unmarshal(b, &theirs) != nil {
			return nil, errors.New("not JSON of the expected form")
		}
		return &settings{Project: theirs.Workspace, Env: theirs.Env}, nil
	}
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.DisallowUnknownFields()
	var out settings
	if d.Decode(&out) != nil || d.More() {
		return nil, errors.New(`want {"server": ..., "project": ..., "env": ..., "path": ...} and nothing else`)
	}
	return &out, nil
}

// address is where the server is, and who says so.
type address struct {
	address  string
	fromFile string // the settings file that names it; empty when a person, the environment or the default does
}

// server gives the server's address: --server, KEYTURN_SERVER, .keyturn.json, http://127.0.0.1:8420.
func (a *app) server() (address, error) {
	if s := first(a.flags.server, a.getenv("KEYTURN_SERVER")); s != "" {
		return address{address: strings.TrimRight(s, "/")}, nil
	}
	found, err := a.settings()
	if err != nil {
		return address{}, err
	}
	if s := strings.TrimRight(found.Server, "/"); s != "" && s != defaultServer {
		return address{s, found.file}, nil
	}
	return address{address: defaultServer}, nil
}

// token gives the token for a server: --token, KEYTURN_TOKEN, the credentials that a login stored for that very server. A
// settings file travels with a repository, so an address that stands only there never receives a token that was not given
// for it.
func (a *app) token(server address) (string, error) {
	if t := first(a.flags.token, strings.TrimSpace(a.getenv("KEYTURN_TOKEN"))); t != "" {
		if server.fromFile != "" {
			return "", fault.New(fault.Denied, "the address %s stands only in %s: a token from elsewhere is not sent there", server.address, server.fromFile).
				WithHint("if the address is right: KEYTURN_SERVER=%s", server.address)
		}
		return t, nil
	}
	stored, err := a.credentials()
	if err != nil {
		return "", err
	}
	if c, ok := stored.Servers[server.address]; ok {
		return c.Token, nil
	}
	return "", fault.New(fault.Unauthenticated, "not logged in to %s", server.address).WithHint("keyturn login, or set KEYTURN_TOKEN")
}

// trusted gives the server for a command that sends a password: an address that stands only in a settings file is shown
// and confirmed first, unless somebody logged in there before.
func (a *app) trusted() (string, error) {
	server, err := a.server()
	if err != nil {
		return "", err
	}
	if server.fromFile != "" {
		stored, err := a.credentials()
		if err != nil {
			return "", err
		}
		if _, known := stored.Servers[server.address]; !known {
			question := fmt.Sprintf("%s names the server %s. Send a password there?", server.fromFile, server.address)
			if err := a.confirm(question); err != nil {
				return "", err
			}
		}
	}
	if readable(server.address) {
		a.warn("%s is not encrypted: others on the way can read along", server.address)
	}
	return server.address, nil
}

// readable tells whether an address would send everything readable over a network.
func readable(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" {
		return false
	}
	return u.Hostname() != "localhost" && !net.ParseIP(u.Hostname()).IsLoopback()
}
