// Package canary keeps decoys: secrets and API tokens that nothing needs, each in a place where no other one lies. Whoever
// touches one has been where he does not belong, and the decoy tells where that was: the entry canary.touched in the audit log
// names place, address and client, and alerts follow from it.
//
// A decoy token is looked for when a token turns out to belong to nobody, so it costs those nothing who have one. A decoy
// secret is an ordinary one: when its value is shown or copied, the record of that, which is durable before the answer leaves,
// gets a mark, and a follower of the log makes the entry of it. Neither answers otherwise than what it imitates.
package canary
