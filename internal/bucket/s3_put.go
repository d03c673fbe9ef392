package bucket

import (
	"bytes"
	"context"
	"crypto/fips140"
	"crypto/md5"
	"crypto/rand"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/keyturn/keyturn/internal/fault"
)

const (
	// partBytes is the size of all parts but the last, and of the one buffer of a Put. S3 wants at least 5 MiB.
	partBytes = 8 << 20
	// smallBytes is what is set aside until there is more, for the manifests beside large backups.
	smallBytes = 64 << 10
	// maxParts is S3's own bound; with partBytes it bounds an object to 78 GiB.
	maxParts = 10_000
	// maxAbort is the time to take back an upload after its caller has gone.
	maxAbort = 30 * time.Second
	// maxTag is longer than any upload id or ETag that a store gives.
	maxTag = 2048

	// uploadMark is metadata that tells one Put from another, to find out what became of a request whose answer was lost.
	uploadMark = "X-Amz-Meta-Keyturn-Upload"
)

// Put sends what fits in one part as one request, and more as a multipart upload, which the store shows under its name only
// when it is complete. One part is in memory at a time.
func (s *s3) Put(ctx context.Context, name string, r io.Reader) (int64, error) {
	if err := checkName(name); err != nil {
		return 0, err
	}
	in := &source{ctx: ctx, r: r}
	buffer := make([]byte, smallBytes)
	n, err := io.ReadFull(in, buffer)
	if err == nil {
		buffer = append(make([]byte, 0, partBytes), buffer...)[:partBytes]
		var more int
		more, err = io.ReadFull(in, buffer[n:])
		n += more
	}
	if in.err != nil {
		return 0, in.fault(name)
	}
	if err != nil { // the end came within the first part
		if _, err := s.do(ctx, call{what: name, method: http.MethodPut, key: name, header: contentMD5(buffer[:n]), body: buffer[:n]}); err != nil {
			return 0, err
		}
		return int64(n), nil
	}
	return s.putParts(ctx, name, in, buffer)
}

// contentMD5 asks the store to compare the hash of what it got, which buckets with object lock insist on. MD5 is what every
// store knows (several refuse the headers x-amz-checksum-*), and guards against accidents only: what is signed is the
// SHA-256. Hence it may be used where FIPS 140 is enforced.
func contentMD5(b []byte) http.Header {
	var sum [md5.Size]byte
	fips140.WithoutEnforcement(func() { sum = md5.Sum(b) })
	return http.Header{"Content-Md5": {base64.StdEncoding.EncodeToString(sum[:])}}
}

// completion is the body of CompleteMultipartUpload.
type completion struct {
	XMLName xml.Name         `xml:"http://s3.amazonaws.com/doc/2006-03-01/ CompleteMultipartUpload"`
	Parts   []completionPart `xml:"Part"`
}

type completionPart struct {
	PartNumber int
	ETag       string
}

// putParts uploads a buffer that is full, and what follows it.
func (s *s3) putParts(ctx context.Context, name string, in *source, buffer []byte) (size int64, err error) {
	mark := rand.Text()
	id, err := s.create(ctx, name, mark)
	if err != nil {
		return 0, err
	}
	complete := false
	defer func() {
		if !complete { // also when the reader panics
			s.abort(ctx, name, id)
		}
	}()

	var done completion
	for n := len(buffer); n > 0; {
		if len(done.Parts) == maxParts {
			return 0, fault.New(fault.Exhausted, "%s is too large: at most %d bytes fit", name, int64(maxParts)*partBytes)
		}
		part := completionPart{PartNumber: len(done.Parts) + 1}
		_, err := s.do(ctx, call{
			what: name, method: http.MethodPut, key: name, header: contentMD5(buffer[:n]), body: buffer[:n],
			query: url.Values{"uploadId": {id}, "partNumber": {strconv.Itoa(part.PartNumber)}}, etag: &part.ETag,
		})
		if err != nil {
			return 0, err
		}
		if part.ETag == "" || len(part.ETag) > maxTag {
			return 0, notS3(errors.New("a part has no ETag"))
		}
		done.Parts = append(done.Parts, part)
		size += int64(n)
		if n < len(buffer) {
			break
		}
		n, _ = io.ReadFull(in, buffer) // errors of the reader are in in.err; the rest is the end
		if in.err != nil {
			return 0, in.fault(name)
		}
	}
	if err := s.complete(ctx, name, id, mark, done); err != nil {
		return 0, err
	}
	complete = true
	return size, nil
}

// create begins a multipart upload and gives its id.
func (s *s3) create(ctx context.Context, name, mark string) (string, error) {
	answer, err := s.do(ctx, call{
		what: name, method: http.MethodPost, key: name, query: url.Values{"uploads": {""}},
		header: http.Header{uploadMark: {mark}},
	})
	if err != nil {
		return "", err
	}
	var created struct {
		XMLName  xml.Name `xml:"InitiateMultipartUploadResult"`
		UploadID string   `xml:"UploadId"`
	}
	if err := xml.NewDecoder(bytes.NewReader(answer)).Decode(&created); err != nil {
		return "", notS3(err)
	}
	if created.UploadID == "" || len(created.UploadID) > maxTag {
		return "", notS3(errors.New("an upload has no id"))
	}
	return created.UploadID, nil
}

// complete gives the parts their name. The store may say 200 first and the error later; and when an earlier try was done
// but its answer lost, the upload is gone the next time: then the mark of the object tells whether it is this one.
func (s *s3) complete(ctx context.Context, name, id, mark string, done completion) error {
	body, err := xml.Marshal(done)
	if err != nil {
		return fault.Wrap(fault.Internal, err, "the list of parts could not be written")
	}
	c := call{what: name, method: http.MethodPost, key: name, query: url.Values{"uploadId": {id}}, body: body}
	c.header = http.Header{"Content-Type": {"application/xml"}}
	c.ok = func(answer []byte) error {
		if code := errorCode(answer); code != "" {
			return s3Fault(c, http.StatusOK, answer, 0)
		}
		var completed struct {
			XMLName xml.Name `xml:"CompleteMultipartUploadResult"`
		}
		if err := xml.NewDecoder(bytes.NewReader(answer)).Decode(&completed); err != nil {
			return fault.Wrap(fault.Unavailable, err, "%s: the store did not say whether the upload is complete", name)
		}
		return nil
	}
	_, err = s.do(ctx, c)
	if err == nil || !errors.Is(err, fault.Conflict) && !errors.Is(err, fault.Unavailable) {
		return err
	}
	response, headErr := s.open(ctx, call{what: name, method: http.MethodHead, key: name})
	if headErr != nil {
		return err
	}
	_ = response.Body.Close()
	if response.Header.Get(uploadMark) == mark {
		return nil
	}
	return err
}

// abort frees the parts that the store keeps. It is best effort: the caller learns why the Put failed, and the guide tells
// to let the store end what stays.
func (s *s3) abort(ctx context.Context, name, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), maxAbort)
	defer cancel()
	_, _ = s.do(ctx, call{what: name, method: http.MethodDelete, key: name, query: url.Values{"uploadId": {id}}})
}
