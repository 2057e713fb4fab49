package cli

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"go.uber.org/goleak"
)

// stage is a terminal and a clock that a test moves.
type stage struct {
	mu    sync.Mutex
	buf   bytes.Buffer
	at    time.Time
	cells int
	ticks chan time.Time
}

func newStage(total, width int) (*stage, *progress) {
	s := &stage{at: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC), cells: width, ticks: make(chan time.Time)}
	return s, newProgress(progressOptions{w: s, total: total, width: s.width, now: s.now, ticks: s.ticks})
}

func (s *stage) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(b)
}

func (s *stage) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at
}

func (s *stage) pass(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = s.at.Add(d)
}

func (s *stage) width() int { return s.cells }

// lines are the lines that were drawn, one over the other.
func (s *stage) lines() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, l := range strings.Split(s.buf.String(), "\r")[1:] {
		out = append(out, strings.TrimSuffix(l, ansi.EraseLineRight))
	}
	return out
}

func (s *stage) last() string {
	l := s.lines()
	if len(l) == 0 {
		return ""
	}
	return l[len(l)-1]
}

// noneLeft begins a look at what a test leaves running. What tests before it left is not its matter: a scan that ended early
// leaves the compilation of all controls, which takes a while under the race detector.
func noneLeft(t *testing.T) (end func()) {
	const prepare = "github.com/castellan-project/castellan/internal/posture.(*Judge).Prepare"
	before := goleak.IgnoreCurrent()
	return func() {
		goleak.VerifyNone(t, before, goleak.IgnoreAnyFunction(prepare), goleak.IgnoreAnyFunction(prepare+".func1"))
	}
}

func TestProgressLine(t *testing.T) {
	defer noneLeft(t)()
	s, p := newStage(4, 80)
	p.Start("pve1")
	if got := s.lines(); got != nil {
		t.Errorf("drawn at once: %q", got)
	}
	s.pass(time.Second)
	p.Start("pve2")
	if got, want := s.last(), "[....................] 0/4  0:01  pve1, pve2"; got != want {
		t.Errorf("got %q, not %q", got, want)
	}
	s.pass(9 * time.Second)
	p.Done("pve1")
	if got, want := s.last(), "[#####...............] 1/4  0:30 left  pve2"; got != want {
		t.Errorf("got %q, not %q", got, want)
	}
	s.pass(10 * time.Second)
	s.ticks <- s.now()
	s.ticks <- s.now() // the first has been drawn when the second is taken
	if got, want := s.last(), "[#####...............] 1/4  1:00 left  pve2"; got != want {
		t.Errorf("got %q, not %q", got, want)
	}
	p.Start("bad\x1b[2J\u202ename")
	if got, want := s.last(), "[#####...............] 1/4  1:00 left  pve2, bad?[2J?name"; got != want {
		t.Errorf("got %q, not %q", got, want)
	}
	p.Close()
	if got := s.last(); got != "" {
		t.Errorf("the line was not erased: %q", got)
	}
	n := len(s.lines())
	p.Done("pve2")
	p.Close()
	if len(s.lines()) != n {
		t.Error("something was drawn after Close")
	}
}

func TestProgressOfOneTarget(t *testing.T) {
	s, p := newStage(1, 80)
	defer p.Close()
	s.pass(2 * time.Second)
	p.Start("local")
	if got, want := s.last(), "0:02  local"; got != want {
		t.Errorf("got %q, not %q", got, want)
	}
}

// A scan that is over at once leaves nothing on the terminal, not even an escape sequence.
func TestProgressOfAShortScan(t *testing.T) {
	s, p := newStage(1, 80)
	p.Start("local")
	s.pass(progressDelay - time.Millisecond)
	p.Done("local")
	p.Close()
	if s.buf.Len() > 0 {
		t.Errorf("written: %q", s.buf.String())
	}
}

func TestProgressFits(t *testing.T) {
	for _, width := range []int{0, 10, 40, 80} {
		s, p := newStage(1000, width)
		s.pass(time.Hour)
		for i := range 50 {
			p.Start(fmt.Sprintf("ssh://root@節点%d.example.org", i))
		}
		p.Done("ssh://root@節点1.example.org")
		limit := width
		if limit == 0 {
			limit = 80
		}
		for _, l := range s.lines() {
			if ansi.StringWidthWc(l) >= limit {
				t.Errorf("width %d: %q has %d cells", width, l, ansi.StringWidthWc(l))
			}
		}
		p.Close()
	}
}

func TestProgressConcurrently(t *testing.T) {
	defer noneLeft(t)()
	s, p := newStage(64, 80)
	s.pass(time.Second)
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			name := fmt.Sprint("pve", i)
			p.Start(name)
			p.Done(name)
		})
	}
	wg.Wait()
	if got := s.last(); !strings.Contains(got, "] 64/64 ") || strings.Contains(got, "pve") {
		t.Errorf("the last line is %q", got)
	}
	p.Close()
}

func TestClock(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0:00", 1499 * time.Millisecond: "0:01", 59600 * time.Millisecond: "1:00", 3723 * time.Second: "1:02:03",
	} {
		if got := clock(d); got != want {
			t.Errorf("clock(%v) is %s, not %s", d, got, want)
		}
	}
}

func TestNoProgressWithoutTerminal(t *testing.T) {
	a := &app{err: &bytes.Buffer{}, now: time.Now, env: func(string) string { return "" }}
	if _, ok := a.progress(3, false).(discard); !ok {
		t.Error("progress is shown on what is no terminal")
	}
}
