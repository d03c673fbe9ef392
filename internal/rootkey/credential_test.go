package rootkey

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/keyturn/keyturn/internal/fault"
)

func TestCredentialsOfAWSByItsOwnChain(t *testing.T) {
	credentials := map[string]string{
		"AccessKeyId": awsTestID, "SecretAccessKey": awsTestKey, "Token": awsTestToken, "Expiration": "2099-01-01T00:00:00Z", "Code": "Success", "Type": "AWS-HMAC",
	}
	fetch := func(t *testing.T, w *world, host string, serve http.HandlerFunc) {
		t.Helper()
		text := w.wrap()
		w.withoutCredentials()
		asked := 0
		w.hosts[host] = http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) { asked++; serve(out, r) })
		t.Cleanup(func() {
			if asked == 0 {
				t.Error("nobody asked for credentials")
			}
		})
		t.Setenv("AWS_EC2_METADATA_DISABLED", "false")
		switch host {
		case "169.254.170.23":
			t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.23/v1/credentials")
			t.Setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "planted-pod-token")
		case "sts.eu-central-1.amazonaws.com":
			path := t.TempDir() + "/token"
			writeFile(t, path, "planted-web-identity")
			t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", path)
			t.Setenv("AWS_ROLE_ARN", "arn:aws:iam::111122223333:role/keyturn")
		}
		w.mustOpen(text, 1)
	}
	t.Run("instance metadata", func(t *testing.T) {
		in(t, "awskms", func(t *testing.T, w *world) {
			fetch(t, w, "169.254.169.254", func(out http.ResponseWriter, r *http.Request) {
				switch {
				case r.Method == http.MethodPut && r.URL.Path == "/latest/api/token":
					out.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "300")
					_, _ = out.Write([]byte("session"))
				case r.Header.Get("X-Aws-Ec2-Metadata-Token") != "session":
					out.WriteHeader(http.StatusUnauthorized)
				case r.URL.Path == "/latest/meta-data/iam/security-credentials/":
					_, _ = out.Write([]byte("role"))
				default:
					reply(out, http.StatusOK, credentials)
				}
			})
		})
	})
	t.Run("container", func(t *testing.T) {
		in(t, "awskms", func(t *testing.T, w *world) {
			fetch(t, w, "169.254.170.23", func(out http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") != "planted-pod-token" {
					t.Error("no token")
				}
				reply(out, http.StatusOK, credentials)
			})
		})
	})
	t.Run("web identity", func(t *testing.T) {
		in(t, "awskms", func(t *testing.T, w *world) {
			fetch(t, w, "sts.eu-central-1.amazonaws.com", func(out http.ResponseWriter, r *http.Request) {
				if r.PostFormValue("Action") != "AssumeRoleWithWebIdentity" || r.PostFormValue("WebIdentityToken") != "planted-web-identity" {
					t.Errorf("no web identity: %v", r.PostForm)
				}
				_, _ = out.Write([]byte(`<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>` + awsTestID +
					`</AccessKeyId><SecretAccessKey>` + awsTestKey + `</SecretAccessKey><SessionToken>` + awsTestToken +
					`</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`))
			})
		})
	})
	t.Run("refused", func(t *testing.T) {
		in(t, "awskms", func(t *testing.T, w *world) {
			text := w.wrap()
			w.withoutCredentials()
			path := t.TempDir() + "/token"
			writeFile(t, path, "planted-web-identity")
			w.planted = append(w.planted, "planted-web-identity")
			t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", path)
			t.Setenv("AWS_ROLE_ARN", "arn:aws:iam::111122223333:role/keyturn")
			w.hosts["sts.eu-central-1.amazonaws.com"] = http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) {
				out.WriteHeader(http.StatusForbidden)
				_, _ = out.Write([]byte(`<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>planted-web-identity</Message></Error></ErrorResponse>`))
			})
			w.mustFail("refused", w.unwrap(text), fault.Denied)
		})
	})
}

// What is not set up in the process fits the vendor's chain as well: a server's client, and a bundle of authorities.
func TestTheChainOfAWSTakesABundleOfAuthorities(t *testing.T) {
	noAWSChain(t)
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	path := t.TempDir() + "/ca.pem"
	writeFile(t, path, string(pemCertificate(server.Certificate().Raw)))
	t.Setenv("AWS_CA_BUNDLE", path)
	for _, client := range []*http.Client{nil, {Transport: &http.Transport{}}} {
		source, err := Parse("awskms:///"+awsTestARN, Environment{HTTP: client})
		if err != nil {
			t.Fatal(err)
		}
		// No credentials anywhere, but no complaint about the client.
		_, err = source.(wrapped).service.(awsKMS).findCredentials(t.Context())
		if f := fault.As(err); f.Kind != fault.Unavailable {
			t.Error(err)
		}
	}
}

