// Package keyring holds the key hierarchy and makes and opens envelopes.
//
//	root key      outside the database; wraps the instance key, once per slot
//	instance key  wraps every key below; seals what belongs to no project
//	project key   seals the values of one project
//	index key     keyed digests, so that equal values are found without opening them
//	log, tokens   seeds of the Ed25519 signing keys
//
// The package is pure: it is given rows and gives rows back, and the caller stores them. Every key has generations, every
// envelope names the key and generation that sealed it, and several generations may be loaded at once; that is what lets
// each layer turn while the server serves. DESIGN.md beside this file has the formats byte by byte and says why.
package keyring
