package stream

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/follow"
	"github.com/keyturn/keyturn/internal/outbound"
	"github.com/keyturn/keyturn/internal/sensitive"
)

const testLog = "keyturn.dev/log/test-1"

func around(t *testing.T, allow string) surroundings {
	t.Helper()
	rules, err := outbound.ParseRules(allow)
	if err != nil {
		t.Fatal(err)
	}
	return surroundings{rules, filepath.Join(t.TempDir(), "streams"), testLog}
}

// entries makes canonical entries with indexes of [from, to).
func entries(from, to int64) []follow.Entry {
	var out []follow.Entry
	for i := from; i < to; i++ {
		e := follow.Entry{Index: i}
		e.Action, e.At, e.Outcome, e.Request = "secret.read", 1_800_000_000_000+i, []string{"allowed", "refused", "failed"}[i%3], fmt.Sprintf("r%d \"ü]", i)
		e.Raw = e.AppendCanonical(nil)
		out = append(out, e)
	}
	return out
}

func open(t *testing.T, a surroundings, kind string, settings map[string]string, credential string) sink {
	t.Helper()
	k, err := kindOf(kind)
	if err == nil {
		err = k.check(settings)
	}
	var s sink
	if err == nil {
		s, err = k.open(a, settings, sensitive.FromString(credential))
	}
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() { _ = s.close() })
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("unexpected error: %v", err)
	}
}

func TestBadSettingsAreRefusedWithTheirName(t *testing.T) {
	good := webhookKind.generated()
	for name, c := range map[string]struct {
		kind       string
		settings   map[string]string
		credential string
	}{
		"file in another folder":      {"file", map[string]string{"file": "../authorized_keys"}, ""},
		"file with a separator":       {"file", map[string]string{"file": "a/b"}, ""},
		"hidden file":                 {"file", map[string]string{"file": ".profile"}, ""},
		"no file":                     {"file", nil, ""},
		"tiny files":                  {"file", map[string]string{"file": "a", "max_size": "1"}, ""},
		"syslog without port":         {"syslog", map[string]string{"address": "tls://host"}, ""},
		"syslog of another scheme":    {"syslog", map[string]string{"address": "unix:///dev/log"}, ""},
		"syslog on port zero":         {"syslog", map[string]string{"address": "tcp://host:0"}, ""},
		"ca without TLS":              {"syslog", map[string]string{"address": "tcp://host:1", "ca": "x"}, ""},
		"ca that is none":             {"syslog", map[string]string{"address": "tls://host:1", "ca": "x"}, ""},
		"webhook in clear":            {"webhook", map[string]string{"url": "http://siem.example.com/"}, string(good.Reveal())},
		"webhook with a user":         {"webhook", map[string]string{"url": "https://a:test-value@siem.example.com/"}, string(good.Reveal())},
		"webhook of another scheme":   {"webhook", map[string]string{"url": "file:///etc/passwd"}, string(good.Reveal())},
		"short signing secret":        {"webhook", map[string]string{"url": "https://siem.example.com/"}, "whsec_dGVzdA=="},
		"signing secret without mark": {"webhook", map[string]string{"url": "https://siem.example.com/"}, "dGVzdC12YWx1ZS10ZXN0LXZhbHVlLXRlc3QtdmFsdWU="},
		"bucket that is a folder":     {"bucket", map[string]string{"address": "/etc"}, "a:b"},
		"bucket without key":          {"bucket", map[string]string{"address": "s3://logs/x?region=r"}, "a"},
	} {
		k, err := kindOf(c.kind)
		must(t, err)
		_, err = k.open(around(t, ""), c.settings, sensitive.FromString(c.credential))
		if !errors.Is(err, fault.Invalid) || strings.Contains(fmt.Sprint(err), "test-value") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := fileKind.check(map[string]string{"path": "x"}); !errors.Is(err, fault.Invalid) {
		t.Errorf("unknown setting: %v", err)
	}
	if _, err := kindOf("carrier-pigeon"); !errors.Is(err, fault.Invalid) {
		t.Errorf("unknown kind: %v", err)
	}
}

// readLines reads the lines of a file and checks that indexes follow each other.
func readLines(t *testing.T, path string, from, to int64) {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	next := from
	for text := range strings.Lines(string(b)) {
		var l line
		must(t, json.Unmarshal([]byte(text), &l))
		if l.Index != next || l.Log != testLog || !bytes.Equal(l.Entry, entries(next, next+1)[0].Raw) {
			t.Fatalf("%s: line of entry %d holds %s", filepath.Base(path), next, text)
		}
		next++
	}
	if next != to {
		t.Fatalf("%s holds entries to %d, want to %d", filepath.Base(path), next, to)
	}
}

func TestAFileHoldsEachEntryOnceAndRotatesBySize(t *testing.T) {
	a := around(t, "")
	settings := map[string]string{"file": "audit.jsonl", "max_size": "65536"}
	s := open(t, a, "file", settings, "")
	must(t, s.test(t.Context()))
	for i := int64(0); i < 1000; i += 10 {
		must(t, s.send(t.Context(), entries(i, i+10)))
	}
	must(t, s.close())
	all, err := filepath.Glob(filepath.Join(a.folder, "*.jsonl"))
	must(t, err)
	if len(all) < 3 {
		t.Fatalf("%d files, want several", len(all))
	}
	var next int64
	for i, path := range all {
		to := int64(1000)
		if i+1 < len(all) && strings.Contains(all[i+1], "-") {
			to, err = strconv.ParseInt(strings.TrimSuffix(strings.Split(filepath.Base(all[i+1]), "-")[1], ".jsonl"), 10, 64)
			must(t, err)
		}
		if i == len(all)-1 { // audit.jsonl sorts behind audit-...
			readLines(t, path, next, 1000)
			break
		}
		if i == len(all)-2 {
			b, err := os.ReadFile(path)
			must(t, err)
			to = next + int64(bytes.Count(b, []byte("\n")))
		}
		readLines(t, path, next, to)
		next = to
	}

	// A crash cut a line off, and the bookmark had not moved: the same batch comes again, bounded differently.
	path := filepath.Join(a.folder, "audit.jsonl")
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteString(`{"log":"keyturn.dev/lo`)
	must(t, err)
	must(t, f.Close())
	s = open(t, a, "file", settings, "")
	must(t, s.send(t.Context(), entries(990, 1005)))
	must(t, s.close())
	readLines(t, path, next, 1005)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}

	// Another life of the instance counts anew: its entries are not taken for those of the first.
	a.origin = "keyturn.dev/log/test-2"
	s = open(t, a, "file", settings, "")
	must(t, s.send(t.Context(), entries(3, 5)))
	b, err := os.ReadFile(path)
	must(t, err)
	if n := strings.Count(string(b), a.origin); n != 2 {
		t.Errorf("%d lines of the next life, want 2", n)
	}
}

