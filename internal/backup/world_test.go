package backup

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"filippo.io/age"

	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/keys"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
	"github.com/keyturn/keyturn/internal/store/postgres"
	"github.com/keyturn/keyturn/internal/store/sqlite"
	"github.com/keyturn/keyturn/internal/testpg"
)

func TestMain(m *testing.M) { os.Exit(testpg.Run(m)) }

// place is one database; each call opens an engine on it.
type place func(ctx context.Context) (*store.Engine, error)

// engines are the places to test on, empty ones.
var engines = map[string]func(tb testing.TB) place{
	"sqlite": func(tb testing.TB) place {
		folder := tb.TempDir()
		return func(ctx context.Context) (*store.Engine, error) { return sqlite.Open(ctx, folder) }
	},
	"postgres": func(tb testing.TB) place {
		address := testpg.Database(tb)
		return func(ctx context.Context) (*store.Engine, error) { return postgres.Open(ctx, address) }
	},
}

// instance is a small installation with real keys and values.
type instance struct {
	db       *store.DB
	ring     *keyring.Ring
	id       string
	root     keyring.Root
	recovery *age.X25519Identity
	org      store.Org
	project  store.Project
	env      store.Environment
	folder   store.Folder
	secrets  []*store.Secret
}

const testOrigin = "keyturn.dev/log/test"

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatalf("unexpected error: %v", err)
	}
}

func openPlace(tb testing.TB, at place) *store.DB {
	tb.Helper()
	e, err := at(tb.Context())
	must(tb, err)
	db, err := store.Open(tb.Context(), e, func(err error) { tb.Errorf("the engine failed: %v", err) })
	must(tb, err)
	tb.Cleanup(func() { _ = db.Close() })
	return db
}

func entry(action string) *audit.Entry {
	return &audit.Entry{Action: action, Outcome: audit.Allowed, Actor: audit.Actor{Kind: "system", ID: "test"}}
}

// found makes an instance with n secrets of size bytes, a few of which have history, comments and personal values.
func found(tb testing.TB, at place, n, size int) *instance {
	tb.Helper()
	ctx := tb.Context()
	i := &instance{db: openPlace(tb, at), id: domain.NewID[string](), root: keyring.NewRoot()}
	var err error
	i.recovery, err = age.GenerateX25519Identity()
	must(tb, err)
	must(tb, i.db.Found(ctx, i.id, 1_700_000_000_000))
	var rows keyring.Rows
	i.ring, rows, err = keyring.Create(i.root, keyring.SlotFile, i.id, 1_700_000_000_000)
	must(tb, err)
	must(tb, i.db.Write(ctx, entry("instance.found"), func(tx *store.Tx) error {
		return keys.Save(ctx, tx, rows)
	}))
	must(tb, i.db.Write(ctx, entry("project.create"), i.settle))
	i.fill(tb, n, size)
	i.personalize(tb)
	return i
}

func (i *instance) settle(tx *store.Tx) error {
	ctx := context.Background()
	i.org = store.Org{ID: domain.NewID[domain.OrgID](), Slug: "main", Name: "Main", CreatedAt: tx.Now()}
	i.project = store.Project{ID: domain.NewID[domain.ProjectID](), Org: i.org.ID, Slug: "shop", Name: "Shop", CreatedAt: tx.Now()}
	i.env = store.Environment{ID: domain.NewID[domain.EnvID](), Org: i.org.ID, Project: i.project.ID, Slug: "prod", Name: "Prod", CreatedAt: tx.Now()}
	i.folder = store.Folder{ID: domain.NewID[domain.FolderID](), Org: i.org.ID, Project: i.project.ID, Env: i.env.ID, Path: "/backend"}
	key, err := i.ring.NewProjectKey(string(i.project.ID), tx.Now())
	if err != nil {
		return err
	}
	if err := tx.PutOrg(ctx, &i.org); err != nil {
		return err
	}
	if err := tx.PutProject(ctx, &i.project); err != nil {
		return err
	}
	if err := tx.PutEnvironment(ctx, &i.env); err != nil {
		return err
	}
	if err := tx.PutFolders(ctx, nil, []*store.Folder{&i.folder}); err != nil {
		return err
	}
	if err := keys.Save(ctx, tx, keyring.Rows{Keys: []keyring.KeyRow{key}}); err != nil {
		return err
	}
	tx.After(func() {
		if err := i.ring.Add(key); err != nil {
			panic(err)
		}
	})
	return nil
}

// perCommit is how many secrets one commit brings.
const perCommit = 10_000

func plaintext(n, size int) []byte {
	r := rand.New(rand.NewPCG(uint64(n), 1))
	v := make([]byte, size)
	for i := range v {
		v[i] = byte('a' + r.IntN(26))
	}
	return v
}

func (i *instance) secret(tb testing.TB, n, size int, version int64) *store.Secret {
	tb.Helper()
	s := &store.Secret{ID: domain.NewID[domain.SecretID](), Org: i.org.ID, Project: i.project.ID, Env: i.env.ID, Folder: i.folder.ID,
		Name: domain.SecretName(fmt.Sprintf("KEY_%06d", n)), Revision: 1, Version: 1, At: 1_700_000_000_000, Attrs: domain.Attributes{Owner: "backend"}}
	i.seal(tb, s, plaintext(n, size))
	if n%10 == 3 {
		s.Attrs.CommentRev = 1
		var err error
		s.Comment, err = i.ring.Seal(keyring.Place{Project: string(s.Project), Record: string(s.ID), Field: fieldComment, Version: 1}, sensitive.FromString("why"))
		must(tb, err)
	}
	return s
}

