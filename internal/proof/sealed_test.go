package proof

import (
	"bytes"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/rootkey"
	"github.com/keyturn/keyturn/internal/rootkey/shamir"
	"github.com/keyturn/keyturn/internal/sensitive"
)

var sealedLine = regexp.MustCompile(`is sealed: (https?://\S+)`)

// startSealed runs a server that waits for its root key.
func (p place) startSealed(tb testing.TB) *process {
	tb.Helper()
	s := &process{cmd: p.server(tb), out: &output{}, ended: make(chan struct{})}
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.out
	if err := s.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	go func() {
		s.err = s.cmd.Wait()
		close(s.ended)
	}()
	tb.Cleanup(func() { _ = s.signal(syscall.SIGKILL) })
	for deadline := time.Now().Add(startWithin); s.url == ""; {
		if m := sealedLine.FindStringSubmatch(s.out.String()); m != nil {
			s.url = m[1]
		} else if time.Now().After(deadline) || !alive(s) {
			tb.Fatalf("the server does not wait for its root key:\n%s", s.out)
		}
		<-time.After(10 * time.Millisecond)
	}
	return s
}

// unlock asks a server that may be sealed.
func unlock(tb testing.TB, url, token, method string, body any) (int, string) {
	tb.Helper()
	var text []byte
	if body != nil {
		text, _ = json.Marshal(body)
	}
	req, err := http.NewRequest(method, url+api.Prefix+"/unlock", bytes.NewReader(text))
	if err != nil {
		tb.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	var out bytes.Buffer
	_, _ = out.ReadFrom(resp.Body)
	return resp.StatusCode, out.String()
}

func isOpen(tb testing.TB, s *process) {
	tb.Helper()
	for deadline := time.Now().Add(startWithin); ; {
		resp, err := http.Get(s.url + "/readyz")
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(deadline) || !alive(s) {
			tb.Fatalf("the server does not open:\n%s", s.out)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// people are the ways in that people hold: what they enter, in order.
type people struct {
	passphrase, identity string
	shares               []string
}

// addPeople gives a running server slots that people hold, each proved.
func addPeople(t *testing.T, s *site, token string) people {
	t.Helper()
	status := must[api.Status](t, s, token, "GET", "/status", nil)
	var out people
	add := func(kind, source, id string, root keyring.Root, kept []byte) {
		public := root.Public()
		made := must[api.KeySlotMade](t, s, token, "POST", "/keys/slots", api.KeySlotRequest{ID: id, Kind: kind, Source: source, Public: public.Key, Fingerprint: public.Fingerprint, Kept: kept})
		answer, err := root.Answer(status.InstanceID, made.ID, made.Challenge)
		if err != nil {
			t.Fatal(err)
		}
		if got := must[api.KeySlotMade](t, s, token, "POST", "/keys/slots/"+made.ID+"/test", api.KeySlotAnswer{Answer: answer.Reveal()}); got.ProvedAt.IsZero() {
			t.Fatalf("slot %s is not proved", kind)
		}
	}
	out.passphrase = "a test-value of a passphrase"
	key, kept, err := rootkey.NewPassphrase(t.Context(), sensitive.FromString(out.passphrase))
	if err != nil {
		t.Fatal(err)
	}
	root, err := keyring.RootOf(key)
	if err != nil {
		t.Fatal(err)
	}
	add("passphrase", "", keyring.NewSlotID(), root, kept)

	id := keyring.NewSlotID()
	root = keyring.NewRoot()
	shares, kept, err := shamir.Split(root.Bytes(), 2, 3, rootkey.Binding{Instance: status.InstanceID, Slot: id})
	if err != nil {
		t.Fatal(err)
	}
	for _, share := range shares {
		out.shares = append(out.shares, string(share.Text().Reveal()))
	}
	add("shares", "", id, root, kept)

	identity, recipient, err := rootkey.NewRecoveryKit()
	if err != nil {
		t.Fatal(err)
	}
	recipients, err := rootkey.ParseRecipients(recipient)
	if err != nil {
		t.Fatal(err)
	}
	id, root = keyring.NewSlotID(), keyring.NewRoot()
	if kept, err = rootkey.SealRecovery(recipients, rootkey.Binding{Instance: status.InstanceID, Slot: id}, root.Bytes()); err != nil {
		t.Fatal(err)
	}
	out.identity = string(identity.Reveal())
	add("recovery", recipient, id, root, kept)
	return out
}

func TestASealedServerIsOpenedByPeople(t *testing.T) {
	p := onSQLite(t)
	server := p.start(t)
	s := siteAt(t, server.url)
	c := newCrowd(t, s)
	held := addPeople(t, s, c.token)
	server.stop(t)
	p.env = []string{"KEYTURN_MODE=production", "KEYTURN_WHEN_SEALED=wait"}

	for name, enter := range map[string]func(t *testing.T, url string){
		"passphrase": func(t *testing.T, url string) {
			if code, text := unlock(t, url, "", "POST", api.Unlock{Passphrase: "a wrong test-value of a passphrase"}); code == http.StatusOK {
				t.Errorf("a wrong passphrase: %s", text)
			}
			if code, text := unlock(t, url, "", "POST", api.Unlock{Passphrase: held.passphrase}); code != http.StatusOK {
				t.Errorf("%d %s", code, text)
			}
		},
		"recovery": func(t *testing.T, url string) {
			stranger, _, err := rootkey.NewRecoveryKit()
			if err != nil {
				t.Fatal(err)
			}
			if code, text := unlock(t, url, "", "POST", api.Unlock{Identity: string(stranger.Reveal())}); code == http.StatusOK {
				t.Errorf("a stranger's kit: %s", text)
			}
			if code, text := unlock(t, url, "", "POST", api.Unlock{Identity: held.identity}); code != http.StatusOK {
				t.Errorf("%d %s", code, text)
			}
		},
		"shares": func(t *testing.T, url string) {
			if code, text := unlock(t, url, "", "POST", api.Unlock{Share: held.shares[0]}); code != http.StatusOK || !strings.Contains(text, `"have":1`) {
				t.Errorf("%d %s", code, text)
			}
			for what, token := range map[string]string{"nobody": "", "a stranger": "kta_0123456789abcdefTESTVALUE0123456789abcdef01234567"} {
				if code, _ := unlock(t, url, token, "DELETE", nil); code != http.StatusUnauthorized {
					t.Errorf("%s cancels: %d", what, code)
				}
			}
			if code, text := unlock(t, url, c.token, "DELETE", nil); code != http.StatusOK || strings.Contains(text, `"have":1`) {
				t.Errorf("an admin cancels: %d %s", code, text)
			}
			if code, text := unlock(t, url, "", "POST", api.Unlock{Share: held.shares[2]}); code != http.StatusOK {
				t.Errorf("%d %s", code, text)
			}
			if code, text := unlock(t, url, "", "POST", api.Unlock{Share: held.shares[2]}); code == http.StatusOK {
				t.Errorf("a share twice: %s", text)
			}
			if code, text := unlock(t, url, "", "POST", api.Unlock{Share: held.shares[0]}); code != http.StatusOK {
				t.Errorf("%d %s", code, text)
			}
		},
		"root key": func(t *testing.T, url string) {
			if code, text := unlock(t, url, "", "POST", api.Unlock{RootKey: otherKey}); code != http.StatusForbidden {
				t.Errorf("%d %s", code, text)
			}
			if code, text := unlock(t, url, "", "POST", api.Unlock{RootKey: rootKey}); code != http.StatusOK {
				t.Errorf("%d %s", code, text)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := p.startSealed(t)
			resp, err := http.Get(server.url + api.Prefix + "/projects")
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusServiceUnavailable {
				t.Errorf("a sealed server answers %d", resp.StatusCode)
			}
			enter(t, server.url)
			isOpen(t, server)
			at := siteAt(t, server.url)
			if found := must[api.Entries](t, at, c.token, "GET", "/audit/entries?what=keys.unlock&limit=50", nil); len(found.Entries) == 0 {
				t.Error("the log knows nothing of who unlocked")
			}
			if k := must[api.KeysStatus](t, at, c.token, "GET", "/keys", nil); len(k.Slots) != 4 {
				t.Errorf("%d slots", len(k.Slots))
			}
			server.stop(t)
			silent(t, server.out.String(), rootKey)
		})
	}
}
