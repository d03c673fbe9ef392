// Package consumer knows who uses what: which principal, at which address and with which client, was given which version of a
// secret, when first and when last. It is a projection of the audit log, made by a follower, so no request waits for it, no
// server counts alone, and what is in the log is in it.
//
// What matters is written when it is seen: a new consumer, or one with another version. When somebody was last seen, and how
// often, is written once a minute; a server that is killed loses at most that minute of it. Rows are written without entries of
// their own: they decide nothing, and an entry would be one more to follow.
package consumer
