package login

import (
	"context"
	"encoding/xml"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/outbound"
)

// AWS is a method for whoever holds credentials of AWS. The client signs a request of sts:GetCallerIdentity and hands it over
// unsent; the server looks at every part of it, sends it to AWS and reads from the answer who signed it. The signing key stays
// with the client, and the signed server id keeps a request that was made for one server from being of use to another.
//
// https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
type AWS struct {
	// ServerID must stand in the signed header X-Keyturn-Server-Id: a name that no other server has, such as its host name.
	ServerID string `json:"server_id"`
	// Portable takes requests without that header, for clients of other products, which do not know it. What was signed for another
	// server, or leaks on the way, is then good here for as long as it is fresh.
	Portable bool `json:"portable,omitzero"`
	// Accounts are the ids of accounts that may log in, 12 digits.
	Accounts []string `json:"accounts"`
	// Principals are patterns of ARNs as GetCallerIdentity gives them, such as arn:aws:sts::123456789012:assumed-role/deploy/*;
	// none for everybody in the accounts.
	Principals []Pattern `json:"principals,omitempty"`
	// Endpoints are hosts to take beside those of AWS, such as a VPC endpoint of STS.
	Endpoints []string `json:"endpoints,omitempty"`
	CA        string   `json:"ca,omitzero"` // PEM of the authorities of the endpoints; empty for those of the system
}

// ServerIDHeader is what ties a signed request to one server.
const ServerIDHeader = "X-Keyturn-Server-Id"

// CallerIdentityBody is the only body that is sent on.
const CallerIdentityBody = "Action=GetCallerIdentity&Version=2011-06-15"

// SignedRequest is a request of the client's that it did not send itself. Header names are looked at without regard to case, and
// each may be there once.
type SignedRequest struct {
	Method string
	URL    string
	Header map[string]string
	Body   string
}

const (
	awsWindow       = 5 * time.Minute // AWS itself takes 15; a request that leaks on the way is of use for less
	maxAWSHeader    = 4 << 10         // bytes of one header; session tokens have one to two thousand
	maxAWSHeaders   = 20
	maxAWSAnswer    = 64 << 10
	maxAWSEndpoints = 16
)

// awsHosts are the endpoints of STS: https://docs.aws.amazon.com/general/latest/gr/sts.html
var awsHosts = regexp.MustCompile(`^sts(-fips)?(\.[a-z]{2}(-[a-z]{2,12}){1,2}-[0-9]{1,2})?\.amazonaws\.com(\.cn)?$`)

var awsAccount = regexp.MustCompile(`^[0-9]{12}$`)

// awsPass are headers that may be sent on beside the signed ones, all without effect on what is asked.
var awsPass = []string{"host", "content-type", "content-length", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256",
	strings.ToLower(ServerIDHeader), "authorization", "user-agent", "accept", "accept-encoding", "amz-sdk-invocation-id", "amz-sdk-request", "x-amz-user-agent"}

func (s *AWS) check() error {
	switch {
	case s.Portable && s.ServerID != "":
		return fault.New(fault.Invalid, "an aws method has a server id or is portable, not both").WithField("/settings/portable", "with a server id")
	case !s.Portable && (s.ServerID == "" || len(s.ServerID) > 256 || strings.TrimSpace(s.ServerID) != s.ServerID):
		return fault.New(fault.Invalid, "an aws method needs a server id").WithHint("for example the server's host name; clients sign it").WithField("/settings/server_id", "missing or not valid")
	case len(s.Accounts) == 0 || len(s.Accounts) > maxPatterns || slices.ContainsFunc(s.Accounts, func(a string) bool { return !awsAccount.MatchString(a) }):
		return fault.New(fault.Invalid, "an aws method must say which accounts may log in").WithField("/settings/accounts", "want 1 to %d ids of 12 digits", maxPatterns)
	case len(s.Endpoints) > maxAWSEndpoints || slices.ContainsFunc(s.Endpoints, func(h string) bool { return checkAddress("", "https://"+h+"/") != nil || strings.Contains(h, "/") }):
		return fault.New(fault.Invalid, "an endpoint is not valid").WithField("/settings/endpoints", "want host names")
	}
	if _, err := pool(s.CA); err != nil {
		return err
	}
	return checkPatterns("/settings/principals", s.Principals)
}

func (s *AWS) needs() (least, most int) { return 0, 0 }

func (s *AWS) open(a Around) (Verifier, error) {
	roots, err := pool(s.CA)
	if err != nil {
		return nil, err
	}
	c := client(a.Calls, roots)
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &callerIdentity{s, c}, nil
}

type callerIdentity struct {
	s      *AWS
	client *http.Client
}

