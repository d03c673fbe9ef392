// Command cmd writes the reference pages into docs/reference. Run it from the root of the repository.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/keyturn/keyturn/internal/reference"
)

func main() {
	if err := write(); err != nil {
		fmt.Fprintln(os.Stderr, "reference:", err)
		os.Exit(1)
	}
}

func write() error {
	pages, err := reference.Pages()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(reference.Folder, 0o755); err != nil {
		return err
	}
	for _, p := range pages {
		if err := os.WriteFile(filepath.Join(reference.Folder, p.Name), p.Text, 0o644); err != nil {
			return err
		}
	}
	return nil
}
