package access

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
)

const (
	// maxDirectoryText bounds a name or an id that a directory gives, in bytes.
	maxDirectoryText = 256
	// maxDirectoryUsers bounds the people that one directory keeps here.
	maxDirectoryUsers = 100_000
)

// DirectoryFilter narrows a list of what a directory keeps here. Empty fields ask nothing.
type DirectoryFilter = store.SCIMFilter

// DirectoryUser is a person as a directory keeps him here (RFC 7643, section 4.1).
type DirectoryUser struct {
	ID         string
	UserName   string
	ExternalID string
	Email      string // "" for the user name, which is an address then
	Name       string
	GivenName  string
	FamilyName string
	Active     bool
	Created    time.Time
	Updated    time.Time
}

// SCIMToken makes a token with which a directory keeps people and groups, and the connection for it when there is none of the
// name. The token may do nothing else, and is shown this once.
func (s *Service) SCIMToken(ctx context.Context, in api.SCIMTokenRequest, ttl time.Duration) (store.Token, sensitive.Value, error) {
	if ttl < minTokenTTL || ttl > maxTokenTTL {
		return store.Token{}, sensitive.Value{}, fault.New(fault.Invalid, "the lifetime must be between %v and 366 days", minTokenTTL).WithField("/ttl", "out of range")
	}
	name, err := domain.ParseSlug(in.Connection)
	if err != nil {
		return store.Token{}, sensitive.Value{}, err
	}
	domains, err := ssoDomains(in.Domains)
	if err != nil {
		return store.Token{}, sensitive.Value{}, err
	}
	var row store.Token
	var value sensitive.Value
	err = s.manage(ctx, map[string]string{"sso": string(name), "change": "directory token"}, func(tx *store.Tx, p guard.Permit) error {
		c, err := tx.SSOConnectionByName(ctx, string(name))
		switch {
		case err != nil && fault.KindOf(err) != fault.NotFound:
			return err
		case err == nil && (c.Org != p.Org() || c.Kind != ssoSCIM):
			return fault.New(fault.Exists, "there is a connection of this name, and it is no directory that calls us").WithHint("choose another name")
		case err != nil:
			all, err := tx.AllSSOConnections(ctx)
			if err != nil {
				return err
			}
			if len(all) >= maxConnections {
				return fault.New(fault.Exhausted, "there are %d connections already, and no more are kept", maxConnections)
			}
			c = store.SSOConnection{ID: domain.NewID[string](), Org: p.Org(), Kind: ssoSCIM, Name: string(name), Settings: []byte("{}"), Rules: store.SSORules{Domains: domains},
				Enabled: true, CreatedAt: tx.Now(), CreatedBy: p.Principal().ID}
			if err := ownDomains(all, c); err != nil {
				return err
			}
			if err := tx.PutSSOConnection(ctx, &c); err != nil {
				return err
			}
		}
		row, value, err = putToken(ctx, tx, store.Token{Org: p.Org(), Kind: domain.SCIMToken, Name: "directory " + c.Name, PrincipalKind: domain.Directory, PrincipalID: c.ID,
			ExpiresAt: tx.Now() + ttl.Milliseconds()})
		return err
	})
	return row, value, err
}

func (s *Service) directoryOp(ctx context.Context, facts map[string]string) guard.Op {
	return guard.Op{Action: policy.DirectoryManage, Resource: policy.Resource{Org: guard.CallerOf(ctx).Principal.Org}, Detail: facts}
}

// callingDirectory refuses everybody but a directory: others have no people of their own here.
func callingDirectory(p guard.Permit) error {
	if p.Principal().Kind != domain.Directory {
		return fault.New(fault.Denied, "only directories keep people here by SCIM").WithHint("make a token for one with: keyturn scim token")
	}
	return nil
}

