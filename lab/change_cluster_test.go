//go:build lab

package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// twoNodes boots pve1 and pve2 of one cluster: on one network, with one /etc/pve that has the rules of pmxcfs, and with the key of
// pve1 where pve2 looks for it. The store is where the files of the cluster lie, seen from outside.
func twoNodes(t *testing.T, release string) (one, two *machine, store string) {
	t.Helper()
	layers, binary := layersOf(t, "debian"+release+"-stock"), build(t)
	keys := t.TempDir()
	must(t, "ssh-keygen", "-q", "-t", "rsa", "-b", "3072", "-N", "", "-C", "root@pve1", "-f", keys+"/id_rsa")
	var cluster string
	one = boot(t, "debian"+release+"-pve1", layers, binary, func(root string) {
		standIns(t, root)
		secondNode(t, root, keys+"/id_rsa.pub")
		must(t, "install", "-D", "-m", "600", keys+"/id_rsa", filepath.Join(root, "root/.ssh/id_rsa"))
		known, err := os.ReadFile(filepath.Join(root, "etc/ssh/ssh_host_ed25519_key.pub"))
		if err != nil {
			t.Fatal(err)
		}
		cluster = filepath.Join(root, "etc/pve")
		if err := os.WriteFile(cluster+"/nodes/pve2/ssh_known_hosts", append([]byte("pve2 "), known...), 0o640); err != nil {
			t.Fatal(err)
		}
		store, _ = mountCluster(t, cluster)
	})
	two = boot(t, "debian"+release+"-pve2", layers, binary, func(root string) {
		standIns(t, root)
		for name, content := range map[string]string{"etc/hostname": "pve2\n", "etc/machine-id": "0123456789abcdef0123456789abcde2\n"} {
			if err := os.WriteFile(filepath.Join(root, name), []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		must(t, "mount", "--bind", cluster, filepath.Join(root, "etc/pve"))
		t.Cleanup(func() { must(t, "umount", filepath.Join(root, "etc/pve")) })
	})
	one.bridge(t, two)
	return one, two, store
}

// bridge puts both hosts on one network, with the administrator.
func (m *machine) bridge(t *testing.T, two *machine) {
	t.Helper()
	links := []string{"ve-" + m.short, "ve-" + two.short}
	must(t, "ip", "-n", two.ns, "link", "set", links[1], "netns", m.ns)
	must(t, "ip", "-n", m.ns, "link", "add", "lan", "type", "bridge")
	must(t, "ip", "-n", m.ns, "address", "flush", "dev", links[0])
	for _, link := range links {
		must(t, "ip", "-n", m.ns, "link", "set", link, "master", "lan")
		must(t, "ip", "-n", m.ns, "link", "set", link, "up")
	}
	must(t, "ip", "-n", m.ns, "address", "add", outside, "dev", "lan")
	must(t, "ip", "-n", m.ns, "link", "set", "lan", "up")
	inTwo := func(words ...string) {
		must(t, append([]string{"nsenter", "--target", strconv.Itoa(two.leader), "--net", "ip"}, words...)...)
	}
	inTwo("address", "flush", "dev", "host0")
	inTwo("address", "add", nodeAddress+"/24", "dev", "host0")
}

// applyShared applies a change of the firewall of the cluster and returns the id.
func (m *machine) applyShared(t *testing.T, set, within string) string {
	t.Helper()
	m.put(t, "/var/tmp/changes.yaml", "- {kind: pvefirewall, section: ipset, set: {"+set+": 10.99.0.0/24}}\n")
	if out, err := m.asRoot("plan", "--changes", "/var/tmp/changes.yaml", "-o", "/var/tmp/plan.json"); err != nil {
		t.Fatalf("plan: %v\n%s", err, out)
	}
	out, err := m.asRoot("apply", "/var/tmp/plan.json", "--yes", "--confirm-within", within)
	if err != nil || !strings.Contains(out, "Should this node die, pve2 takes back the files of the cluster.") {
		t.Fatalf("apply: %v\n%s", err, out)
	}
	x := m.history(t)[0]
	if x.State != "awaiting-confirm" {
		t.Fatalf("%+v", x)
	}
	return x.ID
}

// ends waits until the second node has ended what it holds, and says how: its deadline is a minute after that of the first.
func (m *machine) ends(t *testing.T) transaction {
	t.Helper()
	for end := time.Now().Add(4 * time.Minute); time.Now().Before(end); time.Sleep(time.Second) {
		if x := m.history(t)[0]; x.State != "awaiting-confirm" && x.State != "reverting" {
			return x
		}
	}
	said, _ := output(t, 30*time.Second, m.enter("journalctl", "-q", "-n", "40", "-o", "cat", "-u", "castellan-revert.service")...)
	t.Fatalf("pve2 still holds it: %+v\n%s", m.history(t), said)
	return transaction{}
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(b)
}

// leases are the files of the cluster that say that something is open.
func leases(t *testing.T, store string) int {
	t.Helper()
	found, err := filepath.Glob(store + "/priv/*castellan*")
	if err != nil {
		t.Fatal(err)
	}
	return len(found)
}

// TestSecondNode changes the firewall of a cluster on one node, while another one holds the deadline too.
func TestSecondNode(t *testing.T) {
	for release, f := range map[string]func(t *testing.T, one, two *machine, store string){"12": testFirstNodeDies, "13": testSecondNodeCutOff} {
		t.Run("debian"+release, func(t *testing.T) {
			t.Parallel()
			one, two, store := twoNodes(t, release)
			f(t, one, two, store)
			two.clean(t)
			if n := leases(t, store); n > 0 {
				t.Errorf("%d leases are left", n)
			}
		})
	}
}

// testFirstNodeDies: what is confirmed on pve1 pve2 forgets; when pve1 loses its power while it waits, pve2 takes the file back.
func testFirstNodeDies(t *testing.T, one, two *machine, store string) {
	file := store + "/firewall/cluster.fw"
	one.applyShared(t, "management", "5m")
	if list := two.history(t); len(list) != 1 || list[0].State != "awaiting-confirm" || fmt.Sprint(list[0].Paths) != "[/etc/pve/firewall/cluster.fw]" {
		t.Fatalf("pve2 holds %+v", list)
	}
	for _, c := range []struct {
		words []string
		says  string
	}{
		{[]string{"confirm"}, "confirm it on pve1"},
		{[]string{"apply", "/var/tmp/plan.json", "--yes", "--admin", "root@10.99.0.1"}, "held for pve1"},
	} {
		if c.words[0] == "apply" {
			two.put(t, "/var/tmp/changes.yaml", "- {kind: file, path: /etc/motd, content: \"x\\n\"}\n")
			if out, err := output(t, time.Minute, two.enter(castellanThere, "plan", "--changes", "/var/tmp/changes.yaml", "--admin", "root@10.99.0.1", "-o", "/var/tmp/plan.json")...); err != nil {
				t.Fatalf("plan on pve2: %v\n%s", err, out)
			}
		}
		if _, err := output(t, time.Minute, two.enter(append([]string{castellanThere}, c.words...)...)...); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s on pve2: %v, want %q", c.words[0], err, c.says)
		}
	}
	began := time.Now()
	if out, err := one.asRoot("confirm"); err != nil {
		t.Fatalf("confirm: %v\n%s", err, out)
	}
	t.Logf("confirmed in %s", time.Since(began).Round(time.Millisecond))
	if x := two.ends(t); x.State != "committed" {
		t.Errorf("pve2: %+v", x)
	}
	two.clean(t)
	before := read(t, file)
	if !strings.Contains(before, "management") || leases(t, store) != 0 {
		t.Fatalf("after the confirmation: %s", before)
	}

	one.applyShared(t, "second", "30s")
	if read(t, file) == before {
		t.Fatal("nothing was changed")
	}
	if err := syscall.Kill(one.leader, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	x := two.ends(t)
	over := x.Ended.Sub(x.Deadline)
	t.Logf("pve1 died; pve2 took it back %s after its own deadline, %s after it was told", over.Round(time.Millisecond), x.Ended.Sub(x.Applied).Round(time.Second))
	if got := read(t, file); x.State != "reverted" || got != before {
		t.Errorf("%+v, and the file is\n%s", x, got)
	}
}

// testSecondNodeCutOff: pve2 is not reached while pve1 confirms, and leaves the file alone at its deadline.
func testSecondNodeCutOff(t *testing.T, one, two *machine, store string) {
	file := store + "/firewall/cluster.fw"
	one.applyShared(t, "management", "45s")
	after := read(t, file)
	must(t, "ip", "-n", one.ns, "link", "set", "ve-"+two.short, "down")
	began := time.Now()
	if out, err := one.asRoot("confirm"); err != nil {
		t.Fatalf("confirm: %v\n%s", err, out)
	}
	took := time.Since(began)
	t.Logf("confirmed without pve2 in %s", took.Round(time.Millisecond))
	if x := two.history(t)[0]; x.State != "awaiting-confirm" || leases(t, store) != 0 {
		t.Fatalf("pve2: %+v", x)
	}
	x := two.ends(t)
	if got := read(t, file); x.State != "committed" || got != after || x.Ended.Before(x.Deadline) {
		t.Errorf("%+v, and the file is\n%s", x, got)
	}
	if list := one.history(t); list[0].State != "committed" {
		t.Errorf("pve1: %+v", list)
	}
}
