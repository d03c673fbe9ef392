package term

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestWhatIsNoTerminalGetsNoColourAndNoProgress(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, w := range []interface{ Write([]byte) (int, error) }{&bytes.Buffer{}, f} {
		if IsTerminal(w) || Width(w) != 0 {
			t.Errorf("%T is taken for a terminal", w)
		}
		s := StyleFor(w, func(string) string { return "" })
		if got := s.Bold("a") + s.Faint("b") + s.Good("c") + s.Warn("d") + s.Bad("e"); got != "abcde" {
			t.Errorf("%T gets %q", w, got)
		}
		p := NewProgress(w, "import")
		p.started = time.Now().Add(-time.Hour)
		p.Update(1, 2)
		p.Done()
	}
	if info, err := f.Stat(); err != nil || info.Size() != 0 {
		t.Errorf("progress went into a file: %v %v", info, err)
	}
}

func TestColoursEndWhereTheyShould(t *testing.T) {
	s := Style{on: true}
	if got := s.Bad("x"); got != "\x1b[31mx\x1b[0m" {
		t.Errorf("got %q", got)
	}
	if got := s.Good(""); got != "" {
		t.Errorf("nothing became %q", got)
	}
}

func TestProgressTellsWhatHowFarAndHowLongYet(t *testing.T) {
	for _, tt := range []struct {
		done, total int64
		spent       time.Duration
		want        string
	}{
		{0, 0, time.Second, "read: 0"},
		{250, 1000, 10 * time.Second, "read: 250 of 1000 (25 %), 30s left"},
		{1000, 1000, time.Second, "read: 1000 of 1000 (100 %)"},
		{0, 5, time.Second, "read: 0 of 5 (0 %)"},
	} {
		if got := progressText("read", tt.done, tt.total, tt.spent); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

func TestProgressIsOneLineThatGoesAway(t *testing.T) {
	var b bytes.Buffer
	p := NewProgress(&b, "read")
	p.on, p.started = true, time.Now().Add(-time.Minute)
	p.Update(1, 2)
	p.Update(2, 2) // too soon after the one before
	p.Done()
	p.Done()
	if want := "\r\x1b[Kread: 1 of 2 (50 %), 1m0s left\r\x1b[K"; b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}
