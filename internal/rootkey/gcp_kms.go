package rootkey

import (
	"context"
	"hash/crc32"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/keyturn/keyturn/internal/fault"
)

const (
	gcpForm  = "gcpkms://projects/PROJECT/locations/LOCATION/keyRings/RING/cryptoKeys/KEY"
	gcpLabel = "Google Cloud KMS"
	gcpBase  = "https://cloudkms.googleapis.com/v1/"
)

var (
	// gcpKey is the name of a key: ids of rings and keys have up to 63 characters; a project's id may hold a domain. Source:
	// https://cloud.google.com/kms/docs/getting-resource-ids.
	gcpKey = regexp.MustCompile(`^projects/[a-z0-9][a-z0-9.:-]{0,62}/locations/[a-z0-9-]{1,32}/keyRings/[A-Za-z0-9_-]{1,63}/cryptoKeys/[A-Za-z0-9_-]{1,63}$`)
	// gcpVersion is what stands behind a key's name in that of its version.
	gcpVersion = regexp.MustCompile(`^/cryptoKeyVersions/[0-9]{1,19}$`)
)

// castagnoli is the table of CRC32C (RFC 3720 appendix B.4).
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// gcpKMS speaks the REST form of Cloud KMS v1. Source:
// https://cloud.google.com/kms/docs/reference/rest/v1/projects.locations.keyRings.cryptoKeys/encrypt and /decrypt; checksums as
// in https://cloud.google.com/kms/docs/data-integrity-guidelines.
type gcpKMS struct {
	caller
	env Environment
	key string
}

// parseGCP reads "//projects/P/locations/L/keyRings/R/cryptoKeys/K".
func parseGCP(rest string, env Environment) (Source, error) {
	key, ok := strings.CutPrefix(rest, "//")
	if !ok || !gcpKey.MatchString(key) {
		return nil, fault.New(fault.Invalid, "the address of a root key source under gcpkms is not the name of a key").WithHint("write it as %s", gcpForm)
	}
	k := gcpKMS{env: env, key: key, caller: caller{label: gcpLabel, client: env.client()}}
	return wrapped{"gcp-kms", "gcpkms:" + rest, gcpLabel, k}, nil
}

func (gcpKMS) binds() bool { return true }

// owns implements [service]: kept texts name the version that encrypted.
func (k gcpKMS) owns(key string) bool {
	version, ok := strings.CutPrefix(key, k.key)
	return ok && gcpVersion.MatchString(version)
}

// gcpSum is a CRC32C as the API spells it: an int64 as text.
func gcpSum(b []byte) string { return strconv.FormatUint(uint64(crc32.Checksum(b, castagnoli)), 10) }

type gcpEncrypt struct {
	Plaintext    []byte `json:"plaintext"`
	PlaintextSum string `json:"plaintextCrc32c"`
	Data         []byte `json:"additionalAuthenticatedData"`
	DataSum      string `json:"additionalAuthenticatedDataCrc32c"`
}

type gcpEncrypted struct {
	Name              string `json:"name"`
	Ciphertext        []byte `json:"ciphertext"`
	CiphertextSum     string `json:"ciphertextCrc32c"`
	PlaintextVerified bool   `json:"verifiedPlaintextCrc32c"`
	DataVerified      bool   `json:"verifiedAdditionalAuthenticatedDataCrc32c"`
}

func (k gcpKMS) encrypt(ctx context.Context, b Binding, secret []byte) (string, []byte, error) {
	data := b.Bytes()
	var got gcpEncrypted
	if err := k.ask(ctx, "encrypt", gcpEncrypt{secret, gcpSum(secret), data, gcpSum(data)}, &got); err != nil {
		return "", nil, err
	}
	if !got.PlaintextVerified || !got.DataVerified {
		return "", nil, untrue(gcpLabel, "does not say that it received what was sent")
	}
	if got.CiphertextSum != gcpSum(got.Ciphertext) {
		return "", nil, untrue(gcpLabel, "gave a ciphertext whose checksum is wrong")
	}
	return got.Name, got.Ciphertext, nil
}

type gcpDecrypt struct {
	Ciphertext    []byte `json:"ciphertext"`
	CiphertextSum string `json:"ciphertextCrc32c"`
	Data          []byte `json:"additionalAuthenticatedData"`
	DataSum       string `json:"additionalAuthenticatedDataCrc32c"`
}

type gcpDecrypted struct {
	Plaintext    []byte `json:"plaintext"`
	PlaintextSum string `json:"plaintextCrc32c"`
}

func (k gcpKMS) decrypt(ctx context.Context, b Binding, _ string, ciphertext []byte) ([]byte, error) {
	data := b.Bytes()
	var got gcpDecrypted
	if err := k.ask(ctx, "decrypt", gcpDecrypt{ciphertext, gcpSum(ciphertext), data, gcpSum(data)}, &got); err != nil {
		return nil, err
	}
	if got.PlaintextSum != gcpSum(got.Plaintext) {
		clear(got.Plaintext)
		return nil, untrue(gcpLabel, "gave back something whose checksum is wrong")
	}
	return got.Plaintext, nil
}

// ask calls one custom method of the key and decodes its answer into got.
func (k gcpKMS) ask(ctx context.Context, method string, input, got any) error {
	body, err := json.Marshal(input)
	if err != nil {
		return fault.New(fault.Internal, "a request to %s cannot be written", gcpLabel)
	}
	defer clear(body)
	token, err := k.findToken(ctx)
	if err != nil {
		return err
	}
	a, err := k.do(ctx, func(ctx context.Context) (*http.Request, error) {
		return post(ctx, gcpBase+k.key+":"+method, http.Header{"Authorization": {"Bearer " + token.AccessToken}}, body)
	})
	if err != nil {
		return err
	}
	defer clear(a.body)
	if a.status != http.StatusOK {
		return gcpFault(a, method)
	}
	if err := json.Unmarshal(a.body, got); err != nil {
		return untrue(gcpLabel, "gave an answer that cannot be read")
	}
	return nil
}

// gcpFault maps what Google's APIs call canonical codes. Source: https://cloud.google.com/apis/design/errors.
func gcpFault(a answer, method string) error {
	var problem struct {
		Error struct {
			Status string `json:"status"`
		} `json:"error"`
	}
	_ = json.Unmarshal(a.body, &problem) // an unreadable one is as good as an unknown one
	switch {
	case a.status == http.StatusBadRequest && problem.Error.Status == "INVALID_ARGUMENT" && method == "decrypt":
		return notInThisBinding()
	case problem.Error.Status == "FAILED_PRECONDITION":
		return refused(gcpLabel, "will not use the key: its version is disabled or destroyed").WithHint("enable the version, or restore it")
	case a.status == http.StatusUnauthorized:
		return refused(gcpLabel, "does not accept the credentials").WithHint("check the service account that this server runs as")
	case a.status == http.StatusForbidden:
		return refused(gcpLabel, "does not allow the operation").
			WithHint("grant roles/cloudkms.cryptoKeyEncrypterDecrypter on the key; needed now: cloudkms.cryptoKeyVersions.useTo%s", strings.ToUpper(method[:1])+method[1:])
	case a.status == http.StatusNotFound:
		return refused(gcpLabel, "does not know the key").WithHint("check project, location, ring and key")
	}
	return refused(gcpLabel, "refuses with a reason that is not known here, status "+strconv.Itoa(a.status))
}
