// Package migrate reads the secrets of other systems, live through their APIs or from the files that they export, and turns
// them into a plan: what would be made here, what would be called otherwise, and what cannot be moved and why.
//
// It is a leaf: it knows nothing of a running server. Reading never changes the source. What a source says is not trusted: names
// may be paths, folders may be cycles, answers may be endless, archives may unpack to more than the machine has.
package migrate
