//go:build lab

package lab

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sort"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The addresses from which hosts are changed: the administrator's, the other node of the cluster, and one that is nobody's.
const (
	adminAddress   = "10.99.0.1"
	nodeAddress    = "10.99.0.3"
	foreignAddress = "203.0.113.9"
)

// castellanThere is castellan on the host.
const castellanThere = "/usr/local/bin/castellan"

// layersOf are the layers of a host, built when they are missing.
func layersOf(t *testing.T, name string) string {
	t.Helper()
	if err := os.MkdirAll(home(), 0o755); err != nil {
		t.Fatal(err)
	}
	out, err := output(t, 22*time.Minute, "./roots.sh")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		if host, dirs, ok := strings.Cut(strings.TrimSpace(line), " "); ok && host == name {
			return dirs
		}
	}
	t.Fatalf("roots.sh knows no %s", name)
	return ""
}

// bootForChange starts a stock host of a release that is about to be changed, administered by root. In a cluster it is one of
// two nodes and has an administrator of its own: olga, who may become root.
func bootForChange(t *testing.T, release, scenario string, cluster bool) *machine {
	t.Helper()
	layers := layersOf(t, "debian"+release+"-stock")
	binary := build(t)
	keys := t.TempDir()
	must(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "root@pve2", "-f", keys+"/node")
	m := boot(t, "debian"+release+"-"+scenario, layers, binary, func(root string) {
		standIns(t, root)
		if cluster {
			administrator(t, root, filepath.Join(filepath.Dir(root), "key.pub"))
			secondNode(t, root, keys+"/node.pub")
		}
	})
	must(t, "install", "-m", "600", keys+"/node", m.dir+"/node")
	m.routes(t)
	login := []string{"root", "castellan", "--version"}
	if cluster {
		// Whoever restricts root's login must have come in as himself.
		login = []string{"olga", "sudo", "castellan", "--version"}
	}
	if out, err := m.login(login[0], adminAddress, login[1:]...); err != nil {
		t.Fatalf("the administrator does not get in at the start: %v: %s", err, out)
	}
	return m
}

// routes gives the world outside the other addresses, and the host the way back to them.
func (m *machine) routes(t *testing.T) {
	t.Helper()
	link := "ve-" + m.short
	must(t, "ip", "-n", m.ns, "address", "add", nodeAddress+"/24", "dev", link)
	must(t, "ip", "-n", m.ns, "address", "add", foreignAddress+"/32", "dev", link)
	must(t, "nsenter", "--target", fmt.Sprint(m.leader), "--net", "ip", "route", "add", "203.0.113.0/24", "via", adminAddress)
}

