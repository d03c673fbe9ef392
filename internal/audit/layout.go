package audit

import (
	"fmt"
	"strconv"
)

// The names of the offline form (C2SP tlog-tiles), relative to its folder.
const (
	checkpointFile = "checkpoint"
	keyFile        = "key" // verification keys, one to a line
	entriesFolder  = "tile/entries"
)

// tilePath is tile/<L>/<N>[.p/<W>]; a width of tileWidth is a complete tile.
func tilePath(level int, index int64, width int) string {
	return "tile/" + strconv.Itoa(level) + "/" + indexPath(index, width)
}

// bundlePath is tile/entries/<N>[.p/<W>].
func bundlePath(index int64, width int) string {
	return entriesFolder + "/" + indexPath(index, width)
}

// indexPath writes the index in elements of three digits, all but the last after an "x": 1234067 is x001/x234/067.
func indexPath(index int64, width int) string {
	s := fmt.Sprintf("%03d", index%1000)
	for index /= 1000; index > 0; index /= 1000 {
		s = fmt.Sprintf("x%03d/%s", index%1000, s)
	}
	if width != tileWidth {
		s += ".p/" + strconv.Itoa(width)
	}
	return s
}
