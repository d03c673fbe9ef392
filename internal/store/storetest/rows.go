package storetest

import (
	"bytes"
	"context"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/store"
)

// same compares a row or list of rows with what was stored.
func same[T any](t *testing.T, what string, got T, err error, want T) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	if reflect.DeepEqual(want, got) {
		return // cmp takes a second for ten thousand rows
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s differs (-want +got):\n%s", what, d)
	}
}

// gone checks that there is no such row.
func gone[T any](t *testing.T, what string, _ T, err error) {
	t.Helper()
	if fault.KindOf(err) != fault.NotFound {
		t.Errorf("%s: error %v, want %s", what, err, fault.NotFound)
	}
}

func rows(t *testing.T, fresh Fresh) {
	db := Found(t, fresh(t))
	ctx := t.Context()
	w := Settle(t, db)
	t.Run("organisations, projects and environments", func(t *testing.T) {
		got, err := db.Org(ctx, w.Org.ID)
		same(t, "org", got, err, w.Org)
		orgs, err := db.Orgs(ctx)
		same(t, "orgs", orgs, err, []store.Org{w.Org})

		second := w.Project
		second.ID, second.Slug, second.Name = domain.NewID[domain.ProjectID](), "other", "Größe ✓"
		late, early := w.Env, w.Env
		late.ID, late.Slug, late.Position = domain.NewID[domain.EnvID](), "late", 9
		early.ID, early.Slug, early.Position = domain.NewID[domain.EnvID](), "early", 1
		put(t, db, func(ctx context.Context, tx *store.Tx) error {
			need(t, tx.PutProject(ctx, &second))
			need(t, tx.PutEnvironment(ctx, &late))
			return tx.PutEnvironment(ctx, &early)
		})
		all, err := db.Projects(ctx, w.Org.ID)
		same(t, "projects", all, err, []store.Project{w.Project, second})
		one, err := db.ProjectBySlug(ctx, w.Org.ID, "other")
		same(t, "project by slug", one, err, second)
		envs, err := db.Environments(ctx, w.Project.ID)
		same(t, "environments", envs, err, []store.Environment{early, w.Env, late})
		env, err := db.EnvironmentBySlug(ctx, w.Project.ID, "late")
		same(t, "environment by slug", env, err, late)

		late.DeletedAt, second.DeletedAt = foundedAt, foundedAt
		put(t, db, func(ctx context.Context, tx *store.Tx) error {
			need(t, tx.PutProject(ctx, &second))
			return tx.PutEnvironment(ctx, &late)
		})
		_, err = db.ProjectBySlug(ctx, w.Org.ID, "other")
		gone(t, "deleted project by slug", second, err)
		env, err = db.Environment(ctx, late.ID)
		same(t, "deleted environment by id", env, err, late)
		_, err = db.EnvironmentBySlug(ctx, w.Project.ID, "late")
		gone(t, "deleted environment by slug", late, err)
		_, err = db.Org(ctx, domain.NewID[domain.OrgID]())
		gone(t, "unknown org", w.Org, err)
	})

	t.Run("commits, newest first", func(t *testing.T) {
		var all []store.Commit
		put(t, db, func(ctx context.Context, tx *store.Tx) error {
			for i := range int64(5) {
				c := store.Commit{ID: domain.NewID[domain.CommitID](), Org: w.Org.ID, Project: w.Project.ID, Env: w.Env.ID, Revision: i + 1,
					AuthorKind: domain.User, AuthorID: "u", AuthorName: "Anna", At: tx.Now(), Message: "line one\nline 'two' ? \"$1\"", Cause: "person", Changes: i}
				need(t, tx.PutCommit(ctx, &c))
				all = append(all, c)
			}
			return nil
		})
		got, err := db.Commits(ctx, w.Env.ID, 5, 2)
		same(t, "commits below 5", got, err, []store.Commit{all[3], all[2]})
		one, err := db.CommitAt(ctx, w.Env.ID, 5)
		same(t, "commit at 5", one, err, all[4])
		_, err = db.CommitAt(ctx, w.Env.ID, 6)
		gone(t, "commit at 6", one, err)
	})

	t.Run("folders by path in the order of bytes", func(t *testing.T) {
		w := Settle(t, db)
		var want []store.Folder
		put(t, db, func(ctx context.Context, tx *store.Tx) error {
			var rows []*store.Folder
			// A language would sort these otherwise: letters without regard to case, punctuation last of all.
			for _, path := range []domain.Path{"/Z", "/_a", "/a", "/a-b", "/a/b", "/aB", "/ab"} {
				f := w.Folder(path)
				f.Settings = store.FolderSettings{Required: []domain.SecretName{"A"}, Imports: []store.Import{{Project: w.Project.ID, Env: w.Env.ID, Folder: w.Root.ID}}}
				rows = append(rows, &f)
			}
			need(t, tx.PutFolders(ctx, nil, rows))
			want = append(want, w.Root)
			for _, f := range rows {
				want = append(want, *f)
			}
			return tx.TouchFolders(ctx, rows[0].ID, rows[0].ID)
		})
		want[1].Version = 2
		got, err := db.Folders(ctx, w.Env.ID)
		same(t, "folders", got, err, want)
		byPath, err := db.FolderByPath(ctx, w.Env.ID, "/Z")
		same(t, "folder by path", byPath, err, want[1])
		_, err = db.FolderByPath(ctx, w.Env.ID, "/z")
		gone(t, "folder of another case", byPath, err)
		importing, err := db.FoldersImporting(ctx, w.Org.ID, w.Root.ID)
		slices.SortFunc(importing, func(a, b store.Folder) int { return bytes.Compare([]byte(a.Path), []byte(b.Path)) })
		same(t, "importing folders", importing, err, want[1:])
		importing, err = db.FoldersWithImports(ctx, w.Org.ID)
		slices.SortFunc(importing, func(a, b store.Folder) int { return bytes.Compare([]byte(a.Path), []byte(b.Path)) })
		same(t, "folders with imports", importing, err, want[1:])
	})

	t.Run("ten thousand secrets at once, found by name, folder and environment", func(t *testing.T) {
		w := Settle(t, db)
		rows := w.Secrets(10_000)
		rows[7].Comment, rows[7].Attrs.Meta = []byte{0, 1, 255}, map[string]string{"ü": "a\x00b", "": "<&>"}
		put(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.PutSecrets(ctx, nil, rows) })
		want := make([]store.Secret, len(rows))
		for i := range rows {
			want[i] = *rows[i]
		}
		got, err := db.SecretsIn(ctx, w.Root.ID)
		same(t, "secrets of the folder", got, err, want)
		got, err = db.LiveSecrets(ctx, w.Env.ID)
		same(t, "secrets of the environment", got, err, want)
		one, err := db.Secret(ctx, want[7].ID)
		same(t, "secret by id", one, err, want[7])
		for _, n := range []int{1, 2, 3, 511, 512, 513, 1500} {
			var names []domain.SecretName
			for _, s := range want[:n] {
				names = append(names, s.Name)
			}
			got, err := db.SecretsNamed(ctx, w.Root.ID, append(names, "MISSING")...)
			slices.SortFunc(got, func(a, b store.Secret) int { return bytes.Compare([]byte(a.Name), []byte(b.Name)) })
			same(t, fmt.Sprintf("%d secrets by name", n), got, err, want[:n])
		}
		got, err = db.SecretsNamed(ctx, w.Root.ID)
		same(t, "no names", got, err, nil)

		for i, s := range rows { // all again, changed
			s.Value, s.Digest = []byte("sealed again"), []byte{byte(i)}
			want[i] = *s
		}
		put(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.PutSecrets(ctx, nil, rows) })
		got, err = db.SecretsIn(ctx, w.Root.ID)
		same(t, "secrets written again", got, err, want)
	})

	t.Run("equal digests, current and replaced", func(t *testing.T) {
		w := Settle(t, db)
		a, b, c := w.Secret("A"), w.Secret("B"), w.Secret("C")
		a.Digest, b.Digest, c.Digest = []byte{1}, []byte{1}, []byte{2}
		put(t, db, func(ctx context.Context, tx *store.Tx) error {
			return tx.PutSecrets(ctx, nil, []*store.Secret{&a, &b, &c})
		})
		rows, err := db.Repeated(ctx, w.Org.ID)
		same(t, "repeated", rows, err, []store.Secret{a, b})
		old := b
		b.Digest, b.Revision, b.Version = []byte{3}, 2, 2
		put(t, db, func(ctx context.Context, tx *store.Tx) error {
			return tx.PutSecrets(ctx, []*store.Secret{&old}, []*store.Secret{&b})
		})
		now, was, err := db.SecretsWithDigest(ctx, w.Org.ID, []byte{1})
		same(t, "with digest", now, err, []store.Secret{a})
		same(t, "with digest before", was, err, []store.Secret{old})
		rows, err = db.Repeated(ctx, w.Org.ID)
		same(t, "repeated after the change", rows, err, nil)
		now, was, err = db.SecretsWithDigest(ctx, Settle(t, db).Org.ID, []byte{1})
		same(t, "another organisation's", append(now, was...), err, nil)
	})

	t.Run("references in both directions", func(t *testing.T) {
		w := Settle(t, db)
		a, b, c := w.Secret("A"), w.Secret("B"), w.Secret("C")
		edge := func(from, to store.Secret) store.Reference {
			return store.Reference{From: from.ID, To: to.ID, Org: w.Org.ID, Project: w.Project.ID}
		}
		ab, ac, bc := edge(a, b), edge(a, c), edge(b, c)
		put(t, db, func(ctx context.Context, tx *store.Tx) error {
			need(t, tx.PutSecrets(ctx, nil, []*store.Secret{&a, &b, &c}))
			need(t, tx.SetReferences(ctx, a.ID, []*store.Reference{&ab, &ab, &ac, &ac}))
			return tx.SetReferences(ctx, b.ID, []*store.Reference{&bc})
		})
		order := func(rows []store.Reference, err error) ([]store.Reference, error) {
			slices.SortFunc(rows, func(x, y store.Reference) int { return bytes.Compare([]byte(x.From+x.To), []byte(y.From+y.To)) })
			return rows, err
		}
		want, _ := order([]store.Reference{ab, ac}, nil)
		got, err := order(db.ReferencesFrom(ctx, a.ID))
		same(t, "from", got, err, want)
		want, _ = order([]store.Reference{ac, bc}, nil)
		got, err = order(db.ReferencesTo(ctx, c.ID))
		same(t, "to", got, err, want)
		want, _ = order([]store.Reference{ab, ac, bc}, nil)
		got, err = order(db.ReferencesInto(ctx, w.Env.ID))
		same(t, "into the environment", got, err, want)
		put(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SetReferences(ctx, a.ID, nil) })
		got, err = db.ReferencesFrom(ctx, a.ID)
		same(t, "from after removal", got, err, nil)
	})

	t.Run("personal values, and purging everything", func(t *testing.T) {
		w := Settle(t, db)
		user := domain.NewID[domain.UserID]()
		s, other := w.Secret("A"), w.Secret("B")
		s.Comment = []byte("sealed comment")
		old := s
		s.Revision, s.Version = 2, 2
		p := store.Personal{ID: domain.NewID[string](), Secret: s.ID, User: user, Org: w.Org.ID, Project: w.Project.ID, Version: 1, At: foundedAt, Value: []byte("sealed own")}
		q := p
		q.ID, q.Secret = domain.NewID[string](), other.ID
		put(t, db, func(ctx context.Context, tx *store.Tx) error {
			need(t, tx.PutSecrets(ctx, []*store.Secret{&old}, []*store.Secret{&s, &other}))
			need(t, tx.PutPersonal(ctx, &p))
			return tx.PutPersonal(ctx, &q)
		})
		got, err := db.Personal(ctx, s.ID, user)
		same(t, "personal", got, err, p)
		put(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.RemovePersonal(ctx, &q) })
		list, err := db.PersonalsOf(ctx, user, w.Project.ID)
		same(t, "personals", list, err, []store.Personal{p})

		put(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.PurgeSecret(ctx, s.ID) })
		s.Value, s.Comment, s.Digest = nil, nil, nil
		old.Value, old.Comment, old.Digest = nil, nil, nil
		states, err := db.SecretStates(ctx, s.ID)
		same(t, "states of the purged secret", states, err, []store.Secret{s, old})
		list, err = db.PersonalsOf(ctx, user, w.Project.ID)
		same(t, "personals of a purged secret", list, err, nil)

		put(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.PurgeEnvironment(ctx, w.Env.ID) })
		other.Value, other.Digest = nil, nil
		states, err = db.SecretStates(ctx, other.ID)
		same(t, "states in the purged environment", states, err, []store.Secret{other})
	})

	t.Run("people, machines, tokens, grants", func(t *testing.T) { principals(t, db) })
	t.Run("keys", func(t *testing.T) { keys(t, db) })
	t.Run("idempotency keys are kept for their time", func(t *testing.T) {
		row := func(id string, at int64) *store.Idempotent {
			return &store.Idempotent{ID: id, Request: []byte{1}, At: at}
		}
		const keep = 1000
		put(t, db, func(ctx context.Context, tx *store.Tx) error {
			need(t, tx.PutIdempotent(ctx, row("old", tx.Now()-keep-1), keep))
			need(t, tx.PutIdempotent(ctx, row("new", tx.Now()), keep))
			if _, err := tx.Idempotent(ctx, "new"); err != nil {
				t.Errorf("a change does not see what it wrote: %v", err)
			}
			answered := row("new", tx.Now())
			answered.Answer = []byte("sealed answer")
			return tx.PutIdempotent(ctx, answered, keep)
		})
		got, err := db.Idempotent(ctx, "new")
		must(t, err)
		if string(got.Answer) != "sealed answer" {
			t.Errorf("answer %q", got.Answer)
		}
		_, err = db.Idempotent(ctx, "old")
		gone(t, "an old key", got, err)
	})
}

