package server

import (
	"log/slog"

	"golang.org/x/sys/unix"
)

// harden keeps keys out of core files and away from debuggers of the same user.
func harden() {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		slog.Debug("core files cannot be switched off", "error", err)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		slog.Debug("the process cannot be made undumpable", "error", err)
	}
}
