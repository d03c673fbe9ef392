package format

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/keyturn/keyturn/internal/fault"
)

// read decodes and gives "NAME=value" with %q values, so that tables stay short.
func read(t *testing.T, f Format, text string) []string {
	t.Helper()
	pairs, err := Decode(f, "in", []byte(text))
	if err != nil {
		t.Fatalf("decode %s %q: %v %+v", f, text, err, fault.As(err).Fields)
	}
	got := []string{}
	for _, p := range pairs {
		got = append(got, fmt.Sprintf("%s=%q", p.Name, p.Value))
	}
	return got
}

// refused decodes what must be refused and gives the places that the error names.
func refused(t *testing.T, f Format, text string) []string {
	t.Helper()
	pairs, err := Decode(f, "in", []byte(text))
	if !errors.Is(err, fault.Invalid) || pairs != nil {
		t.Fatalf("decode %s %q: want it refused, got %d pairs and error %v", f, text, len(pairs), err)
	}
	fields := fault.As(err).Fields
	if all := err.Error() + fault.As(err).Hint + fmt.Sprint(fields); strings.Contains(all, "test-value") {
		t.Fatalf("the error shows a value: %s", all)
	}
	var where []string
	for _, field := range fields {
		where = append(where, field.Where)
	}
	return where
}

