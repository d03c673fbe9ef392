package doctor

import (
	"fmt"
	"time"

	"github.com/keyturn/keyturn/api"
)

// Backup is what the server knows of its backups.
type Backup struct {
	Kits     int    // recipients of recovery kits
	Place    string // without credentials; "" for none
	SameDisk bool   // the place is a folder on the disk of the data
	// Made tells that there is one; Age is that of the newest.
	Made       bool
	Age, Every time.Duration // Every 0 = never
	Failures   int           // since the newest
	Problem    string        // of the last failure
	// Drilled tells that a drill was held, DrillAge how long ago.
	Drilled              bool
	DrillAge, DrillEvery time.Duration
	DrillProblem         string
}

// Where no schedule is set, people make backups and hold drills by hand; these are the periods that they are held to.
const (
	expectedEvery = 24 * time.Hour
	expectedDrill = 7 * 24 * time.Hour
)

// seedBackup is the checklist that these checks come from.
const seedBackup = seedKeys

func recoveryKit(b Backup) api.Check {
	return one("recovery-kit", "a recovery kit exists, so that a lost root key is not the end", seedBackup, b.Kits > 0, fail,
		said(b.Kits > 0, count(b.Kits, "recipient"), "there is none: no backup can be made, and whoever loses the root key loses everything"), "keyturn keys recovery create")
}

func backupMade(b Backup) api.Check {
	limit := 2 * b.Every
	if b.Every == 0 {
		limit = 2 * expectedEvery
	}
	c := api.Check{ID: "backup", Title: "a fresh backup exists", Source: seedBackup, Outcome: pass}
	switch {
	case b.Kits == 0:
		c.Outcome, c.Evidence, c.Fix = fail, "without a recovery kit none can be made", "keyturn keys recovery create"
	case !b.Made:
		c.Outcome, c.Evidence, c.Fix = fail, "there is none", "keyturn backup create"
	case b.Age > limit:
		c.Outcome, c.Evidence, c.Fix = fail, "the newest is "+days(b.Age)+" old", "keyturn backup create, and look at KEYTURN_BACKUP_TO and KEYTURN_BACKUP_EVERY"
	default:
		c.Evidence = "the newest is " + days(b.Age) + " old"
	}
	if b.Failures > 0 {
		c.Evidence += fmt.Sprintf("; %s since, the last one: %s", count(b.Failures, "failure"), b.Problem)
		if c.Outcome == pass {
			c.Outcome, c.Fix = warn, "keyturn backup create tells more"
		}
	}
	return c
}

func backupAway(b Backup) api.Check {
	c := one("backup-place", "backups lie away from the data", seedBackup, !b.SameDisk, warn, said(b.Place == "", "no place is set", b.Place),
		"set KEYTURN_BACKUP_TO to another disk, another machine or an s3:// address")
	if b.Place == "" && !b.Made {
		c.Outcome, c.Fix = warn, "set KEYTURN_BACKUP_TO, or fetch backups from another machine: keyturn backup create --out FILE"
	}
	return c
}

func drilled(b Backup) api.Check {
	limit := 2 * b.DrillEvery
	if b.DrillEvery == 0 {
		limit = 2 * expectedDrill
	}
	c := api.Check{ID: "backup-drill", Title: "a backup was restored lately", Source: seedBackup, Outcome: pass, Fix: "keyturn backup drill"}
	switch {
	case !b.Drilled:
		c.Outcome, c.Evidence = warn, "no drill was held yet"
	case b.DrillProblem != "":
		c.Outcome, c.Evidence = fail, "the last drill: "+b.DrillProblem
	case b.DrillAge > limit:
		c.Outcome, c.Evidence = warn, "the last drill was "+days(b.DrillAge)+" ago"
	default:
		c.Evidence, c.Fix = "the last drill was "+days(b.DrillAge)+" ago, and everything opened", ""
	}
	return c
}

// days says how long in the unit that people would take.
func days(d time.Duration) string {
	switch {
	case d < time.Hour:
		return count(int(d/time.Minute), "minute")
	case d < 48*time.Hour:
		return count(int(d/time.Hour), "hour")
	}
	return count(int(d/(24*time.Hour)), "day")
}