func principals(t *testing.T, db *store.DB) {
	ctx := t.Context()
	w := Settle(t, db)
	person := store.Person{ID: domain.NewID[domain.UserID](), Org: w.Org.ID, Email: "anna@example.test", Name: "Anna", Password: "$argon2id$test-value", CreatedAt: foundedAt}
	machine := store.Identity{ID: domain.NewID[domain.IdentityID](), Org: w.Org.ID, Name: "worker", TokenTTL: 1000, CreatedAt: foundedAt, Disabled: true}
	client := store.ClientSecret{ID: domain.NewID[string](), Org: w.Org.ID, Identity: machine.ID, Hash: []byte("hash 1"), Name: "first", CreatedAt: 1, ExpiresAt: 2, RevokedAt: 3}
	token := store.Token{ID: domain.NewID[domain.TokenID](), Org: w.Org.ID, Hash: []byte("hash 2"), Kind: domain.APIToken, Name: "ci", PrincipalKind: domain.Identity, PrincipalID: string(machine.ID),
		Scopes: []domain.Scope{{Project: w.Project.ID, Path: "/a/**", Verbs: []domain.Verb{domain.VerbRead}}}, CreatedAt: 1, ExpiresAt: 2}
	wide := store.Token{ID: domain.NewID[domain.TokenID](), Org: w.Org.ID, Hash: []byte("hash 3"), Kind: domain.SessionToken, PrincipalKind: domain.User, PrincipalID: string(person.ID)}
	grant := store.Grant{ID: domain.NewID[string](), Org: w.Org.ID, PrincipalKind: domain.Identity, PrincipalID: string(machine.ID), Project: w.Project.ID, Role: domain.Viewer, CreatedAt: 1}
	if any, err := db.AnyPerson(ctx); err != nil || any {
		t.Errorf("before anybody was made: %t, %v", any, err)
	}
	put(t, db, func(ctx context.Context, tx *store.Tx) error {
		need(t, tx.PutPerson(ctx, &person))
		need(t, tx.PutIdentity(ctx, &machine))
		need(t, tx.PutClientSecret(ctx, &client))
		need(t, tx.PutToken(ctx, &token))
		need(t, tx.PutToken(ctx, &wide))
		return tx.PutGrant(ctx, &grant)
	})
	if any, err := db.AnyPerson(ctx); err != nil || !any {
		t.Errorf("after somebody was made: %t, %v", any, err)
	}
	p, err := db.Person(ctx, person.ID)
	same(t, "person", p, err, person)
	p, err = db.PersonByEmail(ctx, person.Email)
	same(t, "person by address", p, err, person)
	people, err := db.Persons(ctx, w.Org.ID)
	same(t, "people", people, err, []store.Person{person})
	m, err := db.Identity(ctx, machine.ID)
	same(t, "machine", m, err, machine)
	m, err = db.IdentityByName(ctx, w.Org.ID, "worker")
	same(t, "machine by name", m, err, machine)
	machines, err := db.Identities(ctx, w.Org.ID)
	same(t, "machines", machines, err, []store.Identity{machine})
	c, err := db.ClientSecretByHash(ctx, client.Hash)
	same(t, "client secret", c, err, client)
	clients, err := db.ClientSecrets(ctx, machine.ID)
	same(t, "client secrets", clients, err, []store.ClientSecret{client})
	k, err := db.TokenByHash(ctx, token.Hash)
	same(t, "token by hash", k, err, token)
	_, err = db.TokenByHash(ctx, []byte("hash"))
	gone(t, "token of another hash", k, err)
	k, err = db.Token(ctx, wide.ID)
	same(t, "token without scopes", k, err, wide)
	list, err := db.Tokens(ctx, w.Org.ID)
	same(t, "tokens", list, err, []store.Token{wide, token})
	list, err = db.TokensOf(ctx, token.PrincipalID)
	same(t, "tokens of a machine", list, err, []store.Token{token})
	granted, err := db.GrantsOf(ctx, grant.PrincipalID)
	same(t, "grants of a machine", granted, err, []store.Grant{grant})
	granted, err = db.Grants(ctx, w.Org.ID)
	same(t, "grants", granted, err, []store.Grant{grant})
	put(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.RemoveGrant(ctx, &grant) })
	granted, err = db.Grants(ctx, w.Org.ID)
	same(t, "grants after removal", granted, err, nil)
}

