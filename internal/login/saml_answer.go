package login

import (
	"encoding/base64"
	"encoding/xml"
	"slices"
	"strings"
	"time"

	"github.com/beevik/etree"
	"github.com/crewjam/saml"
)

// maxSAML bounds an answer, in bytes of XML: some hundred groups fit well.
const maxSAML = 256 << 10

// Finish takes the answer that the browser posted, base64 of XML, and gives who it is. The caller has compared RelayState with
// the flow and lets each flow be answered once; that is also what keeps an assertion from being used again, since it names the
// request of its flow.
func (p *IdentityProvider) Finish(f Flow, posted string) (Person, error) {
	if len(posted) > base64.StdEncoding.EncodedLen(maxSAML)+4096 { // room for line breaks
		return Person{}, refused("it is too long")
	}
	text, err := base64.StdEncoding.DecodeString(posted)
	if err != nil || len(text) > maxSAML {
		return Person{}, refusedFor(err, "it is not base64, or too long")
	}
	a, err := readAnswer(text)
	if err != nil {
		return Person{}, refusedFor(err, "it is not a SAML response of the shape that is taken")
	}
	now := time.Now()
	if err := p.checkResponse(a.response, f.RequestID()); err != nil {
		return Person{}, err
	}
	if len(signatures(a.response)) > 0 {
		if _, err := p.verified(a.response); err != nil {
			return Person{}, refusedFor(err, "the signature of the response is not valid")
		}
	}
	signed, err := p.verified(a.assertion)
	if err != nil {
		return Person{}, refusedFor(err, "the assertion is not signed by the identity provider")
	}
	if !is(signed, nsAssertion, "Assertion") {
		return Person{}, refused("what is signed is no assertion")
	}
	// From here on only what was signed is looked at.
	bytes, err := document(signed).WriteToBytes()
	if err != nil {
		return Person{}, refusedFor(err, "the assertion is malformed")
	}
	var assertion saml.Assertion
	if err := xml.Unmarshal(bytes, &assertion); err != nil {
		return Person{}, refusedFor(err, "the assertion is malformed")
	}
	if err := p.checkAssertion(&assertion, signed, f.RequestID(), now); err != nil {
		return Person{}, err
	}
	return p.person(&assertion)
}

// checkResponse checks the envelope, which need not be signed: it can only refuse.
func (p *IdentityProvider) checkResponse(e *etree.Element, request string) error {
	status := ""
	for _, s := range children(e, nsProtocol, "Status") {
		for _, c := range children(s, nsProtocol, "StatusCode") {
			status = c.SelectAttrValue("Value", "")
		}
	}
	issuer := ""
	for _, i := range children(e, nsAssertion, "Issuer") {
		issuer = i.Text()
	}
	to := e.SelectAttrValue("Destination", "")
	switch {
	case status != saml.StatusSuccess:
		return refused("the identity provider reports that the login failed")
	case e.SelectAttrValue("InResponseTo", "") != request:
		return refused("it belongs to another login")
	case to != "" && to != p.us.ACS, to == "" && len(signatures(e)) > 0:
		return refused("it is meant for another address")
	case issuer != "" && issuer != p.entity:
		return refused("it comes from another identity provider")
	}
	return nil
}

func children(e *etree.Element, space, tag string) []*etree.Element {
	var out []*etree.Element
	for _, c := range e.ChildElements() {
		if is(c, space, tag) {
			out = append(out, c)
		}
	}
	return out
}

