// Package apitree reads a cluster through the API of Proxmox VE and puts the answers into the form of PVE's own files, so
// that everything that reads a node (internal/inventory, the collectors of a scan) reads pve:// in the same way: user.cfg from the lists
// below /access, VMID.fw from the rules of a guest, 100.conf from its settings with what is pending and its snapshots.
//
// What cannot be read is the error of exactly the files that needed it, and is listed by [Tree.Unread]; half a file is never
// given out. The API cuts many lists silently to what the caller may see. The package knows these lists and asks for its own
// permissions first, so that a list that may be cut is an error too, not a smaller cluster. What only a node can tell
// (everything outside of /etc/pve, but for its release) is not available. Nothing is changed, and no secret that the API tells
// (an OpenID client key) is put into a file.
package apitree

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/pve/client"
)

// parallel is how many questions are under way at a time. pveproxy has three workers by default, which hand most questions
// on to as many of pvedaemon.
const parallel = 8

// Tree is a [host.Reader] over the API of a cluster. It is read when it is opened; only [Tree.Run] asks later.
type Tree struct {
	ctx     context.Context // of Run, which the interface gives none
	c       *client.Client
	mem     host.Memory
	version string // "9.1.3"
	nodes   []string
	guests  []guest
	// guestsErr is why the list of guests may not be whole.
	guestsErr error
	rights    rights

	mu      sync.Mutex
	answers map[string]*answer
	faults  map[string]bool
	limits  map[string]bool
	gate    chan struct{}
}

// answer is one question, asked once.
type answer struct {
	once sync.Once
	a    client.Answer
	err  error
}

// Open reads the cluster. It fails only when the API cannot be reached or refuses the token; everything else that goes
// wrong is in [Tree.Unread].
func Open(ctx context.Context, c *client.Client) (*Tree, error) {
	t := &Tree{ctx: ctx, c: c, answers: map[string]*answer{}, faults: map[string]bool{}, limits: map[string]bool{}, gate: make(chan struct{}, parallel),
		mem: host.Memory{Files: map[string][]byte{}, Errs: map[string]error{}, Dirs: []string{dir}}}
	v, err := t.object("/version")
	if err != nil {
		return nil, err
	}
	if t.version = v.Text("version"); t.version == "" {
		return nil, fmt.Errorf("%s answers /version without a version; is this Proxmox VE?", c.Host())
	}
	t.readRights()
	t.readNodes()
	t.readGuests()
	jobs := append(t.clusterFiles(), t.nodeFiles()...)
	t.run(append(jobs, t.guestFiles()...))
	return t, nil
}

// Describe says what the target is; name is the target as the user wrote it.
func (t *Tree) Describe(name string, now time.Time) host.Description {
	return host.Description{Name: name, Kind: "pve", Live: true, Now: now}
}

// Unread lists what could not be read, sorted: one line for each question that failed or was cut.
func (t *Tree) Unread() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Sorted(maps.Keys(t.faults))
}

// Limits lists what the API does not show with the given privileges although no question failed.
func (t *Tree) Limits() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Sorted(maps.Keys(t.limits))
}

// file is one file to be made: nil bytes without an error mean that there is none.
type file struct {
	path  string
	build func() ([]byte, error)
}

// run makes the files, several at a time.
func (t *Tree) run(files []file) {
	next := make(chan file)
	var wg sync.WaitGroup
	for range parallel {
		wg.Go(func() {
			for f := range next {
				b, err := f.build()
				t.mu.Lock()
				switch {
				case err != nil:
					t.mem.Errs[f.path] = err
				case b != nil:
					t.mem.Files[f.path] = b
				}
				t.mu.Unlock()
			}
		})
	}
	for _, f := range files {
		next <- f
	}
	close(next)
	wg.Wait()
}

// get asks a resource once; its error is remembered as a fault unless it says that there is no such thing.
func (t *Tree) get(resource string) (client.Answer, error) {
	t.mu.Lock()
	a := t.answers[resource]
	if a == nil {
		a = &answer{}
		t.answers[resource] = a
	}
	t.mu.Unlock()
	a.once.Do(func() {
		t.gate <- struct{}{}
		defer func() { <-t.gate }()
		a.a, a.err = t.ask(resource)
		if a.err != nil && !absent(a.err) {
			t.fault(a.err)
		}
	})
	return a.a, a.err
}

