package vault

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
)

// A namespace is what stands in front of the path: the slug of the caller's organisation, of a project, of both, or the
// beginning of the paths of mounts. Calls on the server itself and on logins are the same in all namespaces of an organisation;
// of mounts they show those of the namespace, under what is left of their paths.

// shared are the first segments of paths that are the same in all namespaces. The encryption service looks at the namespace itself.
var shared = []string{"sys", "auth", "cubbyhole", typeTransit}

// enter looks up the namespace of a call and puts it in front of its path. One that the caller may not know of is refused, as is
// another organisation's.
func (s *Surface) enter(ctx context.Context, c *call, known bool) error {
	if c.namespace == "" {
		return nil
	}
	refused := &shaped{status: http.StatusForbidden, messages: []string{denied}}
	for segment := range strings.SplitSeq(c.namespace, "/") {
		if _, err := domain.ParseSecretName(segment); err != nil { // the characters of mounts
			return refused
		}
	}
	first, rest, _ := strings.Cut(c.namespace, "/")
	own, err := s.Access.InOrg(ctx, domain.Slug(first))
	if err != nil {
		return err
	}
	if !own {
		rest = c.namespace
	}
	if rest != "" && known {
		there, err := s.Secrets.SeesMountBelow(ctx, rest)
		if err != nil {
			return err
		}
		if !there {
			return s.Access.Refused(ctx, fault.New(fault.Unauthenticated, "no such namespace"))
		}
	}
	c.prefix = rest
	first, _, _ = strings.Cut(c.path, "/")
	if !slices.Contains(shared, first) {
		c.path = c.full(c.path)
	}
	c.writer.Header().Set("X-Vault-Namespace", c.namespace)
	return nil
}

// full puts the namespace in front of a path.
func (c *call) full(path string) string {
	path = strings.TrimPrefix(path, "/")
	first, _, _ := strings.Cut(path, "/")
	if c.prefix == "" || slices.Contains(shared, first) {
		return path
	}
	return c.prefix + "/" + path
}

// within gives what is left of a mount's path in the namespace of the call; false for mounts of others.
func (c *call) within(mount string) (string, bool) {
	if c.prefix == "" {
		return mount, true
	}
	if mount == c.prefix { // the project itself: its mount has no name of its own in here
		return "", true
	}
	return strings.CutPrefix(mount, c.prefix+"/")
}

// bareToken undresses a token that stands in a body.
func bareToken(token string) string { return domain.BareToken(strings.TrimSpace(token)) }
