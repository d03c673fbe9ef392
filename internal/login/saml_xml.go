package login

import (
	"bytes"
	"crypto/x509"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/beevik/etree"
	xrv "github.com/mattermost/xml-roundtrip-validator"
	dsig "github.com/russellhaering/goxmldsig"
	"github.com/russellhaering/goxmldsig/etreeutils"
)

// Namespaces of SAML 2.0 and XML signatures.
const (
	nsAssertion = "urn:oasis:names:tc:SAML:2.0:assertion"
	nsProtocol  = "urn:oasis:names:tc:SAML:2.0:protocol"
	nsSignature = "http://www.w3.org/2000/09/xmldsig#"
)

const (
	// maxDepth bounds the nesting of XML; a SAML answer is some ten deep.
	maxDepth = 40
	// maxElements bounds the elements of XML, which cost much more memory than the bytes that they are written with.
	maxElements = 20_000
)

// The algorithms of signatures and digests that are taken: SHA-1 is not.
var (
	signatureAlgorithms = []string{dsig.RSASHA256SignatureMethod, dsig.RSASHA384SignatureMethod, dsig.RSASHA512SignatureMethod,
		dsig.ECDSASHA256SignatureMethod, dsig.ECDSASHA384SignatureMethod, dsig.ECDSASHA512SignatureMethod}
	digestAlgorithms = []string{"http://www.w3.org/2001/04/xmlenc#sha256", "http://www.w3.org/2001/04/xmldsig-more#sha384", "http://www.w3.org/2001/04/xmlenc#sha512"}
	transforms       = []string{string(dsig.EnvelopedSignatureAltorithmId), string(dsig.CanonicalXML10ExclusiveAlgorithmId)}
)

// screen refuses XML that is more than elements, attributes and text, before any library builds a tree of it: document types
// and the entities in them, processing instructions and, unless they are allowed, comments, by which two programs can be made
// to read different names.
func screen(text []byte, comments bool) error {
	d := xml.NewDecoder(bytes.NewReader(text)) // without a CharsetReader: UTF-8 only
	depth, elements := 0, 0
	for first := true; ; first = false {
		token, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			if elements == 0 {
				return errors.New("no element")
			}
			return nil
		}
		if err != nil {
			return err
		}
		switch t := token.(type) {
		case xml.Directive:
			return errors.New("a document type")
		case xml.Comment:
			if !comments {
				return errors.New("a comment")
			}
		case xml.ProcInst:
			if t.Target != "xml" || !first {
				return errors.New("a processing instruction")
			}
		case xml.CharData:
			if depth == 0 && len(bytes.TrimSpace(t)) > 0 {
				return errors.New("text outside the root")
			}
		case xml.StartElement:
			if depth == 0 && elements > 0 {
				return errors.New("more than one root")
			}
			if depth, elements = depth+1, elements+1; depth > maxDepth || elements > maxElements {
				return errors.New("too deep or too many elements")
			}
		case xml.EndElement:
			depth--
		}
	}
}

func document(root *etree.Element) *etree.Document {
	doc := etree.NewDocument()
	doc.SetRoot(root)
	return doc
}

// answer is a SAML response of the one shape that is taken, with its only assertion.
type answer struct{ response, assertion *etree.Element }

