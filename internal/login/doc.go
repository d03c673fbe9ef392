// Package login proves who somebody is by asking a system that others run: an OpenID provider, a SAML identity provider, a
// directory. There is one file for each protocol. What is proved comes back as plain facts; which account that is and what it
// may do is decided elsewhere, so that a protocol can be read and attacked alone. Whatever comes from outside has a bound, and
// a failure says which rule it broke without repeating what was sent.
//
// Machines show what they have: a JWT, a signed request, a certificate. Nothing in a credential chooses a key, an algorithm or
// an address: all three come from the settings of the method. (RFC 8725, JSON Web Token Best Current Practices.)
package login
