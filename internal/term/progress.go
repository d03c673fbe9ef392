package term

import (
	"fmt"
	"io"
	"time"
)

// Bounds of a progress line.
const (
	progressAfter = 400 * time.Millisecond // what is over sooner needs none
	progressEvery = 100 * time.Millisecond
)

// Progress is one line that says what is done, how far and how long yet. It shows nothing where nobody looks, so callers
// need not ask.
type Progress struct {
	w       io.Writer
	what    string
	on      bool
	started time.Time
	last    time.Time
	drawn   bool
}

// NewProgress begins a progress line on w, which only shows when w is a terminal.
func NewProgress(w io.Writer, what string) *Progress {
	return &Progress{w: w, what: what, on: IsTerminal(w), started: time.Now()}
}

// Update says that done of total are through; a total of 0 means that it is not known.
func (p *Progress) Update(done, total int64) {
	now := time.Now()
	if !p.on || now.Sub(p.started) < progressAfter || now.Sub(p.last) < progressEvery {
		return
	}
	p.last, p.drawn = now, true
	_, _ = fmt.Fprintf(p.w, "\r\x1b[K%s", progressText(p.what, done, total, now.Sub(p.started)))
}

func progressText(what string, done, total int64, spent time.Duration) string {
	if total <= 0 {
		return fmt.Sprintf("%s: %d", what, done)
	}
	text := fmt.Sprintf("%s: %d of %d (%d %%)", what, done, total, done*100/total)
	if done > 0 && done < total {
		left := time.Duration(float64(spent) / float64(done) * float64(total-done))
		text += ", " + left.Round(time.Second).String() + " left"
	}
	return text
}

// Done takes the line away.
func (p *Progress) Done() {
	if p.drawn {
		_, _ = io.WriteString(p.w, "\r\x1b[K")
		p.drawn = false
	}
}
