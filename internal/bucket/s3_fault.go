package bucket

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/keyturn/keyturn/internal/fault"
)

// maxCode is longer than any error code of S3.
const maxCode = 64

// errorCode reads the code out of an error of S3, or gives the empty string. Nothing else of it is used: its message and
// details may quote what was signed, which holds the session token.
func errorCode(answer []byte) string {
	var e struct {
		XMLName xml.Name `xml:"Error"`
		Code    string
	}
	if xml.NewDecoder(bytes.NewReader(answer)).Decode(&e) != nil || len(e.Code) > maxCode ||
		strings.Trim(e.Code, prefixBytes) != "" {
		return ""
	}
	return e.Code
}

// s3Fault makes a fault of an answer. Codes: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html, and
// those of other stores where they differ.
func s3Fault(c call, status int, answer []byte, wait time.Duration) error {
	code := errorCode(answer)
	cause := fmt.Errorf("%s: status %d, code %q", c.method, status, code)
	make := func(k fault.Kind, format string, args ...any) *fault.Error {
		return fault.Wrap(k, cause, "%s: %s", c.what, fmt.Sprintf(format, args...))
	}
	switch code {
	case "NoSuchKey":
		return fault.Wrap(fault.NotFound, cause, "there is no object %s", c.what)
	case "NoSuchBucket":
		return make(fault.Invalid, "the store has no such bucket").WithHint("is the address of the place for backups right?")
	case "NoSuchUpload":
		return make(fault.Conflict, "the store dropped the upload before it was complete").
			WithHint("a lifecycle rule may end uploads too soon: leave them at least a day")
	case "AccessDenied", "AllAccessDisabled", "AccountProblem":
		return make(fault.Denied, "the store does not allow it").
			WithHint("the guide on places for backups lists the actions that the credentials need")
	case "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "TokenRefreshRequired", "NotSignedUp":
		return make(fault.Unauthenticated, "the store does not accept the credentials").
			WithHint("AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN must belong together and be alive")
	case "RequestTimeTooSkewed":
		return make(fault.Unauthenticated, "the clocks of store and server differ").WithHint("set the clock of this machine")
	case "AuthorizationHeaderMalformed", "PermanentRedirect", "TemporaryRedirect", "IllegalLocationConstraintException",
		"IncorrectEndpoint":
		return make(fault.Invalid, "the bucket is somewhere else").WithHint("correct endpoint and region in the address")
	case "EntityTooLarge", "QuotaExceeded", "XMinioAdminBucketQuotaExceeded", "XMinioStorageFull":
		return make(fault.Exhausted, "the store has no room for it")
	case "InvalidObjectState":
		return make(fault.Conflict, "the object lies in an archive").WithHint("restore it in the store first")
	case "NotImplemented":
		return make(fault.Unsupported, "the store cannot do this")
	case "SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "Throttling", "TooManyRequests", "OperationAborted",
		"BadDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch": // the last three: damaged on the way
		e := make(fault.Unavailable, "the store cannot take it now")
		e.RetryAfter = wait
		return e
	}
	switch {
	case status == http.StatusTooManyRequests, status >= 500 && status != http.StatusNotImplemented && status != http.StatusInsufficientStorage:
		e := make(fault.Unavailable, "the store cannot take it now")
		e.RetryAfter = wait
		return e
	case status == http.StatusInsufficientStorage:
		return make(fault.Exhausted, "the store has no room for it")
	case status == http.StatusNotFound && c.method == http.MethodHead: // which has no body to say more
		return fault.Wrap(fault.NotFound, cause, "there is no object %s", c.what)
	case status == http.StatusUnauthorized:
		return make(fault.Unauthenticated, "the store does not accept the credentials")
	case status == http.StatusForbidden:
		return make(fault.Denied, "the store does not allow it")
	case code == "":
		return notS3(cause)
	}
	return make(fault.Invalid, "the store refuses the request")
}

// notS3 is for answers that no store would give.
func notS3(cause error) *fault.Error {
	return fault.Wrap(fault.Invalid, cause, "what answers for the store for backups does not speak the S3 protocol").
		WithHint("is the endpoint right, and is no proxy or login page in between?")
}
