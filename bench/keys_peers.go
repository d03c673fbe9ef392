package main

import (
	"context"
	"path/filepath"
	"time"

	"github.com/keyturn/keyturn/bench/measure"
)

// vaultTurns is how often Vault's barrier key is rotated.
const vaultTurns = 5

// keyPeers says what Vault does when it is told to rotate: it adds a key to its
// keyring. Nothing that is stored moves to it, so there is no rate to compare.
func (b *bench) keyPeers(ctx context.Context) error {
	b.report.note("quoted from another run on another day: OpenBao takes 5.3 to 9.0 ms to rotate its keyring, and after five rotations and one write all 13,217 values stored before still lie under the first key; it has no progress and no count of what is left")
	if b.tools.vault == "" {
		return nil
	}
	server := &vaultServer{tools: b.tools, dir: filepath.Join(b.dir, "vault-turn")}
	p := vaultPeer{vaultServer: server, owner: true, defaultPolicy: true}
	if !b.enter(ctx, p, secrets) {
		return nil
	}
	defer p.Stop()
	var took []float64
	for range vaultTurns {
		start := time.Now()
		if err := sendAll(ctx, p.Address(), [][]byte{rawRequest("POST", p.Address(), "/v1/sys/rotate", []byte("{}"), "X-Vault-Token: "+p.ready.RootToken)}); err != nil {
			return err
		}
		took = append(took, micros64(time.Since(start)))
	}
	b.keyFact("vault, 1,000 secrets: sys/rotate", micros(measure.Median(took))+"; moves 0 values", "", "")
	return nil
}
