//go:build unix

package runner

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/keyturn/keyturn/internal/sensitive"
)

// lines is a writer that lets others wait for what is written.
type lines struct {
	mu   sync.Mutex
	more *sync.Cond
	text strings.Builder
	read int
}

func newLines() *lines {
	l := &lines{}
	l.more = sync.NewCond(&l.mu)
	return l
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.more.Broadcast()
	return l.text.Write(p)
}

// wait gives the next line that begins with prefix.
func (l *lines) wait(prefix string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		for {
			line, _, complete := strings.Cut(l.text.String()[l.read:], "\n")
			if !complete {
				break
			}
			l.read += len(line) + 1
			if strings.HasPrefix(line, prefix) {
				return line
			}
		}
		l.more.Wait()
	}
}

// pid waits for a child that shows the colour and gives its process id.
func (l *lines) pid(t *testing.T, colour string) (pid int) {
	t.Helper()
	var got string
	if _, err := fmt.Sscanf(l.wait("pid"), "pid %d %s", &pid, &got); err != nil || got != colour {
		t.Fatalf("got colour %q, %v, want %q", got, err, colour)
	}
	return pid
}

func colour(s string) []Var { return []Var{{Name: "COLOUR", Value: sensitive.FromString(s)}} }

type watched struct {
	out     *lines
	log     *lines
	changes chan []Var
	result  chan int
	cancel  context.CancelFunc
}

func watch(t *testing.T, o Options, grace time.Duration) *watched {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	w := &watched{newLines(), newLines(), make(chan []Var), make(chan int, 1), cancel}
	o.Vars, o.Stdout = colour("red"), w.out
	o.Logf = func(format string, args ...any) { fmt.Fprintf(w.log, format+"\n", args...) }
	go func() {
		status, _ := Watch(ctx, o, w.changes, grace)
		w.result <- status
	}()
	t.Cleanup(cancel)
	return w
}

func TestChangeRestartsTheChildWithTheNewVariables(t *testing.T) {
	w := watch(t, self("polite"), time.Minute)
	first := w.out.pid(t, "red")
	w.changes <- colour("green")
	second := w.out.pid(t, "green")
	if alive(first) || first == second {
		t.Fatal("the first child still runs")
	}
	w.changes <- colour("green") // the same: no restart
	w.changes <- append(colour("blue"), colour("green")...)
	close(w.changes)
	if !alive(second) {
		t.Fatal("restarted without a change")
	}
	_ = syscall.Kill(second, syscall.SIGTERM)
	if status := <-w.result; status != 0 {
		t.Fatal(status)
	}
}

func TestStubbornChildIsKilledAfterGrace(t *testing.T) {
	w := watch(t, self("stubborn"), 50*time.Millisecond)
	first := w.out.pid(t, "red")
	w.changes <- colour("green")
	second := w.out.pid(t, "green")
	if alive(first) {
		t.Fatal("the first child still runs")
	}
	w.cancel()
	if status := <-w.result; status != 128+9 || alive(second) {
		t.Fatal(status)
	}
}

func TestRestartEndsWhatTheChildStarted(t *testing.T) {
	w := watch(t, self("parent"), 50*time.Millisecond)
	grandchild := w.out.pid(t, "red")
	w.changes <- colour("green")
	next := w.out.pid(t, "green")
	until(t, "the old grandchild is gone", func() bool { return !alive(grandchild) })
	w.cancel()
	<-w.result
	until(t, "the new grandchild is gone", func() bool { return !alive(next) })
}

func TestChildThatEndsByItselfEndsTheWatch(t *testing.T) {
	w := watch(t, self("exit", "3"), time.Minute)
	if status := <-w.result; status != 3 {
		t.Fatal(status)
	}
}

func TestRefusedChangeKeepsTheChild(t *testing.T) {
	w := watch(t, self("polite"), time.Minute)
	pid := w.out.pid(t, "red")
	w.changes <- []Var{{Name: "LD_PRELOAD", Value: sensitive.FromString("/test-value.so")}}
	line := w.log.wait("keeping")
	if !strings.Contains(line, "LD_PRELOAD") || strings.Contains(line, "test-value") {
		t.Fatalf("got %q", line)
	}
	w.changes <- nil // taken only after the refusal is dealt with; no variables left is a change too
	until(t, "the child is restarted", func() bool { return !alive(pid) })
	w.cancel()
	<-w.result
}

func TestOldAndNewValuesAreMaskedAfterARestart(t *testing.T) {
	o := self("polite")
	o.Mask = true
	o.Base = append(o.Base, "LAST=test-value-one") // as if found in a file of the last child
	w := watch(t, o, time.Minute)
	if line := w.out.wait("pid"); !strings.HasSuffix(line, " red test-value-one") { // the first is too short, the second not known yet
		t.Fatal(line)
	}
	for _, value := range []string{"test-value-one", "test-value-two"} {
		w.changes <- colour(value)
		if line := w.out.wait("pid"); !strings.HasSuffix(line, " [masked] [masked]") {
			t.Fatal(line)
		}
	}
	w.cancel()
	<-w.result
}
