package keys

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/store"
)

// Schedule says how old a key of each layer may become before it turns by itself; a layer that is absent never does.
type Schedule struct {
	Every   map[keyring.Layer]time.Duration
	Overlap map[keyring.Layer]time.Duration // of layers log and tokens: how long the old key stays valid
}

// day is what people count in here.
const day = 24 * time.Hour

// DefaultSchedule turns root, instance, index, log and token keys each year and project keys each quarter. Verifiers of the
// log have a month to see both keys, tokens of the old key live for their longest time.
const DefaultSchedule = "root=365d,instance=365d,project=90d,index=365d,log=365d,tokens=365d"

// DefaultOverlap is how long two signing keys are valid together.
const DefaultOverlap = "log=30d,tokens=90d"

// SealsTurn is where a key turns by itself, whatever its age: a quarter of the bound at which it would refuse to seal.
const SealsTurn = keyring.SealLimit / 4

// maxRunning bounds how many turns the schedule begins at once: a thousand projects that were made on one day take turns.
const maxRunning = 4

// ParseSchedule reads the two settings, such as "root=365d,project=90d,log=never" and "log=30d". A layer that is not named
// keeps its default. Durations are days (90d) or Go durations of at least a minute.
func ParseSchedule(every, overlap string) (Schedule, error) {
	out := Schedule{map[keyring.Layer]time.Duration{}, map[keyring.Layer]time.Duration{}}
	layers := []keyring.Layer{LayerRoot, keyring.LayerInstance, keyring.LayerProject, keyring.LayerIndex, keyring.LayerLog, keyring.LayerTokens}
	for _, part := range []struct {
		into map[keyring.Layer]time.Duration
		text string
		may  []keyring.Layer
	}{{out.Every, DefaultSchedule + "," + every, layers}, {out.Overlap, DefaultOverlap + "," + overlap, layers[4:]}} {
		if err := parsePeriods(part.into, part.text, part.may); err != nil {
			return out, err
		}
	}
	return out, nil
}

func parsePeriods(into map[keyring.Layer]time.Duration, text string, may []keyring.Layer) error {
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		name, value, _ := strings.Cut(item, "=")
		known := false
		for _, l := range may {
			known = known || string(l) == name
		}
		if !known {
			return fault.New(fault.Invalid, "want LAYER=PERIOD with the layers %v", may)
		}
		if value == "never" {
			delete(into, keyring.Layer(name))
			continue
		}
		d, err := parsePeriod(value)
		if err != nil {
			return fault.New(fault.Invalid, "the period of %s is not valid: want for example 90d, 720h or never", name)
		}
		into[keyring.Layer(name)] = d
	}
	return nil
}

func parsePeriod(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseInt(days, 10, 32)
		if err != nil || n < 1 {
			return 0, fmt.Errorf("not a number of days")
		}
		return time.Duration(n) * day, nil
	}
	d, err := time.ParseDuration(s)
	if err == nil && d < time.Minute {
		err = fmt.Errorf("too short")
	}
	return d, err
}

func (s *Service) overlap(layer keyring.Layer, o Order) time.Duration {
	if o.Overlap > 0 {
		return o.Overlap
	}
	return s.schedule.Overlap[layer]
}

// beginDue begins what is due by age or by use.
func (s *Service) beginDue(ctx context.Context) {
	running, err := s.db.RunningKeyTurns(ctx)
	if err != nil {
		return
	}
	s.renewRoot(ctx, running)
	begun := len(running)
	busy := map[Scope]bool{}
	for _, t := range running {
		busy[Scope{keyring.Layer(t.Layer), t.Project}] = true
	}
	for _, k := range s.ring.Rows() {
		sc := Scope{k.Layer, domain.ProjectID(k.Project)}
		if k.State != keyring.StatePrimary || busy[sc] || begun >= maxRunning {
			continue
		}
		every, scheduled := s.schedule.Every[k.Layer]
		o := Order{cause: causeSchedule}
		switch {
		case k.SealsReserved >= SealsTurn:
			o.cause = causeLimit
		case !scheduled || time.Since(time.UnixMilli(k.CreatedMS)) < every:
			continue
		}
		if _, err := s.Begin(ctx, sc, o); err != nil && !errors.Is(err, fault.Conflict) {
			slog.Warn("a key that is due cannot turn", "layer", k.Layer, "project", k.Project, "error", err)
			continue
		}
		begun++
	}
}

// renewRoot turns the root key of a slot whose source needs no person for it: another root key is made and wrapped there, then
// the old slot goes.
func (s *Service) renewRoot(ctx context.Context, running []store.KeyTurn) {
	every, scheduled := s.schedule.Every[LayerRoot]
	slots, err := s.slots(ctx)
	if err != nil || !scheduled || slices.ContainsFunc(running, func(t store.KeyTurn) bool { return t.Layer == string(LayerRoot) }) {
		return
	}
	for _, slot := range slots {
		if slot.ID != *s.opened.Load() || time.Since(at(slot.CreatedMS)) < every || !s.unlocker.Renews(slot) {
			continue
		}
		made, err := s.AddSlot(ctx, api.KeySlotRequest{Source: slot.Source, Replaces: slot.Fingerprint})
		if err == nil {
			s.opened.Store(&made.ID)
			_, err = s.RemoveSlot(ctx, slot.ID, false)
		}
		if err != nil {
			slog.Warn("the root key is due and cannot turn", "slot", slot.ID, "error", err)
		}
	}
}

// schedules tells when each layer is due next.
func (s *Service) schedules(slots []keyring.SlotRow) []api.KeySchedule {
	oldest := map[keyring.Layer]time.Time{}
	note := func(layer keyring.Layer, made time.Time) {
		if t, ok := oldest[layer]; !ok || made.Before(t) {
			oldest[layer] = made
		}
	}
	for _, k := range s.ring.Rows() {
		if k.State == keyring.StatePrimary {
			note(k.Layer, at(k.CreatedMS))
		}
	}
	byHand := true
	for _, slot := range slots { // a recovery kit is renewed with its backups, not by the calendar
		if slot.ID == *s.opened.Load() {
			note(LayerRoot, at(slot.CreatedMS))
			byHand = !s.unlocker.Renews(slot)
		}
	}
	var out []api.KeySchedule
	for _, layer := range []keyring.Layer{LayerRoot, keyring.LayerInstance, keyring.LayerProject, keyring.LayerIndex, keyring.LayerLog, keyring.LayerTokens} {
		line := api.KeySchedule{Layer: string(layer), Every: "never", ByHand: layer == LayerRoot && byHand}
		if every, ok := s.schedule.Every[layer]; ok {
			line.Every = fmt.Sprintf("%dd", int(every/day))
			if every%day != 0 {
				line.Every = every.String()
			}
			if made, ok := oldest[layer]; ok {
				line.Due = made.Add(every)
				line.Overdue = time.Now().After(line.Due)
			}
		}
		out = append(out, line)
	}
	return out
}
