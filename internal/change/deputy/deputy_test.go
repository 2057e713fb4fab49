package deputy

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/host"
)

var _ change.Second = (*Nodes)(nil)

// node is another node, as far as it can be told from over there.
type node struct {
	files  map[string]string
	ran    []string
	heard  []byte
	code   int
	says   string
	broken error
	closed bool
}

func (n *node) Run(argv []string, in io.Reader, out, errw io.Writer) (int, error) {
	n.ran = append(n.ran, strings.Join(argv, " "))
	last := argv[len(argv)-1]
	switch argv[0] {
	case "sha256sum":
		content, ok := n.files[last]
		if !ok {
			return 1, nil
		}
		sum := sha256.Sum256([]byte(content))
		fmt.Fprintf(out, "%s  %s\n", hex.EncodeToString(sum[:]), last)
		return 0, nil
	case "rm":
		delete(n.files, last)
		return 0, nil
	}
	if in != nil {
		n.heard, _ = io.ReadAll(in)
	}
	if _, ok := n.files[argv[0]]; !ok && argv[0] != "systemctl" {
		return 127, nil
	}
	fmt.Fprint(errw, n.says)
	return n.code, n.broken
}

func (n *node) Put(name string, mode uint32, content io.Reader) error {
	b, err := io.ReadAll(content)
	if mode == 0o700 {
		n.files[name] = string(b)
	}
	return err
}

func (n *node) Close() { n.closed = true }

// lan is a cluster as pve1 sees it.
type lan struct {
	nodes   map[string]*node
	targets []host.SSHTarget
}

func (l *lan) dial(ctx context.Context, t host.SSHTarget) (Remote, error) {
	if _, ok := ctx.Deadline(); !ok {
		return nil, errors.New("nothing bounds this")
	}
	l.targets = append(l.targets, t)
	n, ok := l.nodes[t.Host]
	if !ok {
		return nil, errors.New("no connection to " + t.Host)
	}
	return n, nil
}

const members = `{"nodename":"pve2","version":9,"cluster":{"name":"lab","version":4,"nodes":4,"quorate":1},"nodelist":{
"pve1":{"id":1,"online":1,"ip":"192.0.2.1"},"pve2":{"id":2,"online":1,"ip":"192.0.2.2"},"pve3":{"id":3,"online":0,"ip":"192.0.2.3"},"pve4":{"id":4,"online":1,"ip":"192.0.2.4"}}}`

// files is a host that has some files.
type files map[string]string

func (f files) ReadFile(name string) ([]byte, error) {
	if s, ok := f[name]; ok {
		return []byte(s), nil
	}
	return nil, &host.Error{Op: "read", Path: name, Err: fs.ErrNotExist}
}

func (f files) Stat(name string) (host.File, error) {
	if _, ok := f[name]; ok {
		return host.File{Path: name, Type: host.Regular}, nil
	}
	return host.File{}, &host.Error{Op: "stat", Path: name, Err: fs.ErrNotExist}
}
func (f files) List(string) ([]host.File, error)      { return nil, host.ErrUnavailable }
func (f files) Run(host.Command) (host.Output, error) { return host.Output{}, host.ErrUnavailable }
func program() ([]byte, error)                        { return []byte("\x7fELF"), nil }
func nodesOf(f files, l *lan) *Nodes                  { return New(Options{f, l.dial, program, "/var/lib/castellan"}) }
func bin() string {
	sum := sha256.Sum256([]byte("\x7fELF"))
	return "/var/lib/castellan/bin/castellan-" + hex.EncodeToString(sum[:])[:12]
}

