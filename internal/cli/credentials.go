package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/keyturn/keyturn/internal/fault"
)

// credentials are the sessions of this person on this machine, one for each server.
type credentials struct {
	Servers map[string]credential `json:"servers"`
}

// credential is one session.
type credential struct {
	Token     string     `json:"token"`
	Name      string     `json:"name,omitempty"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
}

// configDir gives the folder of Keyturn's own files, below os.UserConfigDir.
func (a *app) configDir() (string, error) {
	// The environment is asked first so that it holds on every system.
	if dir := a.getenv("XDG_CONFIG_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "keyturn"), nil
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fault.New(fault.Invalid, "there is no folder for settings of this user").WithHint("set HOME or XDG_CONFIG_HOME, or use KEYTURN_TOKEN")
	}
	return filepath.Join(dir, "keyturn"), nil
}

func (a *app) credentialsFile() (string, error) {
	dir, err := a.configDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "credentials.json"), nil
}

// credentials reads the stored sessions; none when there is no file. A file that others may read is refused.
func (a *app) credentials() (credentials, error) {
	none := credentials{Servers: map[string]credential{}}
	file, err := a.credentialsFile()
	if err != nil {
		return none, err
	}
	info, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return none, nil
	}
	if err != nil {
		return none, fmt.Errorf("read credentials: %w", err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return none, fault.New(fault.Denied, "%s can be read by others", file).WithHint("chmod 600 %s, and log in again if others were there", file)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return none, fmt.Errorf("read credentials: %w", err)
	}
	out := none
	if json.Unmarshal(b, &out) != nil || out.Servers == nil {
		return none, fault.New(fault.Invalid, "%s is not valid", file).WithHint("remove it and log in again")
	}
	return out, nil
}

// remember stores a session for a server; forget is its opposite.
func (a *app) remember(server string, c credential) error {
	return a.changeCredentials(func(all *credentials) { all.Servers[server] = c })
}

func (a *app) forget(server string) error {
	return a.changeCredentials(func(all *credentials) { delete(all.Servers, server) })
}

func (a *app) changeCredentials(change func(*credentials)) error {
	all, err := a.credentials()
	if err != nil {
		return err
	}
	change(&all)
	file, err := a.credentialsFile()
	if err != nil {
		return err
	}
	b, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return fmt.Errorf("write credentials: %w", err)
	}
	if err := writePrivate(file, append(b, '\n')); err != nil {
		return fmt.Errorf("write credentials: %w", err)
	}
	return nil
}

// writePrivate puts a whole file in place with mode 0600, its folder with 0700: readers see the old or the new, never half.
func writePrivate(file string, b []byte) (err error) {
	dir := filepath.Dir(file)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "."+filepath.Base(file)+".*") // makes it 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	if _, err = f.Write(b); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}
