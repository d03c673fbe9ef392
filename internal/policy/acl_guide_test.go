package policy_test

import (
	"os"
	"strings"
	"testing"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/policy"
)

// Each policy of the guide is kept, or refused with the words that follow it.
func TestTheGuideSaysWhatHappens(t *testing.T) {
	text, err := os.ReadFile("../../docs/guides/vault-policies.md")
	if err != nil {
		t.Fatal(err)
	}
	mounts := []policy.ACLMount{{Path: "shop", Kind: "kv", Version: 2, Project: shop, Folder: "/"}, {Path: "secret", Kind: "kv", Version: 2, Project: shop, Env: "prod", Folder: "/"},
		{Path: "old", Kind: "kv", Version: 1, Project: shop, Env: "dev", Folder: "/legacy"}, {Path: "transit", Kind: "transit"}}
	kept, refused := 0, 0
	parts := strings.Split(string(text), "```hcl\n")
	for _, part := range parts[1:] {
		example, after, _ := strings.Cut(part, "```")
		paths, err := policy.ParseACL(example)
		if err == nil {
			_, err = policy.ACLRules(paths, mounts)
		}
		want, says := strings.CutPrefix(strings.TrimLeft(after, "\n"), "Refused: `")
		if !says {
			kept++
			if err != nil {
				t.Errorf("%s\nis refused: %v", example, err)
			}
			continue
		}
		refused++
		want, _, _ = strings.Cut(want, "`")
		if err == nil || !strings.HasPrefix(fault.As(err).Message, want) {
			t.Errorf("%s\ngives %v, want %s", example, err, want)
		}
	}
	if kept < 4 || refused < 8 {
		t.Errorf("%d examples are kept and %d refused: some were not found", kept, refused)
	}
}
