package access

import (
	"context"
	"crypto/ed25519"
	"slices"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	json "github.com/go-json-experiment/json"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
)

// Identity tokens are JWTs by which other systems can tell who a caller of ours is. They open nothing here: our own tokens stay
// opaque, and die at once when they are revoked. A JWT lives to its end, so it is short.
const (
	defaultIdentityTokenTTL = 10 * time.Minute
	maxIdentityTokenTTL     = 24 * time.Hour
	maxAudience             = 256 // bytes
)

// IssueAs sets the issuer of identity tokens: the https address under which others find the keys. Without one none are made.
func (s *Service) IssueAs(issuer string) { s.machines.issuer = issuer }

// IdentityToken is a JWT about the caller.
type IdentityToken struct {
	Token     sensitive.Value
	ID        string // "jti"
	ExpiresAt int64  // unix milliseconds
}

// identityClaims is the claim set (RFC 7519, RFC 9068 for the names that are not in it).
type identityClaims struct {
	Issuer     string            `json:"iss"`
	Subject    string            `json:"sub"` // "identity:" or "user:" and the id, which is never used again
	Audience   string            `json:"aud"`
	Expires    int64             `json:"exp"`
	NotBefore  int64             `json:"nbf"`
	Issued     int64             `json:"iat"`
	ID         string            `json:"jti"`
	Kind       string            `json:"keyturn_kind"`
	Name       string            `json:"keyturn_name"`
	Org        string            `json:"keyturn_org"`
	Groups     []domain.GroupID  `json:"keyturn_groups,omitempty"`
	Method     string            `json:"keyturn_method,omitzero"`
	Attributes map[string]string `json:"keyturn_attributes,omitempty"`
}

func (s *Service) issuing() error {
	if s.machines.issuer == "" || s.keys == nil {
		return fault.New(fault.Unsupported, "this server makes no identity tokens").WithHint("set KEYTURN_PUBLIC_URL to the https address under which others reach it")
	}
	return nil
}

// IssueIdentityToken makes a JWT about the caller for an audience. A token that is narrowed to scopes makes none: others could not
// know of its limits.
func (s *Service) IssueIdentityToken(ctx context.Context, audience string, ttl time.Duration) (IdentityToken, error) {
	if err := s.issuing(); err != nil {
		return IdentityToken{}, err
	}
	longest := min(maxIdentityTokenTTL, s.keys.TokenOverlap())
	if ttl == 0 {
		ttl = min(defaultIdentityTokenTTL, longest)
	}
	switch {
	case audience == "" || len(audience) > maxAudience:
		return IdentityToken{}, fault.New(fault.Invalid, "an identity token needs an audience").WithField("/audience", "want 1 to %d bytes", maxAudience)
	case audience == s.machines.issuer:
		return IdentityToken{}, fault.New(fault.Invalid, "an identity token is for others").WithField("/audience", "is this server itself")
	case ttl < minTokenTTL || ttl > longest:
		return IdentityToken{}, fault.New(fault.Invalid, "the lifetime must be between %v and %v", minTokenTTL, longest).WithField("/ttl", "out of range")
	}
	var out IdentityToken
	who := guard.CallerOf(ctx).Principal
	op := guard.Op{Action: policy.SelfRead, Resource: policy.Resource{Org: who.Org}, Detail: map[string]string{"identity_token": cut(audience, maxAudience)}}
	err := s.door.Do(ctx, op, func(tx *store.Tx, p guard.Permit) error {
		if who.Scopes != nil || who.Policies != nil {
			return fault.New(fault.Denied, "a token that is narrowed makes no identity tokens").WithHint("log in as the identity itself")
		}
		now := time.UnixMilli(tx.Now())
		c := identityClaims{Issuer: s.machines.issuer, Subject: string(who.Kind) + ":" + who.ID, Audience: audience, Expires: now.Add(ttl).Unix(), NotBefore: now.Unix(), Issued: now.Unix(),
			ID: domain.NewID[string](), Kind: string(who.Kind), Name: who.Name, Org: string(who.Org), Groups: who.Groups, Method: who.Method, Attributes: who.Attributes}
		text, key, err := s.signToken(c)
		p.Note("jti", c.ID)
		p.Note("key", key)
		out = IdentityToken{sensitive.FromString(text), c.ID, c.Expires * 1000}
		return err
	})
	return out, err
}

func (s *Service) signToken(c identityClaims) (text, key string, err error) {
	payload, err := json.Marshal(c, json.Deterministic(true))
	if err != nil {
		return "", "", err
	}
	seed, id := s.keys.Ring().TokenSeed()
	defer seed.Wipe()
	private := ed25519.NewKeyFromSeed(seed.Reveal())
	defer clear(private)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: jose.JSONWebKey{Key: private, KeyID: id.String()}}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return "", "", err
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", "", err
	}
	text, err = signed.CompactSerialize()
	return text, id.String(), err
}

// PublishedKeys gives the public keys by which identity tokens are verified, as a JWK set (RFC 7517, RFC 8037): that which signs,
// and those of an overlap. A key that is retired or destroyed is not among them, so its tokens are refused by everybody.
func (s *Service) PublishedKeys() ([]byte, error) {
	if err := s.issuing(); err != nil {
		return nil, err
	}
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, row := range s.keys.Ring().Rows() {
		if row.Layer == keyring.LayerTokens && slices.Contains([]keyring.State{keyring.StatePending, keyring.StatePrimary, keyring.StateActive}, row.State) {
			set.Keys = append(set.Keys, jose.JSONWebKey{Key: ed25519.PublicKey(row.Public), KeyID: row.ID.String(), Algorithm: string(jose.EdDSA), Use: "sig"})
		}
	}
	return json.Marshal(set)
}

// Discovery is the document that tells others where the keys are (OpenID Connect Discovery 1.0).
func (s *Service) Discovery() ([]byte, error) {
	if err := s.issuing(); err != nil {
		return nil, err
	}
	return json.Marshal(map[string]any{
		"issuer": s.machines.issuer, "jwks_uri": s.machines.issuer + "/.well-known/jwks.json", "id_token_signing_alg_values_supported": []string{string(jose.EdDSA)},
		"response_types_supported": []string{"id_token"}, "subject_types_supported": []string{"public"},
		"claims_supported": []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "keyturn_kind", "keyturn_name", "keyturn_org", "keyturn_groups", "keyturn_method", "keyturn_attributes"},
	}, json.Deterministic(true))
}
