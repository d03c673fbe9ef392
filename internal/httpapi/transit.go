package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/transit"
)

// Transit keeps keys of the encryption service. What they do, the dialects ask for.
type Transit interface {
	Keys(ctx context.Context, project string) ([]transit.Key, error)
	Key(ctx context.Context, ref transit.Ref) (transit.Key, error)
	Create(ctx context.Context, project string, in transit.NewKey) (transit.Key, error)
	Rotate(ctx context.Context, ref transit.Ref) (transit.Key, error)
	Configure(ctx context.Context, ref transit.Ref, c transit.Config) (transit.Key, error)
	Delete(ctx context.Context, ref transit.Ref) (transit.Key, error)
}

type transitPlace struct {
	Project string `query:"project" doc:"id or slug; absent: the organisation itself"`
}

type transitParam struct {
	Name    string `path:"name" doc:"of the key"`
	Project string `query:"project" doc:"id or slug; absent: the organisation itself"`
}

func (p *transitParam) ref() transit.Ref { return transit.Ref{Project: p.Project, Name: p.Name} }

func transitRoutes() []Route {
	const read, manage = "transit.read", "transit.manage"
	return []Route{
		with(Route{Method: "GET", Path: "/transit/keys", Auth: Token, Action: read, Summary: "List keys of the encryption service.", Example: api.TransitKeys{}},
			func(c *call, p *transitPlace, _ *none) (api.TransitKeys, error) {
				all, err := c.Transit.Keys(c.ctx, p.Project)
				out := api.TransitKeys{Keys: []api.TransitKey{}}
				for _, k := range all {
					out.Keys = append(out.Keys, transitKeyOf(k))
				}
				return out, err
			}),
		with(Route{Method: "POST", Path: "/transit/keys", Auth: Token, Action: manage, Summary: "Make a key that encrypts, signs or authenticates for others.", MaxBody: smallBody, Status: http.StatusCreated,
			Example: api.TransitKeyRequest{Project: "shop", Name: "cards", Type: "aes256-gcm96", RotateEvery: "90d"}}, createTransitKey),
		with(Route{Method: "GET", Path: "/transit/keys/{name}", Auth: Token, Action: read, Summary: "Show a key with its versions and public halves.", Example: api.TransitKey{}},
			func(c *call, p *transitParam, _ *none) (api.TransitKey, error) {
				return transitKey(c.Transit.Key(c.ctx, p.ref()))
			}),
		with(Route{Method: "PATCH", Path: "/transit/keys/{name}", Auth: Token, Action: manage, Summary: "Change which versions of a key may still be used, and what else is allowed.", MaxBody: smallBody,
			Example: api.TransitKeyConfig{MinDecryptionVersion: new(int64(2))}}, configureTransitKey),
		with(Route{Method: "POST", Path: "/transit/keys/{name}/rotate", Auth: Token, Action: manage, Summary: "Make a new version of a key; older ones still decrypt and verify.", Example: api.TransitKey{}},
			func(c *call, p *transitParam, _ *none) (api.TransitKey, error) {
				return transitKey(c.Transit.Rotate(c.ctx, p.ref()))
			}),
		with(Route{Method: "DELETE", Path: "/transit/keys/{name}", Auth: Token, Action: manage, Summary: "Destroy a key whose deletion is allowed, and with it what was encrypted.", Example: api.Done{}},
			func(c *call, p *transitParam, _ *none) (api.Done, error) {
				_, err := c.Transit.Delete(c.ctx, p.ref())
				return api.Done{Done: true}, err
			}),
	}
}

func createTransitKey(c *call, _ *none, b *api.TransitKeyRequest) (api.TransitKey, error) {
	every, err := parseDuration("/rotate_every", b.RotateEvery)
	if err != nil {
		return api.TransitKey{}, err
	}
	return transitKey(c.Transit.Create(c.ctx, b.Project, transit.NewKey{Name: b.Name, Description: b.Description, Kind: transit.Kind(b.Type), Derived: b.Derived,
		Convergent: b.Convergent, Exportable: b.Exportable, PlainBackup: b.PlaintextBackup, RotateEvery: every}))
}

func configureTransitKey(c *call, p *transitParam, b *api.TransitKeyConfig) (api.TransitKey, error) {
	in := transit.Config{Description: b.Description, Disabled: b.Disabled, MinDecryption: b.MinDecryptionVersion, MinEncryption: b.MinEncryptionVersion,
		Deletable: b.DeletionAllowed, Exportable: b.Exportable, PlainBackup: b.PlaintextBackup}
	if b.RotateEvery != nil {
		every, err := parseDuration("/rotate_every", *b.RotateEvery)
		if err != nil {
			return api.TransitKey{}, err
		}
		in.RotateEvery = &every
	}
	return transitKey(c.Transit.Configure(c.ctx, p.ref(), in))
}

func transitKey(k transit.Key, err error) (api.TransitKey, error) { return transitKeyOf(k), err }

func transitKeyOf(k transit.Key) api.TransitKey {
	out := api.TransitKey{ID: k.ID, ProjectID: string(k.Project), Name: k.Name, Description: k.Description, Type: string(k.Kind), Disabled: k.Disabled, Derived: k.Derived,
		Convergent: k.Convergent, Exportable: k.Exportable, PlaintextBackup: k.PlainBackup, DeletionAllowed: k.Deletable, LatestVersion: k.Latest,
		MinDecryptionVersion: k.MinDecryption, MinEncryptionVersion: k.MinEncryption, MinAvailableVersion: k.MinAvailable,
		RotateEvery: span(k.RotateEvery.Milliseconds()), CreatedAt: at(k.CreatedAt), RotatedAt: at(k.RotatedAt)}
	for _, v := range k.Versions {
		public := ""
		if !k.Derived { // there is one for each context
			public = transit.PublicText(k.Kind, v.Public)
		}
		out.Versions = append(out.Versions, api.TransitVersion{Version: v.Number, CreatedAt: at(v.CreatedAt), PublicKey: public})
	}
	return out
}

// transitSamples are answers about keys of the encryption service.
func transitSamples() []any {
	day := time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)
	key := api.TransitKey{ID: sampleKey, ProjectID: sampleProject, Name: "cards", Type: "aes256-gcm96", LatestVersion: 2, MinDecryptionVersion: 1, RotateEvery: "2160h0m0s",
		CreatedAt: day, RotatedAt: day.AddDate(0, 3, 0), Versions: []api.TransitVersion{{Version: 1, CreatedAt: day}, {Version: 2, CreatedAt: day.AddDate(0, 3, 0)}}}
	listed := key
	listed.Versions = nil
	return []any{key, api.TransitKeys{Keys: []api.TransitKey{listed}}}
}
