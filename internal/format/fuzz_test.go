package format

import (
	"errors"
	"testing"

	"github.com/keyturn/keyturn/internal/fault"
)

// fuzz feeds one decoder: it must not panic, must fail with Invalid only, and what it takes must be written again by an
// encoder that then reads back the same, or be refused as the encoder's table of what it carries says.
func fuzz(f *testing.F, format Format, seeds ...string) {
	out, err := Encode(format, golden(format), Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(out)
	for _, seed := range append(seeds, "", "\ufeff", "A", "A=", "=", "\x00", "\xff", "\r", "\\") {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		_, _ = Detect("", content)
		pairs, err := Decode(format, "in", content)
		if err != nil {
			if !errors.Is(err, fault.Invalid) || len(fault.As(err).Fields) > MaxProblems || pairs != nil {
				t.Fatalf("%d pairs and %v", len(pairs), err)
			}
			return
		}
		enc, _ := codecOf(format)
		carried := true
		for _, p := range pairs {
			carried = carried && enc.refusal(p) == ""
		}
		out, err := Encode(format, pairs, Options{})
		if err != nil {
			if carried && enc.whole == nil {
				t.Fatalf("read but not written again: %v", err)
			}
			return
		}
		again, err := Decode(format, "in", out)
		if err != nil || len(again) != len(pairs) {
			t.Fatalf("%q: %v", out, err)
		}
		for i, p := range pairs {
			if !enc.same(again[i], p) {
				t.Fatalf("%v became %v", p, again[i])
			}
		}
	})
}

func FuzzDotenv(f *testing.F) {
	fuzz(f, Dotenv, "export A='x\ny' # z\n# c\nB=\"\\n\\q${X}\"", "A=`x", "A=\"\\")
}

func FuzzJSON(f *testing.F) {
	fuzz(f, JSON, `{"A":1.0,"B":null,"C":true}`, `[{"key":"A","value":"x"}]`, `{"A":{}}`, `{"A":"\ud800"}`)
}

func FuzzYAML(f *testing.F) {
	fuzz(f, YAML, "A: &x 1\nB: *x", "A: |\n  x\n", "? A\n: B", "<<: {}", "A: !!binary eA==", "--- {}\n--- {}", "%YAML 1.1\n---\nA: 1")
}

func FuzzTOML(f *testing.F) {
	fuzz(f, TOML, "A = 1\n[B]\nC.D = 2", "A = \"\"\"\nx\\\n  y\"\"\"", "A = 0x1F\nB = 1979-05-27\nC = inf", "\"\" = 1")
}

func FuzzCSV(f *testing.F) {
	fuzz(f, CSV, "name,value,comment\nA,\"x\"\"y\r\n\",c", "key,value\r\nA,1\r\n\r\n", "name,value\nA,\"")
}

func FuzzShell(f *testing.F) {
	fuzz(f, Shell, "A=\"x\\\ny\"'z'\\ w # c", "A=$B", "A='x", "export A=x;id", "A=\\")
}

func FuzzDocker(f *testing.F) { fuzz(f, Docker, "  A='x' # y\r\n#c\nB") }

func FuzzSystemd(f *testing.F) {
	fuzz(f, Systemd, "A='x'\"y\\\nz\" w \\ \n;c\nB=\\", "#\rA=1\rB=2")
}

func FuzzKubernetes(f *testing.F) {
	fuzz(f, Kubernetes, "apiVersion: v1\nkind: Secret\ndata: {A: eA==}\nstringData: {B: x}", `{"apiVersion":"v1","kind":"Secret","data":null}`)
}

func FuzzProperties(f *testing.F) {
	fuzz(f, Properties, "A=\\u00e9\\\n  x\rB : y\nC z", "\\\n#x", "A\\ud83d\\ude00=1", "!c\\\nA")
}
