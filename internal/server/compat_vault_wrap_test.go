package server_test

import (
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keyturn/keyturn/api"
)

const noWrapping = "wrapping token is not valid or does not exist"

// wrapped asks for something and gives where the answer lies.
func (v vaultUser) wrapped(t tb, ttl, method, path string, body any) vaultWrap {
	t.Helper()
	a := v.call(t, method, path, body, "X-Vault-Wrap-TTL", ttl).envelope(t)
	if a.WrapInfo == nil || a.Data != nil || a.Auth != nil || a.RequestID != "" {
		t.Fatalf("not wrapped: %s", a.Raw)
	}
	return *a.WrapInfo
}

func TestVaultAnswersAreHandedOverOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		e := w.project(t)
		v, nobody := w.vaultMachine(t, e.project, "developer"), w.asVault("")
		info := v.wrapped(t, "60s", "POST", "auth/token/create", `{"ttl":"10m"}`)
		if !strings.HasPrefix(info.Token, "ktw_") || info.TTL != 60 || info.CreationPath != "auth/token/create" || info.WrappedAccessor == "" || info.Accessor == info.WrappedAccessor {
			t.Errorf("%+v", info)
		}
		if at, err := time.Parse(time.RFC3339Nano, info.CreationTime); err != nil || time.Since(at) > time.Minute {
			t.Errorf("%+v", info)
		}
		look := nobody.call(t, "POST", "sys/wrapping/lookup", map[string]string{"token": info.Token}).envelope(t).Data
		if look["creation_path"] != "auth/token/create" || look["creation_ttl"] != 60.0 || look["creation_time"] != info.CreationTime || len(look) != 3 {
			t.Errorf("%v", look)
		}
		// Neither token nor accessor lets anybody in.
		for _, token := range []string{info.Token, info.Accessor} {
			w.asVault(token).call(t, "GET", "auth/token/lookup-self", nil).saysErrors(t, 403, "permission denied")
			nobody.call(t, "GET", "cubbyhole/response", nil, "X-Vault-Token", info.Accessor).saysErrors(t, 403, "permission denied")
		}
		opened := w.asVault(info.Token).call(t, "PUT", "sys/wrapping/unwrap", nil).envelope(t)
		if opened.Auth == nil || opened.Auth.LeaseDuration != 600 || opened.Auth.Accessor != info.WrappedAccessor || opened.RequestID == "" || !v.with(opened.Auth.ClientToken).works(t) {
			t.Errorf("%s", opened.Raw)
		}
		for _, r := range []reply{
			w.asVault(info.Token).call(t, "PUT", "sys/wrapping/unwrap", nil),
			w.asVault(info.Token).call(t, "POST", "sys/wrapping/unwrap", `{}`),
			v.call(t, "POST", "sys/wrapping/unwrap", map[string]string{"token": info.Token}),
			nobody.call(t, "POST", "sys/wrapping/lookup", map[string]string{"token": info.Token}),
			nobody.call(t, "POST", "sys/wrapping/rewrap", map[string]string{"token": info.Token}),
			nobody.call(t, "POST", "sys/wrapping/unwrap", map[string]string{"token": info.Accessor}),
			nobody.call(t, "POST", "sys/wrapping/unwrap", map[string]string{"token": v.token}),
			nobody.call(t, "POST", "sys/wrapping/unwrap", `null`),
		} {
			r.saysErrors(t, 400, noWrapping)
		}
		// Anything can be wrapped, keeps its JSON types, and is opened in both ways.
		const body = `{"n":12345678901234567890,"o":{"a":[1,null,"test-value-inside"]}}`
		v.call(t, "POST", "sys/wrapping/wrap", body).saysErrors(t, 400, "endpoint requires response wrapping to be used")
		info = v.wrapped(t, "5m", "POST", "sys/wrapping/wrap", body)
		if info.TTL != 300 || info.CreationPath != "sys/wrapping/wrap" || info.WrappedAccessor != "" {
			t.Errorf("%+v", info)
		}
		again := w.asVault(info.Token).call(t, "POST", "sys/wrapping/rewrap", nil).envelope(t).WrapInfo
		if again == nil || again.Token == info.Token || again.CreationPath != info.CreationPath || again.TTL != 300 {
			t.Errorf("%+v", again)
		}
		nobody.call(t, "POST", "sys/wrapping/unwrap", map[string]string{"token": info.Token}).saysErrors(t, 400, noWrapping)
		var got struct {
			Data json.RawMessage `json:"data"`
		}
		v.call(t, "POST", "sys/wrapping/unwrap", map[string]string{"token": again.Token}).fits(t, &got)
		if string(got.Data) != body {
			t.Errorf("%s", got.Data)
		}
		// An answer without content, and failures, which are told at once.
		info = v.wrapped(t, "60", "PUT", "cubbyhole/x", `{"a":"b"}`)
		nobody.call(t, "POST", "sys/wrapping/unwrap", map[string]string{"token": info.Token}).is204(t)
		v.call(t, "GET", "cubbyhole/none", nil, "X-Vault-Wrap-TTL", "60").saysErrors(t, 404)
		for _, ttl := range []string{"-5", "soon", "900h", "1ms", "\x00"} {
			if strings.Contains(ttl, "\x00") {
				continue // no client library sends it
			}
			if r := v.call(t, "PUT", "cubbyhole/y", `{"a":"b"}`, "X-Vault-Wrap-TTL", ttl); r.status != 400 {
				t.Errorf("%q: %d %s", ttl, r.status, r.body)
			}
		}
		v.call(t, "GET", "cubbyhole/y", nil).saysErrors(t, 404) // refused before it was done
		// In the way of the first Vaults.
		info = v.wrapped(t, "60", "GET", "cubbyhole/x", nil)
		old := w.asVault(info.Token).call(t, "GET", "cubbyhole/response", nil).envelope(t).Data["response"].(string)
		if err := json.Unmarshal([]byte(old), &got); err != nil || string(got.Data) != `{"a":"b"}` {
			t.Errorf("%s", old)
		}
		w.asVault(info.Token).call(t, "GET", "cubbyhole/response", nil).saysErrors(t, 400, noWrapping)
		if n := len(names(e.as(w.admin).list(t, "/"))); n != 0 {
			t.Errorf("%d secrets", n)
		}
	})
}

