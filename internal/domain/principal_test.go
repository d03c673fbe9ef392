package domain_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/keyturn/keyturn/internal/domain"
)

var everyVerb = []domain.Verb{domain.VerbDelete, domain.VerbList, domain.VerbRead, domain.VerbWrite}

func TestScopesReadAsPeopleWriteThem(t *testing.T) {
	read := []domain.Verb{domain.VerbRead}
	for in, want := range map[string][]domain.ScopeText{
		"prod:/backend:read":              {{Env: "prod", Path: "/backend", Verbs: read}},
		"prod:backend/:read":              {{Env: "prod", Path: "/backend", Verbs: read}},
		"prod::read":                      {{Env: "prod", Path: "/", Verbs: read}},
		"*:/:*":                           {{Env: "*", Path: "/", Verbs: everyVerb}},
		"dev:/a/*/**/b:write,list,write":  {{Env: "dev", Path: "/a/*/**/b", Verbs: []domain.Verb{domain.VerbList, domain.VerbWrite}}},
		"dev:/:*,read":                    {{Env: "dev", Path: "/", Verbs: everyVerb}},
		" a:/:read ; b:/: read , list ;;": {{Env: "a", Path: "/", Verbs: read}, {Env: "b", Path: "/", Verbs: []domain.Verb{domain.VerbList, domain.VerbRead}}},
	} {
		got, err := domain.ParseScopes(in)
		if err != nil {
			t.Errorf("%q: %v", in, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", in, diff)
		}
	}
	if got, err := domain.ParseScopes(strings.Repeat("a:/:read;", 64)); err != nil || len(got) != 64 {
		t.Errorf("64 scopes give %d, %v", len(got), err)
	}
}

func TestAScopeThatIsNotUnderstoodIsRefused(t *testing.T) {
	for _, s := range append([]string{
		"", " ", ";", ";;", "read", "prod", "prod:read", "prod:/", "prod:/:", "prod:/:,", "prod:/:read,", ":/:read", "prod:/:read:list", "proj:prod:/:read",
		"prod:/:Read", "prod:/:READ", "prod:/:admin", "prod:/:purge", "prod:/:r\u0435ad", "prod:/:read\x00", "prod:/:re ad", "prod:/:**", "prod:/:-read",
		"Prod:/:read", "prod :/:read", "prod: /:read", "prod:/ :read", "**:/:read", "p*:/:read", "pr\u043ed:/:read", "prod\x00:/:read",
		"prod:/..:read", "prod:/a/../b:read", "prod:/a//b:read", "prod:!/a:read", "prod:/a*:read", "prod:/[a]:read", "prod:/a\\b:read",
		"prod:" + deep(17, "a") + ":read", "a:/:read;b", "a:/:read;b:/:nothing", "a:/:read\nb:/:read", strings.Repeat("a:/:read;", 65),
		"0198c0de-0000-7000-8000-000000000000:/:read", strings.Repeat(":", 1<<16),
	}, hostile...) {
		got, err := domain.ParseScopes(s)
		if got != nil {
			t.Errorf("%.80q gives %v", s, got)
		}
		refused(t, s, err)
	}
}
