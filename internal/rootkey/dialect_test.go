package rootkey

import (
	"bytes"
	"context"
	"encoding/base64"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// in runs a test in the world of one service, with made-up time.
func in(t *testing.T, scheme string, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, newWorld(t, peers[scheme])) })
}

// refusal answers with a status and a body.
func refusal(code int, body string) step {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.WriteHeader(code)
		_, _ = w.Write([]byte(body))
	}
}

func TestExceptionsOfAWS(t *testing.T) {
	in(t, "awskms", func(t *testing.T, w *world) {
		text := w.wrap()
		kinds := map[string]fault.Kind{
			"InvalidCiphertextException": fault.Invalid, "IncorrectKeyException": fault.Invalid,
			"DependencyTimeoutException": fault.Unavailable, "KeyUnavailableException": fault.Unavailable, "KMSInternalException": fault.Unavailable,
		}
		model := loadAWSModel(t)
		names := []string{"AccessDeniedException", "ExpiredTokenException", "UnrecognizedClientException", "InvalidSignatureException", "ValidationException"}
		for _, e := range append(model.Operations["Encrypt"].Errors, model.Operations["Decrypt"].Errors...) {
			names = append(names, e.Shape)
		}
		for _, name := range names {
			want, code := kinds[name], 400
			if want == "" {
				want = fault.Denied
			}
			if want == fault.Unavailable {
				code = 500 // as the model says by "fault"
			}
			for _, form := range []string{name, "com.amazonaws.kms#" + name} {
				w.always = refusal(code, `{"__type":"`+form+`","message":"planted `+awsTestKey+`"}`)
				w.mustFail(name, w.unwrap(text), want)
			}
		}
		// KMS throttles with status 400.
		w.always = nil
		w.script = []step{refusal(400, `{"__type":"ThrottlingException"}`), refusal(400, `{"__type":"x#ThrottlingException"}`)}
		w.mustOpen(text, 3)
		w.always = refusal(400, `{"__type":"ThrottlingException"}`)
		w.mustFail("throttled", w.unwrap(text), fault.Unavailable)
	})
}

func TestAWrongSecretKeyIsDenied(t *testing.T) {
	in(t, "awskms", func(t *testing.T, w *world) {
		text := w.wrap()
		for name, wrong := range map[string]string{"AWS_ACCESS_KEY_ID": "AKIDOTHER", "AWS_SESSION_TOKEN": "other"} {
			honest := w.variables[name]
			w.variables[name] = wrong
			w.mustFail(name, w.unwrap(text), fault.Denied)
			w.variables[name] = honest
		}
		w.mustOpen(text, 1)
	})
}

func TestAnEndpointOfOnesOwnIsSpokenToOverTheWire(t *testing.T) {
	p := newAWSPeer(t)
	server := httptest.NewServer(p.hosts[awsTestHost])
	defer server.Close()
	source, err := Parse(p.uri+"?endpoint="+server.URL, Environment{Getenv: func(name string) string { return p.variables[name] }})
	if err != nil {
		t.Fatal(err)
	}
	root := random(Size)
	text, err := source.(Wrapper).Wrap(context.Background(), here, sensitive.New(bytes.Clone(root)))
	if err != nil {
		t.Fatal(err)
	}
	got, err := source.(Wrapper).Unwrap(context.Background(), here, text)
	if err != nil || !bytes.Equal(got.Reveal(), root) {
		t.Fatal(err)
	}
	server.Close()
	if _, err := source.(Wrapper).Unwrap(context.Background(), here, text); fault.KindOf(err) != fault.Unavailable {
		t.Error(err)
	}
}

func TestStatusesOfGoogle(t *testing.T) {
	in(t, "gcpkms", func(t *testing.T, w *world) {
		text := w.wrap()
		for body, c := range map[string]struct {
			code int
			want fault.Kind
		}{
			`{"error":{"status":"INVALID_ARGUMENT","message":"x"}}`:         {400, fault.Invalid},
			`{"error":{"status":"FAILED_PRECONDITION","message":"x"}}`:      {400, fault.Denied},
			`{"error":{"status":"PERMISSION_DENIED","message":"x"}}`:        {403, fault.Denied},
			`{"error":{"status":"UNAVAILABLE","message":"x"}}`:              {503, fault.Unavailable},
			`{"error":{"status":"RESOURCE_EXHAUSTED","message":"x"}}`:       {429, fault.Unavailable},
			`{"error":{"status":"` + gcpTestToken + `","message":"x"}}`:     {400, fault.Denied},
			`<html>` + base64.StdEncoding.EncodeToString([]byte("x")) + `.`: {400, fault.Denied},
		} {
			w.always = refusal(c.code, body)
			w.mustFail(body, w.unwrap(text), c.want)
		}
	})
}

func TestAnOlderVersionOfAKeyStillUnwraps(t *testing.T) {
	in(t, "azurekv", func(t *testing.T, w *world) {
		w.wrapper = w.open("azurekv://" + azureTestHost + "/keys/root/" + azureOldVersion)
		text := w.wrap()
		w.mustOpen(text, 1)
		// The key is turned; the configuration names no version, so that new slots are made by the newest.
		w.wrapper = w.open(w.uri)
		w.mustOpen(text, 1)
		if newer := w.wrap(); !bytes.Contains(newer, []byte(azureTestVersion)) || bytes.Contains(newer, []byte(azureOldVersion)) {
			t.Error("it was not wrapped by the newest version")
		}
		// One that names a version takes only what that one made.
		w.wrapper = w.open("azurekv://" + azureTestHost + "/keys/root/" + azureTestVersion)
		w.mustFail("another version", w.unwrap(text), fault.Invalid)
	})
}

