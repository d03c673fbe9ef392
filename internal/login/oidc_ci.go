package login

import (
	"slices"

	"github.com/keyturn/keyturn/internal/fault"
)

// Pipeline is a method for the identity tokens of CI systems, or of any issuer that publishes OpenID Connect discovery. Such
// tokens are had by everybody who runs a job there, so the claims that say whose job it is are what counts.
//
// https://docs.github.com/actions/reference/security/oidc, https://docs.gitlab.com/ci/secrets/id_token_authentication/
type Pipeline struct {
	Rules
	CA string `json:"ca,omitzero"` // PEM of the issuer's authorities; empty for those of the system
	// Algorithms are what signatures may be of, default RS256.
	Algorithms []string `json:"algorithms,omitzero"`

	preset preset
}

// preset is what is known of one CI system.
type preset struct {
	issuer string // of the hosted service; a server of one's own has its own
	// owners are the claims that say whose job it is: one of them must be bound, to something that begins with letters.
	owners []string
	// facts are kept of every login, for conditions of policy and the log.
	facts []string
}

func presetOf(kind Kind) preset {
	switch kind {
	case KindGitHub:
		return preset{
			issuer: "https://token.actions.githubusercontent.com",
			owners: []string{"repository", "repository_id", "repository_owner", "repository_owner_id", "sub", "job_workflow_ref"},
			facts:  []string{"repository", "repository_owner", "ref", "environment", "workflow", "job_workflow_ref", "event_name", "actor", "run_id", "sha", "runner_environment"},
		}
	case KindGitLab:
		return preset{
			issuer: "https://gitlab.com",
			owners: []string{"project_path", "project_id", "namespace_path", "namespace_id", "sub", "ci_config_ref_uri"},
			facts:  []string{"project_path", "namespace_path", "ref", "ref_type", "ref_protected", "environment", "environment_protected", "pipeline_source", "user_login", "pipeline_id", "job_id", "sha"},
		}
	}
	return preset{}
}

func (s *Pipeline) check() error {
	if s.Issuer == "" {
		s.Issuer = s.preset.issuer
	}
	if len(s.Algorithms) == 0 {
		s.Algorithms = []string{"RS256"}
	}
	if err := checkAlgorithms(s.Algorithms); err != nil {
		return err
	}
	if err := s.Rules.check(); err != nil {
		return err
	}
	if err := checkAddress("/settings/issuer", s.Issuer); err != nil {
		return err
	}
	if _, err := pool(s.CA); err != nil {
		return err
	}
	if owners := s.preset.owners; owners != nil && !slices.ContainsFunc(owners, func(name string) bool {
		patterns := s.Bound[name]
		return len(patterns) > 0 && !slices.ContainsFunc(patterns, Pattern.open)
	}) {
		return fault.New(fault.Invalid, "the method would let everybody's jobs in").WithHint("bind the project, for example \"%s\": [\"acme/shop\"]", owners[0]).
			WithField("/settings/bound", "want one of %v, with patterns that do not begin with *", owners)
	}
	return nil
}

func (s *Pipeline) needs() (least, most int) { return 0, 0 }

func (s *Pipeline) open(a Around) (Verifier, error) {
	at, err := newIssuerSource(a, s.Issuer, s.CA)
	return &keyedJWT{rules: s.Rules, algs: algorithms(s.Algorithms), keys: at.find, also: func(c claims, e *Evidence) error {
		for _, name := range s.preset.facts {
			note(e.Attributes, name, c.text(name))
		}
		return nil
	}}, err
}