func TestAFileThatCannotBeWrittenIsATroubleThatPasses(t *testing.T) {
	a := around(t, "")
	must(t, os.WriteFile(a.folder, nil, 0o600)) // a file where the folder belongs
	s := open(t, a, "file", map[string]string{"file": "audit.jsonl"}, "")
	if err := s.send(t.Context(), entries(0, 1)); !errors.Is(err, fault.Unavailable) {
		t.Errorf("error %v", err)
	}
	must(t, os.Remove(a.folder))
	must(t, s.send(t.Context(), entries(0, 1)))
	readLines(t, filepath.Join(a.folder, "audit.jsonl"), 0, 1)
}

// frames reads messages with octet counting.
func frames(r *bufio.Reader, yield func(string)) error {
	for {
		head, err := r.ReadString(' ')
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(strings.TrimSuffix(head, " "))
		if err != nil {
			return err
		}
		b := make([]byte, n)
		if _, err := io.ReadFull(r, b); err != nil {
			return err
		}
		yield(string(b))
	}
}

func checkMessage(t *testing.T, text string, i int64) {
	t.Helper()
	priority := facilityAudit*8 + []int{severityInfo, severityWarning, severityNotice}[i%3]
	want := fmt.Sprintf(`<%d>1 %s host.example keyturn - secret.read [keyturn@32473 log="%s" index="%d"] %s`, priority,
		time.UnixMilli(1_800_000_000_000+i).UTC().Format("2006-01-02T15:04:05.000Z"), testLog, i, entries(i, i+1)[0].Raw)
	if text != want {
		t.Errorf("message %q\nwant    %q", text, want)
	}
}

