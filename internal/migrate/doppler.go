package migrate

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// DopplerAddress is where Doppler answers.
const DopplerAddress = "https://api.doppler.com"

const (
	dopplerPage  = 100  // entries of a page; the most that Doppler gives
	dopplerPages = 1000 // a list that never ends, ends here
)

// DopplerAccess says how to reach Doppler.
type DopplerAccess struct {
	Address string // DopplerAddress unless a test or a proxy says otherwise
	Token   sensitive.Value
	Roots   []byte // PEM, nil for those of the system
}

type dopplerReader struct {
	*source
	o    Options
	plan *Plan
}

// Doppler reads all projects that the token may see; a config becomes an environment. A service token, which is for one config,
// gives that one.
func Doppler(ctx context.Context, access DopplerAccess, o Options) (*Plan, error) {
	s, err := newSource("Doppler", access.Address, access.Roots)
	if err != nil {
		return nil, err
	}
	s.header.Set("Authorization", "Bearer "+string(access.Token.Reveal()))
	return readDoppler(ctx, s, o, strings.HasPrefix(string(access.Token.Reveal()), "dp.st."))
}

func readDoppler(ctx context.Context, s *source, o Options, one bool) (*Plan, error) {
	r := &dopplerReader{source: s, o: o, plan: &Plan{Source: "doppler", Where: s.base.String(), References: true}}
	r.plan.Advice = []string{"keyturn run --project P --env E -- COMMAND instead of doppler run -- COMMAND"}
	if one {
		return r.plan, r.single(ctx)
	}
	type project struct {
		Slug string `json:"slug"`
		Name string `json:"name"`
	}
	var projects []project
	err := r.pages(ctx, "/v3/projects", url.Values{}, func(a answered) (int, error) {
		var list struct {
			Projects []project `json:"projects"`
		}
		err := r.decode(a, &list)
		projects = append(projects, list.Projects...)
		return len(list.Projects), err
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(projects, func(a, b project) int { return strings.Compare(a.Slug, b.Slug) })
	for i, p := range projects {
		if !selected(o.Only, p.Slug) {
			continue
		}
		out := Project{Slug: p.Slug, Name: first(p.Name, p.Slug)}
		var configs []string
		err := r.pages(ctx, "/v3/configs", url.Values{"project": {p.Slug}}, func(a answered) (int, error) {
			var list struct {
				Configs []struct {
					Name string `json:"name"`
				} `json:"configs"`
			}
			err := r.decode(a, &list)
			for _, c := range list.Configs {
				configs = append(configs, c.Name)
			}
			return len(list.Configs), err
		})
		if err != nil {
			return nil, err
		}
		for _, c := range configs {
			if !wanted(o.Only, p.Slug+"/"+c) {
				continue
			}
			found, err := r.config(ctx, p.Slug, c)
			if err != nil {
				return nil, err
			}
			if err := r.take(&out, c, found); err != nil {
				return nil, err
			}
		}
		r.plan.Projects = append(r.plan.Projects, out)
		o.tell("reading "+word(p.Slug), i+1, len(projects))
	}
	r.plan.note(Identity, "service tokens", "are made anew: keyturn identity create NAME, then keyturn identity secret create NAME")
	return r.plan, nil
}

// pages asks for page after page until one is not full.
func (r *dopplerReader) pages(ctx context.Context, path string, query url.Values, take func(answered) (int, error)) error {
	for page := 1; page <= dopplerPages; page++ {
		query.Set("page", strconv.Itoa(page))
		query.Set("per_page", strconv.Itoa(dopplerPage))
		a, err := r.get(ctx, path, query)
		if err != nil {
			return err
		}
		if a.status != http.StatusOK {
			return r.refusal(a, "projects")
		}
		n, err := take(a)
		if err != nil || n < dopplerPage {
			return err
		}
	}
	return fault.New(fault.Exhausted, "a list of Doppler does not end after %d pages", dopplerPages)
}

type dopplerSecret struct {
	Raw      *string `json:"raw"`
	Computed *string `json:"computed"`
	Note     string  `json:"note"`
}

func (r *dopplerReader) config(ctx context.Context, project, config string) (map[string]dopplerSecret, error) {
	q := url.Values{"include_dynamic_secrets": {"false"}}
	if project != "" {
		q.Set("project", project)
		q.Set("config", config)
	}
	a, err := r.get(ctx, "/v3/configs/config/secrets", q)
	if err != nil {
		return nil, err
	}
	if a.status != http.StatusOK {
		return nil, r.refusal(a, "config "+word(config))
	}
	var list struct {
		Secrets map[string]dopplerSecret `json:"secrets"`
	}
	return list.Secrets, r.decode(a, &list)
}

// single reads the config of a service token. Which one it is, the config says of itself.
func (r *dopplerReader) single(ctx context.Context) error {
	found, err := r.config(ctx, "", "")
	if err != nil {
		return err
	}
	name := func(key string) string {
		if s := found[key].Computed; s != nil {
			return *s
		}
		return ""
	}
	project := Project{Slug: name("DOPPLER_PROJECT"), Name: name("DOPPLER_PROJECT")}
	if project.Slug == "" || name("DOPPLER_CONFIG") == "" {
		return fault.New(fault.Unavailable, "Doppler does not say which config the token is for").WithHint("use a service account's or a personal token")
	}
	if err := r.take(&project, name("DOPPLER_CONFIG"), found); err != nil {
		return err
	}
	r.plan.Projects = append(r.plan.Projects, project)
	return nil
}

// dopplerReference finds what Doppler reads as a reference: ${KEY}, ${config.KEY}, ${project.config.KEY}.
var dopplerReference = regexp.MustCompile(`\$\{([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_]+)\}`)

// take makes an environment of a config. What Doppler adds by itself stays there.
func (r *dopplerReader) take(p *Project, config string, found map[string]dopplerSecret) error {
	e := p.env(config)
	e.Folders = []Folder{{Path: "/"}}
	var step Step
	for name, s := range found {
		if name == "DOPPLER_PROJECT" || name == "DOPPLER_CONFIG" || name == "DOPPLER_ENVIRONMENT" {
			continue
		}
		if s.Raw == nil {
			r.plan.note(Unread, word(p.Slug+"/"+config+":/"+name), "has a value that this token may not read")
			continue
		}
		// Three parts are a project of its own, which is spelled with an @ here.
		raw := dopplerReference.ReplaceAllString(*s.Raw, "$${@$1.$2.$3}")
		step.Sets = append(step.Sets, Secret{Key: Key{"/", name}, Value: sensitive.FromString(raw), Comment: s.Note})
		if err := r.plan.count(len(raw)); err != nil {
			return err
		}
	}
	e.Steps = []Step{step}
	return nil
}

func first(texts ...string) string {
	for _, s := range texts {
		if s != "" {
			return s
		}
	}
	return ""
}
