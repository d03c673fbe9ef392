// Command vault drives the official Go client of the Vault family against a server and tells of each operation whether it did
// what it does with the original. The address and a token with all rights come from VAULT_ADDR and VAULT_TOKEN.
//
// The same text is compiled against OpenBao's fork of the library, with the import replaced.
package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"time"

	vault "github.com/hashicorp/vault/api"
)

var ctx = context.Background()

// run does one operation and prints a line about it: name, tab, "ok" or what was wrong.
func run(name string, do func() error) {
	result := "ok"
	if err := do(); err != nil {
		result = strings.Join(strings.Fields(err.Error()), " ")
	}
	fmt.Printf("%s\t%s\n", name, result)
}

func want(got, want any) error {
	if !reflect.DeepEqual(got, want) {
		return fmt.Errorf("got %v, want %v", got, want)
	}
	return nil
}

// refused wants an error of a status with some words.
func refused(err error, status int, words string) error {
	var r *vault.ResponseError
	if !errors.As(err, &r) {
		return fmt.Errorf("want status %d, got %v", status, err)
	}
	if r.StatusCode != status || !strings.Contains(strings.Join(r.Errors, " "), words) {
		return fmt.Errorf("want status %d and %q, got %v", status, words, err)
	}
	return nil
}

type client struct{ *vault.Client }

// as gives a client with another token.
func (c client) as(token string) client {
	other, err := c.Clone()
	if err != nil {
		panic(err)
	}
	other.SetToken(token)
	return client{other}
}

func main() {
	base, err := vault.NewClient(vault.DefaultConfig())
	if err != nil {
		fmt.Println("make a client\t" + err.Error())
		os.Exit(1)
	}
	c := client{base}
	c.SetMaxRetries(0)
	c.system()
	c.kv2()
	c.kv1()
	c.tokens()
	c.policies()
	c.approle()
	c.userpass()
	c.wrapping()
	c.small()
	if os.Getenv("WITH_TRANSIT") != "" {
		c.transit()
	}
}

func (c client) system() {
	run("sys/health", func() error {
		h, err := c.Sys().Health()
		if err != nil {
			return err
		}
		return want([]bool{h.Initialized, h.Sealed, h.Standby}, []bool{true, false, false})
	})
	run("sys/seal-status", func() error {
		s, err := c.Sys().SealStatus()
		if err != nil {
			return err
		}
		return want(s.Sealed, false)
	})
	run("sys/init", func() error {
		ok, err := c.Sys().InitStatus()
		if err != nil {
			return err
		}
		return want(ok, true)
	})
	run("sys/leader", func() error { _, err := c.Sys().Leader(); return err })
	run("mount kv-v2", func() error {
		return c.Sys().Mount("secret", &vault.MountInput{Type: "kv", Description: "of the test", Options: map[string]string{"version": "2"}})
	})
	run("mount kv-v1", func() error {
		return c.Sys().Mount("legacy", &vault.MountInput{Type: "kv", Options: map[string]string{"version": "1"}})
	})
	run("mount a taken path", func() error {
		return refused(c.Sys().Mount("secret", &vault.MountInput{Type: "kv"}), 400, "path is already in use")
	})
	run("list mounts", func() error {
		all, err := c.Sys().ListMounts()
		if err != nil {
			return err
		}
		m := all["secret/"]
		if m == nil {
			return errors.New("secret/ is not there")
		}
		return want([]string{m.Type, m.Options["version"], m.Description}, []string{"kv", "2", "of the test"})
	})
	run("list auth methods", func() error {
		all, err := c.Sys().ListAuth()
		if err != nil {
			return err
		}
		return want(all["token/"] != nil, true)
	})
	run("mount preflight", func() error {
		s, err := c.Logical().Read("sys/internal/ui/mounts/secret/app")
		if err != nil {
			return err
		}
		return want([]any{s.Data["path"], s.Data["type"], s.Data["options"].(map[string]any)["version"]}, []any{"secret/", "kv", "2"})
	})
}

