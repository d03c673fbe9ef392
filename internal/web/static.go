package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/httpkit"
)

//go:embed static/*.css static/*.js static/*.svg
var staticFiles embed.FS

const staticPrefix = "/static/"

// static serves files under names that hold their hash, so that a browser may keep them for ever and never shows an old one.
type static struct {
	byName map[string]file // as the browser asks
	names  map[string]string
}

type file struct {
	kind string
	body []byte
}

var kinds = map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}

func readStatic() (static, error) {
	out := static{map[string]file{}, map[string]string{}}
	entries, err := staticFiles.ReadDir("static")
	if err != nil {
		return out, err
	}
	for _, e := range entries {
		body, err := staticFiles.ReadFile("static/" + e.Name())
		if err != nil {
			return out, err
		}
		ext := path.Ext(e.Name())
		sum := sha256.Sum256(body)
		name := strings.TrimSuffix(e.Name(), ext) + "." + hex.EncodeToString(sum[:8]) + ext
		out.byName[name], out.names[e.Name()] = file{kinds[ext], body}, staticPrefix+name
	}
	return out, nil
}

// path gives the address of a file, for templates.
func (s static) path(name string) (string, error) {
	if p, ok := s.names[name]; ok {
		return p, nil
	}
	return "", fmt.Errorf("there is no static file %s", name)
}

// ServeHTTP implements [http.Handler].
func (s static) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f, ok := s.byName[strings.TrimPrefix(r.URL.Path, staticPrefix)]
	if !ok {
		httpkit.WriteError(w, r, fault.New(fault.NotFound, "there is no such file"))
		return
	}
	w.Header().Set("Content-Type", f.kind)
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.body))
}
