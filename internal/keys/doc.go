// Package keys turns keys: it makes the next generation, moves everything to it while the server serves, counts what is left,
// signs the count, and destroys the old key. It also keeps the slots, by which root keys unlock the instance, and makes sure
// that every server on a database writes under the keys of that moment.
//
// A turn is a row that says how far it is; whoever finds it, after a crash or on another server, goes on from there:
//
//	moving ──→ settled ──→ counted ──→ scrubbing ──→ done      instance, project, index
//	overlap ─→ settled ──→ ...                                 log, tokens: when the overlap is over
//	overlap ─→ done                                            root: when the old slot is removed
//
// No cursor is kept. What is left is found by an index over the key ids in the envelopes, so a slice of work is one
// transaction that takes some of what is left, opens it, seals it anew and puts it back. Two servers that work on one turn
// at once do no harm.
//
// The order that keeps everything readable: new envelopes are made under the new key from the transaction on that begins the
// turn, since each write checks the epoch and takes the keys of that moment. So what is left under the old key only shrinks.
// When a transaction finds nothing left, it retires the old key; only a census taken after that lets the key be destroyed.
package keys
