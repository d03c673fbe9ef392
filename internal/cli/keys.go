package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/fault"
)

// The layers of keys that turn at a word, in the order in which people read them. The root layer turns by slots.
const (
	layerRoot     = "root"
	layerInstance = "instance"
	layerProject  = "project"
	layerIndex    = "index"
	layerLog      = "log"
	layerTokens   = "tokens"
	layerAll      = "all"
)

var turnLayers = []string{layerInstance, layerProject, layerIndex, layerLog, layerTokens, layerAll}

// Stages of a turn that the command line knows by name; see package keys.
const (
	stageMoving  = "moving"
	stageOverlap = "overlap"
	stageDone    = "done"
	stageUndone  = "undone"
)

func (a *app) keysCommand() *cobra.Command {
	return groupCommand("keys", "Turn keys, keep the ways to unlock, and prove what lies under which key",
		a.keysStatusCommand(), a.keysSlotsCommand(), a.keysHistoryCommand(), a.keysShowCommand(), a.keysRotateCommand(), a.keysSlotCommand(),
		a.keysRecoveryCommand(), a.keysCensusCommand(), a.keysVerifyCommand(), a.keysPauseCommand(), a.keysResumeCommand(), a.keysFinishCommand())
}

// findSlot finds a slot by its id or by the fingerprint of its root key.
func findSlot(slots []api.KeySlot, name string) (api.KeySlot, error) {
	for _, s := range slots {
		if s.ID == name || s.Fingerprint == name {
			return s, nil
		}
	}
	return api.KeySlot{}, fault.New(fault.NotFound, "no key slot has that id or root key").WithHint("see: keyturn keys slots")
}

// unlockedBy finds the slot that unlocked the server.
func unlockedBy(slots []api.KeySlot) (api.KeySlot, bool) {
	i := slices.IndexFunc(slots, func(s api.KeySlot) bool { return s.Unlocked })
	if i < 0 {
		return api.KeySlot{}, false
	}
	return slots[i], true
}

// findTurn finds a running turn by its id, or by its layer and project. Turns that are over are found by id only, at the
// server, which says that they are over.
func findTurn(ctx context.Context, c *client.Client, args []string) (string, error) {
	name, project := args[0], ""
	if len(args) > 1 {
		project = args[1]
	}
	if name != layerRoot && !slices.Contains(turnLayers, name) {
		if project != "" {
			return "", fault.New(fault.Invalid, "only a layer takes a project").WithHint("say LAYER PROJECT, or the id of the turn alone")
		}
		return name, checkSegment("turn", name)
	}
	s, err := c.Keys(ctx)
	if err != nil {
		return "", err
	}
	var found []string
	for _, t := range s.Running {
		if t.Layer == name && (project == "" || t.Project == project || t.ProjectID == project) {
			found = append(found, t.ID)
		}
	}
	switch len(found) {
	case 0:
		return "", fault.New(fault.NotFound, "no such turn runs").WithHint("see: keyturn keys status")
	case 1:
		return found[0], nil
	}
	return "", fault.New(fault.Invalid, "%d turns of that layer run", len(found)).WithHint("name the project or the turn: keyturn keys status")
}

// kindOf tells the kind of a failure, whether it came from the server or from here.
func kindOf(err error) fault.Kind {
	if e, ok := errors.AsType[*client.Error](err); ok {
		return fault.Kind(e.Kind)
	}
	return fault.KindOf(err)
}

// completeSlots offers the ids of slots.
func (a *app) completeSlots(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	return oneOf(a.complete(func(ctx context.Context, c *client.Client) ([]string, error) {
		s, err := c.Keys(ctx)
		var out []string
		for _, slot := range s.Slots {
			out = append(out, slot.ID, slot.Fingerprint)
		}
		return out, err
	}))(cmd, args, toComplete)
}

// completeFingerprints offers the root keys that have a slot.
func (a *app) completeFingerprints(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	return a.complete(func(ctx context.Context, c *client.Client) ([]string, error) {
		s, err := c.Keys(ctx)
		var out []string
		for _, slot := range s.Slots {
			out = append(out, slot.Fingerprint)
		}
		return out, err
	})(cmd, args, toComplete)
}

// completeTurns offers the ids of turns that have a history.
func (a *app) completeTurns(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	return a.complete(func(ctx context.Context, c *client.Client) ([]string, error) {
		all, err := c.KeyTurns(ctx, maxOffered)
		var out []string
		for _, t := range all.Turns {
			out = append(out, t.ID)
		}
		return out, err
	})(cmd, args, toComplete)
}

// completeRunning offers layers and ids of turns that run, and then their projects.
func (a *app) completeRunning(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 1 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.complete(func(ctx context.Context, c *client.Client) ([]string, error) {
		s, err := c.Keys(ctx)
		var out []string
		for _, t := range s.Running {
			switch {
			case len(args) == 0:
				out = append(out, t.ID, t.Layer)
			case t.Layer == args[0] && t.Project != "":
				out = append(out, t.Project)
			}
		}
		slices.Sort(out)
		return slices.Compact(out), err
	})(cmd, args, toComplete)
}

// maxOffered bounds what a key press fetches: nobody picks an older turn from a list.
const maxOffered = 50

// shortFrom is how long a source may be before a table cuts it: the recipients of recovery kits have two thousand characters.
const shortFrom = 64

func short(s string) string {
	if len(s) <= shortFrom {
		return s
	}
	return s[:shortFrom-3] + "..."
}

// scopeName says in words which key turns.
func scopeName(layer, project string) string {
	if project != "" {
		return "key of project " + project
	}
	return layer + " key"
}

// howOld says how old something is, as coarsely as people think of it.
func howOld(t, now time.Time) string {
	switch d := now.Sub(t); {
	case t.IsZero():
		return ""
	case d < time.Minute:
		return "now"
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	default:
		return fmt.Sprintf("%dd", int(d.Hours()/24))
	}
}

// list joins words as a sentence does.
func list(words []string, last string) string {
	switch n := len(words); n {
	case 0:
		return "none"
	case 1:
		return words[0]
	default:
		return strings.Join(words[:n-1], ", ") + " " + last + " " + words[n-1]
	}
}
