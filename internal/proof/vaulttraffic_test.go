package proof

import "encoding/json"

// vaultTokens makes, wraps and keeps things in the way of Vault, and puts secrets where none belong.
func (tr *traffic) vaultTokens() {
	c := tr.c
	type object = map[string]any
	ask := func(may heard, token, method, path string, body any, header ...string) answer {
		tr.t.Helper()
		a := tr.site.raw("", method, "/v1/"+path, body, append([]string{"X-Vault-Token", token}, header...)...)
		if !a.ok() {
			tr.t.Fatalf("%s %s: %s", method, path, a)
		}
		c.answered(method+" /v1/"+path, a, may)
		return a
	}
	var out struct {
		Auth struct {
			ClientToken string `json:"client_token"`
		} `json:"auth"`
		WrapInfo struct {
			Token string `json:"token"`
		} `json:"wrap_info"`
	}
	read := func(a answer) {
		tr.t.Helper()
		if err := json.Unmarshal(a.body, &out); err != nil {
			tr.t.Fatal(err)
		}
	}
	read(ask("the token that was made", tr.token, "POST", "auth/token/create", object{"ttl": "1h"}))
	child := c.token("a child of a Vault token", out.Auth.ClientToken)
	ask("the caller's own token", child, "GET", "auth/token/lookup-self", nil)
	ask("the token that was renewed", child, "POST", "auth/token/renew-self", object{})
	ask("the token that was asked for", tr.token, "POST", "auth/token/lookup", object{"token": child})

	ask("", child, "POST", "cubbyhole/mine", object{"x": c.text("what a cubbyhole holds"), c.text("a name in a cubbyhole"): 1})
	ask("what the token keeps", child, "GET", "cubbyhole/mine", nil)
	ask("", child, "POST", "cubbyhole/mine", object{"x": c.text("what a cubbyhole holds in its place")})
	for _, name := range []string{"opened", "left", "wrapped anew"} {
		read(ask("a token that opens once", child, "POST", "sys/wrapping/wrap", object{"x": c.text("a wrapped answer that is " + name)}, "X-Vault-Wrap-TTL", "1h"))
		token := c.token("the token of a wrapped answer that is "+name, out.WrapInfo.Token)
		switch name {
		case "opened":
			ask("what was wrapped", child, "POST", "sys/wrapping/unwrap", object{"token": token})
		case "wrapped anew":
			read(ask("a token that opens once", child, "POST", "sys/wrapping/rewrap", object{"token": token}))
			c.token("the second token of a wrapped answer", out.WrapInfo.Token)
		}
	}
	read(ask("a token that opens once", tr.token, "POST", "auth/token/create", object{"ttl": "1h"}, "X-Vault-Wrap-TTL", "5m"))
	c.token("the token of a wrapped token", out.WrapInfo.Token)

	refused := func(what, path string, body any, header ...string) {
		tr.t.Helper()
		a := tr.site.raw("", "POST", "/v1/"+path, body, append([]string{"X-Vault-Token", tr.token}, header...)...)
		if a.ok() && path != "auth/token/revoke-accessor" {
			tr.t.Errorf("%s was let through", what)
		}
		c.answered(what, a, "")
	}
	for _, field := range []string{"ttl", "policies", "period", "num_uses", "type", "id", "entity_alias", "explicit_max_ttl", "renewable"} {
		refused("a secret in place of "+field, "auth/token/create", object{field: c.text("a secret in place of " + field)})
	}
	for _, op := range []string{"lookup", "renew", "revoke", "revoke-orphan"} {
		refused("a secret in place of a token to "+op, "auth/token/"+op, object{"token": c.text("a secret in place of a token to " + op)})
	}
	for _, op := range []string{"lookup", "renew", "revoke"} {
		refused("a secret in place of an accessor to "+op, "auth/token/"+op+"-accessor", object{"accessor": c.text("a secret in place of an accessor to " + op)})
	}
	refused("a secret in place of a wrapping token", "sys/wrapping/unwrap", object{"token": c.text("a secret in place of a wrapping token")})
	refused("a secret as a wrapping time", "sys/wrapping/wrap", object{}, "X-Vault-Wrap-TTL", c.text("a secret as a wrapping time"))
	refused("a secret as an algorithm", "sys/tools/hash", object{"algorithm": c.text("a secret as an algorithm")})
	refused("a secret as input that is no base64", "sys/tools/hash", object{"input": "!" + c.text("a secret as input that is no base64")})
	refused("a secret as a format", "sys/tools/random", object{"format": c.text("a secret as a format")})
	refused("a secret as a lease", "sys/leases/lookup", object{"lease_id": c.text("a secret as a lease")})
}
