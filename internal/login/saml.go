package login

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/xml"
	"html/template"
	"net/url"
	"strings"
	"time"

	"github.com/crewjam/saml"

	"github.com/keyturn/keyturn/internal/fault"
)

const (
	// maxMetadata bounds the metadata of one identity provider, in bytes.
	maxMetadata = 256 << 10
	// maxCertificates bounds the signing certificates of one provider: an old one, the present one, the next one, and room.
	maxCertificates = 8
)

// SAML says how people log in through a SAML 2.0 identity provider: the web browser SSO profile, begun by us, with answers by
// POST. Assertions must be signed; encrypted ones are not taken, since they arrive over TLS anyway.
type SAML struct {
	Metadata         string   `json:"metadata"`                   // of the provider: one EntityDescriptor, XML
	EmailAttribute   string   `json:"email_attribute,omitzero"`   // default: the usual names, then a NameID that is an address
	NameAttribute    string   `json:"name_attribute,omitzero"`    // default: the usual names
	GroupsAttribute  string   `json:"groups_attribute,omitzero"`  // "" takes no groups
	SubjectAttribute string   `json:"subject_attribute,omitzero"` // default: the NameID, which must not be a transient one then
	MFAValues        []string `json:"mfa_values,omitzero"`        // authentication contexts that show a second factor
}

// The names under which providers send what everybody wants.
var (
	emailAttributes = []string{"urn:oid:0.9.2342.19200300.100.1.3", "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress", "mail", "email", "emailAddress", "Email"}
	nameAttributes  = []string{"urn:oid:2.16.840.1.113730.3.1.241", "http://schemas.microsoft.com/identity/claims/displayname", "displayName", "name", "urn:oid:2.5.4.3", "cn"}
	mfaContexts     = []string{"https://refeds.org/profile/mfa", "http://schemas.microsoft.com/claims/multipleauthn"}
)

// Service is our side of a connection as the provider knows it.
type Service struct {
	Entity string // address of our metadata, which is our name
	ACS    string // where answers are posted
}

// IdentityProvider is a SAML identity provider whose metadata was read.
type IdentityProvider struct {
	s            SAML
	us           Service
	sp           saml.ServiceProvider
	entity       string
	certificates []*x509.Certificate
}

// Open reads the metadata of the provider.
func (s SAML) Open(us Service) (*IdentityProvider, error) {
	wrong := func(cause error, what string) error {
		return fault.Wrap(fault.Invalid, cause, "the metadata of the identity provider is not valid: %s", what).WithField("/settings/metadata", "not valid")
	}
	if s.Metadata == "" || len(s.Metadata) > maxMetadata {
		return nil, wrong(nil, "it is missing or too long")
	}
	if err := screen([]byte(s.Metadata), true); err != nil {
		return nil, wrong(err, "it is not plain XML")
	}
	var found saml.EntityDescriptor
	if err := xml.Unmarshal([]byte(s.Metadata), &found); err != nil {
		return nil, wrong(err, "want one EntityDescriptor")
	}
	if found.EntityID == "" || len(found.IDPSSODescriptors) != 1 {
		return nil, wrong(nil, "want one EntityDescriptor with one IDPSSODescriptor")
	}
	if !found.ValidUntil.IsZero() && time.Now().After(found.ValidUntil) {
		return nil, fault.New(fault.Expired, "the metadata of the identity provider has expired").WithHint("fetch it again and update the connection")
	}
	acs, err := url.Parse(us.ACS)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "our own address is not valid")
	}
	p := &IdentityProvider{s: s, us: us, entity: found.EntityID,
		sp: saml.ServiceProvider{EntityID: us.Entity, AcsURL: *acs, IDPMetadata: &found, AuthnNameIDFormat: saml.UnspecifiedNameIDFormat}}
	for _, k := range found.IDPSSODescriptors[0].KeyDescriptors {
		if k.Use != "" && k.Use != "signing" {
			continue
		}
		for _, c := range k.KeyInfo.X509Data.X509Certificates {
			der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(c.Data), ""))
			if err != nil {
				return nil, wrong(err, "a certificate cannot be read")
			}
			cert, err := x509.ParseCertificate(der)
			if err != nil {
				return nil, wrong(err, "a certificate cannot be read")
			}
			p.certificates = append(p.certificates, cert)
		}
	}
	if len(p.certificates) == 0 || len(p.certificates) > maxCertificates {
		return nil, wrong(nil, "it has no signing certificate, or too many")
	}
	if at, _ := p.binding(); at == "" {
		return nil, wrong(nil, "it names no single sign-on service by redirect or POST at an https address")
	}
	return p, nil
}

