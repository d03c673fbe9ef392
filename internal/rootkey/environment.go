package rootkey

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"

	"github.com/keyturn/keyturn/internal/fault"
)

// maxCredentialFile bounds what is read as a token, a service account or a CA bundle. The largest that are met, bundles of all
// public authorities, have about 250 KiB.
const maxCredentialFile = 1 << 20

// value gives a variable of the environment, empty when there is none.
func (e Environment) value(name string) string {
	if e.Getenv == nil {
		return ""
	}
	return strings.TrimSpace(e.Getenv(name))
}

// read gives a file that a variable named; what it holds is no longer than [maxCredentialFile].
func (e Environment) read(variable, path string) ([]byte, error) {
	read := e.ReadFile
	if read == nil {
		read = os.ReadFile
	}
	b, err := read(path)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "the file that %s names cannot be read", variable)
	}
	if len(b) > maxCredentialFile {
		return nil, fault.New(fault.Denied, "the file that %s names has more than %d KiB", variable, maxCredentialFile>>10)
	}
	return b, nil
}

// client copies the HTTP client and takes from it what would carry a credential to places that nobody named: redirects and
// cookies. Time limits are set for each try, see [caller].
func (e Environment) client() *http.Client {
	c := http.Client{}
	if e.HTTP != nil {
		c = *e.HTTP
	}
	c.Jar = nil
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &c
}

// ownTransport gives a copy of a client's transport that may be changed, or nil where it is not Go's own.
func ownTransport(c *http.Client) *http.Transport {
	transport := c.Transport
	if transport == nil {
		transport = http.DefaultTransport
	}
	if t, ok := transport.(*http.Transport); ok {
		return t.Clone()
	}
	return nil
}

// loopback tells whether a host, without port, can only be this machine.
func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && ip.IsLoopback()
}

// address reads "scheme:rest" and refuses what no service's address has: user info, a fragment, an escaped path, and
// parameters that are not in allowed, empty or given twice.
func address(scheme, rest, form string, allowed ...string) (*url.URL, map[string]string, error) {
	wrong := func(problem string, args ...any) (*url.URL, map[string]string, error) {
		return nil, nil, fault.New(fault.Invalid, "the address of a root key source under "+scheme+": "+problem, args...).
			WithHint("write it as %s", form)
	}
	u, err := url.Parse(scheme + ":" + rest)
	switch {
	case err != nil || !strings.HasPrefix(rest, "//"):
		return wrong("it is not a URI") // the parser's own error repeats the text
	case u.User != nil:
		return wrong("it holds a user or a password, which belong elsewhere")
	case u.Fragment != "" || u.RawPath != "" || strings.Contains(rest, "#"):
		return wrong("it has a fragment or an escaped path")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return wrong("its parameters cannot be read")
	}
	values := map[string]string{}
	for _, name := range allowed {
		if given, ok := query[name]; ok {
			if len(given) != 1 || given[0] == "" {
				return wrong("%s is empty or given twice", name)
			}
			values[name] = given[0]
			delete(query, name)
		}
	}
	if len(query) > 0 {
		return wrong("it has a parameter that is not known")
	}
	return u, values, nil
}

// plainHost tells whether an authority is a host name or address with an optional port.
func plainHost(authority string) bool {
	u, err := url.Parse("https://" + authority)
	if err != nil || u.Host != authority || u.Hostname() == "" {
		return false
	}
	if port := u.Port(); port != "" {
		if _, err := net.LookupPort("tcp", port); err != nil {
			return false
		}
	}
	return true
}
