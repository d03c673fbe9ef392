package migrate

import (
	"bytes"

	"github.com/go-json-experiment/json"

	"github.com/keyturn/keyturn/internal/sensitive"
)

// infisicalExported is an entry of what "infisical export --format=json" writes, in its older and newer spelling.
type infisicalExported struct {
	Key        string `json:"key"`
	Value      string `json:"value"`
	Comment    string `json:"comment"`
	SecretKey  string `json:"secretKey"`
	SecretVal  string `json:"secretValue"`
	SecretNote string `json:"secretComment"`
	Path       string `json:"secretPath"`
	Type       string `json:"type"`
	Env        string `json:"environment"`
	Tags       []struct {
		Slug string `json:"slug"`
	} `json:"tags"`
}

// InfisicalExport reads a file of "infisical export": JSON with folders, tags and comments, or one of the flat formats. The
// command expands references unless it is told --expand=false; what is left of them points to what the file holds.
func InfisicalExport(name string, content []byte, o Options) (*Plan, error) {
	if err := tooLarge(name, content); err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(bytes.TrimSpace(content), []byte("[")) {
		return Flat("infisical", name, content, true, o)
	}
	var list []infisicalExported
	if json.Unmarshal(content, &list) != nil {
		return nil, unreadable(name, "an export of Infisical").WithHint("make it with: infisical export --format=json")
	}
	p, _ := filePlan("infisical", name, o)
	p.References = true
	project := &p.Projects[0]
	for _, x := range list {
		if x.Type == "personal" {
			p.note(Skipped, word(first(x.Key, x.SecretKey)), "is somebody's own value")
			continue
		}
		s := Secret{Key: Key{canonicalPath(x.Path), first(x.Key, x.SecretKey)}, Value: sensitive.FromString(first(x.Value, x.SecretVal)), Comment: first(x.Comment, x.SecretNote)}
		for _, t := range x.Tags {
			s.Tags = append(s.Tags, t.Slug)
		}
		if err := p.count(s.Value.Len()); err != nil {
			return nil, err
		}
		e := project.env(first(x.Env, o.Env))
		e.addFolder(s.Path)
		if len(e.Steps) == 0 {
			e.Steps = []Step{{}}
		}
		e.Steps[0].Sets = append(e.Steps[0].Sets, s)
	}
	return p, nil
}
