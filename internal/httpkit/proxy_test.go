package httpkit

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

func TestOnlyATrustedProxySaysWhoTheClientIs(t *testing.T) {
	proxies, err := ParseProxies("10.0.0.0/8, 2001:db8:ffff::/48,192.0.2.7")
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		peer   string
		header []string
		want   string
	}{
		"no proxy, no header":               {"203.0.113.5:1000", nil, "203.0.113.5"},
		"a stranger's header":               {"203.0.113.5:1000", []string{"198.51.100.1"}, "203.0.113.5"},
		"a proxy":                           {"10.1.2.3:1000", []string{"198.51.100.1"}, "198.51.100.1"},
		"a proxy without a header":          {"10.1.2.3:1000", nil, "10.1.2.3"},
		"two proxies":                       {"10.1.2.3:1000", []string{"198.51.100.1, 192.0.2.7"}, "198.51.100.1"},
		"in two lines":                      {"10.1.2.3:1000", []string{"198.51.100.1", "192.0.2.7"}, "198.51.100.1"},
		"the client wrote another in front": {"10.1.2.3:1000", []string{"127.0.0.1, 10.9.9.9, 198.51.100.1"}, "198.51.100.1"},
		"in a line of his own":              {"10.1.2.3:1000", []string{"127.0.0.1", "198.51.100.1"}, "198.51.100.1"},
		"rubbish in front":                  {"10.1.2.3:1000", []string{"<script>, 198.51.100.1"}, "198.51.100.1"},
		"rubbish on the right":              {"10.1.2.3:1000", []string{"198.51.100.1, unknown"}, "10.1.2.3"},
		"rubbish behind a proxy":            {"10.1.2.3:1000", []string{"198.51.100.1, x, 192.0.2.7"}, "192.0.2.7"},
		"mapped":                            {"[::ffff:10.1.2.3]:1000", []string{"::ffff:198.51.100.1"}, "198.51.100.1"},
		"with a port":                       {"10.1.2.3:1000", []string{"198.51.100.1:4711"}, "198.51.100.1"},
		"of IPv6":                           {"[2001:db8:ffff::1]:1000", []string{"[2001:db8:1::5]:80"}, "2001:db8:1::5"},
		"without brackets":                  {"[2001:db8:ffff::1]:1000", []string{"2001:db8:1::5"}, "2001:db8:1::5"},
		"a zone":                            {"10.1.2.3:1000", []string{"fe80::1%eth0"}, "fe80::1"},
		"inside":                            {"10.1.2.3:1000", []string{"10.4.4.4"}, "10.4.4.4"},
		"very many":                         {"10.1.2.3:1000", []string{strings.Repeat("198.51.100.1,", 500) + "10.7.7.7"}, "198.51.100.1"},
		"more proxies than there are":       {"10.1.2.3:1000", []string{"198.51.100.1" + strings.Repeat(",10.7.7.7", 500)}, "10.7.7.7"},
		"empty":                             {"10.1.2.3:1000", []string{""}, "10.1.2.3"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = tt.peer
		r.Header["X-Forwarded-For"] = tt.header
		got := ""
		Behind(proxies, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = Address(r) })).ServeHTTP(httptest.NewRecorder(), r)
		if got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}

func TestWithoutProxiesNoHeaderIsBelieved(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = "127.0.0.1:1000"
	r.Header.Set("X-Forwarded-For", "198.51.100.1")
	Behind(nil, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if got := Address(r); got != "127.0.0.1" {
			t.Error(got)
		}
	})).ServeHTTP(httptest.NewRecorder(), r)
}

func TestProxiesAreNetworks(t *testing.T) {
	for text, want := range map[string]bool{"": true, "10.0.0.0/8": true, " 10.1.2.3 , ::1": true, "0.0.0.0/0": false, "::/0": false, "proxy.example": false, "10.0.0.0/33": false, "fe80::1%eth0": false,
		strings.Repeat("10.0.0.1,", 65): false} {
		if _, err := ParseProxies(text); (err == nil) != want {
			t.Errorf("%.40s: %v", text, err)
		}
	}
}

func FuzzForwarded(f *testing.F) {
	f.Add("10.1.2.3", "198.51.100.1, 10.0.0.1")
	f.Add("10.1.2.3", "[::1]:80,,%")
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	f.Fuzz(func(t *testing.T, peer, header string) {
		client, ok := forwarded(proxies, peer, []string{header})
		if !ok {
			return
		}
		if _, err := netip.ParseAddr(client); err != nil {
			t.Errorf("%q", client)
		}
	})
}