func (i *instance) seal(tb testing.TB, s *store.Secret, plain []byte) {
	tb.Helper()
	v := sensitive.New(bytes.Clone(plain))
	var err error
	s.Value, err = i.ring.Seal(keyring.Place{Project: string(s.Project), Record: string(s.ID), Field: fieldValue, Version: s.Version}, v)
	must(tb, err)
	s.Digest = i.ring.Digest(v)
}

func (i *instance) fill(tb testing.TB, n, size int) {
	tb.Helper()
	ctx := tb.Context()
	first := len(i.secrets)
	n += first
	for from := first; from < n; from += perCommit {
		var rows []*store.Secret
		for k := from; k < min(n, from+perCommit); k++ {
			rows = append(rows, i.secret(tb, k, size, 1))
		}
		i.env.Revision++
		for _, s := range rows {
			s.Revision = i.env.Revision
		}
		must(tb, i.db.Write(ctx, entry("secret.commit"), func(tx *store.Tx) error {
			if err := tx.PutSecrets(ctx, nil, rows); err != nil {
				return err
			}
			return i.commit(ctx, tx, len(rows))
		}))
		i.secrets = append(i.secrets, rows...)
	}
}

func (i *instance) commit(ctx context.Context, tx *store.Tx, changes int) error {
	c := &store.Commit{ID: domain.NewID[domain.CommitID](), Org: i.org.ID, Project: i.project.ID, Env: i.env.ID, Revision: i.env.Revision,
		AuthorKind: domain.System, AuthorID: "test", At: tx.Now(), Message: "some", Changes: int64(changes)}
	if err := tx.PutEnvironment(ctx, &i.env); err != nil {
		return err
	}
	return tx.PutCommit(ctx, c)
}

// personalize adds a person with a token, a machine, a personal value, a second version and a purged secret.
func (i *instance) personalize(tb testing.TB) {
	tb.Helper()
	ctx := tb.Context()
	if len(i.secrets) < 3 {
		return
	}
	must(tb, i.db.Write(ctx, entry("many.things"), func(tx *store.Tx) error {
		who := &store.Person{ID: domain.NewID[domain.UserID](), Org: i.org.ID, Email: "you@example.test", Name: "You", Password: "$argon2id$"}
		if err := tx.PutPerson(ctx, who); err != nil {
			return err
		}
		m := &store.Identity{ID: domain.NewID[domain.IdentityID](), Org: i.org.ID, Name: "ci", TokenTTL: 1000}
		if err := tx.PutIdentity(ctx, m); err != nil {
			return err
		}
		if err := tx.PutClientSecret(ctx, &store.ClientSecret{ID: domain.NewID[string](), Org: i.org.ID, Identity: m.ID, Hash: []byte{1}, Name: "c"}); err != nil {
			return err
		}
		if err := tx.PutToken(ctx, &store.Token{ID: domain.NewID[domain.TokenID](), Org: i.org.ID, Hash: []byte{2}, Kind: "user", PrincipalKind: domain.User, PrincipalID: string(who.ID)}); err != nil {
			return err
		}
		own := &store.Personal{ID: domain.NewID[string](), Secret: i.secrets[0].ID, User: who.ID, Org: i.org.ID, Project: i.project.ID, Version: 1}
		var err error
		if own.Value, err = i.ring.Seal(keyring.Place{Project: string(own.Project), Record: own.ID, Field: fieldPersonal, Version: 1}, sensitive.FromString("mine")); err != nil {
			return err
		}
		if err := tx.PutPersonal(ctx, own); err != nil {
			return err
		}
		old := *i.secrets[1]
		i.env.Revision++
		i.secrets[1].Version, i.secrets[1].Revision = 2, i.env.Revision
		i.seal(tb, i.secrets[1], []byte("the second version"))
		if err := tx.PutSecrets(ctx, []*store.Secret{&old}, i.secrets[1:2]); err != nil {
			return err
		}
		if err := i.commit(ctx, tx, 1); err != nil {
			return err
		}
		return tx.PurgeSecret(ctx, i.secrets[2].ID)
	}))
}

func (i *instance) source() Source {
	return Source{DB: i.db, Ring: i.ring, Origin: testOrigin, Program: "test", Recipients: []string{i.recovery.Recipient().String()}}
}

// backup writes one into memory.
func (i *instance) backup(tb testing.TB) ([]byte, Written) {
	tb.Helper()
	var out bytes.Buffer
	w, err := Write(tb.Context(), &out, i.source())
	must(tb, err)
	return out.Bytes(), w
}

func (i *instance) check() Check { return Check{Identities: []age.Identity{i.recovery}} }

// noRefresh is for a ring that nobody else turns.
func noRefresh(context.Context) error { return nil }

func newBytes(b []byte) *bytes.Reader { return bytes.NewReader(b) }
