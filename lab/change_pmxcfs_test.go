//go:build lab

package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// largestCluster is the limit of pmxcfs for one file, in bytes.
const largestCluster = 1 << 20

// lockLife is how long a lock of pmxcfs is not dropped for whoever asks (memdb.c, CFS_LOCK_TIMEOUT).
const lockLife = 120 * time.Second

// clusterFS is a file system with the rules of pmxcfs, as they were observed on a real one: modes and owners follow from the
// path, and no other can be given; links are not made; a file has at most 1 MiB. A directory below priv/lock is a lock, and goes
// when somebody sets its time to 0 who finds it older than lockLife. It keeps its files in a directory.
type clusterFS struct {
	fs.LoopbackNode
	said *refusals
}

// refusals counts what was refused, and how often somebody asked for a lock that another had.
type refusals struct {
	mu    sync.Mutex
	calls []string
	asked int
}

func (r *refusals) ask() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked++
}

func (r *refusals) asks() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked
}

func (r *refusals) note(call, name string, e syscall.Errno) syscall.Errno {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, call+" "+name)
	return e
}

func (r *refusals) list() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.calls)
}

// rules makes attributes those of the path.
func rules(name string, a *fuse.Attr) {
	private := name == "priv" || strings.HasPrefix(name, "priv/") || strings.HasPrefix(name, "nodes/") && strings.Contains(name+"/", "/priv/")
	a.Uid, a.Gid = 0, 33 // root and www-data
	kind := a.Mode & syscall.S_IFMT
	switch {
	case kind == syscall.S_IFDIR && private:
		a.Mode = kind | 0o700
	case kind == syscall.S_IFDIR:
		a.Mode = kind | 0o755
	case kind == syscall.S_IFREG && private:
		a.Mode = kind | 0o600
	case kind == syscall.S_IFREG:
		a.Mode = kind | 0o640
	}
}

func (n *clusterFS) at(name string) string { return filepath.Join(n.Path(n.Root()), name) }

func (n *clusterFS) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	i, e := n.LoopbackNode.Lookup(ctx, name, out)
	rules(n.at(name), &out.Attr)
	return i, e
}

func (n *clusterFS) Create(ctx context.Context, name string, flags, _ uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	i, h, f, e := n.LoopbackNode.Create(ctx, name, flags, 0o640, out)
	rules(n.at(name), &out.Attr)
	if e == 0 {
		if made, ok := i.Operations().(*clusterFS); ok {
			h = made.open(h)
		}
	}
	return i, h, f, e
}

func (n *clusterFS) Mkdir(ctx context.Context, name string, _ uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	i, e := n.LoopbackNode.Mkdir(ctx, name, 0o755, out)
	rules(n.at(name), &out.Attr)
	return i, e
}

func (n *clusterFS) Getattr(ctx context.Context, h fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	e := n.LoopbackNode.Getattr(ctx, h, out)
	rules(n.at(""), &out.Attr)
	return e
}

func (n *clusterFS) Setattr(ctx context.Context, h fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	var is fuse.AttrOut
	if e := n.Getattr(ctx, h, &is); e != 0 {
		return e
	}
	if mode, ok := in.GetMode(); ok && mode&0o7777 != is.Mode&0o7777 {
		return n.said.note("chmod", n.at(""), syscall.EPERM)
	}
	uid, hasUID := in.GetUID()
	gid, hasGID := in.GetGID()
	if hasUID && uid != is.Uid || hasGID && gid != is.Gid {
		return n.said.note("chown", n.at(""), syscall.EPERM)
	}
	if mtime, ok := in.GetMTime(); ok && strings.HasPrefix(n.at(""), "priv/lock/") {
		return n.drop(mtime, is.Mtime, out)
	}
	if size, ok := in.GetSize(); ok && size > largestCluster {
		return n.said.note("truncate", n.at(""), syscall.EFBIG)
	}
	in.Valid &^= fuse.FATTR_MODE | fuse.FATTR_UID | fuse.FATTR_GID
	e := n.LoopbackNode.Setattr(ctx, h, in, out)
	rules(n.at(""), &out.Attr)
	return e
}

