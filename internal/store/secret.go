package store

import (
	"cmp"
	"context"
	"crypto/sha256"
	"math/bits"
	"slices"
	"strings"

	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/domain"
)

// Folders lists the live folders of an environment by path.
func (q Queries) Folders(ctx context.Context, env domain.EnvID) ([]Folder, error) {
	return folders.list(ctx, q.q, "WHERE env_id = ? AND deleted = 0 ORDER BY path", string(env))
}

// AllFolders lists deleted ones too.
func (q Queries) AllFolders(ctx context.Context, env domain.EnvID) ([]Folder, error) {
	return folders.list(ctx, q.q, "WHERE env_id = ? ORDER BY path, id", string(env))
}

// Folder finds one by id, live or not.
func (q Queries) Folder(ctx context.Context, id domain.FolderID) (Folder, error) {
	return folders.one(ctx, q.q, "WHERE id = ?", string(id))
}

// FolderByPath finds a live one.
func (q Queries) FolderByPath(ctx context.Context, env domain.EnvID, path domain.Path) (Folder, error) {
	return folders.one(ctx, q.q, "WHERE env_id = ? AND path = ? AND deleted = 0", string(env), string(path))
}

// FoldersImporting lists live folders of the project whose settings name the folder.
func (q Queries) FoldersImporting(ctx context.Context, org domain.OrgID, id domain.FolderID) ([]Folder, error) {
	return folders.list(ctx, q.q, "WHERE org_id = ? AND deleted = 0 AND settings LIKE ?", string(org), "%"+string(id)+"%")
}

// FoldersWithImports lists all live folders of the organisation that show others.
func (q Queries) FoldersWithImports(ctx context.Context, org domain.OrgID) ([]Folder, error) {
	return folders.list(ctx, q.q, "WHERE org_id = ? AND deleted = 0 AND settings LIKE ?", string(org), `%"imports":%`)
}

// PutFolders replaces states of folders; the states that were replaced go to the history.
func (tx *Tx) PutFolders(ctx context.Context, old, rows []*Folder) error {
	if err := folderHistory.put(ctx, tx, old...); err != nil {
		return err
	}
	return folders.put(ctx, tx, rows...)
}

// TouchFolders counts a commit in each folder that it touched.
func (tx *Tx) TouchFolders(ctx context.Context, ids ...domain.FolderID) error {
	for _, id := range ids {
		if _, err := tx.exec(ctx, "UPDATE folder SET version = version + 1 WHERE id = ?", string(id)); err != nil {
			return err
		}
	}
	return nil
}

// SecretsIn lists the live secrets of a folder by name.
func (q Queries) SecretsIn(ctx context.Context, folder domain.FolderID) ([]Secret, error) {
	return secretRows.list(ctx, q.q, "WHERE folder_id = ? AND deleted = 0 ORDER BY name", string(folder))
}

// SecretsNamed finds live secrets of a folder by their names.
func (q Queries) SecretsNamed(ctx context.Context, folder domain.FolderID, names ...domain.SecretName) ([]Secret, error) {
	if len(names) == 1 { // the read path, when a value is not at hand
		return secretRows.list(ctx, q.q, "WHERE folder_id = ? AND name = ? AND deleted = 0", string(folder), string(names[0]))
	}
	var out []Secret
	const perQuery = 512
	for len(names) > 0 {
		n := min(len(names), perQuery)
		args := []any{string(folder)}
		for _, name := range names[:n] {
			args = append(args, string(name))
		}
		marked := 1 << bits.Len(uint(n-1)) // few different texts, so that the statement cache holds them
		for range marked - n {
			args = append(args, string(names[n-1]))
		}
		marks := strings.TrimSuffix(strings.Repeat("?, ", marked), ", ")
		rows, err := secretRows.list(ctx, q.q, "WHERE folder_id = ? AND name IN ("+marks+") AND deleted = 0", args...)
		if err != nil {
			return nil, err
		}
		out, names = append(out, rows...), names[n:]
	}
	return out, nil
}

