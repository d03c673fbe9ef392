package rootkey

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/keyturn/keyturn/internal/fault"
)

const (
	transitForm  = "transit://HOST:PORT/MOUNT/keys/NAME, with ?namespace=NAMESPACE where there are namespaces, and ?tls=off on a network that you trust"
	transitLabel = "the transit engine"

	// maxTransitToken is in bytes. Service tokens have about 100; batch tokens carry their policies and have some hundreds.
	maxTransitToken = 4096
)

var (
	transitMount = regexp.MustCompile(`^[0-9A-Za-z_-]{1,64}(/[0-9A-Za-z_-]{1,64}){0,3}$`)
	transitName  = regexp.MustCompile(`^[0-9A-Za-z_][0-9A-Za-z_.-]{0,127}$`)
	// transitCiphertext is what transit makes: the key's version and standard base64.
	transitCiphertext = regexp.MustCompile(`^vault:v[1-9][0-9]{0,8}:[0-9A-Za-z+/]+={0,2}$`)
	// transitToken has the characters that a header may carry and tokens have; wrong ones are not sent.
	transitToken = regexp.MustCompile(`^[!-~]+$`)
)

// transit speaks to the transit engine of OpenBao, or of Vault 1.13 and later: earlier ones ignore associated data. Source:
// https://openbao.org/api-docs/secret/transit/ and the engine's own schema.
type transit struct {
	caller
	env                    Environment
	base, mount, name, key string // key is MOUNT/keys/NAME
	namespace              string
}

// parseTransit reads "//HOST:PORT/MOUNT/keys/NAME?tls=off&namespace=NS".
func parseTransit(rest string, env Environment) (Source, error) {
	wrong := func(problem string) (Source, error) {
		return nil, fault.New(fault.Invalid, "the address of a root key source under transit: %s", problem).WithHint("write it as %s", transitForm)
	}
	u, query, err := address("transit", rest, transitForm, "tls", "namespace")
	if err != nil {
		return nil, err
	}
	t := transit{env: env, caller: caller{label: transitLabel, client: env.client()}, base: "https://" + u.Host, namespace: query["namespace"]}
	if off, given := query["tls"]; given {
		if off != "off" {
			return wrong("tls may only be off; it is on without being said")
		}
		t.base = "http://" + u.Host
	}
	t.key = strings.TrimPrefix(u.Path, "/")
	at := strings.LastIndex(t.key, "/keys/")
	switch {
	case !plainHost(u.Host):
		return wrong("the host is not plain")
	case at < 0:
		return wrong("the path is not a mount, /keys/ and a name")
	case !transitMount.MatchString(t.key[:at]) || !transitName.MatchString(t.key[at+len("/keys/"):]):
		return wrong("the mount or the name of the key is not plain")
	case t.namespace != "" && !transitMount.MatchString(t.namespace):
		return wrong("the namespace is not plain")
	}
	t.mount, t.name = t.key[:at], t.key[at+len("/keys/"):]
	return wrapped{"transit", "transit:" + rest, transitLabel, t}, nil
}

func (transit) binds() bool { return true }

func (t transit) owns(key string) bool { return key == t.key }

type transitInput struct {
	Plaintext  []byte `json:"plaintext,omitempty"`
	Ciphertext string `json:"ciphertext,omitempty"`
	Data       []byte `json:"associated_data"`
}

type transitAnswer struct {
	Data struct {
		Ciphertext string `json:"ciphertext"`
		Plaintext  []byte `json:"plaintext"`
	} `json:"data"`
}

// encrypt also asks for a decryption under other associated data, which must fail: an engine that does not know associated data
// takes it without a word and binds nothing.
func (t transit) encrypt(ctx context.Context, b Binding, secret []byte) (string, []byte, error) {
	got, err := t.ask(ctx, "encrypt", transitInput{Plaintext: secret, Data: b.Bytes()})
	if err != nil {
		return "", nil, err
	}
	ciphertext := got.Data.Ciphertext
	if !transitCiphertext.MatchString(ciphertext) {
		return "", nil, untrue(transitLabel, "gave a ciphertext that is not one")
	}
	opened, err := t.ask(ctx, "decrypt", transitInput{Ciphertext: ciphertext, Data: append(b.Bytes(), "probe"...)})
	clear(opened.Data.Plaintext)
	switch fault.KindOf(err) {
	case fault.Invalid:
		return t.key, []byte(ciphertext), nil
	default:
		if err != nil {
			return "", nil, err
		}
		return "", nil, fault.New(fault.Unsupported, "the transit engine does not bind ciphertexts to associated data").
			WithHint("use OpenBao, or Vault 1.13 or later, and a key of type aes256-gcm96")
	}
}

