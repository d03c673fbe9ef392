//go:build !crashpoints

// Package crashpoint names the moments at which a process may die in the middle of something that must go on afterwards. In
// ordinary builds it does nothing; built with the tag crashpoints, the process kills itself at the point that the variable
// KEYTURN_CRASH_AT names, so that a test can visit every one instead of hoping for a lucky kill.
package crashpoint

// At is a moment with a name of its own, "room.step.when".
func At(string) {}