func TestDecodersReadWhatTheFormatsSay(t *testing.T) {
	const bom = "\ufeff"
	tests := []struct {
		name string
		f    Format
		text string
		want []string
	}{
		{"dotenv plain", Dotenv, "A=1\nB = two words \n\n# note\nexport C=3", []string{`A="1"`, `B="two words"`, `C="3"`}},
		{"dotenv CRLF and BOM", Dotenv, bom + "A=1\r\nB=\"x\"\r\nC=\r\n", []string{`A="1"`, `B="x"`, `C=""`}},
		{"dotenv empty values", Dotenv, "A=\nB=''\nC=\"\"\nD=  \nE= # note\n", []string{`A=""`, `B=""`, `C=""`, `D=""`, `E=""`}},
		{"dotenv comments", Dotenv, "A=1 # note\nB=1#2\nC='x # y' # note\nD=#first\nE=\"x\"#note\n", []string{`A="1"`, `B="1#2"`, `C="x # y"`, `D="#first"`, `E="x"`}},
		{"dotenv single quotes are literal", Dotenv, `A='a\n$B "q" \'`, []string{`A="a\\n$B \"q\" \\"`}},
		{"dotenv double quotes have escapes", Dotenv, `A="a\n\r\t\"\\\$\d end"`, []string{`A="a\n\r\t\"\\$\\d end"`}},
		{"dotenv backticks", Dotenv, "A=`it's \"x\"`\n", []string{`A="it's \"x\""`}},
		{"dotenv multi-line", Dotenv, "A=\"one\ntwo\"\nB='x\n\ny'\nC=`p\nq`\nD=4", []string{`A="one\ntwo"`, `B="x\n\ny"`, `C="p\nq"`, `D="4"`}},
		{"dotenv keeps CRLF in quotes", Dotenv, "A=\"one\r\ntwo\"\r\n", []string{`A="one\r\ntwo"`}},
		{"dotenv keeps blanks in quotes", Dotenv, "A='  x  '  \n", []string{`A="  x  "`}},
		{"dotenv leaves interpolation alone", Dotenv, "A=${B}/$C\nD=\"${B:-x} $(id)\"", []string{`A="${B}/$C"`, `D="${B:-x} $(id)"`}},
		{"dotenv names with dots and dashes", Dotenv, "a.b-c=1", []string{`a.b-c="1"`}},
		{"dotenv a variable called export", Dotenv, "export=1\nexport =2x"[:9], []string{`export="1"`}},
		{"dotenv equals signs and quotes inside", Dotenv, "A=b=c==\nB=it's\n", []string{`A="b=c=="`, `B="it's"`}},
		{"dotenv nothing", Dotenv, "\n# only this\n", []string{}},

		{"json scalars keep their text", JSON, `{"A":"x","B":1.50,"C":true,"D":null,"E":1e400,"F":"\u0000\ud83d\ude00"}`, []string{`A="x"`, `B="1.50"`, `C="true"`, `D=""`, `E="1e400"`, `F="\x00😀"`}},
		{"json list", JSON, `[{"key":"A","value":"1","tags":[{"x":1}]},{"name":"B","value":null,"comment":"c"}]`, []string{`A="1"`, `B=""`}},
		{"json empty", JSON, "{}", []string{}},
		{"json BOM", JSON, bom + `{"A":"1"}`, []string{`A="1"`}},

		{"yaml keeps source text", YAML, "A: 0123\nB: yes\nC: 1.0\nD: 2001-01-01\nE: ~\nF:\nG: 'it''s'\nH: 0x1F\n", []string{`A="0123"`, `B="yes"`, `C="1.0"`, `D="2001-01-01"`, `E=""`, `F=""`, `G="it's"`, `H="0x1F"`}},
		{"yaml block scalars", YAML, "---\nA: |\n  one\n  two\nB: >-\n  one\n  two\n", []string{`A="one\ntwo\n"`, `B="one two"`}},
		{"yaml flow", YAML, `{"A": "x", B: 1}`, []string{`A="x"`, `B="1"`}},
		{"yaml nothing", YAML, "# only this\n", []string{}},

		{"toml", TOML, "A = 'x'\nB = 1_000\nC = 0x1F\nD = 1.50\nE = true\n\"F.g\" = \"\"\"\none\ntwo\"\"\" # note\n", []string{`A="x"`, `B="1_000"`, `C="0x1F"`, `D="1.50"`, `E="true"`, `F.g="one\ntwo"`}},

		{"csv", CSV, "Name,Value,Comment\r\nA,1,\r\nB,\"x, \"\"y\"\"\r\nz\",note\r\n\r\nC,,\"\"", []string{`A="1"`, `B="x, \"y\"\r\nz"`, `C=""`}},
		{"csv key,value", CSV, bom + "key,value\nA, 1 \n", []string{`A=" 1 "`}},

		{"shell", Shell, "#!/bin/sh\nexport A='it'\\''s'\nB=plain # note\nexport C=\"a\\$b\\\\\\\"\\`\\d\"\nD=a#b\nE=\nF=''\nG=x\\ y\\\nz\n", []string{`A="it's"`, `B="plain"`, "C=\"a$b\\\\\\\"`\\\\d\"", `D="a#b"`, `E=""`, `F=""`, `G="x yz"`}},
		{"shell several lines and CRLF", Shell, "A='one\ntwo'\r\nB=x\r\n", []string{`A="one\ntwo"`, `B="x"`}},

		{"docker is raw", Docker, "# note\n  A='x' # y \nB=\nC=\"\n\nD=a=b\r\n", []string{`A="'x' # y "`, `B=""`, `C="\""`, `D="a=b"`}},

		{"systemd", Systemd, "; note\n# note\nA=a \"b\" c  \nB=\"x\\\"\\\\\\`\\$\\n y\"\nC='a\\\nb' \nD=one\\\ntwo\nE=\\ x\\ \nF='a'\"b\" c\n\nG=\n", []string{`A="a \"b\" c"`, "B=\"x\\\"\\\\`$\\\\n y\"", `C="a\\\nb"`, `D="onetwo"`, `E=" x "`, `F="abc"`, `G=""`}},
		{"systemd continues lines in double quotes", Systemd, "A=\"one\\\ntwo\nthree\"\r\nB=x\r\n", []string{`A="onetwo\nthree"`, `B="x"`}},
		{"systemd ends a comment at a lone carriage return", Systemd, "# note\rA=1\n", []string{`A="1"`}},

		{"kubernetes", Kubernetes, "apiVersion: v1\nkind: Secret\nmetadata:\n  name: x\n  labels: &l {a: b}\ntype: Opaque\ndata:\n  A: AP8=\n  a.b-c: \"\"\nstringData:\n  B: |\n    one\n", []string{`A="\x00\xff"`, `a.b-c=""`, `B="one\n"`}},
		{"kubernetes as JSON", Kubernetes, `{"kind":"Secret","apiVersion":"v1","data":{"A":"eA=="},"stringData":null}`, []string{`A="x"`}},

		{"properties", Properties, "# note\n! note\nA=1\nB: 2\nC 3\nD\n  E = x \\\n    y\nF\\ \\=g=h\nH=\\u00e9\\ud83d\\ude00\\t\\z\nI==x\n", []string{`A="1"`, `B="2"`, `C="3"`, `D=""`, `E="x y"`, `F =g="h"`, `H="é😀\tz"`, `I="=x"`}},
		{"properties line ends", Properties, "A=1\rB=2\r\nC=3\\\\\nD=4\\\r\n  5\\\n\nE=\\", []string{`A="1"`, `B="2"`, `C="3\\"`, `D="45"`, `E=""`}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, read(t, test.f, test.text)); diff != "" {
				t.Errorf("%q (-want +got):\n%s", test.text, diff)
			}
		})
	}
}