// keepDirectory runs a change that a directory asks for.
func (s *Service) keepDirectory(ctx context.Context, facts map[string]string, work func(tx *store.Tx, p guard.Permit, c store.SSOConnection) error) error {
	return s.door.Do(ctx, s.directoryOp(ctx, facts), func(tx *store.Tx, p guard.Permit) error {
		if err := callingDirectory(p); err != nil {
			return err
		}
		c, err := tx.SSOConnection(ctx, p.Principal().ID)
		if err != nil {
			return err
		}
		if err := work(tx, p, c); err != nil {
			return err
		}
		return s.changed(ctx, tx)
	})
}

// askDirectory runs a question of a directory.
func (s *Service) askDirectory(ctx context.Context, list string, work func(connection string) error) error {
	return s.door.Read(ctx, s.directoryOp(ctx, map[string]string{"list": list}), func(p guard.Permit) error {
		if err := callingDirectory(p); err != nil {
			return err
		}
		return work(p.Principal().ID)
	})
}

// DirectoryUsers gives a page of the calling directory's people, after skip, and how many fit altogether.
func (s *Service) DirectoryUsers(ctx context.Context, f DirectoryFilter, skip, limit int) ([]DirectoryUser, int, error) {
	var out []DirectoryUser
	var total int64
	err := s.askDirectory(ctx, "directory users", func(connection string) error {
		rows, n, err := s.db.SCIMUsers(ctx, connection, f, int64(skip), int64(limit))
		if err != nil {
			return err
		}
		total = n
		ids := make([]string, len(rows))
		for i, r := range rows {
			ids[i] = string(r.User)
		}
		people, err := s.db.PersonsByID(ctx, ids)
		if err != nil {
			return err
		}
		byID := make(map[domain.UserID]store.Person, len(people))
		for _, p := range people {
			byID[p.ID] = p
		}
		for _, r := range rows {
			out = append(out, directoryUser(r, byID[r.User]))
		}
		return nil
	})
	return out, int(total), err
}

func directoryUser(r store.SCIMUser, p store.Person) DirectoryUser {
	return DirectoryUser{ID: string(r.User), UserName: r.UserName, ExternalID: r.ExternalID, Email: string(p.Email), Name: string(p.Name), GivenName: r.GivenName, FamilyName: r.FamilyName,
		Active: !p.Disabled, Created: time.UnixMilli(r.CreatedAt).UTC(), Updated: time.UnixMilli(r.UpdatedAt).UTC()}
}

// check puts what a directory wrote into our forms.
func (u *DirectoryUser) check() (email domain.Email, name domain.Label, err error) {
	for _, text := range []string{u.UserName, u.ExternalID, u.GivenName, u.FamilyName, u.Name} {
		if len(text) > maxDirectoryText || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
			return "", "", fault.New(fault.Invalid, "an attribute is longer than %d bytes or has control characters", maxDirectoryText)
		}
	}
	if strings.TrimSpace(u.UserName) != u.UserName || u.UserName == "" {
		return "", "", fault.New(fault.Invalid, "the user name is missing").WithField("userName", "missing")
	}
	if u.Email == "" {
		u.Email = u.UserName
	}
	if email, err = domain.ParseEmail(u.Email); err != nil {
		return "", "", fault.New(fault.Invalid, "the user needs an e-mail address, in emails or as the user name").WithField("emails", "not valid")
	}
	if u.Name == "" {
		u.Name = strings.TrimSpace(u.GivenName + " " + u.FamilyName)
	}
	if name, err = domain.ParseLabel(u.Name); err != nil {
		name = domain.Label(email)
	}
	return email, name, nil
}

func userKey(name string) string { return strings.ToLower(name) }

func taken(what string) *fault.Error {
	return fault.New(fault.Exists, "a user with this %s exists already", what)
}

