package outbound_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/outbound"
)

const limit = 5 * time.Second

func rules(t *testing.T, text string) outbound.Rules {
	t.Helper()
	r, err := outbound.ParseRules(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestOnlyPublicAddressesAreReachedUnlessTheyAreNamed(t *testing.T) {
	for address, want := range map[string]bool{
		"127.0.0.1": false, "127.8.8.8": false, "10.0.0.1": false, "172.16.0.1": false, "192.168.1.1": false, "169.254.169.254": false,
		"100.100.100.200": false, "0.0.0.0": false, "255.255.255.255": false, "224.0.0.1": false, "198.18.0.1": false, "192.0.2.1": false,
		"::1": false, "::": false, "fe80::1": false, "fe80::1%eth0": false, "fd00::1": false, "fec0::1": false, "ff02::1": false,
		"::ffff:127.0.0.1": false, "::ffff:10.0.0.1": false, "64:ff9b::7f00:1": false, "2002:7f00:1::": false, "2001:db8::1": false,
		"8.8.8.8": true, "::ffff:8.8.8.8": true, "2606:4700:4700::1111": true,
		"10.9.0.7": true, "10.9.1.7": false, // the first is allowed below
	} {
		if got := rules(t, "10.9.0.0/24").Allows(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: %v, want %v", address, got, want)
		}
	}
}

func TestAListOfNetworksIsReadStrictly(t *testing.T) {
	for text, ok := range map[string]bool{
		"": true, "10.0.0.0/8": true, "10.0.0.1, 192.168.0.0/16\n::1": true, "10.0.0.0/33": false, "inside": false, "::ffff:10.0.0.1": false, "10.0.0": false,
	} {
		if _, err := outbound.ParseRules(text); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestAnAddressInsideIsRefusedHoweverItIsSpelled(t *testing.T) {
	touched := make(chan string, 10)
	inner := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { touched <- r.URL.Path }))
	defer inner.Close()
	_, port, _ := net.SplitHostPort(inner.Listener.Addr().String())
	for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "127.1", "0", "2130706433"} {
		_, err := rules(t, "").Client(limit).Get("http://" + host + ":" + port + "/inner")
		if err == nil {
			t.Errorf("%s was reached", host)
		}
	}
	select {
	case path := <-touched:
		t.Errorf("the inner server was asked for %s", path)
	default:
	}
}

// resolver answers every name with one address: a name outside whose owner points it inside.
func resolver(t *testing.T, to [4]byte) *net.Resolver {
	t.Helper()
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go func() {
			defer theirs.Close()
			var size [2]byte
			for {
				if _, err := theirs.Read(size[:]); err != nil {
					return
				}
				b := make([]byte, int(size[0])<<8|int(size[1]))
				if _, err := theirs.Read(b); err != nil {
					return
				}
				var m dnsmessage.Message
				if m.Unpack(b) != nil {
					return
				}
				m.Response = true
				if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
					m.Answers = []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 1}, Body: &dnsmessage.AResource{A: to}}}
				}
				m.Additionals = nil
				out, err := m.Pack()
				if err != nil {
					return
				}
				if _, err := theirs.Write(append([]byte{byte(len(out) >> 8), byte(len(out))}, out...)); err != nil {
					return
				}
			}
		}()
		return ours, nil
	}}
}

func TestANameThatPointsInsideIsRefused(t *testing.T) {
	touched := false
	inner := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { touched = true }))
	defer inner.Close()
	_, port, _ := net.SplitHostPort(inner.Listener.Addr().String())
	names := resolver(t, [4]byte{127, 0, 0, 1})
	_, err := rules(t, "").WithResolver(names).Client(limit).Get("http://hook.example.test:" + port)
	if fault.KindOf(err) != fault.Denied || touched {
		t.Errorf("got %v, touched %v", err, touched)
	}
	answer, err := rules(t, "127.0.0.1").WithResolver(names).Client(limit).Get("http://hook.example.test:" + port)
	if err != nil {
		t.Fatalf("a network that is named is not reached: %v", err)
	}
	_ = answer.Body.Close()
}

func TestARedirectInsideOrToAnotherHostIsNotFollowed(t *testing.T) {
	touched := false
	inner := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { touched = true }))
	defer inner.Close()
	outer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, inner.URL, http.StatusTemporaryRedirect)
	}))
	defer outer.Close()
	_, err := rules(t, "127.0.0.0/8").Client(limit).Post(outer.URL, "text/plain", strings.NewReader("x"))
	if fault.KindOf(err) != fault.Denied || touched {
		t.Errorf("got %v, touched %v", err, touched)
	}
}

func TestABodyIsReadUpToItsLimit(t *testing.T) {
	if b, err := outbound.ReadAll(strings.NewReader("1234"), 4); err != nil || string(b) != "1234" {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := outbound.ReadAll(strings.NewReader("12345"), 4); !errors.Is(err, fault.Exhausted) {
		t.Errorf("a longer one: %v", err)
	}
}