// Verify implements [Verifier].
func (v *callerIdentity) Verify(ctx context.Context, c Credential) (Evidence, error) {
	if c.Request == nil {
		return Evidence{}, rejected("there is no signed request")
	}
	req, err := v.request(ctx, c.Request, time.Now())
	if err != nil {
		return Evidence{}, err
	}
	resp, err := v.client.Do(req)
	if err != nil {
		return Evidence{}, unanswered("AWS", err)
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusOK:
	case resp.StatusCode >= 400 && resp.StatusCode < 500 && resp.StatusCode != http.StatusTooManyRequests:
		return Evidence{}, rejected("AWS does not take the signature")
	default:
		return Evidence{}, fault.New(fault.Unavailable, "AWS answers with status %d", resp.StatusCode)
	}
	text, err := outbound.ReadAll(resp.Body, maxAWSAnswer)
	if err != nil {
		return Evidence{}, err
	}
	var who struct {
		XMLName xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ GetCallerIdentityResponse"`
		Result  struct {
			Account string `xml:"Account"`
			ARN     string `xml:"Arn"`
			User    string `xml:"UserId"`
		} `xml:"GetCallerIdentityResult"`
	}
	if err := xml.Unmarshal(text, &who); err != nil {
		return Evidence{}, fault.Wrap(fault.Unavailable, err, "the answer of AWS is not that of GetCallerIdentity")
	}
	r := who.Result
	if !slices.Contains(v.s.Accounts, r.Account) {
		return Evidence{}, rejected("the method does not allow this account")
	}
	if parts := strings.SplitN(r.ARN, ":", 6); len(parts) != 6 || parts[0] != "arn" || parts[4] != r.Account {
		return Evidence{}, rejected("AWS names no principal of this account")
	}
	if len(v.s.Principals) > 0 && !matchesAny(v.s.Principals, r.ARN) {
		return Evidence{}, rejected("the method does not allow this principal")
	}
	e := Evidence{Subject: r.ARN, Attributes: map[string]string{}}
	note(e.Attributes, "account", r.Account)
	note(e.Attributes, "arn", r.ARN)
	note(e.Attributes, "user_id", r.User)
	return e, nil
}

// request makes the one request that may be sent on from what the client signed, or refuses. Whatever AWS would read, and so
// every part of the signature's scope, is looked at: what is asked, whom, when, and for which server.
func (v *callerIdentity) request(ctx context.Context, in *SignedRequest, now time.Time) (*http.Request, error) {
	if in.Method != http.MethodPost {
		return nil, rejected("the signed request is not a POST")
	}
	if in.Body != CallerIdentityBody {
		return nil, rejected("the signed request does not ask for the caller's identity, and for that alone")
	}
	u, err := url.Parse(in.URL)
	if err != nil || u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.Opaque != "" || u.Path != "/" && u.Path != "" ||
		!awsHosts.MatchString(u.Host) && !slices.Contains(v.s.Endpoints, u.Host) {
		return nil, rejected("the signed request is not for an endpoint of AWS STS")
	}
	header, err := awsHeader(in.Header)
	if err != nil {
		return nil, err
	}
	if err := v.signature(header, now); err != nil {
		return nil, err
	}
	if host := header.Get("Host"); host != "" && host != u.Host {
		return nil, rejected("the signed request is for another host")
	}
	u.Path = "/"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), strings.NewReader(in.Body))
	if err != nil {
		return nil, rejected("the signed request cannot be sent")
	}
	header.Del("Host") // it is that of the address
	header.Del("Content-Length")
	header.Del("Accept-Encoding")
	req.Header = header
	return req, nil
}

func awsHeader(in map[string]string) (http.Header, error) {
	if len(in) > maxAWSHeaders {
		return nil, rejected("the signed request has more than %d headers", maxAWSHeaders)
	}
	out := http.Header{}
	for name, value := range in {
		lower := strings.ToLower(name)
		if !slices.Contains(awsPass, lower) {
			return nil, rejected("the signed request has a header that is not sent on")
		}
		if len(value) > maxAWSHeader || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) {
			return nil, rejected("a header of the signed request is not valid")
		}
		if len(out.Values(name)) > 0 {
			return nil, rejected("a header of the signed request is there twice")
		}
		out.Set(name, value)
	}
	return out, nil
}

var (
	awsAuthorization = regexp.MustCompile(`^AWS4-HMAC-SHA256 Credential=[A-Za-z0-9]{16,128}/([0-9]{8})/[a-z0-9-]{1,32}/sts/aws4_request, ?SignedHeaders=([a-z0-9;-]{1,512}), ?Signature=[0-9a-f]{64}$`)
	awsDate          = "20060102T150405Z"
)

// signature looks at what the signature covers. Only AWS can tell whether it is right.
func (v *callerIdentity) signature(header http.Header, now time.Time) error {
	parts := awsAuthorization.FindStringSubmatch(header.Get("Authorization"))
	if parts == nil {
		return rejected("the request is not signed with Signature Version 4 for STS")
	}
	signed := strings.Split(parts[2], ";")
	needed := []string{"host", "x-amz-date"}
	if !v.s.Portable {
		needed = append(needed, strings.ToLower(ServerIDHeader))
	}
	for _, need := range needed {
		if !slices.Contains(signed, need) {
			return rejected("the signature does not cover the header %s", need)
		}
	}
	if header.Get("X-Amz-Security-Token") != "" && !slices.Contains(signed, "x-amz-security-token") {
		return rejected("the signature does not cover the session token")
	}
	if header.Get(ServerIDHeader) != v.s.ServerID && !v.s.Portable {
		return rejected("the request was signed for another server")
	}
	at, err := time.Parse(awsDate, header.Get("X-Amz-Date"))
	if err != nil || at.Format("20060102") != parts[1] {
		return rejected("the date of the signed request is not valid")
	}
	if d := now.Sub(at); d > awsWindow || d < -awsWindow {
		return rejected("the signed request is too old, or the clocks differ")
	}
	return nil
}