func (c client) kv2() {
	kv := c.KVv2("secret")
	number := json.Number("12345678901234567")
	first := map[string]any{"password": "test-value one", "port": json.Number("5432"), "big": number, "nested": map[string]any{"on": true, "list": []any{"a", json.Number("1.50")}}, "none": nil}
	run("kv2 put", func() error {
		s, err := kv.Put(ctx, "app", first)
		if err != nil {
			return err
		}
		return want(s.VersionMetadata.Version, 1)
	})
	run("kv2 get keeps JSON types", func() error {
		s, err := kv.Get(ctx, "app")
		if err != nil {
			return err
		}
		return want(s.Data, first)
	})
	run("kv2 put with cas", func() error {
		s, err := kv.Put(ctx, "app", map[string]any{"password": "test-value two"}, vault.WithCheckAndSet(1))
		if err != nil {
			return err
		}
		return want(s.VersionMetadata.Version, 2)
	})
	run("kv2 cas conflict", func() error {
		_, err := kv.Put(ctx, "app", map[string]any{"password": "x"}, vault.WithCheckAndSet(1))
		return refused(err, 400, "check-and-set parameter did not match the current version")
	})
	run("kv2 get an old version", func() error {
		s, err := kv.GetVersion(ctx, "app", 1)
		if err != nil {
			return err
		}
		return want([]any{s.Data["password"], s.VersionMetadata.Version}, []any{"test-value one", 1})
	})
	run("kv2 patch", func() error {
		s, err := kv.Patch(ctx, "app", map[string]any{"user": "app"})
		if err != nil {
			return err
		}
		now, err := kv.Get(ctx, "app")
		if err != nil {
			return err
		}
		return errors.Join(want(s.VersionMetadata.Version, 3), want(now.Data, map[string]any{"password": "test-value two", "user": "app"}))
	})
	run("kv2 patch by read and write", func() error {
		_, err := kv.Patch(ctx, "app", map[string]any{"host": "db"}, vault.WithMergeMethod(vault.KVMergeMethodReadWrite))
		if err != nil {
			return err
		}
		now, err := kv.Get(ctx, "app")
		if err != nil {
			return err
		}
		return want([]any{now.VersionMetadata.Version, len(now.Data)}, []any{4, 3})
	})
	run("kv2 metadata", func() error {
		if err := kv.PutMetadata(ctx, "app", vault.KVMetadataPutInput{MaxVersions: 7, CustomMetadata: map[string]any{"team": "core"}}); err != nil {
			return err
		}
		m, err := kv.GetMetadata(ctx, "app")
		if err != nil {
			return err
		}
		return want([]any{m.CurrentVersion, m.MaxVersions, m.CustomMetadata["team"], len(m.Versions)}, []any{4, 7, "core", 4})
	})
	run("kv2 patch metadata", func() error {
		required := true
		if err := kv.PatchMetadata(ctx, "app", vault.KVMetadataPatchInput{CASRequired: &required, CustomMetadata: map[string]any{"owner": "ops"}}); err != nil {
			return err
		}
		m, err := kv.GetMetadata(ctx, "app")
		if err != nil {
			return err
		}
		return want([]any{m.CASRequired, m.CustomMetadata["owner"], m.CustomMetadata["team"], m.MaxVersions}, []any{true, "ops", "core", 7})
	})
	run("kv2 cas required", func() error {
		_, err := kv.Put(ctx, "app", map[string]any{"password": "x"})
		return errors.Join(refused(err, 400, "check-and-set parameter required for this call"), kv.PatchMetadata(ctx, "app", vault.KVMetadataPatchInput{CASRequired: new(bool)}))
	})
	run("kv2 delete and undelete", func() error {
		if err := kv.Delete(ctx, "app"); err != nil {
			return err
		}
		s, err := c.Logical().Read("secret/data/app")
		if err != nil || s == nil || s.Data["data"] != nil {
			return fmt.Errorf("a deleted version reads as %v, %v", s, err)
		}
		if err := kv.Undelete(ctx, "app", []int{4}); err != nil {
			return err
		}
		now, err := kv.Get(ctx, "app")
		if err != nil {
			return err
		}
		return want(now.VersionMetadata.Version, 4)
	})
	run("kv2 delete versions", func() error {
		if err := kv.DeleteVersions(ctx, "app", []int{2, 3}); err != nil {
			return err
		}
		all, err := kv.GetVersionsAsList(ctx, "app")
		if err != nil {
			return err
		}
		gone := []bool{}
		for _, v := range all {
			gone = append(gone, !v.DeletionTime.IsZero())
		}
		return want(gone, []bool{false, true, true, false})
	})
	run("kv2 destroy", func() error {
		if err := kv.Destroy(ctx, "app", []int{1}); err != nil {
			return err
		}
		s, err := kv.GetVersion(ctx, "app", 1)
		if err != nil {
			return err
		}
		return want([]any{s.Data == nil, s.VersionMetadata.Destroyed}, []any{true, true})
	})
	run("kv2 rollback", func() error {
		if err := kv.Undelete(ctx, "app", []int{2}); err != nil {
			return err
		}
		s, err := kv.Rollback(ctx, "app", 2)
		if err != nil {
			return err
		}
		now, err := kv.Get(ctx, "app")
		if err != nil {
			return err
		}
		return errors.Join(want(s.VersionMetadata.Version, 5), want(now.Data, map[string]any{"password": "test-value two"}))
	})
	run("kv2 list", func() error {
		if _, err := kv.Put(ctx, "team/db", map[string]any{"a": "test-value"}); err != nil {
			return err
		}
		if _, err := kv.Put(ctx, "team", map[string]any{"b": "test-value"}); err != nil {
			return err
		}
		s, err := c.Logical().List("secret/metadata")
		if err != nil {
			return err
		}
		return want(s.Data["keys"], []any{"app", "team", "team/"})
	})
	run("kv2 list of nothing", func() error {
		s, err := c.Logical().List("secret/metadata/nowhere")
		return errors.Join(err, want(s == nil, true))
	})
	run("kv2 get of nothing", func() error {
		_, err := kv.Get(ctx, "nowhere")
		return want(errors.Is(err, vault.ErrSecretNotFound), true)
	})
	run("kv2 subkeys", func() error {
		if _, err := kv.Put(ctx, "deep", map[string]any{"o": map[string]any{"b": "test-value"}, "s": "x"}); err != nil {
			return err
		}
		s, err := c.Logical().Read("secret/subkeys/deep")
		if err != nil {
			return err
		}
		return want(s.Data["subkeys"], map[string]any{"o": map[string]any{"b": nil}, "s": nil})
	})
	run("kv2 max versions", func() error {
		for range 12 {
			if _, err := kv.Put(ctx, "many", map[string]any{"n": "test-value"}); err != nil {
				return err
			}
		}
		m, err := kv.GetMetadata(ctx, "many")
		if err != nil {
			return err
		}
		return want([]any{m.CurrentVersion, m.OldestVersion, len(m.Versions)}, []any{12, 3, 10})
	})
	run("kv2 delete with time", func() error {
		if err := kv.PutMetadata(ctx, "timed", vault.KVMetadataPutInput{DeleteVersionAfter: 3 * time.Hour}); err != nil {
			return err
		}
		s, err := kv.Put(ctx, "timed", map[string]any{"n": "test-value"})
		if err != nil {
			return err
		}
		got := s.VersionMetadata.DeletionTime.Sub(s.VersionMetadata.CreatedTime)
		if _, err := kv.Get(ctx, "timed"); err != nil {
			return err
		}
		return want(got.Round(time.Second), 3*time.Hour)
	})
	run("kv2 delete metadata", func() error {
		if err := kv.DeleteMetadata(ctx, "app"); err != nil {
			return err
		}
		s, err := kv.Put(ctx, "app", map[string]any{"password": "test-value"})
		if err != nil {
			return err
		}
		return want(s.VersionMetadata.Version, 1)
	})
	run("kv2 engine settings", func() error {
		if _, err := c.Logical().Write("secret/config", map[string]any{"max_versions": "15"}); err != nil {
			return err
		}
		s, err := c.Logical().Read("secret/config")
		if err != nil {
			return err
		}
		return want([]any{s.Data["max_versions"], s.Data["cas_required"], s.Data["delete_version_after"]}, []any{json.Number("15"), false, "0s"})
	})
}

