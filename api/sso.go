package api

import "time"

// OIDCSettings say how people log in through an OpenID provider.
type OIDCSettings struct {
	Issuer       string   `json:"issuer"`                // exactly as the provider writes it
	ClientID     string   `json:"client_id"`             // what the provider gave this application
	Scopes       []string `json:"scopes,omitzero"`       // beside openid; default email and profile
	Algorithms   []string `json:"algorithms,omitzero"`   // of ID tokens; default all that use a key pair
	GroupsClaim  string   `json:"groups_claim,omitzero"` // name, or a path with dots; absent: no groups are taken
	MFAValues    []string `json:"mfa_values,omitzero"`   // of amr or acr that show a second factor; default mfa
	TrustsEmails bool     `json:"trust_email,omitzero"`  // the provider verifies all addresses and does not say so
}

// SAMLSettings say how people log in through a SAML 2.0 identity provider.
type SAMLSettings struct {
	Metadata         string   `json:"metadata"`                   // of the provider, XML
	EmailAttribute   string   `json:"email_attribute,omitzero"`   // default: the usual names
	NameAttribute    string   `json:"name_attribute,omitzero"`    // default: the usual names
	GroupsAttribute  string   `json:"groups_attribute,omitzero"`  // absent: no groups are taken
	SubjectAttribute string   `json:"subject_attribute,omitzero"` // default: the NameID, which must be one that stays
	MFAValues        []string `json:"mfa_values,omitzero"`        // authentication contexts that show a second factor
}

// LDAPSettings say how people log in with the password of a directory.
type LDAPSettings struct {
	URL         string `json:"url"`                   // ldaps://host, or ldap://host which is upgraded by StartTLS
	Plain       bool   `json:"plain,omitzero"`        // without TLS all the same
	CA          string `json:"ca,omitzero"`           // PEM of the roots of the server's certificate
	BindDN      string `json:"bind_dn,omitzero"`      // who searches; its password is the secret of the connection
	BaseDN      string `json:"base_dn"`               // below which people are
	Filter      string `json:"filter,omitzero"`       // default (|(uid={account})(mail={account}))
	Subject     string `json:"subject,omitzero"`      // attribute that names somebody for good; default entryUUID or objectGUID
	Email       string `json:"email,omitzero"`        // attribute; default mail
	Name        string `json:"name,omitzero"`         // attribute; default displayName, then cn
	MemberOf    string `json:"member_of,omitzero"`    // attribute with the groups of a person
	GroupBase   string `json:"group_base,omitzero"`   // below which groups are; absent: none are searched
	GroupFilter string `json:"group_filter,omitzero"` // default (|(member={dn})(uniqueMember={dn})(memberUid={account}))
	GroupName   string `json:"group_name,omitzero"`   // attribute; default cn
}

// SSOGroup says what a group at the provider gives: membership in a group here, or a role somewhere.
type SSOGroup struct {
	Value   string `json:"value"`            // as the provider writes it
	Group   string `json:"group,omitzero"`   // name or id
	Role    string `json:"role,omitzero"`    // built-in or custom
	Project string `json:"project,omitzero"` // slug or id, of the role; absent: the organisation
	Env     string `json:"env,omitzero"`     // slug, of the role; absent: the project
}

// SSORequest makes or replaces a connection. Exactly one of OIDC, SAML and LDAP is there.
type SSORequest struct {
	Name     string        `json:"name"`
	Disabled bool          `json:"disabled,omitzero"`
	Secret   string        `json:"secret,omitzero"`  // client secret or bind password; absent: the one that is there stays
	Domains  []string      `json:"domains,omitzero"` // of addresses that the provider may speak for
	Create   bool          `json:"create,omitzero"`  // make an account for whoever has none
	Groups   []SSOGroup    `json:"groups,omitzero"`
	OIDC     *OIDCSettings `json:"oidc,omitzero"`
	SAML     *SAMLSettings `json:"saml,omitzero"`
	LDAP     *LDAPSettings `json:"ldap,omitzero"`
}

// SSOConnection is an identity provider or directory, without its secret.
type SSOConnection struct {
	ID        string        `json:"id"`
	Name      string        `json:"name"`
	Kind      string        `json:"kind"` // oidc, saml, ldap or scim
	Disabled  bool          `json:"disabled,omitzero"`
	Domains   []string      `json:"domains,omitzero"`
	Create    bool          `json:"create,omitzero"`
	Groups    []SSOGroup    `json:"groups,omitzero"` // with ids
	OIDC      *OIDCSettings `json:"oidc,omitzero"`
	SAML      *SAMLSettings `json:"saml,omitzero"`
	LDAP      *LDAPSettings `json:"ldap,omitzero"`
	CreatedAt time.Time     `json:"created_at"`
	// What the administrator of the provider is to enter.
	RedirectURI string `json:"redirect_uri,omitzero"` // OIDC
	ACS         string `json:"acs,omitzero"`          // SAML
	Metadata    string `json:"metadata,omitzero"`     // SAML, our own; it is also our entity id
}

// SSOConnections lists them, with what the organisation has decided.
type SSOConnections struct {
	Connections []SSOConnection `json:"connections"`
	Enforced    bool            `json:"enforced"`        // people log in through these only
	Exempt      string          `json:"exempt,omitzero"` // id of the one admin who may still use a password
}

// SSOEnforcement decides whether people must log in through a connection.
type SSOEnforcement struct {
	Enforced bool   `json:"enforced"`
	Exempt   string `json:"exempt,omitzero"` // address or id of the one admin who may still use a password
}

// SSOCodeRequest takes the session of a login that was finished in a browser.
type SSOCodeRequest struct {
	Code     string `json:"code"`
	Verifier string `json:"verifier"` // of the challenge that the login was begun with (RFC 7636)
}

// LDAPLoginRequest logs a person in with the password of a directory.
type LDAPLoginRequest struct {
	Connection string `json:"connection"` // name
	Account    string `json:"account"`
	Password   string `json:"password"`
}

// SCIMTokenRequest makes a token with which a directory keeps people and groups.
type SCIMTokenRequest struct {
	Connection string   `json:"connection"`       // name; it is made when it is not there
	Domains    []string `json:"domains,omitzero"` // of a new connection: accounts with these addresses are taken over
	TTL        string   `json:"ttl"`
}

// SSOTest tells what a connection's provider answered.
type SSOTest struct {
	Found string `json:"found"`
}
