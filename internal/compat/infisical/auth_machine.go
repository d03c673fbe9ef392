package infisical

import (
	"context"
	"encoding/base64"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/keyturn/keyturn/internal/access"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/login"
	"github.com/keyturn/keyturn/internal/sensitive"
)

func (s *Surface) machineRoutes() []route {
	routes := []route{
		{"POST /v1/auth/aws-auth/login", withoutToken, s.awsLogin},
		{"POST /v1/auth/ldap-auth/login", withoutToken, notServed("a machine does not log in with the password of a directory here")},
		{"POST /v1/auth/oci-auth/login", withoutToken, notServed("logins of Oracle Cloud are not served")},
	}
	for name, kinds := range jwtKinds {
		routes = append(routes, route{"POST /v1/auth/" + name + "/login", withoutToken, s.jwtLogin(kinds)})
	}
	return routes
}

// jwtKinds are our kinds of methods for each of the dialect in which a machine shows a JWT.
var jwtKinds = map[string][]login.Kind{
	"kubernetes-auth": {login.KindKubernetes},
	"oidc-auth":       {login.KindOIDC, login.KindGitHub, login.KindGitLab},
	"jwt-auth":        {login.KindJWKS, login.KindJWT},
	"gcp-auth":        {login.KindGCP},
	"azure-auth":      {login.KindAzure},
}

// notServed refuses a way to log in that nothing here has.
func notServed(reason string) func(context.Context, *call) (*answer, error) {
	return func(context.Context, *call) (*answer, error) {
		return nil, fault.New(fault.Unsupported, "%s", reason).WithHint("use universal auth, or one of kubernetes, oidc, jwt, aws, gcp and azure")
	}
}

func (s *Surface) jwtLogin(kinds []login.Kind) func(context.Context, *call) (*answer, error) {
	return func(ctx context.Context, c *call) (*answer, error) {
		id, err := c.must("identityId")
		if err != nil {
			return nil, err
		}
		token, err := c.must("jwt")
		if err != nil {
			return nil, err
		}
		return s.machineLogin(ctx, c, func() (access.Session, error) {
			return s.Access.LoginMachineBy(ctx, id, kinds, login.Credential{Token: sensitive.FromString(token)})
		})
	}
}

// maxSigned bounds a part of a signed request in base64, bytes: a session token of AWS has one to two thousand.
const maxSigned = 32 << 10

// plain reads a part of a signed request.
func (c *call) plain(name string) ([]byte, error) {
	text, err := c.must(name)
	if err != nil {
		return nil, err
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(text) > maxSigned {
		return nil, wrong(name, "base64")
	}
	return raw, nil
}

// awsLogin takes a request that the client has signed for AWS. Whom it is for stands in its header Host.
func (s *Surface) awsLogin(ctx context.Context, c *call) (*answer, error) {
	id, err := c.must("identityId")
	if err != nil {
		return nil, err
	}
	method, err := c.text("iamHttpRequestMethod")
	if err != nil {
		return nil, err
	}
	if method == "" {
		method = "POST"
	}
	body, err := c.plain("iamRequestBody")
	if err != nil {
		return nil, err
	}
	raw, err := c.plain("iamRequestHeaders")
	if err != nil {
		return nil, err
	}
	header, err := signedHeader(raw)
	if err != nil {
		return nil, err
	}
	in := login.SignedRequest{Method: method, Header: header, Body: string(body)}
	for name, value := range header {
		if strings.EqualFold(name, "host") {
			in.URL = "https://" + value + "/"
		}
	}
	return s.machineLogin(ctx, c, func() (access.Session, error) {
		return s.Access.LoginMachineBy(ctx, id, []login.Kind{login.KindAWS}, login.Credential{Request: &in})
	})
}

// signedHeader reads the headers of a signed request: values are texts, or lists of one.
func signedHeader(raw []byte) (map[string]string, error) {
	var all map[string]any
	if err := json.Unmarshal(raw, &all); err != nil {
		return nil, wrong("iamRequestHeaders", "a JSON object in base64")
	}
	out := map[string]string{}
	for name, value := range all {
		if list, ok := value.([]any); ok && len(list) == 1 {
			value = list[0]
		}
		switch v := value.(type) {
		case string:
			out[name] = v
		case float64: // some clients send the length of the body so; it is not sent on
			if !strings.EqualFold(name, "content-length") {
				return nil, wrong("iamRequestHeaders", "texts as values")
			}
		default:
			return nil, wrong("iamRequestHeaders", "texts as values")
		}
	}
	return out, nil
}
