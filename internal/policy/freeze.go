package policy

import "strings"

// thawing are the actions that go on whatever is frozen: whoever lifts a freeze must be able to log in, to change who may do
// what, to read the log and to work on keys and backups.
var thawing = []Action{ProjectFreeze, InstanceFreeze, ProjectRead, SecretList, SecretRead}

// Changes tells whether a freeze stops the action: it changes secrets or what holds them, or makes tokens that would.
func Changes(a Action) bool {
	for _, b := range thawing {
		if a == b {
			return false
		}
	}
	noun, _, _ := strings.Cut(string(a), ".")
	return noun == "secret" || noun == "project" || a == TokenCreate || a == TransitManage
}

// Reveals tells whether a kill switch stops the action beside what a freeze stops: everything about secrets, and all that keys of the
// encryption service do but to verify.
func Reveals(a Action) bool {
	noun, _, _ := strings.Cut(string(a), ".")
	return noun == "secret" || noun == "transit" && a != TransitRead && a != TransitVerify
}
