package change

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"
)

// inject2 makes the other node of a pair fail.
func (c *pair) inject2(f fault, k int) {
	n := 0
	c.fault2 = func(act, _ string) error {
		n++
		return f.from(n-1, k, act)
	}
}

func (c *pair) count2(f func()) int {
	n := 0
	c.fault2 = func(string, string) error { n++; return nil }
	f()
	c.fault2 = nil
	return n
}

// ended proves that what the cluster shares is whole and stays: as before, or as it was put when it was confirmed, whoever looks
// however late.
func (c *pair) ended(before, after map[string]string, when string) {
	c.t.Helper()
	c.fault, c.fault2 = nil, nil
	for round := range 2 {
		if _, err := c.engine().Recover(Actor{User: "timer"}, RecoverOptions{}); err != nil {
			c.t.Fatalf("%s: recover on pve1: %v", when, err)
		}
		c.timer2()
		when := fmt.Sprintf("%s round %d,", when, round)
		if h := c.held(); h.State.Open() {
			c.t.Fatalf("%s pve2 holds %+v", when, h)
		}
		switch x := c.only(); x.State {
		case Committed:
			c.want(after, when+" confirmed:")
		case "", Reverted:
			c.want(before, when+" not confirmed:")
		default: // the first round made it an hour late
			if round > 0 {
				c.t.Fatalf("%s %+v", when, x)
			}
		}
	}
	if len(c.leases()) != 0 {
		c.t.Fatalf("%s left %v", when, c.leases())
	}
}

// TestFaultsOfTwoNodes lets every act of an apply and of its confirmation or revert fail in every way on the node that applies,
// and after that lets it be dead for good, or come back. The other node is well.
func TestFaultsOfTwoNodes(t *testing.T) {
	began, runs := time.Now(), 0
	c := newPair(t)
	before, after := c.both()
	ends := map[string]func(){
		"apply":   func() {},
		"confirm": func() { _, _ = c.engine().Confirm("", me(), newConnection()) },
		"revert":  func() { _, _ = c.engine().Revert("", me(), RevertOptions{}) },
	}
	for name, end := range ends {
		all := func() { _, _ = c.apply(); end() }
		if name != "apply" {
			all = end
		}
		begin := func() {
			c.reset()
			if name != "apply" {
				c.mustApply()
			}
		}
		begin()
		total := c.count(all)
		for _, f := range faults() {
			for k := range total {
				for _, dead := range []bool{false, true} {
					if dead && f.name != "kill -9" {
						continue
					}
					when := fmt.Sprintf("after %s at act %d of %d of %s (dead for good: %v),", f.name, k, total, name, dead)
					begin()
					c.inject(f, k)
					all()
					if dead {
						c.fault = nil
						c.deadForGood(before, after, name, when)
					}
					c.ended(before, after, when)
					runs++
				}
			}
		}
	}
	t.Logf("%d runs in %v", runs, time.Since(began))
}

// deadForGood proves that pve2 alone makes it whole when pve1 is dead.
func (c *pair) deadForGood(before, after map[string]string, name, when string) {
	c.t.Helper()
	was := c.only()
	c.timer2()
	got := c.shared()
	maps.DeleteFunc(got, func(name, _ string) bool { return len(name) > 0 && isLease(name) })
	// A confirmation that was cut off between the end of the lease and the record may leave either.
	if name == "confirm" && maps.Equal(got, after) || was.State != Committed && maps.Equal(got, before) {
		return
	}
	c.t.Fatalf("%s pve2 leaves %v, and the state was %s", when, got, was.State)
}

func isLease(name string) bool {
	return strings.Contains(name, leasePrefix)
}

// TestFaultsOfTheSecondNode lets every act of the node that holds fail in every way, while it begins to hold, forgets, and takes back.
func TestFaultsOfTheSecondNode(t *testing.T) {
	began, runs := time.Now(), 0
	c := newPair(t)
	before, after := c.both()
	recovery := func() { _, _ = c.engine2().Recover(me(), RecoverOptions{}) }
	for name, tt := range map[string]struct{ prepare, act func() }{
		"holding":     {func() {}, func() { c.mustApply() }},
		"forgetting":  {func() { c.mustApply() }, func() { _, _ = c.engine().Confirm("", me(), newConnection()) }},
		"taking back": {func() { c.mustApply(); c.now = c.now.Add(time.Hour) }, recovery},
	} {
		begin := func() { c.reset(); tt.prepare() }
		begin()
		total := c.count2(tt.act)
		for _, f := range faults() {
			for k := range total {
				when := fmt.Sprintf("after %s at act %d of %d while pve2 is %s,", f.name, k, total, name)
				begin()
				c.inject2(f, k)
				tt.act()
				c.fault2 = nil
				if name == "taking back" {
					recovery() // its unit begins again by itself
					c.want(before, when)
				}
				if name == "holding" && c.only().Alone == "" {
					c.deadForGood(before, after, name, when)
				}
				c.ended(before, after, when)
				runs++
			}
		}
	}
	t.Logf("%d runs in %v", runs, time.Since(began))
}
