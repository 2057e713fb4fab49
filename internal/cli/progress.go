package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/charmbracelet/x/ansi"
)

const (
	// progressDelay is how long a scan may take before progress is shown: what is over at once needs no display.
	progressDelay = 400 * time.Millisecond
	// progressTick is how often the line is drawn anew when nothing happens, for the clock in it.
	progressTick = 500 * time.Millisecond
	// progressBar is the length of the bar, in cells.
	progressBar = 20
)

// progress shows how far a scan of many targets is, in one line on a terminal that is drawn over and over and erased
// at the end. It is safe for concurrent use. The zero value is not usable; see newProgress.
type progress struct {
	o progressOptions

	mu      sync.Mutex
	started time.Time
	done    int
	running []string // in the order in which they were started
	drawn   bool
	closed  bool

	quit chan struct{}
	wait sync.WaitGroup
}

// progressOptions are what a progress display needs of the outside world.
type progressOptions struct {
	w     io.Writer
	total int              // targets
	width func() int       // of the terminal now, in cells; 0 when it does not say
	now   func() time.Time // the clock
	ticks <-chan time.Time // when to draw the line anew
}

// progress returns the display for a scan: nothing when that is wanted or standard error is no terminal.
func (a *app) progress(total int, quiet bool) display {
	tty, _ := terminal(a.err)
	if quiet || !tty || a.env("TERM") == "dumb" {
		return discard{}
	}
	ticker := time.NewTicker(progressTick)
	p := newProgress(progressOptions{
		w: a.err, total: total, now: a.now, ticks: ticker.C,
		width: func() int {
			_, w := terminal(a.err)
			return w
		},
	})
	return tickingDisplay{p, ticker}
}

// tickingDisplay is a progress that owns its ticker.
type tickingDisplay struct {
	*progress
	ticker *time.Ticker
}

// Close erases the line and stops the clock.
func (t tickingDisplay) Close() {
	t.progress.Close()
	t.ticker.Stop()
}

// newProgress starts a display. Close ends it.
func newProgress(o progressOptions) *progress {
	p := &progress{o: o, started: o.now(), quit: make(chan struct{})}
	p.wait.Go(func() {
		for {
			select {
			case <-p.quit:
				return
			case <-o.ticks:
				p.mu.Lock()
				p.draw()
				p.mu.Unlock()
			}
		}
	})
	return p
}

// Start says that a target is being read.
func (p *progress) Start(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running = append(p.running, target)
	p.draw()
}

// Done says that a target is finished, well or not.
func (p *progress) Done(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.running, target); i >= 0 {
		p.running = slices.Delete(p.running, i, i+1)
	}
	p.done++
	p.draw()
}

// Close erases the line. It may be called more than once; what is reported later is not shown.
func (p *progress) Close() {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	p.closed = true
	if p.drawn {
		fmt.Fprint(p.o.w, "\r"+ansi.EraseLineRight)
	}
	close(p.quit)
	p.mu.Unlock()
	p.wait.Wait()
}

// draw writes the line over the last one. The caller holds the lock.
func (p *progress) draw() {
	elapsed := p.o.now().Sub(p.started)
	if p.closed || elapsed < progressDelay {
		return
	}
	p.drawn = true
	width := p.o.width()
	if width <= 0 {
		width = 80
	}
	// The last cell stays free: a full line makes some terminals wrap.
	line := ansi.TruncateWc(p.line(elapsed), width-1, "…")
	fmt.Fprint(p.o.w, "\r"+line+ansi.EraseLineRight)
}

// line is "[#####...............] 3/12  0:42 left  pve1, pve2, pve3".
func (p *progress) line(elapsed time.Duration) string {
	var b strings.Builder
	if p.o.total > 1 {
		full := min(p.done, p.o.total) * progressBar / p.o.total
		fmt.Fprintf(&b, "[%s%s] %d/%d  ", strings.Repeat("#", full), strings.Repeat(".", progressBar-full), p.done, p.o.total)
	}
	if left, ok := timeLeft(elapsed, p.done, p.o.total); ok {
		b.WriteString(clock(left) + " left  ")
	} else {
		b.WriteString(clock(elapsed) + "  ")
	}
	names := make([]string, len(p.running))
	for i, n := range p.running {
		names[i] = printable(n)
	}
	b.WriteString(strings.Join(names, ", "))
	return strings.TrimRight(b.String(), " ")
}

// timeLeft estimates how long the rest takes at the speed so far. It needs a finished target to know that.
func timeLeft(elapsed time.Duration, done, total int) (time.Duration, bool) {
	if done <= 0 || done >= total {
		return 0, false
	}
	return elapsed / time.Duration(done) * time.Duration(total-done), true
}

// clock writes a duration as 0:42 or 1:02:03.
func clock(d time.Duration) string {
	s := int(d.Round(time.Second) / time.Second)
	if s >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}

// printable replaces what a terminal would obey or not show.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}
