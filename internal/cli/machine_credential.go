package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/fault"
)

// Where clouds tell a machine who it is. These addresses answer to programs on the machine itself and to nobody else.
const (
	gcpMetadata   = "http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/identity"
	azureMetadata = "http://169.254.169.254/metadata/identity/oauth2/token"
	azureVersion  = "2018-02-01"

	metadataTimeout = 10 * time.Second
	maxMetadata     = 64 << 10 // bytes of an answer
)

// tell asks an address for a text. The caller's headers prove that it is no browser that was led there.
func tell(ctx context.Context, what, address string, header map[string]string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "%s has no address that can be asked", what)
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	h := &http.Client{Timeout: metadataTimeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := h.Do(req)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "%s does not answer", what).WithHint("does this run there?")
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxMetadata))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fault.New(fault.Unavailable, "%s answers with status %d", what, resp.StatusCode)
	}
	return body, err
}

// githubToken asks the runner for the job's identity token: https://docs.github.com/actions/reference/security/oidc
func (a *app) githubToken(ctx context.Context, audience string) (string, error) {
	address, bearer := a.getenv("ACTIONS_ID_TOKEN_REQUEST_URL"), a.getenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN")
	if address == "" || bearer == "" {
		return "", fault.New(fault.Invalid, "this job may not ask for an identity token").WithHint("add to the workflow: permissions: {id-token: write}")
	}
	body, err := tell(ctx, "GitHub Actions", address+"&audience="+url.QueryEscape(audience), map[string]string{"Authorization": "Bearer " + bearer})
	return member(body, "value", err)
}

// gcpToken asks the metadata server: https://cloud.google.com/compute/docs/instances/verifying-instance-identity
func gcpToken(ctx context.Context, audience string) (string, error) {
	body, err := tell(ctx, "the metadata server of Google Cloud", gcpMetadata+"?format=full&audience="+url.QueryEscape(audience), map[string]string{"Metadata-Flavor": "Google"})
	return strings.TrimSpace(string(body)), err
}

// azureToken asks the instance metadata service: https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token
func azureToken(ctx context.Context, audience string) (string, error) {
	body, err := tell(ctx, "the metadata service of Azure", azureMetadata+"?api-version="+azureVersion+"&resource="+url.QueryEscape(audience), map[string]string{"Metadata": "true"})
	return member(body, "access_token", err)
}

func member(body []byte, name string, err error) (string, error) {
	if err != nil {
		return "", err
	}
	var answer map[string]any
	if err := json.Unmarshal(body, &answer); err != nil {
		return "", fault.Wrap(fault.Unavailable, err, "the answer is not JSON")
	}
	text, _ := answer[name].(string)
	if text == "" {
		return "", fault.New(fault.Unavailable, "the answer holds no token")
	}
	return text, nil
}

const (
	callerIdentity = "Action=GetCallerIdentity&Version=2011-06-15"
	serverIDHeader = "X-Keyturn-Server-Id"
)

// signedIdentity signs a request of sts:GetCallerIdentity for the server to send. The credentials are those that AWS's own tools
// would use here; they stay here.
func signedIdentity(ctx context.Context, region, serverID string) (*api.SignedRequest, error) {
	c, err := config.LoadDefaultConfig(ctx, config.WithRegion(region))
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "the configuration of AWS cannot be read")
	}
	keys, err := c.Credentials.Retrieve(ctx)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "there are no credentials of AWS here").WithHint("see what \"aws sts get-caller-identity\" says")
	}
	req, err := http.NewRequest(http.MethodPost, "https://sts."+region+".amazonaws.com/", strings.NewReader(callerIdentity))
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "the region is not valid")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	req.Header.Set(serverIDHeader, serverID)
	sum := sha256.Sum256([]byte(callerIdentity))
	if err := v4.NewSigner().SignHTTP(ctx, keys, req, hex.EncodeToString(sum[:]), "sts", region, time.Now()); err != nil {
		return nil, fault.Wrap(fault.Internal, err, "the request of AWS cannot be signed")
	}
	out := &api.SignedRequest{Method: req.Method, URL: req.URL.String(), Header: map[string]string{}, Body: callerIdentity}
	for name := range req.Header {
		out.Header[name] = req.Header.Get(name)
	}
	return out, nil
}

func hostname(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	return u.Hostname()
}
