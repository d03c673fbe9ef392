package cli

import (
	"testing"

	"github.com/keyturn/keyturn/keyturntest"
)

// TestTheGuideToClientsOfVault runs its examples.
func TestTheGuideToClientsOfVault(t *testing.T) {
	t.Parallel()
	newTour(t, "docs/guides/vault-kv.md", keyturntest.Start(t)).walk(10)
}
