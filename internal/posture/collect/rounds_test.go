package collect

import (
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/castellan-project/castellan/internal/host"
)

// lazy answers like a remote target: only what was asked for before the last round is known.
type lazy struct {
	host.Reader
	mu           sync.Mutex
	known, asked map[string]bool
	rounds       int
}

func (l *lazy) Prefetch(needs []host.Need) {
	for _, n := range needs {
		switch {
		case n.Read != "" && strings.ContainsAny(n.Read, "*?["):
			files, _ := l.Reader.List(n.Read)
			for _, f := range files {
				l.asked["R"+f.Path] = true
			}
		case n.Read != "":
			l.asked["R"+n.Read] = true
		case n.List != "":
			l.asked["L"+n.List] = true
		case n.Stat != "":
			l.asked["S"+n.Stat] = true
		default:
			l.asked["X"+n.Run.Name] = true
		}
	}
}

func (l *lazy) Flush() (bool, error) {
	pending := len(l.asked) > 0
	for k := range l.asked {
		l.known[k] = true
	}
	l.asked = map[string]bool{}
	if pending {
		l.rounds++
	}
	return pending, nil
}

func (l *lazy) ask(key string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known[key] {
		return nil
	}
	l.asked[key] = true
	return &host.Error{Op: "ask", Path: key, Err: host.ErrPending}
}

func (l *lazy) ReadFile(p string) ([]byte, error) {
	if err := l.ask("R" + p); err != nil {
		return nil, err
	}
	return l.Reader.ReadFile(p)
}

func (l *lazy) Stat(p string) (host.File, error) {
	if err := l.ask("S" + p); err != nil {
		return host.File{}, err
	}
	return l.Reader.Stat(p)
}

func (l *lazy) List(p string) ([]host.File, error) {
	if err := l.ask("L" + p); err != nil {
		return nil, err
	}
	return l.Reader.List(p)
}

func (l *lazy) Run(c host.Command) (host.Output, error) {
	if err := l.ask("X" + c.Name); err != nil {
		return host.Output{}, err
	}
	return l.Reader.Run(c)
}

// TestThreeRounds shows that a remote target gives these subjects whole within the budget of round trips.
func TestThreeRounds(t *testing.T) {
	for _, dir := range []string{"BAN-05/pass", "BAN-09/pass", "BAN-05/fail-seed-002", "BAN-10/pass-nftables", "WEB-09/pass", "WEB-02/pass-cluster", "WEB-07/pass", "WEB-01/manual"} {
		d, err := host.OpenDir("../../../catalogue/testdata/" + dir)
		if err != nil {
			t.Fatal(err)
		}
		cols := []Collector{OS(), Network(), Web(), Bans()}
		want, err := Run(d, host.Description{Root: true}, cols)
		if err != nil {
			t.Fatal(err)
		}
		l := &lazy{Reader: d, known: map[string]bool{}, asked: map[string]bool{}}
		got, err := Run(l, host.Description{Root: true}, cols)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s, %d rounds: %s", dir, l.rounds, diff)
		}
		if l.rounds > MaxRounds {
			t.Errorf("%s: %d rounds", dir, l.rounds)
		}
		d.Close()
	}
}
