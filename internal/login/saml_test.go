package login_test

import (
	"bytes"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/xml"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/beevik/etree"
	"github.com/crewjam/saml"
	dsig "github.com/russellhaering/goxmldsig"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/login"
	"github.com/keyturn/keyturn/internal/testsaml"
)

var us = login.Service{Entity: "https://keyturn.example.test/keyturn/v1/sso/corp/metadata", ACS: "https://keyturn.example.test/keyturn/v1/sso/corp/acs"}

func TestPeopleLogInThroughASAMLProvider(t *testing.T) {
	idp := testsaml.Start(t, testsaml.User{Name: "ann", Email: "ann@example.test", CommonName: "Ann Example", Groups: []string{"eng", "admins"}})
	metadata, err := us.Metadata()
	if err != nil {
		t.Fatal(err)
	}
	idp.Trust(t, metadata)
	p, err := login.SAML{Metadata: idp.Metadata, SubjectAttribute: "uid", GroupsAttribute: "eduPersonAffiliation"}.Open(us)
	if err != nil {
		t.Fatal(err)
	}
	f := newFlow(t)
	address, page, err := p.Start(f, "")
	if err != nil || page != nil {
		t.Fatalf("%s, %v", page, err)
	}
	form := idp.Login(t, address, "ann")
	if form.Get("RelayState") != f.State() {
		t.Errorf("the state comes back as %q", form.Get("RelayState"))
	}
	who, err := p.Finish(f, form.Get("SAMLResponse"))
	if err != nil {
		t.Fatal(err)
	}
	if who.Subject != "ann" || who.Email != "ann@example.test" || who.Name != "Ann Example" || !slices.Equal(who.Groups, []string{"admins", "eng"}) || who.MFA {
		t.Errorf("%+v", who)
	}
	if _, err := p.Finish(newFlow(t), form.Get("SAMLResponse")); fault.KindOf(err) != fault.Unauthenticated {
		t.Errorf("the answer is good for another login: %v", err)
	}
	transient, err := login.SAML{Metadata: idp.Metadata}.Open(us)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := transient.Finish(f, form.Get("SAMLResponse")); fault.KindOf(err) != fault.Unauthenticated {
		t.Errorf("an id that changes with each login names somebody: %v", err)
	}
}

// forger makes answers by hand.
type forger struct {
	t    *testing.T
	key  *rsa.PrivateKey
	cert *x509.Certificate
	p    *login.IdentityProvider
	f    login.Flow
}

const idpName = "https://idp.example.test/metadata"

func idpMetadata(certs ...*x509.Certificate) string {
	var keys strings.Builder
	for _, c := range certs {
		keys.WriteString(`<KeyDescriptor use="signing"><KeyInfo xmlns="http://www.w3.org/2000/09/xmldsig#"><X509Data><X509Certificate>` +
			base64.StdEncoding.EncodeToString(c.Raw) + `</X509Certificate></X509Data></KeyInfo></KeyDescriptor>`)
	}
	return `<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" entityID="` + idpName + `"><IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">` +
		keys.String() + `<SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" Location="https://idp.example.test/sso"/></IDPSSODescriptor></EntityDescriptor>`
}

func newForger(t *testing.T, s login.SAML) *forger {
	t.Helper()
	g := &forger{t: t, f: newFlow(t)}
	g.key, g.cert = testsaml.Certificate(t)
	s.Metadata = idpMetadata(g.cert)
	var err error
	if g.p, err = s.Open(us); err != nil {
		t.Fatal(err)
	}
	return g
}

