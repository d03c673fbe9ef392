package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/term"
)

// openWithin is how long the command waits for a server that has its root key to serve.
const openWithin = time.Minute

func (a *app) unlockCommand() *cobra.Command {
	var kind, file string
	var status, cancel bool
	c := &cobra.Command{
		Use:   "unlock",
		Short: "Unlock a server that waits for its root key",
		Long: `Unlock a server that was started with KEYTURN_WHEN_SEALED=wait and found no root key. What unlocks it is one of: a passphrase,
enough shares of different people, the identity of a recovery kit, or a root key. It is asked for on the terminal, or read
from --file; nothing is stored here. Each share holder runs the command once, from wherever he is.

Shares that were entered are forgotten ten minutes after the last one, or when somebody who may manage keys says --cancel.`,
		Example: `  keyturn unlock --status
  keyturn unlock                         asks for a passphrase
  keyturn unlock --kind share            asks for one share
  keyturn unlock --kind recovery --file recovery-identity.txt`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			if cancel {
				c, err := a.client()
				if err != nil {
					return err
				}
				s, err := c.CancelUnlock(ctx)
				return a.sealStatus(s, err)
			}
			server, err := a.trusted()
			if err != nil {
				return err
			}
			c, err := a.dial(server, "")
			if err != nil {
				return err
			}
			now, err := c.SealStatus(ctx)
			if err != nil || status || !now.Sealed {
				return a.sealStatus(now, err)
			}
			entry, err := a.unlockEntry(kind, file)
			if err != nil {
				return err
			}
			after, err := c.Unlock(ctx, entry)
			if err != nil {
				return err
			}
			if kind != "share" || after.Need == 0 || after.Have >= after.Need {
				after, err = a.awaitOpen(ctx, c, after)
			}
			return a.sealStatus(after, err)
		},
	}
	f := c.Flags()
	f.StringVar(&kind, "kind", "passphrase", "what is entered: passphrase, share, recovery or root-key")
	f.StringVar(&file, "file", "", "file that holds it, - for standard input; asked for otherwise")
	f.BoolVar(&status, "status", false, "only tell whether the server is sealed, and what opens it")
	f.BoolVar(&cancel, "cancel", false, "make the server forget the shares that were entered (needs a token that may manage keys)")
	_ = c.RegisterFlagCompletionFunc("kind", cobra.FixedCompletions([]string{"passphrase", "share", "recovery", "root-key"}, cobra.ShellCompDirectiveNoFileComp))
	return c
}

// unlockEntry reads what is entered.
func (a *app) unlockEntry(kind, file string) (api.Unlock, error) {
	var out api.Unlock
	into, ok := map[string]*string{"passphrase": &out.Passphrase, "share": &out.Share, "recovery": &out.Identity, "root-key": &out.RootKey}[kind]
	if !ok {
		return out, fault.New(fault.Invalid, "--kind is not valid").WithHint("want passphrase, share, recovery or root-key")
	}
	var err error
	if kind == "recovery" && file != "" { // identity files have comments and more than one line
		*into, err = a.identityFrom(file)
	} else {
		*into, err = a.password(file, "Enter the "+strings.ReplaceAll(kind, "-", " ")+":", false)
	}
	return out, err
}

// awaitOpen waits until a server that has its root key serves.
func (a *app) awaitOpen(ctx context.Context, c *client.Client, last api.SealStatus) (api.SealStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, openWithin)
	defer cancel()
	for last.Sealed {
		select {
		case <-ctx.Done():
			return last, fault.New(fault.Unavailable, "the server has its root key and does not serve yet").WithHint("look at its log")
		case <-time.After(100 * time.Millisecond):
		}
		s, err := c.SealStatus(ctx)
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			continue // it may be on its way from one state to the other
		}
		if err == nil {
			last = s
		}
	}
	return last, nil
}

func (a *app) sealStatus(s api.SealStatus, err error) error {
	if err != nil {
		return err
	}
	return a.print(s, func(w io.Writer) {
		if !s.Sealed {
			_, _ = fmt.Fprintln(w, "The server is unlocked.")
			return
		}
		_, _ = fmt.Fprintf(w, "The server is sealed: %s\n", term.Clean(s.Reason))
		if s.Need > 0 {
			_, _ = fmt.Fprintf(w, "%d of %d shares are entered.\n", s.Have, s.Need)
		}
		t := term.NewTable("SLOT", "KIND", "ROOT KEY")
		for _, slot := range s.Slots {
			t.Row(slot.ID, slot.Kind, slot.Fingerprint)
		}
		a.table(w, t)
	})
}

// maxIdentity bounds an identity file: one of the larger kind has two thousand characters, and comments.
const maxIdentity = 16 << 10

// identityFrom reads the identity out of a file as age-keygen writes it: comments begin with #.
func (a *app) identityFrom(file string) (string, error) {
	in := a.in
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return "", fault.Wrap(fault.Invalid, err, "the identity file cannot be read")
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, maxIdentity+1))
	if err != nil {
		return "", fmt.Errorf("read the identity: %w", err)
	}
	if len(b) > maxIdentity {
		return "", fault.New(fault.Invalid, "the identity file has more than %d KiB", maxIdentity>>10)
	}
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			return line, nil
		}
	}
	return "", fault.New(fault.Invalid, "the identity file holds no identity")
}
