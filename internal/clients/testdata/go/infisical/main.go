// Command infisical drives the official Go SDK of Infisical against a server and tells of each operation whether it did what it
// does with the original. SITE is the server; CLIENT_ID and CLIENT_SECRET are those of an identity with rights to write in
// PROJECT_ID and PROJECT_SLUG, which has the environments dev, staging and prod, all empty.
package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"

	infisical "github.com/infisical/go-sdk"
)

func run(name string, do func() error) {
	result := "ok"
	if err := do(); err != nil {
		result = strings.Join(strings.Fields(err.Error()), " ")
	}
	fmt.Printf("%s\t%s\n", name, result)
}

func want(got, want any) error {
	if !reflect.DeepEqual(got, want) {
		return fmt.Errorf("got %v, want %v", got, want)
	}
	return nil
}

// refused wants an error of a status.
func refused(err error, status int) error {
	var r *infisical.APIError
	if !errors.As(err, &r) || r.StatusCode != status {
		return fmt.Errorf("want status %d, got %v", status, err)
	}
	return nil
}

func main() {
	ctx := context.Background()
	off := false
	dial := func() infisical.InfisicalClientInterface {
		return infisical.NewInfisicalClient(ctx, infisical.Config{SiteUrl: os.Getenv("SITE"), AutoTokenRefresh: &off, SilentMode: true})
	}
	c := dial()
	project, slug := os.Getenv("PROJECT_ID"), os.Getenv("PROJECT_SLUG")
	run("universal auth: wrong secret", func() error {
		_, err := dial().Auth().UniversalAuthLogin(os.Getenv("CLIENT_ID"), "test-value")
		return refused(err, 401)
	})
	run("universal auth: login", func() error {
		m, err := c.Auth().UniversalAuthLogin(os.Getenv("CLIENT_ID"), os.Getenv("CLIENT_SECRET"))
		if err != nil {
			return err
		}
		return want([]bool{m.ExpiresIn > 0, m.AccessTokenMaxTTL > 0, m.TokenType == "Bearer"}, []bool{true, true, true})
	})
	const pem = "-----BEGIN TEST-----\ntest-value\n-----END TEST-----\n"
	run("secret: create", func() error {
		s, err := c.Secrets().Create(infisical.CreateSecretOptions{ProjectID: project, Environment: "dev", SecretPath: "/", SecretKey: "TOKEN", SecretValue: "test-value", SecretComment: "why"})
		if err != nil {
			return err
		}
		return want([]any{s.SecretKey, s.SecretValue, s.SecretComment, s.Version, s.Type, s.Environment, s.Workspace}, []any{"TOKEN", "test-value", "why", 1, "shared", "dev", project})
	})
	run("secret: create twice", func() error {
		_, err := c.Secrets().Create(infisical.CreateSecretOptions{ProjectID: project, Environment: "dev", SecretKey: "TOKEN", SecretValue: "test-value"})
		return refused(err, 400)
	})
	run("secret: values are not trimmed", func() error {
		if _, err := c.Secrets().Create(infisical.CreateSecretOptions{ProjectID: project, Environment: "dev", SecretKey: "PEM", SecretValue: "  " + pem}); err != nil {
			return err
		}
		s, err := c.Secrets().Retrieve(infisical.RetrieveSecretOptions{ProjectID: project, Environment: "dev", SecretKey: "PEM"})
		if err != nil {
			return err
		}
		return want(s.SecretValue, "  "+pem)
	})
	run("secret: retrieve by slug", func() error {
		s, err := c.Secrets().Retrieve(infisical.RetrieveSecretOptions{ProjectSlug: slug, Environment: "dev", SecretKey: "TOKEN", SecretPath: "/"})
		if err != nil {
			return err
		}
		return want([]any{s.SecretValue, s.SecretPath}, []any{"test-value", "/"})
	})
	run("secret: retrieve what is not there", func() error {
		_, err := c.Secrets().Retrieve(infisical.RetrieveSecretOptions{ProjectID: project, Environment: "dev", SecretKey: "NOWHERE"})
		return refused(err, 404)
	})
	run("secret: update", func() error {
		s, err := c.Secrets().Update(infisical.UpdateSecretOptions{ProjectID: project, Environment: "dev", SecretKey: "TOKEN", NewSecretValue: "test-value two"})
		if err != nil {
			return err
		}
		return want([]any{s.SecretValue, s.Version, s.SecretComment}, []any{"test-value two", 2, "why"})
	})
	run("secret: an old version", func() error {
		s, err := c.Secrets().Retrieve(infisical.RetrieveSecretOptions{ProjectID: project, Environment: "dev", SecretKey: "TOKEN", Version: 1})
		if err != nil {
			return err
		}
		return want([]any{s.SecretValue, s.Version}, []any{"test-value", 1})
	})
	run("secret: batch", func() error {
		all, err := c.Secrets().Batch().Create(infisical.BatchCreateSecretsOptions{ProjectID: project, Environment: "dev", SecretPath: "/", Secrets: []infisical.BatchCreateSecret{
			{SecretKey: "B1", SecretValue: "test-value 1", SecretMetadata: []infisical.SecretMetadata{{Key: "team", Value: "core"}}}, {SecretKey: "A2", SecretValue: "${TOKEN}/x"},
		}})
		if err != nil {
			return err
		}
		return want([]any{len(all), all[0].SecretKey, all[1].SecretKey, all[0].SecretMetadata}, []any{2, "B1", "A2", []infisical.SecretMetadata{{Key: "team", Value: "core"}}})
	})
	run("secret: batch with one that exists", func() error {
		_, err := c.Secrets().Batch().Create(infisical.BatchCreateSecretsOptions{ProjectID: project, Environment: "dev", SecretPath: "/", Secrets: []infisical.BatchCreateSecret{
			{SecretKey: "FRESH", SecretValue: "test-value"}, {SecretKey: "TOKEN", SecretValue: "test-value"},
		}})
		if err := refused(err, 400); err != nil {
			return err
		}
		_, err = c.Secrets().Retrieve(infisical.RetrieveSecretOptions{ProjectID: project, Environment: "dev", SecretKey: "FRESH"})
		return refused(err, 404)
	})
	run("secret: list", func() error {
		all, err := c.Secrets().List(infisical.ListSecretsOptions{ProjectID: project, Environment: "dev", SecretPath: "/"})
		if err != nil {
			return err
		}
		names := map[string]string{}
		for _, s := range all {
			names[s.SecretKey] = s.SecretValue
		}
		return want(names, map[string]string{"A2": "${TOKEN}/x", "B1": "test-value 1", "PEM": "  " + pem, "TOKEN": "test-value two"})
	})
	run("secret: references", func() error {
		s, err := c.Secrets().Retrieve(infisical.RetrieveSecretOptions{ProjectID: project, Environment: "dev", SecretKey: "A2", ExpandSecretReferences: true})
		if err != nil {
			return err
		}
		return want(s.SecretValue, "test-value two/x")
	})
	run("secret: reference to nothing stays text", func() error {
		if _, err := c.Secrets().Create(infisical.CreateSecretOptions{ProjectID: project, Environment: "staging", SecretKey: "LOOSE", SecretValue: "${NOBODY}"}); err != nil {
			return err
		}
		s, err := c.Secrets().Retrieve(infisical.RetrieveSecretOptions{ProjectID: project, Environment: "staging", SecretKey: "LOOSE", ExpandSecretReferences: true})
		if err != nil {
			return err
		}
		return want(s.SecretValue, "${NOBODY}")
	})
	run("secret: ETag", func() error {
		ask := infisical.ListSecretsOptions{ProjectID: project, Environment: "dev", SecretPath: "/"}
		first, err := c.Secrets().ListSecrets(ask)
		if err != nil {
			return err
		}
		second, err := c.Secrets().ListSecrets(ask)
		if err != nil {
			return err
		}
		if _, err := c.Secrets().Update(infisical.UpdateSecretOptions{ProjectID: project, Environment: "dev", SecretKey: "B1", NewSecretValue: "test-value 3"}); err != nil {
			return err
		}
		third, err := c.Secrets().ListSecrets(ask)
		if err != nil {
			return err
		}
		return want([]bool{first.ETag != "", first.ETag == second.ETag, first.ETag == third.ETag}, []bool{true, true, false})
	})
	run("folder: create", func() error {
		f, err := c.Folders().Create(infisical.CreateFolderOptions{ProjectID: project, Environment: "dev", Name: "backend", Path: "/"})
		if err != nil {
			return err
		}
		return want([]any{f.Name, f.ID != ""}, []any{"backend", true})
	})
	run("folder: secret in it", func() error {
		if _, err := c.Secrets().Create(infisical.CreateSecretOptions{ProjectID: project, Environment: "dev", SecretPath: "/backend", SecretKey: "DEEP", SecretValue: "test-value"}); err != nil {
			return err
		}
		all, err := c.Secrets().List(infisical.ListSecretsOptions{ProjectID: project, Environment: "dev", SecretPath: "/", Recursive: true})
		if err != nil {
			return err
		}
		i := slices.IndexFunc(all, func(s infisical.Secret) bool { return s.SecretKey == "DEEP" })
		if i < 0 {
			return errors.New("it is not in the recursive list")
		}
		return want(all[i].SecretPath, "/backend")
	})
	run("folder: list, rename, delete", func() error {
		all, err := c.Folders().List(infisical.ListFoldersOptions{ProjectID: project, Environment: "dev", Path: "/"})
		if err != nil {
			return err
		}
		if err := want([]any{len(all), all[0].Name}, []any{1, "backend"}); err != nil {
			return err
		}
		f, err := c.Folders().Update(infisical.UpdateFolderOptions{ProjectID: project, Environment: "dev", FolderID: all[0].ID, NewName: "server", Path: "/"})
		if err != nil {
			return err
		}
		if err := want(f.Name, "server"); err != nil {
			return err
		}
		_, err = c.Folders().Delete(infisical.DeleteFolderOptions{ProjectID: project, Environment: "dev", FolderID: f.ID, Path: "/"})
		return err
	})
	run("secret: unknown folder", func() error {
		_, err := c.Secrets().Create(infisical.CreateSecretOptions{ProjectID: project, Environment: "dev", SecretPath: "/nowhere", SecretKey: "X", SecretValue: "test-value"})
		return refused(err, 404)
	})
	run("secret: delete", func() error {
		s, err := c.Secrets().Delete(infisical.DeleteSecretOptions{ProjectID: project, Environment: "dev", SecretKey: "B1"})
		if err != nil {
			return err
		}
		_, err = c.Secrets().Retrieve(infisical.RetrieveSecretOptions{ProjectID: project, Environment: "dev", SecretKey: "B1"})
		return errors.Join(want(s.SecretKey, "B1"), refused(err, 404))
	})
	run("dynamic secrets: list", func() error {
		all, err := c.DynamicSecrets().List(infisical.ListDynamicSecretsRootCredentialsOptions{ProjectSlug: slug, EnvironmentSlug: "dev", SecretPath: "/"})
		return errors.Join(err, want(len(all), 0))
	})
	run("KMS: encrypt and decrypt", func() error {
		k, err := c.Kms().Keys().Create(infisical.KmsCreateKeyOptions{ProjectId: project, Name: "app", KeyUsage: "encrypt-decrypt", EncryptionAlgorithm: "aes-256-gcm"})
		if err != nil {
			return err
		}
		sealed, err := c.Kms().EncryptData(infisical.KmsEncryptDataOptions{KeyId: k.KeyId, Plaintext: "test-value"})
		if err != nil {
			return err
		}
		open, err := c.Kms().DecryptData(infisical.KmsDecryptDataOptions{KeyId: k.KeyId, Ciphertext: sealed})
		if err != nil {
			return err
		}
		named, err := c.Kms().Keys().GetByName(infisical.KmsGetKeyByNameOptions{ProjectId: project, KeyName: "app"})
		if err != nil {
			return err
		}
		return errors.Join(want(open, "test-value"), want(named.KeyId, k.KeyId))
	})
	run("KMS: sign and verify", func() error {
		k, err := c.Kms().Keys().Create(infisical.KmsCreateKeyOptions{ProjectId: project, Name: "signer", KeyUsage: "sign-verify", EncryptionAlgorithm: "ECC_NIST_P256"})
		if err != nil {
			return err
		}
		algorithms, err := c.Kms().Signing().ListSigningAlgorithms(infisical.KmsListSigningAlgorithmsOptions{KeyId: k.KeyId})
		if err != nil {
			return err
		}
		signature, err := c.Kms().Signing().SignData(infisical.KmsSignDataOptions{KeyId: k.KeyId, Data: base64.StdEncoding.EncodeToString([]byte("test-value")), SigningAlgorithm: "ECDSA_SHA_256"})
		if err != nil {
			return err
		}
		v, err := c.Kms().Signing().VerifyData(infisical.KmsVerifyDataOptions{KeyId: k.KeyId, Data: base64.StdEncoding.EncodeToString([]byte("test-value")), Signature: base64.StdEncoding.EncodeToString(signature), SigningAlgorithm: "ECDSA_SHA_256"})
		if err != nil {
			return err
		}
		_, err = c.Kms().Signing().GetPublicKey(infisical.KmsGetPublicKeyOptions{KeyId: k.KeyId})
		return errors.Join(err, want([]bool{v.SignatureValid, slices.Contains(algorithms, "ECDSA_SHA_256")}, []bool{true, true}))
	})
	run("token: set by hand", func() error {
		other := dial()
		other.Auth().SetAccessToken(c.Auth().GetAccessToken())
		_, err := other.Secrets().List(infisical.ListSecretsOptions{ProjectID: project, Environment: "dev", SecretPath: "/"})
		return err
	})
	run("token: revoke", func() error {
		token := c.Auth().GetAccessToken()
		if err := c.Auth().RevokeAccessToken(); err != nil {
			return err
		}
		other := dial()
		other.Auth().SetAccessToken(token)
		_, err := other.Secrets().List(infisical.ListSecretsOptions{ProjectID: project, Environment: "dev", SecretPath: "/"})
		return refused(err, 401)
	})
}
