package store_test

import (
	"context"
	"strings"
	"testing"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/store"
	"github.com/keyturn/keyturn/internal/store/sqlite"
	"github.com/keyturn/keyturn/internal/store/storetest"
)

// TestHotQueriesUseAnIndex asks SQLite for the plan of every query that stands on the path of a request: none may walk a
// table from end to end.
func TestHotQueriesUseAnIndex(t *testing.T) {
	ctx := t.Context()
	e, err := sqlite.Open(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	db := storetest.Found(t, func(context.Context) (*store.Engine, error) { return e, nil })
	w := storetest.Settle(t, db)
	org, project, env, folder := w.Org.ID, w.Project.ID, w.Env.ID, w.Root.ID
	secret, user, identity := domain.NewID[domain.SecretID](), domain.NewID[domain.UserID](), domain.NewID[domain.IdentityID]()
	hash := []byte{1}

	var texts []string
	var args [][]any
	q := store.Watch(db, func(text string, a []any) { texts, args = append(texts, text), append(args, a) })
	for name, ask := range map[string]func() error{
		"instance":              func() error { _, err := q.Instance(ctx); return err },
		"feed":                  func() error { _, err := q.FeedSince(ctx, 1); return err },
		"idempotency":           func() error { _, err := q.Idempotent(ctx, "x"); return err },
		"token":                 func() error { _, err := q.TokenByHash(ctx, hash); return err },
		"token by id":           func() error { _, err := q.Token(ctx, "x"); return err },
		"tokens of a principal": func() error { _, err := q.TokensOf(ctx, "x"); return err },
		"grants of a principal": func() error { _, err := q.GrantsOf(ctx, "x"); return err },
		"client secret":         func() error { _, err := q.ClientSecretByHash(ctx, hash); return err },
		"client secrets":        func() error { _, err := q.ClientSecrets(ctx, identity); return err },
		"person":                func() error { _, err := q.Person(ctx, user); return err },
		"person by address":     func() error { _, err := q.PersonByEmail(ctx, "x"); return err },
		"identity":              func() error { _, err := q.Identity(ctx, identity); return err },
		"identity by name":      func() error { _, err := q.IdentityByName(ctx, org, "x"); return err },
		"project":               func() error { _, err := q.Project(ctx, project); return err },
		"project by slug":       func() error { _, err := q.ProjectBySlug(ctx, org, "x"); return err },
		"environments":          func() error { _, err := q.Environments(ctx, project); return err },
		"environment":           func() error { _, err := q.Environment(ctx, env); return err },
		"environment by slug":   func() error { _, err := q.EnvironmentBySlug(ctx, project, "x"); return err },
		"commits":               func() error { _, err := q.Commits(ctx, env, 5, 5); return err },
		"commit":                func() error { _, err := q.CommitAt(ctx, env, 5); return err },
		"folders":               func() error { _, err := q.Folders(ctx, env); return err },
		"all folders":           func() error { _, err := q.AllFolders(ctx, env); return err },
		"folder":                func() error { _, err := q.Folder(ctx, folder); return err },
		"version of a document": func() error { _, err := q.DocumentVersion(ctx, folder, 1); return err },
		"newer versions of it":  func() error { _, err := q.DocumentVersionsFrom(ctx, folder, 3); return err },
		"versions of it":        func() error { _, err := q.DocumentVersions(ctx, folder); return err },
		"documents that end":    func() error { _, err := q.DocumentVersionsDue(ctx, 1, 0, 5); return err },
		"a folder as it was":    func() error { _, err := q.SecretsInAt(ctx, folder, 5); return err },
		"all it ever held":      func() error { _, err := q.StatesEverIn(ctx, folder); return err },
		"empty folders":         func() error { _, err := q.EmptyFolders(ctx, env); return err },
		"mounts":                func() error { _, err := q.Mounts(ctx, org); return err },
		"folder by path":        func() error { _, err := q.FolderByPath(ctx, env, "/"); return err },
		"folders changed":       func() error { _, err := q.FoldersChangedSince(ctx, env, 1); return err },
		"folders at":            func() error { _, err := q.FoldersAt(ctx, env, 1); return err },
		"secrets in":            func() error { _, err := q.SecretsIn(ctx, folder); return err },
		"secrets named":         func() error { _, err := q.SecretsNamed(ctx, folder, "A", "B", "C"); return err },
		"secret":                func() error { _, err := q.Secret(ctx, secret); return err },
		"live secrets":          func() error { _, err := q.LiveSecrets(ctx, env); return err },
		"deleted secrets":       func() error { _, err := q.DeletedSecrets(ctx, env); return err },
		"secrets changed":       func() error { _, err := q.ChangedSince(ctx, env, 1); return err },
		"secret states":         func() error { _, err := q.SecretStates(ctx, secret); return err },
		"secrets at":            func() error { _, err := q.SecretsAt(ctx, env, 1); return err },
		"states between":        func() error { _, err := q.StatesBetween(ctx, env, 1, 2); return err },
		"secrets with digest":   func() error { _, _, err := q.SecretsWithDigest(ctx, org, hash); return err },
		"references from":       func() error { _, err := q.ReferencesFrom(ctx, secret); return err },
		"references to":         func() error { _, err := q.ReferencesTo(ctx, secret); return err },
		"references into":       func() error { _, err := q.ReferencesInto(ctx, env); return err },
		"settings":              func() error { _, err := q.OrgSettings(ctx, org); return err },
		"invite":                func() error { _, err := q.InviteByHash(ctx, hash); return err },
		"invites of a person":   func() error { _, err := q.InvitesOf(ctx, user); return err },
		"invites":               func() error { _, err := q.Invites(ctx, org, store.LinkInvite); return err },
		"second factors":        func() error { _, err := q.SecondFactors(ctx, user); return err },
		"recovery codes":        func() error { _, err := q.RecoveryCodes(ctx, user); return err },
		"tasks":                 func() error { _, err := q.LeaverTasks(ctx, org, "", false); return err },
		"tasks of a leaver":     func() error { _, err := q.LeaverTasks(ctx, org, user, true); return err },
		"personal":              func() error { _, err := q.Personal(ctx, secret, user); return err },
		"transit key":           func() error { _, err := q.TransitKey(ctx, "x"); return err },
		"transit key by name":   func() error { _, err := q.TransitKeyByName(ctx, org, project, "x"); return err },
		"transit keys":          func() error { _, err := q.TransitKeys(ctx, org, project); return err },
		"transit keys counted":  func() error { _, err := q.CountTransitKeys(ctx, org, project); return err },
		"transit keys due":      func() error { _, err := q.TransitKeysDue(ctx, 1, 0, 5); return err },
		"transit versions":      func() error { _, err := q.TransitVersions(ctx, "x"); return err },
		"personals":             func() error { _, err := q.PersonalsOf(ctx, user, project); return err },
	} {
		texts, args = nil, nil
		_ = ask() // many find nothing
		if len(texts) == 0 {
			t.Errorf("%s asked nothing", name)
		}
		for i, text := range texts {
			explain(t, e, name, text, args[i])
		}
	}
	for _, text := range []string{
		"UPDATE folder SET version = version + 1 WHERE id = ?",
		"UPDATE key_generation SET seals_reserved = seals_reserved + 1 WHERE id = ? RETURNING seals_reserved",
		"DELETE FROM idempotency WHERE at < ?",
		"DELETE FROM feed WHERE seq < ?",
		"DELETE FROM secret_ref WHERE from_id = ?",
		"UPDATE secret SET value = NULL WHERE id = ?",
		"UPDATE secret_history SET value = NULL WHERE id = ?",
		"UPDATE personal SET value = NULL WHERE secret_id = ?",
		"SELECT first FROM audit_chunk WHERE first <= ? ORDER BY first DESC LIMIT 1",
		"SELECT first FROM audit_chunk WHERE first >= ? ORDER BY first LIMIT 1",
		"SELECT hashes FROM audit_tile WHERE level = ? AND idx = 1",
	} {
		explain(t, e, "statement", text, []any{1})
	}
}

func explain(t *testing.T, e *store.Engine, name, text string, args []any) {
	t.Helper()
	rows, err := e.Readers.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+text, args...)
	if err != nil {
		t.Fatalf("%s: %s: %v", name, text, err)
	}
	defer func() { _ = rows.Close() }()
	steps := 0
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		steps++
		if strings.HasPrefix(detail, "SCAN ") {
			t.Errorf("%s walks a whole table: %s\n%s", name, detail, text)
		}
	}
	if err := rows.Err(); err != nil || steps == 0 {
		t.Errorf("%s has no plan: %v", name, err)
	}
}
