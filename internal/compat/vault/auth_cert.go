package vault

import (
	"context"
	"encoding/hex"
	"net/http"
	"strings"

	"github.com/keyturn/keyturn/internal/access"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/login"
)

const whyRevoked = "a certificate that must not work any more is refused by its serial number: keyturn identity method add --kind tls"

// certKind is how client certificates are taken.
var certKind = methodKind{
	role: []kept{{"certificate", ""}, {"allowed_names", []string{}}, {"allowed_common_names", []string{}}, {"allowed_dns_sans", []string{}}, {"allowed_email_sans", []string{}},
		{"allowed_uri_sans", []string{}}, {"allowed_organizational_units", []string{}}, {"required_extensions", []string{}}, {"allowed_metadata_extensions", []string{}},
		{"display_name", ""}, {"ocsp_enabled", false}, {"ocsp_ca_certificates", ""}, {"ocsp_servers_override", []string{}}},
	refusedRole: map[string]string{"allowed_names": "say which kind of name is meant: allowed_common_names, allowed_dns_sans, allowed_email_sans",
		"required_extensions": "extensions are not looked at", "allowed_metadata_extensions": "extensions are not looked at",
		"ocsp_enabled": whyRevoked, "ocsp_ca_certificates": whyRevoked, "ocsp_servers_override": whyRevoked},
	checkRole: func(f fields) error {
		if blank(f["certificate"]) {
			return bad("failed to parse certificate")
		}
		return nil
	},
	method: func(_, role fields) (string, any, error) {
		set := map[string]any{}
		ca, err := role.text("certificate")
		if err != nil {
			return "", nil, err
		}
		set["ca"] = ca
		for from, to := range map[string]string{"allowed_common_names": "common_names", "allowed_dns_sans": "dns", "allowed_email_sans": "emails",
			"allowed_uri_sans": "uris", "allowed_organizational_units": "organizational_units"} {
			if set[to], err = globs(role, from); err != nil {
				return "", nil, err
			}
		}
		return string(login.KindTLS), set, nil
	},
}

// cert answers the calls at a place of client certificates.
func (s *Surface) cert(ctx context.Context, p *place) (*reply, error) {
	parts := p.parts()
	switch {
	case p.below == "login":
		return s.certLogin(ctx, p)
	case p.below == "certs":
		return s.methodRoles(ctx, p)
	case parts[0] == "certs" && len(parts) == 2:
		return s.methodRole(ctx, p, parts[1], certKind)
	}
	return nil, noPath()
}

func (s *Surface) certLogin(ctx context.Context, p *place) (*reply, error) {
	if err := p.only(verbWrite); err != nil {
		return nil, err
	}
	name, err := p.fields.text("name")
	if err != nil {
		return nil, err
	}
	var shown login.Credential
	if t := p.http.TLS; t != nil {
		shown.Certificates = t.PeerCertificates
	}
	out, err := s.Access.LoginRole(ctx, access.RoleLogin{Mount: p.mount, Role: name, Kinds: []string{string(login.KindTLS)}, Credential: shown,
		Meta: func(role string, _ access.RoleSettings, e login.Evidence) map[string]string {
			return certMeta(role, shown)
		}})
	if err != nil && (noSuchRole(err) || fault.KindOf(err) == fault.Unauthenticated) {
		return nil, &shaped{status: http.StatusBadRequest, messages: []string{badCert}, cause: err}
	}
	return s.loggedIn(ctx, out, err, badCert)
}

// certMeta tells what stands in the certificate of a login.
func certMeta(role string, c login.Credential) map[string]string {
	leaf := c.Certificates[0] // without one there is no login
	return map[string]string{"cert_name": role, "common_name": leaf.Subject.CommonName, "serial_number": leaf.SerialNumber.String(),
		"subject_key_id": colons(leaf.SubjectKeyId), "authority_key_id": colons(leaf.AuthorityKeyId)}
}

// colons writes bytes as people read them in certificates.
func colons(b []byte) string {
	parts := make([]string, len(b))
	for i, c := range b {
		parts[i] = hex.EncodeToString([]byte{c})
	}
	return strings.Join(parts, ":")
}
