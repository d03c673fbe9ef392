package rootkey

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	awsTestARN   = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
	awsOtherARN  = "arn:aws:kms:eu-central-1:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab"
	awsTestID    = "AKIDEXAMPLE"
	awsTestKey   = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
	awsTestToken = "planted-session-token-9f3c"
	awsTestHost  = "kms.eu-central-1.amazonaws.com"
)

// awsFake is KMS in one region: it verifies signatures, validates bodies against the model, and encrypts with AES-GCM.
type awsFake struct {
	t     *testing.T
	model awsModel
	keys  map[string][]byte
}

func newAWSPeer(t *testing.T) *peer {
	f := awsFake{t, loadAWSModel(t), map[string][]byte{awsTestARN: random(32), awsOtherARN: random(32)}}
	other := base64.StdEncoding.EncodeToString(random(Size))
	p := &peer{
		uri: "awskms:///" + awsTestARN, otherURI: "awskms:///mrk-1234abcd12ab34cd56ef1234567890ab?region=eu-central-1",
		host: awsTestHost, hosts: map[string]http.Handler{awsTestHost: f}, perWrap: 1,
		variables: map[string]string{"AWS_ACCESS_KEY_ID": awsTestID, "AWS_SECRET_ACCESS_KEY": awsTestKey, "AWS_SESSION_TOKEN": awsTestToken},
		planted:   []string{awsTestKey, awsTestToken},
		swapped:   func(k *kept) { k.Key = awsOtherARN },
		wrapLies: map[string]func(map[string]any){
			"another key":        set("KeyId", awsOtherARN),
			"an alias":           set("KeyId", "alias/x"),
			"another algorithm":  set("EncryptionAlgorithm", "RSAES_OAEP_SHA_256"),
			"a short ciphertext": set("CiphertextBlob", "AAAA"),
			"no ciphertext":      func(o map[string]any) { delete(o, "CiphertextBlob") },
			"a wrong type":       set("CiphertextBlob", 7),
		},
		unwrapLies: map[string]func(map[string]any){
			"another plaintext": set("Plaintext", other),
			"a short plaintext": set("Plaintext", "AAAA"),
			"no plaintext":      func(o map[string]any) { delete(o, "Plaintext") },
			"another key":       set("KeyId", awsOtherARN),
			"another algorithm": set("EncryptionAlgorithm", "SM2PKE"),
			"not base64":        set("Plaintext", "?"),
		},
	}
	p.withoutCredentials = func() {
		delete(p.variables, "AWS_ACCESS_KEY_ID")
		noAWSChain(t)
	}
	return p
}

// noAWSChain keeps the vendor's own chain from what the machine that runs the test has.
func noAWSChain(t *testing.T) {
	t.Helper()
	for _, name := range []string{
		"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE",
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_EC2_METADATA_SERVICE_ENDPOINT", "AWS_CA_BUNDLE",
	} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_CONFIG_FILE", "/nonexistent")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
}

func (f awsFake) refuse(w http.ResponseWriter, code string) {
	reply(w, http.StatusBadRequest, map[string]string{"__type": "com.amazonaws.kms#" + code, "message": "no"})
}

func (f awsFake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	operation, ok := strings.CutPrefix(r.Header.Get("X-Amz-Target"), f.model.Metadata.TargetPrefix+".")
	described, known := f.model.Operations[operation]
	if !ok || !known || r.Method != http.MethodPost || r.URL.Path != "/" || r.URL.RawQuery != "" ||
		r.Header.Get("Content-Type") != "application/x-amz-json-"+f.model.Metadata.JSONVersion {
		f.t.Errorf("no operation of KMS: %s %s %v", r.Method, r.URL, r.Header)
		f.refuse(w, "UnknownOperationException")
		return
	}
	input := decoded(f.t, r)
	if err := f.model.validate(described.Input.Shape, input); err != nil {
		f.t.Error(err)
	}
	if code := f.signature(r); code != "" {
		f.refuse(w, code)
		return
	}
	arn := f.find(input["KeyId"])
	if arn == "" {
		f.refuse(w, "NotFoundException")
		return
	}
	context, _ := json.Marshal(input["EncryptionContext"]) // sorted by key
	output := map[string]any{"KeyId": arn, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}
	if operation == "Encrypt" {
		sealed := seal(f.keys[arn], unbase64(input["Plaintext"]), context)
		output["CiphertextBlob"] = append([]byte(arn+"\x00"), sealed...)
	} else {
		made, sealed, ok := bytes.Cut(unbase64(input["CiphertextBlob"]), []byte{0})
		if ok && f.keys[string(made)] != nil && string(made) != arn {
			f.refuse(w, "IncorrectKeyException")
			return
		}
		plain, err := open(f.keys[arn], sealed, context)
		if !ok || string(made) != arn || err != nil {
			f.refuse(w, "InvalidCiphertextException")
			return
		}
		output["Plaintext"] = plain
	}
	b, _ := json.Marshal(output)
	var generic map[string]any
	_ = json.Unmarshal(b, &generic)
	if err := f.model.validate(described.Output.Shape, generic); err != nil {
		f.t.Errorf("the fake answers what KMS does not: %v", err)
	}
	reply(w, http.StatusOK, output)
}

func (f awsFake) find(id any) string {
	for arn := range f.keys {
		if id == arn || strings.HasSuffix(arn, ":key/"+id.(string)) {
			return arn
		}
	}
	return ""
}

// signature verifies Signature Version 4 by computing it again, as
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html describes it. It gives the
// exception that a wrong one is answered with.
func (f awsFake) signature(r *http.Request) string {
	rest, ok := strings.CutPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 ")
	part := map[string]string{}
	for field := range strings.SplitSeq(rest, ", ") {
		name, value, _ := strings.Cut(field, "=")
		part[name] = value
	}
	date := r.Header.Get("X-Amz-Date")
	at, err := time.Parse("20060102T150405Z", date)
	if !ok || err != nil || time.Since(at).Abs() > 5*time.Minute {
		return "IncompleteSignatureException"
	}
	scope := date[:8] + "/eu-central-1/kms/aws4_request"
	if part["Credential"] != awsTestID+"/"+scope || r.Header.Get("X-Amz-Security-Token") != awsTestToken {
		return "UnrecognizedClientException"
	}
	names := strings.Split(part["SignedHeaders"], ";")
	for _, needed := range []string{"host", "x-amz-date", "x-amz-target", "x-amz-security-token", "content-type"} {
		if !slices.Contains(names, needed) {
			f.t.Errorf("%s is not signed", needed)
		}
	}
	body, _ := io.ReadAll(r.Body)
	sum := sha256.Sum256(body)
	canonical := r.Method + "\n/\n\n"
	for _, name := range names {
		value := r.Header.Get(name)
		if name == "host" {
			value = r.Host
		}
		if name == "content-length" {
			value = strconv.Itoa(len(body))
		}
		canonical += name + ":" + strings.TrimSpace(value) + "\n"
	}
	canonical += "\n" + part["SignedHeaders"] + "\n" + hex.EncodeToString(sum[:])
	hashed := sha256.Sum256([]byte(canonical))
	key := []byte("AWS4" + awsTestKey)
	for _, step := range strings.Split(scope, "/") {
		key = mac(key, step)
	}
	want := hex.EncodeToString(mac(key, "AWS4-HMAC-SHA256\n"+date+"\n"+scope+"\n"+hex.EncodeToString(hashed[:])))
	if part["Signature"] != want {
		f.t.Error("the signature is wrong")
		return "InvalidSignatureException"
	}
	return ""
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}
