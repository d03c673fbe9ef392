package cli

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/fault"
)

// checkpointMemory is the file that keeps, for each server and log, the last checkpoint that this machine saw.
type checkpointMemory struct{ file string }

// knownLog is what is remembered of one log.
type knownLog struct {
	Keys       []string `json:"keys"`             // that are trusted, C2SP signed-note
	Former     []string `json:"former,omitempty"` // that handed over: they verify old censuses and no checkpoint any more
	Size       int64    `json:"size"`
	Root       string   `json:"root"`       // base64
	Checkpoint string   `json:"checkpoint"` // as it was signed
}

// knownLogs is the content of the file: server, origin, log.
type knownLogs map[string]map[string]knownLog

func (a *app) checkpointsFile() (string, error) {
	dir, err := a.configDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "checkpoints.json"), nil
}

func (m checkpointMemory) read() (knownLogs, error) {
	b, err := os.ReadFile(m.file)
	if errors.Is(err, fs.ErrNotExist) {
		return knownLogs{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read remembered checkpoints: %w", err)
	}
	out := knownLogs{}
	if json.Unmarshal(b, &out) != nil {
		// Beginning anew in silence would forget what a forged log has to match.
		return nil, fault.New(fault.Invalid, "%s is not valid", m.file).WithHint("restore it from a backup, or remove it to begin anew")
	}
	return out, nil
}

// of gives what is remembered of a server's logs.
func (m checkpointMemory) of(server string) (map[string]knownLog, error) {
	all, err := m.read()
	return all[server], err
}

// keysOf gives every key that was ever trusted for a log, whichever server showed it: an origin names one log only.
func (m checkpointMemory) keysOf(origin string) ([]string, error) {
	all, err := m.read()
	var out []string
	for _, logs := range all {
		for _, key := range append(slices.Clone(logs[origin].Keys), logs[origin].Former...) {
			if !slices.Contains(out, key) {
				out = append(out, key)
			}
		}
	}
	return out, err
}

// put remembers a log. One that another command took further meanwhile stays.
func (m checkpointMemory) put(server, origin string, log knownLog) error {
	all, err := m.read()
	if err != nil {
		return err
	}
	if all[server] == nil {
		all[server] = map[string]knownLog{}
	}
	if before, met := all[server][origin]; met && before.Size > log.Size {
		return nil
	}
	all[server][origin] = log
	return m.write(all)
}

// forget drops what is remembered of a server.
func (m checkpointMemory) forget(server string) (bool, error) {
	all, err := m.read()
	if err != nil || all[server] == nil {
		return false, err
	}
	delete(all, server)
	return true, m.write(all)
}

func (m checkpointMemory) write(all knownLogs) error {
	b, err := json.MarshalIndent(all, "", "  ")
	if err == nil {
		err = writePrivate(m.file, append(b, '\n'))
	}
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "couldn't remember the checkpoint in %s", m.file)
	}
	return nil
}

// head gives the remembered state.
func (l knownLog) head(origin string) (audit.Head, error) {
	b, err := base64.StdEncoding.DecodeString(l.Root)
	if err != nil || len(b) != tlog.HashSize || l.Size < 0 {
		return audit.Head{}, fault.New(fault.Invalid, "the remembered checkpoint of the log %q is not valid", origin).WithHint("keyturn audit forget")
	}
	return audit.Head{Origin: origin, Size: l.Size, Root: tlog.Hash(b)}, nil
}

func rootText(h tlog.Hash) string { return base64.StdEncoding.EncodeToString(h[:]) }
