// Package infisical speaks the HTTP API of Infisical as far as its official clients use it, so that they work after their
// address is changed. It translates and holds no rules: every request goes through the services, the door and the log as one
// of the native API does, and its entry names the dialect.
//
// A request is a [call], whose parameters come from path, query and body under any of their names. surface.go finds the route
// and the caller, fail.go writes what went wrong. Each topic of the API has files of its own: auth, secret, folder, project and
// so on, with a table of its routes at the top.
package infisical
