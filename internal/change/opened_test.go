package change

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A host that cannot write /etc/pve at the deadline, because the cluster has no quorum, lets its administrator in again by
// taking the rules out of its kernel, and puts the files back when it can.
func TestFirewallWithoutQuorum(t *testing.T) {
	r := newRig(t, true, func(d *Draft) error {
		return d.Write("/etc/pve/firewall/cluster.fw", []byte("[OPTIONS]\nenable: 1\n"), 0o640)
	})
	r.write("etc/pve/firewall/cluster.fw", "[OPTIONS]\nenable: 0\n", 0o640)
	r.running["pve-firewall.service"] = true
	p, e := r.open()
	txn, err := e.Apply(p, r.plan(p), ApplyOptions{By: me(), Within: tenMinutes})
	if err != nil {
		t.Fatal(err)
	}
	r.fault = func(act, name string) error {
		if strings.HasPrefix(name, "/etc/pve/") && act != "run" {
			return unix.EROFS
		}
		return nil
	}
	r.now = r.now.Add(tenMinutes + time.Second)
	if _, err := r.engine().Recover(me(), RecoverOptions{}); err == nil {
		t.Fatal("it was taken back on a file system that cannot be written")
	}
	if !slices.Contains(r.ran, "systemctl stop -- pve-firewall.service") {
		t.Errorf("the rules stay: %v", r.ran)
	}
	r.fault = nil
	if _, err := r.engine().Revert(txn.ID, me(), RevertOptions{}); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(r.root + "/etc/pve/firewall/cluster.fw"); err != nil || string(got) != "[OPTIONS]\nenable: 0\n" {
		t.Errorf("%q, %v", got, err)
	}
	if !slices.Contains(r.ran, "systemctl start -- pve-firewall.service") || slices.Contains(r.ran, "systemctl start -- proxmox-firewall.service") {
		t.Errorf("the wrong units were started again: %v", r.ran)
	}
}
