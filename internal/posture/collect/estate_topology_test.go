package collect

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/castellan-project/castellan/internal/posture"
)

// topoTree is a node with two bridges and an address; more replaces or adds files.
func topoTree(more map[string]string) map[string]string {
	files := map[string]string{
		"etc/hostname": "pve1\n", "etc/hosts": "10.0.0.11 pve1\n", "etc/pve/nodes/pve1/lrm_status": "{}",
		"etc/network/interfaces": "auto vmbr0\niface vmbr0 inet static\n\taddress 10.0.0.11/24\n\tgateway 10.0.0.1\n\tbridge-ports eno1\n" +
			"\nauto vmbr1\niface vmbr1 inet manual\n\tbridge-ports eno2\n\tbridge-vlan-aware yes\n",
	}
	for k, v := range more {
		files[k] = v
	}
	return files
}

func topoFacts(t *testing.T, files map[string]string) posture.TopologyFacts {
	t.Helper()
	f := collectTree(t, Estate(), files)
	if len(f.Target.Faults) > 0 {
		t.Fatal(f.Target.Faults)
	}
	return f.Topology
}

const topoCluster = "nodelist {\n  node {\n    name: pve1\n    nodeid: 1\n    ring0_addr: 10.0.0.11\n  }\n  node {\n    name: pve2\n    nodeid: 2\n    ring0_addr: 10.0.0.12\n  }\n}\ntotem {\n  cluster_name: x\n  secauth: on\n}\n"

// What is missing makes the facts unknown that rest on it, and no others.
func TestTopologyGaps(t *testing.T) {
	peer := map[string]string{"etc/pve/corosync.conf": topoCluster, "etc/pve/nodes/pve2/lrm_status": "{}"}
	answered := map[string]string{".castellan/run/pvesh-nodes-pve2-network": `[{"iface":"vmbr0","type":"bridge","address":"10.0.0.12","netmask":"24","cidr":"10.0.0.12/24","gateway":"10.0.0.1","bridge_ports":"eno1"}]`}
	left := map[string]string{"etc/pve/nodes/gone/lrm_status": "{}"}
	named := map[string]string{"etc/pve/storage.cfg": "nfs: nas\n\texport /e\n\tpath /mnt/pve/nas\n\tserver nas.example.org\n\tcontent iso\n"}
	join := func(ms ...map[string]string) map[string]string {
		all := map[string]string{}
		for _, m := range ms {
			for k, v := range m {
				all[k] = v
			}
		}
		return topoTree(all)
	}
	noInterfaces := join()
	delete(noInterfaces, "etc/network/interfaces")
	tests := map[string]struct {
		files map[string]string
		want  string
	}{
		"all there":                     {join(), "complete placed guests hooks pending drawing"},
		"no interfaces":                 {noInterfaces, "guests pending"},
		"a peer that nobody asked":      {join(peer), "guests hooks pending"},
		"a peer that answered":          {join(peer, answered), "complete placed guests hooks pending drawing"},
		"a directory of a removed node": {join(peer, answered, left), "complete placed guests hooks pending drawing"},
		"a storage by name":             {join(named), "complete guests hooks pending"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := topoFacts(t, tt.files)
			var known []string
			for _, x := range []struct {
				name string
				is   bool
			}{{"complete", f.Complete.IsKnown()}, {"placed", f.Placed.IsKnown()}, {"guests", f.GuestsRead.IsKnown()}, {"hooks", f.HooksRead.IsKnown()}, {"pending", f.PendingRead.IsKnown()}, {"drawing", f.Drawing.IsKnown()}} {
				if x.is {
					known = append(known, x.name)
				}
			}
			if got := strings.Join(known, " "); got != tt.want {
				t.Errorf("known are %q, not %q; gaps: %q", got, tt.want, f.Gaps)
			}
			if f.Approved.IsKnown() || f.Routed.IsKnown() || f.Guarded.IsKnown() {
				t.Error("a machine claims to know what only a person can say")
			}
		})
	}
}

// Files that may not be read make unknown what they say.
func TestTopologyUnreadable(t *testing.T) {
	files := topoTree(map[string]string{"etc/pve/corosync.conf": topoCluster, "etc/pve/datacenter.cfg": "migration: insecure\n", "etc/pve/storage.cfg": "dir: local\n\tpath /x\n",
		"etc/pve/ceph.conf": "[global]\n", "etc/pve/sdn/zones.cfg": "simple: z\n", "etc/pve/nodes/pve1/qemu-server/100.conf": "net0: virtio=BC:24:11:00:00:01,bridge=vmbr1\n"})
	unknown := func(f posture.TopologyFacts) map[string]bool {
		return map[string]bool{"complete": !f.Complete.IsKnown(), "placed": !f.Placed.IsKnown(), "guests": !f.GuestsRead.IsKnown(), "hooks": !f.HooksRead.IsKnown(),
			"corosync": !f.CorosyncEncrypted.IsKnown(), "migration": !f.MigrationType.IsKnown() && !f.ProxyCredentials.IsKnown(), "storages": !f.Storages.IsKnown(),
			"ceph": !f.CephPlain.IsKnown(), "vnets": !f.VNets.IsKnown(), "firewalls": !f.FirewallGuests.IsKnown()}
	}
	for name, want := range map[string][]string{
		"/etc/network/interfaces":                  {"complete", "placed", "hooks"},
		"/etc/pve/corosync.conf":                   {"placed", "corosync"},
		"/etc/pve/datacenter.cfg":                  {"migration"},
		"/etc/pve/storage.cfg":                     {"placed", "storages"},
		"/etc/pve/ceph.conf":                       {"ceph"},
		"/etc/pve/sdn/zones.cfg":                   {"complete", "placed", "vnets"},
		"/etc/pve/nodes/pve1/qemu-server/100.conf": {"complete", "placed", "guests", "firewalls"},
	} {
		f := collectTree(t, Collector{Name: "estate", Collect: func(c *Context) {
			own := *c
			own.Host = fwDenied{c.Host, name}
			collectEstate(&own)
		}}, files).Topology
		for _, w := range want {
			if !unknown(f)[w] {
				t.Errorf("%s cannot be read, and %s is known", name, w)
			}
		}
	}
}

