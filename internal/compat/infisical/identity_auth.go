package infisical

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/keyturn/keyturn/internal/access"
	"github.com/keyturn/keyturn/internal/fault"
)

func (s *Surface) identityAuthRoutes() []route {
	const universal, tokens = "/v1/auth/universal-auth/identities/{identity}", "/v1/auth/token-auth"
	return []route{
		{"POST " + universal, withToken, s.attachUniversal},
		{"GET " + universal, withToken, s.getUniversal},
		{"PATCH " + universal, withToken, s.changeUniversal},
		{"DELETE " + universal, withToken, s.detachUniversal},
		{"POST " + universal + "/client-secrets", withToken, s.createClientSecret},
		{"GET " + universal + "/client-secrets", withToken, s.listClientSecrets},
		{"GET " + universal + "/client-secrets/{secret}", withToken, s.getClientSecret},
		{"POST " + universal + "/client-secrets/{secret}/revoke", withToken, s.revokeClientSecret},
		{"POST " + tokens + "/identities/{identity}", withToken, s.attachTokens},
		{"GET " + tokens + "/identities/{identity}", withToken, s.getTokens},
		{"PATCH " + tokens + "/identities/{identity}", withToken, s.changeTokens},
		{"DELETE " + tokens + "/identities/{identity}", withToken, s.detachTokens},
		{"POST " + tokens + "/identities/{identity}/tokens", withToken, s.issueToken},
		{"GET " + tokens + "/identities/{identity}/tokens", withToken, s.listIssued},
		{"GET " + tokens + "/tokens/{token}", withToken, s.getIssued},
		{"PATCH " + tokens + "/tokens/{token}", withToken, s.renameIssued},
		{"POST " + tokens + "/tokens/{token}/revoke", withToken, s.revokeIssued},
	}
}

// defaultTTL is what the dialect takes when a client says nothing, in seconds: 30 days.
const defaultTTL = 2592000

// trusted is a network as clients write it.
type trusted struct {
	Address string `json:"ipAddress"`
}

// anywhere is how the dialect writes that every address is good.
var anywhere = []string{"0.0.0.0/0", "::/0"}

// networks reads a list of trusted addresses; nil for anywhere, false when the client said nothing.
func (c *call) networks(name string) ([]string, bool, error) {
	if _, there := c.raw(name); !there {
		return nil, false, nil
	}
	var all []trusted
	if err := c.into(name, &all); err != nil {
		return nil, false, err
	}
	var out []string
	for _, t := range all {
		out = append(out, strings.TrimSpace(t.Address))
	}
	if len(out) == 0 {
		return nil, false, wrong(name, "at least one address")
	}
	both := true
	for _, wide := range anywhere {
		both = both && slices.Contains(out, wide)
	}
	if both {
		return nil, true, nil
	}
	return out, true, nil
}

// trustedOf writes networks as clients read them.
func trustedOf(networks []string) []object {
	if len(networks) == 0 {
		networks = anywhere
	}
	out := []object{}
	for _, text := range networks {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			continue // stored ones are good
		}
		o := object{"ipAddress": p.Addr().String(), "type": "ipv4"}
		if !p.Addr().Is4() {
			o["type"] = "ipv6"
		}
		if p.Bits() != p.Addr().BitLen() {
			o["prefix"] = p.Bits()
		}
		out = append(out, o)
	}
	return out
}

// The lock-out of the dialect's own server. Ours is for the whole server and counts by address too, so what a client says of it
// is taken only when it is what it would say anyway.
var lockout = object{"lockoutEnabled": true, "lockoutThreshold": 3, "lockoutDurationSeconds": 300, "lockoutCounterResetSeconds": 30}

func (c *call) noLockout() error {
	refused := fault.New(fault.Unsupported, "how often a login may fail is the same for all on this server").WithHint("leave the lockout settings out")
	on, err := c.flag("lockoutEnabled", true)
	if err == nil && !on {
		err = refused
	}
	for _, name := range []string{"lockoutThreshold", "lockoutDurationSeconds", "lockoutCounterResetSeconds"} {
		if err != nil {
			return err
		}
		var n int64
		if n, err = c.integer(name); err == nil && n != 0 && n != int64(lockout[name].(int)) {
			err = refused
		}
	}
	return err
}

