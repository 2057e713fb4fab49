//go:build lab

package lab

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// settings are the values that only the administrator of the lab knows.
func settings() []string {
	var out []string
	for _, s := range []string{"FW-01.admin_networks=10.99.0.0/24", "FW-06.admin_networks=10.99.0.0/24", "WEB-02.admin_networks=10.99.0.0/24", "BAN-07.ignore=10.99.0.0/24"} {
		out = append(out, "--param", s)
	}
	return out
}

// plan is what the tests read of a plan.
type plan struct {
	Windows []struct {
		Name     string   `json:"name"`
		Controls []string `json:"controls"`
		Steps    []struct {
			Path string `json:"path"`
			What string `json:"what"`
		} `json:"steps"`
	} `json:"windows"`
}

// readPlan reads a plan that lies on the host.
func (m *machine) readPlan(t *testing.T, name string) plan {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(m.dir, "root", name))
	if err != nil {
		t.Fatal(err)
	}
	var p plan
	if err := json.Unmarshal(b, &p); err != nil {
		t.Fatal(err)
	}
	return p
}

// harden plans, applies and confirms until a plan leaves nothing, every time over new connections of the administrator's, and returns
// the controls that the plans repaired.
func (m *machine) harden(t *testing.T, words ...string) []string {
	t.Helper()
	const file = "/root/plan.json"
	var repaired []string
	for round := 1; ; round++ {
		if round > 4 {
			t.Fatal("after four plans there is still something to do")
		}
		out, err := m.login("olga", adminAddress, append([]string{"sudo", "castellan", "plan", "-o", file}, words...)...)
		if err != nil {
			t.Fatalf("plan %d: %v\n%s", round, err, out)
		}
		p := m.readPlan(t, file)
		if len(p.Windows) == 0 {
			return repaired
		}
		for _, w := range p.Windows {
			repaired = append(repaired, w.Controls...)
			began := time.Now()
			if out, err := m.login("olga", adminAddress, "sudo", "castellan", "apply", file, "--yes", "--confirm-within", "90s"); err != nil {
				left, _ := m.login("olga", adminAddress, append([]string{"sudo", "castellan", "plan"}, words...)...)
				t.Fatalf("plan %d, window %s: %v\n%s\na new plan says:\n%.3000s", round, w.Name, err, out, left)
			}
			applied := time.Since(began)
			if out, err := m.login("olga", adminAddress, "sudo", "castellan", "confirm"); err != nil {
				t.Fatalf("plan %d, window %s is not confirmed: %v\n%s", round, w.Name, err, out)
			}
			t.Logf("plan %d, window %s: %d controls, %d steps, applied in %s", round, w.Name, len(w.Controls), len(w.Steps), applied.Round(10*time.Millisecond))
		}
	}
}

// TestHarden makes the whole baseline on a stock node of a cluster, over SSH, and takes it back again.
func TestHarden(t *testing.T) {
	for _, release := range []string{"12", "13"} {
		t.Run("debian"+release, func(t *testing.T) {
			t.Parallel()
			testHarden(t, bootForChange(t, release, "harden", true))
		})
	}
}

func testHarden(t *testing.T, m *machine) {
	m.mirror(t)
	must(t, m.enter("apt-get", "-q", "update")...)
	before := m.mine(t)
	argv := m.enter(castellanThere, "scan", "local", "--format", "json", "--quiet")
	weak := scan(t, argv)
	repaired := m.harden(t, settings()...)
	strong := scan(t, argv)
	for _, id := range repaired {
		if f := strong[id]; f.Status != "pass" && notInTheLab()[id] == "" {
			t.Errorf("%s was repaired and is %s: %s", id, f.Status, f.Reason)
		}
	}
	for id, f := range strong {
		if was := weak[id].Status; was == "pass" && f.Status != "pass" {
			t.Errorf("%s passed before and is %s now: %s", id, f.Status, f.Reason)
		}
	}
	t.Logf("%d controls repaired; failing %d before, %d after", len(repaired), count(weak, "fail"), count(strong, "fail"))
	if len(repaired) < 45 {
		t.Errorf("only %d controls were repaired: %s", len(repaired), strings.Join(repaired, " "))
	}
	m.testServes(t)
	m.testTakenBack(t, before)
}

// notInTheLab are controls whose repair shows only on a machine of its own.
func notInTheLab() map[string]string {
	return map[string]string{
		"SVC-14": "AppArmor is the kernel's, and comes with the next start of it",
		"UPD-13": "unattended-upgrades has not run yet, so nobody knows whether it can",
	}
}

