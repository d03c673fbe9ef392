package vault

import (
	"context"
	"strconv"

	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/transit"
)

// export gives the material of a key that allows it: export/PART/KEY, or export/PART/KEY/VERSION.
func (t *transitCall) export(ctx context.Context) (*reply, error) {
	if err := t.takes(verbRead, 2, 3); err != nil {
		return nil, err
	}
	number := int64(0)
	if len(t.args) == 3 {
		if t.args[2] == "latest" {
			number = -1
		} else if n, err := strconv.ParseInt(t.args[2], 10, 64); err != nil || n < 1 {
			return nil, bad("invalid key version")
		} else {
			number = n
		}
	}
	k, all, err := t.service.Export(ctx, t.key(1), transit.Part(t.args[0]), max(number, 0))
	if err != nil {
		return nil, err
	}
	keys := map[string]string{}
	for _, e := range all {
		if number >= 0 || e.Version == k.Latest {
			keys[strconv.FormatInt(e.Version, 10)] = string(e.Value.Reveal())
		}
		e.Value.Wipe()
	}
	return &reply{data: map[string]any{"name": k.Name, "type": string(k.Kind), "keys": keys}}, nil
}

func (t *transitCall) backup(ctx context.Context) (*reply, error) {
	if err := t.takes(verbRead, 1, 1); err != nil {
		return nil, err
	}
	value, err := t.service.Backup(ctx, t.key(0))
	if err != nil {
		return nil, orMissing(err, "key not found")
	}
	defer value.Wipe()
	return &reply{data: map[string]any{"backup": string(value.Reveal())}}, nil
}

func (t *transitCall) restore(ctx context.Context) (*reply, error) {
	if err := t.takes(verbWrite, 0, 1); err != nil {
		return nil, err
	}
	text, err := t.fields.text("backup")
	if err != nil {
		return nil, err
	}
	if text == "" {
		return nil, bad("'backup' must be supplied")
	}
	force, err := t.fields.boolean("force", false)
	if err != nil {
		return nil, err
	}
	name := ""
	if len(t.args) == 1 {
		name = t.args[0]
	}
	_, err = t.service.Restore(ctx, t.project, name, sensitive.FromString(text), force)
	return nil, err
}
