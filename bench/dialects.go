package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/keyturn/keyturn/bench/measure"
)

// The rows of the foreign dialects: KV v2 of Keyturn beside Vault's own, and Infisical's list beside the native one.
const (
	dialectKV   = "keyturn, KV v2"
	dialectList = "keyturn, Infisical list"
	nativeList  = "keyturn, native list"
	dialectSame = "keyturn, Infisical list, 304"

	dialectConnections = 64
	fifty              = 50
)

// dialects measures what foreign clients ask most.
func (b *bench) dialects(ctx context.Context) error {
	if b.keyturn == nil {
		return errors.New("Keyturn is not there")
	}
	return errors.Join(b.dialectReads(ctx, b.keyturn), b.dialectLists(ctx, b.keyturn), b.movingIn(ctx, b.keyturn))
}

// dialectReads compares single reads of documents with one value.
func (b *bench) dialectReads(ctx context.Context, kt *keyturnPeer) error {
	documents := make([][]byte, secrets)
	reads := make([][]byte, secrets)
	for i := range documents {
		target := ktDocumentPath(ktProject, ktReadEnv, measure.Name(i))
		documents[i] = rawRequest("POST", kt.host, target, mustJSON(map[string]any{"data": map[string]string{"value": measure.Value(i, 0)}}), ktAuth(kt.token))
		reads[i] = rawRequest("GET", kt.host, target, nil, ktAuth(kt.token))
	}
	if err := sendAll(ctx, kt.host, documents); err != nil {
		return fmt.Errorf("write documents: %w", err)
	}
	file, err := b.requestFile(reads)
	if err != nil {
		return err
	}
	row := "KV v2 read, " + count(dialectConnections, "connection")
	lanes := []lane{b.hammer(kt, dialectKV, file, dialectConnections, 1)}
	for _, p := range b.peers {
		if _, ok := p.(vaultPeer); !ok {
			continue
		}
		file, err := b.requestFile(readRequests(p, secrets, secrets))
		if err != nil {
			return err
		}
		lanes = append(lanes, b.hammer(p, p.Name(), file, dialectConnections, 1))
	}
	if err := b.measure(ctx, row, lanes); err != nil {
		return err
	}
	b.compareWith(row, dialectKV, vaultSlow, rate, atLeast(10))
	b.compareWith(row, dialectKV, vaultFast, rate, atLeast(4))
	return nil
}

// dialectLists compares Infisical's list of 50 secrets with the native one, and a 304 with a 200.
func (b *bench) dialectLists(ctx context.Context, kt *keyturnPeer) error {
	values := map[string]string{}
	for i := range fifty {
		values[measure.Name(i)] = measure.Value(i, 0)
	}
	if err := kt.send(ctx, rawRequest("POST", kt.host, ktDocumentPath(ktProject, ktListEnv, "fifty"), mustJSON(map[string]any{"data": values}), ktAuth(kt.token))); err != nil {
		return fmt.Errorf("write 50 secrets: %w", err)
	}
	tag, err := ktListTag(ctx, kt.url()+ktInfisicalList(ktProject, ktListEnv, "/fifty"), kt.token)
	if err != nil {
		return err
	}
	lanes := []lane{}
	for _, l := range []struct {
		name   string
		target string
		header []string
	}{
		{nativeList, ktEnvPath(ktProject, ktListEnv) + "/secrets?path=/fifty&reveal=true", nil},
		{dialectList, ktInfisicalList(ktProject, ktListEnv, "/fifty"), nil},
		{dialectSame, ktInfisicalList(ktProject, ktListEnv, "/fifty"), []string{"If-None-Match: " + tag}},
	} {
		file, err := b.requestFile([][]byte{rawRequest("GET", kt.host, l.target, nil, append(l.header, ktAuth(kt.token))...)})
		if err != nil {
			return err
		}
		lanes = append(lanes, b.hammer(kt, l.name, file, 16, 1))
	}
	const row = "list of 50 secrets, 16 connections"
	if err := b.measure(ctx, row, lanes); err != nil {
		return err
	}
	b.compareWith(row, dialectList, nativeList, rate, atLeast(0.5))
	b.compareWith(row, dialectSame, dialectList, rate, atLeast(1.5))
	return nil
}

// movingIn moves the documents of Vault here, with plan, commits and comparison, as a person would.
func (b *bench) movingIn(ctx context.Context, kt *keyturnPeer) error {
	i := slices.IndexFunc(b.peers, func(p Peer) bool { _, ok := p.(vaultPeer); return ok })
	if i < 0 {
		return nil
	}
	vault := b.peers[i].(vaultPeer)
	documents := make([][]byte, importSize)
	for i := range documents {
		target := fmt.Sprintf("/v1/secret/data/move%d/%s", i%100, measure.Name(i))
		body := mustJSON(map[string]any{"data": map[string]any{"password": measure.Value(i, 0), "port": 5432}})
		documents[i] = rawRequest("POST", vault.Address(), target, body, "X-Vault-Token: "+vault.ready.RootToken)
	}
	if err := sendAll(ctx, vault.Address(), documents); err != nil {
		return fmt.Errorf("fill Vault: %w", err)
	}
	cmd := kt.command(ctx, ktReadEnv, ktMigrateArgs("moved")...)
	cmd.Env = append(cmd.Env, "VAULT_ADDR=http://"+vault.Address(), "VAULT_TOKEN="+vault.ready.RootToken)
	took, err := timed(kt.PID(), func() error {
		_, err := cmd.Output()
		if err != nil {
			return fmt.Errorf("keyturn migrate: %w%s", err, stderrOf(err))
		}
		return nil
	})
	if err != nil {
		return err
	}
	seconds := took.P50 / 1e6
	b.fact("10,000 documents of Vault moved and compared", fmt.Sprintf("%.1f s", seconds), fmt.Sprintf("under %d s", movingWithin), verdict(seconds < movingWithin))
	return nil
}

// movingWithin is the aim for 10,000 documents, in seconds.
const movingWithin = 60

// ktListTag asks a list for its ETag.
func ktListTag(ctx context.Context, url, token string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	tag := resp.Header.Get("Etag")
	if resp.StatusCode != http.StatusOK || tag == "" {
		return "", fmt.Errorf("the list answers %d with the tag %q", resp.StatusCode, tag)
	}
	return tag, nil
}