func TestSyslogOverTLSCountsOctetsAndComesBackAfterAHangUp(t *testing.T) {
	server := httptest.NewUnstartedServer(nil) // for its certificate
	server.StartTLS()
	defer server.Close()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: server.TLS.Certificates})
	must(t, err)
	defer l.Close()
	got := make(chan string, 100)
	hungUp := make(chan struct{}, 10)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			n := 0
			_ = frames(bufio.NewReader(conn), func(m string) {
				got <- m
				if n++; n == 3 {
					_ = conn.Close()
					hungUp <- struct{}{}
				}
			})
		}
	}()
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	address := "tls://" + l.Addr().String()
	s := open(t, around(t, "127.0.0.0/8"), "syslog", map[string]string{"address": address, "ca": ca, "hostname": "host.example"}, "")
	for i := int64(0); i < 9; i += 3 {
		must(t, s.send(t.Context(), entries(i, i+3)))
		for j := i; j < i+3; j++ {
			checkMessage(t, <-got, j)
		}
		<-hungUp // the next batch must notice
	}
	must(t, s.test(t.Context()))

	stranger := open(t, around(t, "127.0.0.0/8"), "syslog", map[string]string{"address": address, "hostname": "h"}, "")
	if err := stranger.send(t.Context(), entries(0, 1)); !errors.Is(err, fault.Unavailable) {
		t.Errorf("a certificate of nobody is taken: %v", err)
	}
	inside := open(t, around(t, ""), "syslog", map[string]string{"address": address, "ca": ca}, "")
	if err := inside.send(t.Context(), entries(0, 1)); !errors.Is(err, fault.Denied) {
		t.Errorf("an address inside is called: %v", err)
	}
}

func TestSyslogOverUDPSendsOneDatagramForEachEntry(t *testing.T) {
	l, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	s := open(t, around(t, "127.0.0.0/8"), "syslog", map[string]string{"address": "udp://" + l.LocalAddr().String(), "hostname": "host.example"}, "")
	must(t, s.send(t.Context(), entries(0, 3)))
	b := make([]byte, maxDatagram)
	for i := range int64(3) {
		must(t, l.SetReadDeadline(time.Now().Add(10*time.Second)))
		n, _, err := l.ReadFrom(b)
		must(t, err)
		checkMessage(t, string(b[:n]), i)
	}
}

// rsyslog is the real thing, on loopback and as nobody special.
func TestRsyslogReadsWhatIsSent(t *testing.T) {
	program, err := exec.LookPath("rsyslogd")
	if err != nil {
		program = "/usr/sbin/rsyslogd"
	}
	folder := t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	port := l.Addr().(*net.TCPAddr).Port
	must(t, l.Close())
	out := filepath.Join(folder, "out")
	config := filepath.Join(folder, "rsyslog.conf")
	must(t, os.WriteFile(config, fmt.Appendf(nil, `global(workDirectory="%s" maxMessageSize="64k")
module(load="imtcp")
input(type="imtcp" port="%d" address="127.0.0.1")
template(name="t" type="string" string="%%syslogfacility%%|%%syslogseverity%%|%%hostname%%|%%app-name%%|%%msgid%%|%%structured-data%%|%%msg%%\n")
action(type="omfile" file="%s" template="t")
`, folder, port, out), 0o600))
	cmd := exec.Command(program, "-n", "-f", config, "-i", filepath.Join(folder, "pid"))
	cmd.Stderr = os.Stderr
	must(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	s := open(t, around(t, "127.0.0.0/8"), "syslog", map[string]string{"address": fmt.Sprintf("tcp://127.0.0.1:%d", port), "hostname": "host.example"}, "")
	poll(t, "rsyslog listens", func() bool { return s.send(t.Context(), entries(0, 300)) == nil })
	var lines []string
	poll(t, "all messages are written", func() bool {
		b, _ := os.ReadFile(out)
		lines = strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
		return len(lines) >= 300
	})
	for i, text := range lines[:300] {
		want := fmt.Sprintf(`13|%d|host.example|keyturn|secret.read|[keyturn@32473 log="%s" index="%d"]|%s`, []int{6, 4, 5}[i%3], testLog, i, entries(int64(i), int64(i)+1)[0].Raw)
		if strings.Replace(text, "]| {", "]|{", 1) != want {
			t.Fatalf("rsyslog read %q\nwant         %q", text, want)
		}
	}
}

func poll(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(30 * time.Second); !holds(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("did not happen: %s", what)
		}
	}
}

