// Package shape holds no code, only tests of the house itself: that imports run the way the picture in CONTRIBUTING.md
// says, that every place that sees plaintext is on a list, and that the source keeps to the rules that no compiler knows.
//
// The rules are tables in rules_test.go, each with its reason. A rule that is in the way is changed there, with a reason,
// in the same change that needs it.
package shape
