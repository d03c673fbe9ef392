package bucket

import (
	"net"
	"net/url"
	"strings"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

const (
	// maxS3Prefix leaves room for names within the 1024 bytes of a key.
	maxS3Prefix = 256
	// maxRegion is far above the longest name of a region.
	maxRegion = 64
	// maxKeyBytes bounds what is sent as a credential in a header: session tokens of AWS reach a few thousand bytes.
	maxKeyBytes = 8 << 10
	// defaultRegion is what stores of others use in signatures when nothing else is set.
	defaultRegion = "us-east-1"

	lower  = "abcdefghijklmnopqrstuvwxyz"
	digits = "0123456789"
	// prefixBytes need no escaping in a URL, so that no two parties can disagree about what was signed.
	prefixBytes = lower + "ABCDEFGHIJKLMNOPQRSTUVWXYZ" + digits + "._~-"
)

// s3Address is a bucket and what stands before all names in it.
type s3Address struct {
	base      *url.URL // scheme and host, with the bucket's name in it unless pathStyle
	bucket    string
	pathStyle bool
	prefix    string // without slashes at its ends, may be empty
	region    string
}

// key gives the full key of a name, or of a prefix of names.
func (a s3Address) key(name string) string {
	if a.prefix == "" {
		return name
	}
	return a.prefix + "/" + name
}

// url gives the URL of a key, or of the bucket when the key is empty.
func (a s3Address) url(key string, query url.Values) *url.URL {
	u := *a.base
	u.Path = "/" + key
	if a.pathStyle {
		u.Path = strings.TrimSuffix("/"+a.bucket+"/"+key, "/")
	}
	u.RawQuery = query.Encode()
	return &u
}

// parseS3 reads s3://BUCKET/PREFIX?endpoint=URL&region=REGION&path_style=BOOL.
func parseS3(u *url.URL) (s3Address, error) {
	a := s3Address{bucket: u.Host, prefix: strings.Trim(u.Path, "/"), region: defaultRegion}
	if u.Opaque != "" || u.Fragment != "" {
		return s3Address{}, badAddress("it has parts that s3:// addresses do not have")
	}
	// https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
	if len(a.bucket) < 3 || len(a.bucket) > 63 || strings.Trim(a.bucket, lower+digits+".-") != "" ||
		strings.Trim(a.bucket, ".-") != a.bucket || strings.Contains(a.bucket, "..") {
		return s3Address{}, badAddress("the bucket is not 3 to 63 characters of a-z, 0-9, dot and hyphen, with no dot or hyphen at its ends")
	}
	if len(a.prefix) > maxS3Prefix {
		return s3Address{}, badAddress("the prefix is longer than %d bytes", maxS3Prefix)
	}
	if a.prefix != "" {
		for segment := range strings.SplitSeq(a.prefix, "/") {
			if segment == "" || segment == "." || segment == ".." || strings.Trim(segment, prefixBytes) != "" {
				return s3Address{}, badAddress("the prefix holds more than letters, digits, dots, hyphens, underscores and single slashes")
			}
		}
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return s3Address{}, badAddress("what follows the question mark cannot be read")
	}
	for name, values := range query {
		if name != "endpoint" && name != "region" && name != "path_style" {
			return s3Address{}, badAddress("after the question mark only endpoint, region and path_style may stand")
		}
		if len(values) > 1 {
			return s3Address{}, badAddress("%s stands there twice", name)
		}
	}
	if query.Has("region") {
		a.region = query.Get("region")
		if a.region == "" || len(a.region) > maxRegion || strings.Trim(a.region, lower+digits+"-") != "" {
			return s3Address{}, badAddress("region is not a name of a-z, 0-9 and hyphen")
		}
	}
	switch query.Get("path_style") {
	case "true":
		a.pathStyle = true
	case "false":
	default:
		if query.Has("path_style") {
			return s3Address{}, badAddress("path_style is neither true nor false")
		}
	}
	if !query.Has("endpoint") {
		if !query.Has("region") {
			return s3Address{}, badAddress("it names neither a region of AWS nor the endpoint of another store")
		}
		a.base = &url.URL{Scheme: "https", Host: "s3." + a.region + ".amazonaws.com"}
		if strings.HasPrefix(a.region, "cn-") {
			a.base.Host += ".cn"
		}
	} else if a.base, err = parseEndpoint(query.Get("endpoint")); err != nil {
		return s3Address{}, err
	}
	if !a.pathStyle {
		host := a.base.Hostname()
		if net.ParseIP(host) != nil || loopback(host) || strings.Contains(a.bucket, ".") {
			return s3Address{}, badAddress("this endpoint or bucket cannot have the bucket's name in front of the host").
				WithHint("add path_style=true")
		}
		a.base.Host = a.bucket + "." + a.base.Host
	}
	return a, nil
}

func parseEndpoint(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil {
		return nil, badAddress("endpoint is not a URL")
	}
	if u.User != nil {
		return nil, badAddress("endpoint holds a credential")
	}
	if u.Hostname() == "" || u.Opaque != "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return nil, badAddress("endpoint is not https:// and a host, and nothing else")
	}
	if u.Scheme != "https" && !(u.Scheme == "http" && loopback(u.Hostname())) {
		return nil, badAddress("endpoint does not begin with https://").
			WithHint("http:// is for stores on this machine only: names and times of backups would cross the network in clear")
	}
	return &url.URL{Scheme: u.Scheme, Host: strings.ToLower(u.Host)}, nil
}

// loopback tells whether a host can only be this machine. Other names are not looked up: the answer could change.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// s3Keys are the credentials. The id of a key is no secret, and is kept out of sight all the same.
type s3Keys struct{ id, secret, session sensitive.Value }

func s3KeysFrom(getenv func(string) string) (s3Keys, error) {
	if getenv == nil {
		getenv = func(string) string { return "" }
	}
	var keys s3Keys
	for _, v := range []struct {
		name     string
		to       *sensitive.Value
		required bool
	}{
		{"AWS_ACCESS_KEY_ID", &keys.id, true},
		{"AWS_SECRET_ACCESS_KEY", &keys.secret, true},
		{"AWS_SESSION_TOKEN", &keys.session, false},
	} {
		value := getenv(v.name)
		switch {
		case value == "" && v.required:
			return s3Keys{}, fault.New(fault.Invalid, "the place for backups needs credentials, and %s is not set", v.name).
				WithHint("set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and AWS_SESSION_TOKEN for temporary credentials")
		case len(value) > maxKeyBytes || strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r > '~' }):
			return s3Keys{}, fault.New(fault.Invalid, "%s is no credential: it is too long, or holds spaces, line ends or other characters", v.name).
				WithHint("look for a line end at its end")
		}
		*v.to = sensitive.FromString(value)
	}
	return keys, nil
}
