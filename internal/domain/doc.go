// Package domain holds the nouns of Keyturn and their rules: ids, names, paths, attributes, references, commits,
// principals and scopes. It is pure: no clock, no I/O, no database. A value of one of its types that came out of a
// Parse function is valid, so nobody downstream checks again.
package domain