// Secret finds one by id, live or not.
func (q Queries) Secret(ctx context.Context, id domain.SecretID) (Secret, error) {
	return secretRows.one(ctx, q.q, "WHERE id = ?", string(id))
}

// LiveSecrets lists the live secrets of an environment.
func (q Queries) LiveSecrets(ctx context.Context, env domain.EnvID) ([]Secret, error) {
	return secretRows.list(ctx, q.q, "WHERE env_id = ? AND deleted = 0 ORDER BY folder_id, name", string(env))
}

// DeletedSecrets lists the deleted secrets of an environment that are not purged, newest deletion first.
func (q Queries) DeletedSecrets(ctx context.Context, env domain.EnvID) ([]Secret, error) {
	return secretRows.list(ctx, q.q, "WHERE env_id = ? AND deleted > 0 AND value IS NOT NULL ORDER BY deleted DESC, id", string(env))
}

// ChangedSince lists the current states that are newer than a revision, deleted ones too.
func (q Queries) ChangedSince(ctx context.Context, env domain.EnvID, revision int64) ([]Secret, error) {
	return secretRows.list(ctx, q.q, "WHERE env_id = ? AND revision > ?", string(env), revision)
}

// FoldersChangedSince lists the current states of folders that are newer than a revision.
func (q Queries) FoldersChangedSince(ctx context.Context, env domain.EnvID, revision int64) ([]Folder, error) {
	return folders.list(ctx, q.q, "WHERE env_id = ? AND revision > ?", string(env), revision)
}

// SecretStates lists every state of a secret, newest first.
func (q Queries) SecretStates(ctx context.Context, id domain.SecretID) ([]Secret, error) {
	now, err := secretRows.list(ctx, q.q, "WHERE id = ?", string(id))
	if err != nil {
		return nil, err
	}
	old, err := secretHistory.list(ctx, q.q, "WHERE id = ? ORDER BY revision DESC", string(id))
	if err != nil {
		return nil, err
	}
	return distinct(append(now, old...)), nil
}

// distinct drops a state that was moved to the history between two queries and came twice.
func distinct(states []Secret) []Secret {
	type key struct {
		id       domain.SecretID
		revision int64
	}
	seen := map[key]bool{}
	return slices.DeleteFunc(states, func(s Secret) bool {
		k := key{s.ID, s.Revision}
		twice := seen[k]
		seen[k] = true
		return twice
	})
}

// SecretsAt gives the state of every secret of an environment at a revision, deleted ones left out.
func (q Queries) SecretsAt(ctx context.Context, env domain.EnvID, revision int64) ([]Secret, error) {
	now, err := secretRows.list(ctx, q.q, "WHERE env_id = ? AND revision <= ?", string(env), revision)
	if err != nil {
		return nil, err
	}
	old, err := secretHistory.list(ctx, q.q, `WHERE env_id = ? AND revision <= ? AND id IN (SELECT id FROM secret WHERE env_id = ? AND revision > ?)
		ORDER BY id, revision DESC`, string(env), revision, string(env), revision)
	if err != nil {
		return nil, err
	}
	return newest(now, old, func(s Secret) (domain.SecretID, int64) { return s.ID, s.Deleted }), nil
}

// FoldersAt gives the state of every folder of an environment at a revision, deleted ones left out.
func (q Queries) FoldersAt(ctx context.Context, env domain.EnvID, revision int64) ([]Folder, error) {
	now, err := folders.list(ctx, q.q, "WHERE env_id = ? AND revision <= ?", string(env), revision)
	if err != nil {
		return nil, err
	}
	old, err := folderHistory.list(ctx, q.q, `WHERE env_id = ? AND revision <= ? AND id IN (SELECT id FROM folder WHERE env_id = ? AND revision > ?)
		ORDER BY id, revision DESC`, string(env), revision, string(env), revision)
	if err != nil {
		return nil, err
	}
	return newest(now, old, func(f Folder) (domain.FolderID, int64) { return f.ID, f.Deleted }), nil
}