// assertion gives an honest one.
func (g *forger) assertion() *saml.Assertion {
	now := time.Now().UTC()
	return &saml.Assertion{ID: "a1", IssueInstant: now, Version: "2.0", Issuer: saml.Issuer{Value: idpName},
		Subject: &saml.Subject{NameID: &saml.NameID{Format: string(saml.PersistentNameIDFormat), Value: "ann"},
			SubjectConfirmations: []saml.SubjectConfirmation{{Method: "urn:oasis:names:tc:SAML:2.0:cm:bearer",
				SubjectConfirmationData: &saml.SubjectConfirmationData{InResponseTo: g.f.RequestID(), Recipient: us.ACS, NotOnOrAfter: now.Add(5 * time.Minute)}}}},
		Conditions: &saml.Conditions{NotBefore: now.Add(-time.Minute), NotOnOrAfter: now.Add(5 * time.Minute),
			AudienceRestrictions: []saml.AudienceRestriction{{Audience: saml.Audience{Value: us.Entity}}}},
		AuthnStatements: []saml.AuthnStatement{{AuthnInstant: now, AuthnContext: saml.AuthnContext{AuthnContextClassRef: &saml.AuthnContextClassRef{Value: "https://refeds.org/profile/mfa"}}}},
		AttributeStatements: []saml.AttributeStatement{{Attributes: []saml.Attribute{
			{Name: "mail", Values: []saml.AttributeValue{{Type: "xs:string", Value: "ann@example.test"}}},
			{Name: "groups", Values: []saml.AttributeValue{{Type: "xs:string", Value: "eng"}, {Type: "xs:string", Value: "admins"}}}}}},
	}
}

// sign gives the element with its signature.
func (g *forger) sign(e *etree.Element, key *rsa.PrivateKey, cert *x509.Certificate, method string) *etree.Element {
	g.t.Helper()
	c := dsig.NewDefaultSigningContext(dsig.TLSCertKeyStore(tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}))
	c.Canonicalizer = dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList("")
	if err := c.SetSignatureMethod(method); err != nil {
		g.t.Fatal(err)
	}
	out, err := c.SignEnveloped(e)
	if err != nil {
		g.t.Fatal(err)
	}
	return out
}

func (g *forger) signed(a *saml.Assertion) *etree.Element {
	return g.sign(a.Element(), g.key, g.cert, dsig.RSASHA256SignatureMethod)
}

// response puts elements into an envelope.
func (g *forger) response(inside ...*etree.Element) *etree.Element {
	r := &saml.Response{ID: "r1", InResponseTo: g.f.RequestID(), Version: "2.0", IssueInstant: time.Now(), Destination: us.ACS, Issuer: &saml.Issuer{Value: idpName},
		Status: saml.Status{StatusCode: saml.StatusCode{Value: saml.StatusSuccess}}}
	e := r.Element()
	for _, x := range inside {
		e.AddChild(x)
	}
	return e
}

func (g *forger) text(e *etree.Element) []byte {
	doc := etree.NewDocument()
	doc.SetRoot(e)
	b, err := doc.WriteToBytes()
	if err != nil {
		g.t.Fatal(err)
	}
	return b
}

func (g *forger) finish(text []byte) (login.Person, error) {
	return g.p.Finish(g.f, base64.StdEncoding.EncodeToString(text))
}

func TestAnHonestAssertionIsTaken(t *testing.T) {
	g := newForger(t, login.SAML{GroupsAttribute: "groups"})
	if address, page, err := g.p.Start(g.f, "n0nce"); err != nil || address != "" || !bytes.Contains(page, []byte(`action="https://idp.example.test/sso"`)) || !bytes.Contains(page, []byte(`nonce="n0nce"`)) {
		t.Errorf("%s, %v", page, err)
	}
	who, err := g.finish(g.text(g.response(g.signed(g.assertion()))))
	if err != nil || who.Subject != "ann" || who.Email != "ann@example.test" || !who.MFA || len(who.Groups) != 2 {
		t.Fatalf("%+v, %v", who, err)
	}
	// Signed as a whole too.
	whole := g.sign(g.response(g.signed(g.assertion())), g.key, g.cert, dsig.RSASHA256SignatureMethod)
	if _, err := g.finish(g.text(whole)); err != nil {
		t.Error(err)
	}
}