func (c client) kv1() {
	kv := c.KVv1("legacy")
	run("kv1 put and get", func() error {
		if err := kv.Put(ctx, "app/db", map[string]any{"password": "test-value", "port": 5432}); err != nil {
			return err
		}
		s, err := kv.Get(ctx, "app/db")
		if err != nil {
			return err
		}
		return want(s.Data, map[string]any{"password": "test-value", "port": json.Number("5432")})
	})
	run("kv1 list", func() error {
		s, err := c.Logical().List("legacy/app")
		if err != nil {
			return err
		}
		return want(s.Data["keys"], []any{"db"})
	})
	run("kv1 delete", func() error {
		if err := kv.Delete(ctx, "app/db"); err != nil {
			return err
		}
		_, err := kv.Get(ctx, "app/db")
		return want(errors.Is(err, vault.ErrSecretNotFound), true)
	})
}

func (c client) tokens() {
	run("token lookup-self", func() error {
		s, err := c.Auth().Token().LookupSelf()
		if err != nil {
			return err
		}
		for _, key := range []string{"accessor", "creation_time", "creation_ttl", "display_name", "entity_id", "expire_time", "explicit_max_ttl", "id", "meta", "num_uses", "orphan", "path", "policies", "ttl", "type"} {
			if _, ok := s.Data[key]; !ok {
				return fmt.Errorf("%s is not there", key)
			}
		}
		return nil
	})
	var child *vault.Secret
	run("token create", func() (err error) {
		child, err = c.Auth().Token().Create(&vault.TokenCreateRequest{TTL: "1h", DisplayName: "child", Metadata: map[string]string{"for": "test"}})
		if err != nil {
			return err
		}
		s, err := c.as(child.Auth.ClientToken).Auth().Token().LookupSelf()
		if err != nil {
			return err
		}
		return want([]any{s.Data["display_name"], s.Data["meta"], s.Data["orphan"], s.Data["type"], child.Auth.Renewable}, []any{"token-child", map[string]any{"for": "test"}, false, "service", true})
	})
	if child == nil {
		return
	}
	run("token renew-self", func() error {
		s, err := c.as(child.Auth.ClientToken).Auth().Token().RenewSelf(1800)
		if err != nil {
			return err
		}
		return want([]any{s.Auth.ClientToken == child.Auth.ClientToken, s.Auth.LeaseDuration}, []any{true, 1800})
	})
	run("token lookup by accessor", func() error {
		s, err := c.Auth().Token().LookupAccessor(child.Auth.Accessor)
		if err != nil {
			return err
		}
		return want([]any{s.Data["id"], s.Data["display_name"]}, []any{"", "token-child"})
	})
	run("token revoke ends children", func() error {
		grand, err := c.as(child.Auth.ClientToken).Auth().Token().Create(&vault.TokenCreateRequest{TTL: "10m"})
		if err != nil {
			return err
		}
		if err := c.Auth().Token().RevokeTree(child.Auth.ClientToken); err != nil {
			return err
		}
		_, err = c.as(grand.Auth.ClientToken).Auth().Token().LookupSelf()
		return refused(err, 403, "permission denied")
	})
	run("token orphan", func() error {
		s, err := c.Auth().Token().CreateOrphan(&vault.TokenCreateRequest{TTL: "10m"})
		if err != nil {
			return err
		}
		return errors.Join(want(s.Auth.Orphan, true), c.Auth().Token().RevokeAccessor(s.Auth.Accessor))
	})
	run("token periodic", func() error {
		s, err := c.Auth().Token().Create(&vault.TokenCreateRequest{Period: "20m"})
		if err != nil {
			return err
		}
		r, err := c.as(s.Auth.ClientToken).Auth().Token().RenewSelf(10)
		if err != nil {
			return err
		}
		return want(r.Auth.LeaseDuration, 1200)
	})
	run("token use limit", func() error {
		s, err := c.Auth().Token().Create(&vault.TokenCreateRequest{TTL: "10m", NumUses: 2})
		if err != nil {
			return err
		}
		limited := c.as(s.Auth.ClientToken)
		for range 2 {
			if _, err := limited.Auth().Token().LookupSelf(); err != nil {
				return err
			}
		}
		_, err = limited.Auth().Token().LookupSelf()
		return refused(err, 403, "permission denied")
	})
	run("token batch", func() error {
		s, err := c.Auth().Token().Create(&vault.TokenCreateRequest{Type: "batch", TTL: "10m", Policies: []string{"default"}})
		if err != nil {
			return err
		}
		return want([]any{s.Auth.Accessor, s.Auth.Renewable}, []any{"", false})
	})
	run("token unknown", func() error {
		_, err := c.as("hvs.nobody").Auth().Token().LookupSelf()
		return refused(err, 403, "permission denied")
	})
	run("lifetime watcher", func() error {
		s, err := c.Auth().Token().Create(&vault.TokenCreateRequest{TTL: "3s", ExplicitMaxTTL: "1h"})
		if err != nil {
			return err
		}
		w, err := c.as(s.Auth.ClientToken).NewLifetimeWatcher(&vault.LifetimeWatcherInput{Secret: s, Increment: 3})
		if err != nil {
			return err
		}
		go w.Start()
		defer w.Stop()
		for range 2 {
			select {
			case r := <-w.RenewCh():
				if r.Secret.Auth.ClientToken != s.Auth.ClientToken {
					return errors.New("another token came back")
				}
			case err := <-w.DoneCh():
				return fmt.Errorf("it ended: %v", err)
			case <-time.After(20 * time.Second):
				return errors.New("no renewal")
			}
		}
		return nil
	})
}

