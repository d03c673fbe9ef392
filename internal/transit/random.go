package transit

import (
	"context"
	"strconv"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
)

// maxRandom bounds the random bytes of one answer, as the Vault dialect does.
const maxRandom = 128 << 10

// Random gives random bytes of the operating system to whoever is logged in.
func (s *Service) Random(ctx context.Context, n int64) ([]byte, error) {
	switch {
	case n < 1:
		return nil, fault.New(fault.Invalid, `"bytes" cannot be less than 1`)
	case n > maxRandom:
		return nil, fault.New(fault.Invalid, `"bytes" should be less than %d`, maxRandom)
	}
	var out []byte
	err := s.door.Read(ctx, own(ctx, "random bytes", strconv.FormatInt(n, 10)), func(guard.Permit) error {
		out = random(int(n))
		return nil
	})
	return out, err
}

// Sum gives the digest of an input for whoever is logged in. Nothing is secret about it.
func (s *Service) Sum(ctx context.Context, hash Hash, input []byte) ([]byte, error) {
	h, err := hash.forHMAC()
	if err != nil {
		return nil, err
	}
	var out []byte
	err = s.door.Read(ctx, own(ctx, "hash", ""), func(guard.Permit) error {
		d := h.New()
		d.Write(input)
		out = d.Sum(nil)
		return nil
	})
	return out, err
}

func own(ctx context.Context, what, n string) guard.Op {
	op := guard.Op{Action: policy.SelfRead, Resource: policy.Resource{Org: guard.CallerOf(ctx).Principal.Org}, Detail: map[string]string{"transit": what}}
	if n != "" {
		op.Detail["bytes"] = n
	}
	return op
}
