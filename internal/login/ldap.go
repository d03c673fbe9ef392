package login

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"net"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-ldap/ldap/v3"
	"golang.org/x/text/unicode/norm"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

const (
	// ldapTimeout bounds each answer of a directory.
	ldapTimeout = 10 * time.Second
	// maxLDAP bounds what is read of one connection, in bytes: one entry and its groups.
	maxLDAP = 4 << 20
	// maxAccount bounds an account name, in bytes.
	maxAccount = 256
	// maxBindPassword bounds a password that is sent on, in bytes.
	maxBindPassword = 1024
)

// LDAP says how people log in with the password of a directory: search for their entry, then bind as it (RFC 4511, RFC 4513).
type LDAP struct {
	URL      string `json:"url"`                // ldaps://host, or ldap://host which is upgraded by StartTLS
	Plain    bool   `json:"plain,omitzero"`     // without TLS all the same; passwords cross the network in clear
	CA       string `json:"ca,omitzero"`        // PEM of the roots that sign the server's certificate; default the system's
	BindDN   string `json:"bind_dn,omitzero"`   // who searches; "" searches as nobody
	BaseDN   string `json:"base_dn"`            // below which people are
	Filter   string `json:"filter,omitzero"`    // with {account} where the name goes; default (|(uid={account})(mail={account}))
	Subject  string `json:"subject,omitzero"`   // attribute that names somebody for good; default entryUUID, objectGUID for Active Directory
	Email    string `json:"email,omitzero"`     // attribute, default mail
	Name     string `json:"name,omitzero"`      // attribute, default displayName, then cn
	MemberOf string `json:"member_of,omitzero"` // attribute with the groups' names, such as memberOf
	// GroupBase and GroupFilter find groups by their members, with {dn} and {account}; default (|(member={dn})(uniqueMember={dn})(memberUid={account})).
	GroupBase   string `json:"group_base,omitzero"`
	GroupFilter string `json:"group_filter,omitzero"`
	GroupName   string `json:"group_name,omitzero"` // attribute, default cn
}

const (
	defaultPeople     = "(|(uid={account})(mail={account}))"
	activeDirectoryID = "objectGUID"
	defaultGroups     = "(|(member={dn})(uniqueMember={dn})(memberUid={account}))"
)

// Dial connects to an address; the server gives one that is guarded.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Check tells what is wrong with the settings.
func (l *LDAP) Check() error {
	u, err := url.Parse(l.URL)
	if err != nil || u.Scheme != "ldap" && u.Scheme != "ldaps" || u.Hostname() == "" || u.User != nil || u.Path != "" && u.Path != "/" || u.RawQuery != "" {
		return fault.New(fault.Invalid, "the address is not valid: want ldaps://host or ldap://host, with :port if it is another").WithField("/settings/url", "not valid")
	}
	if l.BaseDN == "" {
		return fault.New(fault.Invalid, "the base is missing").WithField("/settings/base_dn", "such as ou=people,dc=example,dc=com")
	}
	if _, err := ldap.ParseDN(l.BaseDN); err != nil {
		return fault.New(fault.Invalid, "the base is not a distinguished name").WithField("/settings/base_dn", "not valid")
	}
	for field, filter := range map[string]string{"/settings/filter": l.people(), "/settings/group_filter": l.groups()} {
		if _, err := ldap.CompileFilter(fill(filter, map[string]string{"account": "x", "dn": "cn=x"})); err != nil {
			return fault.New(fault.Invalid, "the filter is not valid (RFC 4515)").WithField(field, "not valid")
		}
	}
	if !strings.Contains(l.people(), "{account}") {
		return fault.New(fault.Invalid, "the filter does not ask for the account").WithField("/settings/filter", "want {account} in it")
	}
	if l.CA != "" && !x509.NewCertPool().AppendCertsFromPEM([]byte(l.CA)) {
		return fault.New(fault.Invalid, "the certificates of the roots are not PEM").WithField("/settings/ca", "not valid")
	}
	return nil
}

func (l *LDAP) people() string {
	if l.Filter != "" {
		return l.Filter
	}
	return defaultPeople
}

func (l *LDAP) groups() string {
	if l.GroupFilter != "" {
		return l.GroupFilter
	}
	return defaultGroups
}

// fill puts values into a filter, each escaped so that it can be nothing but a value (RFC 4515).
func fill(filter string, values map[string]string) string {
	pairs := make([]string, 0, 2*len(values))
	for name, value := range values {
		pairs = append(pairs, "{"+name+"}", ldap.EscapeFilter(value))
	}
	return strings.NewReplacer(pairs...).Replace(filter) // one pass: a value with {dn} in it stays a value
}

