package access

import (
	"context"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/login"
	"github.com/keyturn/keyturn/internal/store"
)

// admitSSO finds the account of somebody whom a provider has proved, makes it when the connection may, and gives it what its
// groups give.
func (s *Service) admitSSO(ctx context.Context, tx *store.Tx, p guard.Permit, c store.SSOConnection, who login.Person) (store.Person, error) {
	now, err := tx.SSOConnection(ctx, c.ID) // it may have been changed or removed since the browser left
	if err != nil || !now.Enabled {
		return store.Person{}, badLogin()
	}
	c = now
	link, err := tx.SSOLink(ctx, c.ID, who.Subject)
	fresh := fault.KindOf(err) == fault.NotFound && err != nil
	if err != nil && !fresh {
		return store.Person{}, err
	}
	var person store.Person
	if fresh {
		if person, err = s.matchSSO(ctx, tx, p, c, who); err != nil {
			return person, err
		}
		link = store.SSOLink{Connection: c.ID, Subject: who.Subject, Org: c.Org, User: person.ID, CreatedAt: tx.Now()}
	} else if person, err = tx.Person(ctx, link.User); err != nil {
		return person, err
	}
	if person.Disabled || person.Org != c.Org {
		return person, badLogin()
	}
	link.LastLoginAt = tx.Now()
	if err := tx.PutSSOLink(ctx, &link); err != nil {
		return person, err
	}
	p.As(&domain.Principal{Kind: domain.User, ID: string(person.ID), Name: string(person.Email), Org: person.Org})
	changed, err := s.syncGroups(ctx, tx, c, person.ID, who.Groups)
	if err != nil || !changed && !fresh {
		return person, err
	}
	if changed {
		p.Note("groups", "changed")
	}
	return person, s.changed(ctx, tx)
}

// matchSSO finds the account of somebody who comes through a connection for the first time. An account that is there is taken
// by its address only where the connection speaks for the domain: whoever runs some other provider could write any address.
func (s *Service) matchSSO(ctx context.Context, tx *store.Tx, p guard.Permit, c store.SSOConnection, who login.Person) (store.Person, error) {
	if who.Email == "" {
		return store.Person{}, fault.New(fault.Denied, "the identity provider told no e-mail address, which is needed the first time").
			WithHint("let it send the address to this application")
	}
	row, err := tx.PersonByEmail(ctx, who.Email)
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return row, err
	}
	if err == nil {
		if row.Org != c.Org || !speaksFor(c.Rules, who.Email) {
			return row, fault.New(fault.Denied, "there is an account with this address, and the connection does not speak for its domain").
				WithHint("let an admin add the domain to the connection if the provider may speak for it")
		}
		others, err := tx.SSOLinksOf(ctx, row.ID)
		if err != nil {
			return row, err
		}
		for _, l := range others {
			if l.Connection == c.ID { // the address went to somebody else there
				return row, fault.New(fault.Denied, "this address belongs to another person at the identity provider").
					WithHint("let an admin disable the old account and give the new person an address of his own")
			}
		}
		p.Note("link", "new")
		return row, nil
	}
	if !c.Rules.Create {
		return row, fault.New(fault.Denied, "nobody has invited you yet").WithHint("ask an admin for an account with the address that your identity provider knows")
	}
	if len(c.Rules.Domains) > 0 && !speaksFor(c.Rules, who.Email) {
		return row, fault.New(fault.Denied, "the connection does not let in addresses of this domain").WithHint("ask an admin")
	}
	name := domain.Label(who.Name)
	if name == "" {
		name = domain.Label(who.Email)
	}
	row = store.Person{ID: domain.NewID[domain.UserID](), Org: c.Org, Email: who.Email, Name: name, CreatedAt: tx.Now()}
	p.Note("account", "made")
	return row, tx.PutPerson(ctx, &row)
}
