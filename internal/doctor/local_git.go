package doctor

import (
	"context"
	"path/filepath"
	"strings"

	"github.com/keyturn/keyturn/api"
)

// trackedSecrets finds environment files and private keys that git would publish.
func (c *checkout) trackedSecrets() api.Check {
	out := api.Check{ID: "local.tracked", Title: "git tracks no file with secrets", Source: secretsChecklist}
	if c.noGit != "" {
		out.Outcome, out.Evidence = Unknown, c.noGit
		return out
	}
	var found []string
	for _, name := range c.tracked {
		switch {
		case envFile(name):
			found = append(found, name)
		case keyFile(name):
			if b, ok := c.read(name); !ok || strings.Contains(string(b), "PRIVATE KEY") {
				found = append(found, name)
			}
		}
	}
	if len(found) == 0 {
		out.Outcome, out.Evidence = Pass, "no .env file and no private key among the tracked files"
		return out
	}
	out.Outcome, out.Evidence = Fail, "tracked: "+evidence(found)
	out.Fix = "git rm --cached " + quoted(found[0]) + ", then replace every value in it: the history keeps the old ones"
	return out
}

// wanted are names that a .gitignore must keep out, one for each pattern: .env, .env.local, .env.*.local, *.pem, *.key.
var wanted = [...]struct{ name, pattern string }{
	{".env", ".env"}, {".env.local", ".env.local"}, {".env.production.local", ".env.*.local"}, {"server.pem", "*.pem"}, {"server.key", "*.key"},
}

// ignored asks git which of those names the repository's own .gitignore files cover. A personal exclude file does not count,
// since colleagues do not have it.
func (c *checkout) ignored(ctx context.Context) api.Check {
	out := api.Check{ID: "local.gitignore", Title: ".gitignore keeps secret files out", Source: secretsChecklist}
	names := ""
	for _, w := range wanted {
		names += w.name + "\x00"
	}
	answer, problem := c.git(ctx, names, "check-ignore", "--no-index", "--stdin", "-v", "-z")
	if c.noGit != "" || problem != "" {
		out.Outcome, out.Evidence = Unknown, firstOf(c.noGit, problem)
		return out
	}
	covered := map[string]bool{}
	fields := strings.Split(string(answer), "\x00") // source, line, pattern, name
	for i := 0; i+3 < len(fields); i += 4 {
		covered[fields[i+3]] = filepath.Base(fields[i]) == ".gitignore" && !strings.HasPrefix(fields[i+2], "!")
	}
	var lacks []string
	for _, w := range wanted {
		if !covered[w.name] {
			lacks = append(lacks, w.pattern)
		}
	}
	if len(lacks) == 0 {
		out.Outcome, out.Evidence = Pass, "covers .env, .env.local, .env.*.local, *.pem and *.key"
		return out
	}
	out.Outcome, out.Evidence = Fail, ".gitignore does not cover "+strings.Join(lacks, ", ")
	out.Fix = "add these lines to .gitignore: " + strings.Join(lacks, "  ")
	return out
}

// history says what this checklist does not look at.
func (c *checkout) history() api.Check {
	return api.Check{ID: "local.history", Title: "git history holds no secret", Outcome: Unknown, Source: secretsChecklist,
		Evidence: "git history isn't scanned here, only the files as they are now",
		Fix:      "scan the history with a secret scanner; replace what it finds, since removing it from the history does not undo a leak"}
}

func firstOf(texts ...string) string {
	for _, s := range texts {
		if s != "" {
			return s
		}
	}
	return ""
}

// quoted makes a name safe to paste into a shell.
func quoted(name string) string {
	if strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._/-") == "" && !strings.HasPrefix(name, "-") {
		return name
	}
	return "-- '" + strings.ReplaceAll(name, "'", `'\''`) + "'"
}
