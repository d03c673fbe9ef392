package proof

import (
	"encoding/hex"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/rootkey/rootkeytest"
)

// mover is a server whose root key moves from one kind of slot to another and back, and that is killed on the way.
type mover struct {
	p      place
	vault  *vault
	random *rand.Rand
	list   string // the file of KEYTURN_ROOT_SOURCES_FILE
}

// names writes what the configuration names; the running server reads it anew.
func (m *mover) names(t *testing.T, sources ...string) {
	t.Helper()
	if err := os.WriteFile(m.list, []byte(strings.Join(sources, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// keyFile makes a root key in a file, which a holder gives.
func (m *mover) keyFile(t *testing.T, name string) string {
	t.Helper()
	file := filepath.Join(m.p.folder, name)
	var key [32]byte
	for i := range key {
		key[i] = byte(m.random.Uint32())
	}
	if err := os.WriteFile(file, []byte(hex.EncodeToString(key[:])+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// dies kills the server at some moment within a time, in the middle of work or after it, and starts it again.
func (m *mover) dies(t *testing.T, server *process, within time.Duration, work func(s *site)) *process {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		work(siteAt(t, server.url))
	}()
	select {
	case <-done:
	case <-time.After(within/2 + time.Duration(m.random.Int64N(int64(within)))/2):
	}
	server.kill(t)
	<-done
	return m.p.start(t)
}

// move makes source the one way in, whatever the number of deaths on the way, and gives the running server.
func (m *mover) move(t *testing.T, server *process, from, to string) *process {
	t.Helper()
	m.names(t, from, to)
	slots := func() (old, fresh *api.KeySlot) {
		s := siteAt(t, server.url)
		for _, slot := range must[api.KeysStatus](t, s, m.vault.token, "GET", "/keys", nil).Slots {
			if slot.Source == to {
				fresh = &slot
			} else {
				old = &slot
			}
		}
		return old, fresh
	}
	const tries = 50
	last := ""
	for try := range tries {
		old, fresh := slots()
		within := time.Duration(10+20*try) * time.Millisecond
		if strings.HasPrefix(to, "tpm:") && (fresh == nil || old != nil) { // both make and prove with the TPM
			// Here is no resource manager, as the kernel has one, that takes back what a killed client left in the TPM: the death
			// comes after the answer.
			within = time.Hour
		}
		switch {
		case fresh == nil:
			server = m.dies(t, server, within, func(s *site) {
				last = s.call(m.vault.token, "POST", "/keys/slots", api.KeySlotRequest{Source: to, Replaces: old.Fingerprint}).String()
			})
		case old != nil:
			server = m.dies(t, server, within, func(s *site) { s.call(m.vault.token, "DELETE", "/keys/slots/"+old.ID, nil) })
		default:
			s := siteAt(t, server.url)
			m.vault.settle(t, s)
			server.kill(t)
			m.names(t, to) // the old source opens nothing any more, so the server must do without
			return m.p.start(t)
		}
	}
	t.Fatalf("the root key did not move to %s in %d tries: %s", to, tries, last)
	return nil
}

// settle waits until no turn runs, and compares everything.
func (v *vault) settle(t *testing.T, s *site) {
	t.Helper()
	for deadline := time.Now().Add(turnsWithin); ; <-time.After(20 * time.Millisecond) {
		running := must[api.KeysStatus](t, s, v.token, "GET", "/keys", nil).Running
		if len(running) == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("turns run on: %+v", running)
		}
	}
	if got := v.read(t, s); !sameMap(got, v.want) {
		t.Errorf("the vault changed: %v, want %v", got, v.want)
	}
}

func sameMap(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if b[k] != v {
			return false
		}
	}
	return true
}

func TestARootKeyMovesBetweenKindsAndBackAndLosesNothing(t *testing.T) {
	p := onSQLite(t)
	server := p.start(t)
	s := siteAt(t, server.url)
	token := s.setUp(t)
	m := &mover{p: p, vault: newVault(t, s, token), random: rand.New(rand.NewPCG(seeded(t), 0)), list: filepath.Join(p.folder, "sources")}
	address, _ := rootkeytest.StartTPM(t, t.TempDir())
	file, other, tpm := "file:"+m.keyFile(t, "first.key"), m.keyFile(t, "second.key"), "tpm://"+address
	command := "command:/bin/cat " + other

	// The first step leaves the environment behind.
	m.names(t, file)
	server.stop(t)
	m.p.env = []string{"KEYTURN_MODE=production", "KEYTURN_ROOT_KEY=" + rootKey, "KEYTURN_ROOT_SOURCES_FILE=" + m.list}
	server = m.p.start(t)
	first := must[api.KeysStatus](t, siteAt(t, server.url), token, "GET", "/keys", nil).Slots[0]
	must[api.KeySlotMade](t, siteAt(t, server.url), token, "POST", "/keys/slots", api.KeySlotRequest{Source: file, Replaces: first.Fingerprint})
	must[api.KeyTurn](t, siteAt(t, server.url), token, "DELETE", "/keys/slots/"+first.ID, nil)
	m.vault.settle(t, siteAt(t, server.url))
	server.kill(t)
	m.p.env = []string{"KEYTURN_MODE=production", "KEYTURN_ROOT_SOURCES_FILE=" + m.list}
	server = m.p.start(t)

	at := file
	for _, to := range []string{command, tpm, file, tpm, command, file} {
		server = m.move(t, server, at, to)
		at = to
	}
	k := must[api.KeysStatus](t, siteAt(t, server.url), token, "GET", "/keys", nil)
	if len(k.Slots) != 1 || k.Slots[0].Source != file {
		t.Errorf("the slots are %+v", k.Slots)
	}
	if v := must[api.Verification](t, siteAt(t, server.url), token, "POST", "/audit/verify?deep=true", nil); len(v.Problems) != 0 {
		t.Errorf("the deep verification found %+v", v.Problems)
	}
	server.stop(t)
}
