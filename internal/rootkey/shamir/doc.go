// Package shamir divides a root key among people: any k of n shares give it back, fewer tell nothing about it (Shamir, How to
// share a secret, CACM 22, 1979), over the field of AES with 256 elements.
//
// The scheme alone takes any numbers and gives back some key. Here a share is refused at the moment it is entered, and by
// name: mistyped (each group of characters checks itself), foreign (it says for which slot of which installation it is),
// stale (it says of which set it is), changed (a MAC under its own secret), made up (the slot keeps a verifier for each
// share), repeated. A verifier is SHA-256 of a whole share; its 256 random bits cannot be guessed, and what k-1 people can
// compute of a missing share is as uncertain as the root key itself, so a verifier helps nobody.
package shamir
