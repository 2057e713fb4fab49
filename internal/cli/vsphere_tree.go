package cli

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/vmx"
	"github.com/castellan-project/castellan/internal/vsphere"
)

// vsphereTree shows the machines of vSphere as a directory with one .vmx file for each, which holds the settings that matter.
// Putting a file changes the machine. So plans, the journal and taking back need no second way.
type vsphereTree struct {
	ctx    context.Context
	client *vsphere.Client
	mu     sync.Mutex
	byFile map[string]vsphere.VM
	// byPattern are the names of the files by the pattern that matches each alone.
	byPattern map[string]string
	// unread are the machines whose configuration is not available now.
	unread []string
}

// openVSphere opens vSphere as a target that can be changed.
func (a *app) openVSphere(ctx context.Context, name string, f *vsphereFlags) (*opened, error) {
	c, err := a.dialVSphere(ctx, name, f)
	if err != nil {
		return nil, err
	}
	// What was begun is ended, and taken back, also when the command is interrupted: each call has its own time.
	tree := &vsphereTree{ctx: context.WithoutCancel(ctx), client: c, byFile: map[string]vsphere.VM{}, byPattern: map[string]string{}}
	list, err := c.Machines(ctx)
	if err != nil {
		_ = c.Close(ctx) // the error that is told is the first one
		return nil, fmt.Errorf("%s: the list of machines is not whole: %w", name, err)
	}
	for _, v := range list {
		if v.Problem != "" {
			tree.unread = append(tree.unread, v.Name)
			continue
		}
		file := vsphereFile(v)
		tree.byFile[file] = v
		tree.byPattern[host.Quote(file)], tree.byPattern[file] = file, file
	}
	return &opened{reader: tree, desc: host.Description{Name: strings.TrimSuffix(name, "/"), Kind: "dir", Root: true, Now: a.now()},
		close: func() error { return c.Close(context.WithoutCancel(ctx)) }}, nil
}

// machines are those that can be changed, by name.
func (t *vsphereTree) machines() []vsphere.VM {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.SortedFunc(maps.Values(t.byFile), func(a, b vsphere.VM) int { return strings.Compare(a.Name+"\x00"+a.Ref, b.Name+"\x00"+b.Ref) })
}

// vsphereFile is the name of a machine's file: the name for people, the reference because names need not be unique.
func vsphereFile(v vsphere.VM) string {
	name := strings.Map(func(r rune) rune {
		if r < ' ' || r == '/' || r == 0x7f {
			return '_'
		}
		return r
	}, v.Name)
	return "/" + name + " (" + v.Ref + ").vmx"
}

// settingsOf are the settings of a machine that matter, typed ones among them, with the defaults that the API leaves out.
func settingsOf(v vsphere.VM) map[string]string {
	out := map[string]string{vmx.KeyVMotion: orDefault(v.VMotion, "opportunistic"), vmx.KeyFT: "ftEncryption" + title(orDefault(v.FT, "opportunistic"))}
	for k, value := range v.Settings {
		if value != "" && vmx.Relevant(k) { // an empty value is how the API says that a key is gone
			out[k] = value
		}
	}
	if v.Logging == nil || *v.Logging {
		out[vmx.KeyLogging] = "TRUE"
	} else {
		out[vmx.KeyLogging] = "FALSE"
	}
	return out
}

func orDefault(s, absent string) string {
	if s == "" {
		return absent
	}
	return s
}

