// Package audit is the append-only log as a Merkle tree: entries in canonical JSON, the arithmetic of batches, tiles and
// checkpoints in the C2SP formats, proofs, verification and the offline form.
//
// It is pure. It opens no database, owns no lock and reads no clock: the caller stores each [Batch] in one transaction and
// offers what it stored as a [Source]. Only [Verify] and [VerifyDir] use more than one processor, and they wait for all
// that they started before they return.
//
// Sources: RFC 6962 section 2.1 (hashing), RFC 8785 (canonical JSON), C2SP tlog-tiles, tlog-checkpoint and signed-note.
// DESIGN.md tells what is deliberately not split and why.
package audit
