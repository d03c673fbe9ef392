// Command transitpeer serves the real transit engine of HashiCorp Vault 1.14.0 on loopback, for tests: in-memory storage, the
// mount "transit", one token, one key of type aes256-gcm96 named "root" and one named "other".
//
// It is a module of its own, so that nothing of Vault enters Keyturn's. Version 1.14.0 is the newest one under MPL-2.0; later
// ones carry the Business Source License. Of Vault's core only what an engine sees of it is here: routes, the token and the
// form of answers.
//
// It prints its address as one line and serves until its standard input ends.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/hashicorp/vault/builtin/logical/transit"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
)

func main() {
	if err := serve(context.Background(), os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "transitpeer:", err)
		os.Exit(1)
	}
}

func serve(ctx context.Context, token string) error {
	storage := &logical.InmemStorage{}
	configuration := &logical.BackendConfig{StorageView: storage, System: &logical.StaticSystemView{}}
	engine, err := transit.Backend(ctx, configuration)
	if err != nil {
		return err
	}
	for _, path := range engine.Paths {
		// One path of this version lacks what this version of the framework asks for.
		if path.ExistenceCheck == nil {
			path.ExistenceCheck = func(context.Context, *logical.Request, *framework.FieldData) (bool, error) { return false, nil }
		}
	}
	if err := engine.Setup(ctx, configuration); err != nil {
		return err
	}
	p := peer{engine, storage, token}
	for _, name := range []string{"root", "other"} {
		if status, answer := p.ask(ctx, "keys/"+name, map[string]any{"type": "aes256-gcm96"}); status/100 != 2 {
			return fmt.Errorf("make key %s: %d %v", name, status, answer)
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	return http.Serve(listener, p)
}

type peer struct {
	engine  logical.Backend
	storage logical.Storage
	token   string
}

// ask hands one update to the engine and gives status and body as Vault's own HTTP layer makes them.
func (p peer) ask(ctx context.Context, path string, data map[string]any) (int, map[string]any) {
	req := &logical.Request{Operation: logical.UpdateOperation, Path: path, Data: data, Storage: p.storage}
	resp, err := p.engine.HandleRequest(ctx, req)
	if status, problem := logical.RespondErrorCommon(req, resp, err); status != 0 {
		return status, map[string]any{"errors": []string{fmt.Sprint(problem)}}
	}
	if resp == nil {
		return http.StatusNoContent, nil
	}
	return http.StatusOK, map[string]any{"data": resp.Data}
}

func (p peer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	status, answer := p.route(r)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer)
}

func (p peer) route(r *http.Request) (int, map[string]any) {
	path, ok := strings.CutPrefix(r.URL.Path, "/v1/transit/")
	switch {
	case r.Header.Get("X-Vault-Token") != p.token:
		return http.StatusForbidden, map[string]any{"errors": []string{"permission denied"}}
	case !ok || r.Method != http.MethodPost:
		return http.StatusNotFound, map[string]any{"errors": []string{}}
	}
	var data map[string]any
	if err := json.NewDecoder(r.Body).Decode(&data); err != nil {
		return http.StatusBadRequest, map[string]any{"errors": []string{"error parsing JSON"}}
	}
	return p.ask(r.Context(), path, data)
}
