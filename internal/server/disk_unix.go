//go:build unix

package server

import (
	"os"
	"path/filepath"
	"syscall"
)

// sameDisk tells whether two folders are on one file system. A folder that is not there yet counts as the one above it.
func sameDisk(a, b string) bool {
	one, known := device(a)
	other, too := device(b)
	return known && too && one == other
}

func device(folder string) (uint64, bool) {
	for {
		info, err := os.Stat(folder)
		if err == nil {
			s, ok := info.Sys().(*syscall.Stat_t)
			if !ok {
				return 0, false
			}
			return uint64(s.Dev), true // its type differs between systems
		}
		above := filepath.Dir(folder)
		if above == folder {
			return 0, false
		}
		folder = above
	}
}
