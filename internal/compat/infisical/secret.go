package infisical

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/secrets"
)

func (s *Surface) secretRoutes() []route {
	return []route{
		{"GET /v3/secrets/raw", withToken, s.listSecretsV3},
		{"GET /v4/secrets", withToken, s.listSecretsV4},
		{"GET /v3/secrets/raw/{name}", withToken, s.getSecretV3},
		{"GET /v4/secrets/{name}", withToken, s.getSecretV4},
		{"GET /v3/secrets/raw/id/{id}", withToken, s.secretByID},
		{"GET /v4/secrets/id/{id}", withToken, s.secretByID},
		{"POST /v3/secrets/raw/{name}", withToken, s.createSecret},
		{"POST /v4/secrets/{name}", withToken, s.createSecret},
		{"PATCH /v3/secrets/raw/{name}", withToken, s.updateSecret},
		{"PATCH /v4/secrets/{name}", withToken, s.updateSecret},
		{"DELETE /v3/secrets/raw/{name}", withToken, s.deleteSecret},
		{"DELETE /v4/secrets/{name}", withToken, s.deleteSecret},
		{"POST /v3/secrets/batch/raw", withToken, s.createSecrets},
		{"POST /v4/secrets/batch", withToken, s.createSecrets},
		{"PATCH /v3/secrets/batch/raw", withToken, s.updateSecrets},
		{"PATCH /v4/secrets/batch", withToken, s.updateSecrets},
		{"DELETE /v3/secrets/batch/raw", withToken, s.deleteSecrets},
		{"DELETE /v4/secrets/batch", withToken, s.deleteSecrets},
	}
}

// hiddenValue stands in place of a value that the caller may not read, or did not ask for.
const hiddenValue = "<hidden-by-infisical>"

// The types of secrets: what everybody sees, and what one person put before it for himself.
const (
	shared   = "shared"
	personal = "personal"
)

// secret is a secret as clients read it. No member is ever left out or null that one of them reads.
type secret struct {
	ID                    string     `json:"id"`
	OldID                 string     `json:"_id"` // the same
	Workspace             string     `json:"workspace"`
	Environment           string     `json:"environment"`
	Version               int64      `json:"version"`
	Type                  string     `json:"type"`
	Key                   string     `json:"secretKey"`
	Value                 string     `json:"secretValue"`
	Comment               string     `json:"secretComment"`
	Path                  string     `json:"secretPath"`
	Hidden                bool       `json:"secretValueHidden"`
	SkipMultilineEncoding bool       `json:"skipMultilineEncoding"`
	Tags                  []tag      `json:"tags"`
	Metadata              []metadata `json:"secretMetadata"`
	CreatedAt             string     `json:"createdAt"`
	UpdatedAt             string     `json:"updatedAt"`
	ReminderNote          *string    `json:"secretReminderNote"`
	ReminderRepeatDays    *int64     `json:"secretReminderRepeatDays"`
	IsRotatedSecret       bool       `json:"isRotatedSecret"`
	RotationID            *string    `json:"rotationId"`
}

type tag struct {
	ID    string `json:"id"`
	Slug  string `json:"slug"`
	Name  string `json:"name"`
	Color string `json:"color"`
}

type metadata struct {
	Key         string `json:"key"`
	Value       string `json:"value"`
	IsEncrypted bool   `json:"isEncrypted"`
}

// imported is what one import shows.
type imported struct {
	Path        string   `json:"secretPath"`
	Environment string   `json:"environment"`
	FolderID    string   `json:"folderId"`
	Secrets     []secret `json:"secrets"`
}

type secretList struct {
	Secrets []secret    `json:"secrets"`
	Imports *[]imported `json:"imports,omitzero"`
}

