package login

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/keyturn/keyturn/internal/fault"
)

var awsKeys = aws.Credentials{AccessKeyID: "AKIDTESTVALUE0000000", SecretAccessKey: "test-value-secret-access-key", SessionToken: "test-value-session-token"}

const awsRegion = "eu-central-1"

// sts stands for AWS: it checks Signature Version 4 with the test's own key by signing the same request again.
type sts struct {
	t      *testing.T
	host   string
	ca     string
	arn    string
	calls  atomic.Int64
	status int
	answer string
}

func newSTS(t *testing.T) *sts {
	t.Helper()
	s := &sts{t: t, arn: "arn:aws:sts::123456789012:assumed-role/deploy/i-0abc"}
	server := httptest.NewTLSServer(s)
	t.Cleanup(server.Close)
	s.host = strings.TrimPrefix(server.URL, "https://")
	s.ca = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	return s
}

func (s *sts) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.calls.Add(1)
	body, _ := io.ReadAll(r.Body)
	if r.Method != "POST" || r.URL.RequestURI() != "/" || string(body) != CallerIdentityBody {
		s.t.Errorf("AWS was asked %s %s %q", r.Method, r.URL.RequestURI(), body)
	}
	if s.status != 0 {
		w.WriteHeader(s.status)
		return
	}
	auth := r.Header.Get("Authorization")
	_, list, _ := strings.Cut(auth, "SignedHeaders=")
	list, _, _ = strings.Cut(list, ",")
	again, _ := http.NewRequest("POST", "https://"+r.Host+"/", strings.NewReader(string(body)))
	for _, name := range strings.Split(list, ";") {
		if v := r.Header.Get(name); v != "" && name != "host" && name != "content-length" {
			again.Header.Set(name, v)
		}
	}
	at, err := time.Parse(awsDate, r.Header.Get("X-Amz-Date"))
	if err == nil {
		sum := sha256.Sum256(body)
		err = v4.NewSigner().SignHTTP(context.Background(), awsKeys, again, hex.EncodeToString(sum[:]), "sts", awsRegion, at)
	}
	if err != nil || again.Header.Get("Authorization") != auth || r.Header.Get("X-Amz-Security-Token") != awsKeys.SessionToken {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	if s.answer != "" {
		_, _ = io.WriteString(w, s.answer)
		return
	}
	w.Header().Set("Content-Type", "text/xml")
	_, _ = fmt.Fprint(w, identityAnswer(s.t, map[string]string{"Arn": s.arn, "UserId": "AROATESTVALUE:i-0abc", "Account": "123456789012"}))
}

// identityAnswer writes the answer as the model of AWS says: which members there are, and in which wrapper they stand.
func identityAnswer(t *testing.T, members map[string]string) string {
	text, err := os.ReadFile("testdata/aws-sts.json")
	if err != nil {
		t.Fatal(err)
	}
	var model struct {
		Metadata   struct{ XMLNamespace string }
		Operations map[string]struct {
			Output struct{ Shape, ResultWrapper string }
		}
		Shapes map[string]struct {
			Members map[string]struct{ Shape string }
			Min     int
		}
	}
	if err := json.Unmarshal(text, &model); err != nil {
		t.Fatal(err)
	}
	out := model.Operations["GetCallerIdentity"].Output
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(members)) {
		member, ok := model.Shapes[out.Shape].Members[name]
		if !ok || len(members[name]) < model.Shapes[member.Shape].Min {
			t.Errorf("the model knows no such %s", name)
		}
		fmt.Fprintf(&b, "<%[1]s>%[2]s</%[1]s>", name, members[name])
	}
	return fmt.Sprintf(`<GetCallerIdentityResponse xmlns="%s"><%[2]s>%[3]s</%[2]s><ResponseMetadata><RequestId>test-value</RequestId></ResponseMetadata></GetCallerIdentityResponse>`,
		model.Metadata.XMLNamespace, out.ResultWrapper, b.String())
}

const testServerID = "keyturn.example.test"

// sign makes the request as an honest client does.
func (s *sts) sign(t *testing.T, at time.Time, change ...func(*http.Request)) *SignedRequest {
	t.Helper()
	req, _ := http.NewRequest("POST", "https://"+s.host+"/", strings.NewReader(CallerIdentityBody))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	req.Header.Set(ServerIDHeader, testServerID)
	for _, f := range change {
		f(req)
	}
	sum := sha256.Sum256([]byte(CallerIdentityBody))
	if err := v4.NewSigner().SignHTTP(context.Background(), awsKeys, req, hex.EncodeToString(sum[:]), "sts", awsRegion, at); err != nil {
		t.Fatal(err)
	}
	out := &SignedRequest{Method: "POST", URL: req.URL.String(), Header: map[string]string{}, Body: CallerIdentityBody}
	for name := range req.Header {
		out.Header[name] = req.Header.Get(name)
	}
	return out
}

