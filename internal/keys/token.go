package keys

import (
	"time"

	"github.com/keyturn/keyturn/internal/keyring"
)

// TokenOverlap is how long a key that signs tokens stays published beside its successor. A token that lives longer than this
// would not survive a turn of the key.
func (s *Service) TokenOverlap() time.Duration { return s.schedule.Overlap[keyring.LayerTokens] }