// limits reads the limits of tokens; what the client does not say is as before.
func (c *call) limits(before access.Limits) (access.Limits, error) {
	out := before
	for _, part := range []struct {
		name string
		into *time.Duration
	}{{"accessTokenTTL", &out.TTL}, {"accessTokenMaxTTL", &out.MaxTTL}} {
		if _, there := c.raw(part.name); !there {
			continue
		}
		n, err := c.integer(part.name)
		if err != nil {
			return out, err
		}
		if n <= 0 || n > int64(longest/time.Second) {
			return out, wrong(part.name, "1 to 31622400 seconds: tokens end here, and none is renewed for ever")
		}
		*part.into = time.Duration(n) * time.Second
	}
	if out.TTL > out.MaxTTL {
		return out, wrong("accessTokenTTL", "no more than accessTokenMaxTTL")
	}
	if _, there := c.raw("accessTokenNumUsesLimit"); there {
		n, err := c.integer("accessTokenNumUsesLimit")
		if err != nil || n < 0 {
			return out, wrong("accessTokenNumUsesLimit", "0 or more")
		}
		out.Uses = n
	}
	if n, err := c.integer("accessTokenPeriod"); err != nil || n != 0 {
		if err == nil {
			err = fault.New(fault.Unsupported, "tokens that are renewed for ever are not given to machines").WithHint("leave accessTokenPeriod out and give accessTokenMaxTTL")
		}
		return out, err
	}
	from, said, err := c.networks("accessTokenTrustedIps")
	if said {
		out.Networks = from
	}
	return out, err
}

// longest is how long any token may live.
const longest = 366 * 24 * time.Hour

// universalLimits reads those of tokens that client secrets give. Secrets and tokens have the same networks here.
func (c *call) universalLimits(before access.Limits) (access.Limits, error) {
	if err := c.noLockout(); err != nil {
		return before, err
	}
	out, err := c.limits(before)
	if err != nil {
		return out, err
	}
	from, said, err := c.networks("clientSecretTrustedIps")
	if err != nil {
		return out, err
	}
	if !said {
		from = before.Networks
	}
	if !slices.Equal(from, out.Networks) {
		return out, fault.New(fault.Unsupported, "client secrets and their tokens are used from the same networks here").WithHint("give clientSecretTrustedIps and accessTokenTrustedIps the same addresses")
	}
	return out, nil
}

func identityLimits(i access.Identity) access.Limits {
	return access.Limits{TTL: time.Duration(i.TokenTTL) * time.Millisecond, MaxTTL: time.Duration(max(i.MaxTTL, i.TokenTTL)) * time.Millisecond, Uses: i.TokenUses, Networks: i.Networks}
}

var freshLimits = access.Limits{TTL: defaultTTL * time.Second, MaxTTL: defaultTTL * time.Second}

// limitsOf writes limits as clients read them.
func limitsOf(o object, l access.Limits) object {
	o["accessTokenTTL"], o["accessTokenMaxTTL"] = seconds(l.TTL), seconds(max(l.MaxTTL, l.TTL))
	o["accessTokenNumUsesLimit"], o["accessTokenPeriod"], o["accessTokenTrustedIps"] = l.Uses, 0, trustedOf(l.Networks)
	return o
}

// universalOf is universal auth of a machine. Its id is that of the machine, as its client id is.
func universalOf(i access.Identity) object {
	o := limitsOf(object{"id": i.ID, "identityId": i.ID, "clientId": i.ID, "clientSecretTrustedIps": trustedOf(i.Networks), "createdAt": stamp(max(i.SecretsAt, i.CreatedAt)),
		"updatedAt": stamp(max(i.ChangedAt, i.CreatedAt))}, identityLimits(i))
	for name, value := range lockout {
		o[name] = value
	}
	return o
}

func universalAnswer(i access.Identity, err error) (*answer, error) {
	if err != nil {
		return nil, err
	}
	return with(object{"identityUniversalAuth": universalOf(i)}), nil
}

// attached finds a machine and whether it has universal auth.
func (s *Surface) attached(ctx context.Context, c *call) (access.KnownIdentity, error) {
	k, err := s.Access.Identity(ctx, c.http.PathValue("identity"))
	if err == nil && !k.Secrets {
		err = fault.New(fault.NotFound, "the machine has no universal auth")
	}
	return k, err
}

func (s *Surface) attachUniversal(ctx context.Context, c *call) (*answer, error) {
	k, err := s.Access.Identity(ctx, c.http.PathValue("identity"))
	if err == nil && k.SecretsAt != 0 {
		err = fault.New(fault.Exists, "the machine has universal auth already")
	}
	if err != nil {
		return nil, err
	}
	limits, err := c.universalLimits(freshLimits)
	if err != nil {
		return nil, err
	}
	yes := true
	return universalAnswer(s.Access.ChangeIdentity(ctx, string(k.ID), access.IdentityInput{Limits: &limits, Secrets: &yes}))
}

