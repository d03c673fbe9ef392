package vault

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/keyturn/keyturn/internal/access"
	"github.com/keyturn/keyturn/internal/fault"
)

// tokenNames are the fields that every role has for its tokens, and the old names of some.
var tokenNames = []string{"token_ttl", "token_max_ttl", "token_explicit_max_ttl", "token_period", "token_policies", "token_bound_cidrs", "token_num_uses", "token_type",
	"token_no_default_policy", "token_strictly_bind_ip", "alias_metadata"}

// oldNames are what fields were called in the originals before they were the same for all methods.
var oldNames = map[string]string{"ttl": "token_ttl", "max_ttl": "token_max_ttl", "policies": "token_policies", "period": "token_period", "num_uses": "token_num_uses",
	"bound_cidrs": "token_bound_cidrs", "bound_cidr_list": "secret_id_bound_cidrs"}

// renamed gives the fields under their present names. A present name goes before an old one.
func (f fields) renamed() fields {
	out := maps.Clone(f)
	for old, now := range oldNames {
		if v, ok := out[old]; ok {
			delete(out, old)
			if !out.has(now) {
				out[now] = v
			}
		}
	}
	return out
}

// unheld is how a field is refused that has no counterpart here.
func unheld(name, why string) error {
	return fault.New(fault.Unsupported, "field %q cannot be kept: %s", name, why)
}

// blank tells whether a value says nothing: what the originals have when nobody says something else.
func blank(v jsontext.Value) bool {
	switch strings.TrimSpace(string(v)) {
	case "", "null", "false", "0", `""`, "[]", "{}", `"0"`, `"0s"`, `"false"`:
		return true
	}
	return false
}

// refuse refuses fields that are there with a value.
func (f fields) refuse(why string, names ...string) error {
	for _, name := range names {
		if !blank(f[name]) {
			return unheld(name, why)
		}
	}
	return nil
}

// unrecognized warns, as the originals do, of fields that nobody looks at.
func (f fields) unrecognized(known ...[]string) []string {
	var odd []string
	for _, name := range slices.Sorted(maps.Keys(f)) {
		if !slices.ContainsFunc(known, func(all []string) bool { return slices.Contains(all, name) }) {
			odd = append(odd, name)
		}
	}
	if len(odd) == 0 {
		return nil
	}
	if slices.ContainsFunc(odd, func(name string) bool { return len(name) > 64 || strings.Trim(name, fieldLetters) != "" }) {
		return []string{"Endpoint ignored unrecognized parameters"}
	}
	return []string{"Endpoint ignored these unrecognized parameters: [" + strings.Join(odd, " ") + "]"}
}

const fieldLetters = "abcdefghijklmnopqrstuvwxyz0123456789_-"

// written answers a write: nothing, or what is worth telling.
func written(warnings []string) *reply { return &reply{warnings: warnings} }

// setTime, setCount and setList put a field where it is kept, when it is there.
func (f fields) setTime(name string, to *int64) error {
	if !f.has(name) {
		return nil
	}
	d, err := f.duration(name)
	if err == nil && d < 0 {
		err = wrong(name, "no negative time")
	}
	*to = d.Milliseconds()
	return err
}

func (f fields) setCount(name string, to *int64) (err error) {
	if f.has(name) {
		*to, err = f.integer(name)
	}
	return err
}

func (f fields) setList(name string, to *[]string) (err error) {
	if f.has(name) {
		*to, err = f.list(name)
	}
	return err
}

// tokens puts what a write says of the tokens of a role into the role.
func (f fields) tokens(r *access.AuthRole) error {
	set := &r.Settings
	for name, to := range map[string]*int64{"token_ttl": &set.TTL, "token_max_ttl": &set.MaxTTL, "token_explicit_max_ttl": &set.LongestTTL, "token_period": &set.Period} {
		if err := f.setTime(name, to); err != nil {
			return err
		}
	}
	if err := f.setCount("token_num_uses", &r.Uses); err != nil {
		return err
	}
	if err := f.setList("token_policies", &r.Policies); err != nil {
		return err
	}
	if f.has("token_policies") {
		set.Default = slices.Contains(r.Policies, access.DefaultPolicy)
	}
	if err := f.setList("token_bound_cidrs", &r.Networks); err != nil {
		return err
	}
	if err := f.refuse("every token may look itself up, renew and revoke itself", "token_no_default_policy"); err != nil {
		return err
	}
	if err := f.refuse("name the address in token_bound_cidrs", "token_strictly_bind_ip"); err != nil {
		return err
	}
	if err := f.refuse("there are no aliases", "alias_metadata"); err != nil {
		return err
	}
	if !f.has("token_type") {
		return nil
	}
	kind, err := f.text("token_type")
	if err != nil {
		return err
	}
	switch kind {
	case "", "default", "default-service", "service":
		set.TokenType = "" // all the same
	case "batch", "default-batch":
		set.TokenType = typeBatch
	default:
		return bad("invalid 'token_type' value")
	}
	return nil
}

