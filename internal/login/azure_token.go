package login

import (
	"context"

	jose "github.com/go-jose/go-jose/v4"
)

// azureToken verifies a token of Entra ID by the rules of its version.
type azureToken struct {
	v1, v2 *keyedJWT
	algs   []jose.SignatureAlgorithm
}

// Verify implements [Verifier].
func (a *azureToken) Verify(ctx context.Context, c Credential) (Evidence, error) {
	t, err := parse(c.Token, a.algs)
	if err != nil {
		return Evidence{}, err
	}
	if t.claims["iss"] == any(a.v2.rules.Issuer) {
		return a.v2.Verify(ctx, c)
	}
	return a.v1.Verify(ctx, c)
}
