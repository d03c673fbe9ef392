package cli

import (
	"strconv"
	"strings"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
)

// parseSide takes what diff compares: ENV, ENV@REVISION, or @REVISION of the environment env. It gives the form that the
// server takes.
func parseSide(env, s string) (string, error) {
	wrong := func(problem string) error {
		return fault.New(fault.Invalid, "not a side of a comparison: %s", problem).
			WithHint("want ENV, ENV@REVISION or @REVISION, for example: keyturn diff staging prod, or: keyturn diff @4 @7")
	}
	name, revision, dated := strings.Cut(s, "@")
	if name == "" {
		name = env
	}
	switch {
	case !dated && s == "":
		return "", wrong("it is empty")
	case name == "":
		return "", wrong("no environment is chosen for @REVISION")
	}
	if _, err := domain.ParseSlug(name); err != nil && !domain.IsID(name) {
		return "", wrong("what stands before '@' is not the name of an environment")
	}
	if !dated {
		return name, nil
	}
	n, err := strconv.ParseInt(revision, 10, 64)
	if err != nil || n < 1 {
		return "", wrong("a revision is a number from 1")
	}
	return name + "@" + strconv.FormatInt(n, 10), nil
}
