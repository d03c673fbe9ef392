package doctor

import (
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/format"
)

// examples finds example files whose values look real.
func (c *checkout) examples() api.Check {
	out := api.Check{ID: "local.example", Title: "example files hold no real values", Source: secretsChecklist}
	files := c.matching(exampleFile)
	if len(files) == 0 {
		return c.nothing(out, "no .env.example or the like")
	}
	var found, unread []string
	for _, name := range files {
		b, ok := c.read(name)
		if !ok {
			unread = append(unread, name)
			continue
		}
		pairs, err := format.Decode(format.Dotenv, name, b)
		if err != nil {
			unread = append(unread, name)
			continue
		}
		for _, p := range pairs {
			if looksReal(p.Name, string(p.Value)) {
				found = append(found, name+":"+strconv.Itoa(p.Line)+" "+p.Name)
			}
		}
	}
	switch {
	case len(found) > 0:
		out.Outcome, out.Evidence = Fail, "looks real: "+evidence(found)
		out.Fix = "write the file anew without values: keyturn example > " + quoted(files[0]) + "; replace the values that stood there"
	case len(unread) > 0:
		out.Outcome, out.Evidence = Unknown, "couldn't read as dotenv: "+evidence(unread)
	default:
		out.Outcome, out.Evidence = Pass, evidence(files)
	}
	return out
}

// modes finds environment files that other users of the machine can read.
func (c *checkout) modes() api.Check {
	out := api.Check{ID: "local.mode", Title: "environment files are readable by their owner only", Source: operationsChecklist}
	files := c.matching(func(name string) bool { return envFile(name) })
	if len(files) == 0 {
		return c.nothing(out, "no .env file on disk")
	}
	if runtime.GOOS == "windows" {
		out.Outcome, out.Evidence = Unknown, "file modes say nothing on Windows"
		return out
	}
	var open []string
	for _, name := range files {
		info, err := os.Lstat(filepath.Join(c.dir, filepath.FromSlash(name)))
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			open = append(open, name+" ("+strconv.FormatUint(uint64(info.Mode().Perm()), 8)+")")
		}
	}
	if len(open) == 0 {
		out.Outcome, out.Evidence = Pass, evidence(files)
		return out
	}
	name, _, _ := strings.Cut(open[0], " (")
	out.Outcome, out.Evidence = Fail, "others can read "+evidence(open)
	out.Fix = "chmod 600 " + quoted(name) + ", or do without the file: keyturn import it, then keyturn run"
	return out
}

// credentials finds our own bearer secrets and root keys in files. Tokens carry a checksum, so that a find is no guess.
func (c *checkout) credentials() api.Check {
	out := api.Check{ID: "local.credential", Title: "no Keyturn token or root key lies in a file", Source: tokenChecklist}
	var found []string
	total := 0
	for _, name := range c.files {
		b, ok := c.read(name)
		if !ok {
			continue
		}
		if total += len(b); total > maxReadAll {
			c.cut = true
			break
		}
		line := 0
		for row := range strings.Lines(string(b)) {
			line++
			if what := credential(row); what != "" {
				found = append(found, name+":"+strconv.Itoa(line)+" "+what)
			}
		}
	}
	if len(found) > 0 {
		out.Outcome, out.Evidence = Fail, evidence(found)
		out.Fix = "revoke a token with keyturn token revoke ID, take the line out of the file, and log in with keyturn login instead"
		return out
	}
	return c.nothing(out, "looked through "+strconv.Itoa(len(c.files))+" files")
}

var (
	tokenPattern = regexp.MustCompile(`\bkt[a-z]_[0-9A-Za-z]{49}\b`)
	rootPattern  = regexp.MustCompile(`KEYTURN_ROOT_KEY["']?\s*[:=]\s*["']?[0-9A-Fa-f]{64}\b`)
)

func credential(row string) string {
	for _, s := range tokenPattern.FindAllString(row, -1) {
		if _, err := domain.CheckToken(s); err == nil {
			return "a token of kind " + s[:len("ktx_")]
		}
	}
	if rootPattern.MatchString(row) {
		return "a root key"
	}
	return ""
}

// nothing is the answer when no file was found that could be wrong.
func (c *checkout) nothing(out api.Check, seen string) api.Check {
	switch {
	case c.problem != "":
		out.Outcome, out.Evidence = Unknown, c.problem
	case c.cut:
		out.Outcome, out.Evidence = Unknown, "the folder is too large to be looked through; "+seen+" so far"
		out.Fix = "run the doctor in the folder of one project"
	default:
		out.Outcome, out.Evidence = Pass, seen
	}
	return out
}