func TestAWebhookIsSignedAndNamesItsBatch(t *testing.T) {
	secret := webhookKind.generated()
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(string(secret.Reveal()), webhookPrefix))
	must(t, err)
	type call struct {
		id   string
		body delivery
	}
	var calls []call
	status := http.StatusAccepted
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		mac := hmac.New(sha256.New, key) // as https://github.com/standard-webhooks/standard-webhooks describes it
		fmt.Fprintf(mac, "%s.%s.%s", r.Header.Get("webhook-id"), r.Header.Get("webhook-timestamp"), body)
		if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); r.Header.Get("webhook-signature") != want {
			t.Errorf("signature %s, want %s", r.Header.Get("webhook-signature"), want)
		}
		if at, err := strconv.ParseInt(r.Header.Get("webhook-timestamp"), 10, 64); err != nil || time.Since(time.Unix(at, 0)).Abs() > time.Minute {
			t.Errorf("timestamp %s", r.Header.Get("webhook-timestamp"))
		}
		var d delivery
		if err := json.Unmarshal(body, &d); err != nil {
			t.Error(err)
		}
		calls = append(calls, call{r.Header.Get("webhook-id"), d})
		if status == http.StatusFound {
			http.Redirect(w, r, "http://localhost:1/", status)
			return
		}
		w.WriteHeader(status)
	}))
	defer server.Close()
	s := open(t, around(t, "127.0.0.0/8"), "webhook", map[string]string{"url": server.URL + "/secret-path?x=1"}, string(secret.Reveal()))
	must(t, s.test(t.Context()))
	must(t, s.send(t.Context(), entries(5, 8)))
	must(t, s.send(t.Context(), entries(5, 8)))
	must(t, s.send(t.Context(), entries(8, 9)))
	if len(calls) != 4 || calls[0].body.Type != "audit.test" || calls[1].id != calls[2].id || calls[1].id == calls[3].id {
		t.Fatalf("calls %+v", calls)
	}
	d := calls[1].body
	if d.Type != "audit.entries" || d.First != 5 || d.Last != 7 || d.Log != testLog || len(d.Entries) != 3 || d.Entries[2].Index != 7 ||
		!bytes.Equal(d.Entries[2].Entry, entries(7, 8)[0].Raw) {
		t.Errorf("body %+v", d)
	}
	for _, status = range []int{http.StatusInternalServerError, http.StatusGone, http.StatusTooManyRequests, http.StatusFound, http.StatusNotModified} {
		if err := s.send(t.Context(), entries(0, 1)); err == nil {
			t.Errorf("answer %d passes for delivered", status)
		} else if strings.Contains(err.Error(), "secret-path") {
			t.Errorf("the error tells the address: %v", err)
		}
	}
	inside := open(t, around(t, ""), "webhook", map[string]string{"url": server.URL}, string(secret.Reveal()))
	if err := inside.send(t.Context(), entries(0, 1)); !errors.Is(err, fault.Denied) {
		t.Errorf("an address inside is called: %v", err)
	}
}

func TestABucketGetsObjectsNamedByTheirRangeAndNeverWritesOver(t *testing.T) {
	backend := s3mem.New()
	must(t, backend.CreateBucket("logs"))
	var puts []string
	inner := gofakes3.New(backend, gofakes3.WithLogger(gofakes3.DiscardLog())).Server()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			puts = append(puts, r.URL.Path)
		}
		inner.ServeHTTP(w, r)
	}))
	defer server.Close()
	address := "s3://logs/keyturn?path_style=true&region=eu-test-1&endpoint=" + url.QueryEscape(server.URL)
	s := open(t, around(t, "127.0.0.0/8"), "bucket", map[string]string{"address": address}, "AKIDTESTVALUE:test-value")
	must(t, s.test(t.Context()))
	must(t, s.send(t.Context(), entries(10, 20)))
	must(t, s.send(t.Context(), entries(10, 20))) // again, after a crash: nothing is written
	must(t, s.send(t.Context(), entries(20, 21)))
	want := []string{"test.json", "0000000000000010-0000000000000019.jsonl", "0000000000000020-0000000000000020.jsonl"}
	if len(puts) != len(want) {
		t.Fatalf("objects put: %v", puts)
	}
	for i, name := range want {
		if puts[i] != "/logs/keyturn/keyturn.dev-log-test-1/"+name {
			t.Errorf("object %s, want %s", puts[i], name)
		}
	}
	object, err := backend.GetObject("logs", "keyturn/keyturn.dev-log-test-1/"+want[1], nil)
	must(t, err)
	text, err := io.ReadAll(object.Contents)
	must(t, err)
	path := filepath.Join(t.TempDir(), "object")
	must(t, os.WriteFile(path, text, 0o600))
	readLines(t, path, 10, 20)

	_, err = backend.PutObject("logs", "keyturn/keyturn.dev-log-test-1/0000000000000030-0000000000000031.jsonl", nil, strings.NewReader("forged"), 6, nil)
	must(t, err)
	if err := s.send(t.Context(), entries(30, 32)); !errors.Is(err, fault.Conflict) {
		t.Errorf("somebody else's object passes for delivered: %v", err)
	}
	inside := open(t, around(t, ""), "bucket", map[string]string{"address": address}, "AKIDTESTVALUE:test-value")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := inside.send(ctx, entries(0, 1)); err == nil {
		t.Error("an address inside is called")
	}
}