// readAnswer reads a response. Whatever the signatures say, it must hold one assertion, as a child of its root, and no element
// of a signature but those of response and assertion themselves: so there is nothing to wrap.
func readAnswer(text []byte) (answer, error) {
	if err := screen(text, false); err != nil {
		return answer{}, err
	}
	if err := xrv.Validate(bytes.NewReader(text)); err != nil { // what changes when Go reads and writes it
		return answer{}, err
	}
	doc := etree.NewDocument()
	if err := doc.ReadFromBytes(text); err != nil {
		return answer{}, err
	}
	root := doc.Root()
	if root == nil || !is(root, nsProtocol, "Response") {
		return answer{}, errors.New("the root is no response")
	}
	a := answer{response: root}
	ids := map[string]bool{}
	var walk func(e *etree.Element) error
	walk = func(e *etree.Element) error {
		for _, attr := range e.Attr {
			if !strings.EqualFold(attr.Key, "id") || attr.Space == "xmlns" {
				continue
			}
			if ids[attr.Value] || attr.Value == "" {
				return errors.New("an ID stands there twice")
			}
			ids[attr.Value] = true
		}
		switch {
		case e == root:
		case e.NamespaceURI() == nsProtocol && e.Tag == "Response":
			return errors.New("a response inside another")
		case e.Tag == "EncryptedAssertion" || e.Tag == "EncryptedID" || e.Tag == "EncryptedAttribute":
			return errors.New("something encrypted")
		case e.Tag == "Assertion":
			if e.Parent() != root || a.assertion != nil || !is(e, nsAssertion, "Assertion") {
				return errors.New("more than one assertion, or one in a strange place")
			}
			a.assertion = e
		case e.Tag == "Signature":
			if e.NamespaceURI() != nsSignature || e.Parent() != root && e.Parent() != a.assertion {
				return errors.New("a signature in a strange place")
			}
		}
		for _, child := range e.ChildElements() {
			if err := walk(child); err != nil {
				return err
			}
		}
		return nil
	}
	if err := walk(root); err != nil {
		return answer{}, err
	}
	if a.assertion == nil {
		return answer{}, errors.New("no assertion")
	}
	return a, nil
}

func is(e *etree.Element, space, tag string) bool { return e.Tag == tag && e.NamespaceURI() == space }

// signatures are the children of an element that sign it.
func signatures(e *etree.Element) []*etree.Element {
	var out []*etree.Element
	for _, child := range e.ChildElements() {
		if is(child, nsSignature, "Signature") {
			out = append(out, child)
		}
	}
	return out
}

// verified checks the one signature of an element by one of the provider's certificates and gives what was signed: a tree that
// is read anew from the very bytes that were digested.
func (p *IdentityProvider) verified(e *etree.Element) (*etree.Element, error) {
	all := signatures(e)
	if len(all) != 1 {
		return nil, errors.New("not signed, or more than once")
	}
	if err := signatureShape(e, all[0]); err != nil {
		return nil, err
	}
	ctx, err := etreeutils.NSBuildParentContext(e)
	if err != nil {
		return nil, err
	}
	if ctx, err = ctx.SubContext(e); err != nil {
		return nil, err
	}
	alone, err := etreeutils.NSDetatch(ctx, e)
	if err != nil {
		return nil, err
	}
	var failures []error
	for _, cert := range p.certificates {
		check := dsig.NewDefaultValidationContext(&dsig.MemoryX509CertificateStore{Roots: []*x509.Certificate{cert}})
		check.IdAttribute = "ID"
		signed, err := check.Validate(alone)
		if err == nil {
			return signed, nil
		}
		failures = append(failures, err)
	}
	return nil, errors.Join(failures...)
}

// signatureShape demands what SAML Core 5.4 does: one reference, to the element itself, by its ID, and no transforms but the
// usual two.
func signatureShape(e, signature *etree.Element) error {
	var methods, references, digests, changes []*etree.Element
	var walk func(*etree.Element)
	walk = func(x *etree.Element) {
		switch x.Tag {
		case "SignatureMethod":
			methods = append(methods, x)
		case "Reference":
			references = append(references, x)
		case "DigestMethod":
			digests = append(digests, x)
		case "Transform":
			changes = append(changes, x)
		}
		for _, child := range x.ChildElements() {
			walk(child)
		}
	}
	walk(signature)
	id := e.SelectAttrValue("ID", "")
	switch {
	case id == "" || len(references) != 1 || references[0].SelectAttrValue("URI", "") != "#"+id:
		return errors.New("the signature is not of this element")
	case len(methods) != 1 || !slices.Contains(signatureAlgorithms, methods[0].SelectAttrValue("Algorithm", "")):
		return errors.New("the algorithm of the signature is not taken")
	case len(digests) != 1 || !slices.Contains(digestAlgorithms, digests[0].SelectAttrValue("Algorithm", "")):
		return errors.New("the algorithm of the digest is not taken")
	case len(changes) > len(transforms):
		return errors.New("too many transforms")
	}
	for _, t := range changes {
		if !slices.Contains(transforms, t.SelectAttrValue("Algorithm", "")) {
			return errors.New("a transform is not taken")
		}
	}
	return nil
}