func keys(t *testing.T, db *store.DB) {
	ctx := t.Context()
	slots := []store.KeySlot{
		{ID: "a", Kind: "file", Fingerprint: "f", Key: "k", Wrapped: []byte{0, 1}, Check: []byte{2}, CreatedAt: 1},
		{ID: "b", Kind: "environment", Fingerprint: "g", Key: "k", Wrapped: []byte{3}, Check: []byte{4}, CreatedAt: 2},
	}
	generations := []store.KeyGeneration{
		{ID: "1", Layer: "instance", Generation: 1, State: "primary", CreatedAt: 1},
		{ID: "2", Layer: "log", Generation: 1, State: "primary", Wrapped: []byte{9}, WrappedBy: "1", CreatedAt: 1, Public: make([]byte, 32)},
	}
	put(t, db, func(ctx context.Context, tx *store.Tx) error {
		need(t, tx.PutKeySlots(ctx, &slots[0], &slots[1]))
		return tx.PutKeyGenerations(ctx, &generations[0], &generations[1])
	})
	gotSlots, err := db.KeySlots(ctx)
	same(t, "slots", gotSlots, err, slots)
	got, err := db.KeyGenerations(ctx)
	same(t, "generations", got, err, generations)
	for i := range int64(3) {
		put(t, db, func(ctx context.Context, tx *store.Tx) error {
			n, err := tx.ReserveSeals(ctx, "2", 100)
			if n != 100*(i+1) {
				t.Errorf("%d seals are taken out, want %d", n, 100*(i+1))
			}
			return err
		})
	}
	err = db.Write(ctx, Entry("seals"), func(tx *store.Tx) error {
		_, err := tx.ReserveSeals(ctx, "missing", 1)
		return err
	})
	Want(t, err, fault.Internal)
}
