//go:build lab

package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// late is how much later than its deadline a host may have taken a change back.
const late = 5 * time.Second

// shutsOut are changes that would lock the administrator out of root@ from 10.99.0.1, with a word that says what is missing.
//
// table: changes and what their refusal has to name
func shutsOut() map[string]struct{ changes, missing string } {
	return map[string]struct{ changes, missing string }{
		"sshd": {"- kind: sshd\n  set: {AllowGroups: nobody-at-all}\n", "AllowGroups"},
		// PVE lets the node's own network in unless an alias says that it is another one.
		"firewall": {"- kind: pvefirewall\n  section: alias\n  set: {local_network: 192.0.2.0/24}\n" +
			"- kind: pvefirewall\n  section: cluster\n  set: {enable: \"1\", policy_in: DROP}\n", "10.99.0.1"},
		"pveproxy": {"- kind: pveproxy\n  set: {ALLOW_FROM: 192.0.2.0/24, DENY_FROM: all, POLICY: allow}\n", "10.99.0.1 to ALLOW_FROM"},
	}
}

// put writes a file of root's on the host, for commands to read.
func (m *machine) put(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(m.dir, "root", name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// asRoot runs castellan over a new connection of root's from the administrator's address.
func (m *machine) asRoot(words ...string) (string, error) {
	return m.login("root", adminAddress, append([]string{"castellan"}, words...)...)
}

// TestRefuse: a plan made to lock its administrator out is refused before anything is written, and says what to add.
func TestRefuse(t *testing.T) {
	t.Parallel()
	m := bootForChange(t, "12", "refuse", false)
	before := m.mine(t)
	for name, c := range shutsOut() {
		t.Run(name, func(t *testing.T) {
			m.put(t, "/var/tmp/changes.yaml", c.changes)
			out, err := m.asRoot("plan", "--changes", "/var/tmp/changes.yaml", "-o", "/var/tmp/plan.json")
			if code(err) != 4 || !strings.Contains(flat(out), c.missing) || !strings.Contains(out, "add:") {
				t.Errorf("plan ended with %d, want 4 and what to add (%s):\n%s", code(err), c.missing, out)
			}
			if out, err = m.asRoot("apply", "/var/tmp/plan.json", "--yes"); code(err) != 4 || !strings.Contains(flat(out), c.missing) {
				t.Errorf("apply ended with %d, want 4:\n%s", code(err), out)
			}
		})
	}
	if diff := changed(before, m.mine(t)); len(diff) > 0 {
		t.Errorf("a refused plan changed something:\n%s", strings.Join(diff, "\n"))
	}
	if list := m.history(t); len(list) > 0 {
		t.Errorf("a refused plan is in the history: %+v", list)
	}
	m.clean(t)
}

// flat undoes the breaking of lines.
func flat(s string) string { return strings.Join(strings.Fields(s), " ") }

// TestForced: who forces such a plan through is cut off, and the host takes it back by itself.
func TestForced(t *testing.T) {
	for _, release := range []string{"12", "13"} {
		t.Run("debian"+release, func(t *testing.T) {
			t.Parallel()
			m := bootForChange(t, release, "forced", false)
			before := m.mine(t)
			m.put(t, "/var/tmp/changes.yaml", shutsOut()["sshd"].changes)
			// Everything from the administrator's address is dropped, open connections as well.
			m.put(t, "/var/tmp/wall.yaml", "- kind: file\n  path: /etc/nftables.conf\n  content: |\n    flush ruleset\n    table inet wall {\n"+
				"      chain in {\n        type filter hook input priority 0; policy accept;\n        ip saddr 10.99.0.1 drop\n      }\n    }\n"+
				"- {kind: unit, unit: nftables.service, state: enabled}\n")
			m.forced(t, before, "/var/tmp/changes.yaml")
			m.forced(t, before, "/var/tmp/wall.yaml")
			m.clean(t)
		})
	}
}

// forced applies over SSH although it locks out, and waits for the host.
func (m *machine) forced(t *testing.T, before map[string]string, changes string) {
	t.Helper()
	if out, err := m.asRoot("plan", "--changes", changes, "--i-will-be-at-the-console", "-o", "/var/tmp/plan.json"); err != nil {
		t.Fatalf("plan: %v\n%s", err, out)
	}
	argv := append(m.client("ssh", adminAddress), "-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=3", "root@"+inside, "castellan", "apply",
		"/var/tmp/plan.json", "--yes", "--confirm-within", "30s", "--i-will-be-at-the-console")
	out, err := output(t, time.Minute, argv...)
	t.Logf("%s: apply ended with %d", filepath.Base(changes), code(err))
	x := m.history(t)[0]
	if x.State != "awaiting-confirm" || len(x.Override) == 0 {
		t.Fatalf("the transaction is %s, overridden %q: %s, %v", x.State, x.Override, out, err)
	}
	if got, err := m.login("root", adminAddress, "true"); err == nil {
		t.Fatalf("a new connection is let in although the plan shuts it out: %s", got)
	}
	m.takenBack(t, x.ID)
	if out, err := m.login("root", adminAddress, "true"); err != nil {
		t.Errorf("SSH does not work again: %v: %s", err, out)
	}
	if diff := changed(before, m.mine(t)); len(diff) > 0 {
		t.Errorf("not as before:\n%s", strings.Join(diff, "\n"))
	}
}

// takenBack waits until the host has taken a transaction back by itself, and measures how long it took.
func (m *machine) takenBack(t *testing.T, id string) {
	t.Helper()
	for end := time.Now().Add(90 * time.Second); time.Now().Before(end); time.Sleep(500 * time.Millisecond) {
		list := m.history(t)
		i := slices.IndexFunc(list, func(x transaction) bool { return x.ID == id })
		if i < 0 {
			t.Fatalf("%s is not in the history", id)
		}
		if x := list[i]; x.State == "reverted" {
			over := x.Ended.Sub(x.Deadline)
			t.Logf("%s was taken back %s after its deadline", id, over.Round(time.Millisecond))
			if over > late {
				t.Errorf("%s was taken back %s after its deadline", id, over)
			}
			return
		} else if x.State == "failed" {
			t.Fatalf("%s: %+v", id, x)
		}
	}
	said, _ := output(t, 30*time.Second, m.enter("journalctl", "-q", "-n", "40", "-o", "cat", "-u", "castellan-revert.service", "-u", "castellan-recover.service")...)
	t.Errorf("%s was not taken back: %+v\n%s", id, m.history(t), said)
}

// TestKilled: whoever applies is killed in the middle, and the host takes back what there is.
func TestKilled(t *testing.T) {
	// When the process is killed: as soon as this path is there, or is gone.
	for _, release := range []string{"12", "13"} {
		t.Run("debian"+release, func(t *testing.T) {
			t.Parallel()
			m := bootForChange(t, release, "killed", false)
			before := m.mine(t)
			if out, err := m.asRoot("plan", "-o", "/var/tmp/plan.json"); err != nil {
				t.Fatalf("plan: %v\n%s", err, out)
			}
			moments := []string{"/etc/cron.allow", "/etc/sudoers.d/castellan"}
			if release == "13" {
				moments = []string{"/etc/systemd/system/castellan-revert.timer", "/boot/grub/grub.cfg.new"}
			}
			for _, moment := range moments {
				m.killed(t, before, moment)
			}
			m.clean(t)
		})
	}
}

func (m *machine) killed(t *testing.T, before map[string]string, moment string) {
	t.Helper()
	argv := m.enter("sh", "-c", "echo $$ >/run/apply.pid; exec "+castellanThere+
		" apply /var/tmp/plan.json --yes --confirm-within 30s --admin root@10.99.0.1")
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.WaitDelay = time.Second
	began := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(m.dir, "root", moment)
	for {
		if _, err := os.Lstat(file); err == nil {
			break
		}
		if ctx.Err() != nil {
			t.Fatalf("%s never came", moment)
		}
		time.Sleep(time.Millisecond)
	}
	must(t, m.enter("sh", "-c", "kill -KILL $(cat /run/apply.pid)")...)
	if err := cmd.Wait(); code(err) != 137 && code(err) != -1 {
		t.Fatalf("apply was not killed: %v", err)
	}
	half := changed(before, m.mine(t))
	id := ""
	for _, x := range m.history(t) {
		if x.State == "applying" {
			id = x.ID
		}
	}
	if id == "" {
		// It may have been killed before the transaction began: then nothing is to be taken back.
		if touched := slices.DeleteFunc(half, ours); len(touched) > 0 {
			t.Fatalf("killed at %s outside of a transaction, and the host is not as before:\n%s", moment, strings.Join(touched, "\n"))
		}
		t.Logf("killed at %s: no transaction had begun", moment)
		return
	}
	t.Logf("killed at %s with %d paths changed", moment, len(half))
	if len(slices.DeleteFunc(half, ours)) == 0 {
		// Killed while the deadline was being set: there is nothing to take back, and perhaps no timer.
		must(t, m.enter(castellanThere, "revert", id, "--yes")...)
	}
	m.takenBack(t, id)
	// The limit is 30 s and 5 s, as of the beginning of apply; the lab looks twice a second.
	if took := time.Since(began); took > 45*time.Second {
		t.Errorf("killed at %s, taken back %s after apply began", moment, took)
	}
	if diff := slices.DeleteFunc(changed(before, m.mine(t)), writtenByPrograms); len(diff) > 0 {
		t.Errorf("killed at %s, not as before:\n%s", moment, strings.Join(diff, "\n"))
	}
}

// ours are the units that hold a deadline.
func ours(line string) bool {
	return strings.HasPrefix(line, "/etc/systemd/system/castellan-") || strings.Contains(line, ".wants/castellan-")
}

// TestRestarted: the host loses its power while a change awaits confirmation, and is as before when it answers again.
func TestRestarted(t *testing.T) {
	for _, release := range []string{"12", "13"} {
		t.Run("debian"+release, func(t *testing.T) {
			t.Parallel()
			m := bootForChange(t, release, "restart", false)
			before := m.mine(t)
			if out, err := m.asRoot("plan", "-o", "/var/tmp/plan.json"); err != nil {
				t.Fatalf("plan: %v\n%s", err, out)
			}
			if out, err := m.asRoot("apply", "/var/tmp/plan.json", "--yes"); err != nil {
				t.Fatalf("apply: %v\n%s", err, out)
			}
			id, applied := m.history(t)[0].ID, files(m.mine(t))
			if len(changed(files(before), applied)) < 20 {
				t.Fatal("the plan changes next to nothing")
			}
			m.powerCut(t)
			for end := time.Now().Add(2 * time.Minute); !m.answers(); {
				if time.Now().After(end) {
					t.Fatal("SSH does not answer after the restart")
				}
			}
			if diff := slices.DeleteFunc(changed(files(before), files(m.mine(t))), func(l string) bool { return writtenByPrograms(l) || ours(l) }); len(diff) > 0 {
				t.Errorf("SSH answers, and the host is not as before:\n%s", strings.Join(diff, "\n"))
			}
			m.settle(t)
			if x := m.history(t)[0]; x.ID != id || x.State != "reverted" {
				t.Errorf("%+v", x)
			}
			if diff := slices.DeleteFunc(changed(before, m.mine(t)), writtenByPrograms); len(diff) > 0 {
				t.Errorf("not as before:\n%s", strings.Join(diff, "\n"))
			}
			m.clean(t)
		})
	}
}

// files leaves the kernel's settings out of a picture.
func files(tree map[string]string) map[string]string {
	out := map[string]string{}
	for name, line := range tree {
		if !strings.HasPrefix(name, "/proc/") {
			out[name] = line
		}
	}
	return out
}

// powerCut kills every process of the host at once and boots it again from the same disk.
func (m *machine) powerCut(t *testing.T) {
	t.Helper()
	if err := syscall.Kill(m.leader, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if _, err := output(t, 10*time.Second, "ip", "-n", m.ns, "link", "show", "ve-"+m.short); err != nil {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	m.leader = 0
	m.start(t, filepath.Join(m.dir, "root"), m.short)
	m.network(t, "ve-"+m.short)
}

// TestEditedByHand: what somebody changed between apply and revert is shown and left alone.
func TestEditedByHand(t *testing.T) {
	t.Parallel()
	m := bootForChange(t, "13", "edited", false)
	before := m.mine(t)
	m.put(t, "/var/tmp/changes.yaml", "- {kind: file, path: /etc/issue.net, content: \"Nobody is welcome.\\n\"}\n"+
		"- {kind: sysctl, set: {net.ipv4.tcp_rfc1337: \"1\"}}\n- {kind: login_defs, set: {PASS_MAX_DAYS: \"200\"}}\n")
	for _, words := range [][]string{{"plan", "--changes", "/var/tmp/changes.yaml", "-o", "/var/tmp/plan.json"}, {"apply", "/var/tmp/plan.json", "--yes"}, {"confirm"}} {
		if out, err := m.asRoot(words...); err != nil {
			t.Fatalf("%s: %v\n%s", words[0], err, out)
		}
	}
	const mine = "My own words.\n"
	m.put(t, "/etc/issue.net", mine)
	must(t, m.enter("chmod", "644", "/etc/issue.net")...)
	edited := m.mine(t)
	out, err := m.asRoot("revert", "--yes")
	if code(err) != 4 || !strings.Contains(out, "/etc/issue.net") || strings.Contains(out, "/etc/login.defs") {
		t.Errorf("revert ended with %d, want 4 and the path that was edited:\n%s", code(err), out)
	}
	if diff := changed(edited, m.mine(t)); len(diff) > 0 {
		t.Errorf("a refused revert changed something:\n%s", strings.Join(diff, "\n"))
	}
	if out, err := m.asRoot("revert", "--yes", "--skip-conflicts"); err != nil && code(err) != 3 {
		t.Errorf("revert --skip-conflicts: %v\n%s", err, out)
	}
	if diff := changed(before, m.mine(t)); len(diff) != 1 || !strings.HasPrefix(diff[0], "/etc/issue.net: ") {
		t.Errorf("only the edited file should differ:\n%s", strings.Join(diff, "\n"))
	}
	if b, err := os.ReadFile(filepath.Join(m.dir, "root/etc/issue.net")); string(b) != mine {
		t.Errorf("the edit is gone: %q, %v", b, err)
	}
}

// TestOldConnection: neither the session that applied nor one that shares its connection can confirm.
func TestOldConnection(t *testing.T) {
	t.Parallel()
	m := bootForChange(t, "12", "old", false)
	m.put(t, "/var/tmp/changes.yaml", "- {kind: file, path: /etc/issue.net, content: \"Nobody is welcome.\\n\"}\n")
	if out, err := m.asRoot("plan", "--changes", "/var/tmp/changes.yaml", "-o", "/var/tmp/plan.json"); err != nil {
		t.Fatalf("plan: %v\n%s", err, out)
	}
	shared := append(m.client("ssh", adminAddress), "-o", "ControlMaster=auto", "-o", "ControlPath="+m.dir+"/shared", "-o", "ControlPersist=60", "root@"+inside)
	t.Cleanup(func() { must(t, append(slices.Clone(shared), "-O", "exit")...) })
	out, err := output(t, time.Minute, append(slices.Clone(shared), "castellan apply /var/tmp/plan.json --yes; castellan confirm 2>&1; echo ended with $?")...)
	if err != nil || !strings.Contains(string(out), "ended with 4") {
		t.Errorf("the session that applied confirms: %v\n%s", err, out)
	}
	if out, err := output(t, time.Minute, append(slices.Clone(shared), "castellan", "confirm")...); code(unwrapped(err)) != 4 {
		t.Errorf("the connection that applied confirms in a second session: %v\n%s", err, out)
	}
	if x := m.history(t)[0]; x.State != "awaiting-confirm" {
		t.Fatalf("%+v", x)
	}
	if out, err := m.asRoot("confirm"); err != nil {
		t.Errorf("a new connection cannot confirm: %v\n%s", err, out)
	}
	m.clean(t)
}

// unwrapped takes the words off an error of output.
func unwrapped(err error) error {
	if u, ok := err.(interface{ Unwrap() error }); ok {
		return u.Unwrap()
	}
	return err
}

// TestFromOutside plans and applies from another machine.
func TestFromOutside(t *testing.T) {
	for _, release := range []string{"12", "13"} {
		t.Run("debian"+release, func(t *testing.T) {
			t.Parallel()
			m := bootForChange(t, release, "outside", false)
			before := m.mine(t)
			if out, err := m.outside("plan", "ssh://root@"+inside, "-o", m.dir+"/plan.json"); err != nil {
				t.Fatalf("plan: %v\n%s", err, out)
			}
			began := time.Now()
			out, err := m.outside("apply", m.dir+"/plan.json", "--yes", "--confirm-within", "60s")
			if err != nil {
				t.Fatalf("apply: %v\n%s", err, out)
			}
			list := m.history(t)
			if n := strings.Count(out, "over a new connection"); n != len(list) || n < 3 {
				t.Errorf("%d confirmations and %d transactions:\n%s", n, len(list), out)
			}
			for _, x := range list {
				if x.State != "committed" {
					t.Errorf("%s is %s", x.ID, x.State)
				}
			}
			t.Logf("%d windows applied and confirmed from outside in %s", len(list), time.Since(began).Round(100*time.Millisecond))
			m.clean(t)
			for _, x := range list {
				if out, err := m.asRoot("revert", x.ID, "--yes"); err != nil {
					t.Errorf("revert: %v\n%s", err, out)
				}
			}
			if diff := slices.DeleteFunc(changed(before, m.mine(t)), writtenByPrograms); len(diff) > 0 {
				t.Errorf("not as before:\n%s", strings.Join(diff, "\n"))
			}
			m.outsideForced(t)
		})
	}
}

// outsideForced applies from outside what shuts the outside out: no new connection comes about, and the host takes it back.
func (m *machine) outsideForced(t *testing.T) {
	t.Helper()
	before := m.mine(t)
	changes := filepath.Join(m.dir, "changes.yaml")
	if err := os.WriteFile(changes, []byte(shutsOut()["sshd"].changes), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := m.outside("plan", "ssh://root@"+inside, "--changes", changes, "-o", m.dir+"/plan.json"); code(err) != 4 {
		t.Errorf("plan ended with %d, want 4:\n%s", code(err), out)
	}
	out, err := m.outside("apply", m.dir+"/plan.json", "--yes", "--confirm-within", "30s", "--i-will-be-at-the-console")
	if code(err) != 3 || !strings.Contains(out, "took everything back") {
		t.Errorf("apply ended with %d, want 3 and that the host took everything back:\n%s", code(err), out)
	}
	if diff := changed(before, m.mine(t)); len(diff) > 0 {
		t.Errorf("not as before:\n%s", strings.Join(diff, "\n"))
	}
	m.takenBack(t, m.history(t)[0].ID)
	m.clean(t)
}

// outside runs castellan on the administrator's machine.
func (m *machine) outside(words ...string) (string, error) {
	argv := m.from(append(append([]string{filepath.Join(m.dir, "root", castellanThere)}, words...), "--identity", m.dir+"/key", "--known-hosts", m.dir+"/known_hosts")...)
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.WaitDelay = time.Second
	b, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		err = fmt.Errorf("%w after three minutes", err)
	}
	return string(b), err
}
