package cli

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"filippo.io/age"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/migrate"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// migrateSource reads one source as often as it is asked: once for the plan, once to compare.
type migrateSource struct {
	name string
	read func(context.Context, migrate.Options) (*migrate.Plan, error)
}

// maxCertificates bounds a file of certificates in bytes.
const maxCertificates = 4 << 20

// migrateSource finds address and credential of a source, or its file.
func (a *app) migrateSource(name string, f migrateFlags) (*migrateSource, error) {
	all, live := migrateSources()
	if !slices.Contains(all, name) {
		return nil, fault.New(fault.Invalid, "%s is no source", label(name)).WithHint("sources are %s", strings.Join(all, ", "))
	}
	if f.file != "" {
		return a.fileSource(name, f)
	}
	if !slices.Contains(live, name) {
		return nil, fault.New(fault.Invalid, "%s is read from a file, and none is named", name).WithHint("keyturn migrate %s FILE", name)
	}
	roots, err := a.migrateRoots(name, f)
	if err != nil {
		return nil, err
	}
	switch name {
	case "vault":
		return a.vaultSource(f, roots)
	case "doppler":
		return a.dopplerSource(f, roots)
	}
	return a.infisicalSource(f, roots)
}

// migrateRoots reads the certificates to trust at the source.
func (a *app) migrateRoots(name string, f migrateFlags) ([]byte, error) {
	file := f.ca
	if file == "" && name == "vault" {
		file = a.getenv("VAULT_CACERT")
	}
	if file == "" {
		return nil, nil
	}
	return readSourceFile(file, maxCertificates)
}

// readSourceFile reads a whole file that the user named.
func readSourceFile(file string, most int64) ([]byte, error) {
	in, err := os.Open(file)
	if err != nil {
		return nil, openFault(err, file)
	}
	defer in.Close()
	b, err := io.ReadAll(io.LimitReader(in, most+1))
	switch {
	case err != nil:
		return nil, fault.Wrap(fault.Unavailable, err, "couldn't read %s", file)
	case int64(len(b)) > most:
		return nil, fault.New(fault.Invalid, "%s is larger than %d MiB", file, most>>20)
	}
	return b, nil
}

// sourceToken finds the token of a live source: in the file, else in the environment.
func (a *app) sourceToken(f migrateFlags, variables ...string) (sensitive.Value, error) {
	if f.tokenFile != "" {
		text, err := a.passwordFrom(f.tokenFile)
		if err != nil {
			return sensitive.Value{}, fault.Wrap(fault.Invalid, err, "the token file %s cannot be read", f.tokenFile).WithHint("want the token on one line")
		}
		return sensitive.FromString(strings.TrimSpace(text)), nil
	}
	for _, v := range variables {
		if text := a.getenv(v); text != "" {
			return sensitive.FromString(text), nil
		}
	}
	return sensitive.Value{}, nil
}

