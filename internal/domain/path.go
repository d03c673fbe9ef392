package domain

import (
	"strings"

	"github.com/keyturn/keyturn/internal/fault"
)

const (
	maxFolderName = 100
	// MaxDepth bounds how deep folders nest: deep enough for every real tree, shallow enough for a path to stay readable.
	MaxDepth = 16
)

// Path is the absolute path of a folder: "/" or "/a/b", never with a slash at the end.
type Path string

// Root is the folder that every environment has.
const Root Path = "/"

// ParsePath takes "", "/", "a/b", "/a/b/" and gives the one canonical form.
func ParsePath(s string) (Path, error) {
	s = strings.Trim(s, "/")
	if s == "" {
		return Root, nil
	}
	segments := strings.Split(s, "/")
	if len(segments) > MaxDepth {
		return "", fault.New(fault.Invalid, "path is too deep: folders nest to %d", MaxDepth)
	}
	for _, seg := range segments {
		if err := checkFolderName(seg); err != nil {
			return "", err
		}
	}
	return Path("/" + s), nil
}

func checkFolderName(s string) error {
	if len(s) > maxFolderName || !chars(s, "_-", true) {
		return fault.New(fault.Invalid, "not a folder name: want 1 to %d letters, digits, '_' or '-'", maxFolderName)
	}
	return nil
}

// Join gives the folder called name below p. The name is one segment.
func (p Path) Join(name string) (Path, error) {
	if err := checkFolderName(name); err != nil {
		return "", err
	}
	return ParsePath(string(p) + "/" + name)
}

// Parent gives the folder above, and the root for the root.
func (p Path) Parent() Path {
	if i := strings.LastIndexByte(string(p), '/'); i > 0 {
		return p[:i]
	}
	return Root
}

// Base gives the last segment, "" for the root.
func (p Path) Base() string { return string(p[strings.LastIndexByte(string(p), '/')+1:]) }

// Segments gives the folder names from the root down.
func (p Path) Segments() []string {
	if p == Root || p == "" {
		return nil
	}
	return strings.Split(string(p[1:]), "/")
}

// Contains tells whether q is p or lies below it.
func (p Path) Contains(q Path) bool {
	return p == Root || p == q || len(q) > len(p) && q[:len(p)] == p && q[len(p)] == '/'
}

// Rebase moves p from below the folder from to below the folder to. What does not lie there stays as it is.
func (p Path) Rebase(from, to Path) Path {
	if !from.Contains(p) {
		return p
	}
	rest := strings.TrimPrefix(strings.TrimPrefix(string(p), string(from)), "/")
	if rest == "" {
		return to
	}
	return Path(strings.TrimSuffix(string(to), "/") + "/" + rest)
}

// Key gives the full name of a secret in this folder, as logs and messages show it: "/backend/DATABASE_URL".
func (p Path) Key(name SecretName) string {
	if p == Root {
		return "/" + string(name)
	}
	return string(p) + "/" + string(name)
}

// SplitKey is the opposite of [Path.Key]; a bare name lies in base.
func SplitKey(base Path, key string) (Path, SecretName, error) {
	folder := base
	if i := strings.LastIndexByte(key, '/'); i >= 0 {
		var err error
		if folder, err = ParsePath(key[:i]); err != nil {
			return "", "", err
		}
		key = key[i+1:]
	}
	name, err := ParseSecretName(key)
	return folder, name, err
}

// Pattern selects folders: a path covers itself and all below; '*' stands for one segment, '**' for any number of them. A "."
// at the end says "this folder alone": "/a/." covers "/a" and nothing below it.
type Pattern string

// Alone is the last segment of a pattern that covers nothing below. No folder can have this name.
const Alone = "."

// ParsePattern gives the canonical pattern.
func ParsePattern(s string) (Pattern, error) {
	trimmed := strings.Trim(s, "/")
	if trimmed == "" || trimmed == "**" {
		return "/", nil
	}
	segments := strings.Split(trimmed, "/")
	last := len(segments) - 1
	names := segments
	if alone := segments[last] == Alone; alone {
		for names = segments[:last]; len(names) > 0 && names[len(names)-1] == "**"; names = names[:len(names)-1] {
			alone = false // some folder below alone: all of them
		}
		if !alone && len(names) == 0 {
			return "/", nil
		}
		if trimmed = strings.Join(names, "/"); alone {
			trimmed = strings.TrimPrefix(trimmed+"/"+Alone, "/")
		}
	}
	if len(names) > MaxDepth {
		return "", fault.New(fault.Invalid, "path pattern is too deep: folders nest to %d", MaxDepth)
	}
	for _, seg := range names {
		if seg != "*" && seg != "**" {
			if err := checkFolderName(seg); err != nil {
				return "", fault.New(fault.Invalid, "not a path pattern: want folder names, '*' for one and '**' for any number of them, and '.' at the end for the folder alone")
			}
		}
	}
	return Pattern("/" + trimmed), nil
}

// Match tells whether the folder p is covered. It takes time proportional to the product of both depths at most: after a
// "**" the leftmost fit is as good as any, so only the last one is ever tried again.
func (t Pattern) Match(p Path) bool {
	if t == "/" || t == "" {
		return true
	}
	if strings.IndexByte(string(t), '*') < 0 {
		if folder, alone := t.alone(); alone {
			return folder == p
		}
		return Path(t).Contains(p)
	}
	pattern, path := string(t[1:]), strings.TrimPrefix(string(p), "/")
	again, from, open := "", "", false // what follows the last "**", where it was tried last, and whether there is one
	for pattern != "" {
		want, wants, _ := strings.Cut(pattern, "/")
		if want == "**" {
			pattern, again, from, open = wants, wants, path, true
			continue
		}
		have, rest, _ := strings.Cut(path, "/")
		switch {
		case want == Alone && path == "":
			return true
		case have != "" && (want == "*" || want == have):
			pattern, path = wants, rest
		case open && from != "":
			_, from, _ = strings.Cut(from, "/")
			pattern, path = again, from
		default:
			return false
		}
	}
	return true // a path covers what lies below it
}

// alone gives the folder of a pattern without stars that covers nothing below.
func (t Pattern) alone() (Path, bool) {
	folder, ok := strings.CutSuffix(string(t), "/"+Alone)
	if ok && folder == "" {
		return Root, true
	}
	return Path(folder), ok
}