func TestASignedGetCallerIdentityLogsIn(t *testing.T) {
	t.Parallel()
	s := newSTS(t)
	settings := map[string]any{"server_id": testServerID, "accounts": []string{"123456789012"}, "principals": []string{"arn:aws:sts::123456789012:assumed-role/deploy/*"},
		"endpoints": []string{s.host}, "ca": s.ca}
	v := opened(t, KindAWS, settings, around(t))
	show := func(r *SignedRequest) (Evidence, error) {
		return v.Verify(context.Background(), Credential{Request: r})
	}
	e, err := show(s.sign(t, time.Now()))
	if err != nil || e.Subject != s.arn || e.Attributes["account"] != "123456789012" {
		t.Fatalf("%+v, %v", e, err)
	}
	calls := s.calls.Load()
	for _, x := range []struct {
		name, words string
		change      func(*SignedRequest)
	}{
		{"GET", "POST", func(r *SignedRequest) { r.Method = "GET" }},
		{"another action", "identity", func(r *SignedRequest) {
			r.Body = strings.Replace(r.Body, "GetCallerIdentity", "GetSessionToken", 1)
		}},
		{"one action more", "identity", func(r *SignedRequest) { r.Body += "&Action=AssumeRole" }},
		{"a host of the attacker's", "endpoint", func(r *SignedRequest) { r.URL = "https://sts.amazonaws.com.evil.example.test/" }},
		{"a user in front of the host", "endpoint", func(r *SignedRequest) { r.URL = "https://sts.amazonaws.com@evil.example.test/" }},
		{"a host within", "endpoint", func(r *SignedRequest) { r.URL = "https://127.0.0.1/" }},
		{"another service", "endpoint", func(r *SignedRequest) { r.URL = "https://s3.amazonaws.com/" }},
		{"a bucket that looks alike", "endpoint", func(r *SignedRequest) { r.URL = "https://sts.s3.amazonaws.com/" }},
		{"another port", "endpoint", func(r *SignedRequest) { r.URL = "https://sts.amazonaws.com:8443/" }},
		{"no TLS", "endpoint", func(r *SignedRequest) { r.URL = "http://" + s.host + "/" }},
		{"a path", "endpoint", func(r *SignedRequest) { r.URL = "https://" + s.host + "/x" }},
		{"a query", "endpoint", func(r *SignedRequest) { r.URL = "https://" + s.host + "/?Action=AssumeRole" }},
		{"a fragment", "endpoint", func(r *SignedRequest) { r.URL = "https://" + s.host + "/#x" }},
		{"another host header", "another host", func(r *SignedRequest) { r.Header["Host"] = "evil.example.test" }},
		{"a header that AWS might read", "not sent on", func(r *SignedRequest) { r.Header["X-Amz-Target"] = "x" }},
		{"a forwarded host", "not sent on", func(r *SignedRequest) { r.Header["X-Forwarded-Host"] = "x" }},
		{"a header in two spellings", "twice", func(r *SignedRequest) { r.Header["x-amz-date"] = r.Header["X-Amz-Date"] }},
		{"a line break in a header", "not valid", func(r *SignedRequest) { r.Header["User-Agent"] = "a\r\nX-Evil: 1" }},
		{"a huge header", "not valid", func(r *SignedRequest) { r.Header["User-Agent"] = strings.Repeat("x", 1<<16) }},
		{"no signature", "not signed", func(r *SignedRequest) { delete(r.Header, "Authorization") }},
		{"signature for another service", "not signed", func(r *SignedRequest) {
			r.Header["Authorization"] = strings.Replace(r.Header["Authorization"], "/sts/", "/iam/", 1)
		}},
		{"another algorithm", "not signed", func(r *SignedRequest) {
			r.Header["Authorization"] = strings.Replace(r.Header["Authorization"], "AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256", 1)
		}},
		{"server id not signed", "does not cover", func(r *SignedRequest) {
			r.Header["Authorization"] = strings.Replace(r.Header["Authorization"], ";x-keyturn-server-id", "", 1)
		}},
		{"host not signed", "does not cover", func(r *SignedRequest) {
			r.Header["Authorization"] = strings.Replace(r.Header["Authorization"], "host;", "", 1)
		}},
		{"made for another server", "another server", func(r *SignedRequest) { r.Header[ServerIDHeader] = "other.example.test" }},
		{"no server id", "another server", func(r *SignedRequest) { delete(r.Header, ServerIDHeader) }},
		{"no date", "date", func(r *SignedRequest) { delete(r.Header, "X-Amz-Date") }},
	} {
		r := s.sign(t, time.Now())
		x.change(r)
		if _, err := show(r); fault.KindOf(err) != fault.Unauthenticated || !strings.Contains(fmt.Sprint(err), x.words) {
			t.Errorf("%s: %v", x.name, err)
		}
	}
	for _, age := range []time.Duration{-10 * time.Minute, 10 * time.Minute, -48 * time.Hour} {
		if _, err := show(s.sign(t, time.Now().Add(age))); fault.KindOf(err) != fault.Unauthenticated {
			t.Errorf("signed %v from now: %v", age, err)
		}
	}
	if _, err := show(nil); fault.KindOf(err) != fault.Unauthenticated {
		t.Error(err)
	}
	if s.calls.Load() != calls {
		t.Errorf("%d of them were sent on", s.calls.Load()-calls)
	}

	forged := s.sign(t, time.Now(), func(r *http.Request) { r.Header.Set(ServerIDHeader, "other.example.test") })
	forged.Header[ServerIDHeader] = testServerID
	if _, err := show(forged); fault.KindOf(err) != fault.Unauthenticated || s.calls.Load() != calls+1 {
		t.Errorf("a request that was signed for another server: %v", err)
	}
	for arn, ok := range map[string]bool{"arn:aws:sts::123456789012:assumed-role/deploy/x": true, "arn:aws:sts::123456789012:assumed-role/admin/x": false,
		"arn:aws:iam::123456789012:user/deploy": false, "arn:aws:sts::123456789012:assumed-role/deploy/x/y": false, "arn:aws:sts::999999999999:assumed-role/deploy/x": false} {
		s.arn = arn
		if _, err := show(s.sign(t, time.Now())); (err == nil) != ok {
			t.Errorf("%s: %v", arn, err)
		}
	}
	for _, answer := range []string{"{}", "<html/>", `<GetCallerIdentityResponse><GetCallerIdentityResult><Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`,
		strings.Repeat("x", maxAWSAnswer+1)} {
		s.answer = answer
		if _, err := show(s.sign(t, time.Now())); err == nil {
			t.Errorf("an answer that is none is taken: %.40s", answer)
		}
	}
	for status, kind := range map[int]fault.Kind{403: fault.Unauthenticated, 400: fault.Unauthenticated, 429: fault.Unavailable, 500: fault.Unavailable, 302: fault.Unavailable} {
		s.status = status
		if _, err := show(s.sign(t, time.Now())); fault.KindOf(err) != kind {
			t.Errorf("status %d: %v", status, err)
		}
	}
}