// standIns puts what a container lacks: a device that GRUB could probe, and the program of the firewall.
func standIns(t *testing.T, root string) {
	t.Helper()
	for name, content := range map[string]string{
		"usr/sbin/grub-probe": `#!/bin/sh
# Stand-in of the lab: a container has no device to probe. It answers as on a node with LVM and ext4.
for word; do
	case $word in
	--target=device) echo /dev/mapper/pve-root; exit ;;
	--target=fs_uuid) echo 6b3f6b0e-0f0e-4f5e-9c59-0f3b9c3a2f11; exit ;;
	--target=fs) echo ext2; exit ;;
	--target=partmap) echo gpt; exit ;;
	--target=abstraction) echo lvm; exit ;;
	esac
done
`,
		"usr/sbin/pve-firewall": `#!/bin/sh
# Stand-in of the lab: it filters nothing. compile fails at a file whose lines are not those of the firewall's grammar.
case $1 in
status)
	if grep -qs '^enable: [12]' /etc/pve/firewall/cluster.fw; then echo 'Status: enabled/running'; else echo 'Status: disabled/running'; fi
	exit ;;
compile) ;;
*) exit ;;
esac
cat /etc/pve/firewall/*.fw /etc/pve/local/host.fw 2>/dev/null |
	grep -vE '^(\[[A-Za-z0-9 _/+.-]+\]|[a-z_0-9]+: .*|\|?(IN|OUT|FORWARD|GROUP) .*|[0-9a-fA-F.:/]+( .*)?|#.*|[[:space:]]*)$' && exit 1
exit 0
`,
	} {
		name = filepath.Join(root, name)
		if err := os.WriteFile(name, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(name, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// administrator adds olga: with a key, in the groups of those who may use SSH and sudo, and castellan without a password.
func administrator(t *testing.T, root, key string) {
	t.Helper()
	must(t, "chroot", root, "groupadd", "--system", "ssh-admins")
	must(t, "chroot", root, "useradd", "--create-home", "--shell", "/bin/bash", "--groups", "sudo,ssh-admins", "olga")
	must(t, "chroot", root, "usermod", "--append", "--groups", "ssh-admins", "root")
	must(t, "chroot", root, "sh", "-c", "echo olga:lab-only-5Tq8.rho | chpasswd")
	must(t, "chroot", root, "install", "-d", "-m", "700", "-o", "olga", "-g", "olga", "/home/olga/.ssh")
	public, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"home/olga/.ssh/authorized_keys": `from="10.99.0.0/24" ` + string(public),
		"etc/sudoers.d/olga":             "olga ALL=(root) NOPASSWD: /usr/local/bin/castellan\n",
	} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(content), 0o440); err != nil {
			t.Fatal(err)
		}
	}
	must(t, "chroot", root, "chown", "olga:olga", "/home/olga/.ssh/authorized_keys")
	must(t, "chroot", root, "chmod", "600", "/home/olga/.ssh/authorized_keys")
}

// secondNode makes the host one of two nodes: pve2 is at 10.99.0.3 and has a key of root's, from wherever it comes.
func secondNode(t *testing.T, root, key string) {
	t.Helper()
	public, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	const conf = `totem {
  version: 2
  cluster_name: lab
  config_version: 2
  ip_version: ipv4-6
  secauth: on
  interface {
    linknumber: 0
  }
}
nodelist {
  node {
    name: pve1
    nodeid: 1
    quorum_votes: 1
    ring0_addr: 10.99.0.2
  }
  node {
    name: pve2
    nodeid: 2
    quorum_votes: 1
    ring0_addr: 10.99.0.3
  }
}
quorum {
  provider: corosync_votequorum
}
`
	const members = `{
"nodename": "pve1",
"version": 4,
"cluster": { "name": "lab", "version": 2, "nodes": 2, "quorate": 1 },
"nodelist": {
  "pve1": { "id": 1, "online": 1, "ip": "10.99.0.2"},
  "pve2": { "id": 2, "online": 1, "ip": "10.99.0.3"}
  }
}
`
	for name, content := range map[string]string{"etc/pve/corosync.conf": conf, "etc/corosync/corosync.conf": conf, "etc/pve/.members": members} {
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(root, "etc/pve/nodes/pve2/qemu-server"), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(root, "etc/pve/priv/authorized_keys"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(public); err != nil {
		t.Fatal(err)
	}
	must(t, "chroot", root, "chown", "-R", "root:www-data", "/etc/pve/corosync.conf", "/etc/pve/.members", "/etc/pve/nodes/pve2")
}

// client are the words before the user and host of a program of OpenSSH that comes from an address, with the key of whoever
// lives there; every run is a connection of its own.
func (m *machine) client(program, address string) []string {
	key := m.dir + "/key"
	if address != adminAddress {
		key = m.dir + "/node"
	}
	return m.from(program, "-F", "/dev/null", "-i", key, "-o", "IdentitiesOnly=yes", "-o", "BindAddress="+address, "-o", "BatchMode=yes",
		"-o", "UserKnownHostsFile="+m.dir+"/known_hosts", "-o", "StrictHostKeyChecking=yes", "-o", "ConnectTimeout=5", "-o", "LogLevel=ERROR")
}

// login runs a command over a new connection and returns everything that it says.
func (m *machine) login(user, address string, words ...string) (string, error) {
	argv := append(append(m.client("ssh", address), user+"@"+inside), words...)
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.WaitDelay = time.Second
	b, err := cmd.CombinedOutput()
	return string(b), err
}

// code is the exit code of a command, -1 when it is not known.
func code(err error) int {
	var e *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &e):
		return e.ExitCode()
	}
	return -1
}

// transaction is what the tests read of history --json.
type transaction struct {
	ID        string    `json:"id"`
	State     string    `json:"state"`
	Window    string    `json:"window"`
	Controls  []string  `json:"controls"`
	Paths     []string  `json:"paths"`
	Applied   time.Time `json:"applied"`
	Deadline  time.Time `json:"deadline"`
	Ended     time.Time `json:"ended"`
	Override  []string  `json:"override"`
	Conflicts []string  `json:"conflicts"`
	Restart   []string  `json:"restart"`
	Events    []struct {
		At   time.Time `json:"at"`
		Text string    `json:"text"`
	} `json:"events"`
}

// history is what the host tells of its transactions, newest first, asked from inside.
func (m *machine) history(t *testing.T) []transaction {
	t.Helper()
	out, err := output(t, time.Minute, m.enter(castellanThere, "history", "--json")...)
	var doc struct {
		Transactions []transaction `json:"transactions"`
	}
	if jerr := json.Unmarshal(out, &doc); jerr != nil || err != nil {
		t.Fatalf("history: %v, %v: %s", err, jerr, out)
	}
	sort.SliceStable(doc.Transactions, func(i, j int) bool { return doc.Transactions[i].Applied.After(doc.Transactions[j].Applied) })
	return doc.Transactions
}

// mine shows every path below the directories that hardening writes to, and the kernel's settings of the network: mode, owner,
// content or target by path.
func (m *machine) mine(t *testing.T) map[string]string {
	t.Helper()
	root := filepath.Join(m.dir, "root")
	tree := map[string]string{}
	for _, dir := range []string{"etc", "usr/local", "boot", "root", "home", "var/spool/cron", "usr/share/pam-configs", "lib/systemd", "usr/lib/systemd"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(name string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil {
				return err
			}
			line, err := describe(name)
			tree[strings.TrimPrefix(name, root)] = line
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	out, _ := output(t, time.Minute, m.enter("grep", "-rs", "", "/proc/sys/net")...)
	for line := range strings.Lines(string(out)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		// What the kernel counts, and draws by lot, is nobody's setting.
		if !strings.HasSuffix(name, "_count") && !strings.HasSuffix(name, "/stable_secret") {
			tree[name] = value
		}
	}
	return tree
}

func describe(name string) (string, error) {
	var st syscall.Stat_t
	if err := syscall.Lstat(name, &st); err != nil {
		return "", err
	}
	line := fmt.Sprintf("%06o %d:%d", st.Mode, st.Uid, st.Gid)
	switch st.Mode & syscall.S_IFMT {
	case syscall.S_IFLNK:
		to, err := os.Readlink(name)
		return line + " -> " + to, err
	case syscall.S_IFREG:
		b, err := os.ReadFile(name)
		sum := sha256.Sum256(b)
		return line + " " + hex.EncodeToString(sum[:8]), err
	}
	return line, nil
}

// changed are the paths in which two pictures differ, with how, sorted.
func changed(before, after map[string]string) []string {
	var out []string
	for name, was := range before {
		if is, ok := after[name]; !ok {
			out = append(out, name+": gone, was "+was)
		} else if is != was {
			out = append(out, name+": "+is+", was "+was)
		}
	}
	for name, is := range after {
		if _, ok := before[name]; !ok {
			out = append(out, name+": new, "+is)
		}
	}
	sort.Strings(out)
	return out
}

// inNamespace runs f in a thread that lives in the network namespace outside of the host.
func (m *machine) inNamespace(f func() error) error {
	result := make(chan error, 1)
	go func() {
		// Never unlocked: the thread ends with the goroutine, because it is of no use to others.
		runtime.LockOSThread()
		ns, err := os.Open("/run/netns/" + m.ns)
		if err != nil {
			result <- err
			return
		}
		defer ns.Close()
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			result <- err
			return
		}
		result <- f()
	}()
	return <-result
}

// answers reports whether the SSH server of the host says its name.
func (m *machine) answers() bool {
	return m.inNamespace(func() error {
		c, err := net.DialTimeout("tcp4", inside+":22", 300*time.Millisecond)
		if err != nil {
			return err
		}
		defer c.Close()
		if err := c.SetDeadline(time.Now().Add(time.Second)); err != nil {
			return err
		}
		b := make([]byte, 4)
		if _, err := c.Read(b); err != nil || !bytes.Equal(b, []byte("SSH-")) {
			return fmt.Errorf("%q, %w", b, err)
		}
		return nil
	}) == nil
}

// mirror lets APT inside the host reach the package sources of the machine that the lab runs on: a proxy listens on the
// administrator's address and asks for the host what it asks for. Only the host's own network leads there.
func (m *machine) mirror(t *testing.T) {
	t.Helper()
	var listener net.Listener
	err := m.inNamespace(func() (err error) {
		listener, err = net.Listen("tcp4", adminAddress+":3142")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.Out.Host = r.In.Host }}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodConnect { // the repository for subscribers
			http.Error(w, "the lab forwards no encrypted connections", http.StatusForbidden)
			return
		}
		forward.ServeHTTP(w, r)
	})}
	go server.Serve(listener) //nolint:errcheck // it ends with the test
	t.Cleanup(func() { server.Close() })
	const conf = `Acquire::http::Proxy "http://` + adminAddress + `:3142";` + "\n"
	if err := os.WriteFile(filepath.Join(m.dir, "root/etc/apt/apt.conf.d/00lab-proxy"), []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
}
