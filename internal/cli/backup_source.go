package cli

import (
	"context"
	"errors"
	"io"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/internal/backup"
	"github.com/keyturn/keyturn/internal/bucket"
	"github.com/keyturn/keyturn/internal/fault"
)

// sealedFlags say where a backup is that is opened here, and what opens it.
type sealedFlags struct {
	from       string
	identities []string
	signers    []string
}

func (f *sealedFlags) register(c *cobra.Command) {
	c.Flags().StringVar(&f.from, "from", "", "`PLACE` where the backup lies: a folder, file:// or s3://BUCKET/PREFIX?region=...; credentials of S3 come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	c.Flags().StringArrayVar(&f.identities, "identity", nil, "`FILE` with the identity of a recovery kit, - for standard input; may be repeated")
	c.Flags().StringArrayVar(&f.signers, "signer", nil, "verification `KEY` of the log that must have signed it, as keyturn audit checkpoint shows it; may be repeated")
}

// check opens the kits.
func (a *app) check(f sealedFlags) (backup.Check, error) {
	var o backup.Check
	if len(f.identities) == 0 {
		return o, fault.New(fault.Invalid, "a backup is opened with a recovery kit, and none is named").WithHint("add --identity FILE")
	}
	for _, file := range f.identities {
		text, err := a.readSecret(file)
		if err != nil {
			return o, err
		}
		list, err := backup.ParseIdentities(text)
		text.Wipe()
		if err != nil {
			return o, err
		}
		o.Identities = append(o.Identities, list...)
	}
	for _, text := range f.signers {
		k, err := backup.ParseSigner(text)
		if err != nil {
			return o, err
		}
		o.Signers = append(o.Signers, k)
	}
	return o, nil
}

// sealedSource is one backup that can be opened from its beginning, again and again.
type sealedSource struct {
	name string // for people, without credentials
	open func(context.Context) (io.ReadCloser, error)
	// place and key are set where it lies at a place and not in a plain file.
	place bucket.Place
	key   string
}

// source finds a backup: a file, the address of one, or its name at --from.
func (a *app) source(ctx context.Context, what, from string) (sealedSource, error) {
	if what == "" && from == "" {
		return sealedSource{}, fault.New(fault.Invalid, "no backup is named").WithHint("name a file, or --from PLACE")
	}
	if from == "" && !strings.HasPrefix(what, "s3://") {
		file := strings.TrimPrefix(what, "file://")
		if info, err := os.Stat(file); err != nil {
			return sealedSource{}, openFault(err, file)
		} else if info.IsDir() {
			return sealedSource{}, fault.New(fault.Invalid, "%s is a folder", file).WithHint("name a file in it, or say --from %s", file)
		}
		return sealedSource{name: file, open: func(context.Context) (io.ReadCloser, error) {
			f, err := os.Open(file)
			if err != nil {
				return nil, openFault(err, file)
			}
			return f, nil
		}}, nil
	}
	if from == "" {
		var err error
		if from, what, err = splitAddress(what); err != nil {
			return sealedSource{}, err
		}
	}
	if !strings.Contains(from, "://") { // a folder as people write it here
		absolute, err := filepath.Abs(from)
		if err != nil {
			return sealedSource{}, err
		}
		from = absolute
	}
	place, err := bucket.Open(from, bucket.Environment{Getenv: a.getenv})
	if err != nil {
		return sealedSource{}, err
	}
	k, err := keyAt(ctx, place, what)
	if err != nil {
		return sealedSource{}, err
	}
	return sealedSource{name: place.String() + " " + k, place: place, key: k,
		open: func(ctx context.Context) (io.ReadCloser, error) { return place.Get(ctx, k) }}, nil
}

// splitAddress takes the address of an object apart: that of the place, and the name there.
func splitAddress(address string) (place, name string, err error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || strings.Trim(u.Path, "/") == "" { // the address may hold a credential by mistake, so it is not repeated
		return "", "", fault.New(fault.Invalid, "that is no address of a backup").WithHint("want s3://BUCKET/PREFIX/INSTANCE/NAME?region=..., or NAME --from PLACE")
	}
	name = path.Base(u.Path)
	u.Path, u.RawPath = path.Dir(u.Path), ""
	if u.Path == "/" {
		u.Path = ""
	}
	return u.String(), name, nil
}

// keyAt finds a backup at a place by its whole name, by the last part of it, or the newest when nothing is named.
func keyAt(ctx context.Context, place bucket.Place, what string) (string, error) {
	objects, err := place.List(ctx, "")
	if err != nil {
		if errors.Is(err, fault.Denied) && what != "" { // whoever may not list may read
			return what, nil
		}
		return "", err
	}
	var keys []string
	for _, o := range objects {
		if strings.HasSuffix(o.Name, ".age") && (what == "" || o.Name == what || path.Base(o.Name) == what) {
			keys = append(keys, o.Name)
		}
	}
	if slices.Contains(keys, what) {
		return what, nil
	}
	slices.SortFunc(keys, func(a, b string) int { return strings.Compare(path.Base(a), path.Base(b)) }) // names begin with the time
	instances := map[string]bool{}
	for _, k := range keys {
		instances[path.Dir(k)] = true
	}
	switch {
	case len(keys) == 0:
		return "", fault.New(fault.NotFound, "there is no such backup at %s", place)
	case len(instances) > 1:
		return "", fault.New(fault.Invalid, "%s holds backups of %d instances", place, len(instances)).WithHint("name the backup with its instance: INSTANCE/NAME")
	}
	return keys[len(keys)-1], nil
}
