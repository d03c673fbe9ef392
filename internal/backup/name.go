package backup

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/keyturn/keyturn/internal/fault"
)

// suffix ends the names of backups: a stream of this package in an age file.
const suffix = ".ktb.age"

// nameForm is what the last part of a backup's name may be. A place knows no capital letters.
var nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,200}\.ktb\.age$`)

// newName makes the name of a backup, which sorts by time: 2026-11-25t20-00-00z-EPOCH-RANDOM.ktb.age. Two servers of one
// instance never make the same.
func newName(at time.Time, epoch int64, note string) string {
	random := make([]byte, 2)
	_, _ = rand.Read(random) // never fails
	return fmt.Sprintf("%sz-%d-%s%s%s", at.UTC().Format("2006-01-02t15-04-05"), epoch, note, hex.EncodeToString(random), suffix)
}

// key is where a backup lies at its place: below a folder of its instance.
func key(instanceID, name string) string { return instanceID + "/" + name }

// checkName refuses what is no name of a backup, so that no request reaches another object.
func checkName(name string) error {
	if !nameForm.MatchString(name) || strings.Contains(name, "..") {
		return fault.New(fault.Invalid, "that is no name of a backup").WithHint("see the names with: keyturn backup list")
	}
	return nil
}