func TestCluster(t *testing.T) {
	here, names, err := nodesOf(files{membersFile: members}, &lan{}).Cluster()
	if here != "pve2" || !slices.Equal(names, []string{"pve3", "pve4", "pve1"}) || err != nil {
		t.Errorf("%q, %q, %v", here, names, err)
	}
	for name, f := range map[string]files{"no Proxmox VE": {}, "a node alone": {membersFile: `{"nodename":"pve1","version":0}`}} {
		if _, names, err := nodesOf(f, &lan{}).Cluster(); len(names) != 0 || err != nil {
			t.Errorf("%s: %q, %v", name, names, err)
		}
	}
	if _, _, err := nodesOf(files{membersFile: "{"}, &lan{}).Cluster(); err == nil {
		t.Error("what cannot be read is a cluster of one")
	}
}

func TestHold(t *testing.T) {
	l := &lan{nodes: map[string]*node{"192.0.2.1": {files: map[string]string{}}, "192.0.2.4": {files: map[string]string{}}}}
	n := nodesOf(files{membersFile: members, "/etc/pve/nodes/pve4/ssh_known_hosts": "pve4 ssh-rsa x"}, l)
	got, err := n.Hold([]byte("document\n"))
	four := l.nodes["192.0.2.4"]
	if got != "pve4" || err != nil || string(four.heard) != "document\n" || four.files[bin()] != "\x7fELF" || !four.closed {
		t.Fatalf("%q, %v, %+v", got, err, four)
	}
	if x := l.targets[0]; len(l.targets) != 1 || x.User != "root" || x.HostKeyAlias != "pve4" || x.Home != "/root" || x.KnownHosts[0] != "/etc/pve/nodes/pve4/ssh_known_hosts" {
		t.Errorf("%+v", l.targets)
	}
	for _, words := range four.ran {
		if strings.Contains(words, "document") {
			t.Errorf("it is in the words of a command: %s", words)
		}
	}
	// The program is there now.
	four.ran = nil
	if _, err := n.Hold(nil); err != nil || len(four.ran) != 2 {
		t.Errorf("%q, %v", four.ran, err)
	}
	// It does not want to: the next one does. Another content of the name is no program of ours.
	four.code, four.says, four.files[bin()] = 4, "x\ncastellan: the transaction \x1b[2J awaits\n", "other"
	if got, err := n.Hold(nil); got != "pve1" || err != nil || len(four.files) != 0 {
		t.Errorf("%q, %v, %v", got, err, four.files)
	}
	if x := l.targets[len(l.targets)-1]; x.KnownHosts[0] != "/etc/ssh/ssh_known_hosts" {
		t.Errorf("%+v", x)
	}
	delete(l.nodes, "192.0.2.1")
	_, err = n.Hold(nil)
	if err == nil || err.Error() != "pve3: it is offline; pve4: castellan there ended with 4: the transaction ?[2J awaits; pve1: no connection to 192.0.2.1" {
		t.Errorf("%v", err)
	}
}

func TestForget(t *testing.T) {
	four := &node{}
	n := nodesOf(files{membersFile: members}, &lan{nodes: map[string]*node{"192.0.2.4": four}})
	if err := n.Forget("pve4"); err != nil || !slices.Equal(four.ran, []string{"systemctl start castellan-revert.service"}) {
		t.Errorf("%v, %q", err, four.ran)
	}
	for name, want := range map[string]string{"pve1": "no connection", "pve3": "offline", "pve9": "no node"} {
		if err := n.Forget(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	four.code = 5
	if err := n.Forget("pve4"); err == nil || !strings.Contains(err.Error(), "ended with 5: it said nothing") {
		t.Errorf("%v", err)
	}
}

func FuzzTail(f *testing.F) {
	for _, s := range []string{"", "a\nb\n", "\x00\xff\r\n", "castellan: x", strings.Repeat("é", 10<<10)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		x := &tail{}
		if n, err := x.Write(b); n != len(b) || err != nil || len(x.b) > maxTail {
			t.Fatalf("%d, %v, %d", n, err, len(x.b))
		}
		if s := x.last(); s == "" && len(bytes.TrimSpace(b)) == 0 || !utf8.ValidString(s) || strings.ContainsAny(s, "\n\r\x00\x1b") || len([]rune(s)) > 300 {
			t.Fatalf("%q", s)
		}
	})
}