func TestAnAssertionThatBreaksARuleIsRefused(t *testing.T) {
	now := time.Now().UTC()
	confirmation := func(change func(*saml.SubjectConfirmationData)) func(*saml.Assertion) {
		return func(a *saml.Assertion) { change(a.Subject.SubjectConfirmations[0].SubjectConfirmationData) }
	}
	for name, change := range map[string]func(*saml.Assertion){
		"expired":        func(a *saml.Assertion) { a.Conditions.NotOnOrAfter = now.Add(-2 * time.Minute) },
		"without an end": func(a *saml.Assertion) { a.Conditions = nil },
		"not valid yet":  func(a *saml.Assertion) { a.Conditions.NotBefore = now.Add(time.Hour) },
		"of the future":  func(a *saml.Assertion) { a.IssueInstant = now.Add(time.Hour) },
		"old":            func(a *saml.Assertion) { a.IssueInstant = now.Add(-time.Hour) },
		"for another application": func(a *saml.Assertion) {
			a.Conditions.AudienceRestrictions[0].Audience.Value = "https://other.example.test"
		},
		"for anybody": func(a *saml.Assertion) { a.Conditions.AudienceRestrictions = nil },
		"for two at once": func(a *saml.Assertion) {
			a.Conditions.AudienceRestrictions = append(a.Conditions.AudienceRestrictions, saml.AudienceRestriction{Audience: saml.Audience{Value: "https://other.example.test"}})
		},
		"of another provider": func(a *saml.Assertion) { a.Issuer.Value = "https://evil.example.test" },
		"for another address": confirmation(func(d *saml.SubjectConfirmationData) { d.Recipient = "https://other.example.test/acs" }),
		"for no address":      confirmation(func(d *saml.SubjectConfirmationData) { d.Recipient = "" }),
		"for another login":   confirmation(func(d *saml.SubjectConfirmationData) { d.InResponseTo = "id-other" }),
		"for no login":        confirmation(func(d *saml.SubjectConfirmationData) { d.InResponseTo = "" }),
		"confirmed too late":  confirmation(func(d *saml.SubjectConfirmationData) { d.NotOnOrAfter = now.Add(-2 * time.Minute) }),
		"confirmed for ever":  confirmation(func(d *saml.SubjectConfirmationData) { d.NotOnOrAfter = time.Time{} }),
		"confirmed by a key": func(a *saml.Assertion) {
			a.Subject.SubjectConfirmations[0].Method = "urn:oasis:names:tc:SAML:2.0:cm:holder-of-key"
		},
		"confirmed by nothing": func(a *saml.Assertion) { a.Subject.SubjectConfirmations[0].SubjectConfirmationData = nil },
		"not confirmed":        func(a *saml.Assertion) { a.Subject.SubjectConfirmations = nil },
		"of nobody":            func(a *saml.Assertion) { a.Subject = nil },
		"of an empty name":     func(a *saml.Assertion) { a.Subject.NameID.Value = "" },
		"of a transient name":  func(a *saml.Assertion) { a.Subject.NameID.Format = string(saml.TransientNameIDFormat) },
		"without a login":      func(a *saml.Assertion) { a.AuthnStatements = nil },
		"of an ended session":  func(a *saml.Assertion) { end := now.Add(-time.Hour); a.AuthnStatements[0].SessionNotOnOrAfter = &end },
	} {
		t.Run(name, func(t *testing.T) {
			g := newForger(t, login.SAML{})
			a := g.assertion()
			change(a)
			if who, err := g.finish(g.text(g.response(g.signed(a)))); fault.KindOf(err) != fault.Unauthenticated {
				t.Errorf("%+v, %v", who, err)
			}
		})
	}
}

func TestAnEnvelopeThatBreaksARuleIsRefused(t *testing.T) {
	for name, change := range map[string]func(*etree.Element){
		"a failed login": func(e *etree.Element) {
			e.FindElement("./samlp:Status/samlp:StatusCode").CreateAttr("Value", saml.StatusResponder)
		},
		"no status":         func(e *etree.Element) { e.RemoveChild(e.FindElement("./samlp:Status")) },
		"another login":     func(e *etree.Element) { e.CreateAttr("InResponseTo", "id-other") },
		"no login":          func(e *etree.Element) { e.RemoveAttr("InResponseTo") },
		"another address":   func(e *etree.Element) { e.CreateAttr("Destination", "https://other.example.test/acs") },
		"another provider":  func(e *etree.Element) { e.FindElement("./saml:Issuer").SetText("https://evil.example.test") },
		"no response":       func(e *etree.Element) { e.Tag = "LogoutResponse" },
		"another namespace": func(e *etree.Element) { e.CreateAttr("xmlns:samlp", "urn:oasis:names:tc:SAML:1.0:protocol") },
	} {
		g := newForger(t, login.SAML{})
		e := g.response(g.signed(g.assertion()))
		change(e)
		if who, err := g.finish(g.text(e)); fault.KindOf(err) != fault.Unauthenticated {
			t.Errorf("%s: %+v, %v", name, who, err)
		}
	}
}

