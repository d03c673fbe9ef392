package scim

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/keyturn/keyturn/internal/access"
	"github.com/keyturn/keyturn/internal/fault"
)

func groupOf(g access.DirectoryGroup) map[string]any {
	members := make([]map[string]any, 0, len(g.Members))
	for _, id := range g.Members {
		members = append(members, map[string]any{"value": id, "type": "User", "$ref": Prefix + "/Users/" + id})
	}
	out := map[string]any{"schemas": []string{schemaGroup}, "id": g.ID, "displayName": g.Name, "members": members, "meta": meta("Group", g.ID, g.Created, g.Updated)}
	if g.ExternalID != "" {
		out["externalId"] = g.ExternalID
	}
	return out
}

func readGroup(o object) (access.DirectoryGroup, error) {
	var g access.DirectoryGroup
	var err error
	if g.Name, err = o.text("displayname"); err != nil {
		return g, err
	}
	if g.ExternalID, err = o.text("externalid"); err != nil {
		return g, err
	}
	g.Members, err = memberIDs(o["members"])
	return g, err
}

// wantsMembers tells whether an answer shall hold members: directories leave them out, since groups are large.
func wantsMembers(r *http.Request) bool {
	without := strings.Split(strings.ToLower(r.URL.Query().Get("excludedAttributes")), ",")
	only := strings.ToLower(r.URL.Query().Get("attributes"))
	return !slices.Contains(without, "members") && (only == "" || slices.ContainsFunc(strings.Split(only, ","), func(a string) bool { return strings.HasPrefix(strings.TrimSpace(a), "members") }))
}

func groupFor(r *http.Request, g access.DirectoryGroup) map[string]any {
	out := groupOf(g)
	if !wantsMembers(r) {
		delete(out, "members")
	}
	return out
}

func (s *Surface) listGroups(ctx context.Context, r *http.Request) (int, any, error) {
	start, count, err := page(r)
	if err != nil {
		return 0, nil, err
	}
	f, err := filterOf(r.URL.Query().Get("filter"), false)
	if err != nil {
		return 0, nil, err
	}
	rows, total, err := s.access.DirectoryGroups(ctx, f, start-1, count, wantsMembers(r))
	if err != nil {
		return 0, nil, err
	}
	out := make([]map[string]any, 0, len(rows))
	for _, g := range rows {
		out = append(out, groupFor(r, g))
	}
	return http.StatusOK, list(total, start, out), nil
}

func (s *Surface) createGroup(ctx context.Context, r *http.Request) (int, any, error) {
	o, err := read(r)
	if err != nil {
		return 0, nil, err
	}
	g, err := readGroup(o)
	if err != nil {
		return 0, nil, err
	}
	made, err := s.access.CreateDirectoryGroup(ctx, g)
	return http.StatusCreated, groupFor(r, made), err
}

func (s *Surface) getGroup(ctx context.Context, r *http.Request) (int, any, error) {
	rows, _, err := s.access.DirectoryGroups(ctx, access.DirectoryFilter{ID: r.PathValue("id")}, 0, 1, wantsMembers(r))
	if err == nil && len(rows) == 0 {
		err = fault.New(fault.NotFound, "the directory keeps no such group here")
	}
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, groupFor(r, rows[0]), nil
}

func (s *Surface) putGroup(ctx context.Context, r *http.Request) (int, any, error) {
	o, err := read(r)
	if err != nil {
		return 0, nil, err
	}
	g, err := readGroup(o)
	if err != nil {
		return 0, nil, err
	}
	now, err := s.access.ChangeDirectoryGroup(ctx, r.PathValue("id"), func(was *access.DirectoryGroup) error {
		was.Name, was.ExternalID, was.Members = g.Name, g.ExternalID, g.Members
		return nil
	})
	return http.StatusOK, groupFor(r, now), err
}

func (s *Surface) patchGroup(ctx context.Context, r *http.Request) (int, any, error) {
	ops, err := readPatch(r)
	if err != nil {
		return 0, nil, err
	}
	now, err := s.access.ChangeDirectoryGroup(ctx, r.PathValue("id"), func(g *access.DirectoryGroup) error {
		for _, op := range ops {
			if err := op.onGroup(g); err != nil {
				return err
			}
		}
		return nil
	})
	return http.StatusOK, groupFor(r, now), err
}

func (s *Surface) deleteGroup(ctx context.Context, r *http.Request) (int, any, error) {
	return http.StatusNoContent, nil, s.access.DeleteDirectoryGroup(ctx, r.PathValue("id"))
}
