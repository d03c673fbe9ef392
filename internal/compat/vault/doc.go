// Package vault speaks the HTTP API of HashiCorp Vault and OpenBao, so that programs which were written for them work after
// their address is changed. It translates and holds no rules: every request goes through the services, the door and the log
// as one of the native API does, and its entry names the dialect.
//
// A request is a [call]: a verb, a path below /v1/ and fields. dispatch.go finds the engine that a path belongs to, reply.go
// writes what it answers, fail.go what went wrong. Each engine has files of its own, named for it: sys, auth, kv, transit,
// cubbyhole.
package vault