// evil is an assertion of an attacker: as honest in form as can be, and about somebody else.
func (g *forger) evil(id string) *etree.Element {
	a := g.assertion()
	a.ID, a.Subject.NameID.Value = id, "root"
	return a.Element()
}

// The shapes of Somorovsky et al., "On Breaking SAML: Be Whoever You Want to Be" (USENIX Security 2012), and their kin.
func TestWrappedAnswersAreRefused(t *testing.T) {
	signature := func(e *etree.Element) *etree.Element { return e.FindElement("./Signature") }
	strip := func(e *etree.Element) *etree.Element {
		out := e.Copy()
		out.RemoveChild(signature(out))
		return out
	}
	extensions := func(inside *etree.Element) *etree.Element {
		e := etree.NewElement("samlp:Extensions")
		e.AddChild(inside)
		return e
	}
	for name, wrap := range map[string]func(g *forger, honest *etree.Element) *etree.Element{
		"no signature at all": func(g *forger, honest *etree.Element) *etree.Element { return g.response(strip(honest)) },
		"evil beside, before": func(g *forger, honest *etree.Element) *etree.Element { return g.response(g.evil("e1"), honest) },
		"evil beside, after":  func(g *forger, honest *etree.Element) *etree.Element { return g.response(honest, g.evil("e1")) },
		"evil with the same ID, before": func(g *forger, honest *etree.Element) *etree.Element {
			return g.response(g.evil("a1"), honest)
		},
		"evil with the same ID, after": func(g *forger, honest *etree.Element) *etree.Element {
			return g.response(honest, g.evil("a1"))
		},
		"XSW1: response around, honest one in the signature": func(g *forger, honest *etree.Element) *etree.Element {
			whole := g.sign(g.response(strip(honest)), g.key, g.cert, dsig.RSASHA256SignatureMethod)
			evil := g.response(g.evil("e1"))
			evil.CreateAttr("ID", "r2")
			s := signature(whole).Copy()
			inside := whole.Copy()
			inside.RemoveChild(signature(inside))
			s.AddChild(inside)
			evil.AddChild(s)
			return evil
		},
		"XSW2: response around, detached signature": func(g *forger, honest *etree.Element) *etree.Element {
			whole := g.sign(g.response(strip(honest)), g.key, g.cert, dsig.RSASHA256SignatureMethod)
			evil := g.response(g.evil("e1"))
			evil.CreateAttr("ID", "r2")
			inside := whole.Copy()
			inside.RemoveChild(signature(inside))
			evil.AddChild(inside)
			evil.AddChild(signature(whole).Copy())
			return evil
		},
		"XSW4: honest one inside the evil one": func(g *forger, honest *etree.Element) *etree.Element {
			evil := g.evil("e1")
			evil.AddChild(honest)
			return g.response(evil)
		},
		"XSW5: signature in the evil one, honest one at the end": func(g *forger, honest *etree.Element) *etree.Element {
			evil := g.evil("e1")
			evil.AddChild(signature(honest).Copy())
			return g.response(evil, strip(honest))
		},
		"XSW6: honest one inside the signature of the evil one": func(g *forger, honest *etree.Element) *etree.Element {
			evil, s := g.evil("e1"), signature(honest).Copy()
			s.AddChild(strip(honest))
			evil.AddChild(s)
			return g.response(evil)
		},
		"XSW7: extensions hold the evil one": func(g *forger, honest *etree.Element) *etree.Element {
			return g.response(extensions(g.evil("e1")), honest)
		},
		"XSW7: extensions hold the honest one": func(g *forger, honest *etree.Element) *etree.Element {
			return g.response(extensions(honest), g.evil("e1"))
		},
		"XSW8: an object in the signature holds the honest one": func(g *forger, honest *etree.Element) *etree.Element {
			evil, s := g.evil("e1"), signature(honest).Copy()
			object := s.CreateElement("ds:Object")
			object.AddChild(strip(honest))
			evil.AddChild(s)
			return g.response(evil)
		},
		"the signature of an honest one on an evil one": func(g *forger, honest *etree.Element) *etree.Element {
			evil := g.evil("a1")
			evil.AddChild(signature(honest).Copy())
			return g.response(evil)
		},
		"two signatures, the second evil": func(g *forger, honest *etree.Element) *etree.Element {
			key, cert := testsaml.Certificate(g.t)
			evil := g.sign(g.evil("a1"), key, cert, dsig.RSASHA256SignatureMethod)
			evil.AddChild(signature(honest).Copy())
			return g.response(evil)
		},
		"signed by a key of its own, certificate inside": func(g *forger, _ *etree.Element) *etree.Element {
			key, cert := testsaml.Certificate(g.t)
			return g.response(g.sign(g.evil("e1"), key, cert, dsig.RSASHA256SignatureMethod))
		},
		"signed by a key of its own, certificate of the provider inside": func(g *forger, _ *etree.Element) *etree.Element {
			key, _ := testsaml.Certificate(g.t)
			return g.response(g.sign(g.evil("e1"), key, g.cert, dsig.RSASHA256SignatureMethod))
		},
		"signed with SHA-1": func(g *forger, _ *etree.Element) *etree.Element {
			return g.response(g.sign(g.assertion().Element(), g.key, g.cert, dsig.RSASHA1SignatureMethod))
		},
		"only the response is signed": func(g *forger, honest *etree.Element) *etree.Element {
			return g.sign(g.response(strip(honest)), g.key, g.cert, dsig.RSASHA256SignatureMethod)
		},
		"the signature of the response is broken": func(g *forger, honest *etree.Element) *etree.Element {
			e := g.sign(g.response(honest), g.key, g.cert, dsig.RSASHA256SignatureMethod)
			e.FindElement("./samlp:Status/samlp:StatusCode").CreateAttr("More", "x")
			return e
		},
		"the reference is empty": func(g *forger, honest *etree.Element) *etree.Element {
			honest.FindElement("./Signature/SignedInfo/Reference").CreateAttr("URI", "")
			return g.response(honest)
		},
		"no assertion": func(g *forger, _ *etree.Element) *etree.Element { return g.response() },
		"encrypted beside": func(g *forger, honest *etree.Element) *etree.Element {
			return g.response(etree.NewElement("saml:EncryptedAssertion"), honest)
		},
		"a name changed": func(g *forger, honest *etree.Element) *etree.Element {
			honest.FindElement("./saml:Subject/saml:NameID").SetText("root")
			return g.response(honest)
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := newForger(t, login.SAML{})
			text := g.text(wrap(g, g.signed(g.assertion())))
			if who, err := g.finish(text); fault.KindOf(err) != fault.Unauthenticated {
				t.Errorf("%+v, %v\n%s", who, err, text)
			}
		})
	}
}

