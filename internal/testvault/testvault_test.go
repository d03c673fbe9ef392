package testvault_test

import (
	"net/http"
	"testing"

	"github.com/keyturn/keyturn/internal/testvault"
)

func TestAVaultIsUnsealedAndEmpty(t *testing.T) {
	v := testvault.Start(t)
	req, err := http.NewRequestWithContext(t.Context(), "GET", v.URL+"/v1/sys/mounts", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Vault-Token", v.Token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body.Close(); resp.StatusCode != http.StatusOK {
		t.Errorf("status %d", resp.StatusCode)
	}
}
