package cli

import (
	"testing"

	"github.com/keyturn/keyturn/keyturntest"
)

// TestTransitTour runs the guide to the encryption service.
func TestTransitTour(t *testing.T) {
	t.Parallel()
	newTour(t, "docs/guides/transit.md", keyturntest.Start(t)).walk(9)
}
