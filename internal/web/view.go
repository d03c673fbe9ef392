package web

import (
	"bytes"
	"embed"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/httpkit"
)

//go:embed templates/*.html
var templateFiles embed.FS

// views holds one set of templates for each page: the layout, the partials and the page itself.
type views map[string]*template.Template

// shared are the templates that every page may use; the others are pages.
var shared = []string{"templates/layout.html", "templates/parts.html"}

func readViews(s static) (views, error) {
	funcs := template.FuncMap{"static": s.path, "when": when, "iso": iso, "capital": capital}
	base, err := template.New("").Funcs(funcs).Option("missingkey=error").ParseFS(templateFiles, shared...)
	if err != nil {
		return nil, err
	}
	names, err := fs.Glob(templateFiles, "templates/page_*.html")
	if err != nil {
		return nil, err
	}
	out := views{}
	for _, name := range names {
		set, err := base.Clone()
		if err == nil {
			set, err = set.ParseFS(templateFiles, name)
		}
		if err != nil {
			return nil, err
		}
		out[strings.TrimSuffix(strings.TrimPrefix(path.Base(name), "page_"), ".html")] = set
	}
	return out, nil
}

// when shows a time in unix milliseconds as people read it, in UTC.
func when(ms int64) string {
	if ms == 0 {
		return "never"
	}
	return time.UnixMilli(ms).UTC().Format("2 Jan 2006, 15:04 UTC")
}

func iso(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339) }

// capital begins a sentence: faults are written in lower case.
func capital(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// frame is what the layout shows around a page.
type frame struct {
	Title   string
	Who     string // "" when nobody is logged in
	Here    string // the entry of the navigation
	Notice  string // what was just done
	Problem *fault.Error
	Version string
	Origin  string // where passkeys work, "" for nowhere
	Enrol   int64  // from when nothing goes without a second factor, unix milliseconds, 0 = never
	Page    any
}

// show renders a page. It is rendered as a whole before anything is sent, so that a failure is no half page.
func (v *visit) show(status int, name, title string, data any) error {
	f := frame{Title: title, Here: v.r.URL.Path, Notice: v.notice, Problem: v.problem, Version: v.Version, Origin: v.Passkeys.Origin(), Page: data}
	if v.who != nil {
		f.Who, f.Enrol = v.who.Name, v.who.EnrolBy
	}
	var body bytes.Buffer
	if err := v.views[name].ExecuteTemplate(&body, "layout", f); err != nil {
		return fault.Wrap(fault.Internal, err, "the page could not be made")
	}
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	v.w.WriteHeader(status)
	_, _ = body.WriteTo(v.w)
	return nil
}

// fail shows what went wrong, on a page of its own. The cause goes to the log.
func (v *visit) fail(err error) {
	f := fault.As(err)
	status := httpkit.Status(f.Kind)
	if status >= 500 && f.Kind != fault.Unsupported {
		slog.Error("page failed", "request", httpkit.RequestID(v.r.Context()), "method", v.r.Method, "route", v.r.Pattern, "kind", f.Kind, "error", err)
	}
	if v.scripted() {
		httpkit.WriteError(v.w, v.r, err)
		return
	}
	v.problem = f
	if err := v.show(status, "error", "That did not work", httpkit.RequestID(v.r.Context())); err != nil {
		slog.Error("page failed", "request", httpkit.RequestID(v.r.Context()), "error", err)
		http.Error(v.w, "something went wrong inside the server", http.StatusInternalServerError)
	}
}
