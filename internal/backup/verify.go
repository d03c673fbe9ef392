package backup

import (
	"context"
	"errors"
	"io"
	"slices"

	"filippo.io/age"

	"github.com/keyturn/keyturn/internal/fault"
)

// Check says how a backup is checked.
type Check struct {
	// Identities open it: recovery kits or the server's own, see [DrillIdentity].
	Identities []age.Identity
	// Signers are public keys, 32 bytes each, that may have signed it: the log-signing keys of the instance that is asking.
	// Without any, the key that the backup itself names is believed: that shows only that the backup agrees with itself, and
	// whoever knows the public recipients could have made it. Compare [Report.Signer] then.
	Signers [][]byte
	// Progress, which may be nil, hears of rows. It is called on the caller's goroutine.
	Progress func(done, total int64)
}

// Report is what a check found.
type Report struct {
	Manifest Manifest
	Content  [32]byte  // SHA-256 of the stream inside, which the signature covers
	Signer   string    // verification key of the log-signing key that signed, as C2SP signed-note writes it
	Known    bool      // the signer is one of [Check.Signers]
	Rows     int64     // of all tables
	Values   int64     // that were opened
	Problems []Problem // at most about a hundred
}

// Sound tells whether nothing is wrong.
func (r Report) Sound() bool { return len(r.Problems) == 0 }

// Verify reads a backup to its end and opens everything in it: seal, digest, signature and checkpoint; counts; the audit log
// up to its root; what rows refer to; and every value, which is compared with its digest. Memory is needed for the ids of
// secrets, not for values.
//
// What is wrong with rows is in the report. The error is for a file that is no whole backup ([fault.Invalid]), that no
// identity opens or that a stranger signed ([fault.Denied]), that a newer program made ([fault.Unsupported]), or that cannot
// be read ([fault.Unavailable]).
func Verify(ctx context.Context, r io.Reader, o Check) (Report, error) {
	s, err := openStream(r, o.Identities)
	if err != nil {
		return Report{}, err
	}
	c := newChecker(&s.manifest.Manifest)
	if err := c.read(ctx, s, o.Progress); err != nil {
		return Report{}, err
	}
	return c.report(s, o.Signers)
}

// read checks all rows of a stream.
func (c *checker) read(ctx context.Context, s *stream, progress func(done, total int64)) error {
	p := newPool()
	defer p.end()
	total := c.manifest.Rows()
	for {
		b, err := s.next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if b.count == 0 { // a table begins
			if err := p.settle(); err != nil {
				return err
			}
			if c.ring == nil && !inOrder(b.Table) {
				if c.ring, err = s.manifest.open(c.rows); err != nil {
					return fault.Wrap(fault.Invalid, err, "the keys in the backup do not open")
				}
			}
			continue
		}
		if inOrder(b.Table) {
			err = c.look(b)
		} else {
			p.do(func() error { return c.look(b) })
		}
		if err != nil {
			return err
		}
		if progress != nil {
			progress(s.total, total)
		}
	}
	if err := p.settle(); err != nil {
		return err
	}
	if c.ring == nil {
		return malformed("it lacks the tables of an instance")
	}
	c.conclude()
	return nil
}

// report tells what was found in a stream that was read to its end.
func (c *checker) report(s *stream, signers [][]byte) (Report, error) {
	r := Report{Manifest: *c.manifest, Content: [32]byte(s.end.Digest), Rows: s.total, Values: c.values.Load(), Problems: c.problems}
	var err error
	if r.Signer, err = c.manifest.Signer(); err != nil {
		return r, err
	}
	public, err := c.manifest.signingKey()
	if err != nil {
		return r, err
	}
	r.Known = slices.ContainsFunc(signers, func(k []byte) bool { return string(k) == string(public) })
	if len(signers) > 0 && !r.Known {
		return r, fault.New(fault.Denied, "the backup is signed by %s, which is no log-signing key of this instance", r.Signer).
			WithHint("if it is of another instance and you know that key, say so with --signer")
	}
	return r, nil
}
