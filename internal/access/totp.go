package access

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
	"github.com/pquerna/otp/totp"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// Time-based one-time passwords (RFC 6238) as every authenticator app computes them: SHA-1, six digits, 30 seconds, a seed of
// 160 bits. Apps ignore or misread other parameters, and SHA-1 is as good as any inside an HMAC.
const (
	totpPeriod = 30 // seconds
	totpDigits = otp.DigitsSix
	totpSeed   = 20 // bytes
	// totpSkew is how many steps a clock may be off, as RFC 6238 section 5.2 advises.
	totpSkew = 1
)

// newSeed makes the seed of a time-based factor, as base32 text, and the address that apps read from a QR code
// (https://github.com/google/google-authenticator/wiki/Key-Uri-Format).
func newSeed(issuer, account string) (seed sensitive.Value, address string, err error) {
	// A colon would end the issuer in the label.
	key, err := totp.Generate(totp.GenerateOpts{Issuer: strings.ReplaceAll(issuer, ":", " "), AccountName: account, Period: totpPeriod, SecretSize: totpSeed, Digits: totpDigits, Algorithm: otp.AlgorithmSHA1})
	if err != nil {
		return sensitive.Value{}, "", fault.Wrap(fault.Internal, err, "couldn't make a seed")
	}
	u, err := url.Parse(key.URL())
	if err != nil {
		return sensitive.Value{}, "", fault.New(fault.Internal, "couldn't write the address of a seed") // the error would hold it
	}
	return sensitive.FromString(key.Secret()), u.String(), nil
}

// totpStep finds the step whose code was typed, among those that a clock may be off, and only above the last one that was
// used: RFC 6238 section 5.2 forbids to take a code twice. Zero means that the code is not right.
func totpStep(seed sensitive.Value, code string, last int64, now time.Time) int64 {
	code = strings.ReplaceAll(strings.TrimSpace(code), " ", "") // apps show 123 456
	if len(code) != totpDigits.Length() {
		return 0
	}
	if _, err := strconv.ParseUint(code, 10, 32); err != nil {
		return 0
	}
	found := int64(0)
	for step := now.Unix()/totpPeriod - totpSkew; step <= now.Unix()/totpPeriod+totpSkew; step++ {
		// Every step is computed, so that time does not tell which one it was.
		ok, err := hotp.ValidateCustom(code, uint64(step), string(seed.Reveal()), hotp.ValidateOpts{Digits: totpDigits, Algorithm: otp.AlgorithmSHA1})
		if err == nil && ok && step > last && found == 0 {
			found = step
		}
	}
	return found
}