func (t transit) decrypt(ctx context.Context, b Binding, _ string, ciphertext []byte) ([]byte, error) {
	if !transitCiphertext.Match(ciphertext) {
		return nil, notInThisBinding()
	}
	got, err := t.ask(ctx, "decrypt", transitInput{Ciphertext: string(ciphertext), Data: b.Bytes()})
	return got.Data.Plaintext, err
}

// ask calls one operation on the key.
func (t transit) ask(ctx context.Context, operation string, input transitInput) (transitAnswer, error) {
	token, err := t.token()
	if err != nil {
		return transitAnswer{}, err
	}
	c := t.caller
	if path := t.env.value("VAULT_CACERT"); path != "" {
		var done func()
		if c.client, done, err = t.trusting(path); err != nil {
			return transitAnswer{}, err
		}
		defer done()
	}
	body, err := json.Marshal(input)
	if err != nil {
		return transitAnswer{}, fault.New(fault.Internal, "a request to the transit engine cannot be written")
	}
	defer clear(body)
	a, err := c.do(ctx, func(ctx context.Context) (*http.Request, error) {
		// X-Vault-Request is what keeps a server-side request forgery from using an agent's own token.
		header := http.Header{"X-Vault-Token": {token}, "X-Vault-Request": {"true"}}
		if t.namespace != "" {
			header.Set("X-Vault-Namespace", t.namespace)
		}
		return post(ctx, t.base+"/v1/"+t.mount+"/"+operation+"/"+url.PathEscape(t.name), header, body)
	})
	if err != nil {
		return transitAnswer{}, err
	}
	defer clear(a.body)
	if a.status != http.StatusOK {
		return transitAnswer{}, transitFault(a, operation)
	}
	var got transitAnswer
	if err := json.Unmarshal(a.body, &got); err != nil {
		return transitAnswer{}, untrue(transitLabel, "gave an answer that cannot be read")
	}
	return got, nil
}

// token takes the token from the server's variables, or reads the file that an agent renews, at each call.
func (t transit) token() (string, error) {
	token := t.env.value("VAULT_TOKEN")
	if path := t.env.value("VAULT_TOKEN_FILE"); token == "" && path != "" {
		b, err := t.env.read("VAULT_TOKEN_FILE", path)
		if err != nil {
			return "", err
		}
		token = strings.TrimSpace(string(b))
		clear(b)
	}
	if len(token) > maxTransitToken || !transitToken.MatchString(token) {
		return "", fault.New(fault.Denied, "there is no token for the transit engine").WithHint("set VAULT_TOKEN, or name a file in VAULT_TOKEN_FILE")
	}
	return token, nil
}

// trusting gives a client that trusts only the authorities in a PEM file. done closes its connections.
func (t transit) trusting(path string) (c *http.Client, done func(), err error) {
	b, err := t.env.read("VAULT_CACERT", path)
	if err != nil {
		return nil, nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, nil, fault.New(fault.Denied, "the file that VAULT_CACERT names holds no certificate")
	}
	own, client := ownTransport(t.client), *t.client
	if own == nil {
		return nil, nil, fault.New(fault.Unsupported, "VAULT_CACERT cannot be used with this HTTP transport")
	}
	if own.TLSClientConfig == nil {
		own.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	own.TLSClientConfig.RootCAs = pool
	client.Transport = own
	return &client, own.CloseIdleConnections, nil
}

// transitFault maps by status, and 400 by what the engine says: it has no codes. A server that is sealed answers 503.
func transitFault(a answer, operation string) error {
	switch a.status {
	case http.StatusBadRequest:
		switch {
		case bytes.Contains(a.body, []byte("encryption key not found")):
			return refused(transitLabel, "does not know the key").WithHint("make it: bao write -f MOUNT/keys/NAME type=aes256-gcm96")
		case operation == "decrypt":
			return notInThisBinding()
		}
		return refused(transitLabel, "cannot encrypt with the key").WithHint("the key must be of type aes256-gcm96, neither derived nor convergent")
	case http.StatusForbidden, http.StatusUnauthorized:
		return refused(transitLabel, "does not accept the token, or the token may not "+operation).
			WithHint("check that the token is alive and its policy has update on MOUNT/%s/NAME", operation)
	case http.StatusNotFound:
		return refused(transitLabel, "is not at that place").WithHint("check mount and namespace")
	}
	return refused(transitLabel, "refuses with a reason that is not known here, status "+strconv.Itoa(a.status))
}
