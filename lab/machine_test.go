//go:build lab

package lab

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The addresses on the link between a host and the world outside; every host has a network namespace of its own,
// so all may have the same.
const (
	outside = "10.99.0.1/24"
	inside  = "10.99.0.2"
)

// machine is a booted lab host.
type machine struct {
	name   string
	ns     string // the network namespace outside of it
	leader int    // its init, in our process numbers
	dir    string // scratch: overlay, keys, log
	short  string // its name in those of network interfaces
}

// home is the lab's directory.
func home() string {
	if d := os.Getenv("CASTELLAN_LAB"); d != "" {
		return d
	}
	return "/var/tmp/castellan-lab"
}

// output runs a command with a time limit and returns its standard output.
func output(t testing.TB, limit time.Duration, argv ...string) ([]byte, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	cmd.WaitDelay = 2 * time.Second
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s: %w\n%s", strings.Join(argv, " "), err, stderr.String())
	}
	return out, err
}

func must(t testing.TB, argv ...string) string {
	t.Helper()
	out, err := output(t, time.Minute, argv...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// boot starts a host on a fresh overlay over the given layers and waits until its services run. What prepare does to the
// root file system happens before.
func boot(t *testing.T, name, layers, binary string, prepare ...func(root string)) *machine {
	t.Helper()
	dir, err := os.MkdirTemp(home(), "run.")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	// Interface names have 15 characters, and "ve-" takes three.
	short := strings.NewReplacer("debian", "d", "-stock", "s", "-hardened", "h").Replace(name)
	m := &machine{name: name, dir: dir, ns: fmt.Sprintf("castellan-%s-%d", short, os.Getpid())}
	root := m.overlay(t, layers)
	m.prepare(t, root, binary)
	for _, more := range prepare {
		more(root)
	}
	must(t, "ip", "netns", "add", m.ns)
	t.Cleanup(func() { must(t, "ip", "netns", "delete", m.ns) })
	m.short = short
	m.start(t, root, short)
	m.network(t, "ve-"+short)
	m.settle(t)
	return m
}

func (m *machine) overlay(t *testing.T, layers string) string {
	t.Helper()
	root := filepath.Join(m.dir, "root")
	for _, d := range []string{"upper", "work", "root"} {
		if err := os.Mkdir(filepath.Join(m.dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	must(t, "mount", "-t", "overlay", "overlay", "-o",
		fmt.Sprintf("lowerdir=%s,upperdir=%s/upper,workdir=%s/work", layers, m.dir, m.dir), root)
	t.Cleanup(func() { must(t, "umount", root) })
	return root
}

// prepare puts our binary into the host, and a key of ours where it opens the accounts.
func (m *machine) prepare(t *testing.T, root, binary string) {
	t.Helper()
	must(t, "install", "-m", "755", binary, filepath.Join(root, "usr/local/bin/castellan"))
	must(t, "install", "-D", "-m", "644", "profile.yaml", filepath.Join(root, "usr/local/share/castellan-lab.yaml"))
	must(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", m.dir+"/key")
	public, err := os.ReadFile(m.dir + "/key.pub")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"etc/pve/priv/authorized_keys", "home/anna/.ssh/authorized_keys"} {
		f, err := os.OpenFile(filepath.Join(root, file), os.O_APPEND|os.O_WRONLY, 0)
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(f, `from="10.99.0.0/24" %s`, public)
		f.Close()
	}
	key, err := os.ReadFile(filepath.Join(root, "etc/ssh/ssh_host_ed25519_key.pub"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(m.dir+"/known_hosts", append([]byte(inside+" "), key...), 0o600); err != nil {
		t.Fatal(err)
	}
}

// controlGroups are the hierarchies in which systemd keeps its own groups: of version 1, of both at once, of version 2 (cgroups(7)).
const controlGroups = "/sys/fs/cgroup/systemd /sys/fs/cgroup/unified /sys/fs/cgroup"

// ownControlGroup runs a command in control groups of its own. Hosts that share them take each other's services for their own: one removes a group that
// the other is about to start a program in, which fails for want of "resources".
const ownControlGroup = `
name=castellan-lab-$(basename "$1"); shift
for h in ` + controlGroups + `; do
	[ -e "$h/cgroup.procs" ] && mkdir -p "$h/$name" && echo $$ >"$h/$name/cgroup.procs"
done
exec "$@"`

// removeControlGroups removes those of ownControlGroup when all their processes are gone.
const removeControlGroups = `for h in ` + controlGroups + `; do find "$h/castellan-lab-$(basename "$1")" -depth -type d -exec rmdir {} + 2>/dev/null; done; true`

// start boots the host and finds its init.
func (m *machine) start(t *testing.T, root, short string) {
	t.Helper()
	log, err := os.Create(m.dir + "/console")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", ownControlGroup, "sh", m.dir, "nsenter", "--net=/run/netns/"+m.ns, "systemd-nspawn", "--quiet", "--register=no", "--keep-unit",
		"--directory="+root, "--machine="+short, "--hostname=pve1", "--network-veth", "--resolv-conf=off", "--timezone=off",
		"--capability=CAP_NET_ADMIN,CAP_SYS_TIME", "--console=pipe", "--boot")
	// Not "ip netns exec": it mounts a new /sys, in which nspawn does not find the control groups.
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		if t.Failed() {
			if b, err := os.ReadFile(m.dir + "/console"); err == nil {
				t.Logf("console of %s:\n%s", m.name, b[max(0, len(b)-3000):])
			}
			if m.leader != 0 {
				said, _ := output(t, 30*time.Second, m.enter("journalctl", "-q", "--no-pager", "-n", "150", "-o", "short-precise")...)
				t.Logf("journal of %s:\n%s", m.name, said)
			}
		}
		if m.leader != 0 {
			// All processes of the host go with its init.
			_ = syscall.Kill(m.leader, syscall.SIGKILL)
		}
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			_ = cmd.Process.Kill()
			<-ended
		}
		_ = exec.Command("sh", "-c", removeControlGroups, "sh", m.dir).Run()
	})
	for range 200 {
		time.Sleep(100 * time.Millisecond)
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", cmd.Process.Pid, cmd.Process.Pid))
		if err != nil {
			break
		}
		for _, f := range strings.Fields(string(b)) {
			pid, _ := strconv.Atoi(f)
			if c, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); err == nil && strings.TrimSpace(string(c)) == "systemd" {
				m.leader = pid
				return
			}
		}
	}
	t.Fatalf("%s did not start", m.name)
}

// enter makes the command line that runs argv inside the host, as root.
func (m *machine) enter(argv ...string) []string {
	return append([]string{"nsenter", "--target", strconv.Itoa(m.leader), "--all", "--", "env", "-i",
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "TERM=dumb"}, argv...)
}

// from makes the command line that runs argv outside, where the host can be reached.
func (m *machine) from(argv ...string) []string {
	return append([]string{"ip", "netns", "exec", m.ns, "env", "HOME=" + m.dir}, argv...)
}

func (m *machine) network(t *testing.T, link string) {
	t.Helper()
	must(t, "ip", "-n", m.ns, "address", "add", outside, "dev", link)
	must(t, "ip", "-n", m.ns, "link", "set", link, "up")
	must(t, "nsenter", "--target", strconv.Itoa(m.leader), "--net", "ip", "address", "add", inside+"/24", "dev", "host0")
	must(t, "nsenter", "--target", strconv.Itoa(m.leader), "--net", "ip", "link", "set", "host0", "up")
}

// settle waits until the host has booted: "degraded" will do, because some units cannot work in a container.
func (m *machine) settle(t *testing.T) {
	t.Helper()
	var state string
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(500 * time.Millisecond) {
		out, _ := output(t, 30*time.Second, m.enter("systemctl", "is-system-running")...)
		if state = strings.TrimSpace(string(out)); state == "running" || state == "degraded" {
			return
		}
	}
	t.Fatalf("%s is still %q", m.name, state)
}
