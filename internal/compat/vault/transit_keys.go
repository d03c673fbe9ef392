package vault

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/transit"
)

func (t *transitCall) keys(ctx context.Context) (*reply, error) {
	if len(t.args) == 0 || len(t.args) == 1 && t.args[0] == "" {
		if t.verb != verbList {
			return nil, unsupported()
		}
		return t.listKeys(ctx)
	}
	if len(t.args) == 1 {
		switch t.verb {
		case verbRead:
			return keyReply(t.service.Key(ctx, t.key(0)))
		case verbWrite:
			return t.createKey(ctx)
		case verbDelete:
			_, err := t.service.Delete(ctx, t.key(0))
			return nil, orMissing(err, "could not delete key; not found")
		}
		return nil, unsupported()
	}
	if err := t.takes(verbWrite, 2, 2); err != nil {
		return nil, err
	}
	switch t.args[1] {
	case "rotate":
		k, err := t.service.Rotate(ctx, t.key(0))
		return keyReply(k, orMissing(err, "key not found"))
	case "config":
		return t.configureKey(ctx)
	case "trim":
		below, err := t.fields.integer("min_available_version")
		if err != nil {
			return nil, err
		}
		if !t.fields.has("min_available_version") {
			return nil, bad("missing min_available_version")
		}
		k, err := t.service.Trim(ctx, t.key(0), below)
		return keyReply(k, orMissing(err, "invalid key name"))
	}
	return nil, nothing(t.call)
}

func (t *transitCall) listKeys(ctx context.Context) (*reply, error) {
	all, err := t.service.Keys(ctx, t.project)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, nothing(t.call)
	}
	names := make([]string, 0, len(all))
	for _, k := range all {
		names = append(names, k.Name)
	}
	return &reply{data: map[string]any{"keys": names}}, nil
}

// createKey makes a key; one that is there stays as it is, with a warning.
func (t *transitCall) createKey(ctx context.Context) (*reply, error) {
	in, err := t.newKey()
	if err != nil {
		return nil, err
	}
	in.Name = t.args[0]
	k, err := t.service.Create(ctx, t.project, in)
	if !errors.Is(err, fault.Exists) {
		return keyReply(k, err)
	}
	out, err := keyReply(t.service.Key(ctx, t.key(0)))
	if err == nil {
		out.warnings = []string{"key " + in.Name + " already existed"}
	}
	return out, err
}

// newKey reads what a key shall be like.
func (t *transitCall) newKey() (transit.NewKey, error) {
	var in transit.NewKey
	kind, err := t.fields.text("type")
	in.Kind = transit.Kind(kind)
	for _, b := range []struct {
		name string
		to   *bool
	}{{"derived", &in.Derived}, {"exportable", &in.Exportable}, {"allow_plaintext_backup", &in.PlainBackup}, {"convergent_encryption", &in.Convergent}} {
		if err == nil {
			*b.to, err = t.fields.boolean(b.name, false)
		}
	}
	if err == nil {
		in.RotateEvery, err = t.fields.duration("auto_rotate_period")
	}
	if err == nil {
		var size int64
		size, err = t.fields.integer("key_size")
		in.Size = int(size)
	}
	return in, err
}

func (t *transitCall) configureKey(ctx context.Context) (*reply, error) {
	var c transit.Config
	for _, n := range []struct {
		name string
		to   **int64
	}{{"min_decryption_version", &c.MinDecryption}, {"min_encryption_version", &c.MinEncryption}} {
		if t.fields.has(n.name) {
			v, err := t.fields.integer(n.name)
			if err != nil {
				return nil, err
			}
			*n.to = &v
		}
	}
	for _, b := range []struct {
		name string
		to   **bool
	}{{"deletion_allowed", &c.Deletable}, {"exportable", &c.Exportable}, {"allow_plaintext_backup", &c.PlainBackup}} {
		if t.fields.has(b.name) {
			v, err := t.fields.boolean(b.name, false)
			if err != nil {
				return nil, err
			}
			*b.to = &v
		}
	}
	if t.fields.has("auto_rotate_period") {
		d, err := t.fields.duration("auto_rotate_period")
		if err != nil {
			return nil, err
		}
		c.RotateEvery = &d
	}
	k, err := t.service.Configure(ctx, t.key(0), c)
	return keyReply(k, orMissing(err, "no existing key named "+t.args[0]+" could be found"))
}

// curveNames are what the dialect calls the algorithm of a version.
var curveNames = map[transit.Kind]string{transit.P256: "P-256", transit.P384: "P-384", transit.P521: "P-521"}

// keyReply shows a key.
func keyReply(k transit.Key, err error) (*reply, error) {
	if err != nil {
		return nil, err
	}
	versions := map[string]any{}
	for _, v := range k.Versions {
		if k.Kind.Symmetric() {
			versions[strconv.FormatInt(v.Number, 10)] = v.CreatedAt / 1000
			continue
		}
		name := string(k.Kind)
		if curve := curveNames[k.Kind]; curve != "" {
			name = curve
		}
		public := transit.PublicText(k.Kind, v.Public)
		if k.Derived { // there is one for each context
			public = ""
		}
		versions[strconv.FormatInt(v.Number, 10)] = map[string]any{"name": name, "public_key": public, "creation_time": stamp(v.CreatedAt), "certificate_chain": ""}
	}
	data := map[string]any{
		"name": k.Name, "type": string(k.Kind), "latest_version": k.Latest, "min_available_version": k.MinAvailable, "min_decryption_version": k.MinDecryption,
		"min_encryption_version": k.MinEncryption, "deletion_allowed": k.Deletable, "derived": k.Derived, "exportable": k.Exportable,
		"allow_plaintext_backup": k.PlainBackup, "auto_rotate_period": int64(k.RotateEvery / time.Second), "imported_key": k.Imported,
		"supports_encryption": k.Kind.Encrypts(), "supports_decryption": k.Kind.Encrypts(), "supports_derivation": k.Kind.Derives(),
		"supports_signing": k.Kind.Signs(), "keys": versions,
	}
	if k.Derived {
		data["kdf"], data["convergent_encryption"] = "hkdf_sha256", k.Convergent
	}
	return &reply{data: data}, nil
}
