// Package stream sends entries of the audit log on to other systems: files, syslog, webhooks and stores of objects. Each stream
// is a follower of the log with a bookmark of its own. So a sink that is slow or gone slows no request and loses nothing: its
// lag grows, and it gets the rest when it is back. A sink may get an entry more than once, never not at all; an entry is named
// by the log's origin, which changes with each life of an instance, and its index.
package stream