// CreateDirectoryUser makes a person, or takes over one whose address lies in a domain that the directory speaks for.
func (s *Service) CreateDirectoryUser(ctx context.Context, in DirectoryUser) (DirectoryUser, error) {
	var out DirectoryUser
	email, name, err := in.check()
	if err != nil {
		return out, err
	}
	err = s.keepDirectory(ctx, map[string]string{"user": string(email), "change": "create"}, func(tx *store.Tx, p guard.Permit, c store.SSOConnection) error {
		if err := freeUserKey(ctx, tx, c, userKey(in.UserName), ""); err != nil {
			return err
		}
		row, err := tx.PersonByEmail(ctx, email)
		switch {
		case err != nil && fault.KindOf(err) != fault.NotFound:
			return err
		case err != nil:
			row = store.Person{ID: domain.NewID[domain.UserID](), Org: c.Org, Email: email, CreatedAt: tx.Now()}
		default:
			if err := mayTakeOver(ctx, tx, c, row); err != nil {
				return err
			}
			p.Note("account", "taken over")
		}
		_, total, err := tx.SCIMUsers(ctx, c.ID, DirectoryFilter{}, 0, 0)
		if err != nil {
			return err
		}
		if total >= maxDirectoryUsers {
			return fault.New(fault.Exhausted, "the directory keeps %d people here already", maxDirectoryUsers)
		}
		row.Name = name
		if err := s.setActive(ctx, tx, &row, in.Active); err != nil {
			return err
		}
		kept := store.SCIMUser{User: row.ID, Org: c.Org, Connection: c.ID, UserName: in.UserName, UserKey: userKey(in.UserName), ExternalID: in.ExternalID,
			GivenName: in.GivenName, FamilyName: in.FamilyName, CreatedAt: tx.Now(), UpdatedAt: tx.Now()}
		out = directoryUser(kept, row)
		return tx.PutSCIMUser(ctx, &kept)
	})
	return out, err
}

// freeUserKey refuses a user name that somebody else in the organisation has.
func freeUserKey(ctx context.Context, tx *store.Tx, c store.SSOConnection, key string, but domain.UserID) error {
	rows, err := tx.SSOConnections(ctx, c.Org)
	if err != nil {
		return err
	}
	for _, other := range rows {
		if other.Kind != ssoSCIM {
			continue
		}
		found, _, err := tx.SCIMUsers(ctx, other.ID, DirectoryFilter{UserKey: key}, 0, 1)
		if err != nil {
			return err
		}
		if len(found) > 0 && found[0].User != but {
			return taken("user name")
		}
	}
	return nil
}

// mayTakeOver refuses an account that the directory may not speak for.
func mayTakeOver(ctx context.Context, tx *store.Tx, c store.SSOConnection, row store.Person) error {
	if row.Org != c.Org || !speaksFor(c.Rules, row.Email) {
		return taken("e-mail address").WithHint("it is taken over only when its domain belongs to the directory: keyturn scim token --domain")
	}
	if _, err := tx.SCIMUser(ctx, row.ID); err == nil {
		return taken("e-mail address")
	} else if fault.KindOf(err) != fault.NotFound {
		return err
	}
	if is, err := exempted(ctx, tx.Queries, c.Org, row.ID); err != nil || is {
		if is {
			err = fault.New(fault.Denied, "this account is the exception from single sign-on and stays out of the directory's hands")
		}
		return err
	}
	return nil
}

// setActive stores a person, and ends everything that somebody has who is not active any more: sessions and tokens, at once.
func (s *Service) setActive(ctx context.Context, tx *store.Tx, row *store.Person, active bool) error {
	if !active && !row.Disabled {
		if is, err := exempted(ctx, tx.Queries, row.Org, row.ID); err != nil || is {
			if is {
				err = fault.New(fault.Denied, "this account is the exception from single sign-on and stays out of the directory's hands")
			}
			return err
		}
		if err := s.endEverything(ctx, tx, *row); err != nil {
			return err
		}
		row.Disabled = true
		if err := tx.PutPerson(ctx, row); err != nil {
			return err
		}
		return s.keepAdmin(ctx, tx, row.Org)
	}
	if active && row.ErasedAt != 0 {
		return fault.New(fault.Denied, "this person was erased")
	}
	row.Disabled = !active
	return tx.PutPerson(ctx, row)
}

