package doctor

import (
	"math"
	"net/url"
	"regexp"
	"strings"

	"github.com/keyturn/keyturn/internal/domain"
)

// secretName tells whether a variable of this name usually holds a secret.
func secretName(name string) bool {
	s := strings.ToUpper(name)
	for _, public := range []string{"PUBLIC", "PUBLISHABLE", "_ID", "_URL_PREFIX", "_NAME", "_FILE", "_PATH", "_TTL", "_LENGTH"} {
		if strings.HasSuffix(s, public) || strings.Contains(s, "PUBLIC_KEY") || strings.Contains(s, "PUBLISHABLE") {
			return false
		}
	}
	for _, mark := range []string{"SECRET", "PASSWORD", "PASSWD", "TOKEN", "PRIVATE", "CREDENTIAL", "API_KEY", "APIKEY", "ACCESS_KEY", "ENCRYPTION_KEY", "SERVICE_KEY", "ROLE_KEY", "WEBHOOK"} {
		if strings.Contains(s, mark) {
			return true
		}
	}
	return false
}

// known are the beginnings by which issuers mark their secrets, and forms that nobody writes as an example.
var known = regexp.MustCompile(`^(?:sk_live_|rk_live_|sk-[A-Za-z0-9]|ghp_|gho_|ghs_|github_pat_|glpat-|xox[abprs]-|AKIA[0-9A-Z]{16}|ASIA[0-9A-Z]{16}|AIza[0-9A-Za-z_-]{30}|sntrys_|SG\.|eyJ[A-Za-z0-9_-]{10,}\.eyJ)|-----BEGIN [A-Z ]*PRIVATE KEY-----`)

// Thresholds for a value that looks random: shorter ones are words, and words carry about three bits per letter or less.
const (
	minRandom = 16
	minBits   = 3.2
)

// looksReal tells whether a value is a secret rather than a placeholder, a setting or an obvious example.
func looksReal(name, value string) bool {
	value = strings.TrimSpace(value)
	if domain.Placeholder([]byte(value)) != "" || exampleWords.MatchString(value) || strings.HasPrefix(value, "$") {
		return false
	}
	if known.MatchString(value) {
		return true
	}
	if u, err := url.Parse(value); err == nil && u.Host != "" {
		password, set := u.User.Password()
		return set && domain.Placeholder([]byte(password)) == "" && password != u.User.Username()
	}
	if !secretName(name) {
		return false
	}
	return len(value) >= minRandom && !strings.ContainsAny(value, " \t") && entropy(value) >= minBits
}

// exampleWords mark values that say of themselves that they are none.
var exampleWords = regexp.MustCompile(`(?i)example|test-value|placeholder|change[-_ ]?me|replace[-_ ]?(?:me|this|with)|your[-_ ]|dummy|sample|<[^>]+>|x{4,}|\.{3}|\*{3}`)

// entropy is Shannon's, in bits for each byte.
func entropy(s string) float64 {
	var count [256]float64
	for i := range len(s) {
		count[s[i]]++
	}
	bits := 0.0
	for _, n := range count {
		if n > 0 {
			p := n / float64(len(s))
			bits -= p * math.Log2(p)
		}
	}
	return bits
}
