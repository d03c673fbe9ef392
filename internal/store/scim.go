package store

import (
	"context"
	"strings"

	"github.com/keyturn/keyturn/internal/domain"
)

// SCIMUser is what a directory keeps of somebody beside what the account itself holds.
type SCIMUser struct {
	User       domain.UserID `db:"user_id,key"`
	Org        domain.OrgID  `db:"org_id"`
	Connection string        `db:"connection_id"`
	UserName   string        `db:"user_name"`
	UserKey    string        `db:"user_key"` // UserName in small letters
	ExternalID string        `db:"external_id"`
	GivenName  string        `db:"given_name"`
	FamilyName string        `db:"family_name"`
	CreatedAt  int64         `db:"created_at"`
	UpdatedAt  int64         `db:"updated_at"`
}

// SCIMGroup is what a directory keeps of a group beside what the group itself holds.
type SCIMGroup struct {
	Group      domain.GroupID `db:"group_id,key"`
	Org        domain.OrgID   `db:"org_id"`
	Connection string         `db:"connection_id"`
	ExternalID string         `db:"external_id"`
	CreatedAt  int64          `db:"created_at"`
	UpdatedAt  int64          `db:"updated_at"`
}

var (
	scimUsers  = newTable[SCIMUser]("scim_user", true)
	scimGroups = newTable[SCIMGroup]("scim_group", true)
)

// SCIMFilter narrows a list. Empty fields ask nothing.
type SCIMFilter struct {
	ID         string
	UserKey    string // of users
	Email      domain.Email
	ExternalID string
	Name       string // of groups
	Member     string // of groups
	Active     *bool  // of users
	// Nothing is set by filters that fit nobody.
	Nothing bool
}

func (f SCIMFilter) users(connection string) (string, []any) {
	where, args := []string{"connection_id = ?"}, []any{connection}
	add := func(text string, arg ...any) { where, args = append(where, text), append(args, arg...) }
	if f.ID != "" {
		add("user_id = ?", f.ID)
	}
	if f.UserKey != "" {
		add("user_key = ?", f.UserKey)
	}
	if f.ExternalID != "" {
		add("external_id = ?", f.ExternalID)
	}
	if f.Email != "" {
		add("user_id IN (SELECT id FROM person WHERE email = ?)", string(f.Email))
	}
	if f.Active != nil {
		disabled := int64(1)
		if *f.Active {
			disabled = 0
		}
		add("EXISTS (SELECT 1 FROM person WHERE person.id = scim_user.user_id AND person.disabled = ?)", disabled)
	}
	if f.Nothing {
		add("1 = 0")
	}
	return "WHERE " + strings.Join(where, " AND "), args
}

func (f SCIMFilter) groups(connection string) (string, []any) {
	where, args := []string{"connection_id = ?"}, []any{connection}
	add := func(text string, arg ...any) { where, args = append(where, text), append(args, arg...) }
	if f.ID != "" {
		add("group_id = ?", f.ID)
	}
	if f.ExternalID != "" {
		add("external_id = ?", f.ExternalID)
	}
	if f.Name != "" {
		add("group_id IN (SELECT id FROM user_group WHERE name = ?)", f.Name)
	}
	if f.Member != "" {
		add("group_id IN (SELECT group_id FROM group_member WHERE member_id = ?)", f.Member)
	}
	if f.Nothing {
		add("1 = 0")
	}
	return "WHERE " + strings.Join(where, " AND "), args
}

// SCIMUsers gives a page of the users of a directory, and how many fit altogether.
func (q Queries) SCIMUsers(ctx context.Context, connection string, f SCIMFilter, skip, limit int64) ([]SCIMUser, int64, error) {
	where, args := f.users(connection)
	total, err := q.count(ctx, "SELECT count(*) FROM scim_user "+where, args...)
	if err != nil || limit == 0 || skip >= total {
		return nil, total, err
	}
	rows, err := scimUsers.list(ctx, q.q, where+" ORDER BY user_id LIMIT ? OFFSET ?", append(args, limit, skip)...)
	return rows, total, err
}

// SCIMUser finds one.
func (q Queries) SCIMUser(ctx context.Context, id domain.UserID) (SCIMUser, error) {
	return scimUsers.one(ctx, q.q, "WHERE user_id = ?", string(id))
}

// PutSCIMUser stores one.
func (tx *Tx) PutSCIMUser(ctx context.Context, row *SCIMUser) error {
	return scimUsers.put(ctx, tx, row)
}

// RemoveSCIMUser removes one; the account stays.
func (tx *Tx) RemoveSCIMUser(ctx context.Context, row *SCIMUser) error {
	return scimUsers.remove(ctx, tx, row)
}

// SCIMGroups gives a page of the groups of a directory, and how many fit altogether.
func (q Queries) SCIMGroups(ctx context.Context, connection string, f SCIMFilter, skip, limit int64) ([]SCIMGroup, int64, error) {
	where, args := f.groups(connection)
	total, err := q.count(ctx, "SELECT count(*) FROM scim_group "+where, args...)
	if err != nil || limit == 0 || skip >= total {
		return nil, total, err
	}
	rows, err := scimGroups.list(ctx, q.q, where+" ORDER BY group_id LIMIT ? OFFSET ?", append(args, limit, skip)...)
	return rows, total, err
}

// SCIMGroup finds one.
func (q Queries) SCIMGroup(ctx context.Context, id domain.GroupID) (SCIMGroup, error) {
	return scimGroups.one(ctx, q.q, "WHERE group_id = ?", string(id))
}

// PutSCIMGroup stores one.
func (tx *Tx) PutSCIMGroup(ctx context.Context, row *SCIMGroup) error {
	return scimGroups.put(ctx, tx, row)
}

// RemoveSCIMGroup removes one; the group itself is removed after it.
func (tx *Tx) RemoveSCIMGroup(ctx context.Context, row *SCIMGroup) error {
	return scimGroups.remove(ctx, tx, row)
}

// idsAtOnce bounds the ids of one question, so that the texts of statements stay few.
const idsAtOnce = 200

// PersonsByID finds many, in no order.
func (q Queries) PersonsByID(ctx context.Context, ids []string) ([]Person, error) {
	var out []Person
	for len(ids) > 0 {
		n := min(len(ids), idsAtOnce)
		args := make([]any, n)
		for i, id := range ids[:n] {
			args[i] = id
		}
		rows, err := persons.list(ctx, q.q, "WHERE id IN ("+strings.TrimSuffix(strings.Repeat("?, ", n), ", ")+")", args...)
		if err != nil {
			return nil, err
		}
		out, ids = append(out, rows...), ids[n:]
	}
	return out, nil
}
