package bucket

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/keyturn/keyturn/internal/fault"
)

const (
	// maxPages bounds a list whose pages hold mostly what is not ours, and one of a store that never ends its list.
	maxPages = 1000
	// maxPageBytes is a page of 1000 keys of 1024 bytes, each percent-encoded, with room for the XML around.
	maxPageBytes = 8 << 20
)

// s3 is a Place behind the REST interface of S3: https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations.html.
// Only what all compatible stores know is used.
type s3 struct {
	address s3Address
	keys    s3Keys
	client  *http.Client
}

func openS3(u *url.URL, env Environment) (Place, error) {
	address, err := parseS3(u)
	if err != nil {
		return nil, err
	}
	keys, err := s3KeysFrom(env.Getenv)
	if err != nil {
		return nil, err
	}
	return &s3{address: address, keys: keys, client: s3Client(env.HTTP)}, nil
}

func (s *s3) String() string {
	return "s3://" + strings.TrimSuffix(s.address.bucket+"/"+s.address.prefix, "/") + " at " + s.address.base.Host
}

// Get opens an object. When the connection is cut in the middle, nothing is resumed: the reader begins again.
func (s *s3) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	response, err := s.open(ctx, call{what: name, method: http.MethodGet, key: name})
	if err != nil {
		return nil, err
	}
	if response.ContentLength < 0 {
		_ = response.Body.Close()
		return nil, fault.New(fault.Unsupported, "the store does not say how long %s is", name).
			WithHint("a proxy in between may change its answers: give the address of the store itself")
	}
	return &content{name: name, body: response.Body, left: response.ContentLength}, nil
}

// listPage is the answer to ListObjectsV2.
type listPage struct {
	XMLName               xml.Name `xml:"ListBucketResult"`
	EncodingType          string
	IsTruncated           bool
	NextContinuationToken string
	Contents              []struct {
		Key          string
		Size         int64
		LastModified time.Time
	}
}

// parseList reads a page. Keys come back as the store has them, outside of our prefix too.
func parseList(b []byte) (listPage, error) {
	var page listPage
	if err := xml.NewDecoder(bytes.NewReader(b)).Decode(&page); err != nil {
		return listPage{}, err
	}
	for i := range page.Contents {
		c := &page.Contents[i]
		if page.EncodingType == "url" {
			key, err := url.QueryUnescape(c.Key)
			if err != nil {
				return listPage{}, err
			}
			c.Key = key
		}
		if c.Size < 0 {
			return listPage{}, errors.New("a size is negative")
		}
	}
	return page, nil
}

func (s *s3) List(ctx context.Context, prefix string) ([]Object, error) {
	if err := checkPrefix(prefix); err != nil {
		return nil, err
	}
	var out []Object
	token := ""
	for range maxPages {
		// Keys of others may hold what XML cannot, so the store is asked to encode them.
		query := url.Values{"list-type": {"2"}, "encoding-type": {"url"}, "prefix": {s.address.key(prefix)}}
		if token != "" {
			query.Set("continuation-token", token)
		}
		body, err := s.do(ctx, call{what: "the list of objects", method: http.MethodGet, query: query, limit: maxPageBytes})
		if err != nil {
			return nil, err
		}
		page, err := parseList(body)
		if err != nil {
			return nil, notS3(err)
		}
		for _, c := range page.Contents {
			name, ours := strings.CutPrefix(c.Key, s.address.key(""))
			if !ours || !strings.HasPrefix(name, prefix) || nameProblem(name) != "" {
				continue
			}
			if len(out) == maxObjects {
				return nil, tooMany()
			}
			out = append(out, Object{Name: name, Size: c.Size, ModifiedMS: c.LastModified.UnixMilli()})
		}
		if !page.IsTruncated {
			slices.SortFunc(out, byName) // the protocol promises it, for general purpose buckets of AWS only
			return out, nil
		}
		if page.NextContinuationToken == "" || page.NextContinuationToken == token {
			return nil, notS3(errors.New("a page of the list does not lead on"))
		}
		token = page.NextContinuationToken
	}
	return nil, tooMany()
}

// Delete removes the current version. In a bucket with versions, the store keeps it as an old one.
func (s *s3) Delete(ctx context.Context, name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	_, err := s.do(ctx, call{what: name, method: http.MethodDelete, key: name})
	if errors.Is(err, fault.NotFound) { // AWS answers 204 for what is gone; some others say NoSuchKey
		return nil
	}
	return err
}
