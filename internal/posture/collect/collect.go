// Package collect turns a host into facts: one collector per subject, each in a file of its own name. A collector
// reads through host.Reader, parses with internal/debian or internal/pve, and fills one field of posture.Facts. It
// does not judge: whether a value is good is a matter of the catalogue. What cannot be read becomes a fact with its
// problem; a collector never fails as a whole and never guesses.
package collect

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/posture"
)

// MaxRounds is how many round trips a remote target is asked for all collectors together (DESIGN section 10).
const MaxRounds = 3

// Collector fills one subject of the facts.
type Collector struct {
	Name string
	// Needs are the questions known beforehand, fetched in the first round of a remote target.
	Needs []host.Need
	// Collect reads c.Host and fills its field of c.Facts. It may be called several times on a remote target, with
	// host.ErrPending for what is not fetched yet; the last call counts, so it starts from the zero value.
	Collect func(c *Context)
}

// Context is what a collector gets.
type Context struct {
	Host  host.Reader
	Facts *posture.Facts
	// Live is true when the target is a running machine; without it running values are what a boot would give.
	Live bool
	// API is true when the target is the API of a cluster, put in the form of its files: commands are then questions to
	// the API and cost nothing on the node.
	API bool
	// Backends are the firewall programs whose reading of the rules is to be judged ("iptables", "nftables"); empty means
	// the one that each node has chosen.
	Backends []string
	// Root is true when the target is read with the rights of root.
	Root bool
	// Now is the present time on the target.
	Now time.Time
}

// Run collects all subjects from a target. A batching target is asked in at most MaxRounds round trips; what is still
// pending after them stays unknown.
func Run(r host.Reader, d host.Description, collectors []Collector) (*posture.Facts, error) {
	b, batched := r.(host.Batcher)
	if !batched {
		return once(r, d, collectors), nil
	}
	for _, c := range collectors {
		b.Prefetch(c.Needs)
	}
	var f *posture.Facts
	for range MaxRounds {
		pending, err := b.Flush()
		if err != nil {
			return nil, err
		}
		if !pending && f != nil {
			break
		}
		f = once(r, d, collectors)
	}
	return f, nil
}

func once(r host.Reader, d host.Description, collectors []Collector) *posture.Facts {
	f := &posture.Facts{Version: posture.FactsVersion, Target: posture.Target{
		Name: d.Name, Kind: d.Kind, Live: d.Live, Root: d.Root, CollectedAt: d.Now.UTC().Truncate(time.Second),
	}}
	c := &Context{Host: r, Facts: f, Live: d.Live, API: d.Kind == "pve", Root: d.Root, Now: d.Now}
	var wg sync.WaitGroup
	faults := make([]string, len(collectors))
	gate := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i, col := range collectors {
		gate <- struct{}{}
		wg.Go(func() {
			defer func() { <-gate }()
			faults[i] = guarded(col, c)
		})
	}
	wg.Wait()
	hideSecrets(f)
	f.Target.Hostname = f.OS.Hostname.Value
	f.Target.Faults = slices.DeleteFunc(faults, func(s string) bool { return s == "" })
	return f
}

// guarded runs one collector. Should hostile input bring it down in spite of all tests, the other subjects are still
// judged, what it had not read is unknown, and the report says so.
func guarded(col Collector, c *Context) (fault string) {
	defer func() {
		if x := recover(); x != nil {
			fault = fmt.Sprintf("the collector %s broke off: %v", col.Name, x)
		}
	}()
	col.Collect(c)
	return ""
}