func TestCorosyncCrypto(t *testing.T) {
	tests := []struct {
		totem map[string]string
		want  bool
	}{
		{nil, false},
		{map[string]string{"transport": "knet"}, false},
		{map[string]string{"secauth": "on"}, true},
		{map[string]string{"secauth": "off"}, false},
		{map[string]string{"secauth": "on", "transport": "knet"}, true},
		{map[string]string{"secauth": "on", "transport": "udpu"}, false},
		{map[string]string{"secauth": "on", "crypto_cipher": "none"}, false},
		{map[string]string{"secauth": "on", "crypto_hash": "none"}, false},
		{map[string]string{"secauth": "on", "crypto_cipher": "aes128"}, true},
		{map[string]string{"secauth": "off", "crypto_cipher": "aes256", "crypto_hash": "sha256"}, true},
		{map[string]string{"crypto_cipher": "aes256", "crypto_hash": "sha256"}, true},
		{map[string]string{"crypto_cipher": "aes256"}, false},
		{map[string]string{"crypto_hash": "sha256"}, false},
	}
	for _, tt := range tests {
		if got, words := corosyncCrypto(tt.totem); got != tt.want || words == "" {
			t.Errorf("%v: %v (%s)", tt.totem, got, words)
		}
	}
}

func TestProxyHost(t *testing.T) {
	for proxy, want := range map[string]string{"": "", "http://10.0.0.8:3128": "10.0.0.8", "10.0.0.8:3128": "10.0.0.8", "http://[hidden]@proxy.example.org:3128": "proxy.example.org",
		"http://[2001:db8::8]:3128": "2001:db8::8", "http://%zz": ""} {
		if got := proxyHost(proxy); got != want {
			t.Errorf("the host of %q is %q, not %q", proxy, got, want)
		}
	}
}

// Neither the password of a proxy nor its user gets into the facts.
func TestTopologySecrets(t *testing.T) {
	f := topoFacts(t, topoTree(map[string]string{"etc/pve/datacenter.cfg": "http_proxy: http://proxyuser:SECRETWORD@10.0.0.8:3128\n"}))
	b, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b), "SECRETWORD") || strings.Contains(string(b), "proxyuser") {
		t.Error("credentials of the proxy are in the facts")
	}
	if !f.ProxyCredentials.Value || f.ProxyHost.Value != "10.0.0.8" {
		t.Errorf("the proxy is %+v at %+v", f.ProxyCredentials, f.ProxyHost)
	}
}

// The fingerprint changes with what is drawn and with nothing else.
func TestTopologyDrawing(t *testing.T) {
	const guest = "etc/pve/nodes/pve1/qemu-server/100.conf"
	drawing := func(conf string) string {
		return topoFacts(t, topoTree(map[string]string{guest: conf})).Drawing.Value
	}
	first := drawing("name: a\nmemory: 512\nnet0: virtio=BC:24:11:00:00:01,bridge=vmbr1,tag=100\n")
	if len(first) != 16 {
		t.Fatalf("the fingerprint is %q", first)
	}
	if first != drawing("name: a\nmemory: 1024\nnet0: virtio=BC:24:11:00:00:01,bridge=vmbr1,tag=100,firewall=1\n") {
		t.Error("memory and firewall change the drawing")
	}
	if first == drawing("name: a\nmemory: 512\nnet0: virtio=BC:24:11:00:00:01,bridge=vmbr1,tag=101\n") {
		t.Error("another VLAN does not change the drawing")
	}
}

func TestTopologyStorages(t *testing.T) {
	text := "nfs: sa\n\texport /e\n\tpath /a\n\tserver 10.0.0.60\n\tcontent iso\n\toptions vers=4.2,sec=krb5p\n" +
		"\nnfs: sb\n\texport /e\n\tpath /b\n\tserver 10.9.0.60\n\tcontent iso\n\ncifs: sc\n\tpath /c\n\tserver 10.0.0.61\n\tshare s\n\tcontent iso\n\toptions seal\n" +
		"\niscsi: sd\n\tportal 10.0.0.62\n\ttarget iqn.2020-01.org.example:a\n\tcontent none\n\nnfs: se\n\texport /e\n\tpath /e\n\tserver 10.0.0.63\n\tcontent iso\n\tdisable\n"
	f := topoFacts(t, topoTree(map[string]string{"etc/pve/storage.cfg": text, "etc/pve/nodes/pve1/qemu-server/100.conf": "net0: virtio=BC:24:11:00:00:01,bridge=vmbr0\n"}))
	var got []string
	for _, s := range f.Storages.Value {
		got = append(got, fmt.Sprint(s.ID, " plain ", s.Plain, " known ", s.Protected.IsKnown(), " routed ", s.Routed, " guests ", s.SharesGuests))
	}
	want := []string{"sa plain false known true routed false guests true", "sb plain true known true routed true guests false",
		"sc plain false known true routed false guests true", "sd plain false known false routed false guests true"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