func TestTransitTakesItsTokenAnewEachTime(t *testing.T) {
	in(t, "transit", func(t *testing.T, w *world) {
		text := w.wrap()
		delete(w.variables, "VAULT_TOKEN")
		w.variables["VAULT_TOKEN_FILE"] = "/run/token"
		w.mustFail("no file", w.unwrap(text), fault.Unavailable)
		w.files = map[string]string{"/run/token": "hvs.expired"}
		w.mustFail("an expired token", w.unwrap(text), fault.Denied)
		w.files["/run/token"] = transitTestToken + "\n"
		w.mustOpen(text, 1)
		w.calls = 0
		for name, token := range map[string]string{"empty": "\n", "header": "a\r\nX-Evil: 1", "long": strings.Repeat("a", maxTransitToken+1), "huge": strings.Repeat("a", maxCredentialFile+1)} {
			w.files["/run/token"] = token
			w.mustFail(name, w.unwrap(text), fault.Denied)
		}
		if w.calls != 0 {
			t.Error("a token that is none was sent")
		}
	})
}

func TestTransitOfANamespace(t *testing.T) {
	in(t, "transit", func(t *testing.T, w *world) {
		text := w.wrap()
		relay := w.hosts[transitTestHost].(transitRelay)
		relay.namespace = "team/a"
		w.hosts[transitTestHost] = relay
		w.wrapper = w.open(w.uri + "?namespace=team/a")
		w.mustOpen(text, 1)
	})
}

func TestTransitThatIsSealedOrLacksTheKey(t *testing.T) {
	in(t, "transit", func(t *testing.T, w *world) {
		text := w.wrap()
		w.always = refusal(503, `{"errors":["Vault is sealed"]}`)
		w.mustFail("sealed", w.unwrap(text), fault.Unavailable)
		w.always = nil
		missing := w.open("transit://" + transitTestHost + "/transit/keys/missing")
		k, err := parseKept("transit", text)
		if err != nil {
			t.Fatal(err)
		}
		k.Key = "transit/keys/missing"
		forged, err := k.text()
		if err != nil {
			t.Fatal(err)
		}
		_, err = missing.Unwrap(context.Background(), here, forged)
		w.mustFail("a key that is not there", err, fault.Denied)
		_, err = w.open("transit://"+transitTestHost+"/elsewhere/keys/root").Wrap(context.Background(), here, sensitive.New(bytes.Clone(w.root)))
		w.mustFail("a mount that is not there", err, fault.Denied)
	})
}

// Vault before 1.13 does not know associated data: it answers as if all were well, and any slot's ciphertext opens in any other.
func TestTransitThatIgnoresTheBindingIsFoundWhenWrapping(t *testing.T) {
	in(t, "transit", func(t *testing.T, w *world) {
		w.always = func(out http.ResponseWriter, r *http.Request, honest http.Handler) {
			input := decoded(t, r)
			delete(input, "associated_data")
			r = r.Clone(r.Context())
			r.Body = body(input)
			r.ContentLength = -1
			honest.ServeHTTP(out, r)
		}
		_, err := w.wrapper.Wrap(context.Background(), here, sensitive.New(bytes.Clone(w.root)))
		w.mustFail("no binding", err, fault.Unsupported)
	})
}

func TestTransitOverTLSTrustsOnlyTheNamedAuthority(t *testing.T) {
	p := newTransitPeer(t)
	server := httptest.NewUnstartedServer(p.hosts[transitTestHost])
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // it tells of the handshake that is to fail
	server.StartTLS()
	defer server.Close()
	certificate := string(pemCertificate(server.Certificate().Raw))
	files := map[string]string{"/ca.pem": certificate, "/empty.pem": "nothing"}
	variables := map[string]string{"VAULT_TOKEN": transitTestToken, "VAULT_CACERT": "/ca.pem"}
	env := Environment{
		Getenv:   func(name string) string { return variables[name] },
		ReadFile: func(name string) ([]byte, error) { return []byte(files[name]), nil },
	}
	source, err := Parse("transit://"+strings.TrimPrefix(server.URL, "https://")+"/transit/keys/root", env)
	if err != nil {
		t.Fatal(err)
	}
	w, root := source.(Wrapper), random(Size)
	text, err := w.Wrap(context.Background(), here, sensitive.New(bytes.Clone(root)))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := w.Unwrap(context.Background(), here, text); err != nil || !bytes.Equal(got.Reveal(), root) {
		t.Fatal(err)
	}
	start := time.Now()
	delete(variables, "VAULT_CACERT")
	if _, err := w.Unwrap(context.Background(), here, text); fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an unknown authority: %v", err)
	}
	variables["VAULT_CACERT"] = "/empty.pem"
	if _, err := w.Unwrap(context.Background(), here, text); fault.KindOf(err) != fault.Denied {
		t.Errorf("no certificate: %v", err)
	}
	if time.Since(start) > callTimeout {
		t.Error("it tried again")
	}
}
