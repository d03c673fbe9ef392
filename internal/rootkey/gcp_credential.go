package rootkey

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"

	"github.com/go-json-experiment/json"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"

	"github.com/keyturn/keyturn/internal/fault"
)

// gcpScope lets a token use keys and nothing else.
const gcpScope = "https://www.googleapis.com/auth/cloudkms"

// gcpFile is the variable of application default credentials. Source: https://cloud.google.com/docs/authentication/application-default-credentials.
const gcpFile = "GOOGLE_APPLICATION_CREDENTIALS"

// gcpTypes are the credential files that are taken. The kinds that only people have are not among them.
var gcpTypes = []google.CredentialsType{google.ServiceAccount, google.AuthorizedUser, google.ImpersonatedServiceAccount, google.ExternalAccount}

// findToken gets an access token by application default credentials: the file that the server's variable names, else gcloud's
// own file, else the metadata server. Nothing is kept between calls, so that a new file is taken up.
func (k gcpKMS) findToken(ctx context.Context) (*oauth2.Token, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	ctx = context.WithValue(ctx, oauth2.HTTPClient, k.client)
	found, err := k.findCredentials(ctx)
	if err != nil {
		return nil, err
	}
	token, err := found.TokenSource.Token()
	if err == nil {
		return token, nil
	}
	// The cause holds the body of the answer, so it is not kept.
	if answered, ok := errors.AsType[*oauth2.RetrieveError](err); ok && answered.Response != nil {
		if s := answered.Response.StatusCode; s < http.StatusInternalServerError && s != http.StatusTooManyRequests {
			return nil, refused("Google", "gives this server no access token").WithHint("check the service account and its key, and the clock")
		}
	} else if _, sent := errors.AsType[*url.Error](err); !sent && ctx.Err() == nil {
		return nil, refused("Google", "cannot be asked for an access token with these credentials").WithHint("check that the file that %s names is whole", gcpFile)
	}
	return nil, fault.New(fault.Unavailable, "no access token of Google is to be had").WithHint("check that this server reaches oauth2.googleapis.com, or the metadata server")
}

func (k gcpKMS) findCredentials(ctx context.Context) (*google.Credentials, error) {
	path := k.env.value(gcpFile)
	if path == "" {
		found, err := google.FindDefaultCredentials(ctx, gcpScope)
		if err != nil {
			return nil, refused("Google", "has no credentials for this server").WithHint("give the machine a service account, or name a file in %s", gcpFile)
		}
		return found, nil
	}
	b, err := k.env.read(gcpFile, path)
	if err != nil {
		return nil, err
	}
	defer clear(b)
	var file struct {
		Type google.CredentialsType `json:"type"`
	}
	wrong := fault.New(fault.Denied, "the file that %s names holds no credentials that are taken here", gcpFile).
		WithHint("name the file of a service account or of a workload identity pool")
	if json.Unmarshal(b, &file) != nil || !slices.Contains(gcpTypes, file.Type) {
		return nil, wrong
	}
	found, err := google.CredentialsFromJSONWithType(ctx, b, file.Type, gcpScope)
	if err != nil {
		return nil, wrong // the cause may show the file
	}
	return found, nil
}
