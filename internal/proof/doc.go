// Package proof holds no code, only tests of promises that no single room can keep alone: what was acknowledged survives
// kill -9, no plaintext lies anywhere on disk, data that was changed behind the server's back is named, keys turn without
// losing anything or leaving anything, whatever happens meanwhile, and the server does what a naive model of it does. They run the real binary or the real server, on both databases, and look at it from outside.
//
// The long forms run with the build tag soak; each prints its seed.
package proof