// shownTokens gives what a role says of its tokens as a read shows it.
func shownTokens(r access.AuthRole) map[string]any {
	set := r.Settings
	kind := set.TokenType
	if kind == "" {
		kind = "default"
	}
	return map[string]any{
		"token_ttl": seconds(set.TTL), "token_max_ttl": seconds(set.MaxTTL), "token_explicit_max_ttl": seconds(set.LongestTTL), "token_period": seconds(set.Period),
		"token_policies": withDefault(r), "token_bound_cidrs": list(r.Networks), "token_num_uses": r.Uses, "token_type": kind, "token_no_default_policy": false,
	}
}

// withDefault gives the policies as they were written: the default one is always had, and shown when somebody has named it.
func withDefault(r access.AuthRole) []string {
	out := list(r.Policies)
	if r.Settings.Default && !slices.Contains(out, access.DefaultPolicy) {
		out = sorted(append(slices.Clone(out), access.DefaultPolicy))
	}
	return out
}

func seconds(ms int64) int64 { return ms / int64(time.Second/time.Millisecond) }

// list shows no items as an empty list.
func list(items []string) []string {
	if items == nil {
		return []string{}
	}
	return items
}

// kept is a field of a configuration or of a login method that is stored as it was written and shown again.
type kept struct {
	name string
	// like is the value when nobody says anything: its type is the type of the field.
	like any
}

// read gives the canonical JSON of a field.
func (k kept) read(f fields) (string, error) {
	var v any
	var err error
	switch k.like.(type) {
	case string:
		v, err = f.text(k.name)
	case bool:
		v, err = f.boolean(k.name, k.like.(bool))
	case int64:
		var d time.Duration
		d, err = f.duration(k.name)
		v = int64(d / time.Second)
	case []string:
		v, err = f.list(k.name)
	case map[string]string:
		v, err = f.texts(k.name)
	case map[string]any: // an object whose values are texts or lists of texts
		var out map[string]any
		out, err = f.lists(k.name)
		v = out
	}
	if err != nil {
		return "", err
	}
	raw, err := json.Marshal(v, json.Deterministic(true))
	return string(raw), err
}

// lists gives an object whose values are texts or lists of texts, as they are written.
func (f fields) lists(name string) (map[string]any, error) {
	if !f.has(name) {
		return map[string]any{}, nil
	}
	var raw map[string]jsontext.Value
	if err := json.Unmarshal(f[name], &raw); err != nil {
		return nil, wrong(name, "an object of texts or lists")
	}
	out := map[string]any{}
	for k, v := range raw {
		var err error
		if v.Kind() == '[' {
			out[k], err = fields{k: v}.list(k)
		} else {
			out[k], err = fields{k: v}.text(k)
		}
		if err != nil {
			return nil, wrong(name, "an object of texts or lists")
		}
	}
	return out, nil
}

// store puts the fields that are there into what is kept.
func store(all []kept, f fields, to *map[string]string) error {
	if *to == nil {
		*to = map[string]string{}
	}
	for _, k := range all {
		if !f.has(k.name) {
			continue
		}
		text, err := k.read(f)
		if err != nil {
			return err
		}
		(*to)[k.name] = text
	}
	return nil
}

// shownKept gives all fields, those that nobody wrote with their defaults.
func shownKept(all []kept, from map[string]string, into map[string]any) map[string]any {
	for _, k := range all {
		into[k.name] = k.like
		if text, ok := from[k.name]; ok {
			into[k.name] = jsontext.Value(text)
		}
	}
	return into
}

// of gives what is kept as fields again, so that they are read in one way.
func of(from map[string]string) fields {
	out := fields{}
	for name, text := range from {
		out[name] = jsontext.Value(text)
	}
	return out
}

func namesOf(all []kept) []string {
	out := make([]string, 0, len(all))
	for _, k := range all {
		out = append(out, k.name)
	}
	return out
}
