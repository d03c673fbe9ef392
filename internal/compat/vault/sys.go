package vault

import (
	"context"
	"net/http"
	"strings"
)

// sys answers the calls below sys/: those on the server itself, on mounts, policies and capabilities here, those on wrapping,
// leases, tools and logins elsewhere.
func (s *Surface) sys(ctx context.Context, c *call) (*reply, error) {
	rest, _ := c.below("sys/")
	first, below, _ := strings.Cut(rest, "/")
	switch first {
	case "health", "seal-status", "init", "leader", "unseal", "seal", "key-status", "rotate", "audit":
		return s.sysServer(ctx, c, rest)
	case "mounts", "remount":
		return s.sysMounts(ctx, c, rest)
	case "internal":
		return s.sysInternal(ctx, c, below)
	case "policies", "policy":
		return s.sysPolicies(ctx, c, rest)
	case "capabilities", "capabilities-self", "capabilities-accessor":
		return s.sysCapabilities(ctx, c, rest)
	case "auth":
		return s.sysAuth(ctx, c)
	case "wrapping":
		return s.sysWrapping(ctx, c)
	case "leases", "renew", "revoke", "revoke-prefix", "revoke-force":
		return s.sysLeases(ctx, c)
	case "tools":
		return s.sysTools(ctx, c)
	case "events":
		return s.sysEvents(ctx, c)
	}
	return nil, nothing(c)
}

// sysServer answers the calls on the server itself.
func (s *Surface) sysServer(ctx context.Context, c *call, path string) (*reply, error) {
	type answer func(context.Context, *call) (*reply, error)
	bare := func(v any) answer {
		return func(context.Context, *call) (*reply, error) { return &reply{bare: v}, nil }
	}
	no := func(words string) answer {
		return func(context.Context, *call) (*reply, error) { return nil, bad(words) }
	}
	read := map[string]answer{
		"health": s.health, "seal-status": bare(s.Instance.sealStatus(nil)), "init": bare(initStatus{true}), "leader": bare(notClustered),
		"key-status": s.keyStatus, "audit": func(context.Context, *call) (*reply, error) { return &reply{data: struct{}{}, copies: true}, nil },
	}
	write := map[string]answer{
		"init":   no("Vault is already initialized"),
		"unseal": bare(s.Instance.sealStatus(nil)), // it is open
		"seal":   no("this server is sealed when it stops: stop it, and it waits for its root key at the next start"),
		"rotate": no("turn keys with: keyturn keys rotate"),
	}
	for verb, table := range map[verb]map[string]answer{verbRead: read, verbList: read, verbWrite: write} {
		if found, ok := table[path]; ok && c.verb == verb {
			return found(ctx, c)
		}
	}
	if strings.HasPrefix(path, "audit/") {
		if c.verb == verbWrite || c.verb == verbDelete {
			return nil, bad("the log of this server is always on; where it is sent on is set with: keyturn audit stream")
		}
		return nil, nothing(c)
	}
	if read[path] != nil || write[path] != nil {
		return nil, unsupported()
	}
	return nil, nothing(c)
}

// keyStatus tells of the key under which all others lie.
func (s *Surface) keyStatus(ctx context.Context, _ *call) (*reply, error) {
	all, err := s.Keys.Status(ctx)
	if err != nil {
		return nil, err
	}
	out := struct {
		Term        uint32 `json:"term"`
		InstallTime string `json:"install_time"`
		Encryptions int64  `json:"encryptions"`
	}{}
	for _, k := range all.Keys {
		if k.Layer == "instance" && k.Generation >= out.Term {
			out.Term, out.InstallTime, out.Encryptions = k.Generation, stamp(k.CreatedAt.UnixMilli()), k.Seals
		}
	}
	return &reply{data: out, copies: true}, nil
}

// healthCodes are the parameters that put another status in place of the usual one, with what that is.
var healthCodes = map[string]int{"activecode": http.StatusOK, "sealedcode": http.StatusServiceUnavailable}

// healthCode gives the status of an answer about health. Health is asked with any number, such as 299 by the Go client.
func healthCode(c *call, parameter string) (int, error) {
	code, err := c.fields.integer(parameter)
	switch {
	case err != nil || code != 0 && (code < http.StatusContinue+100 || code > maxStatus):
		return 0, bad("bad " + parameter)
	case code == 0:
		return healthCodes[parameter], nil
	}
	return int(code), nil
}

// maxStatus is the last status that HTTP can carry.
const maxStatus = 599

func (s *Surface) health(_ context.Context, c *call) (*reply, error) {
	code, err := healthCode(c, "activecode")
	return &reply{bare: s.Instance.health(false), status: code}, err
}
