package backup

import (
	"context"
	"log/slog"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/store"
)

// Delete removes a backup from the place, also one that stands in no catalogue.
func (s *Service) Delete(ctx context.Context, name string) error {
	if err := s.admit(ctx, "delete", name); err != nil {
		return err
	}
	if err := s.delete(ctx, name); err != nil {
		return s.failed(ctx, "delete", name, err)
	}
	return nil
}

func (s *Service) delete(ctx context.Context, name string) error {
	place, err := s.place()
	if err != nil {
		return err
	}
	if err := checkName(name); err != nil {
		return err
	}
	row, known, err := s.find(ctx, name)
	if err != nil {
		return err
	}
	if !known {
		there, err := s.there(ctx)
		if err != nil {
			return err
		}
		if _, found := there[name]; !found {
			return missing(fault.New(fault.NotFound, "no such backup"))
		}
	}
	// The file goes first: a catalogue that names one too many tells so, a file that nobody knows stays for ever.
	if err := place.Delete(ctx, key(s.instance, name)); err != nil {
		return err
	}
	return s.door.Do(ctx, op(ctx, "delete", name, nil), func(tx *store.Tx, _ guard.Permit) error {
		if !known {
			return nil
		}
		row.RemovedAt = tx.Now()
		return tx.PutBackup(ctx, &row)
	})
}

// retain lets go what has become old. That it cannot is no failure of the backup that was just made.
func (s *Service) retain(ctx context.Context) {
	rows, err := s.src.DB.Backups(ctx)
	if err != nil {
		slog.Warn("old backups are not removed", "error", err)
		return
	}
	var all []kept
	names := map[string]string{}
	for i := range rows {
		r := &rows[i]
		if made(r) && r.Place != "" && r.Place == s.at() {
			all = append(all, kept{r.ID, atMS(r.CreatedAt), r.Problem == "" && (r.CheckedAt != 0 || r.DrilledAt != 0)})
			names[r.ID] = r.Name
		}
	}
	ctx = system(ctx)
	for _, id := range s.settings.Keep.drop(all) {
		if err := s.delete(ctx, names[id]); err != nil {
			slog.Warn("an old backup is not removed", "backup", names[id], "error", err)
		}
	}
}