func (s *Surface) getUniversal(ctx context.Context, c *call) (*answer, error) {
	k, err := s.attached(ctx, c)
	return universalAnswer(k.Identity, err)
}

func (s *Surface) changeUniversal(ctx context.Context, c *call) (*answer, error) {
	k, err := s.attached(ctx, c)
	if err != nil {
		return nil, err
	}
	limits, err := c.universalLimits(identityLimits(k.Identity))
	if err != nil {
		return nil, err
	}
	return universalAnswer(s.Access.ChangeIdentity(ctx, string(k.ID), access.IdentityInput{Limits: &limits}))
}

func (s *Surface) detachUniversal(ctx context.Context, c *call) (*answer, error) {
	k, err := s.attached(ctx, c)
	if err != nil {
		return nil, err
	}
	no := false
	if _, err := s.Access.ChangeIdentity(ctx, string(k.ID), access.IdentityInput{Secrets: &no}); err != nil {
		return nil, err
	}
	return universalAnswer(k.Identity, nil)
}

// clientSecretOf is what is known of a client secret. The prefix is of its id: of the secret itself nothing is kept.
func clientSecretOf(r access.ClientSecret) object {
	ttl := int64(0)
	if r.ExpiresAt != 0 {
		ttl = (r.ExpiresAt - r.CreatedAt) / 1000
	}
	o := object{"id": r.ID, "identityUAId": r.Identity, "description": r.Name, "clientSecretPrefix": r.ID[:4], "clientSecretNumUses": r.Used, "clientSecretNumUsesLimit": r.Uses,
		"clientSecretTTL": ttl, "clientSecretLastUsedAt": nil, "isClientSecretRevoked": r.RevokedAt != 0, "createdAt": stamp(r.CreatedAt), "updatedAt": stamp(max(r.CreatedAt, r.LastUsedAt, r.RevokedAt))}
	if r.LastUsedAt != 0 {
		o["clientSecretLastUsedAt"] = stamp(r.LastUsedAt)
	}
	return o
}

func (s *Surface) createClientSecret(ctx context.Context, c *call) (*answer, error) {
	k, err := s.attached(ctx, c)
	if err != nil {
		return nil, err
	}
	var in access.ClientSecretInput
	if in.Name, err = c.text("description"); err != nil {
		return nil, err
	}
	if in.Uses, err = c.integer("numUsesLimit"); err != nil {
		return nil, err
	}
	ttl, err := c.integer("ttl")
	if err != nil {
		return nil, err
	}
	if ttl < 0 || ttl > int64(10*longest/time.Second) {
		return nil, wrong("ttl", "0 for none, or up to ten years in seconds")
	}
	in.TTL = time.Duration(ttl) * time.Second
	row, value, err := s.Access.AddClientSecret(ctx, string(k.ID), in)
	if err != nil {
		return nil, err
	}
	return with(object{"clientSecret": string(value.Reveal()), "clientSecretData": clientSecretOf(row)}), nil
}

func (s *Surface) listClientSecrets(ctx context.Context, c *call) (*answer, error) {
	k, err := s.attached(ctx, c)
	if err != nil {
		return nil, err
	}
	all, err := s.Access.ClientSecrets(ctx, string(k.ID))
	if err != nil {
		return nil, err
	}
	out := []object{}
	for _, r := range all {
		if r.RevokedAt == 0 {
			out = append(out, clientSecretOf(r))
		}
	}
	return with(object{"clientSecretData": out}), nil
}

func (s *Surface) clientSecret(ctx context.Context, c *call) (access.ClientSecret, error) {
	all, err := s.Access.ClientSecrets(ctx, c.http.PathValue("identity"))
	if err != nil {
		return access.ClientSecret{}, err
	}
	for _, r := range all {
		if r.ID == c.http.PathValue("secret") {
			return r, nil
		}
	}
	return access.ClientSecret{}, fault.New(fault.NotFound, "no such client secret")
}

func (s *Surface) getClientSecret(ctx context.Context, c *call) (*answer, error) {
	r, err := s.clientSecret(ctx, c)
	if err != nil {
		return nil, err
	}
	return with(object{"clientSecretData": clientSecretOf(r)}), nil
}

func (s *Surface) revokeClientSecret(ctx context.Context, c *call) (*answer, error) {
	r, err := s.clientSecret(ctx, c)
	if err == nil {
		err = s.Access.RevokeClientSecret(ctx, string(r.Identity), r.ID)
	}
	if err == nil {
		r, err = s.clientSecret(ctx, c)
	}
	if err != nil {
		return nil, err
	}
	return with(object{"clientSecretData": clientSecretOf(r)}), nil
}
