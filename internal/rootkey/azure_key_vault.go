package rootkey

import (
	"context"
	"encoding/base64"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/keyturn/keyturn/internal/fault"
)

const (
	azureForm      = "azurekv://VAULT.vault.azure.net/keys/NAME or, for one version of the key, .../keys/NAME/VERSION"
	azureLabel     = "Azure Key Vault"
	azureAPI       = "2025-07-01"
	azureAlgorithm = "RSA-OAEP-256" // RFC 7518 section 4.3: RSAES-OAEP with SHA-256
)

var (
	azureName    = regexp.MustCompile(`^[0-9A-Za-z-]{1,127}$`) // pattern of key names in the REST reference
	azureVersion = regexp.MustCompile(`^[0-9a-f]{32}$`)
)

// azureCloud is one cloud of Microsoft: where its vaults are, for whom a token must be, and who gives it. Source: environments
// of azure-sdk-for-go, https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates.
type azureCloud struct{ suffix, resource, authority string }

var azureClouds = []azureCloud{
	{".vault.azure.net", "https://vault.azure.net", "https://login.microsoftonline.com"},
	{".managedhsm.azure.net", "https://managedhsm.azure.net", "https://login.microsoftonline.com"},
	{".vault.azure.cn", "https://vault.azure.cn", "https://login.chinacloudapi.cn"},
	{".vault.usgovcloudapi.net", "https://vault.usgovcloudapi.net", "https://login.microsoftonline.us"},
}

// azureVault wraps with an RSA key in Azure Key Vault or Managed HSM. RSA-OAEP knows no additional data, so it wraps a fresh
// key, under which the root key is sealed together with its binding. Source:
// https://learn.microsoft.com/rest/api/keyvault/keys/wrap-key and /unwrap-key.
type azureVault struct {
	caller
	env           Environment
	cloud         azureCloud
	base          string // scheme and authority
	name, version string // version is empty for the newest
}

// parseAzure reads "//HOST/keys/NAME[/VERSION]". The host must be a vault of a known cloud, since a token is sent to it.
func parseAzure(rest string, env Environment) (Source, error) {
	wrong := func(problem string) (Source, error) {
		return nil, fault.New(fault.Invalid, "the address of a root key source under azurekv: %s", problem).WithHint("write it as %s", azureForm)
	}
	u, _, err := address("azurekv", rest, azureForm)
	if err != nil {
		return nil, err
	}
	v := azureVault{env: env, caller: caller{label: azureLabel, client: env.client()}}
	if v.cloud, v.base = azurePlace(u.Host, u.Hostname()); v.base == "" {
		return wrong("the host is no vault of a known cloud")
	}
	part := strings.Split(u.Path, "/")
	switch {
	case len(part) < 3 || len(part) > 4 || part[1] != "keys":
		return wrong("the path is not /keys/ and a name")
	case !azureName.MatchString(part[2]):
		return wrong("the name of the key is not plain")
	case len(part) == 4 && !azureVersion.MatchString(part[3]):
		return wrong("the version of the key has not 32 hex digits")
	}
	v.name = part[2]
	if len(part) == 4 {
		v.version = part[3]
	}
	return wrapped{"azure-key-vault", "azurekv:" + rest, azureLabel, v}, nil
}

// azurePlace finds the cloud of a host. A host of this machine, which may be an emulator, is spoken to without TLS.
func azurePlace(authority, host string) (azureCloud, string) {
	if loopback(host) && plainHost(authority) {
		return azureClouds[0], "http://" + authority
	}
	for _, cloud := range azureClouds {
		if name, ok := strings.CutSuffix(authority, cloud.suffix); ok && azureName.MatchString(name) {
			return cloud, "https://" + strings.ToLower(authority)
		}
	}
	return azureCloud{}, ""
}

func (azureVault) binds() bool { return false }

// owns implements [service]: kept texts hold the key identifier with a version.
func (v azureVault) owns(key string) bool {
	version, ok := strings.CutPrefix(key, v.base+"/keys/"+v.name+"/")
	return ok && azureVersion.MatchString(version) && (v.version == "" || v.version == version)
}

func (v azureVault) encrypt(ctx context.Context, _ Binding, secret []byte) (string, []byte, error) {
	return v.ask(ctx, "wrapkey", v.version, secret)
}

func (v azureVault) decrypt(ctx context.Context, _ Binding, key string, ciphertext []byte) ([]byte, error) {
	used, secret, err := v.ask(ctx, "unwrapkey", key[strings.LastIndexByte(key, '/')+1:], ciphertext)
	if err != nil {
		return nil, err
	}
	if used != key {
		clear(secret)
		return nil, untrue(azureLabel, "says that it used another key than it was told")
	}
	return secret, nil
}

type azureInput struct {
	Algorithm string `json:"alg"`
	Value     string `json:"value"` // base64url without padding
}

type azureAnswer struct {
	KeyID string `json:"kid"`
	Value string `json:"value"`
}

// ask calls one operation. An empty version stays an empty segment of the path, as the vendor's own clients have it.
func (v azureVault) ask(ctx context.Context, operation, version string, input []byte) (string, []byte, error) {
	body, err := json.Marshal(azureInput{azureAlgorithm, base64.RawURLEncoding.EncodeToString(input)})
	if err != nil {
		return "", nil, fault.New(fault.Internal, "a request to %s cannot be written", azureLabel)
	}
	defer clear(body)
	token, err := v.findToken(ctx)
	if err != nil {
		return "", nil, err
	}
	a, err := v.do(ctx, func(ctx context.Context) (*http.Request, error) {
		return post(ctx, v.base+"/keys/"+v.name+"/"+version+"/"+operation+"?api-version="+azureAPI, http.Header{"Authorization": {"Bearer " + token}}, body)
	})
	if err != nil {
		return "", nil, err
	}
	defer clear(a.body)
	if a.status != http.StatusOK {
		return "", nil, azureFault(a, operation)
	}
	var got azureAnswer
	if err := json.Unmarshal(a.body, &got); err != nil {
		return "", nil, untrue(azureLabel, "gave an answer that cannot be read")
	}
	output, err := base64.RawURLEncoding.Strict().DecodeString(got.Value)
	if err != nil {
		return "", nil, untrue(azureLabel, "gave an answer that is not base64url")
	}
	return got.KeyID, output, nil
}

// azureFault maps by status; the codes inside differ between vaults and managed HSMs.
func azureFault(a answer, operation string) error {
	switch a.status {
	case http.StatusBadRequest:
		if operation == "unwrapkey" {
			return notInThisBinding()
		}
		return refused(azureLabel, "cannot wrap with the key").WithHint("the key must be RSA, with wrapKey and unwrapKey among its operations")
	case http.StatusUnauthorized:
		return refused(azureLabel, "does not accept the credentials").WithHint("check tenant and client; the token must be for this vault's cloud")
	case http.StatusForbidden:
		return refused(azureLabel, "does not allow the operation, or the key is disabled or expired").
			WithHint("give the identity the role Key Vault Crypto Service Encryption User on the key, and let the vault's firewall pass this server")
	case http.StatusNotFound:
		return refused(azureLabel, "does not know the key or the version").WithHint("check vault, name and version; a deleted key can be recovered")
	}
	return refused(azureLabel, "refuses with a reason that is not known here, status "+strconv.Itoa(a.status))
}
