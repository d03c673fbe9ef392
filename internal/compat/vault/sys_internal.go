package vault

import (
	"context"
	"net/http"
	"strings"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
)

// sysInternal answers what clients ask before they do something: which mount a path lies below, and what they may do.
func (s *Surface) sysInternal(ctx context.Context, c *call, path string) (*reply, error) {
	switch {
	case path == "ui/mounts" && c.verb == verbRead:
		return s.uiMounts(ctx, c)
	case path == "ui/resultant-acl" && c.verb == verbRead:
		return s.resultantACL(ctx)
	case strings.HasPrefix(path, "ui/mounts/") && c.verb == verbRead:
		return s.preflight(ctx, c, strings.TrimPrefix(path, "ui/mounts/"))
	case path == "ui/mounts", path == "ui/resultant-acl", strings.HasPrefix(path, "ui/mounts/"):
		return nil, unsupported()
	}
	return nil, nothing(c)
}

// preflight tells which mount a path lies below, so that a client knows the version of the engine. What the caller has no right
// under is as if it were not there; another status than 403 would make clients take it for the first version.
func (s *Surface) preflight(ctx context.Context, c *call, path string) (*reply, error) {
	refused := &shaped{status: http.StatusForbidden, messages: []string{
		"preflight capability check returned 403, please ensure client's policies grant access to path \"" + repeatable(strings.Trim(path, "/")) + "/\""}}
	if e, ok := s.always()[firstOf(path)+"/"]; ok {
		e.Path = firstOf(path) + "/"
		return &reply{data: e}, nil
	}
	m, _, err := s.Secrets.ResolveMount(ctx, c.full(path))
	if err != nil && fault.KindOf(err) == fault.NotFound {
		return nil, refused
	}
	if err != nil {
		return nil, err
	}
	e := entryOf(m)
	name, ok := c.within(m.Path)
	if !ok {
		return nil, refused
	}
	e.Path = name + "/"
	return &reply{data: e}, nil
}

func firstOf(path string) string {
	first, _, _ := strings.Cut(path, "/")
	return first
}

// uiMounts lists mounts for pages that people see: without a token none.
func (s *Surface) uiMounts(ctx context.Context, c *call) (*reply, error) {
	secret, auth := map[string]mountEntry{}, map[string]any{}
	visible, err := s.Access.VisibleAuth(ctx, c.namespace)
	if err != nil {
		return nil, err
	}
	for _, m := range visible { // what a page offers to somebody who is not logged in
		auth[m.Path+"/"] = map[string]any{"type": m.Type, "description": m.Description, "options": nil}
	}
	if guard.CallerOf(ctx).Principal.Kind != domain.Anonymous {
		var err error
		if secret, err = s.mountEntries(ctx, c); err != nil {
			return nil, err
		}
		auth["token/"] = mountEntry{Type: "token", Description: "token based credentials", UUID: s.Instance.ID, Accessor: "auth_token_" + s.Instance.ID[max(0, len(s.Instance.ID)-accessorDigits):]}
	}
	return &reply{data: map[string]any{"secret": secret, "auth": auth}}, nil
}

// resultantACL tells pages whether the caller may do everything. Of others it names no paths: pages then try and see.
func (s *Surface) resultantACL(ctx context.Context) (*reply, error) {
	found, err := s.Access.Capabilities(ctx, s.Secrets, []string{"sys/"})
	if err != nil {
		return nil, err
	}
	root := len(found["sys/"]) == 1 && found["sys/"][0] == "root"
	return &reply{data: map[string]any{"root": root, "exact_paths": struct{}{}, "glob_paths": struct{}{}}}, nil
}
