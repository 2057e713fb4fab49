package apitree_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/inventory"
	"github.com/castellan-project/castellan/internal/pvetest"
)

// TestFaults holds that what fails is the error of exactly the file that needed it.
func TestFaults(t *testing.T) {
	dir := estate(t)
	cases := []struct {
		name, resource string
		fault          pvetest.Fault
		file           string
		denied         bool
	}{
		{"401 half way", "/api2/json/access/users", pvetest.Fault{Status: 401, Reason: "No ticket"}, "/etc/pve/user.cfg", true},
		{"403", "/api2/json/storage", pvetest.Fault{Status: 403, Reason: "Permission check failed"}, "/etc/pve/storage.cfg", true},
		{"500", "/api2/json/cluster/firewall/rules", pvetest.Fault{Status: 500, Reason: "x"}, "/etc/pve/firewall/cluster.fw", false},
		{"596", "/api2/json/nodes/pve1/qemu/101/pending", pvetest.Fault{Status: 596, Reason: "Connection timed out"}, "/etc/pve/nodes/pve1/qemu-server/101.conf", false},
		{"truncated", "/api2/json/cluster/backup", pvetest.Fault{Truncate: true}, "/etc/pve/jobs.cfg", false},
		{"an object for a list", "/api2/json/cluster/replication", pvetest.Fault{Data: `{"a":1}`}, "/etc/pve/replication.cfg", false},
		{"a list for an object", "/api2/json/cluster/options", pvetest.Fault{Data: `[]`}, "/etc/pve/datacenter.cfg", false},
		{"texts for objects", "/api2/json/cluster/firewall/aliases", pvetest.Fault{Data: `["a"]`}, "/etc/pve/firewall/cluster.fw", false},
		{"no JSON", "/api2/json/access/tfa", pvetest.Fault{Data: `[{]`}, "/etc/pve/priv/tfa.cfg", false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, dir, func(o *pvetest.Options) {
				o.Fault = func(r *http.Request) pvetest.Fault {
					if r.URL.Path == c.resource {
						return c.fault
					}
					return pvetest.Fault{}
				}
			})
			tree := open(t, s, auditor+"=s3cret-1")
			_, err := tree.ReadFile(c.file)
			if err == nil || errors.Is(err, fs.ErrPermission) != c.denied || host.NotExist(err) {
				t.Errorf("%s: %v", c.file, err)
			}
			if unread := tree.Unread(); len(unread) != 1 || !strings.Contains(unread[0], strings.TrimPrefix(c.resource, "/api2/json")) {
				t.Errorf("unread: %q", unread)
			}
			for _, f := range []string{"/etc/pve/user.cfg", "/etc/pve/storage.cfg", "/etc/pve/nodes/pve1/qemu-server/102.conf"} {
				if _, err := tree.ReadFile(f); f != c.file && err != nil {
					t.Errorf("%s fails too: %v", f, err)
				}
			}
		})
	}
}

// TestHidden holds that a guest which is hidden from the caller does not vanish without a word.
func TestHidden(t *testing.T) {
	s := serve(t, estate(t, "acl:1:/vms/101:audit@pve:NoAccess:"), nil)
	c := read(t, open(t, s, auditor+"=s3cret-1"))
	if !errors.Is(c.ListErr, fs.ErrPermission) || !strings.Contains(c.ListErr.Error(), "VM.Audit on /vms/101") {
		t.Errorf("guest 101 is hidden, and the list says %v", c.ListErr)
	}
	tree := open(t, s, "half@pve!only=s3cret-2")
	for _, f := range []string{"/etc/pve/user.cfg", "/etc/pve/storage.cfg", "/etc/pve/datacenter.cfg", "/etc/pve/sdn/zones.cfg", "/etc/pve/priv/tfa.cfg", "/etc/pve/firewall/cluster.fw"} {
		if _, err := tree.ReadFile(f); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%s: %v", f, err)
		}
	}
	if _, err := tree.ReadFile("/etc/pve/nodes/pve1/qemu-server/100.conf"); err != nil {
		t.Error(err)
	}
}

// TestContents holds that a list of backups that Proxmox VE empties for an auditor is unknown.
func TestContents(t *testing.T) {
	tree := open(t, serve(t, estate(t), nil), auditor+"=s3cret-1")
	if b, err := inventory.API(tree, "/nodes/pve1/storage/pbs-main/content"); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("an auditor reads backups: %s, %v", b, err)
	}
	if len(tree.Unread()) != 0 || len(tree.Limits()) != 1 {
		t.Errorf("unread %v, limits %v", tree.Unread(), tree.Limits())
	}
	all := open(t, serve(t, estate(t, "acl:1:/storage:audit@pve:PVEDatastoreAdmin:"), nil), auditor+"=s3cret-1")
	if b, err := inventory.API(all, "/nodes/pve1/storage/pbs-main/content"); err != nil || len(b) < 10 {
		t.Errorf("who may allocate reads %s, %v", b, err)
	}
}

// TestHostFiles holds that what the API cannot tell is unavailable, not absent.
func TestHostFiles(t *testing.T) {
	tree := open(t, serve(t, estate(t), nil), auditor+"=s3cret-1")
	for _, f := range []string{"/etc/ssh/sshd_config", "/var/lib/dpkg/status", "/etc/pve/priv/authorized_keys", "/etc/pve/local/pve-ssl.pem"} {
		if _, err := tree.ReadFile(f); !errors.Is(err, host.ErrUnavailable) {
			t.Errorf("%s: %v", f, err)
		}
	}
	if _, err := tree.Run(host.Command{Name: "id", Argv: []string{"id"}}); !errors.Is(err, host.ErrUnavailable) {
		t.Errorf("a command: %v", err)
	}
}

// TestThousandGuests reads a large cluster: some six questions a guest, and no more.
func TestThousandGuests(t *testing.T) {
	if testing.Short() {
		t.Skip("long")
	}
	dir := estate(t)
	for i := range 1000 {
		name := filepath.Join(dir, fmt.Sprintf("etc/pve/nodes/pve%d/qemu-server/%d.conf", i%3+1, 1000+i))
		if err := os.WriteFile(name, []byte("name: many\nmemory: 512\nnet0: virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(filepath.Join(dir, ".castellan/run/pvesh-cluster-resources")); err != nil {
		t.Fatal(err)
	}
	s := serve(t, dir, nil)
	before := s.Requests()
	tree := open(t, s, auditor+"=s3cret-1")
	n := s.Requests() - before
	c := read(t, tree)
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	t.Logf("%d guests: %d questions; heap with server %d MB", len(c.Guests), n, m.HeapAlloc>>20)
	runtime.KeepAlive(tree)
	if len(c.Guests) != 1025 || n > 7*len(c.Guests) {
		t.Errorf("%d guests by %d questions", len(c.Guests), n)
	}
}