const appPolicy = `
# What an application needs.
path "secret/data/app" {
  capabilities = ["read"]
}
path "secret/metadata/*" {
  capabilities = ["list"]
}
`

func (c client) policies() {
	run("policy write and read", func() error {
		if err := c.Sys().PutPolicy("app-read", appPolicy); err != nil {
			return err
		}
		text, err := c.Sys().GetPolicy("app-read")
		if err != nil {
			return err
		}
		return want(text, appPolicy)
	})
	run("policy list", func() error {
		all, err := c.Sys().ListPolicies()
		if err != nil {
			return err
		}
		return want([]bool{strings.Contains(strings.Join(all, " "), "app-read"), strings.Contains(strings.Join(all, " "), "default")}, []bool{true, true})
	})
	run("policy with an error", func() error {
		return refused(c.Sys().PutPolicy("broken", `path "secret/*" { capabilities = ["fly"] }`), 400, "")
	})
	run("policy narrows a token", func() error {
		s, err := c.Auth().Token().Create(&vault.TokenCreateRequest{Policies: []string{"app-read"}, TTL: "10m"})
		if err != nil {
			return err
		}
		if err := want(s.Auth.TokenPolicies, []string{"app-read", "default"}); err != nil {
			return err
		}
		app := c.as(s.Auth.ClientToken)
		if _, err := app.KVv2("secret").Get(ctx, "app"); err != nil {
			return err
		}
		if l, err := app.Logical().List("secret/metadata"); err != nil || l == nil {
			return fmt.Errorf("list: %v, %v", l, err)
		}
		_, err = app.KVv2("secret").Put(ctx, "app", map[string]any{"x": "y"})
		if err := refused(err, 403, "permission denied"); err != nil {
			return err
		}
		_, err = app.Logical().Read("secret/data/deep")
		return refused(err, 403, "permission denied")
	})
	run("capabilities-self", func() error {
		s, err := c.Auth().Token().Create(&vault.TokenCreateRequest{Policies: []string{"app-read"}, TTL: "10m"})
		if err != nil {
			return err
		}
		app := c.as(s.Auth.ClientToken)
		a, err := app.Sys().CapabilitiesSelf("secret/data/app")
		if err != nil {
			return err
		}
		b, err := app.Sys().CapabilitiesSelf("secret/data/other")
		if err != nil {
			return err
		}
		r, err := c.Sys().CapabilitiesSelf("secret/data/app")
		if err != nil {
			return err
		}
		return want([][]string{a, b, r}, [][]string{{"read"}, {"deny"}, {"root"}})
	})
	run("policy delete", func() error {
		if err := c.Sys().PutPolicy("short-lived", appPolicy); err != nil {
			return err
		}
		if err := c.Sys().DeletePolicy("short-lived"); err != nil {
			return err
		}
		text, err := c.Sys().GetPolicy("short-lived")
		return errors.Join(err, want(text, ""))
	})
}

