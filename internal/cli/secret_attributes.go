package cli

import (
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/fault"
)

// attributeFlags are what set says of a secret beside its value. A flag that is not given leaves the attribute as it is, an
// empty one takes it away.
type attributeFlags struct {
	owner, rotateEvery, expires, comment string
	tags, meta                           []string
	public, required, literal            bool
}

func (t *attributeFlags) register(f *pflag.FlagSet) {
	f.StringVar(&t.owner, "owner", "", "person or group that answers for it")
	f.StringArrayVar(&t.tags, "tag", nil, "tag; may be repeated, and replaces all tags that were there")
	f.StringArrayVar(&t.meta, "meta", nil, "`KEY=VALUE` of metadata; may be repeated, and replaces all that was there")
	f.StringVar(&t.rotateEvery, "rotate-every", "", `how often the value must change: "90d", "on staff change", "90d or on compromise", "never"`)
	f.StringVar(&t.expires, "expires", "", `when it ends: a day (2027-01-31), a time (RFC 3339), a duration from now (90d), or "never"`)
	f.StringVar(&t.comment, "comment", "", "remark; it is encrypted as the value is")
	f.BoolVar(&t.public, "public", false, "not sensitive (--public=false: sensitive again)")
	f.BoolVar(&t.required, "required", false, "its folder is incomplete without it")
	f.BoolVar(&t.literal, "literal", false, "${...} in the value is text, not a reference")
}

// given tells whether any of the flags stands on the command line.
func (t *attributeFlags) given(f *pflag.FlagSet) bool {
	for _, name := range []string{"owner", "tag", "meta", "rotate-every", "expires", "comment", "public", "required", "literal"} {
		if f.Changed(name) {
			return true
		}
	}
	return false
}

// apply puts the flags that were given into a change.
func (t *attributeFlags) apply(f *pflag.FlagSet, c *api.Change, now time.Time) error {
	take := func(name string, from *string, to **string) {
		if f.Changed(name) {
			*to = from
		}
	}
	take("owner", &t.owner, &c.Owner)
	take("rotate-every", &t.rotateEvery, &c.RotateEvery)
	take("comment", &t.comment, &c.Comment)
	for name, flag := range map[string]struct {
		from *bool
		to   **bool
	}{"public": {&t.public, &c.Public}, "required": {&t.required, &c.Required}, "literal": {&t.literal, &c.Literal}} {
		if f.Changed(name) {
			*flag.to = flag.from
		}
	}
	if f.Changed("tag") {
		tags := []string{}
		for _, s := range t.tags {
			if s != "" {
				tags = append(tags, s)
			}
		}
		c.Tags = &tags
	}
	if f.Changed("meta") {
		meta, err := parseMeta(t.meta)
		if err != nil {
			return err
		}
		c.Metadata = &meta
	}
	if f.Changed("expires") {
		at, err := parseExpiry(t.expires, now)
		if err != nil {
			return err
		}
		c.ExpiresAt = &at
	}
	return nil
}

func parseMeta(in []string) (map[string]string, error) {
	out := map[string]string{}
	for _, s := range in {
		key, value, ok := strings.Cut(s, "=")
		switch {
		case s == "":
			continue
		case !ok || key == "":
			return nil, fault.New(fault.Invalid, "--meta wants KEY=VALUE")
		}
		if _, twice := out[key]; twice {
			return nil, fault.New(fault.Invalid, "--meta gives the same key twice")
		}
		out[key] = value
	}
	return out, nil
}