// Account gives the one form of an account name that tries are counted for, or refuses it.
func Account(name string) (string, error) {
	if len(name) > maxAccount || !utf8.ValidString(name) {
		name = ""
	}
	// A directory compares names without regard to case, width and the number of blanks, and drops what cannot be seen
	// (RFC 4518): all spellings of one name are one here as well, or each would bring new tries.
	name = strings.ToLower(norm.NFKC.String(strings.Join(strings.Fields(norm.NFKC.String(name)), " ")))
	if name == "" || strings.ContainsFunc(name, func(r rune) bool { return unicode.In(r, unicode.C, unicode.Variation_Selector) }) {
		return "", fault.New(fault.Invalid, "the account name is not valid").WithField("/account", "empty, too long or with characters that cannot be seen")
	}
	return name, nil
}

// badPassword is the one answer for an unknown account and a wrong password.
func badPassword() *fault.Error {
	return fault.New(fault.Unauthenticated, "the login is not right: wrong name or secret, or the account is disabled")
}

// Login finds the entry of the account and binds as it. An empty password is refused here: a directory takes it for a bind as
// nobody and says that it went well (RFC 4513, 5.1.2). Referrals are not followed.
func (l LDAP) Login(ctx context.Context, dial Dial, search sensitive.Value, account string, password sensitive.Value) (Person, error) {
	account, err := Account(account)
	if err != nil {
		return Person{}, err
	}
	if password.Empty() || password.Len() > maxBindPassword {
		return Person{}, badPassword()
	}
	c, done, err := l.connect(ctx, dial, search)
	if err != nil {
		return Person{}, err
	}
	defer done()
	entry, err := l.find(c, account)
	if err != nil {
		return Person{}, err
	}
	if err := c.Bind(entry.DN, string(password.Reveal())); err != nil {
		if ldap.IsErrorAnyOf(err, ldap.LDAPResultInvalidCredentials, ldap.LDAPResultUnwillingToPerform, ldap.LDAPResultInappropriateAuthentication,
			ldap.LDAPResultInsufficientAccessRights, ldap.LDAPResultConstraintViolation, ldap.LDAPResultNoSuchObject) {
			return Person{}, badPassword()
		}
		return Person{}, unreachable(err, "the directory")
	}
	if err := l.searcher(c, search); err != nil { // groups are what the searcher sees, not what people may
		return Person{}, err
	}
	groups, err := l.groupsOf(c, entry, account)
	if err != nil {
		return Person{}, err
	}
	subject, err := l.subject(entry)
	if err != nil {
		return Person{}, err
	}
	name := entry.GetEqualFoldAttributeValue(or(l.Name, "displayName"))
	if name == "" && l.Name == "" {
		name = entry.GetEqualFoldAttributeValue("cn")
	}
	return person(subject, l.address(entry), name, groups, false)
}

// address gives the first address of the entry that is one: directories hold all sorts of text there.
func (l *LDAP) address(entry *ldap.Entry) string {
	for _, a := range entry.GetEqualFoldAttributeValues(or(l.Email, "mail")) {
		if _, err := domain.ParseEmail(a); err == nil {
			return a
		}
	}
	return ""
}

// Test connects, searches for nobody in particular, and so shows that address, certificate, credential and bases are right.
func (l LDAP) Test(ctx context.Context, dial Dial, search sensitive.Value) error {
	c, done, err := l.connect(ctx, dial, search)
	if err != nil {
		return err
	}
	defer done()
	for _, base := range []string{l.BaseDN, l.GroupBase} {
		if base == "" {
			continue
		}
		r := ldap.NewSearchRequest(base, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 1, int(ldapTimeout.Seconds()), false, "(objectClass=*)", []string{"1.1"}, nil)
		found, err := c.Search(r)
		if err != nil || len(found.Entries) != 1 {
			return fault.Wrap(fault.Unavailable, err, "the directory does not show a base").WithHint("check base_dn and group_base, and what bind_dn may read")
		}
	}
	return nil
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// limitedConn ends a connection that says more than is read of it: the library takes packets of any length.
type limitedConn struct {
	net.Conn
	left int64
}

// Read implements [net.Conn].
func (c *limitedConn) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, errTooLong
	}
	if int64(len(p)) > c.left {
		p = p[:c.left]
	}
	n, err := c.Conn.Read(p)
	c.left -= int64(n)
	return n, err
}

// connect gives a connection that is encrypted, unless settings or loopback allow it plain, and bound as the searcher.
func (l *LDAP) connect(ctx context.Context, dial Dial, search sensitive.Value) (*ldap.Conn, func(), error) {
	if err := l.Check(); err != nil {
		return nil, nil, err
	}
	u, err := url.Parse(l.URL)
	if err != nil {
		return nil, nil, fault.Wrap(fault.Invalid, err, "the address is not valid")
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"ldap": "389", "ldaps": "636"}[u.Scheme]
	}
	ctx, cancel := context.WithTimeout(ctx, ldapTimeout)
	defer cancel()
	raw, err := dial(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return nil, nil, unreachable(err, "the directory")
	}
	config := &tls.Config{ServerName: u.Hostname(), MinVersion: tls.VersionTLS12}
	if l.CA != "" {
		config.RootCAs = x509.NewCertPool()
		config.RootCAs.AppendCertsFromPEM([]byte(l.CA))
	}
	var conn net.Conn = &limitedConn{raw, maxLDAP}
	if u.Scheme == "ldaps" {
		encrypted := tls.Client(conn, config)
		if err := encrypted.HandshakeContext(ctx); err != nil {
			_ = raw.Close()
			return nil, nil, untrusted(err)
		}
		conn = encrypted
	}
	c := ldap.NewConn(conn, u.Scheme == "ldaps")
	c.SetTimeout(ldapTimeout)
	c.Start()
	done := func() { _ = c.Close() }
	if u.Scheme == "ldap" && !l.Plain {
		if err := c.StartTLS(config); err != nil {
			done()
			return nil, nil, untrusted(err)
		}
	}
	if err := l.searcher(c, search); err != nil {
		done()
		return nil, nil, err
	}
	return c, done, nil
}

