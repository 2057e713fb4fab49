package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/posture"
	"github.com/castellan-project/castellan/internal/posture/bundle"
	"github.com/castellan-project/castellan/internal/posture/collect"
)

// targetFlags say how targets are reached.
type targetFlags struct {
	listFile   string
	identities []string
	knownHosts string
	workers    int
	backends   []string
	api        apiFlags
	vsphere    vsphereFlags
	// prepared are the facts of targets that were read together with others.
	prepared map[string]func() (*posture.Facts, error)
}

// names joins the arguments with the lines of --targets; nothing at all means this machine.
func (t *targetFlags) names(args []string) ([]string, error) {
	for _, b := range t.backends {
		if b != "iptables" && b != "nftables" {
			return nil, usage("--backend %s: the firewall programs are iptables and nftables", b)
		}
	}
	names := args
	if t.listFile != "" {
		f, err := os.Open(t.listFile)
		if err != nil {
			return nil, usage("cannot read the list of targets: %w", err)
		}
		defer f.Close()
		sc := bufio.NewScanner(f)
		for n := 1; sc.Scan(); n++ {
			line, _, _ := strings.Cut(sc.Text(), "#")
			line = strings.TrimSpace(line)
			if strings.ContainsAny(line, " \t") {
				return nil, usage("%s:%d:1: one target a line; %q has blanks", t.listFile, n, line)
			}
			if line != "" {
				names = append(names, line)
			}
		}
		if err := sc.Err(); err != nil {
			return nil, usage("cannot read the list of targets: %w", err)
		}
		if len(names) == 0 {
			return nil, usage("%s names no target", t.listFile)
		}
	}
	if len(names) == 0 {
		names = []string{"local"}
	}
	seen := map[string]bool{}
	for _, n := range names {
		if seen[n] {
			return nil, usage("the target %s is named twice", n)
		}
		seen[n] = true
	}
	return names, nil
}

// facts reads one target of any kind.
func (a *app) facts(ctx context.Context, name string, t *targetFlags) (*posture.Facts, error) {
	if ready, ok := t.prepared[name]; ok {
		return ready()
	}
	if st, err := os.Stat(name); err == nil && !st.IsDir() && name != "local" {
		if isVMX(name) {
			return vmxFacts(name, a.now())
		}
		return bundleFacts(name)
	}
	ctx, cancel := context.WithTimeout(ctx, remoteTimeout)
	defer cancel()
	o, err := a.open(ctx, name, t)
	if err != nil {
		return nil, err
	}
	defer o.close() //nolint:errcheck // it was only read
	f, err := collect.Run(o.reader, o.desc, collect.All(t.backends...))
	if err == nil && o.partial != nil {
		f.Target.Unread, f.Target.Limits = o.partial()
	}
	return f, err
}

// opened is a target that can be read.
type opened struct {
	reader host.Reader
	desc   host.Description
	close  func() error
	// partial lists what could not be read so far although it should have been, and what the rights do not show; nil when reading fails
	// as a whole or not at all.
	partial func() (unread, limits []string)
}

// incomplete is the error of a target of which parts could not be read; nil when all could.
func (o *opened) incomplete() error {
	if o.partial == nil {
		return nil
	}
	unread, _ := o.partial()
	return partialError(unread)
}

// shownUnread bounds how many unread parts an error names.
const shownUnread = 10

func partialError(unread []string) error {
	if len(unread) == 0 {
		return nil
	}
	text := strings.Join(unread[:min(len(unread), shownUnread)], "\n  ")
	if n := len(unread) - shownUnread; n > 0 {
		text += fmt.Sprintf("\n  and %d more", n)
	}
	return fmt.Errorf("the result is partial; what depends on these is unknown:\n  %s", text)
}

// open opens a target that is not a bundle.
func (a *app) open(ctx context.Context, name string, t *targetFlags) (*opened, error) {
	switch {
	case name == "local":
		l := host.NewLocal()
		return &opened{reader: l, desc: l.Describe(), close: func() error { return nil }}, nil
	case strings.HasPrefix(name, "ssh://"):
		return a.openSSH(ctx, name, t)
	case strings.HasPrefix(name, "pve://"):
		return a.openAPI(ctx, name, t)
	case strings.Contains(name, "://"):
		return nil, fmt.Errorf("%s is no target that can be read; targets are local, ssh://user@host, pve://host:8006, vsphere://user@vcenter, a directory, a bundle (*.facts.zst) or a .vmx file", name)
	}
	if _, err := os.Stat(name); err != nil {
		return nil, fmt.Errorf("cannot open the target %s: %w (targets are local, ssh://user@host, pve://host:8006, a directory or a bundle)", name, errors.Unwrap(err))
	}
	d, err := host.OpenDir(name)
	if err != nil {
		return nil, err
	}
	desc := d.Describe()
	desc.Name = name
	if desc.Now.IsZero() {
		desc.Now = a.now()
	}
	return &opened{reader: d, desc: desc, close: d.Close}, nil
}

func bundleFacts(name string) (*posture.Facts, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("cannot open the bundle: %w", err)
	}
	defer f.Close()
	facts, err := bundle.Read(f)
	if err != nil {
		return nil, fmt.Errorf("cannot read the bundle %s: %w", name, err)
	}
	return facts, nil
}

// inOrder runs work on every name, several at a time, and hands the results to use in the order of the names. At most
// twice as many results as workers wait for their turn, so that a scan of thousands of targets does not hold them all.
func inOrder[T any](names []string, workers int, work func(name string) T, use func(T)) {
	workers = min(max(workers, 1), len(names))
	results := make([]chan T, len(names))
	for i := range results {
		results[i] = make(chan T, 1)
	}
	ahead := make(chan struct{}, 2*workers)
	next := make(chan int)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := range next {
				results[i] <- work(names[i])
			}
		})
	}
	wg.Go(func() {
		defer close(next)
		for i := range names {
			ahead <- struct{}{}
			next <- i
		}
	})
	for i := range names {
		use(<-results[i])
		results[i] = nil
		<-ahead
	}
	wg.Wait()
}
