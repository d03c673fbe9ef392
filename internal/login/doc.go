// Package login holds the ways to prove who one is to others' satisfaction: each file is one method, a pure verifier that is
// given settings and a credential and says what was proved. It knows no store and no account; who may log in with what is
// decided by package access.
//
// Nothing in a credential chooses a key, an algorithm or an address: all three come from the settings of the method. (RFC 8725,
// JSON Web Token Best Current Practices.)
package login