func (c client) approle() {
	run("auth enable approle", func() error {
		return c.Sys().EnableAuthWithOptions("approle", &vault.EnableAuthOptions{Type: "approle"})
	})
	var roleID, secretID string
	run("approle role", func() error {
		if _, err := c.Logical().Write("auth/approle/role/app", map[string]any{"token_policies": "app-read", "token_ttl": "20m", "token_max_ttl": "1h", "secret_id_ttl": "30m", "secret_id_num_uses": 5}); err != nil {
			return err
		}
		s, err := c.Logical().Read("auth/approle/role/app")
		if err != nil {
			return err
		}
		if err := want([]any{s.Data["token_policies"], s.Data["token_ttl"], s.Data["token_max_ttl"], s.Data["secret_id_num_uses"]}, []any{[]any{"app-read"}, json.Number("1200"), json.Number("3600"), json.Number("5")}); err != nil {
			return err
		}
		s, err = c.Logical().Read("auth/approle/role/app/role-id")
		if err != nil {
			return err
		}
		roleID, _ = s.Data["role_id"].(string)
		s, err = c.Logical().Write("auth/approle/role/app/secret-id", map[string]any{"metadata": `{"host":"one"}`})
		if err != nil {
			return err
		}
		secretID, _ = s.Data["secret_id"].(string)
		return want(roleID != "" && secretID != "", true)
	})
	run("approle login", func() error {
		s, err := c.as("").Logical().Write("auth/approle/login", map[string]any{"role_id": roleID, "secret_id": secretID})
		if err != nil {
			return err
		}
		if err := want([]any{s.Auth.TokenPolicies, s.Auth.LeaseDuration, s.Auth.Renewable, s.Auth.Metadata["role_name"]}, []any{[]string{"app-read", "default"}, 1200, true, "app"}); err != nil {
			return err
		}
		_, err = c.as(s.Auth.ClientToken).KVv2("secret").Get(ctx, "app")
		return err
	})
	run("approle wrong secret", func() error {
		_, err := c.as("").Logical().Write("auth/approle/login", map[string]any{"role_id": roleID, "secret_id": "test-value"})
		return refused(err, 400, "invalid role or secret ID")
	})
	run("approle wrapped secret id", func() error {
		admin := c.as(c.Token())
		admin.SetWrappingLookupFunc(func(string, string) string { return "5m" })
		s, err := admin.Logical().Write("auth/approle/role/app/secret-id", nil)
		if err != nil {
			return err
		}
		if s.WrapInfo == nil {
			return errors.New("it is not wrapped")
		}
		if err := want(s.WrapInfo.CreationPath, "auth/approle/role/app/secret-id"); err != nil {
			return err
		}
		inner, err := c.as("").Logical().Unwrap(s.WrapInfo.Token)
		if err != nil {
			return err
		}
		_, err = c.as("").Logical().Write("auth/approle/login", map[string]any{"role_id": roleID, "secret_id": inner.Data["secret_id"]})
		return err
	})
	run("approle list and destroy", func() error {
		s, err := c.Logical().List("auth/approle/role")
		if err != nil {
			return err
		}
		if err := want(s.Data["keys"], []any{"app"}); err != nil {
			return err
		}
		if _, err := c.Logical().Write("auth/approle/role/app/secret-id/destroy", map[string]any{"secret_id": secretID}); err != nil {
			return err
		}
		_, err = c.as("").Logical().Write("auth/approle/login", map[string]any{"role_id": roleID, "secret_id": secretID})
		return refused(err, 400, "invalid role or secret ID")
	})
}

