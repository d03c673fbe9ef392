package vault

import (
	"context"
	"net/http"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/keyturn/keyturn/internal/access"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// neverEnds is how the original writes the end of a secret id that has none.
const neverEnds = "0001-01-01T00:00:00Z"

// secretIDs answers the calls on the secret ids of a role.
func (s *Surface) secretIDs(ctx context.Context, p *place, role, what string) (*reply, error) {
	switch what {
	case "secret-id":
		if p.verb == verbList {
			return s.listSecretIDs(ctx, p, role)
		}
		return s.addSecretID(ctx, p, role, false)
	case "custom-secret-id":
		return s.addSecretID(ctx, p, role, true)
	case "secret-id/lookup", "secret-id-accessor/lookup":
		return s.lookupSecretID(ctx, p, role, what == "secret-id-accessor/lookup")
	case "secret-id/destroy", "secret-id-accessor/destroy":
		return s.destroySecretID(ctx, p, role, what == "secret-id-accessor/destroy")
	}
	return nil, noPath()
}

func (s *Surface) listSecretIDs(ctx context.Context, p *place, role string) (*reply, error) {
	rows, err := s.Access.SecretIDs(ctx, p.mount, role)
	if err != nil && fault.KindOf(err) == fault.NotFound {
		return nil, bad("role " + named(role) + " does not exist")
	}
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(rows))
	for _, row := range rows {
		names = append(names, row.ID)
	}
	return listing(names, p.call)
}

func (s *Surface) addSecretID(ctx context.Context, p *place, role string, chosen bool) (*reply, error) {
	if err := p.only(verbWrite); err != nil {
		return nil, err
	}
	in, err := p.fields.secretID(chosen)
	if err != nil {
		return nil, err
	}
	row, value, err := s.Access.AddSecretID(ctx, p.mount, role, in)
	if err != nil {
		return nil, missingRole(role, err)
	}
	known := []string{"metadata", "cidr_list", "token_bound_cidrs", "ttl", "num_uses", "secret_id", "role_name"}
	return &reply{data: map[string]any{"secret_id": text(value), "secret_id_accessor": row.ID, "secret_id_num_uses": row.Uses, "secret_id_ttl": lifetime(row)}, accessor: row.ID,
		warnings: p.fields.unrecognized(known)}, nil
}

// secretID reads what a new secret id shall be.
func (f fields) secretID(chosen bool) (access.SecretIDInput, error) {
	var in access.SecretIDInput
	var err error
	if chosen {
		secret, err := f.required("secret_id")
		if err != nil {
			return in, err
		}
		in.Chosen = sensitive.FromString(secret)
	} else if err := f.refuse("choose one at custom-secret-id", "secret_id"); err != nil {
		return in, err
	}
	if in.Metadata, err = f.metadata(); err != nil {
		return in, err
	}
	if err := f.setList("cidr_list", &in.Networks); err != nil {
		return in, err
	}
	if err := f.setList("token_bound_cidrs", &in.TokenNetworks); err != nil {
		return in, err
	}
	if f.has("ttl") {
		ttl, err := f.duration("ttl")
		if err != nil {
			return in, err
		}
		in.TTL = &ttl
	}
	if f.has("num_uses") {
		uses, err := f.integer("num_uses")
		if err != nil {
			return in, err
		}
		in.Uses = &uses
	}
	return in, nil
}

// metadata reads what the original takes as JSON in a text; an object is taken too.
func (f fields) metadata() (map[string]string, error) {
	v := f["metadata"]
	if !f.has("metadata") {
		return nil, nil
	}
	if v.Kind() == '"' {
		var inner string
		if err := json.Unmarshal(v, &inner); err != nil {
			return nil, err
		}
		if inner == "" {
			return nil, nil
		}
		v = jsontext.Value(inner)
		if !v.IsValid() {
			return nil, bad("failed to parse metadata: want JSON, an object of texts")
		}
	}
	out, err := fields{"metadata": v}.texts("metadata")
	if err != nil {
		return nil, bad("failed to parse metadata: want JSON, an object of texts")
	}
	return out, nil
}

// lifetime gives the seconds that a secret id was made for, 0 for one that does not end.
func lifetime(row access.ClientSecret) int64 {
	if row.ExpiresAt == 0 {
		return 0
	}
	return seconds(row.ExpiresAt - row.CreatedAt)
}

func choice(f fields, accessor bool) (access.SecretIDChoice, error) {
	if accessor {
		id, err := f.required("secret_id_accessor")
		return access.SecretIDChoice{Accessor: id}, err
	}
	secret, err := f.required("secret_id")
	return access.SecretIDChoice{Secret: sensitive.FromString(secret)}, err
}

func (s *Surface) lookupSecretID(ctx context.Context, p *place, role string, accessor bool) (*reply, error) {
	if err := p.only(verbWrite); err != nil {
		return nil, err
	}
	which, err := choice(p.fields, accessor)
	if err != nil {
		return nil, err
	}
	row, found, err := s.Access.SecretID(ctx, p.mount, role, which)
	switch {
	case err != nil:
		return nil, missingRole(role, err)
	case !found && accessor:
		return nil, noAccessor(which.Accessor)
	case !found:
		return nil, nil
	}
	end := neverEnds
	if row.ExpiresAt != 0 {
		end = stamp(row.ExpiresAt)
	}
	meta := row.Metadata
	if meta == nil {
		meta = map[string]string{}
	}
	left := int64(0)
	if row.Uses > 0 {
		left = row.Uses - row.Used
	}
	return &reply{data: map[string]any{"cidr_list": list(row.Networks), "creation_time": stamp(row.CreatedAt), "expiration_time": end,
		"last_updated_time": stamp(max(row.CreatedAt, row.LastUsedAt)), "metadata": meta, "secret_id_accessor": row.ID, "secret_id_num_uses": left, "secret_id_ttl": lifetime(row),
		"token_bound_cidrs": list(row.TokenNetworks)}}, nil
}

// noAccessor is how the original says that there is no secret id of an accessor.
func noAccessor(accessor string) error {
	return &shaped{status: http.StatusNotFound, messages: []string{"failed to find accessor entry for secret_id_accessor: " + named(accessor)}}
}

func (s *Surface) destroySecretID(ctx context.Context, p *place, role string, accessor bool) (*reply, error) {
	if err := p.only(verbWrite, verbDelete); err != nil {
		return nil, err
	}
	which, err := choice(p.fields, accessor)
	if err != nil {
		return nil, err
	}
	found, err := s.Access.DestroySecretID(ctx, p.mount, role, which)
	if err == nil && !found && accessor {
		err = noAccessor(which.Accessor)
	}
	return nil, missingRole(role, err)
}
