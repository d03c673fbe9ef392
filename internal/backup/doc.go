// Package backup makes sealed copies of a whole instance, checks them, and brings them back. DESIGN.md describes the file.
//
// A backup is one age file (https://age-encryption.org/v1) for the recovery kits of the instance, so anybody who holds one
// opens it without this program. Inside is a manifest, the rows of every table as of one moment, and a trailer that signs
// all of it with the instance's log-signing key. The rows hold envelopes as the database does; the manifest holds a root key
// of its own, which opens the instance key by a slot that exists in this file only. So whoever opens the file opens the
// instance, through the code that opens it at every start, and no other root key is needed.
package backup