func (t *Tree) fault(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.faults[err.Error()] = true
}

// absent reports whether an answer says that this version or node does not have what was asked for, which a file would say by
// not being there.
func absent(err error) bool {
	var e *client.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Status {
	case 501: // no such method in this version
		return true
	case 500:
		for _, words := range []string{"have been migrated to rules", "binary not installed", "not fully configured", "not initialized"} {
			if strings.Contains(e.Reason, words) {
				return true
			}
		}
	}
	return false
}

// objects asks for a list of objects; what is absent is an empty list.
func (t *Tree) objects(resource string) ([]client.Object, error) {
	a, err := t.get(resource)
	if absent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	list, err := a.Objects()
	if err != nil {
		t.fault(err)
	}
	return list, err
}

// object asks for one object; what is absent is an empty one.
func (t *Tree) object(resource string) (client.Object, error) {
	a, err := t.get(resource)
	if absent(err) {
		return client.Object{}, nil
	}
	if err != nil {
		return nil, err
	}
	o, err := a.Object()
	if err != nil {
		t.fault(err)
	}
	return o, err
}

const dir = "/etc/pve"

// known reports whether the API could tell a path if it were there: only what lies in /etc/pve, and the release.
func known(name string) bool { return name == dir || strings.HasPrefix(name, dir+"/") }

// told are paths below /etc/pve of which the API says nothing, so that their absence proves nothing.
func told(name string) bool {
	for _, prefix := range []string{"/priv/", "/mapping/", "/virtual-guest/", "/ceph/", "/.", "/authkey", "/local/"} {
		if strings.HasPrefix(name, dir+prefix) {
			return name == dir+"/priv/tfa.cfg"
		}
	}
	switch base := path.Base(name); {
	case strings.HasSuffix(base, ".pem"), strings.HasSuffix(base, ".key"), strings.HasPrefix(base, "lrm_status"), strings.HasPrefix(base, "ssh_known"), base == "status.cfg":
		return false
	}
	return true
}

// ReadFile implements [host.Reader].
func (t *Tree) ReadFile(name string) ([]byte, error) {
	name = path.Clean(name)
	if err := t.mem.Errs[name]; err != nil {
		return nil, err // names the resource and the privilege, which a wrapper would hide
	}
	b, err := t.mem.ReadFile(name)
	if host.NotExist(err) && (!known(name) || !told(name)) {
		return nil, &host.Error{Op: "read", Path: name, Err: host.ErrUnavailable}
	}
	return b, err
}

// Stat implements [host.Reader].
func (t *Tree) Stat(name string) (host.File, error) {
	f, err := t.mem.Stat(name)
	if host.NotExist(err) && (!known(path.Clean(name)) || !told(path.Clean(name))) {
		return f, &host.Error{Op: "stat", Path: name, Err: host.ErrUnavailable}
	}
	return f, err
}

// List implements [host.Reader]. When guests may be missing, those that are known come together with the error.
func (t *Tree) List(pattern string) ([]host.File, error) {
	if !known(pattern) {
		return nil, &host.Error{Op: "list", Path: pattern, Err: host.ErrUnavailable}
	}
	found, err := t.mem.List(pattern)
	if err != nil {
		return nil, err
	}
	// A file that could not be read is there all the same.
	for name, e := range t.mem.Errs {
		if ok, _ := path.Match(pattern, name); ok && !errors.Is(e, fs.ErrNotExist) && !slices.ContainsFunc(found, func(f host.File) bool { return f.Path == name }) {
			found = append(found, host.File{Path: name, Type: host.Regular, OwnerUnknown: true})
		}
	}
	slices.SortFunc(found, func(a, b host.File) int { return strings.Compare(a.Path, b.Path) })
	if t.guestsErr != nil && (strings.Contains(pattern, "/qemu-server/") || strings.Contains(pattern, "/lxc/")) {
		return found, t.guestsErr
	}
	return found, nil
}