func title(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

func (t *vsphereTree) node(v vsphere.VM) host.Node {
	return host.Node{Type: host.Regular, Mode: 0o600, UID: -1, GID: -1, Content: vmx.Render(settingsOf(v))}
}

func (t *vsphereTree) file(name string) (vsphere.VM, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	v, ok := t.byFile[path.Clean(name)]
	return v, ok
}

// ReadFile implements [host.Reader].
func (t *vsphereTree) ReadFile(name string) ([]byte, error) {
	v, ok := t.file(name)
	if !ok {
		return nil, &host.Error{Op: "read", Path: name, Err: fs.ErrNotExist}
	}
	return t.node(v).Content, nil
}

// Stat implements [host.Reader].
func (t *vsphereTree) Stat(name string) (host.File, error) {
	v, ok := t.file(name)
	if !ok {
		return host.File{}, &host.Error{Op: "stat", Path: name, Err: fs.ErrNotExist}
	}
	n := t.node(v)
	return host.File{Path: name, Type: host.Regular, Mode: n.Mode, UID: -1, GID: -1, Size: int64(len(n.Content))}, nil
}

// List implements [host.Reader]; a machine's file is found by its own name.
func (t *vsphereTree) List(pattern string) ([]host.File, error) {
	t.mu.Lock()
	var names []string
	if name, ok := t.byPattern[pattern]; ok {
		names = []string{name}
	} else if pattern == "/*" {
		names = slices.Collect(maps.Keys(t.byFile))
	}
	t.mu.Unlock()
	slices.Sort(names)
	out := make([]host.File, 0, len(names))
	for _, name := range names {
		f, err := t.Stat(name)
		if err != nil {
			return out, err
		}
		out = append(out, f)
	}
	return out, nil
}

// Run implements [host.Reader].
func (t *vsphereTree) Run(c host.Command) (host.Output, error) {
	return host.Output{}, &host.Error{Op: "run", Path: c.Name, Err: host.ErrUnavailable}
}

// Look implements [host.Machine]: it asks the API again.
func (t *vsphereTree) Look(name string) (host.Node, error) {
	v, ok := t.file(name)
	if !ok {
		return host.Node{Type: host.Absent}, nil
	}
	now, err := t.client.Machine(t.ctx, v.Ref)
	if err != nil {
		return host.Node{}, &host.Error{Op: "look", Path: name, Err: err}
	}
	t.mu.Lock()
	t.byFile[path.Clean(name)] = now
	t.mu.Unlock()
	return t.node(now), nil
}

// Put implements [host.Machine]: it changes the settings that differ, provided that nobody changed the machine since it was
// looked at.
func (t *vsphereTree) Put(name string, n host.Node) error {
	fail := func(err error) error { return &host.Error{Op: "change", Path: name, Err: err} }
	v, ok := t.file(name)
	if !ok {
		if n.Type == host.Absent {
			return nil
		}
		return fail(fs.ErrNotExist)
	}
	if n.Type != host.Regular {
		return fail(fmt.Errorf("a machine of vSphere is not removed"))
	}
	want, err := vmx.Parse(n.Content)
	if err != nil {
		return fail(err)
	}
	ch, any := changeOf(v, want)
	if !any {
		return nil
	}
	if err := t.client.Reconfigure(t.ctx, v, ch); err != nil {
		return fail(err)
	}
	_, err = t.Look(name) // the version has changed
	return err
}

// changeOf says what has to be changed of a machine so that its settings are those of a file.
func changeOf(v vsphere.VM, want *vmx.File) (vsphere.Change, bool) {
	now := settingsOf(v)
	ch := vsphere.Change{Settings: map[string]string{}}
	any := false
	set := func(key, value string) {
		any = true
		switch key {
		case vmx.KeyVMotion:
			ch.VMotion = value
		case vmx.KeyFT:
			ch.FT = strings.ToLower(strings.TrimPrefix(value, "ftEncryption"))
		case vmx.KeyLogging:
			on, _ := vmx.Bool(value)
			ch.Logging = &on
		default:
			ch.Settings[key] = value
		}
	}
	for _, s := range want.Settings() {
		if old, ok := now[s.Key]; !ok || old != s.Value {
			set(s.Key, s.Value)
		}
	}
	for key := range now {
		if _, ok := want.Get(key); !ok {
			set(key, "")
		}
	}
	return ch, any
}
