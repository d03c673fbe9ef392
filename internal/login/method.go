package login

import (
	"context"
	"crypto/x509"
	"slices"
	"time"

	json "github.com/go-json-experiment/json"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/outbound"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// Kind names a way for machines to log in.
type Kind string

// The kinds of methods.
const (
	KindJWT        Kind = "jwt"        // JWT signed with a shared secret (HS256)
	KindJWKS       Kind = "jwks"       // JWT signed with a key of a published or given key set
	KindGitHub     Kind = "github"     // JWT of a GitHub Actions job
	KindGitLab     Kind = "gitlab"     // JWT of a GitLab CI job
	KindOIDC       Kind = "oidc"       // JWT of any issuer that publishes OpenID Connect discovery
	KindKubernetes Kind = "kubernetes" // service account token
	KindAWS        Kind = "aws"        // signed request of sts:GetCallerIdentity
	KindGCP        Kind = "gcp"        // identity token of Google Cloud
	KindAzure      Kind = "azure"      // token of a managed identity
	KindTLS        Kind = "tls"        // TLS client certificate
)

// Kinds lists all, in the order of the reference page.
func Kinds() []Kind {
	return []Kind{KindJWT, KindJWKS, KindGitHub, KindGitLab, KindOIDC, KindKubernetes, KindAWS, KindGCP, KindAzure, KindTLS}
}

// Evidence is what a method found proved.
type Evidence struct {
	// Subject is who it is, as the issuer calls it: a "sub" claim, an ARN, a service account, a SPIFFE id.
	Subject string
	// Attributes are facts that the issuer vouches for, for conditions of policy and for the log: at most [maxAttributes].
	Attributes map[string]string
	// ExpiresAt is when the credential itself ends; zero when it does not say.
	ExpiresAt time.Time
}

// Credential is what a client shows. A method looks at the one field that it is about.
type Credential struct {
	Token        sensitive.Value     // a JWT in compact form
	Request      *SignedRequest      // of AWS
	Certificates []*x509.Certificate // of the TLS connection, the client's own first; its key was proved by the handshake
}

// Verifier checks credentials against the settings of one method. It is safe for concurrent use. A credential that proves
// nothing is fault.Unauthenticated, with a sentence that says which rule refused it and never repeats the credential; a failure
// of the other side is fault.Unavailable.
type Verifier interface {
	Verify(ctx context.Context, c Credential) (Evidence, error)
}

// Around is what verifiers need of the house.
type Around struct {
	Calls outbound.Rules // for every call to an address of the settings
	Keys  *Keys          // cache of key sets, shared by all methods
	// Secrets are the sealed secrets of the method: shared secrets of JWT, the reviewer token of Kubernetes.
	Secrets []sensitive.Value
}

// settings is what every kind has: a form that people write as JSON, and the verifier made from it.
type settings interface {
	// check puts defaults in and tells what is wrong.
	check() error
	// needs tells how many secrets the method has at least and at most.
	needs() (least, most int)
	open(Around) (Verifier, error)
}

func blank(kind Kind) (settings, error) {
	switch kind {
	case KindJWT:
		return &SharedJWT{}, nil
	case KindJWKS:
		return &PublishedJWT{}, nil
	case KindGitHub, KindGitLab, KindOIDC:
		return &Pipeline{preset: presetOf(kind)}, nil
	case KindKubernetes:
		return &Kubernetes{}, nil
	case KindAWS:
		return &AWS{}, nil
	case KindGCP:
		return &GCP{}, nil
	case KindAzure:
		return &Azure{}, nil
	case KindTLS:
		return &TLS{}, nil
	}
	return nil, fault.New(fault.Invalid, "no such kind of login method").WithField("/kind", "want one of %v", Kinds())
}

// maxSettings bounds the settings of one method, bytes: a CA bundle or a static key set is the largest part.
const maxSettings = 64 << 10

func read(kind Kind, text []byte) (settings, error) {
	s, err := blank(kind)
	if err != nil {
		return nil, err
	}
	if len(text) > maxSettings {
		return nil, fault.New(fault.Invalid, "the settings are longer than %d bytes", maxSettings)
	}
	if len(text) == 0 {
		text = []byte("{}")
	}
	if err := json.Unmarshal(text, s, json.RejectUnknownMembers(true)); err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "the settings are not those of a %s method", kind).WithHint("see docs/guides/machines.md for what each kind takes").
			WithField("/settings", "not valid JSON, an unknown name, or a value of the wrong type")
	}
	return s, s.check()
}

// Check reads the settings of a kind and gives them in the form in which they are stored. Secrets is how many there are.
func Check(kind Kind, text []byte, secrets int) ([]byte, error) {
	s, err := read(kind, text)
	if err != nil {
		return nil, err
	}
	switch least, most := s.needs(); {
	case secrets > most && most == 0:
		return nil, fault.New(fault.Invalid, "a %s method has no secret", kind).WithField("/secrets", "not used")
	case secrets < least || secrets > most:
		return nil, fault.New(fault.Invalid, "a %s method takes %d to %d secrets", kind, least, most).WithField("/secrets", "wrong number")
	}
	return json.Marshal(s, json.Deterministic(true))
}

// Open makes the verifier of a method from its stored settings.
func Open(kind Kind, text []byte, around Around) (Verifier, error) {
	s, err := read(kind, text)
	if err != nil {
		return nil, err
	}
	return s.open(around)
}

// rejected is the one failure of a credential that proves nothing.
func rejected(format string, args ...any) *fault.Error {
	return fault.New(fault.Unauthenticated, "the credential is refused: "+format, args...)
}

// anyOf tells whether a list has something in common with another.
func anyOf(have, want []string) bool {
	return slices.ContainsFunc(have, func(s string) bool { return slices.Contains(want, s) })
}