func TestAWrappedVaultAnswerIsOpenedByOneOfMany(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		admin := w.asVault(w.admin.token)
		info := admin.wrapped(t, "60", "POST", "sys/wrapping/wrap", `{"a":"test-value-once"}`)
		var all sync.WaitGroup
		var won atomic.Int64
		for range 12 {
			all.Go(func() {
				r, err := w.admin.with("").try("POST", w.server.URL+"/v1/sys/wrapping/unwrap", map[string]string{"token": info.Token})
				if err == nil && r.status == 200 {
					won.Add(1)
				} else if err != nil || r.status != 400 {
					t.Errorf("%v %d %s", err, r.status, r.body)
				}
			})
		}
		all.Wait()
		if won.Load() != 1 {
			t.Errorf("%d have opened it", won.Load())
		}
		// After its time it is gone.
		short := admin.wrapped(t, "1", "POST", "sys/wrapping/wrap", `{"a":"test-value-late"}`)
		eventually(t, 3*time.Second, "the answer ends", func() bool {
			return w.asVault("").call(t, "POST", "sys/wrapping/lookup", map[string]string{"token": short.Token}).status == 400
		})
		w.asVault(short.Token).call(t, "POST", "sys/wrapping/unwrap", nil).saysErrors(t, 400, noWrapping)
		// What the command line has wrapped opens here, and the other way round.
		native := send[api.Wrapping](t, w.admin, "POST", "/wrap", api.WrapRequest{What: "a key", Value: "test-value-native", TTL: "5m"})
		if d := admin.call(t, "POST", "sys/wrapping/unwrap", map[string]string{"token": native.Token}).envelope(t).Data; d["value"] != "test-value-native" {
			t.Errorf("%v", d)
		}
		// The second opening is in the log, and no content is.
		log := string(w.admin.do(t, "GET", "/audit/entries?limit=200", nil).body)
		if strings.Contains(log, "test-value") || !strings.Contains(log, "opened_before") {
			t.Errorf("%s", log)
		}
	})
}