// secretsOf gives the secrets of a block.
func secretsOf(b *secrets.Block) ([]secret, error) {
	out := make([]secret, 0, len(b.Items))
	for i := range b.Items {
		one, err := secretOf(b, &b.Items[i])
		if err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	return out, nil
}

func secretOf(b *secrets.Block, it *secrets.Item) (secret, error) {
	out := secret{ID: string(it.ID), OldID: string(it.ID), Workspace: string(b.Project.ID), Environment: string(b.Env.Slug), Version: it.Version, Type: shared,
		Key: string(it.Name), Value: hiddenValue, Path: string(it.Path), Hidden: it.Hidden, SkipMultilineEncoding: it.Attrs.OneLine,
		Tags: make([]tag, 0, len(it.Attrs.Tags)), Metadata: make([]metadata, 0, len(it.Attrs.Meta)), UpdatedAt: stamp(it.At), CreatedAt: stamp(bornAt(string(it.ID), it.At))}
	if it.Personal {
		out.Type = personal
	}
	if !it.Hidden && it.Value != nil {
		v, comment := it.Value.Reveal(), it.Comment.Reveal()
		if !utf8.Valid(v) {
			return out, fault.New(fault.Unsupported, "the value of %s is no text, and this API has only text", it.Path.Key(it.Name)).
				WithHint("read it with: keyturn get")
		}
		out.Value, out.Comment = string(v), string(comment)
	}
	for _, t := range it.Attrs.Tags {
		out.Tags = append(out.Tags, tagOf(secrets.TagLook(b.Project.ID, b.Looks, t)))
	}
	for _, k := range slices.Sorted(maps.Keys(it.Attrs.Meta)) {
		out.Metadata = append(out.Metadata, metadata{Key: k, Value: it.Attrs.Meta[k]})
	}
	if it.Attrs.Reminder != "" {
		out.ReminderNote = &it.Attrs.Reminder
	}
	if days := int64(it.Attrs.Cadence.Every().Hours() / 24); days > 0 {
		out.ReminderRepeatDays = &days
	}
	return out, nil
}

// bornAt tells when a thing was made: its id says so (RFC 9562, version 7).
func bornAt(id string, otherwise int64) int64 {
	u, err := uuid.Parse(id)
	if err != nil || u.Version() != 7 {
		return otherwise
	}
	sec, nsec := u.Time().UnixTime()
	return sec*1000 + nsec/1_000_000
}

// look are the options of reads that the two versions of the API have different defaults for.
type look struct {
	imports, expand, recursive bool
	// beside shows the caller's own values as entries of their own.
	beside bool
}

var (
	lookV3 = look{beside: true}
	lookV4 = look{imports: true, expand: true}
)

// options reads what a read asks for.
func (c *call) options(d look) (secrets.LookOptions, error) {
	o := secrets.LookOptions{}
	for _, f := range []struct {
		name      string
		otherwise bool
		into      *bool
		not       bool
	}{
		{"includeImports", d.imports, &o.Imports, false}, {"expandSecretReferences", d.expand, &o.Raw, true},
		{"recursive", d.recursive, &o.Recursive, false}, {"viewSecretValue", true, &o.Reveal, false},
	} {
		v, err := c.flag(f.name, f.otherwise)
		if err != nil {
			return o, err
		}
		*f.into = v != f.not
	}
	over, err := c.flag("includePersonalOverrides", false)
	switch {
	case err != nil:
		return o, err
	case over:
		o.Own = secrets.OwnInstead
	case d.beside:
		o.Own = secrets.OwnBeside
	}
	if sent := c.http.Header.Get("If-None-Match"); sent != "" {
		o.Known = func(t string) bool { return matches(sent, t) }
	}
	return o, nil
}

// matches tells whether If-None-Match names a tag (RFC 9110, 13.1.2: the comparison is weak).
func matches(sent, t string) bool {
	if strings.TrimSpace(sent) == "*" {
		return true
	}
	for part := range strings.SplitSeq(sent, ",") {
		if strings.TrimPrefix(strings.TrimSpace(part), "W/") == quoted(t) {
			return true
		}
	}
	return false
}

func quoted(t string) string { return `"` + t + `"` }

// place reads which environment and folder a call is about.
func (s *Surface) place(ctx context.Context, c *call) (secrets.EnvRef, domain.Path, error) {
	project, err := c.project()
	if err != nil {
		return secrets.EnvRef{}, "", err
	}
	env, err := c.must("environment")
	if err != nil {
		return secrets.EnvRef{}, "", err
	}
	path, err := c.folder("secretPath")
	return secrets.EnvRef{Project: project, Env: env}, path, err
}

// project reads the project by id or slug.
func (c *call) project() (string, error) {
	id, err := c.text("projectId")
	if err == nil && id == "" {
		id, err = c.text("projectSlug")
	}
	if err == nil && id == "" {
		err = wrong("projectId", "the id of a project, or projectSlug")
	}
	return id, err
}

// secretName reads the name from the path of the request.
func (c *call) secretName() (domain.SecretName, error) {
	return nameOf("secretName", c.http.PathValue("name"))
}

func nameOf(where, text string) (domain.SecretName, error) {
	name, err := domain.ParseSecretName(text)
	if err != nil {
		return "", wrong(where, "1 to 255 letters, digits, '_', '-' or '.'")
	}
	return name, nil
}

func (s *Surface) listSecretsV3(ctx context.Context, c *call) (*answer, error) {
	return s.listSecrets(ctx, c, lookV3)
}

func (s *Surface) listSecretsV4(ctx context.Context, c *call) (*answer, error) {
	return s.listSecrets(ctx, c, lookV4)
}

func (s *Surface) listSecrets(ctx context.Context, c *call, d look) (*answer, error) {
	ref, path, err := s.place(ctx, c)
	if err != nil {
		return nil, err
	}
	o, err := c.options(d)
	if err == nil {
		err = c.filters(&o)
	}
	if err != nil {
		return nil, err
	}
	got, err := s.Secrets.Look(ctx, ref, path, o)
	if err != nil {
		return nil, err
	}
	if got.Unchanged {
		return &answer{status: http.StatusNotModified, etag: quoted(got.Tag)}, nil
	}
	out := secretList{}
	if out.Secrets, err = secretsOf(&got.Block); err != nil {
		return nil, err
	}
	if o.Imports {
		blocks := make([]imported, 0, len(got.Imports))
		for i := range got.Imports {
			b := &got.Imports[i]
			list, err := secretsOf(b)
			if err != nil {
				return nil, err
			}
			blocks = append(blocks, imported{Path: string(b.Path), Environment: string(b.Env.Slug), FolderID: string(b.Folder), Secrets: list})
		}
		out.Imports = &blocks
	}
	return &answer{body: out, etag: quoted(got.Tag)}, nil
}

// maxFilters bounds a filter on metadata, as the original does.
const maxFilters = 10

// filters reads tagSlugs=a,b and metadataFilter=key=K,value=V|key=K.
func (c *call) filters(o *secrets.LookOptions) error {
	slugs, err := c.text("tagSlugs")
	if err != nil {
		return err
	}
	for slug := range strings.SplitSeq(slugs, ",") {
		if slug == "" {
			continue
		}
		t, err := domain.ParseTag(slug)
		if err != nil {
			return wrong("tagSlugs", "slugs of tags, separated by commas")
		}
		o.Tags = append(o.Tags, t)
	}
	text, err := c.text("metadataFilter")
	if err != nil || text == "" {
		return err
	}
	for part := range strings.SplitSeq(text, "|") {
		var f secrets.MetaFilter
		for half := range strings.SplitSeq(part, ",") {
			k, v, _ := strings.Cut(half, "=")
			switch strings.TrimSpace(k) {
			case "key":
				f.Key = v
			case "value":
				f.Value = v
			default:
				return wrong("metadataFilter", "key=K,value=V, several separated by |")
			}
		}
		o.Meta = append(o.Meta, f)
	}
	if len(o.Meta) > maxFilters {
		return wrong("metadataFilter", "at most "+strconv.Itoa(maxFilters)+" filters")
	}
	return nil
}

func (s *Surface) getSecretV3(ctx context.Context, c *call) (*answer, error) {
	return s.getSecret(ctx, c, lookV3)
}

func (s *Surface) getSecretV4(ctx context.Context, c *call) (*answer, error) {
	return s.getSecret(ctx, c, lookV4)
}

func (s *Surface) getSecret(ctx context.Context, c *call, d look) (*answer, error) {
	name, err := c.secretName()
	if err != nil {
		return nil, err
	}
	ref, path, err := s.place(ctx, c)
	if err != nil {
		return nil, err
	}
	kind, err := c.kind()
	if err != nil {
		return nil, err
	}
	o, err := c.options(d)
	if err != nil {
		return nil, err
	}
	o.Name, o.Recursive = name, false
	switch {
	case kind == personal && isMachine(ctx):
		return nil, noPersonal(path, name)
	case kind == personal:
		o.Own = secrets.OwnInstead
	case d.beside: // one secret cannot be two
		o.Own = secrets.OwnLeftOut
	}
	if o.Version, err = c.integer("version"); err != nil || o.Version < 0 {
		return nil, wrong("version", "a whole number from 1")
	}
	got, err := s.Secrets.Look(ctx, ref, path, o)
	if err != nil {
		return nil, err
	}
	if got.Unchanged {
		return &answer{status: http.StatusNotModified, etag: quoted(got.Tag)}, nil
	}
	b := &got.Block
	if len(b.Items) == 0 && len(got.Imports) > 0 {
		b = &got.Imports[0]
	}
	if len(b.Items) == 0 || kind == personal && !b.Items[0].Personal {
		return nil, noPersonal(path, name)
	}
	one, err := secretOf(b, &b.Items[0])
	if err != nil {
		return nil, err
	}
	return &answer{body: object{"secret": one}, etag: quoted(got.Tag)}, nil
}

// kind reads the type of a secret.
func (c *call) kind() (string, error) {
	kind, err := c.text("type")
	switch {
	case err != nil:
		return "", err
	case kind == "":
		return shared, nil
	case kind != shared && kind != personal:
		return "", wrong("type", "shared or personal")
	}
	return kind, nil
}

func isMachine(ctx context.Context) bool { return guard.CallerOf(ctx).Principal.Kind != domain.User }

// noPersonal is what somebody gets who asks for a value of his own that is not there. The original's CLI deletes personal
// values unless it is told otherwise.
func noPersonal(path domain.Path, name domain.SecretName) error {
	return fault.New(fault.NotFound, "there is no personal value of %s", path.Key(name)).
		WithHint("machines have none; for the value that everybody sees say type=shared, in the CLI: --type shared")
}

// secretByID shows the secret of an id.
func (s *Surface) secretByID(ctx context.Context, c *call) (*answer, error) {
	id, err := domain.ParseID[domain.SecretID](c.http.PathValue("id"))
	if err != nil {
		return nil, wrong("secretId", "an id")
	}
	got, err := s.Secrets.LookByID(ctx, id)
	if err != nil {
		return nil, err
	}
	one, err := secretOf(&got.Block, &got.Items[0])
	if err != nil {
		return nil, err
	}
	return &answer{body: object{"secret": one}, etag: quoted(got.Tag)}, nil
}
