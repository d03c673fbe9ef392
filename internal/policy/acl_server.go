package policy

import (
	"slices"
	"strings"

	"github.com/keyturn/keyturn/internal/domain"
)

// open are the paths of the server that everybody may use who has a token, whatever his policies say. A policy may name them,
// as those of Vault do, and it changes nothing. A slash at the end stands for all that begins so.
var open = []string{
	"auth/token/lookup-self", "auth/token/renew-self", "auth/token/revoke-self", "cubbyhole/",
	"sys/capabilities-self", "sys/health", "sys/init", "sys/leader", "sys/seal-status", "sys/internal/ui/mounts", "sys/internal/ui/mounts/", "sys/internal/ui/resultant-acl",
	"sys/leases/lookup", "sys/leases/renew", "sys/leases/renew/", "sys/renew", "sys/renew/", "sys/tools/", "sys/wrapping/",
}

// isOpen tells whether everything that a path stands for is open to everybody.
func isOpen(path string) bool {
	fixed := path
	if i := strings.IndexAny(path, "+*"); i >= 0 {
		fixed = path[:i]
	}
	return slices.ContainsFunc(open, func(o string) bool {
		return path == o || strings.HasSuffix(o, "/") && (strings.HasPrefix(fixed, o) || path+"/" == o)
	})
}

// createToken makes tokens that can do no more than the one that is shown.
const createToken = "auth/token/create"

// server takes in what a path says of the server itself; done is false when it is about a mount.
func (t *translation) server(p *ACLPath) (done bool, err error) {
	first, _, inside := strings.Cut(p.Path, "/")
	switch {
	case isOpen(p.Path):
		if p.can(CanDeny) {
			return true, aclRefused(p.Line, "this is open to everybody who has a token and cannot be denied", "take the path out")
		}
		return true, nil
	case strings.ContainsAny(first, "+*"), !inside && first == "sys", !inside && first == "auth":
		return true, aclRefused(p.Line, "the path stands for more than one mount, the administration among them",
			"write one path for each mount, such as secret/*; who shall administer the server has the role admin")
	case p.Path == createToken:
		if p.can(CanUpdate) {
			t.other = append(t.other, domain.Rule{Effect: domain.Allow, Actions: []string{string(TokenCreate)}})
			return true, nil
		}
		return true, aclRefused(p.Line, "tokens are made with update, and no policy can keep somebody from it whose other roles give it", "write update, or take the path out")
	case first == "sys", first == "auth", first == "identity":
		if len(p.Capabilities) == 0 || p.can(CanDeny) && len(p.Capabilities) == 1 {
			return true, nil // nobody has it by a policy
		}
		return true, aclRefused(p.Line, "this is administration, whose rights are wider here than a path", "take it out, and give who needs it the role admin, or a role with access.manage or project.update")
	}
	return false, nil
}
