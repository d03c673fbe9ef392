package login

import (
	"slices"
	"strings"

	"github.com/keyturn/keyturn/internal/fault"
)

// GCP is a method for identity tokens that Google signs: of Compute Engine, Cloud Run, GKE and service accounts.
//
// https://cloud.google.com/compute/docs/instances/verifying-instance-identity
type GCP struct {
	Audience []string `json:"audience"`
	// Accounts are patterns of e-mail addresses of service accounts.
	Accounts []Pattern `json:"service_accounts,omitempty"`
	// Projects are ids of projects: of the machine, where the token tells it, else of the service account.
	Projects []string `json:"projects,omitempty"`
	// KeySet is where Google's keys are; only tests and private mirrors have another.
	KeySet      string   `json:"jwks_url,omitzero"`
	CA          string   `json:"ca,omitzero"`
	MaxLifetime Duration `json:"max_lifetime,omitzero"`
}

const (
	googleIssuer = "https://accounts.google.com"
	googleKeys   = "https://www.googleapis.com/oauth2/v3/certs"
	googleDomain = ".iam.gserviceaccount.com"
)

func (s *GCP) check() error {
	if s.KeySet == "" {
		s.KeySet = googleKeys
	}
	if len(s.Accounts) == 0 && len(s.Projects) == 0 || slices.ContainsFunc(s.Accounts, Pattern.open) && len(s.Projects) == 0 {
		return fault.New(fault.Invalid, "a gcp method must say which service accounts or projects may log in").WithField("/settings/service_accounts", "missing, or begins with *")
	}
	if len(s.Projects) > maxPatterns || slices.Contains(s.Projects, "") {
		return fault.New(fault.Invalid, "the projects are not valid").WithField("/settings/projects", "want at most %d ids", maxPatterns)
	}
	if err := checkPatterns("/settings/service_accounts", s.Accounts); err != nil {
		return err
	}
	return s.published().check()
}

func (s *GCP) published() *PublishedJWT {
	return &PublishedJWT{URL: s.KeySet, CA: s.CA, Algorithms: []string{"RS256"}, Rules: Rules{Issuer: googleIssuer, Audience: s.Audience, MaxLifetime: s.MaxLifetime,
		Bound: Bound{"email_verified": {"true"}}}}
}

func (s *GCP) needs() (least, most int) { return 0, 0 }

func (s *GCP) open(a Around) (Verifier, error) {
	p := s.published()
	if err := p.check(); err != nil {
		return nil, err
	}
	v, err := p.open(a)
	if err != nil {
		return nil, err
	}
	keyed := v.(*keyedJWT)
	keyed.also = s.account
	return keyed, nil
}

func (s *GCP) account(c claims, e *Evidence) error {
	email := c.text("email")
	if len(s.Accounts) > 0 && !matchesAny(s.Accounts, email) {
		return rejected("the method does not allow this service account")
	}
	// The address ends with the project's id, but only Google makes addresses of this form; others are of people, or of
	// Google's own accounts, whose project stands nowhere but in the claims.
	project := c.text("/google/compute_engine/project_id")
	if _, domain, ok := strings.Cut(email, "@"); ok && project == "" {
		project, _ = strings.CutSuffix(domain, googleDomain)
		if !strings.HasSuffix(domain, googleDomain) {
			project = ""
		}
	}
	if len(s.Projects) > 0 && (project == "" || !slices.Contains(s.Projects, project)) {
		return rejected("the method does not allow this project")
	}
	note(e.Attributes, "email", email)
	note(e.Attributes, "project", project)
	note(e.Attributes, "instance", c.text("/google/compute_engine/instance_name"))
	note(e.Attributes, "zone", c.text("/google/compute_engine/zone"))
	return nil
}
