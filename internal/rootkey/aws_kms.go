package rootkey

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/go-json-experiment/json"

	"github.com/keyturn/keyturn/internal/fault"
)

const (
	awsForm      = "awskms:///KEY?region=REGION, where KEY is the ARN or the id of a key, and the region may be left out with an ARN"
	awsLabel     = "AWS KMS"
	awsService   = "kms"               // in the scope of signatures
	awsAlgorithm = "SYMMETRIC_DEFAULT" // AES-256-GCM; the only one that knows an encryption context
)

// Keys of the encryption context. They and the ids appear in CloudTrail in clear and may stand in conditions of a key policy.
const (
	awsInstance = "keyturn:instance"
	awsSlot     = "keyturn:slot"
)

var (
	// awsKeyID is the id of a key: a UUID, or "mrk-" and 32 hex digits for a key of several regions.
	awsKeyID = regexp.MustCompile(`^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|mrk-[0-9a-f]{32})$`)
	// awsKeyARN has region, account and id as groups.
	awsKeyARN = regexp.MustCompile(`^arn:aws[a-z-]{0,16}:kms:([a-z0-9-]{1,32}):([0-9]{12}):key/([0-9a-f-]{36}|mrk-[0-9a-f]{32})$`)
	// awsRegion is RegionType of the API model of KMS.
	awsRegion = regexp.MustCompile(`^([a-z]+-){2,3}[0-9]+$`)
)

// awsKMS speaks the JSON 1.1 protocol of AWS KMS, API version 2014-11-01. Source:
// https://docs.aws.amazon.com/kms/latest/APIReference/API_Encrypt.html and API_Decrypt.html.
type awsKMS struct {
	caller
	env      Environment
	key      string // ARN or id, as configured
	region   string
	endpoint string
}

// parseAWS reads "///KEY?region=R&endpoint=https://...". Aliases are refused: whoever may move an alias could make every slot
// unreadable.
func parseAWS(rest string, env Environment) (Source, error) {
	wrong := func(problem string) (Source, error) {
		return nil, fault.New(fault.Invalid, "the address of a root key source under awskms: %s", problem).WithHint("write it as %s", awsForm)
	}
	u, query, err := address("awskms", rest, awsForm, "region", "endpoint")
	if err != nil {
		return nil, err
	}
	key, region := strings.TrimPrefix(u.Path, "/"), query["region"]
	arn := awsKeyARN.FindStringSubmatch(key)
	switch {
	case u.Host != "":
		return wrong("the place of a host must be empty: three slashes stand before the key")
	case strings.Contains(key, "alias/"):
		return wrong("an alias can be moved to another key; name the key itself")
	case arn == nil && !awsKeyID.MatchString(key):
		return wrong("the key is neither an ARN nor an id")
	case arn != nil && region == "":
		region = arn[1]
	case arn != nil && region != arn[1]:
		return wrong("the region is another than that of the key's ARN")
	case region == "":
		return wrong("a key id needs a region")
	}
	if !awsRegion.MatchString(region) {
		return wrong("the region is not one")
	}
	endpoint, given := query["endpoint"]
	if !given {
		if endpoint, given = awsEndpoint(region); !given {
			return wrong("the region has no well-known endpoint; give one with endpoint=")
		}
	}
	e, err := url.Parse(endpoint)
	if err != nil || !plainHost(e.Host) || e.User != nil || strings.Trim(e.Path, "/")+e.RawQuery+e.Fragment != "" ||
		e.Scheme != "https" && (e.Scheme != "http" || !loopback(e.Hostname())) {
		return wrong("the endpoint is not https:// and a host")
	}
	k := awsKMS{env: env, key: key, region: region, endpoint: e.Scheme + "://" + e.Host + "/"}
	k.caller = caller{label: awsLabel, client: env.client(), throttled: awsThrottled}
	return wrapped{"aws-kms", "awskms:" + rest, awsLabel, k}, nil
}

// awsEndpoint is the regional endpoint of KMS. Source: https://docs.aws.amazon.com/general/latest/gr/kms.html and the
// partitions of aws-sdk-go-v2. The isolated partitions are left out: their hosts are not reached from elsewhere.
func awsEndpoint(region string) (string, bool) {
	partition, _, _ := strings.Cut(region, "-")
	switch {
	case partition == "cn":
		return "https://kms." + region + ".amazonaws.com.cn", true
	case partition == "eusc":
		return "https://kms." + region + ".amazonaws.eu", true
	case strings.Contains(region, "-iso"):
		return "", false
	}
	return "https://kms." + region + ".amazonaws.com", true
}

func (awsKMS) binds() bool { return true }

// owns implements [service]: answers and kept texts always name keys by ARN.
func (k awsKMS) owns(key string) bool {
	arn := awsKeyARN.FindStringSubmatch(key)
	return arn != nil && arn[1] == k.region && (key == k.key || arn[3] == k.key)
}

type awsEncrypt struct {
	KeyID     string            `json:"KeyId"`
	Plaintext []byte            `json:"Plaintext"`
	Context   map[string]string `json:"EncryptionContext"`
	Algorithm string            `json:"EncryptionAlgorithm"`
}