// drop is a new time for a lock: 0 asks that it be dropped, and only a stale one is.
func (n *clusterFS) drop(mtime time.Time, made uint64, out *fuse.AttrOut) syscall.Errno {
	if mtime.Unix() != 0 {
		return syscall.EACCES
	}
	n.said.ask()
	if time.Since(time.Unix(int64(made), 0)) <= lockLife {
		return syscall.EACCES
	}
	if err := os.Remove(filepath.Join(n.RootData.Path, n.at(""))); err != nil {
		return fs.ToErrno(err)
	}
	name, parent := n.Parent()
	parent.RmChild(name)
	out.Mode = syscall.S_IFDIR | 0o700
	return 0
}

func (n *clusterFS) Open(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	h, f, e := n.LoopbackNode.Open(ctx, flags)
	return n.open(h), f, e
}

func (n *clusterFS) open(h fs.FileHandle) fs.FileHandle {
	if f, ok := h.(loopback); ok {
		return &clusterFile{loopback: f, of: n}
	}
	return h
}

// loopback is what an open file of the directory behind can do, without that the kernel writes past us.
type loopback interface {
	fs.FileReader
	fs.FileWriter
	fs.FileFlusher
	fs.FileFsyncer
	fs.FileReleaser
}

// clusterFile is an open file with the limit.
type clusterFile struct {
	loopback
	of *clusterFS
}

func (f *clusterFile) Write(ctx context.Context, data []byte, off int64) (uint32, syscall.Errno) {
	if off+int64(len(data)) > largestCluster {
		return 0, f.of.said.note("write", f.of.at(""), syscall.EFBIG)
	}
	return f.loopback.Write(ctx, data, off)
}

func (n *clusterFS) Symlink(_ context.Context, _, name string, _ *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	return nil, n.said.note("symlink", n.at(name), syscall.ENOSYS)
}

func (n *clusterFS) Link(_ context.Context, _ fs.InodeEmbedder, name string, _ *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	return nil, n.said.note("link", n.at(name), syscall.ENOSYS)
}

func (n *clusterFS) Mknod(_ context.Context, name string, _, _ uint32, _ *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	return nil, n.said.note("mknod", n.at(name), syscall.ENOSYS)
}

func (n *clusterFS) Getxattr(context.Context, string, []byte) (uint32, syscall.Errno) {
	return 0, syscall.ENOTSUP
}

func (n *clusterFS) Listxattr(context.Context, []byte) (uint32, syscall.Errno) {
	return 0, syscall.ENOTSUP
}

func (n *clusterFS) Setxattr(_ context.Context, name string, _ []byte, _ uint32) syscall.Errno {
	return n.said.note("setxattr", n.at(""), syscall.ENOTSUP)
}