// newest keeps the first state of each id and drops what is deleted in it.
func newest[T any, ID comparable](now, old []T, of func(T) (ID, int64)) []T {
	var out []T
	seen := map[ID]bool{}
	for _, states := range [][]T{now, old} {
		for _, s := range states {
			id, deleted := of(s)
			if !seen[id] && deleted == 0 {
				out = append(out, s)
			}
			seen[id] = true
		}
	}
	return out
}

// StatesBetween lists the states of secrets that commits above from and up to to made, by revision and id.
func (q Queries) StatesBetween(ctx context.Context, env domain.EnvID, from, to int64) ([]Secret, error) {
	now, err := secretRows.list(ctx, q.q, "WHERE env_id = ? AND revision > ? AND revision <= ?", string(env), from, to)
	if err != nil {
		return nil, err
	}
	old, err := secretHistory.list(ctx, q.q, "WHERE env_id = ? AND revision > ? AND revision <= ?", string(env), from, to)
	if err != nil {
		return nil, err
	}
	states := distinct(append(old, now...))
	slices.SortStableFunc(states, func(a, b Secret) int { return cmp.Or(cmp.Compare(a.Revision, b.Revision), cmp.Compare(a.ID, b.ID)) })
	return states, nil
}

// SecretsWithDigest finds every state, current or replaced, whose value has one of the digests.
func (q Queries) SecretsWithDigest(ctx context.Context, org domain.OrgID, digests ...[]byte) (now, old []Secret, err error) {
	if len(digests) == 0 {
		return nil, nil, nil
	}
	where, args := "WHERE org_id = ? AND digest IN ("+strings.TrimSuffix(strings.Repeat("?, ", len(digests)), ", ")+") ORDER BY id", []any{string(org)}
	for _, d := range digests {
		args = append(args, d)
	}
	now, err = secretRows.list(ctx, q.q, where, args...)
	if err != nil {
		return nil, nil, err
	}
	old, err = secretHistory.list(ctx, q.q, where+", revision DESC", args...)
	return now, old, err
}

// Repeated lists the live secrets of an organisation whose value at least one other has too.
func (q Queries) Repeated(ctx context.Context, org domain.OrgID) ([]Secret, error) {
	return secretRows.list(ctx, q.q, `WHERE org_id = ? AND deleted = 0 AND digest IN
		(SELECT digest FROM secret WHERE org_id = ? AND deleted = 0 AND digest IS NOT NULL GROUP BY digest HAVING count(*) > 1)
		ORDER BY digest, id`, string(org), string(org))
}

// PutSecrets replaces states; the states that were replaced go to the history first.
func (tx *Tx) PutSecrets(ctx context.Context, old, rows []*Secret) error {
	if err := secretHistory.put(ctx, tx, old...); err != nil {
		return err
	}
	return secretRows.put(ctx, tx, rows...)
}

// PurgeSecret destroys value, comment and digest of every state of a secret, and leaves a mark in the log, so that a value
// that somebody threw away by hand can be told from one that was purged.
func (tx *Tx) PurgeSecret(ctx context.Context, id domain.SecretID) error {
	for _, table := range []string{"secret", "secret_history"} {
		if _, err := tx.exec(ctx, "UPDATE "+table+" SET value = NULL, comment = NULL, digest = NULL WHERE id = ?", string(id)); err != nil {
			return err
		}
	}
	tx.markPurged(string(id))
	_, err := tx.exec(ctx, "UPDATE personal SET value = NULL WHERE secret_id = ?", string(id))
	return err
}

// PurgeMark is the table name under which the log knows what was purged: secrets and environments, by id.
const PurgeMark = "purge"

