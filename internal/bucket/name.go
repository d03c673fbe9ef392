package bucket

import (
	"strings"

	"github.com/keyturn/keyturn/internal/fault"
)

const (
	// maxName is the length of a name in bytes. S3 allows keys of 1024 bytes; the other half is for the prefix in the
	// address.
	maxName = 512
	// maxSegment is the longest file name that all common file systems keep.
	maxSegment = 255
	// partial begins the names of what is half written.
	partial = ".partial-"

	nameBytes = "abcdefghijklmnopqrstuvwxyz0123456789._-"
)

// checkName tells what is wrong with a name, without repeating it.
func checkName(name string) error {
	if problem := nameProblem(name); problem != "" {
		return fault.New(fault.Invalid, "the name of the object is wrong: %s", problem)
	}
	return nil
}

func nameProblem(name string) string {
	switch {
	case name == "":
		return "it is empty"
	case len(name) > maxName:
		return "it is longer than 512 bytes"
	}
	for segment := range strings.SplitSeq(name, "/") {
		switch {
		case segment == "":
			return "a part between slashes is empty"
		case segment == "." || segment == "..":
			return "a part is . or .."
		case len(segment) > maxSegment:
			return "a part is longer than 255 bytes"
		case strings.HasPrefix(segment, partial):
			return "a part begins with .partial-, which is kept for what is half written"
		case strings.Trim(segment, nameBytes) != "":
			return "only a-z, 0-9, dot, underscore and hyphen may stand between slashes"
		}
	}
	return ""
}

// checkPrefix accepts what a name can begin with, and the empty string.
func checkPrefix(prefix string) error {
	folder, _ := cutPrefix(prefix)
	problem := ""
	switch {
	case prefix == "":
	case len(prefix) > maxName:
		problem = "it is longer than 512 bytes"
	case strings.Trim(prefix, nameBytes+"/") != "":
		problem = "only a-z, 0-9, dot, underscore, hyphen and slash may stand in it"
	case strings.HasPrefix(prefix, "/"):
		problem = "it begins with a slash"
	case folder != "":
		problem = nameProblem(folder)
	}
	if problem != "" {
		return fault.New(fault.Invalid, "the prefix of the list is wrong: %s", problem)
	}
	return nil
}

// cutPrefix parts a prefix at its last slash: the folder that holds all its names, and what their next segment begins
// with.
func cutPrefix(prefix string) (folder, begin string) {
	if i := strings.LastIndexByte(prefix, '/'); i >= 0 {
		return prefix[:i], prefix[i+1:]
	}
	return "", prefix
}
