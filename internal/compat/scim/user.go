package scim

import (
	"context"
	"net/http"
	"time"

	"github.com/keyturn/keyturn/internal/access"
	"github.com/keyturn/keyturn/internal/fault"
)

func meta(kind, id string, created, updated time.Time) map[string]any {
	return map[string]any{"resourceType": kind, "created": created.Format(time.RFC3339), "lastModified": updated.Format(time.RFC3339), "location": Prefix + "/" + kind + "s/" + id}
}

func userOf(u access.DirectoryUser) map[string]any {
	out := map[string]any{"schemas": []string{schemaUser}, "id": u.ID, "userName": u.UserName, "displayName": u.Name, "active": u.Active,
		"name":   map[string]any{"formatted": u.Name, "givenName": u.GivenName, "familyName": u.FamilyName},
		"emails": []map[string]any{{"value": u.Email, "type": "work", "primary": true}}, "meta": meta("User", u.ID, u.Created, u.Updated)}
	if u.ExternalID != "" {
		out["externalId"] = u.ExternalID
	}
	return out
}

// readUser reads a whole user.
func readUser(o object) (access.DirectoryUser, error) {
	u := access.DirectoryUser{Active: true}
	for name, value := range o {
		if err := setUser(&u, name, value); err != nil {
			return u, err
		}
	}
	if u.UserName == "" {
		return u, wrong("invalidValue", "userName is missing")
	}
	return u, nil
}

// setUser sets one attribute by its name in small letters. Those that nothing here has a use for are taken and forgotten.
func setUser(u *access.DirectoryUser, name string, value any) error {
	text := func(into *string) (err error) {
		*into, err = object{name: value}.text(name)
		return err
	}
	switch name {
	case "username":
		return text(&u.UserName)
	case "externalid":
		return text(&u.ExternalID)
	case "displayname", "name.formatted":
		if value == nil {
			return nil
		}
		return text(&u.Name)
	case "name.givenname":
		return text(&u.GivenName)
	case "name.familyname":
		return text(&u.FamilyName)
	case "name":
		o, ok := value.(object)
		if !ok {
			return wrong("invalidValue", "name is not an object")
		}
		for part, v := range o {
			if part == "formatted" && u.Name != "" {
				continue // the display name is what people chose to be shown
			}
			if err := setUser(u, "name."+part, v); err != nil {
				return err
			}
		}
		return nil
	case "active":
		active, err := truth(value)
		u.Active = active
		return err
	case "emails":
		return setEmails(u, value)
	case "emails.value":
		return text(&u.Email)
	case "password":
		return wrong("mutability", "passwords are not taken from directories")
	}
	return nil
}

// setEmails takes the primary address, else that for work, else the first.
func setEmails(u *access.DirectoryUser, value any) error {
	all, err := many(value)
	if err != nil {
		return err
	}
	best := -1
	for _, e := range all {
		address, err := e.text("value")
		if err != nil {
			return err
		}
		rank := 0
		if kind, _ := e.text("type"); kind == "work" {
			rank = 1
		}
		if primary, err := truth(e["primary"]); err == nil && primary {
			rank = 2
		}
		if rank > best {
			u.Email, best = address, rank
		}
	}
	if best < 0 {
		u.Email = ""
	}
	return nil
}

func (s *Surface) listUsers(ctx context.Context, r *http.Request) (int, any, error) {
	start, count, err := page(r)
	if err != nil {
		return 0, nil, err
	}
	f, err := filterOf(r.URL.Query().Get("filter"), true)
	if err != nil {
		return 0, nil, err
	}
	rows, total, err := s.access.DirectoryUsers(ctx, f, start-1, count)
	if err != nil {
		return 0, nil, err
	}
	out := make([]map[string]any, 0, len(rows))
	for _, u := range rows {
		out = append(out, userOf(u))
	}
	return http.StatusOK, list(total, start, out), nil
}

func (s *Surface) createUser(ctx context.Context, r *http.Request) (int, any, error) {
	o, err := read(r)
	if err != nil {
		return 0, nil, err
	}
	u, err := readUser(o)
	if err != nil {
		return 0, nil, err
	}
	made, err := s.access.CreateDirectoryUser(ctx, u)
	return http.StatusCreated, userOf(made), err
}

func (s *Surface) getUser(ctx context.Context, r *http.Request) (int, any, error) {
	rows, _, err := s.access.DirectoryUsers(ctx, access.DirectoryFilter{ID: r.PathValue("id")}, 0, 1)
	if err == nil && len(rows) == 0 {
		err = fault.New(fault.NotFound, "the directory keeps no such user here")
	}
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, userOf(rows[0]), nil
}

func (s *Surface) putUser(ctx context.Context, r *http.Request) (int, any, error) {
	o, err := read(r)
	if err != nil {
		return 0, nil, err
	}
	u, err := readUser(o)
	if err != nil {
		return 0, nil, err
	}
	now, err := s.access.ChangeDirectoryUser(ctx, r.PathValue("id"), func(was *access.DirectoryUser) error {
		*was = u
		return nil
	})
	return http.StatusOK, userOf(now), err
}

func (s *Surface) patchUser(ctx context.Context, r *http.Request) (int, any, error) {
	ops, err := readPatch(r)
	if err != nil {
		return 0, nil, err
	}
	now, err := s.access.ChangeDirectoryUser(ctx, r.PathValue("id"), func(u *access.DirectoryUser) error {
		for _, op := range ops {
			if err := op.onUser(u); err != nil {
				return err
			}
		}
		return nil
	})
	return http.StatusOK, userOf(now), err
}

func (s *Surface) deleteUser(ctx context.Context, r *http.Request) (int, any, error) {
	return http.StatusNoContent, nil, s.access.DeleteDirectoryUser(ctx, r.PathValue("id"))
}
