package backup

import (
	"strconv"
)

// A restored instance keeps its id, since every envelope is bound to it, and begins a new life: its epoch jumps, so that a
// server of the old life writes nothing into it, and its log signs under another name and key, so that the checkpoints of two
// clones cannot be taken for one log that forked.

// lifeSpan is how many epochs belong to one life: key changes count single epochs, far fewer than this.
const lifeSpan = 1_000_000

// Life tells the life that an epoch belongs to: 0 for the first, else the time of its restore in unix seconds. Two clones of
// one backup differ in it unless they were made in the same second.
func Life(epoch int64) int64 { return epoch / lifeSpan }

// nextEpoch begins a new life.
func nextEpoch(epoch, nowMS int64) int64 {
	return max(nowMS/1000, Life(epoch)+1)*lifeSpan + 1
}

// Origin names the audit log of one life, given the name of the instance's first one.
func Origin(first string, epoch int64) string {
	if life := Life(epoch); life > 0 {
		return first + "/" + strconv.FormatInt(life, 10)
	}
	return first
}
