// Package term holds the manners of the command line towards people: tables, progress, questions on the terminal device,
// and colours only where they are wanted. Everything that is shown passes [Clean], since names and comments are written by
// others and must not steer the reader's terminal.
package term
