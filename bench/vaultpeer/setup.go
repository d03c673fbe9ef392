package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// benchPolicy lets a token read, write and list everything under secret/.
const benchPolicy = `path "secret/*" { capabilities = ["create", "read", "update", "delete", "list"] }`

// kvReadyFor bounds the wait for a fresh KV v2 mount, which refuses requests
// while it upgrades its storage in the background.
const kvReadyFor = 10 * time.Second

// setUp mounts what the benchmark needs and fills in the tokens of ready. The
// audit device comes first, so that every later request is in its file.
func setUp(ctx context.Context, ready *Ready) error {
	c := client{address: ready.Address, token: ready.RootToken}
	if ready.AuditFile != "" {
		if err := c.do(ctx, http.MethodPut, "sys/audit/file", map[string]any{
			"type":    "file",
			"options": map[string]string{"file_path": ready.AuditFile},
		}, nil); err != nil {
			return err
		}
	}
	steps := []struct {
		method, path string
		body         any
	}{
		{http.MethodPost, "sys/mounts/secret", map[string]any{"type": "kv", "options": map[string]string{"version": "2"}}},
		{http.MethodPut, "sys/policies/acl/bench", map[string]any{"policy": benchPolicy}},
		{http.MethodPost, "sys/auth/approle", map[string]any{"type": "approle"}},
		{http.MethodPost, "auth/approle/role/bench", map[string]any{"token_policies": []string{"bench"}}},
	}
	for _, s := range steps {
		if err := c.do(ctx, s.method, s.path, s.body, nil); err != nil {
			return err
		}
	}
	var err error
	if ready.DefaultToken, err = c.benchToken(ctx, false); err != nil {
		return err
	}
	if ready.NoDefaultToken, err = c.benchToken(ctx, true); err != nil {
		return err
	}
	var role struct {
		Data struct {
			RoleID string `json:"role_id"`
		}
	}
	if err := c.do(ctx, http.MethodGet, "auth/approle/role/bench/role-id", nil, &role); err != nil {
		return err
	}
	var secret struct {
		Data struct {
			SecretID string `json:"secret_id"`
		}
	}
	if err := c.do(ctx, http.MethodPost, "auth/approle/role/bench/secret-id", map[string]any{}, &secret); err != nil {
		return err
	}
	ready.RoleID, ready.SecretID = role.Data.RoleID, secret.Data.SecretID
	return c.waitForKV(ctx)
}

// waitForKV polls the KV v2 configuration until its storage upgrade is over.
func (c client) waitForKV(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, kvReadyFor)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := c.do(ctx, http.MethodPost, "secret/config", map[string]any{"max_versions": 10}, nil)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("kv v2 did not become ready: %w", err)
		case <-tick.C:
		}
	}
}

// client speaks to the core's own HTTP interface with one token.
type client struct{ address, token string }

// benchToken makes an orphan token for the bench policy, with or without Vault's
// templated "default" policy beside it.
func (c client) benchToken(ctx context.Context, noDefault bool) (string, error) {
	var made struct {
		Auth struct {
			ClientToken string `json:"client_token"`
		}
	}
	err := c.do(ctx, http.MethodPost, "auth/token/create-orphan", map[string]any{
		"policies":          []string{"bench"},
		"no_default_policy": noDefault,
		"ttl":               "720h",
	}, &made)
	return made.Auth.ClientToken, err
}

// do sends one request and decodes the answer into out unless out is nil.
func (c client) do(ctx context.Context, method, path string, body, out any) error {
	var payload io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		payload = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.address+"/v1/"+path, payload)
	if err != nil {
		return err
	}
	req.Header.Set("X-Vault-Token", c.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, bytes.TrimSpace(answer))
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(answer, out)
}
