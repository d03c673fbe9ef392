package format

import (
	"errors"
	"slices"
	"testing"

	"github.com/keyturn/keyturn/internal/fault"
)

func TestDetectKnowsFilesByNameAndContent(t *testing.T) {
	tests := []struct {
		file, content string
		want          Format
	}{
		{".env", "", Dotenv}, {"x/.env.production", "", Dotenv}, {"prod.env", "", Dotenv}, {`c:\x\.ENV`, "", Dotenv}, {"env", "", Dotenv},
		{"a.json", "", JSON}, {"a.yml", "", YAML}, {"a.yaml", "A: 1", YAML}, {".env.json", "", JSON}, {"a.toml", "", TOML}, {"a.csv", "", CSV},
		{"a.sh", "", Shell}, {".envrc", "", Shell}, {"a.properties", "", Properties}, {"docker.env", "", Docker}, {"env.list", "", Docker},
		{"a.yaml", "apiVersion: v1\nkind: Secret\n", Kubernetes}, {"a.json", `{"apiVersion":"v1","kind":"Secret","data":{}}`, Kubernetes},
		{"a.yaml", "apiVersion: v1\nkind: SecretList\n", YAML},
		{"a.json", `{"apiVersion":"v1","note":"\"kind\":\"Secret\""}`, JSON},
		{"-", "{\"A\":1}", JSON}, {"", "[{}]", JSON}, {"", "\ufeffname,value\r\n", CSV}, {"", "# x\n\nA=1\n", Dotenv}, {"", "export A='1'", Dotenv},
		{"", "#!/bin/sh\nA=1", Shell}, {"", "---\nA: 1", YAML}, {"", "A: 1", YAML}, {"", "A:\n", YAML}, {"", "kind: Secret\napiVersion: v1\n", Kubernetes},
	}
	for _, test := range tests {
		if got, err := Detect(test.file, []byte(test.content)); err != nil || got != test.want {
			t.Errorf("%q %q: %q %v, want %q", test.file, test.content, got, err, test.want)
		}
	}
	for _, content := range []string{"", "test-value", "a b c", "%%%", "A:b"} {
		if f, err := Detect("-", []byte(content)); !errors.Is(err, fault.Invalid) {
			t.Errorf("%q is taken for %s", content, f)
		}
	}
}

func TestParseFormatKnowsNamesAndAliases(t *testing.T) {
	aliases := map[string]Format{
		"env": Dotenv, ".env": Dotenv, "yml": YAML, "k8s": Kubernetes, "docker-env": Docker, "sh": Shell, "JSON": JSON, "Yaml": YAML,
	}
	for alias, want := range aliases {
		if got, err := ParseFormat(alias); err != nil || got != want {
			t.Errorf("%s: %s %v", alias, got, err)
		}
	}
	if !slices.IsSorted(Names()) || len(Names()) != 10 {
		t.Errorf("names are %v", Names())
	}
	for _, name := range Names() {
		if got, err := ParseFormat(name); err != nil || string(got) != name {
			t.Errorf("%s: %s %v", name, got, err)
		}
	}
	for _, bad := range []string{"", "xml", "json "} {
		if _, err := ParseFormat(bad); !errors.Is(err, fault.Invalid) {
			t.Errorf("%q is taken", bad)
		}
	}
	if _, err := Decode("xml", "", nil); !errors.Is(err, fault.Invalid) {
		t.Error("an unknown format is read")
	}
	if _, err := Encode("xml", nil, Options{}); !errors.Is(err, fault.Invalid) {
		t.Error("an unknown format is written")
	}
}
