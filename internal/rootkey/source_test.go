package rootkey_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/rootkey"
)

const hexKey = "8f1c3a5e7b9d0f2a4c6e8091a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5"

func TestParseNamesSources(t *testing.T) {
	for line, want := range map[string]string{
		"env:KEYTURN_ROOT_KEY":                                    "env env:KEYTURN_ROOT_KEY",
		"  file:/etc/keyturn/root.key ":                           "file file:/etc/keyturn/root.key",
		"file:/etc/a b/root key":                                  "file file:/etc/a b/root key",
		"credential:root.key":                                     "credential credential:root.key",
		"command:/usr/bin/op  read   op://v/i":                    "command command:/usr/bin/op read op://v/i",
		"tpm:///dev/tpmrm0":                                       "tpm tpm:///dev/tpmrm0",
		"tpm://127.0.0.1:2321":                                    "tpm tpm://127.0.0.1:2321",
		"tpm://[::1]:2321":                                        "tpm tpm://[::1]:2321",
		"pkcs11:object=k;token=t?pin-source=/p&module-path=/m.so": "pkcs11 pkcs11:token=t;object=k?module-path=/m.so&pin-source=/p",
		"pkcs11:token=a%20b;object=%c3%a9?module-path=/m.so&pin-source=file:/p&helper=/h": "pkcs11 pkcs11:token=a%20b;object=%C3%A9?module-path=/m.so&pin-source=/p&helper=/h",
		"pkcs11:token=t;object=k?module-path=/m.so&pin-source=/p&helper=keyturn-pkcs11":   "pkcs11 pkcs11:token=t;object=k?module-path=/m.so&pin-source=/p",
	} {
		s, err := rootkey.Parse(line, rootkey.Environment{})
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		if got := s.Kind() + " " + s.Name(); got != want {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
	}
}

func TestParseRefusesAndNeverRepeats(t *testing.T) {
	for _, line := range []string{
		"", "file", ":", "file:", "file:root.key", "file:/a/../b", "file:/a//b", "file:/" + hexKey, hexKey, "file:/a\x00b", "file:/a\xff",
		"env:", "env:$planted", "env:A-B", "env:A=planted", "env:" + hexKey, "env:f" + hexKey[1:], "credential:../planted", "credential:a/b", "credential:.planted", "credential:",
		"command:", "command:planted", "command:planted/x", "command:/bin/sh -c 'planted'", "command:/bin/cat $planted", "command:/bin/cat a|b",
		"command:/bin/echo " + hexKey, "command:/bin/x" + strings.Repeat(" a", 64), "file:/" + strings.Repeat("a", 1100),
		"tpm:", "tpm://", "tpm:///dev/planted", "tpm:///dev/../dev/tpm0", "tpm://192.0.2.1:2321", "tpm://planted:2321", "tpm://127.0.0.1", "tpm://127.0.0.1:0", "tpm://[::1%25lo]:1",
		"pkcs11:", "pkcs11:token=t;object=k", "pkcs11:token=t;object=k?module-path=m.so&pin-source=/p", "pkcs11:token=t;object=k?module-path=/m.so&pin-value=planted",
		"pkcs11:token=t;token=planted;object=k?module-path=/m.so&pin-source=/p", "pkcs11:token=t;object=k;planted=1?module-path=/m.so&pin-source=/p",
		"pkcs11:token=t;object=k?module-path=/m.so&pin-source=/p&helper=a/planted", "pkcs11:token=%zz;object=k?module-path=/m.so&pin-source=/p",
		"pkcs11:token=a%00b;object=k?module-path=/m.so&pin-source=/p", "planted:x", "FILE:/x",
	} {
		_, err := rootkey.Parse(line, rootkey.Environment{})
		if !errors.Is(err, fault.Invalid) && !errors.Is(err, fault.Unsupported) {
			t.Errorf("%.60q: %v", line, err)
			continue
		}
		if said := err.Error() + fault.As(err).Hint; strings.Contains(said, "planted") || strings.Contains(said, hexKey[1:]) {
			t.Errorf("%.60q is repeated: %s", line, said)
		}
	}
}

func TestParseAllTellsTheLine(t *testing.T) {
	many := strings.Builder{}
	for i := range 17 {
		many.WriteString("env:V" + string(rune('A'+i)) + "\n")
	}
	for text, want := range map[string]string{
		"":                                 "",
		"# nothing\n\n  # here\n":          "",
		"# one\r\nenv:A\r\n\nfile:/a\n":    "",
		"env:A\n\nfile:b\n":                "line 3",
		"command:/x a\n# x\ncommand:/x  a": "line 3 of the root key sources: the same as line 1",
		"env:A\nwhat:ever":                 "line 2",
		many.String():                      "line 17",
		strings.Repeat("#", 1<<16) + "\nx": "KiB",
	} {
		got, err := rootkey.ParseAll(text, rootkey.Environment{})
		if want == "" {
			if err != nil {
				t.Errorf("%.40q: %v", text, err)
			}
			continue
		}
		if err == nil || got != nil || !strings.Contains(fault.As(err).Message, want) {
			t.Errorf("%.40q: %v", text, err)
		}
	}
	two, err := rootkey.ParseAll("# one\r\nenv:A\r\n\nfile:/a\n", rootkey.Environment{})
	if err != nil || len(two) != 2 || two[0].Name() != "env:A" || two[1].Name() != "file:/a" {
		t.Error(two, err)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"env:A", "file:/a", "credential:a", "command:/a b", "tpm:///dev/tpm0", "tpm://[::1]:1", "pkcs11:token=t;object=k?module-path=/m&pin-source=/p", "x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		s, err := rootkey.Parse(line, rootkey.Environment{})
		if err != nil {
			if k := fault.KindOf(err); k != fault.Invalid && k != fault.Unsupported {
				t.Fatal(err)
			}
			return
		}
		again, err := rootkey.Parse(s.Name(), rootkey.Environment{})
		if err != nil || again.Name() != s.Name() || again.Kind() != s.Kind() {
			t.Fatalf("%q is named %q, which is %v", line, s.Name(), err)
		}
	})
}