// kept finds a person of the calling directory inside a change.
func keptUser(ctx context.Context, tx *store.Tx, c store.SSOConnection, id string) (store.SCIMUser, store.Person, error) {
	row, err := tx.SCIMUser(ctx, domain.UserID(id))
	if err == nil && row.Connection != c.ID || err != nil && fault.KindOf(err) == fault.NotFound {
		return row, store.Person{}, fault.New(fault.NotFound, "the directory keeps no such user here")
	}
	if err != nil {
		return row, store.Person{}, err
	}
	person, err := tx.Person(ctx, row.User)
	return row, person, err
}

// ChangeDirectoryUser changes a person of the calling directory. change gets him as he is.
func (s *Service) ChangeDirectoryUser(ctx context.Context, id string, change func(*DirectoryUser) error) (DirectoryUser, error) {
	var out DirectoryUser
	err := s.keepDirectory(ctx, map[string]string{"user": domain.RecordedName(id), "change": "update"}, func(tx *store.Tx, p guard.Permit, c store.SSOConnection) error {
		row, person, err := keptUser(ctx, tx, c, id)
		if err != nil {
			return err
		}
		was := directoryUser(row, person)
		now := was
		if err := change(&now); err != nil {
			return err
		}
		email, name, err := now.check()
		if err != nil {
			return err
		}
		if email != person.Email {
			if _, err := tx.PersonByEmail(ctx, email); err == nil {
				return taken("e-mail address")
			} else if fault.KindOf(err) != fault.NotFound {
				return err
			}
		}
		if key := userKey(now.UserName); key != row.UserKey {
			if err := freeUserKey(ctx, tx, c, key, row.User); err != nil {
				return err
			}
			row.UserKey = key
		}
		row.UserName, row.ExternalID, row.GivenName, row.FamilyName, row.UpdatedAt = now.UserName, now.ExternalID, now.GivenName, now.FamilyName, tx.Now()
		person.Email, person.Name = email, name
		if now.Active != was.Active {
			p.Note("active", map[bool]string{true: "yes", false: "no"}[now.Active])
		}
		if err := s.setActive(ctx, tx, &person, now.Active); err != nil {
			return err
		}
		out = directoryUser(row, person)
		return tx.PutSCIMUser(ctx, &row)
	})
	return out, err
}

// DeleteDirectoryUser takes a person out of the calling directory: he is disabled, what he had ends, and what he did stays in
// the log.
func (s *Service) DeleteDirectoryUser(ctx context.Context, id string) error {
	return s.keepDirectory(ctx, map[string]string{"user": domain.RecordedName(id), "change": "delete"}, func(tx *store.Tx, _ guard.Permit, c store.SSOConnection) error {
		row, person, err := keptUser(ctx, tx, c, id)
		if err != nil {
			return err
		}
		if err := s.setActive(ctx, tx, &person, false); err != nil {
			return err
		}
		places, err := tx.GroupsOf(ctx, id)
		if err != nil {
			return err
		}
		for i := range places {
			if places[i].Cause == ssoCause(c.ID) {
				if err := tx.RemoveGroupMember(ctx, &places[i]); err != nil {
					return err
				}
			}
		}
		return tx.RemoveSCIMUser(ctx, &row)
	})
}

// releaseDirectory lets go of what a directory kept: people and groups stay, and are managed by hand from then on.
func (s *Service) releaseDirectory(ctx context.Context, tx *store.Tx, c store.SSOConnection) error {
	users, _, err := tx.SCIMUsers(ctx, c.ID, DirectoryFilter{}, 0, maxDirectoryUsers)
	if err != nil {
		return err
	}
	for i := range users {
		if err := tx.RemoveSCIMUser(ctx, &users[i]); err != nil {
			return err
		}
	}
	groups, _, err := tx.SCIMGroups(ctx, c.ID, DirectoryFilter{}, 0, maxDirectoryUsers)
	if err != nil {
		return err
	}
	for i := range groups {
		if err := tx.RemoveSCIMGroup(ctx, &groups[i]); err != nil {
			return err
		}
	}
	return nil
}

// sortedMembers gives ids each once, in order.
func sortedMembers(ids []string) []string {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	return slices.Compact(ids)
}
