// Package collect turns a host into facts: one collector per subject, each in a file of its own name. A collector
// reads through host.Reader, parses with internal/debian or internal/pve, and fills one field of posture.Facts. It
// does not judge: whether a value is good is a matter of the catalogue. What cannot be read becomes a fact with its
// problem; a collector never fails as a whole and never guesses.
package collect

import (
	"runtime"
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
	c := &Context{Host: r, Facts: f, Live: d.Live, Root: d.Root, Now: d.Now}
	var wg sync.WaitGroup
	gate := make(chan struct{}, runtime.GOMAXPROCS(0))
	for _, col := range collectors {
		wg.Add(1)
		gate <- struct{}{}
		go func() {
			defer wg.Done()
			defer func() { <-gate }()
			col.Collect(c)
		}()
	}
	wg.Wait()
	return f
}