func (tx *Tx) markPurged(id string) {
	tx.rows = append(tx.rows, audit.Row{T: PurgeMark, K: id, D: sha256.Sum256([]byte(PurgeMark + " " + id))})
}

// ReferencesFrom lists where a secret points to.
func (q Queries) ReferencesFrom(ctx context.Context, id domain.SecretID) ([]Reference, error) {
	return references.list(ctx, q.q, "WHERE from_id = ?", string(id))
}

// ReferencesTo lists what points to a secret.
func (q Queries) ReferencesTo(ctx context.Context, id domain.SecretID) ([]Reference, error) {
	return references.list(ctx, q.q, "WHERE to_id = ?", string(id))
}

// SetReferences replaces the edges that leave a secret.
func (tx *Tx) SetReferences(ctx context.Context, from domain.SecretID, rows []*Reference) error {
	if _, err := tx.exec(ctx, "DELETE FROM secret_ref WHERE from_id = ?", string(from)); err != nil {
		return err
	}
	return references.put(ctx, tx, rows...)
}

// Personal finds one user's own value.
func (q Queries) Personal(ctx context.Context, secret domain.SecretID, user domain.UserID) (Personal, error) {
	return personals.one(ctx, q.q, "WHERE secret_id = ? AND user_id = ?", string(secret), string(user))
}

// PersonalsOf lists a user's own values in a project.
func (q Queries) PersonalsOf(ctx context.Context, user domain.UserID, project domain.ProjectID) ([]Personal, error) {
	return personals.list(ctx, q.q, "WHERE user_id = ? AND project_id = ? AND value IS NOT NULL", string(user), string(project))
}

// PersonalsIn lists all personal values of a project.
func (q Queries) PersonalsIn(ctx context.Context, project domain.ProjectID) ([]Personal, error) {
	return personals.list(ctx, q.q, "WHERE project_id = ? ORDER BY id", string(project))
}

// PutPersonal stores one.
func (tx *Tx) PutPersonal(ctx context.Context, row *Personal) error {
	return personals.put(ctx, tx, row)
}

// RemovePersonal removes one.
func (tx *Tx) RemovePersonal(ctx context.Context, row *Personal) error {
	return personals.remove(ctx, tx, row)
}

// ReferencesInto lists what points to the secrets of an environment.
func (q Queries) ReferencesInto(ctx context.Context, env domain.EnvID) ([]Reference, error) {
	return references.list(ctx, q.q, "WHERE to_id IN (SELECT id FROM secret WHERE env_id = ?)", string(env))
}

// PurgeEnvironment destroys every value of an environment.
func (tx *Tx) PurgeEnvironment(ctx context.Context, env domain.EnvID) error {
	if _, err := tx.exec(ctx, "UPDATE personal SET value = NULL WHERE secret_id IN (SELECT id FROM secret WHERE env_id = ?)", string(env)); err != nil {
		return err
	}
	tx.markPurged(string(env))
	for _, table := range []string{"secret", "secret_history"} {
		if _, err := tx.exec(ctx, "UPDATE "+table+" SET value = NULL, comment = NULL, digest = NULL WHERE env_id = ?", string(env)); err != nil {
			return err
		}
	}
	return nil
}

// EachState walks every state of every secret of an environment, current ones and replaced ones.
func (q Queries) EachState(ctx context.Context, env domain.EnvID, visit func(*Secret) error) error {
	for _, t := range []*table[Secret]{secretRows, secretHistory} {
		if err := t.each(ctx, q.q, "WHERE env_id = ?", visit, string(env)); err != nil {
			return err
		}
	}
	return nil
}

// EachFolderState walks every state of every folder of an environment, current ones and replaced ones.
func (q Queries) EachFolderState(ctx context.Context, env domain.EnvID, visit func(*Folder) error) error {
	for _, t := range []*table[Folder]{folders, folderHistory} {
		if err := t.each(ctx, q.q, "WHERE env_id = ?", visit, string(env)); err != nil {
			return err
		}
	}
	return nil
}
