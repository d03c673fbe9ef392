package measure

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"
)

func TestPercentileIsTheNearestRank(t *testing.T) {
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(i + 1)
	}
	for _, c := range []struct {
		values  []time.Duration
		percent int
		want    time.Duration
	}{
		{nil, 50, 0},
		{hundred[:1], 50, 1},
		{hundred[:1], 99, 1},
		{hundred, 50, 50},
		{hundred, 99, 99},
		{hundred, 100, 100},
		{hundred[:3], 50, 2},
		{hundred[:4], 50, 2},
	} {
		if got := Percentile(c.values, c.percent); got != c.want {
			t.Errorf("percentile %d of %d values = %d, want %d", c.percent, len(c.values), got, c.want)
		}
	}
}

func TestMedianLeavesItsInputAlone(t *testing.T) {
	values := []float64{9, 1, 5}
	if got := Median(values); got != 5 {
		t.Errorf("median of three = %v, want 5", got)
	}
	if values[0] != 9 {
		t.Error("median sorted its input")
	}
	if got := Median([]float64{4, 1, 2, 3}); got != 2.5 {
		t.Errorf("median of four = %v, want 2.5", got)
	}
	if got := Median(nil); got != 0 {
		t.Errorf("median of none = %v, want 0", got)
	}
}

func TestResultSurvivesItsJSONLine(t *testing.T) {
	took := []time.Duration{3 * time.Microsecond, time.Microsecond, 2 * time.Microsecond}
	want := Summarise(took, 2*time.Second, 7)
	want.ServerCPU = 0.5
	if want.Rate() != 1.5 || want.P50 != 2 || want.P99 != 3 {
		t.Errorf("summary = %+v", want)
	}
	if got := want.CPUPerOperation(); got < 166_666 || got > 166_667 {
		t.Errorf("CPU per operation = %v µs", got)
	}
	var got Result
	if err := json.Unmarshal([]byte(want.String()), &got); err != nil || got != want {
		t.Errorf("read back %+v, %v", got, err)
	}
	if (Result{}).Rate() != 0 || (Result{}).CPUPerOperation() != 0 {
		t.Error("an empty result divides by zero")
	}
}

func TestValuesHaveTheirSizeAndDiffer(t *testing.T) {
	seen := map[string]bool{}
	for i := range 100 {
		for g := range 3 {
			v := Value(i, g)
			if len(v) != ValueSize || !strings.HasPrefix(v, "test-value-") {
				t.Fatalf("value %d/%d is not %d bytes that say test value", i, g, ValueSize)
			}
			if strings.ContainsAny(v, "\"\\$ \n") {
				t.Fatalf("value %d/%d needs escaping", i, g)
			}
			if seen[v] {
				t.Fatalf("value %d/%d was there before", i, g)
			}
			seen[v] = true
		}
	}
	if Value(5, 1) != Value(5, 1) {
		t.Error("a value is not the same twice")
	}
}

func TestRequestFilesReadBackWhatWasWritten(t *testing.T) {
	want := [][]byte{[]byte("GET / HTTP/1.1\r\n\r\n"), {0, 1, 2}, bytes.Repeat([]byte("x"), 1<<17)}
	var file bytes.Buffer
	if err := WriteRequests(&file, want); err != nil {
		t.Fatal(err)
	}
	whole := file.Bytes()
	got, err := ReadRequests(bytes.NewReader(whole))
	if err != nil || len(got) != len(want) {
		t.Fatalf("read %d requests, %v", len(got), err)
	}
	for i := range want {
		if !bytes.Equal(got[i], want[i]) {
			t.Errorf("request %d differs", i)
		}
	}
	for _, cut := range []int{0, 2, 10, len(whole) - 1} {
		if _, err := ReadRequests(bytes.NewReader(whole[:cut])); err == nil {
			t.Errorf("a file cut at %d bytes was accepted", cut)
		}
	}
}

func FuzzRequestFile(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 'x'})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, in []byte) {
		requests, err := ReadRequests(bytes.NewReader(in))
		if err != nil {
			return
		}
		var out bytes.Buffer
		if err := WriteRequests(&out, requests); err != nil || !bytes.Equal(out.Bytes(), in) {
			t.Errorf("an accepted file does not serialise to itself (%v)", err)
		}
	})
}

func TestStatLineWithAWildProgramName(t *testing.T) {
	line := "42 (a) b) (c) S 1 2 3 4 5 6 7 8 9 10 150 25 0 0 20 0 1\n"
	got, err := parseStat([]byte(line))
	if err != nil || got != 1750*time.Millisecond {
		t.Errorf("parseStat = %v, %v; want 1.75s", got, err)
	}
	for _, bad := range []string{"", "42", "42 (x) S 1 2", "42 (x) S 1 2 3 4 5 6 7 8 9 10 z 25 0"} {
		if _, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestResidentMemoryOfThisProcess(t *testing.T) {
	got, err := ResidentMemory(os.Getpid())
	if err != nil || got < 1<<20 || got > 1<<34 {
		t.Errorf("resident memory = %d, %v", got, err)
	}
	if _, err := parseMemory([]byte("Name:\tx\n"), "VmRSS:"); err == nil {
		t.Error("a status without VmRSS was accepted")
	}
	if got, err := parseMemory([]byte("VmHWM:\t 9 kB\nVmRSS:\t    1234 kB\n"), "VmRSS:"); err != nil || got != 1234<<10 {
		t.Errorf("parseMemory = %d, %v", got, err)
	}
}
