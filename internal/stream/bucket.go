package stream

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/keyturn/keyturn/internal/bucket"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/follow"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// bucketKind puts objects of many entries into a store that speaks the S3 protocol. The name of an object is made of the log
// and the range of entries, and one that is there is never written over: give the credential the right to put and to list, and
// none to delete.
var bucketKind = kind{
	name: "bucket",
	settings: map[string]string{
		"address": "s3://BUCKET/PREFIX?region=REGION, as for backups",
	},
	credential: "access key id, a colon and the secret access key; for temporary credentials one more colon and the session token",
	slow:       true,
	open:       openBucket,
}

// bucketGather is how long entries gather for one object; an object has at most one batch of entries.
const bucketGather = time.Minute

// bucketWithin bounds one object.
const bucketWithin = 90 * time.Second

type objects struct {
	place  bucket.Place
	origin string
}

func openBucket(around surroundings, settings map[string]string, credential sensitive.Value) (sink, error) {
	if !strings.HasPrefix(settings["address"], "s3://") {
		return nil, fault.New(fault.Invalid, "the address of the bucket is not valid").WithHint("want s3://BUCKET/PREFIX?region=REGION; for a folder of the server take a file stream").
			WithField("/settings/address", "not valid")
	}
	parts := strings.SplitN(string(credential.Reveal()), ":", 3)
	if len(parts) < 2 {
		return nil, fault.New(fault.Invalid, "the credential of the bucket is not valid").WithHint("want ACCESS_KEY_ID:SECRET_ACCESS_KEY").WithField("/credential", "not valid")
	}
	parts = append(parts, "")
	env := map[string]string{"AWS_ACCESS_KEY_ID": parts[0], "AWS_SECRET_ACCESS_KEY": parts[1], "AWS_SESSION_TOKEN": parts[2]}
	place, err := bucket.Open(settings["address"], bucket.Environment{Getenv: func(name string) string { return env[name] }, HTTP: around.rules.Client(bucketWithin)})
	if err != nil {
		return nil, err
	}
	return &objects{place, around.origin}, nil
}

// logFolder turns an origin into a part of a name.
func logFolder(origin string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '.', r == '-', r == '_':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, origin)
}

func (s *objects) send(ctx context.Context, batch []follow.Entry) error {
	ctx, cancel := context.WithTimeout(ctx, bucketWithin)
	defer cancel()
	text, err := appendLines(nil, s.origin, batch)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("%s/%016d-%016d.jsonl", logFolder(s.origin), batch[0].Index, batch[len(batch)-1].Index)
	there, err := s.place.List(ctx, name)
	if err != nil {
		return err
	}
	switch {
	case len(there) > 0 && there[0].Size == int64(len(text)): // put before a crash that kept the bookmark from moving
		return nil
	case len(there) > 0:
		return fault.New(fault.Conflict, "an object of another size lies under the name of these entries").WithHint("look who else writes to the bucket")
	}
	_, err = s.place.Put(ctx, name, bytes.NewReader(text))
	return err
}

func (s *objects) test(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, bucketWithin)
	defer cancel()
	text, err := json.Marshal(map[string]string{"log": s.origin, "test": time.Now().UTC().Format(time.RFC3339)})
	if err != nil {
		return err
	}
	_, err = s.place.Put(ctx, logFolder(s.origin)+"/test.json", bytes.NewReader(text))
	return err
}

func (s *objects) close() error { return nil }