func TestXMLThatIsMoreThanElementsAndTextIsRefused(t *testing.T) {
	g := newForger(t, login.SAML{})
	honest := string(g.text(g.response(g.signed(g.assertion()))))
	var bomb strings.Builder
	bomb.WriteString(`<!DOCTYPE x [<!ENTITY a0 "lol">`)
	for i := range 9 {
		bomb.WriteString(`<!ENTITY a` + string(rune('1'+i)) + ` "` + strings.Repeat("&a"+string(rune('0'+i))+";", 10) + `">`)
	}
	bomb.WriteString("]>")
	for name, text := range map[string]string{
		"a comment in the name":       strings.Replace(honest, ">ann<", ">ann<!-- -->.evil<", 1),
		"a comment that splits":       strings.Replace(honest, ">ann<", ">root<!---->ann<", 1),
		"a comment anywhere":          strings.Replace(honest, "</samlp:Response>", "<!-- --></samlp:Response>", 1),
		"a document type":             `<!DOCTYPE samlp:Response>` + honest,
		"entities that grow":          bomb.String() + strings.Replace(honest, ">ann<", ">&a9;<", 1),
		"an entity of a file":         `<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>` + strings.Replace(honest, ">ann<", ">&f;<", 1),
		"an external subset":          `<!DOCTYPE x SYSTEM "http://127.0.0.1:1/x.dtd">` + honest,
		"an entity that is not there": strings.Replace(honest, ">ann<", ">&nbsp;<", 1),
		"a processing instruction":    `<?xml-stylesheet href="x"?>` + honest,
		"another encoding":            `<?xml version="1.0" encoding="UTF-16"?>` + honest,
		"something after the end":     honest + "<x/>",
		"text after the end":          honest + "x",
		"cut off":                     honest[:len(honest)/2],
		"deep nesting":                strings.Repeat("<a>", 100_00) + strings.Repeat("</a>", 100_00),
		"many elements":               "<a>" + strings.Repeat("<b/>", 40_000) + "</a>",
		"long":                        strings.Replace(honest, ">ann<", ">"+strings.Repeat("a", 300<<10)+"<", 1),
		"no XML":                      "SAMLResponse",
		"nothing":                     "",
	} {
		if who, err := g.finish([]byte(text)); fault.KindOf(err) != fault.Unauthenticated {
			t.Errorf("%s: %+v, %v", name, who, err)
		}
	}
	if _, err := g.p.Finish(g.f, "%%% no base64"); fault.KindOf(err) != fault.Unauthenticated {
		t.Error(err)
	}
	if _, err := g.finish([]byte(honest)); err != nil {
		t.Errorf("the honest one: %v", err)
	}
}