// mountCluster lays such a file system over a directory; what is there already is its content, and lies in the returned directory.
func mountCluster(t *testing.T, dir string) (store string, said *refusals) {
	t.Helper()
	store, said = t.TempDir()+"/pve", &refusals{}
	must(t, "cp", "-a", dir, store)
	data := &fs.LoopbackRoot{Path: store}
	data.NewNode = func(r *fs.LoopbackRoot, _ *fs.Inode, _ string, _ *syscall.Stat_t) fs.InodeEmbedder {
		return &clusterFS{LoopbackNode: fs.LoopbackNode{RootData: r}, said: said}
	}
	root := data.NewNode(data, nil, "", nil)
	data.RootNode = root
	server, err := fs.Mount(dir, root, &fs.Options{MountOptions: fuse.MountOptions{AllowOther: true, DirectMountStrict: true, FsName: "/dev/fuse", Name: "pmxcfs"}})
	if err != nil {
		t.Fatalf("cannot mount a file system of the user's: %v", err)
	}
	t.Cleanup(func() {
		if err := server.Unmount(); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return store, said
}

// TestClusterFileSystem changes files of the cluster and of a guest where pmxcfs would refuse modes and links.
func TestClusterFileSystem(t *testing.T) {
	layers, binary := layersOf(t, "debian12-stock"), build(t)
	var store string
	var said *refusals
	m := boot(t, "debian12-pmxcfs", layers, binary, func(root string) {
		standIns(t, root)
		store, said = mountCluster(t, filepath.Join(root, "etc/pve"))
	})
	testRules(t, filepath.Join(m.dir, "root/etc/pve"))
	began := len(said.list())
	before := pictureOf(t, store)
	for _, c := range []struct{ changes, paths string }{
		{"- {kind: pveacl, section: role, name: BackupAdmin, set: {privs: VM.Audit VM.Backup}}\n- {kind: guest, each: \"['100']\", set: {protection: \"1\"}}\n",
			"/nodes/pve1/qemu-server/100.conf /user.cfg"},
		{"- {kind: pvefirewall, section: ipset, set: {management: 10.99.0.0/24}}\n" +
			"- {kind: pvefirewall, section: guest, each: \"['100']\", set: {enable: \"1\", policy_in: DROP}}\n", "/firewall/100.fw /firewall/cluster.fw"},
	} {
		m.put(t, "/var/tmp/changes.yaml", c.changes)
		for _, words := range [][]string{{"plan", "--changes", "/var/tmp/changes.yaml", "-o", "/var/tmp/plan.json"}, {"apply", "/var/tmp/plan.json", "--yes"}} {
			words = append(append([]string{castellanThere}, words...), "--admin", "root@10.99.0.1")
			if out, err := output(t, time.Minute, m.enter(words...)...); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
		}
		var paths []string
		for _, line := range changed(before, pictureOf(t, store)) {
			name, _, _ := strings.Cut(line, ":")
			paths = append(paths, name)
		}
		if got := strings.Join(paths, " "); got != c.paths {
			t.Errorf("changed %q, want %q", got, c.paths)
		}
		if out, err := output(t, time.Minute, m.enter(castellanThere, "revert", "--yes")...); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		if diff := changed(before, pictureOf(t, store)); len(diff) > 0 {
			t.Errorf("not as before:\n%s", strings.Join(diff, "\n"))
		}
	}
	for _, call := range said.list()[began:] {
		if !strings.HasPrefix(call, "chmod ") && !strings.HasPrefix(call, "chown ") {
			t.Errorf("castellan tried what pmxcfs cannot do: %s", call)
		}
	}
	t.Logf("refused while castellan was at work: %q", said.list()[began:])
	testLocks(t, m, store, said)
}

// The file of the firewall of the cluster, and its lock, as PVE names them.
const (
	fileFW = "firewall/cluster.fw"
	lockFW = "priv/lock/firewall-cluster"
)

// beside is somebody who changes the firewall of the cluster as PVE does, beside castellan: he holds the lock of the file.
type beside struct {
	*testing.T
	m          *machine
	pve, store string // the file system, and what lies behind it
	said       *refusals
}

// try reports what went wrong, if anything did.
func (s beside) try(errs ...error) {
	s.Helper()
	if err := errors.Join(errs...); err != nil {
		s.Fatal(err)
	}
}

func (s beside) hold() {
	s.Helper()
	s.try(os.MkdirAll(filepath.Join(s.pve, "priv/lock"), 0o755), os.Mkdir(filepath.Join(s.pve, lockFW), 0o755))
}

func (s beside) free() {
	s.Helper()
	s.try(os.Remove(filepath.Join(s.pve, lockFW)), os.Remove(filepath.Join(s.pve, "priv/lock")))
}

func (s beside) write(content string) {
	s.Helper()
	temp := filepath.Join(s.pve, fileFW+".tmp.1")
	s.try(os.WriteFile(temp, []byte(content), 0o640), os.Rename(temp, filepath.Join(s.pve, fileFW)))
}

func (s beside) castellan(words string) (string, error) {
	out, err := output(s, 2*time.Minute, s.m.enter(append([]string{castellanThere}, strings.Fields(words)...)...)...)
	return string(out), err
}

func (s beside) ok(words string) string {
	s.Helper()
	out, err := s.castellan(words)
	s.try(err)
	return out
}

// during runs castellan while he has the lock, until it has asked for it three times. Before he gives it back he does something.
func (s beside) during(words string, do func()) (err error) {
	s.Helper()
	s.hold()
	began, end := s.said.asks(), make(chan struct{})
	go func() {
		defer close(end)
		_, err = s.castellan(words)
	}()
	for waits := true; waits && s.said.asks() < began+3; {
		select {
		case <-end:
			s.Errorf("%s did not wait for the lock: %v", words, err)
			waits = false
		case <-time.After(20 * time.Millisecond):
		}
	}
	do()
	s.free()
	<-end
	return err
}

// testLocks changes the firewall of the cluster at the same time as somebody else.
func testLocks(t *testing.T, m *machine, store string, said *refusals) {
	const apply, revert = "apply /var/tmp/plan.json --yes --admin root@10.99.0.1", "revert --yes"
	const old, his = "[OPTIONS]\n\npolicy_out: ACCEPT\n", "[OPTIONS]\n\npolicy_out: ACCEPT\n\n[group his]\n\n"
	s := beside{t, m, filepath.Join(m.dir, "root/etc/pve"), store, said}
	s.write(old)
	before := pictureOf(t, store)
	same := func(when string) {
		t.Helper()
		if diff := changed(before, pictureOf(t, store)); len(diff) > 0 {
			t.Errorf("%s:\n%s", when, strings.Join(diff, "\n"))
		}
	}
	m.put(t, "/var/tmp/changes.yaml", "- {kind: pvefirewall, section: ipset, set: {management: 10.99.0.0/24}}\n")
	s.ok("plan --changes /var/tmp/changes.yaml -o /var/tmp/plan.json --admin root@10.99.0.1")

	// He changes the file: what he wrote stays.
	err := s.during(apply, func() { s.write(his) })
	if err == nil || !strings.Contains(err.Error(), fileFW+" was changed by somebody else meanwhile; everything was taken back") {
		t.Errorf("apply: %v", err)
	}
	if now, err := os.ReadFile(filepath.Join(store, fileFW)); err != nil || string(now) != his {
		t.Errorf("his change is lost: %v\n%s", err, now)
	}
	s.write(old)
	same("after his change")

	// He changes nothing: castellan waits, and goes on.
	s.try(s.during(apply, func() {}), s.during(revert, func() {}))
	same("taken back after waiting")

	// He died with the lock: it is dropped for whoever asks.
	s.hold()
	long := time.Now().Add(-lockLife - time.Minute)
	s.try(os.Chtimes(filepath.Join(store, lockFW), long, long))
	s.ok(apply)
	if _, err := os.Lstat(filepath.Join(store, lockFW)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the lock: %v", err)
	}

	// He has it for longer than anybody waits: the host is taken back all the same.
	s.hold()
	s.ok(revert)
	if story := s.ok("history --json"); !strings.Contains(story, "is put back all the same: /etc/pve/"+lockFW+" is locked by another process") {
		t.Errorf("the record does not say it:\n%s", story)
	}
	s.free()
	same("taken back without the lock")
}

// testRules proves that the file system refuses what it should.
func testRules(t *testing.T, dir string) {
	t.Helper()
	file := filepath.Join(dir, "datacenter.cfg")
	for name, c := range map[string]struct {
		got  error
		want syscall.Errno
	}{
		"chmod":          {os.Chmod(file, 0o600), syscall.EPERM},
		"chown":          {os.Chown(file, 1, 1), syscall.EPERM},
		"symlink":        {os.Symlink("datacenter.cfg", filepath.Join(dir, "link")), syscall.ENOSYS},
		"link":           {os.Link(file, filepath.Join(dir, "hard")), syscall.ENOSYS},
		"time of a lock": {testLock(dir), syscall.EACCES},
		"large file":     {os.WriteFile(filepath.Join(dir, "large"), make([]byte, largestCluster+1), 0o640), syscall.EFBIG},
	} {
		// The kernel itself says EPERM to a link where the file system knows none.
		if !errors.Is(c.got, c.want) && (name != "link" || !errors.Is(c.got, syscall.EPERM)) {
			t.Errorf("%s: %v, want %v", name, c.got, c.want)
		}
	}
	for _, name := range []string{"large", "priv/lock/one", "priv/lock"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
}

// testLock makes a lock, which nobody else can make, and asks at once that it be dropped.
func testLock(dir string) error {
	lock := filepath.Join(dir, "priv/lock/one")
	for _, err := range []error{os.MkdirAll(filepath.Dir(lock), 0o755), os.Mkdir(lock, 0o755)} {
		if err != nil {
			return err
		}
	}
	if err := os.Mkdir(lock, 0o755); !errors.Is(err, syscall.EEXIST) {
		return fmt.Errorf("a lock that is taken: %w", err)
	}
	return syscall.Utime(lock, &syscall.Utimbuf{})
}

// pictureOf shows the names and contents below a directory. Modes and owners are the file system's matter.
func pictureOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		text := d.Type().String()
		if d.Type().IsRegular() {
			b, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			text = string(b)
		}
		out[strings.TrimPrefix(name, dir)] = text
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
