package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/fault"
)

// machineFlags say with what a machine logs in.
type machineFlags struct {
	identity, method         string
	from                     string
	jwtFile                  string
	audience                 string
	serverID, region         string
	certFile, certificateKey string
}

// The sources of a machine's credential.
const (
	fromFile       = "file"
	fromKubernetes = "kubernetes"
	fromGitHub     = "github"
	fromGitLab     = "gitlab"
	fromGCP        = "gcp"
	fromAzure      = "azure"
	fromAWS        = "aws"
	fromTLS        = "tls"
)

var machineSources = []string{fromFile, fromKubernetes, fromGitHub, fromGitLab, fromGCP, fromAzure, fromAWS, fromTLS}

func (m *machineFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&m.identity, "identity", "", "id of a machine that logs in with --method (KEYTURN_IDENTITY)")
	f.StringVar(&m.method, "method", "", "name of its login method (KEYTURN_LOGIN_METHOD)")
	f.StringVar(&m.from, "from", "", "where the credential comes from: "+strings.Join(machineSources, ", ")+" (KEYTURN_LOGIN_FROM; found out otherwise)")
	f.StringVar(&m.jwtFile, "jwt-file", "", "file with a JWT, - for standard input (KEYTURN_JWT_FILE)")
	f.StringVar(&m.audience, "audience", "", "what a token is asked for; default the server's address (KEYTURN_AUDIENCE)")
	f.StringVar(&m.serverID, "server-id", "", "server id of an aws method (KEYTURN_SERVER_ID; default the server's host name)")
	f.StringVar(&m.region, "aws-region", "", "region whose STS is asked (AWS_REGION; default us-east-1)")
	f.StringVar(&m.certFile, "tls-cert", "", "client certificate of a tls method (KEYTURN_CLIENT_CERT)")
	f.StringVar(&m.certificateKey, "tls-key", "", "its key (KEYTURN_CLIENT_KEY)")
	c.MarkFlagsMutuallyExclusive("identity", "email")
	c.MarkFlagsMutuallyExclusive("identity", "client-id")
}

// complete fills what flags do not say from the environment, and tells whether a machine logs in with a method.
func (m *machineFlags) complete(a *app) bool {
	m.identity = first(m.identity, a.getenv("KEYTURN_IDENTITY"))
	m.method = first(m.method, a.getenv("KEYTURN_LOGIN_METHOD"))
	m.from = first(m.from, a.getenv("KEYTURN_LOGIN_FROM"))
	m.jwtFile = first(m.jwtFile, a.getenv("KEYTURN_JWT_FILE"))
	m.audience = first(m.audience, a.getenv("KEYTURN_AUDIENCE"))
	m.serverID = first(m.serverID, a.getenv("KEYTURN_SERVER_ID"))
	m.region = first(m.region, a.getenv("AWS_REGION"), a.getenv("AWS_DEFAULT_REGION"), "us-east-1")
	m.certFile = first(m.certFile, a.getenv("KEYTURN_CLIENT_CERT"))
	m.certificateKey = first(m.certificateKey, a.getenv("KEYTURN_CLIENT_KEY"))
	return m.identity != "" || m.method != ""
}

// podToken is where a pod has the token of its service account when nothing else is mounted.
const podToken = "/var/run/secrets/kubernetes.io/serviceaccount/token"

// source finds out where the credential comes from.
func (m *machineFlags) source(a *app) string {
	switch {
	case m.from != "":
		return m.from
	case m.jwtFile != "":
		return fromFile
	case m.certFile != "":
		return fromTLS
	case a.getenv("ACTIONS_ID_TOKEN_REQUEST_URL") != "":
		return fromGitHub
	case a.getenv("KEYTURN_ID_TOKEN") != "":
		return fromGitLab
	}
	if _, err := os.Stat(podToken); err == nil {
		return fromKubernetes
	}
	return ""
}

func (a *app) loginMachine(ctx context.Context, server string, m machineFlags) (api.Session, error) {
	if m.identity == "" || m.method == "" {
		return api.Session{}, fault.New(fault.Invalid, "a machine logs in with an identity and a method").WithHint("add --identity ID and --method NAME")
	}
	r := api.MachineLoginRequest{Identity: m.identity, Method: m.method}
	c, err := a.dial(server, "")
	if err != nil {
		return api.Session{}, err
	}
	audience := first(m.audience, server)
	switch from := m.source(a); from {
	case fromFile:
		r.JWT, err = a.passwordFrom(m.jwtFile)
	case fromKubernetes:
		r.JWT, err = a.passwordFrom(first(m.jwtFile, podToken))
	case fromGitLab:
		if r.JWT = a.getenv("KEYTURN_ID_TOKEN"); r.JWT == "" {
			err = fault.New(fault.Invalid, "there is no KEYTURN_ID_TOKEN").WithHint("add to the job: id_tokens: {KEYTURN_ID_TOKEN: {aud: ...}}")
		}
	case fromGitHub:
		r.JWT, err = a.githubToken(ctx, audience)
	case fromGCP:
		r.JWT, err = gcpToken(ctx, audience)
	case fromAzure:
		r.JWT, err = azureToken(ctx, audience)
	case fromAWS:
		r.AWS, err = signedIdentity(ctx, m.region, first(m.serverID, hostname(server)))
	case fromTLS:
		c, err = a.dialWithCertificate(server, m.certFile, m.certificateKey)
	case "":
		err = fault.New(fault.Invalid, "there is nothing to log in with").WithHint("add --jwt-file FILE, --tls-cert FILE, or --from with one of %s", strings.Join(machineSources, ", "))
	default:
		err = fault.New(fault.Invalid, "no such source of a credential").WithHint("want one of %s", strings.Join(machineSources, ", "))
	}
	if err != nil {
		return api.Session{}, err
	}
	return c.LoginMachine(ctx, r)
}

// dialWithCertificate shows a client certificate to the server.
func (a *app) dialWithCertificate(server, certFile, keyFile string) (*client.Client, error) {
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		hint := "look at --tls-cert and --tls-key"
		if errors.Is(err, fs.ErrNotExist) {
			hint = "one of the files is not there"
		}
		return nil, fault.Wrap(fault.Invalid, err, "the client certificate cannot be used").WithHint("%s", hint)
	}
	roots, err := certificates(a.getenv("KEYTURN_CA_FILE"))
	if err != nil {
		return nil, err
	}
	h := &http.Client{
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, Certificates: []tls.Certificate{pair}}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return client.New(server, "", client.WithUserAgent("keyturn-cli/"+a.version), client.WithHTTPClient(h))
}