func TestEndpointsOfSTSAreKnown(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{"sts.amazonaws.com": true, "sts.eu-central-1.amazonaws.com": true, "sts.us-gov-west-1.amazonaws.com": true, "sts.cn-north-1.amazonaws.com.cn": true,
		"sts-fips.us-east-1.amazonaws.com": true, "sts.amazonaws.com.": false, "sts.evil.amazonaws.com": false, "xsts.amazonaws.com": false, "sts.eu-central-1.amazonaws.com.evil.test": false,
		"STS.amazonaws.com": false, "sts.eu-central-1.s3.amazonaws.com": false} {
		if awsHosts.MatchString(host) != want {
			t.Errorf("%s: want %v", host, want)
		}
	}
}

func TestAPortableRequestNamesNoServer(t *testing.T) {
	t.Parallel()
	s := newSTS(t)
	settings := map[string]any{"portable": true, "accounts": []string{"123456789012"}, "endpoints": []string{s.host}, "ca": s.ca}
	v := opened(t, KindAWS, settings, around(t))
	bare := func(r *http.Request) { r.Header.Del(ServerIDHeader) }
	if e, err := v.Verify(context.Background(), Credential{Request: s.sign(t, time.Now(), bare)}); err != nil || e.Subject != s.arn {
		t.Fatalf("%+v, %v", e, err)
	}
	if _, err := v.Verify(context.Background(), Credential{Request: s.sign(t, time.Now().Add(-time.Hour), bare)}); fault.KindOf(err) != fault.Unauthenticated || err == nil {
		t.Errorf("an old one is taken: %v", err)
	}
	delete(settings, "portable")
	settings["server_id"] = testServerID
	if _, err := opened(t, KindAWS, settings, around(t)).Verify(context.Background(), Credential{Request: s.sign(t, time.Now(), bare)}); fault.KindOf(err) != fault.Unauthenticated || err == nil {
		t.Errorf("a request without a server id is taken where one is wanted: %v", err)
	}
	for _, wrong := range []string{`{"portable":true,"server_id":"a","accounts":["123456789012"]}`, `{"portable":true}`} {
		if _, err := Check(KindAWS, []byte(wrong), 0); fault.KindOf(err) != fault.Invalid || err == nil {
			t.Errorf("%s is taken: %v", wrong, err)
		}
	}
}
