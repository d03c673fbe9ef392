package httpkit

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/keyturn/keyturn/internal/fault"
)

// maxProxies bounds the networks of trusted proxies, and the addresses that are read of one request.
const maxProxies = 64

// ParseProxies reads networks in CIDR form or single addresses, separated by commas.
func ParseProxies(s string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for item := range strings.SplitSeq(s, ",") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		p, err := netip.ParsePrefix(item)
		if err != nil {
			ip, err := netip.ParseAddr(item)
			if err != nil || ip.Zone() != "" {
				return nil, fault.New(fault.Invalid, "want networks such as 10.0.0.0/8, separated by commas")
			}
			p = netip.PrefixFrom(ip.Unmap(), ip.Unmap().BitLen())
		}
		if p.Bits() == 0 {
			return nil, fault.New(fault.Invalid, "a network that holds every address trusts everybody")
		}
		out = append(out, p.Masked())
	}
	if len(out) > maxProxies {
		return nil, fault.New(fault.Invalid, "want at most %d networks", maxProxies)
	}
	return out, nil
}

// Behind gives every request the address of the client, where a trusted proxy passed it on in X-Forwarded-For. Each proxy adds
// on the right whom it has spoken to, so the client is the right-most address that is no proxy of ours; what stands left of it
// anybody can have written. From others the header is not looked at.
func Behind(proxies []netip.Prefix, next http.Handler) http.Handler {
	if len(proxies) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if client, ok := forwarded(proxies, Address(r), r.Header.Values("X-Forwarded-For")); ok {
			r.RemoteAddr = net.JoinHostPort(client, "0")
		}
		next.ServeHTTP(w, r)
	})
}

func forwarded(proxies []netip.Prefix, peer string, header []string) (client string, ok bool) {
	trusted := func(ip netip.Addr) bool {
		for _, p := range proxies {
			if p.Contains(ip) {
				return true
			}
		}
		return false
	}
	at, err := parseHop(peer)
	if err != nil || !trusted(at) {
		return "", false
	}
	hops := strings.Split(strings.Join(header, ","), ",")
	for i := len(hops) - 1; i >= max(0, len(hops)-maxProxies); i-- {
		ip, err := parseHop(strings.TrimSpace(hops[i]))
		if err != nil { // no proxy writes this: nothing left of it is believed
			break
		}
		if at = ip; !trusted(ip) {
			break
		}
	}
	return at.String(), true
}

// parseHop reads an address, with a port as some proxies write it.
func parseHop(s string) (netip.Addr, error) {
	if p, err := netip.ParseAddrPort(s); err == nil {
		return p.Addr().Unmap().WithZone(""), nil
	}
	ip, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	return ip.Unmap().WithZone(""), err
}