func TestACubbyholeIsOfItsTokenAlone(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		e := w.project(t)
		admin, v := w.asVault(w.admin.token), w.vaultMachine(t, e.project, "developer")
		a := v.child(t, "create", `{"ttl":"10m"}`)
		child := v.with(a.ClientToken)
		v.call(t, "LIST", "cubbyhole", nil).saysErrors(t, 404)
		v.call(t, "POST", "cubbyhole/a/b", `{"n":1.50,"t":"test-value-mine","l":[true]}`).is204(t)
		v.call(t, "PUT", "cubbyhole/a", `{"x":"y"}`).is204(t)
		var got struct {
			Data json.RawMessage `json:"data"`
		}
		v.call(t, "GET", "cubbyhole/a/b", nil).fits(t, &got)
		if string(got.Data) != `{"l":[true],"n":1.50,"t":"test-value-mine"}` {
			t.Errorf("%s", got.Data)
		}
		for path, want := range map[string][]any{"cubbyhole?list=true": {"a", "a/"}, "cubbyhole/a/?list=1": {"b"}} {
			if keys := v.call(t, "GET", path, nil).envelope(t).Data["keys"].([]any); !slices.Equal(keys, want) {
				t.Errorf("%s: %v", path, keys)
			}
		}
		for _, other := range []vaultUser{admin, child, w.vaultMachine(t, e.project, "admin")} {
			other.call(t, "GET", "cubbyhole/a/b", nil).saysErrors(t, 404)
			other.call(t, "LIST", "cubbyhole/", nil).saysErrors(t, 404)
			other.call(t, "DELETE", "cubbyhole/a/b", nil).is204(t)
		}
		v.call(t, "POST", "cubbyhole/a/b", `{"t":"test-value-second"}`).is204(t)
		if d := v.call(t, "GET", "cubbyhole/a/b", nil).envelope(t).Data; d["t"] != "test-value-second" || len(d) != 1 {
			t.Errorf("%v", d)
		}
		v.call(t, "POST", "cubbyhole/a/b", nil).saysErrors(t, 400, "missing data fields")
		v.call(t, "GET", "cubbyhole", nil).saysErrors(t, 405, "1 error occurred:\n\t* unsupported operation\n\n")
		for _, path := range []string{"a//b", "..", "a/../b", "a%00b", strings.Repeat("long", 200)} {
			if r := v.call(t, "POST", "cubbyhole/"+path, `{"a":"b"}`); r.status < 400 || r.status >= 500 {
				t.Errorf("%s: %d %s", path, r.status, r.body)
			}
		}
		if r := v.call(t, "POST", "cubbyhole/big", map[string]string{"a": strings.Repeat("x", 65<<10)}); r.status != 400 {
			t.Errorf("%d %s", r.status, r.body)
		}
		v.call(t, "DELETE", "cubbyhole/a", nil).is204(t)
		v.call(t, "DELETE", "cubbyhole/a", nil).is204(t)
		v.call(t, "GET", "cubbyhole/a", nil).saysErrors(t, 404)
		// It dies with its token, and nothing of it is left.
		child.call(t, "POST", "cubbyhole/k", `{"t":"test-value-child"}`).is204(t)
		v.call(t, "POST", "auth/token/revoke-self", nil).is204(t)
		v.call(t, "GET", "cubbyhole/a/b", nil).saysErrors(t, 403, "permission denied")
		if v := send[api.Verification](t, w.admin, "POST", "/audit/verify?deep=true", nil); len(v.Problems) != 0 {
			t.Errorf("the log and the data differ: %+v", v.Problems)
		}
	})
}

func TestVaultLeasesAndTools(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		e := w.project(t)
		admin, v := w.asVault(w.admin.token), w.vaultMachine(t, e.project, "viewer")
		const id = "database/creds/app/test-value-none"
		for _, path := range []string{"sys/leases/renew", "sys/renew", "sys/leases/renew/" + id, "sys/renew/" + id} {
			v.call(t, "PUT", path, map[string]any{"lease_id": id, "increment": 60}).saysErrors(t, 400, "lease not found")
		}
		v.call(t, "POST", "sys/leases/renew", `{}`).saysErrors(t, 400, "lease_id must be specified")
		v.call(t, "POST", "sys/leases/lookup", map[string]string{"lease_id": id}).saysErrors(t, 400, "invalid lease")
		v.call(t, "PUT", "sys/leases/revoke", map[string]any{"lease_id": id, "sync": true}).is204(t)
		v.call(t, "PUT", "sys/revoke/"+id, nil).is204(t)
		for _, path := range []string{"sys/leases/revoke-prefix/database/creds", "sys/leases/revoke-force/database", "sys/revoke-prefix/database"} {
			admin.call(t, "PUT", path, nil).is204(t)
			v.call(t, "PUT", path, nil).saysErrors(t, 403, vaultDenied)
		}
		admin.call(t, "LIST", "sys/leases/lookup/database/creds", nil).saysErrors(t, 404)
		v.call(t, "LIST", "sys/leases/lookup/database/creds", nil).saysErrors(t, 403, vaultDenied)
		v.call(t, "GET", "sys/leases/renew", nil).saysErrors(t, 405, "1 error occurred:\n\t* unsupported operation\n\n")

		if s := v.call(t, "POST", "sys/tools/random/16", `{"format":"hex"}`).envelope(t).Data["random_bytes"].(string); len(s) != 32 {
			t.Errorf("%q", s)
		}
		if s := v.call(t, "POST", "sys/tools/random", nil).envelope(t).Data["random_bytes"].(string); len(s) != 44 {
			t.Errorf("%q", s)
		}
		if s := v.call(t, "POST", "sys/tools/random/all/8", nil).envelope(t).Data["random_bytes"].(string); len(s) != 12 {
			t.Errorf("%q", s)
		}
		for path, body := range map[string]string{"random/0": "", "random/-1": "", "random/x": "", "random/999999999": "", "random/99999999999999999999": "", "random": `{"format":"octal"}`,
			"hash/md5": `{"input":""}`, "hash": `{"input":"%%%"}`, "random/moon/8": ""} {
			if r := v.call(t, "POST", "sys/tools/"+path, body); r.status != 400 {
				t.Errorf("%s: %d %s", path, r.status, r.body)
			}
		}
		for path, want := range map[string]string{
			"hash":          "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
			"hash/sha3-256": "3338be694f50c5f338814986cdf0686453a888b84f424d792af4b9202398f392",
		} {
			if s := v.call(t, "POST", "sys/tools/"+path, `{"input":"aGVsbG8="}`).envelope(t).Data["sum"]; s != want {
				t.Errorf("%s: %v", path, s)
			}
		}
		w.asVault("").call(t, "POST", "sys/tools/random", nil).saysErrors(t, 403, "permission denied")
	})
}
