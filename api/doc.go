// Package api holds the wire types of Keyturn's native HTTP API, version 1, below /keyturn/v1. It has no logic beyond
// encoding values, and imports the standard library only, so that clients can be generated from it. Types here carry
// plaintext on purpose.
//
// Times are RFC 3339 in UTC with milliseconds. Ids are lower-case UUIDs. Wherever a path or field takes a project or
// environment, its slug or its id will do. Errors are problem bodies (RFC 9457), see [Problem].
package api

// Prefix is where the API lives on a server.
const Prefix = "/keyturn/v1"

// OfflineMaxAge is a header of answers that hold values: how long a client may serve them from a sealed copy of its own
// when the server cannot be reached, as a Go duration; 0s forbids it.
const OfflineMaxAge = "Keyturn-Offline-Max-Age"
