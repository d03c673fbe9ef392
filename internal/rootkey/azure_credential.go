package rootkey

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/keyturn/keyturn/internal/fault"
)

const (
	azureMetadata    = "http://169.254.169.254" // link-local, the same in every virtual machine
	azureMetadataAPI = "2018-02-01"
	azureServiceAPI  = "2019-08-01" // of App Service, Functions and Container Apps
	azureAssertion   = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
)

// azureTenant is a UUID or a domain.
var azureTenant = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z.-]{0,127}$`)

// findToken gets an access token for the vault, by the first of these that the server's variables speak of:
//
//   - client secret: AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_CLIENT_SECRET;
//   - workload identity, as AKS sets it up: AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_FEDERATED_TOKEN_FILE;
//   - managed identity of App Service, Functions and Container Apps: IDENTITY_ENDPOINT, IDENTITY_HEADER;
//   - managed identity of the virtual machine, from the metadata service; AZURE_CLIENT_ID chooses among several.
//
// AZURE_AUTHORITY_HOST is honoured. The variables are those of azidentity, which is not used: it adds three megabytes, reads the
// process's own environment and runs command-line programs. Nothing is kept between calls.
func (v azureVault) findToken(ctx context.Context) (string, error) {
	tenant, client := v.env.value("AZURE_TENANT_ID"), v.env.value("AZURE_CLIENT_ID")
	secret, assertion := v.env.value("AZURE_CLIENT_SECRET"), v.env.value("AZURE_FEDERATED_TOKEN_FILE")
	switch {
	case tenant != "" && client != "" && secret != "":
		return v.fromEntra(ctx, tenant, url.Values{"client_id": {client}, "client_secret": {secret}})
	case tenant != "" && client != "" && assertion != "":
		b, err := v.env.read("AZURE_FEDERATED_TOKEN_FILE", assertion)
		if err != nil {
			return "", err
		}
		return v.fromEntra(ctx, tenant, url.Values{"client_id": {client}, "client_assertion_type": {azureAssertion}, "client_assertion": {strings.TrimSpace(string(b))}})
	}
	return v.fromMachine(ctx, client)
}

// fromEntra asks Microsoft Entra ID by the client credentials grant. Source:
// https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow.
func (v azureVault) fromEntra(ctx context.Context, tenant string, form url.Values) (string, error) {
	authority := strings.TrimSuffix(v.env.value("AZURE_AUTHORITY_HOST"), "/")
	if authority == "" {
		authority = v.cloud.authority
	}
	u, err := url.Parse(authority)
	if err != nil || u.User != nil || u.Path+u.RawQuery+u.Fragment != "" || !plainHost(u.Host) || u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
		return "", fault.New(fault.Denied, "AZURE_AUTHORITY_HOST is not https:// and a host")
	}
	if !azureTenant.MatchString(tenant) {
		return "", fault.New(fault.Denied, "AZURE_TENANT_ID is neither an id nor a domain")
	}
	form.Set("grant_type", "client_credentials")
	form.Set("scope", v.cloud.resource+"/.default")
	body := []byte(form.Encode())
	defer clear(body)
	return v.fetchToken(caller{label: "Microsoft Entra ID", client: v.client}, ctx, func(ctx context.Context) (*http.Request, error) {
		return post(ctx, authority+"/"+tenant+"/oauth2/v2.0/token", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, body)
	})
}

// fromMachine asks for a managed identity. Sources: https://learn.microsoft.com/azure/app-service/overview-managed-identity and
// https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token.
func (v azureVault) fromMachine(ctx context.Context, client string) (string, error) {
	query := url.Values{"resource": {v.cloud.resource}, "api-version": {azureMetadataAPI}}
	if client != "" {
		query.Set("client_id", client)
	}
	place, header := azureMetadata+"/metadata/identity/oauth2/token", http.Header{"Metadata": {"true"}}
	if endpoint, key := v.env.value("IDENTITY_ENDPOINT"), v.env.value("IDENTITY_HEADER"); endpoint != "" && key != "" {
		u, err := url.Parse(endpoint)
		if err != nil || u.RawQuery+u.Fragment != "" || u.User != nil || !plainHost(u.Host) || u.Scheme != "http" && u.Scheme != "https" {
			return "", fault.New(fault.Denied, "IDENTITY_ENDPOINT is not the address of a service")
		}
		place, header = endpoint, http.Header{"X-Identity-Header": {key}}
		query.Set("api-version", azureServiceAPI)
	}
	c := caller{label: "the managed identity service", client: withoutProxy(v.client)}
	return v.fetchToken(c, ctx, func(ctx context.Context) (*http.Request, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, place+"?"+query.Encode(), nil)
		if err != nil {
			return nil, fault.New(fault.Denied, "IDENTITY_ENDPOINT is not the address of a service")
		}
		req.Header = header.Clone()
		return req, nil
	})
}

// fetchToken sends a request for a token and reads the answer.
func (v azureVault) fetchToken(c caller, ctx context.Context, build func(context.Context) (*http.Request, error)) (string, error) {
	a, err := c.do(ctx, build)
	if err != nil {
		return "", err
	}
	defer clear(a.body)
	if a.status != http.StatusOK {
		return "", refused(c.label, "gives this server no access token").
			WithHint("check AZURE_TENANT_ID, AZURE_CLIENT_ID and what proves them, or give the machine a managed identity")
	}
	var got struct {
		Token string `json:"access_token"`
	}
	if json.Unmarshal(a.body, &got) != nil || got.Token == "" || strings.ContainsFunc(got.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", untrue(c.label, "gave an answer without an access token")
	}
	return got.Token, nil
}

// withoutProxy gives a client for services of the machine's own network, which a proxy would ask on another machine's behalf.
// A transport that is not Go's own is kept: whoever made it knows where it leads.
func withoutProxy(c *http.Client) *http.Client {
	own := ownTransport(c)
	if own == nil {
		return c
	}
	direct := *c
	own.Proxy, own.DisableKeepAlives = nil, true
	direct.Transport = own
	return &direct
}