type awsDecrypt struct {
	KeyID      string            `json:"KeyId"`
	Ciphertext []byte            `json:"CiphertextBlob"`
	Context    map[string]string `json:"EncryptionContext"`
	Algorithm  string            `json:"EncryptionAlgorithm"`
}

type awsAnswer struct {
	KeyID      string `json:"KeyId"`
	Ciphertext []byte `json:"CiphertextBlob"`
	Plaintext  []byte `json:"Plaintext"`
	Algorithm  string `json:"EncryptionAlgorithm"`
}

func (k awsKMS) encrypt(ctx context.Context, b Binding, secret []byte) (string, []byte, error) {
	got, err := k.ask(ctx, "Encrypt", awsEncrypt{k.key, secret, awsContext(b), awsAlgorithm})
	if err != nil {
		return "", nil, err
	}
	if got.Algorithm != awsAlgorithm {
		return "", nil, untrue(awsLabel, "says that it used another algorithm than it was told")
	}
	return got.KeyID, got.Ciphertext, nil
}

func (k awsKMS) decrypt(ctx context.Context, b Binding, key string, ciphertext []byte) ([]byte, error) {
	got, err := k.ask(ctx, "Decrypt", awsDecrypt{k.key, ciphertext, awsContext(b), awsAlgorithm})
	if err != nil {
		return nil, err
	}
	if got.KeyID != key || got.Algorithm != awsAlgorithm {
		clear(got.Plaintext)
		return nil, untrue(awsLabel, "says that it used another key or algorithm than it was told")
	}
	return got.Plaintext, nil
}

func awsContext(b Binding) map[string]string {
	return map[string]string{awsInstance: b.Instance, awsSlot: b.Slot}
}

// ask sends one operation and decodes its answer.
func (k awsKMS) ask(ctx context.Context, operation string, input any) (awsAnswer, error) {
	body, err := json.Marshal(input, json.Deterministic(true))
	if err != nil {
		return awsAnswer{}, fault.New(fault.Internal, "a request to %s cannot be written", awsLabel)
	}
	defer clear(body)
	credentials, err := k.findCredentials(ctx)
	if err != nil {
		return awsAnswer{}, err
	}
	sum := sha256.Sum256(body)
	a, err := k.do(ctx, func(ctx context.Context) (*http.Request, error) {
		req, err := post(ctx, k.endpoint, http.Header{
			"Content-Type": {"application/x-amz-json-1.1"},
			"X-Amz-Target": {"TrentService." + operation},
		}, body)
		if err != nil {
			return nil, err
		}
		if v4.NewSigner().SignHTTP(ctx, credentials, req, hex.EncodeToString(sum[:]), awsService, k.region, time.Now()) != nil {
			return nil, fault.New(fault.Internal, "a request to %s cannot be signed", awsLabel)
		}
		return req, nil
	})
	if err != nil {
		return awsAnswer{}, err
	}
	defer clear(a.body)
	if a.status != http.StatusOK {
		return awsAnswer{}, awsFault(a, operation)
	}
	var got awsAnswer
	if err := json.Unmarshal(a.body, &got); err != nil {
		return awsAnswer{}, untrue(awsLabel, "gave an answer that cannot be read")
	}
	return got, nil
}

// awsCode reads the name of the exception, with or without the name of its shape's model in front.
func awsCode(a answer) string {
	var problem struct {
		Type string `json:"__type"`
	}
	if json.Unmarshal(a.body, &problem) != nil {
		return ""
	}
	_, code, found := strings.Cut(problem.Type, "#")
	if !found {
		code = problem.Type
	}
	return code
}

// awsThrottled tells of the throttling that KMS reports with status 400. Source:
// https://docs.aws.amazon.com/kms/latest/developerguide/throttling.html.
func awsThrottled(a answer) bool {
	return a.status == http.StatusBadRequest && awsCode(a) == "ThrottlingException"
}

// awsFault maps the exceptions of Encrypt and Decrypt, and those that every AWS service has. The service's own text is not
// repeated: nobody knows what it holds.
func awsFault(a answer, operation string) error {
	switch awsCode(a) {
	case "InvalidCiphertextException", "IncorrectKeyException":
		return notInThisBinding()
	case "AccessDeniedException":
		return refused(awsLabel, "does not allow the operation").
			WithHint("allow kms:%s on the key, in the key policy or in a policy of the role", operation)
	case "UnrecognizedClientException", "InvalidSignatureException", "ExpiredTokenException", "IncompleteSignatureException",
		"MissingAuthenticationTokenException", "InvalidClientTokenId", "SignatureDoesNotMatch":
		return refused(awsLabel, "does not accept the credentials").WithHint("renew them, and check the clock: signatures hold for five minutes")
	case "NotFoundException":
		return refused(awsLabel, "does not know the key").WithHint("check account, region and id of the key")
	case "DisabledException", "KMSInvalidStateException":
		return refused(awsLabel, "will not use the key: it is disabled or to be deleted").WithHint("enable the key, or cancel its deletion")
	case "InvalidKeyUsageException":
		return refused(awsLabel, "cannot encrypt with the key").WithHint("the key must be symmetric, for encryption and decryption")
	}
	return refused(awsLabel, "refuses with a reason that is not known here, status "+http.StatusText(a.status))
}
