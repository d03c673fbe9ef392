package migrate

import (
	"testing"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/migrate/migratetest"
)

func infisicalAccess(i *migratetest.Infisical) InfisicalAccess {
	return InfisicalAccess{Address: i.URL, ClientID: i.ClientID, ClientSecret: text(i.ClientSecret)}
}

func shop(t *testing.T) *migratetest.Infisical {
	i := migratetest.NewInfisical(t)
	i.Folders = []string{"prod:/backend/db", "prod:/__reserve_replication_x", "dev:/backend"}
	i.Secrets = []migratetest.InfisicalSecret{
		{Env: "prod", Path: "/", Key: "HOST", Values: []string{"db.example.test"}},
		{Env: "prod", Path: "/backend/db", Key: "PASSWORD", Values: []string{"test-value-1", "test-value-2", "test-value-3"}, Comment: "of the database", Tags: []string{"critical"}, Meta: map[string]string{"team": "ops"}, Days: 90},
		{Env: "prod", Path: "/backend", Key: "URL", Values: []string{"postgres://${prod.backend.db.PASSWORD}@${prod.HOST}/${missing.KEY}"}},
		{Env: "prod", Path: "/backend", Key: "SHOWN", Values: []string{"${COMMON}"}},
		{Env: "prod", Path: "/backend", Key: "NOWHERE", Values: []string{"${@other-shop.prod.KEY}"}},
		{Env: "prod", Path: "/backend", Key: "LOOP1", Values: []string{"${LOOP2}"}},
		{Env: "prod", Path: "/backend", Key: "LOOP2", Values: []string{"x ${LOOP1}"}},
		{Env: "prod", Path: "/backend", Key: "DOLLAR", Values: []string{"test-value $${HOST}"}},
		{Env: "prod", Path: "/", Key: "MINE", Values: []string{"test-value"}, Type: "personal"},
		{Env: "prod", Path: "/", Key: "HIDDEN", Values: []string{"test-value"}, Hidden: true},
		{Env: "dev", Path: "/backend", Key: "COMMON", Values: []string{"test-value-common"}},
	}
	i.Imports = []migratetest.InfisicalImport{{Env: "prod", Path: "/backend", FromEnv: "dev", FromPath: "/backend", Position: 2}, {Env: "prod", Path: "/backend", FromEnv: "prod", FromPath: "/backend/db", Position: 1}}
	return i
}

const shopPlan = `
[shop/dev]
/backend/COMMON="test-value-common"
[shop/prod]
/backend imports [{  /backend/db} { dev /backend}]
/HOST="db.example.test"
/backend/DOLLAR="test-value $${HOST}" literal
/backend/LOOP1="${LOOP2}" literal
/backend/LOOP2="x ${LOOP1}" literal
/backend/NOWHERE="${@other-shop.prod.KEY}" literal
/backend/SHOWN="${COMMON}"
/backend/URL="postgres://${prod.backend.db.PASSWORD}@${prod.HOST}/$${missing.KEY}"
/backend/db/PASSWORD="test-value-3" # of the database tags [critical] meta map[team:ops] every 90d
`

const shopNotes = `
changed shop/prod:/backend/DOLLAR: holds $${, which would be read in another way here: it stays as text
changed shop/prod:/backend/LOOP1: points to itself in a circle: the references stay as text
changed shop/prod:/backend/LOOP2: points to itself in a circle: the references stay as text
changed shop/prod:/backend/NOWHERE: points to ${@other-shop.prod.KEY}, which is not moved or does not exist: it stays as text
changed shop/prod:/backend/URL: points to ${missing.KEY}, which is not moved or does not exist: written $${, which stays as text
`