func TestDecodersRefuseBadInputAndNameTheLines(t *testing.T) {
	tests := []struct {
		name string
		f    Format
		text string
		want []string
	}{
		{"dotenv every bad line", Dotenv, "A=1\ntest-value\nB=2\n1C=test-value\nD D=test-value\n", []string{"in:2", "in:4", "in:5"}},
		{"dotenv unclosed quote", Dotenv, "A=1\nB=\"test-value\nC=3\n", []string{"in:2"}},
		{"dotenv text after a quote", Dotenv, "A='x'test-value\nB=1", []string{"in:1"}},
		{"dotenv lines after a multi-line value", Dotenv, "A='1\n2'\ntest-value\n", []string{"in:3"}},
		{"dotenv NUL", Dotenv, "A=1\nB=test-value\x00\n", []string{"in:2"}},
		{"dotenv not UTF-8", Dotenv, "A=test-value\xff\n", []string{"in:1"}},
		{"dotenv twice", Dotenv, "A=1\nB=2\nA=test-value\n", []string{"in:3"}},
		{"dotenv no name", Dotenv, "=test-value\nexport =1\n", []string{"in:1"}},
		{"dotenv export alone", Dotenv, "export A\n", []string{"in:1"}},
		{"dotenv a pasted key", Dotenv, "A=-----BEGIN\ntest-value+/abc==\n", []string{"in:2"}},

		{"json nested", JSON, "{\"A\":1,\n\"B\":{\"C\":\"test-value\"},\n\"D\":[\"test-value\"]}", []string{"in:2", "in:3"}},
		{"json twice", JSON, "{\"A\":1,\n\"A\":\"test-value\"}", []string{"in:2"}},
		{"json twice by escape", JSON, "{\"A\":1,\n\"\\u0041\":\"test-value\"}", []string{"in:2"}},
		{"json trailing", JSON, "{\"A\":\"test-value\"}\n{}", []string{"in:2"}},
		{"json trailing junk", JSON, "{\"A\":\"test-value\"}\n}", []string{"in:2"}},
		{"json truncated", JSON, "{\n\"A\":\"test-value", []string{"in:2"}},
		{"json empty", JSON, "", []string{"in:1"}},
		{"json scalar", JSON, `"test-value"`, []string{"in:1"}},
		{"json half a surrogate pair", JSON, `{"A":"test-value\ud800"}`, []string{"in:1"}},
		{"json trailing comma", JSON, "{\"A\":\"test-value\",\n}", []string{"in:1"}},
		{"json comment", JSON, "{ // test-value\n}", []string{"in:1"}},
		{"json empty name", JSON, `{"":"test-value"}`, []string{"in:1"}},
		{"json control character in a name", JSON, `{"A\n":"test-value"}`, []string{"in:1"}},
		{"json list of others", JSON, "[\n1,\n{\"key\":\"A\"},\n{\"key\":\"A\",\"name\":\"B\",\"value\":1},\n{\"key\":1,\"value\":2},\n{\"key\":\"A\",\"key\":\"B\",\"value\":1},\n{\"key\":\"A\",\"value\":[1]}]", []string{"in:2", "in:3", "in:4", "in:5", "in:6", "in:7"}},
		{"json list twice", JSON, "[{\"key\":\"A\",\"value\":1},\n{\"name\":\"A\",\"value\":2}]", []string{"in:2"}},
		{"json deep", JSON, `{"A":` + strings.Repeat("[", 20_000), []string{"in:1"}},

		{"yaml nested", YAML, "A: x\nB:\n  C: test-value\nD: [test-value]\n", []string{"in:3", "in:4"}},
		{"yaml twice", YAML, "A: x\nA: test-value\n", []string{"in:2"}},
		{"yaml anchor and alias", YAML, "A: &a test-value\nB: *a\n", []string{"in:1", "in:2"}},
		{"yaml merge", YAML, "<<: {A: test-value}\n", []string{"in:1"}},
		{"yaml tag", YAML, "A: !!binary dGVzdC12YWx1ZQ==\nB: !x test-value\n", []string{"in:1", "in:2"}},
		{"yaml two documents", YAML, "A: test-value\n---\nB: 1\n", []string{"in:2"}},
		{"yaml list", YAML, "- test-value\n", []string{"in:1"}},
		{"yaml syntax", YAML, "A: x\nB: test-value: y\n", []string{"in:2"}},
		{"yaml name that is a list", YAML, "? [test-value]\n: x\n", []string{"in:1"}},

		{"toml table", TOML, "A = 1\n[B]\nC = 'test-value'\n", []string{"in:2"}},
		{"toml dotted", TOML, "A.B = 'test-value'\n", []string{"in:1"}},
		{"toml list, table and date", TOML, "A = ['test-value']\nB = {c = 'test-value'}\nC = 2001-01-01\n", []string{"in:1", "in:2", "in:3"}},
		{"toml twice", TOML, "A = 1\n\"A\" = 'test-value'\n", []string{"in:2"}},
		{"toml syntax", TOML, "A = 1\nB = test-value\n", []string{"in:2"}},
		{"toml number out of range", TOML, "A = 99999999999999999999\n", []string{"in:1"}},

		{"csv header", CSV, "user,password\ntest-value,test-value\n", []string{"in:1"}},
		{"csv nothing", CSV, "", []string{"in:1"}},
		{"csv fields", CSV, "name,value\nA\nB,1,2\n", []string{"in:2", "in:3"}},
		{"csv quotes", CSV, "name,value\nA,x\"test-value\nB,\"test-value\"x\nC,\"test-value\n", []string{"in:2", "in:3", "in:4"}},
		{"csv twice", CSV, "name,value\nA,1\nA,test-value\n", []string{"in:3"}},
		{"csv too many fields", CSV, "name,value\n" + strings.Repeat(",", 1000), []string{"in:2"}},

		{"shell expansions", Shell, "A=$B\nC=\"`id`\"\nD=$(id)\nE=~/x\nF=$'x'\nG=x;id\nH=*\nI={a,b}\nJ=x>y\nK=\"$L\"\n", []string{"in:1", "in:2", "in:3", "in:4", "in:5", "in:6", "in:7", "in:8", "in:9", "in:10"}},
		{"shell commands", Shell, "A = x\nA= id\nid test-value\n=x\nexport A\nA=1 id\n", []string{"in:1", "in:2", "in:3", "in:4", "in:5", "in:6"}},
		{"shell unclosed", Shell, "A='test-value\nB=\"test-value\n", []string{"in:1", "in:2"}},
		{"shell backslash at the end", Shell, `A=test-value\`, []string{"in:1"}},

		{"docker name alone", Docker, "A\nB =test-value\n=test-value\n", []string{"in:1", "in:2", "in:3"}},

		{"systemd lines that it would skip", Systemd, "test-value\nA='test-value\nB=\"test-value\n", []string{"in:1", "in:2", "in:3"}},

		{"kubernetes other kind", Kubernetes, "apiVersion: v1\nkind: ConfigMap\ndata: {A: test-value}\n", []string{"in:1"}},
		{"kubernetes nothing", Kubernetes, "", []string{"in:1"}},
		{"kubernetes values", Kubernetes, "apiVersion: v1\nkind: Secret\ndata:\n  A: test-value\n  B: 1234\nstringData:\n  C: 1\n  D: {E: test-value}\n  A/B: x\n", []string{"in:4", "in:5", "in:7", "in:8", "in:9"}},
		{"kubernetes in both", Kubernetes, "apiVersion: v1\nkind: Secret\ndata: {A: eA==}\nstringData: {A: test-value}\n", []string{"in:4"}},
		{"kubernetes kind twice", Kubernetes, "apiVersion: v1\nkind: ConfigMap\nkind: Secret\n", []string{"in:3"}},
		{"kubernetes data that is a list", Kubernetes, "apiVersion: v1\nkind: Secret\ndata: [test-value]\n", []string{"in:3"}},

		{"properties escapes", Properties, "A=\\u12\nB=\\ud800\nC=\\ud800\\u0041\nD=\\uzzzz\n", []string{"in:1", "in:2", "in:3", "in:4"}},
		{"properties twice", Properties, "A=1\n\\u0041=test-value\n", []string{"in:2"}},
		{"properties no name", Properties, "=test-value\n", []string{"in:1"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, refused(t, test.f, test.text)); diff != "" {
				t.Errorf("%.80q (-want +got):\n%s", test.text, diff)
			}
		})
	}
}

func TestADuplicateNamesBothLines(t *testing.T) {
	_, err := Decode(Dotenv, "a.env", []byte("A=1\n\nA=2\n"))
	want := []fault.Field{{Where: "a.env:3", Problem: "A is already set at line 1"}}
	if diff := cmp.Diff(want, fault.As(err).Fields); diff != "" {
		t.Error(diff)
	}
}

func TestDecodeGivesLinesAndComments(t *testing.T) {
	text := "# head of the file\n\n# one\n#  two\nA='x\ny'\nB=1\n#\n# three\nC=2\n# lost\nbad.but=1\n"
	got, err := Decode(Dotenv, "", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	want := []Pair{
		{"A", []byte("x\ny"), 5, "one\n two"}, {"B", []byte("1"), 7, ""}, {"C", []byte("2"), 10, "\nthree"}, {"bad.but", []byte("1"), 12, "lost"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestValuesDoNotShareMemoryWithTheFile(t *testing.T) {
	files := map[Format]string{
		Dotenv: "A=one\nB='two'\n", Docker: "A=one\nB=two\n", Shell: "A=one\nB='two'\n", Systemd: "A=one\nB='two'\n", CSV: "name,value\nA,one\nB,\"two\"\n",
		Properties: "A=one\nB=two\n", JSON: `{"A":"one","B":"two"}`, YAML: "A: one\nB: 'two'\n", TOML: "A = 'one'\nB = 'two'\n",
	}
	for f, text := range files {
		content := []byte(text)
		pairs, err := Decode(f, "in", content)
		if err != nil {
			t.Fatal(f, err)
		}
		clear(content)
		_ = append(pairs[0].Value, "overwritten"...)
		if string(pairs[0].Value) != "one" || string(pairs[1].Value) != "two" {
			t.Errorf("%s: a value changed with the file: %q %q", f, pairs[0].Value, pairs[1].Value)
		}
	}
}

func TestLimitsAreKept(t *testing.T) {
	many := strings.Repeat("bad\n", 100)
	if got := refused(t, Dotenv, many); len(got) != MaxProblems {
		t.Errorf("%d problems are listed, want %d", len(got), MaxProblems)
	}
	if got := refused(t, Docker, "A="+strings.Repeat("x", MaxValue+1)); len(got) != 1 {
		t.Errorf("a large value gives %v", got)
	}
	if got := read(t, Docker, "A="+strings.Repeat("x", MaxValue)); len(got) != 1 {
		t.Error("the largest value is not read")
	}
	refused(t, Docker, strings.Repeat("N", MaxName+1)+"=1")
	refused(t, Dotenv, strings.Repeat("\n", MaxFile+1))
	read(t, Dotenv, strings.Repeat("\n", MaxFile))
	var pairs strings.Builder
	for i := range MaxPairs {
		fmt.Fprintf(&pairs, "A%d=\n", i)
	}
	if got := read(t, Dotenv, pairs.String()); len(got) != MaxPairs {
		t.Errorf("%d pairs", len(got))
	}
	if got := refused(t, Dotenv, pairs.String()+"B=\nC=\n"); len(got) != 1 || got[0] != fmt.Sprintf("in:%d", MaxPairs+1) {
		t.Errorf("too many pairs give %v", got)
	}
}

// A small file must not become a tree of gigabytes.
func TestFilesOfManyItemsAreRefusedBeforeTheyAreParsed(t *testing.T) {
	for _, f := range []Format{YAML, Kubernetes, TOML} {
		for _, text := range []string{"A: [" + strings.Repeat("a,", MaxMarks), "A = [" + strings.Repeat("1,", MaxMarks), strings.Repeat("A: 1\n", MaxMarks+1)} {
			if got := refused(t, f, text+"a,"); len(got) != 1 || got[0] != "in" {
				t.Errorf("%s: %v", f, got)
			}
		}
	}
	for _, end := range []string{"\r", "\u0085", "\u2028", "\u2029"} {
		if got := refused(t, YAML, strings.Repeat("A: 1"+end, MaxMarks+1)); got[0] != "in" {
			t.Errorf("line end %q: %v", end, got)
		}
	}
	if got := refused(t, TOML, strings.Repeat("a.", MaxMarks+1)+"a = 1"); got[0] != "in" {
		t.Error(got)
	}
}

func TestUTF16IsNamedAsSuch(t *testing.T) {
	_, err := Decode(Dotenv, "a.env", []byte("\xff\xfeA\x00=\x001\x00"))
	if !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "UTF-16") {
		t.Error(err)
	}
}

// An unclosed quote on every line must not make the reader walk to the end of the file for every line.
func TestUnclosedQuotesCostLittle(t *testing.T) {
	for _, f := range []Format{Dotenv, Shell, Systemd, CSV} {
		for _, text := range []string{"A=\"\\\"", "A='", "A=`", "name,value\nA,\"", "A=\""} {
			body := strings.Repeat(text+"\n", MaxFile/16)
			_, err := Decode(f, "in", []byte(body[:min(len(body), MaxFile)]))
			if !errors.Is(err, fault.Invalid) {
				t.Errorf("%s %q: %v", f, text, err)
			}
		}
	}
}
