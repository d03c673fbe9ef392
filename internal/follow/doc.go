// Package follow lets others walk along the audit log: each follower is handed every entry in order, at least once, from a
// bookmark that outlives the process. Alerts, streams and counts are followers, so none of them stands on the path of a request.
//
// Of the servers on one database one works for each follower at a time. It holds a lease, which the others watch: they take
// over when it has stood still for [leaseFor] by their own clocks, so clocks that differ do no harm. Bookmarks and leases are
// written together, once a second at most, and leave no entry: they decide nothing about secrets, whoever changes them can at
// most make a follower see entries again or not at all (which the size of its lag shows), and an entry for each would be one
// more to follow.
package follow
