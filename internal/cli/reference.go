package cli

import (
	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/internal/fault"
)

// Command gives the whole tree of commands, for those who describe it. It is built anew for each caller and reads nothing.
func Command() *cobra.Command { return newApp("reference").rootCommand() }

// ExitCode tells the exit code that belongs to a kind of fault.
func ExitCode(k fault.Kind) int { return kindCode(k) }
