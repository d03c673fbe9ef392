package cli

import (
	"slices"
	"testing"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/domain"
)

func TestAFailureNamesTheSecretInPlaceOfItsPosition(t *testing.T) {
	changes := []api.Change{{Path: "/", Name: "A"}, {Path: "/backend", Name: "B"}}
	e := &client.Error{Problem: api.Problem{Detail: "wrong", Kind: "invalid", Fields: []api.FieldProblem{
		{Where: "/changes/1/value", Problem: "p"}, {Where: "/changes/0", Problem: "p"}, {Where: "/changes/9/value", Problem: "p"},
		{Where: "/changes/x", Problem: "p"}, {Where: "/message", Problem: "p"}}}}
	err := nameChanges(e, changes)
	var got []string
	for _, f := range reportOf(err).fields {
		got = append(got, f.Where)
	}
	want := []string{"value of /backend/B", "/A", "/changes/9/value", "/changes/x", "/message"}
	if !slices.Equal(got, want) {
		t.Fatalf("got %q, want %q", got, want)
	}
}

func TestRequiredNamesAreAddedOnceAndTakenAway(t *testing.T) {
	now := []string{"B", "C"}
	if got := requireNames(now, []string{"A", "C", "A"}); !slices.Equal(got, []string{"A", "B", "C"}) {
		t.Error(got)
	}
	if got := unrequireNames(now, []string{"C", "X"}); !slices.Equal(got, []string{"B"}) {
		t.Error(got)
	}
	if !slices.Equal(now, []string{"B", "C"}) {
		t.Error("the list that was read is changed:", now)
	}
}

func TestADifferenceNamesOnlyWhatIsCertainToDiffer(t *testing.T) {
	value := func(s string) *api.Value { return &api.Value{Value: s} }
	at, same := time.Unix(1, 0), time.Unix(1, 0)
	for name, c := range map[string]struct {
		from, to *api.Secret
		want     []string
	}{
		"one side":                    {nil, &api.Secret{}, nil},
		"nothing else can be it":      {&api.Secret{}, &api.Secret{}, []string{"value"}},
		"an attribute, values hidden": {&api.Secret{}, &api.Secret{Attributes: api.Attributes{Owner: "a"}}, []string{"owner"}},
		"an attribute, values equal":  {&api.Secret{Value: value("test-value")}, &api.Secret{Value: value("test-value"), Attributes: api.Attributes{Tags: []string{"a"}}}, []string{"tags"}},
		"both":                        {&api.Secret{Value: value("test-value")}, &api.Secret{Value: value("test-value-2"), Attributes: api.Attributes{Public: true}}, []string{"value", "public"}},
		"equal times are equal":       {&api.Secret{Attributes: api.Attributes{ExpiresAt: &at}}, &api.Secret{Attributes: api.Attributes{ExpiresAt: &same, Metadata: map[string]string{"k": "v"}}}, []string{"metadata"}},
	} {
		if got := factsThatDiffer(api.Difference{From: c.from, To: c.to}); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestACopyGoesToANameOrAFolder(t *testing.T) {
	from := secretKey{"/backend", "A"}
	for in, want := range map[string]string{"B": "/backend/B", "/B": "/B", "/x/": "/x/A", "/": "/A", "/x/y/B": "/x/y/B"} {
		if got, err := copyTarget(from, in); err != nil || got.String() != want {
			t.Errorf("%q: %v, %v; want %s", in, got, err, want)
		}
	}
	for _, in := range []string{"", "a b", "/bad folder/"} {
		if got, err := copyTarget(from, in); err == nil {
			t.Errorf("%q was taken as %s", in, got)
		}
	}
}

func TestTheLimitOfAGeneratedValueIsTheServers(t *testing.T) {
	var s sources
	s.generate = []string{"A=512"}
	if all, err := s.assignments("/", nil, nil); err != nil || all[0].generate != 512 || all[0].key.path != domain.Root {
		t.Fatal(all, err)
	}
}