func (c client) userpass() {
	person := os.Getenv("PERSON")
	run("auth enable userpass", func() error {
		return c.Sys().EnableAuthWithOptions("userpass", &vault.EnableAuthOptions{Type: "userpass"})
	})
	run("userpass login", func() error {
		const password = "a long test-value of a person"
		if _, err := c.Logical().Write("auth/userpass/users/"+person, map[string]any{"password": password}); err != nil {
			return err
		}
		s, err := c.as("").Logical().Write("auth/userpass/login/"+person, map[string]any{"password": password})
		if err != nil {
			return err
		}
		if err := want(s.Auth.Metadata["username"], person); err != nil {
			return err
		}
		_, err = c.as("").Logical().Write("auth/userpass/login/"+person, map[string]any{"password": "test-value"})
		return refused(err, 400, "invalid username or password")
	})
}

func (c client) wrapping() {
	run("wrap and unwrap", func() error {
		wrapped := c.as(c.Token())
		wrapped.SetWrappingLookupFunc(func(string, string) string { return "60s" })
		s, err := wrapped.Logical().Read("secret/data/app")
		if err != nil {
			return err
		}
		if s.WrapInfo == nil || s.WrapInfo.TTL != 60 || s.Data != nil {
			return fmt.Errorf("it is not wrapped: %v", s)
		}
		look, err := c.Logical().Write("sys/wrapping/lookup", map[string]any{"token": s.WrapInfo.Token})
		if err != nil {
			return err
		}
		if err := want(look.Data["creation_path"], "secret/data/app"); err != nil {
			return err
		}
		inner, err := c.Logical().Unwrap(s.WrapInfo.Token)
		if err != nil {
			return err
		}
		if err := want(inner.Data["data"], map[string]any{"password": "test-value"}); err != nil {
			return err
		}
		_, err = c.Logical().Unwrap(s.WrapInfo.Token)
		return refused(err, 400, "wrapping token is not valid or does not exist")
	})
	run("rewrap", func() error {
		s, err := c.Logical().Write("sys/wrapping/wrap", map[string]any{"x": "test-value"})
		if err != nil {
			return err
		}
		if s.WrapInfo == nil {
			return errors.New("it is not wrapped")
		}
		again, err := c.Logical().Write("sys/wrapping/rewrap", map[string]any{"token": s.WrapInfo.Token})
		if err != nil {
			return err
		}
		inner, err := c.Logical().Unwrap(again.WrapInfo.Token)
		if err != nil {
			return err
		}
		return want(inner.Data, map[string]any{"x": "test-value"})
	})
}