func count(found map[string]finding, status string) (n int) {
	for _, f := range found {
		if f.Status == status {
			n++
		}
	}
	return n
}

// testServes sees who gets in to a hardened node: its administrator, the other node as it needs to, and nobody else.
func (m *machine) testServes(t *testing.T) {
	t.Helper()
	if out, err := m.login("olga", adminAddress, "sudo", "castellan", "--version"); err != nil {
		t.Errorf("the administrator: %v: %s", err, out)
	}
	if out, err := m.login("root", nodeAddress, "true"); err != nil {
		t.Errorf("root from the other node: %v: %s", err, out)
	}
	file := filepath.Join(m.dir, "disk")
	if err := os.WriteFile(file, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := output(t, time.Minute, append(m.client("scp", nodeAddress), file, "root@"+inside+":/var/tmp/disk")...); err != nil {
		t.Errorf("scp from the other node: %v", err)
	}
	// Migration forwards a socket of its own over the connection (ssh -L local:/run/qemu-server/VMID.migrate).
	if err := m.forwards(nodeAddress, "root", inside+":8006"); err != nil {
		t.Errorf("the other node cannot forward: %v", err)
	}
	if err := m.forwards(adminAddress, "olga", inside+":8006"); err == nil {
		t.Error("an administrator can forward, and SSH-10 forbids it")
	}
	for who, from := range map[string]string{"root": foreignAddress, "olga": foreignAddress} {
		if out, err := m.login(who, from, "true"); err == nil {
			t.Errorf("%s gets in from %s: %s", who, from, out)
		}
	}
	if out, err := m.login("root", adminAddress, "true"); err == nil {
		t.Errorf("root gets in from %s, which is no node: %s", adminAddress, out)
	}
}

// forwards asks over SSH for a connection to somewhere (ssh -W) and sees whether it comes about.
func (m *machine) forwards(address, user, to string) error {
	argv := append(m.client("ssh", address), "-W", to, user+"@"+inside)
	cmd := exec.Command("timeout", append([]string{"10"}, argv...)...)
	cmd.Stdin = strings.NewReader("")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// writtenByPrograms are the differences that stay after everything was taken back, because a program of the system wrote the
// file and not castellan:
//
//   - grub.cfg is what update-grub writes from the old settings, and the lab's was written by hand;
//   - the plan itself was written by the test;
//   - ld.so.cache and .pwd.lock are written by ldconfig and by whatever locks the files of accounts;
//   - passwd-, group-, shadow- and gshadow- are the copies that useradd and userdel make, which packages call.
func writtenByPrograms(line string) bool {
	name, _, _ := strings.Cut(line, ":")
	return slices.Contains([]string{"/boot/grub/grub.cfg", "/etc/ld.so.cache", "/etc/.pwd.lock", "/root/plan.json", "/etc/passwd-", "/etc/group-", "/etc/shadow-", "/etc/gshadow-"}, name)
}

// testTakenBack reverts all transactions, the newest first, and compares the host with what it was.
func (m *machine) testTakenBack(t *testing.T, before map[string]string) {
	t.Helper()
	for _, x := range m.history(t) {
		if x.State != "committed" {
			t.Errorf("%s is %s", x.ID, x.State)
		}
		if out, err := output(t, 5*time.Minute, m.enter(castellanThere, "revert", x.ID, "--yes")...); err != nil {
			t.Errorf("revert %s: %v: %s", x.ID, err, out)
		}
	}
	for _, line := range changed(before, m.mine(t)) {
		if !writtenByPrograms(line) {
			t.Errorf("not as before: %s", line)
		}
	}
	m.clean(t)
}

// clean sees that nothing of castellan runs or waits on the host.
func (m *machine) clean(t *testing.T) {
	t.Helper()
	units, err := output(t, time.Minute, m.enter("sh", "-c", "ls /etc/systemd/system /etc/systemd/system/*.wants /var/lib/castellan /var/lib/systemd/timers; systemctl list-units --all --plain --no-legend 'castellan*'")...)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(units)) {
		if strings.Contains(line, " not-found ") {
			continue // systemd remembers a name for a while
		}
		if strings.HasPrefix(line, "castellan") || strings.HasPrefix(line, "errand-") || strings.HasPrefix(line, "stamp-castellan") {
			t.Errorf("left on the host: %s", strings.TrimSpace(line))
		}
	}
}