func TestInfisicalIsReadWithFoldersImportsReferencesAndHistory(t *testing.T) {
	i := shop(t)
	p, err := Infisical(t.Context(), infisicalAccess(i), Options{History: 2})
	same(t, fitted(t, p, err, Fitting{}), shopPlan[:len(shopPlan)-1]+`
- 2026-01-01 lead@example.test /HOST=db.example.test
- 2026-01-01 lead@example.test /backend/URL=postgres://${prod.backend.db.PASSWORD}@${prod.HOST}/$${missing.KEY}
- 2026-01-01 lead@example.test /backend/SHOWN=${COMMON}
- 2026-01-01 lead@example.test /backend/NOWHERE=${@other-shop.prod.KEY}
- 2026-01-01 lead@example.test /backend/LOOP1=${LOOP2}
- 2026-01-01 lead@example.test /backend/LOOP2=x ${LOOP1}
- 2026-01-01 lead@example.test /backend/DOLLAR=test-value $${HOST}
- 2026-01-02 lead@example.test /backend/db/PASSWORD=test-value-2
- 2026-01-03 lead@example.test /backend/db/PASSWORD=test-value-3`+shopNotes+
		`identity identity deploy: is viewer in shop: keyturn identity create NAME, then keyturn identity grant NAME --role developer --project shop
skipped kms: is a project of type kms, which holds no secrets
skipped shop/prod:/MINE: is somebody's own value: he sets it again with keyturn personal set
unread shop/prod:/HIDDEN: has a value that this credential may not read
`)
	q := p.Projects[0]
	if q.ID != migratetest.ProjectID || q.Name != "The Shop" || q.Envs[1].ID != migratetest.ProdID || q.Envs[1].Name != "Production" {
		t.Errorf("ids and names are lost: %+v", q)
	}
	size := p.Size()
	if size.References != 2 || size.Imports != 2 || size.Tags != 1 || size.Comments != 1 {
		t.Errorf("size %+v", size)
	}
}

func TestNewerAndOlderServersOfInfisicalSaySame(t *testing.T) {
	i := shop(t)
	p, err := Infisical(t.Context(), infisicalAccess(i), Options{History: 1})
	old := shown(fitted(t, p, err, Fitting{}))
	i.Newer = true
	access := infisicalAccess(i)
	access.Address += "/api/"
	p, err = Infisical(t.Context(), access, Options{History: 1})
	if now := shown(fitted(t, p, err, Fitting{})); now != old {
		t.Errorf("got %s\nwant %s", now, old)
	}
}

func TestWrongCredentialsOfInfisicalAreTold(t *testing.T) {
	i := shop(t)
	access := infisicalAccess(i)
	access.ClientSecret = text("test-value-wrong")
	_, err := Infisical(t.Context(), access, Options{})
	refusedAs(t, err, fault.Unauthenticated, "client secret")
	access.Token = text("test-value-old")
	_, err = Infisical(t.Context(), access, Options{})
	refusedAs(t, err, fault.Unauthenticated, "credential")
}

func TestFoldersOfInfisicalThatHoldThemselvesEnd(t *testing.T) {
	i := shop(t)
	i.Loops = true
	p, err := Infisical(t.Context(), infisicalAccess(i), Options{History: 1, Only: []string{"shop/dev"}})
	if err != nil {
		t.Fatal(err)
	}
	if p.Unfit() == 0 {
		t.Errorf("got %s", shown(p))
	}
}

// References and imports follow into another project, below a folder and to other names.
func TestReferencesFollowWhatIsCalledOtherwise(t *testing.T) {
	i := migratetest.NewInfisical(t)
	i.Folders = []string{"prod:/my folder", "prod:/backend"}
	i.Secrets = []migratetest.InfisicalSecret{
		{Env: "prod", Path: "/my folder", Key: "my key", Values: []string{"test-value"}},
		{Env: "prod", Path: "/backend", Key: "A", Values: []string{"<${prod.my folder.my key}>"}},
		{Env: "prod", Path: "/backend", Key: "B", Values: []string{"<${A}>"}},
		{Env: "prod", Path: "/backend", Key: "C", Values: []string{"<${@shop.prod.backend.A}>"}},
	}
	i.Imports = []migratetest.InfisicalImport{{Env: "prod", Path: "/backend", FromEnv: "prod", FromPath: "/my folder", Position: 1}}
	p, err := Infisical(t.Context(), infisicalAccess(i), Options{History: 1, Only: []string{"shop/prod"}})
	same(t, fitted(t, p, err, Fitting{Into: "all", Prefix: "/old", Rename: true, Only: []string{"shop/prod"}}), `
[all/prod]
/old/backend imports [{  /old/my-folder}]
/old/backend/A="<${prod.old.my-folder.my_key}>"
/old/backend/B="<${A}>"
/old/backend/C="<${prod.old.backend.A}>"
/old/my-folder/my_key="test-value"
- 2026-01-01 lead@example.test /old/my-folder/my_key=test-value
- 2026-01-01 lead@example.test /old/backend/A=<${prod.old.my-folder.my_key}>
- 2026-01-01 lead@example.test /old/backend/B=<${A}>
- 2026-01-01 lead@example.test /old/backend/C=<${prod.old.backend.A}>
renamed shop/prod:/my folder: becomes my-folder
renamed shop/prod:/my folder/my key: becomes my_key
skipped kms: is a project of type kms, which holds no secrets
`)
}
