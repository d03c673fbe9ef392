// Package alert tells people what they should look at. The audit log is its outbox: a follower hands every entry to the rules, in
// order and from a bookmark, so nothing is added to the path of a request and nothing that is in the log can be missed. What is
// no entry, such as a backup that was not made, is asked for by a timer.
//
//	entry or state -> rule -> event (one row for each matter) -> delivery (one for each channel) -> channel
//
// A matter is what an event is about: this rule and this principal, say. While it is not quiet, what happens again is counted in
// the same row, so that a flood sends one message with a number. Events and deliveries are rows: a server that is killed in the
// middle sends again what it does not know to have sent, with the same id.
package alert
