package change

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/castellan-project/castellan/internal/host"
)

// sockets writes the table of the kernel with one listener on port 22.
func (r *rig) sockets(inode int) {
	const head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
	line := ""
	if inode > 0 {
		line = fmt.Sprintf("   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 %d 1 0 100 0 0 10 0\n", inode)
	}
	r.write("proc/net/tcp", head+line, 0o644)
}

// TestSettle: a step that lets sshd read its configuration again ends when sshd serves its port again, and fails when it never does.
func TestSettle(t *testing.T) {
	for name, c := range map[string]struct {
		before int
		later  func(r *rig, slept time.Duration)
		wait   bool
		broken bool
	}{
		"opened again":       {before: 7, later: func(r *rig, slept time.Duration) { r.sockets(map[bool]int{true: 8, false: 0}[slept > 3*time.Second]) }, wait: true},
		"never":              {before: 7, later: func(r *rig, _ time.Duration) { r.sockets(0) }, wait: true, broken: true},
		"a socket of init's": {before: 7, later: func(*rig, time.Duration) {}, wait: true},
		"was not there":      {before: 0, later: func(*rig, time.Duration) {}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, true, func(d *Draft) error {
				return errors.Join(d.Write("/etc/a.conf", []byte("alpha\nmore\n"), 0o644), d.Do(Action{Verb: Reload, Object: sshUnit}))
			})
			r.running[sshUnit] = true
			r.sockets(c.before)
			r.answer = map[string]host.Output{"sshd-ports": {Stdout: []byte("port 22\naddressfamily any\n")}}
			p, e := r.open()
			plan := r.plan(p)
			r.slept = 0
			r.onSleep = func() { c.later(r, r.slept) }
			_, err := e.Apply(p, plan, ApplyOptions{Within: tenMinutes})
			if (err != nil) != c.broken || c.broken && !strings.Contains(err.Error(), "port 22") {
				t.Errorf("apply: %v", err)
			}
			if c.wait != (r.slept >= 3*time.Second) || r.slept > 2*settleTime+time.Second {
				t.Errorf("waited %s", r.slept)
			}
		})
	}
}
