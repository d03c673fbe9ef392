package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

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
	return errors.Join(b.dialectReads(ctx, b.keyturn), b.dialectLists(ctx, b.keyturn))
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
