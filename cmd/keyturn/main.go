// Command keyturn is the server and the command line of Keyturn.
package main

import (
	"os"

	"github.com/keyturn/keyturn/internal/cli"
)

// version is set by the build.
var version = "dev"

func main() { os.Exit(cli.Main(version)) }