// checkAssertion checks a signed assertion by the web browser SSO profile (SAML Profiles 4.1.4.3).
func (p *IdentityProvider) checkAssertion(a *saml.Assertion, e *etree.Element, request string, now time.Time) error {
	early, late := now.Add(clockSkew), now.Add(-clockSkew)
	switch {
	case a.Version != "2.0":
		return refused("the assertion is not of SAML 2.0")
	case a.Issuer.Value != p.entity:
		return refused("the assertion comes from another identity provider")
	case a.IssueInstant.After(early):
		return refused("the assertion comes from the future").WithHint("compare the clocks of server and provider")
	case a.IssueInstant.Before(late.Add(-FlowTTL)):
		return refused("the assertion is old")
	case a.Subject == nil || a.Subject.NameID == nil:
		return refused("the assertion names nobody")
	case a.Conditions == nil || a.Conditions.NotOnOrAfter.IsZero():
		return refused("the assertion does not say when it ends")
	case a.Conditions.NotBefore.After(early):
		return refused("the assertion is not valid yet").WithHint("compare the clocks of server and provider")
	case !a.Conditions.NotOnOrAfter.After(late):
		return refused("the assertion has expired").WithHint("compare the clocks of server and provider")
	case !p.isAudience(e):
		return refused("the assertion is for another application")
	case len(a.AuthnStatements) == 0:
		return refused("the assertion does not say that somebody logged in")
	}
	for _, s := range a.AuthnStatements {
		if s.SessionNotOnOrAfter != nil && !s.SessionNotOnOrAfter.After(late) {
			return refused("the session at the identity provider has ended")
		}
	}
	for _, c := range a.Subject.SubjectConfirmations {
		d := c.SubjectConfirmationData
		if c.Method == "urn:oasis:names:tc:SAML:2.0:cm:bearer" && d != nil && d.Recipient == p.us.ACS && d.InResponseTo == request &&
			!d.NotOnOrAfter.IsZero() && d.NotOnOrAfter.After(late) && !d.NotBefore.After(early) {
			return nil
		}
	}
	return refused("the assertion is not confirmed for this login: recipient, request or times are wrong")
}

// isAudience tells whether every audience restriction names us, and there is one. The tree is asked, since the library's type
// keeps one audience of several.
func (p *IdentityProvider) isAudience(e *etree.Element) bool {
	n := 0
	for _, conditions := range children(e, nsAssertion, "Conditions") {
		for _, restriction := range children(conditions, nsAssertion, "AudienceRestriction") {
			n++
			if !slices.ContainsFunc(children(restriction, nsAssertion, "Audience"), func(x *etree.Element) bool { return strings.TrimSpace(x.Text()) == p.us.Entity }) {
				return false
			}
		}
	}
	return n > 0
}

// person reads the facts.
func (p *IdentityProvider) person(a *saml.Assertion) (Person, error) {
	values := func(names ...string) []string {
		for _, name := range names {
			var out []string
			for _, s := range a.AttributeStatements {
				for _, attr := range s.Attributes {
					if name != "" && (attr.Name == name || attr.FriendlyName == name) {
						for _, v := range attr.Values {
							out = append(out, strings.TrimSpace(v.Value))
						}
					}
				}
			}
			if len(out) > 0 {
				return out
			}
		}
		return nil
	}
	first := func(all []string) string {
		if len(all) == 0 {
			return ""
		}
		return all[0]
	}
	name := a.Subject.NameID
	subject := name.Value
	if p.s.SubjectAttribute != "" {
		all := values(p.s.SubjectAttribute)
		if len(all) != 1 {
			return Person{}, refused("it does not have exactly one value of the attribute that names the person")
		}
		subject = all[0]
	} else if name.Format == string(saml.TransientNameIDFormat) {
		return Person{}, refused("it names the person by an id that changes with each login").
			WithHint("let the provider send a persistent NameID, or set subject_attribute to an attribute that stays")
	}
	email := values(emailAttributes...)
	if p.s.EmailAttribute != "" {
		email = values(p.s.EmailAttribute)
	} else if len(email) == 0 && name.Format == string(saml.EmailAddressNameIDFormat) {
		email = []string{name.Value}
	}
	names := values(nameAttributes...)
	if p.s.NameAttribute != "" {
		names = values(p.s.NameAttribute)
	}
	contexts := p.s.MFAValues
	if len(contexts) == 0 {
		contexts = mfaContexts
	}
	mfa := false
	for _, s := range a.AuthnStatements {
		if c := s.AuthnContext.AuthnContextClassRef; c != nil && slices.Contains(contexts, strings.TrimSpace(c.Value)) {
			mfa = true
		}
	}
	return person(subject, first(email), first(names), values(p.s.GroupsAttribute), mfa)
}