// untrusted is the failure of a connection that cannot be encrypted. It is never tried without.
func untrusted(err error) error {
	return fault.Wrap(fault.Unavailable, err, "the connection to the directory cannot be encrypted").
		WithHint("give the roots of its certificate in ca, and an address that the certificate is for")
}

// searcher binds as whoever searches.
func (l *LDAP) searcher(c *ldap.Conn, search sensitive.Value) error {
	if l.BindDN == "" {
		if err := c.UnauthenticatedBind(""); err != nil { // an anonymous bind: no name, no password
			return fault.Wrap(fault.Unavailable, err, "the directory does not let nobody in").WithHint("set bind_dn and its password")
		}
		return nil
	}
	if search.Empty() {
		return fault.New(fault.Invalid, "the password of bind_dn is missing")
	}
	if err := c.Bind(l.BindDN, string(search.Reveal())); err != nil {
		if ldap.IsErrorWithCode(err, ldap.LDAPResultInvalidCredentials) {
			return fault.Wrap(fault.Unavailable, err, "the directory refuses bind_dn").WithHint("check bind_dn and its password")
		}
		return unreachable(err, "the directory")
	}
	return nil
}

// find gives the only entry of an account.
func (l *LDAP) find(c *ldap.Conn, account string) (*ldap.Entry, error) {
	want := []string{l.subjectName(), or(l.Email, "mail"), or(l.Name, "displayName"), "cn"}
	if l.MemberOf != "" {
		want = append(want, l.MemberOf)
	}
	if l.Subject == "" {
		want = append(want, activeDirectoryID)
	}
	// Two are asked for, so that a name that fits several is noticed.
	r := ldap.NewSearchRequest(l.BaseDN, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 2, int(ldapTimeout.Seconds()), false,
		fill(l.people(), map[string]string{"account": account}), want, nil)
	found, err := c.Search(r)
	switch {
	case ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject), ldap.IsErrorWithCode(err, ldap.LDAPResultReferral):
		return nil, badPassword()
	case err != nil && !ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded):
		return nil, unreachable(err, "the directory")
	case found == nil || len(found.Entries) == 0:
		return nil, badPassword()
	case len(found.Entries) > 1:
		return nil, fault.Wrap(fault.Unauthenticated, errors.New("several entries"), "the login is not right: the account is not the name of one person in the directory")
	}
	return found.Entries[0], nil
}

func (l *LDAP) subjectName() string { return or(l.Subject, "entryUUID") }

// subject gives the id that stays when an entry is renamed. A distinguished name is none: it may be given to somebody else.
func (l *LDAP) subject(entry *ldap.Entry) (string, error) {
	name := l.subjectName()
	value := entry.GetEqualFoldRawAttributeValue(name)
	if l.Subject == "" && len(value) == 0 {
		name = activeDirectoryID
		value = entry.GetEqualFoldRawAttributeValue(name)
	}
	if strings.EqualFold(name, activeDirectoryID) { // sixteen bytes, no text
		return hex.EncodeToString(value), nil
	}
	if len(value) == 0 {
		return "", refused("the entry has no attribute that names it for good").WithHint("set subject to such an attribute, and let bind_dn read it")
	}
	return string(value), nil
}

// groupsOf gives the groups of an entry, from an attribute of it and from a search.
func (l *LDAP) groupsOf(c *ldap.Conn, entry *ldap.Entry, account string) ([]string, error) {
	var out []string
	if l.MemberOf != "" {
		out = append(out, entry.GetEqualFoldAttributeValues(l.MemberOf)...)
	}
	if l.GroupBase == "" {
		return out, nil
	}
	r := ldap.NewSearchRequest(l.GroupBase, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, maxGroups+1, int(ldapTimeout.Seconds()), false,
		fill(l.groups(), map[string]string{"dn": entry.DN, "account": account}), []string{or(l.GroupName, "cn")}, nil)
	found, err := c.Search(r)
	if err != nil {
		return nil, unreachable(err, "the directory")
	}
	for _, g := range found.Entries {
		out = append(out, g.GetEqualFoldAttributeValue(or(l.GroupName, "cn")))
	}
	return out, nil
}