func (a *app) vaultSource(f migrateFlags, roots []byte) (*migrateSource, error) {
	token, err := a.sourceToken(f, "VAULT_TOKEN", "BAO_TOKEN")
	if err != nil {
		return nil, err
	}
	if home, homeErr := os.UserHomeDir(); token.Empty() && homeErr == nil {
		b, err := os.ReadFile(filepath.Join(home, ".vault-token"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, openFault(err, "~/.vault-token")
		}
		token = sensitive.FromString(strings.TrimSpace(string(b)))
	}
	address := first(f.address, a.getenv("VAULT_ADDR"), a.getenv("BAO_ADDR"))
	switch {
	case address == "":
		return nil, fault.New(fault.Invalid, "the address of Vault is not known").WithHint("set VAULT_ADDR, or add --address")
	case token.Empty():
		return nil, fault.New(fault.Unauthenticated, "there is no token for Vault").WithHint("set VAULT_TOKEN, log in with vault login, or add --token-file")
	}
	access := migrate.VaultAccess{Address: address, Token: token, Namespace: first(a.getenv("VAULT_NAMESPACE"), a.getenv("BAO_NAMESPACE")), Roots: roots}
	return &migrateSource{"vault", func(ctx context.Context, o migrate.Options) (*migrate.Plan, error) {
		return migrate.Vault(ctx, access, o)
	}}, nil
}

func (a *app) infisicalSource(f migrateFlags, roots []byte) (*migrateSource, error) {
	token, err := a.sourceToken(f, "INFISICAL_TOKEN", "INFISICAL_UNIVERSAL_AUTH_ACCESS_TOKEN")
	if err != nil {
		return nil, err
	}
	access := migrate.InfisicalAccess{Address: first(f.address, a.getenv("INFISICAL_API_URL"), a.getenv("INFISICAL_DOMAIN"), a.getenv("INFISICAL_HOST_URL")), Token: token, Roots: roots}
	if token.Empty() {
		access.ClientID = first(a.getenv("INFISICAL_UNIVERSAL_AUTH_CLIENT_ID"), a.getenv("INFISICAL_CLIENT_ID"))
		access.ClientSecret = sensitive.FromString(first(a.getenv("INFISICAL_UNIVERSAL_AUTH_CLIENT_SECRET"), a.getenv("INFISICAL_CLIENT_SECRET")))
	}
	switch {
	case access.Address == "":
		return nil, fault.New(fault.Invalid, "the address of Infisical is not known").WithHint("set INFISICAL_API_URL, or add --address https://app.infisical.com")
	case token.Empty() && (access.ClientID == "" || access.ClientSecret.Empty()):
		return nil, fault.New(fault.Unauthenticated, "there is no credential for Infisical").
			WithHint("set INFISICAL_TOKEN, or INFISICAL_UNIVERSAL_AUTH_CLIENT_ID and INFISICAL_UNIVERSAL_AUTH_CLIENT_SECRET, or add --token-file")
	}
	return &migrateSource{"infisical", func(ctx context.Context, o migrate.Options) (*migrate.Plan, error) {
		return migrate.Infisical(ctx, access, o)
	}}, nil
}

func (a *app) dopplerSource(f migrateFlags, roots []byte) (*migrateSource, error) {
	token, err := a.sourceToken(f, "DOPPLER_TOKEN")
	if err != nil {
		return nil, err
	}
	if token.Empty() {
		return nil, fault.New(fault.Unauthenticated, "there is no token for Doppler").WithHint("set DOPPLER_TOKEN, or add --token-file")
	}
	access := migrate.DopplerAccess{Address: first(f.address, a.getenv("DOPPLER_API_HOST"), migrate.DopplerAddress), Token: token, Roots: roots}
	return &migrateSource{"doppler", func(ctx context.Context, o migrate.Options) (*migrate.Plan, error) {
		return migrate.Doppler(ctx, access, o)
	}}, nil
}

// fileSource reads a file, or the folder of env-folder.
func (a *app) fileSource(name string, f migrateFlags) (*migrateSource, error) {
	if name == "env-folder" {
		return a.envFolderSource(f.file)
	}
	if name == "vault" {
		return nil, fault.New(fault.Unsupported, "vault has no export: it is read live").WithHint("leave the file away, and set VAULT_ADDR and VAULT_TOKEN")
	}
	content, err := readSourceFile(f.file, migrate.MaxFile)
	if err != nil {
		return nil, err
	}
	ids, err := a.ageIdentities(name, f)
	if err != nil {
		return nil, err
	}
	var keys migrate.DotenvxKeys
	if name == "dotenvx" {
		if keys, err = a.dotenvxKeys(filepath.Dir(f.file)); err != nil {
			return nil, err
		}
	}
	var typed *sensitive.Value
	password := func() (sensitive.Value, error) { // asked for once, though the file is read twice
		if typed == nil {
			text, err := a.password(f.passwordFile, "The password of the export (it is not shown)", false)
			if err != nil {
				return sensitive.Value{}, err
			}
			v := sensitive.FromString(text)
			typed = &v
		}
		return *typed, nil
	}
	return &migrateSource{name, func(_ context.Context, o migrate.Options) (*migrate.Plan, error) {
		switch name {
		case "infisical":
			return migrate.InfisicalExport(f.file, content, o)
		case "doppler":
			return migrate.Flat(name, f.file, content, false, o) // doppler downloads what references come to
		case "onepassword":
			return migrate.OnePassword(f.file, content, o)
		case "bitwarden":
			return migrate.Bitwarden(f.file, content, password, o)
		case "sops":
			return migrate.Sops(f.file, content, ids, o)
		case "dotenvx":
			return migrate.Dotenvx(f.file, content, keys, o)
		}
		return migrate.AgeFile(f.file, content, ids, o)
	}}, nil
}

func (a *app) envFolderSource(folder string) (*migrateSource, error) {
	keys, err := a.dotenvxKeys(folder)
	if err != nil {
		return nil, err
	}
	absolute, err := filepath.Abs(folder)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "the folder %s cannot be found", folder)
	}
	return &migrateSource{"env-folder", func(ctx context.Context, o migrate.Options) (*migrate.Plan, error) {
		return migrate.EnvFolder(ctx, absolute, keys, o)
	}}, nil
}

// dotenvxKeys finds private keys of dotenvx: in .env.keys of the folder, then in the environment, which wins.
func (a *app) dotenvxKeys(folder string) (migrate.DotenvxKeys, error) {
	keys := migrate.DotenvxKeys{}
	file := filepath.Join(folder, ".env.keys")
	if _, err := os.Stat(file); err == nil {
		content, err := readSourceFile(file, maxCertificates)
		if err != nil {
			return nil, err
		}
		if keys, err = migrate.ReadDotenvxKeys(file, content); err != nil {
			return nil, err
		}
	}
	for _, pair := range os.Environ() {
		if name, value, ok := strings.Cut(pair, "="); ok && strings.HasPrefix(name, "DOTENV_PRIVATE_KEY") && value != "" {
			keys[name] = sensitive.FromString(value)
		}
	}
	return keys, nil
}

// ageIdentities gathers the identities that may open a file of age or SOPS.
func (a *app) ageIdentities(name string, f migrateFlags) ([]age.Identity, error) {
	if name != "age" && name != "sops" {
		return nil, nil
	}
	var out []age.Identity
	files := f.identities
	if file := a.getenv("SOPS_AGE_KEY_FILE"); file != "" && len(files) == 0 {
		files = []string{file}
	}
	for _, file := range files {
		content, err := readSourceFile(file, maxCertificates)
		if err != nil {
			return nil, err
		}
		ids, err := migrate.AgeIdentities(file, content)
		if err != nil {
			return nil, err
		}
		out = append(out, ids...)
	}
	if text := a.getenv("SOPS_AGE_KEY"); text != "" {
		ids, err := migrate.AgeIdentities("SOPS_AGE_KEY", []byte(text))
		if err != nil {
			return nil, err
		}
		out = append(out, ids...)
	}
	if f.ask || f.passwordFile != "" {
		text, err := a.password(f.passwordFile, "The passphrase of the file (it is not shown)", false)
		if err != nil {
			return nil, err
		}
		id, err := age.NewScryptIdentity(text)
		if err != nil {
			return nil, fault.Wrap(fault.Invalid, err, "the passphrase cannot be used")
		}
		out = append(out, id)
	}
	return out, nil
}