// Entity is the name of the provider.
func (p *IdentityProvider) Entity() string { return p.entity }

// CertificateEnds is when the last of the provider's signing certificates expires.
func (p *IdentityProvider) CertificateEnds() time.Time {
	var last time.Time
	for _, c := range p.certificates {
		if c.NotAfter.After(last) {
			last = c.NotAfter
		}
	}
	return last
}

// binding chooses how requests are sent: by redirect where the provider can, since that needs no page of ours.
func (p *IdentityProvider) binding() (location, binding string) {
	for _, b := range []string{saml.HTTPRedirectBinding, saml.HTTPPostBinding} {
		at := p.sp.GetSSOBindingLocation(b)
		u, err := url.Parse(at)
		if at != "" && err == nil && u.Host != "" && u.User == nil && (u.Scheme == "https" || u.Scheme == "http" && isLoopback(u.Hostname())) {
			return at, b
		}
	}
	return "", ""
}

// Start gives where to send the browser: an address, or a page whose form is posted to the provider. The page runs a script of
// its own; nonce lets it through the content security policy.
func (p *IdentityProvider) Start(f Flow, nonce string) (address string, page []byte, err error) {
	at, binding := p.binding()
	r, err := p.sp.MakeAuthenticationRequest(at, binding, saml.HTTPPostBinding)
	if err != nil {
		return "", nil, fault.Wrap(fault.Internal, err, "the request to the identity provider cannot be made")
	}
	r.ID, r.NameIDPolicy.Format = f.RequestID(), nil
	if binding == saml.HTTPRedirectBinding {
		to, err := r.Redirect(f.State(), &p.sp)
		if err != nil {
			return "", nil, fault.Wrap(fault.Internal, err, "the request to the identity provider cannot be made")
		}
		return to.String(), nil, nil
	}
	var request bytes.Buffer
	doc := document(r.Element())
	if _, err := doc.WriteTo(&request); err != nil {
		return "", nil, fault.Wrap(fault.Internal, err, "the request to the identity provider cannot be made")
	}
	var out bytes.Buffer
	err = postPage.Execute(&out, map[string]string{"URL": at, "Request": base64.StdEncoding.EncodeToString(request.Bytes()), "State": f.State(), "Nonce": nonce})
	if err != nil {
		return "", nil, fault.Wrap(fault.Internal, err, "the request to the identity provider cannot be made")
	}
	return "", out.Bytes(), nil
}

// postPage works without scripts as well: then a person presses the button.
var postPage = template.Must(template.New("post").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Single sign-on</title>
<form method="post" action="{{.URL}}"><input type="hidden" name="SAMLRequest" value="{{.Request}}"><input type="hidden" name="RelayState" value="{{.State}}">
<button type="submit">Go on to your identity provider</button></form>
<script nonce="{{.Nonce}}">document.forms[0].submit()</script>
`))

// Metadata gives our own metadata: what an administrator of the provider is asked for.
func (us Service) Metadata() ([]byte, error) {
	yes, no := true, false
	m := saml.EntityDescriptor{EntityID: us.Entity, SPSSODescriptors: []saml.SPSSODescriptor{{
		SSODescriptor:             saml.SSODescriptor{RoleDescriptor: saml.RoleDescriptor{ProtocolSupportEnumeration: "urn:oasis:names:tc:SAML:2.0:protocol"}},
		AuthnRequestsSigned:       &no,
		WantAssertionsSigned:      &yes,
		AssertionConsumerServices: []saml.IndexedEndpoint{{Binding: saml.HTTPPostBinding, Location: us.ACS, Index: 1}},
	}}}
	m.ValidUntil = time.Now().Add(metadataLife)
	out, err := xml.MarshalIndent(&m, "", "  ")
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "the metadata cannot be written")
	}
	return append([]byte(xml.Header), out...), nil
}

// metadataLife is long, since what stands in the metadata changes only with the address of the server.
const metadataLife = 365 * 24 * time.Hour
