package vault

import (
	"context"
	"encoding/base64"
	"strings"
	"unicode/utf8"
)

// sysPolicies answers the calls on ACL policies, in both spellings: sys/policies/acl, and the older sys/policy, whose text is
// called rules and whose answers are repeated beside the envelope.
func (s *Surface) sysPolicies(ctx context.Context, c *call, path string) (*reply, error) {
	old := false
	name, ok := strings.CutPrefix(path, "policies/acl")
	if !ok {
		name, old = strings.CutPrefix(path, "policy")
		if !old {
			return nil, nothing(c)
		}
	}
	if name != "" && name[0] != '/' {
		return nil, nothing(c)
	}
	name = strings.ToLower(strings.TrimPrefix(name, "/")) // as the original does
	switch {
	case name == "" && (c.verb == verbList || old && c.verb == verbRead):
		return s.listPolicies(ctx, old)
	case name == "":
		return nil, unsupported()
	case c.verb == verbRead:
		return s.readPolicy(ctx, name, old)
	case c.verb == verbWrite:
		text, err := policyText(c, old)
		if err == nil {
			err = s.Access.PutACLPolicy(ctx, s.Secrets, name, text)
		}
		return nil, err
	case c.verb == verbDelete:
		return nil, s.Access.DeleteACLPolicy(ctx, name)
	}
	return nil, unsupported()
}

func (s *Surface) listPolicies(ctx context.Context, old bool) (*reply, error) {
	names, err := s.Access.ACLPolicies(ctx)
	if err != nil {
		return nil, err
	}
	data := map[string][]string{"keys": names}
	if old {
		data["policies"] = names
	}
	return &reply{data: data, copies: old}, nil
}

func (s *Surface) readPolicy(ctx context.Context, name string, old bool) (*reply, error) {
	text, err := s.Access.ACLPolicy(ctx, name)
	if err != nil {
		return nil, err
	}
	word := "policy"
	if old {
		word = "rules"
	}
	return &reply{data: map[string]string{"name": name, word: text}, copies: old}, nil
}

// policyText gives the text of a write. It may be in base64, as the original takes it.
func policyText(c *call, old bool) (string, error) {
	text, err := c.fields.text("policy")
	if err == nil && text == "" && old {
		text, err = c.fields.text("rules")
	}
	if err != nil {
		return "", err
	}
	if plain, err := base64.StdEncoding.DecodeString(text); err == nil && len(plain) > 0 && utf8.Valid(plain) {
		text = string(plain)
	}
	return text, nil
}

// sysCapabilities tells what may be done on paths: by who asks, by who shows another token, or by the holder of an accessor.
func (s *Surface) sysCapabilities(ctx context.Context, c *call, path string) (*reply, error) {
	if c.verb != verbWrite {
		return nil, unsupported()
	}
	paths, err := c.fields.list("paths")
	if err == nil && len(paths) == 0 {
		paths, err = c.fields.list("path")
	}
	if err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		return nil, bad("missing path")
	}
	asked := make([]string, len(paths))
	for i, p := range paths {
		if asked[i] = c.full(p); c.prefix != "" && strings.HasPrefix(asked[i], typeTransit+"/") { // a project has keys of its own
			asked[i] = c.prefix + "/" + asked[i]
		}
	}
	token, err := c.fields.text("token")
	if err != nil {
		return nil, err
	}
	accessor, err := c.fields.text("accessor")
	if err != nil {
		return nil, err
	}
	var found map[string][]string
	switch {
	case path == "capabilities-self":
		found, err = s.Access.Capabilities(ctx, s.Secrets, asked)
	case path == "capabilities" && token == "":
		err = bad("missing token")
	case path == "capabilities":
		found, err = s.Access.CapabilitiesOf(ctx, s.Secrets, bareToken(token), "", asked)
	case path == "capabilities-accessor" && accessor == "":
		err = bad("missing accessor")
	case path == "capabilities-accessor":
		found, err = s.Access.CapabilitiesOf(ctx, s.Secrets, "", accessor, asked)
	default:
		err = nothing(c)
	}
	if err != nil {
		return nil, err
	}
	data := map[string][]string{}
	for i, p := range paths {
		data[p] = found[asked[i]]
	}
	if len(paths) == 1 {
		data["capabilities"] = found[asked[0]]
	}
	return &reply{data: data, copies: true}, nil
}