func (c client) small() {
	run("cubbyhole", func() error {
		if _, err := c.Logical().Write("cubbyhole/mine", map[string]any{"x": "test-value"}); err != nil {
			return err
		}
		s, err := c.Logical().Read("cubbyhole/mine")
		if err != nil {
			return err
		}
		if err := want(s.Data, map[string]any{"x": "test-value"}); err != nil {
			return err
		}
		other, err := c.Auth().Token().Create(&vault.TokenCreateRequest{TTL: "10m"})
		if err != nil {
			return err
		}
		s, err = c.as(other.Auth.ClientToken).Logical().Read("cubbyhole/mine")
		return errors.Join(err, want(s == nil, true))
	})
	run("leases: unknown", func() error {
		_, err := c.Sys().Renew("database/creds/x/nothing", 60)
		return refused(err, 400, "lease not found")
	})
	run("leases: revoke prefix", func() error { return c.Sys().RevokePrefix("database/creds/x") })
	run("tools: random", func() error {
		s, err := c.Logical().Write("sys/tools/random/16", nil)
		if err != nil {
			return err
		}
		text, _ := s.Data["random_bytes"].(string)
		raw, err := base64.StdEncoding.DecodeString(text)
		return errors.Join(err, want(len(raw), 16))
	})
	run("tools: hash", func() error {
		s, err := c.Logical().Write("sys/tools/hash/sha2-256", map[string]any{"input": base64.StdEncoding.EncodeToString([]byte("abc"))})
		if err != nil {
			return err
		}
		return want(s.Data["sum"], "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
	})
	run("audit devices", func() error { _, err := c.Sys().ListAudit(); return err })
	run("key status", func() error { _, err := c.Sys().KeyStatus(); return err })
	run("unmount", func() error { return c.Sys().Unmount("legacy") })
	run("no such route", func() error {
		s, err := c.Logical().Read("nowhere/data/x")
		return errors.Join(err, want(s == nil, true))
	})
}

func (c client) transit() {
	b64 := base64.StdEncoding.EncodeToString
	var sealed string
	run("transit encrypt and decrypt", func() error {
		if _, err := c.Logical().Write("transit/keys/app", nil); err != nil {
			return err
		}
		s, err := c.Logical().Write("transit/encrypt/app", map[string]any{"plaintext": b64([]byte("test-value"))})
		if err != nil {
			return err
		}
		sealed, _ = s.Data["ciphertext"].(string)
		s, err = c.Logical().Write("transit/decrypt/app", map[string]any{"ciphertext": sealed})
		if err != nil {
			return err
		}
		return want(s.Data["plaintext"], b64([]byte("test-value")))
	})
	run("transit rotate and rewrap", func() error {
		if _, err := c.Logical().Write("transit/keys/app/rotate", nil); err != nil {
			return err
		}
		s, err := c.Logical().Write("transit/rewrap/app", map[string]any{"ciphertext": sealed})
		if err != nil {
			return err
		}
		text, _ := s.Data["ciphertext"].(string)
		return want(strings.HasPrefix(text, "vault:v2:"), true)
	})
	for _, kind := range []string{"ed25519", "ecdsa-p256", "rsa-2048"} {
		run("transit sign and verify "+kind, func() error {
			if _, err := c.Logical().Write("transit/keys/"+kind, map[string]any{"type": kind}); err != nil {
				return err
			}
			s, err := c.Logical().Write("transit/sign/"+kind, map[string]any{"input": b64([]byte("test-value"))})
			if err != nil {
				return err
			}
			s, err = c.Logical().Write("transit/verify/"+kind, map[string]any{"input": b64([]byte("test-value")), "signature": s.Data["signature"]})
			if err != nil {
				return err
			}
			return want(s.Data["valid"], true)
		})
	}
	run("transit hmac", func() error {
		s, err := c.Logical().Write("transit/hmac/app", map[string]any{"input": b64([]byte("test-value"))})
		if err != nil {
			return err
		}
		s, err = c.Logical().Write("transit/verify/app", map[string]any{"input": b64([]byte("test-value")), "hmac": s.Data["hmac"]})
		if err != nil {
			return err
		}
		return want(s.Data["valid"], true)
	})
	run("transit data key", func() error {
		s, err := c.Logical().Write("transit/datakey/plaintext/app", map[string]any{"bits": 256})
		if err != nil {
			return err
		}
		plain := s.Data["plaintext"]
		s, err = c.Logical().Write("transit/decrypt/app", map[string]any{"ciphertext": s.Data["ciphertext"]})
		if err != nil {
			return err
		}
		return want(s.Data["plaintext"], plain)
	})
}
