package migrate

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keyturn/keyturn/internal/fault"
)

// folder writes files below a folder of the name shop.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), "shop")
	for name, content := range files {
		full := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestAFolderOfEnvFilesIsReadByItsNames(t *testing.T) {
	root := folder(t, map[string]string{
		"go-backend/.env.production": "# the database\nDATABASE_URL=test-value-prod\n", "go-backend/.env": "DATABASE_URL=test-value-dev\n", "go-backend/.env.example": "DATABASE_URL=\n",
		"go-backend/ops/.env": "SLACK=test-value\n", "frontend/.env.local": "VITE=x\n", "frontend/staging.env": "VITE=y\n", "frontend/.env.production.local": "VITE=z\n",
		".envrc": "export NOT=ours", "README.md": "no", "environment": "A=b", ".env.keys": "DOTENV_PRIVATE_KEY=x", ".env.vault": "X=y", "node_modules/p/.env": "NOT=ours", ".env.bak": "A=b", "a b/.env.prod": "KEY=test-value",
	})
	p, err := EnvFolder(t.Context(), root, nil, Options{Env: "dev"})
	if err != nil {
		t.Fatal(err)
	}
	p.Where = ""
	same(t, fitted(t, p, err, Fitting{Rename: true}), `
[shop/dev]
/go-backend/DATABASE_URL="test-value-dev"
/go-backend/ops/SLACK="test-value"
[shop/local]
/frontend/VITE="x"
[shop/prod]
/a-b/KEY="test-value"
/go-backend/DATABASE_URL="test-value-prod" # the database
[shop/prod-local]
/frontend/VITE="z"
[shop/staging]
/frontend/VITE="y"
renamed shop/prod:/a b: becomes a-b
skipped .env.bak: is an old copy
skipped .env.keys: holds the keys of dotenvx: keep them where they are, or import them by hand
skipped .env.vault: is a sealed file of dotenv-vault, which cannot be read
skipped go-backend/.env.example: is an example without values
`)
}

func TestLinksOutOfAFolderOfEnvFilesAreNotFollowed(t *testing.T) {
	root := folder(t, map[string]string{"app/.env": "A=test-value\n", "../secret.env": "STOLEN=test-value\n", "../other/.env": "STOLEN=test-value\n"})
	for link, to := range map[string]string{"app/.env.prod": "../../secret.env", "linked": "../other", ".env.staging": "/etc/hostname", "app/.env.test": ".env"} {
		if err := os.Symlink(to, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(".", filepath.Join(root, "app/circle")); err != nil {
		t.Fatal(err)
	}
	p, err := EnvFolder(t.Context(), root, nil, Options{Env: "dev"})
	p = fitted(t, p, err, Fitting{})
	if got := shown(p); strings.Contains(got, "STOLEN") || p.Size().Secrets != 1 || strings.Count(got, "is a link") != 3 {
		t.Errorf("got %s", got)
	}
}

func TestWhatIsWrongInAFolderOfEnvFilesIsTold(t *testing.T) {
	_, err := EnvFolder(t.Context(), folder(t, map[string]string{".env": "no pair test-value\n"}), nil, Options{Env: "dev"})
	refusedAs(t, err, fault.Invalid, ".env")
	_, err = EnvFolder(t.Context(), folder(t, map[string]string{"README": ""}), nil, Options{Env: "dev"})
	refusedAs(t, err, fault.NotFound, "no .env file")
	_, err = EnvFolder(t.Context(), filepath.Join(t.TempDir(), "absent"), nil, Options{Env: "dev"})
	refusedAs(t, err, fault.NotFound)
	_, err = EnvFolder(t.Context(), folder(t, map[string]string{".env.prod": "A=1", "prod.env": "A=2"}), nil, Options{Env: "dev"})
	refusedAs(t, err, fault.Invalid, "two files")
}

func TestEncryptedFilesInAFolderAreOpenedOrTold(t *testing.T) {
	sealed := string(golden(t, "dotenvx.env.production"))
	root := folder(t, map[string]string{".env.production": sealed, ".env": "A=test-value"})
	p, err := EnvFolder(t.Context(), root, nil, Options{Env: "dev"})
	if p = fitted(t, p, err, Fitting{}); !strings.Contains(shown(p), "DOTENV_PRIVATE_KEY_PRODUCTION") || p.Size().Secrets != 1 {
		t.Errorf("got %s", shown(p))
	}
	keys, err := ReadDotenvxKeys(".env.keys", golden(t, "dotenvx.env.keys"))
	if err != nil {
		t.Fatal(err)
	}
	p, err = EnvFolder(t.Context(), root, keys, Options{Env: "dev"})
	if p = fitted(t, p, err, Fitting{}); p.Size().Secrets != 5 {
		t.Errorf("got %s", shown(p))
	}
}