func TestMetadataThatCannotBeTrustedIsRefused(t *testing.T) {
	_, cert := testsaml.Certificate(t)
	good := idpMetadata(cert)
	if _, err := (login.SAML{Metadata: idpMetadata(cert, cert)}).Open(us); err != nil {
		t.Errorf("two certificates, old and new: %v", err)
	}
	for name, text := range map[string]string{
		"nothing":             "",
		"no certificate":      idpMetadata(),
		"a document type":     "<!DOCTYPE x>" + good,
		"a service in clear":  strings.Replace(good, "https://idp.example.test/sso", "http://idp.example.test/sso", 1),
		"a script":            strings.Replace(good, "https://idp.example.test/sso", "javascript:alert(1)", 1),
		"no certificate text": strings.Replace(good, base64.StdEncoding.EncodeToString(cert.Raw), "test-value", 1),
		"our own metadata":    string(must(us.Metadata())),
		"another document":    "<a/>",
	} {
		if _, err := (login.SAML{Metadata: text}).Open(us); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	old := strings.Replace(good, "entityID=", `validUntil="2020-01-01T00:00:00Z" entityID=`, 1)
	if _, err := (login.SAML{Metadata: old}).Open(us); fault.KindOf(err) != fault.Expired {
		t.Errorf("old metadata: %v", err)
	}
}

func TestOurMetadataSaysWhatWeTake(t *testing.T) {
	var m saml.EntityDescriptor
	if err := xml.Unmarshal(must(us.Metadata()), &m); err != nil {
		t.Fatal(err)
	}
	sp := m.SPSSODescriptors[0]
	if m.EntityID != us.Entity || !*sp.WantAssertionsSigned || len(sp.AssertionConsumerServices) != 1 || sp.AssertionConsumerServices[0].Location != us.ACS {
		t.Errorf("%+v", m)
	}
}

func FuzzSAMLAnswer(f *testing.F) {
	_, cert := testsaml.Certificate(f)
	p, err := login.SAML{Metadata: idpMetadata(cert)}.Open(us)
	if err != nil {
		f.Fatal(err)
	}
	flow, err := login.NewFlow(connection, challenge, 0, "", time.Now())
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(`<samlp:Response xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" InResponseTo="` + flow.RequestID() + `"><samlp:Status><samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Success"/></samlp:Status>` +
		`<saml:Assertion xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="a"><ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:SignedInfo><ds:Reference URI="#a"/></ds:SignedInfo></ds:Signature></saml:Assertion></samlp:Response>`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if who, err := p.Finish(flow, base64.StdEncoding.EncodeToString(text)); err == nil {
			t.Errorf("%+v out of %q", who, text)
		}
	})
}