func TestCredentialsOfAzure(t *testing.T) {
	token := map[string]any{"access_token": azureTestToken, "token_type": "Bearer", "expires_in": "3599", "resource": "https://vault.azure.net"}
	machine := func(t *testing.T, header, value, version, client string) http.HandlerFunc {
		return func(out http.ResponseWriter, r *http.Request) {
			q := r.URL.Query()
			if r.Method != http.MethodGet || r.Header.Get(header) != value || q.Get("api-version") != version ||
				q.Get("resource") != "https://vault.azure.net" || q.Get("client_id") != client {
				t.Errorf("no request for a managed identity: %s %v", r.URL, r.Header)
			}
			reply(out, http.StatusOK, token)
		}
	}
	t.Run("workload identity", func(t *testing.T) {
		in(t, "azurekv", func(t *testing.T, w *world) {
			text := w.wrap()
			delete(w.variables, "AZURE_CLIENT_SECRET")
			w.variables["AZURE_FEDERATED_TOKEN_FILE"] = "/token"
			w.mustFail("no file", w.unwrap(text), fault.Unavailable)
			w.files = map[string]string{"/token": "planted-stale-9f3c"}
			w.planted = append(w.planted, "planted-stale-9f3c", "planted-assertion-9f3c")
			w.mustFail("a stale assertion", w.unwrap(text), fault.Denied)
			w.files["/token"] = "planted-assertion-9f3c\n"
			w.mustOpen(text, 1)
		})
	})
	t.Run("virtual machine", func(t *testing.T) {
		in(t, "azurekv", func(t *testing.T, w *world) {
			text := w.wrap()
			delete(w.variables, "AZURE_CLIENT_SECRET")
			w.hosts["169.254.169.254"] = machine(t, "Metadata", "true", "2018-02-01", azureTestClient)
			w.mustOpen(text, 1)
		})
	})
	t.Run("app service", func(t *testing.T) {
		in(t, "azurekv", func(t *testing.T, w *world) {
			text := w.wrap()
			clear(w.variables)
			w.variables["IDENTITY_ENDPOINT"], w.variables["IDENTITY_HEADER"] = "http://169.254.130.1:8081/msi/token", "planted-header-9f3c"
			w.hosts["169.254.130.1:8081"] = machine(t, "X-Identity-Header", "planted-header-9f3c", "2019-08-01", "")
			w.mustOpen(text, 1)
		})
	})
	t.Run("a wrong authority", func(t *testing.T) {
		in(t, "azurekv", func(t *testing.T, w *world) {
			text := w.wrap()
			for _, wrong := range []string{"http://login.example.net", "https://login.example.net/x", "login.example.net", "https://a:b@login.example.net"} {
				w.variables["AZURE_AUTHORITY_HOST"] = wrong
				w.mustFail(wrong, w.unwrap(text), fault.Denied)
			}
			w.variables["AZURE_AUTHORITY_HOST"], w.variables["AZURE_TENANT_ID"] = "", "../evil"
			w.mustFail("tenant", w.unwrap(text), fault.Denied)
		})
	})
	t.Run("an answer that is no token", func(t *testing.T) {
		in(t, "azurekv", func(t *testing.T, w *world) {
			text := w.wrap()
			for _, body := range []string{"{}", "<html>", `{"access_token":""}`, `{"access_token":"a\r\nb"}`} {
				w.hosts["login.microsoftonline.com"] = http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) { _, _ = out.Write([]byte(body)) })
				w.mustFail(body, w.unwrap(text), fault.Internal)
			}
		})
	})
}

func TestCredentialsOfGoogle(t *testing.T) {
	in(t, "gcpkms", func(t *testing.T, w *world) {
		text := w.wrap()
		account := w.files["/etc/gcp.json"]
		for name, body := range map[string]string{"empty": "", "no JSON": "planted", "another kind": `{"type":"gdch_service_account"}`, "half": `{"type":"service_account"}`} {
			w.files["/etc/gcp.json"] = body
			w.mustFail(name, w.unwrap(text), fault.Denied)
		}
		w.files["/etc/gcp.json"] = account
		for code, kind := range map[int]fault.Kind{400: fault.Denied, 401: fault.Denied, 429: fault.Unavailable, 500: fault.Unavailable} {
			honest := w.hosts["oauth2.googleapis.com"]
			w.hosts["oauth2.googleapis.com"] = http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) {
				reply(out, code, map[string]string{"error": "invalid_grant", "error_description": gcpTestToken})
			})
			w.mustFail(http.StatusText(code), w.unwrap(text), kind)
			w.hosts["oauth2.googleapis.com"] = honest
		}
		w.mustOpen(text, 1)
	})
}
