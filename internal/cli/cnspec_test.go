package cli

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/castellan-project/castellan/internal/host/hosttest"
	"github.com/castellan-project/castellan/internal/posture"
)

// files is a small tree: contents by path.
type files map[string]string

// and returns the tree with more files in it.
func (f files) and(more files) files {
	all := files{}
	for k, v := range f {
		all[k] = v
	}
	for k, v := range more {
		all[k] = v
	}
	return all
}

// pveNode is what makes a tree a node of Proxmox VE.
func pveNode() files {
	return files{
		".castellan/meta": "now 2026-11-20T12:00:00Z\n", "etc/hostname": "pve1\n", "etc/hosts": "127.0.0.1 localhost\n10.0.0.11 pve1\n",
		"etc/os-release":      "ID=debian\nVERSION_ID=\"13\"\nVERSION_CODENAME=trixie\n",
		"var/lib/dpkg/status": "Package: pve-manager\nStatus: install ok installed\nArchitecture: all\nVersion: 9.1.3\n",
		"etc/pve/user.cfg":    "user:root@pam:1:0:::root@example.org::x:\n",
	}
}

func corosyncConf(totem string) string {
	return "nodelist {\n  node {\n    name: pve1\n    nodeid: 1\n    ring0_addr: 10.0.0.11\n    ring1_addr: 10.0.1.11\n  }\n" +
		"  node {\n    name: pve2\n    nodeid: 2\n    ring0_addr: 10.0.0.12\n    ring1_addr: 10.0.1.12\n  }\n}\n\ntotem {\n  cluster_name: lab\n  version: 2\n" + totem + "}\n"
}

// secondFactor is a tfa.cfg in which the users have one.
func secondFactor(users ...string) string {
	var entries []string
	for _, u := range users {
		entries = append(entries, `"`+u+`":{"totp":[{"info":{"id":"totp:1","description":"","created":1770000000,"enable":true},"entry":"otpauth://totp/x?secret=FAKE"}]}`)
	}
	return `{"users":{` + strings.Join(entries, ",") + "}}\n"
}

// TestNoFalseVerdicts holds that castellan does not make the twelve mistakes of text searches over the configuration of
// Proxmox VE, as a policy for another scanner makes them: a default that is not resolved, a line of a snapshot that is taken for a
// present one, the files of one node that are taken for the cluster.
func TestNoFalseVerdicts(t *testing.T) {
	pve := pveNode()
	fw := func(text string) files { return files{"etc/pve/firewall/cluster.fw": text} }
	running := files{".castellan/run/pvesh-nodes-pve1-services-pve-firewall-state": `{"state":"running"}`}
	guest := func(path, text string) files { return files{"etc/pve/nodes/" + path: text} }
	const vmLines = "name: x\nmemory: 2048\nnet0: virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1\n"
	tests := []struct {
		name, control string
		tree          files
		want          posture.Status
	}{
		{"1: one user with a second factor does not stand for all", "IAM-01", pve.and(files{
			"etc/pve/user.cfg":        "user:root@pam:1:0:::root@example.org::x:\nuser:ada@pve:1:0::::::\n\nacl:1:/:ada@pve:Administrator:\n",
			"etc/pve/priv/shadow.cfg": "ada:$5$salt$hash:\n", "etc/pve/priv/tfa.cfg": secondFactor("root@pam")}), posture.Fail},
		{"1: all users with a second factor", "IAM-01", pve.and(files{
			"etc/pve/user.cfg":        "user:root@pam:1:0:::root@example.org::x:\nuser:ada@pve:1:0:::::x:\n\nacl:1:/:ada@pve:Administrator:\n",
			"etc/pve/priv/shadow.cfg": "ada:$5$salt$hash:\n", "etc/pve/priv/tfa.cfg": secondFactor("root@pam", "ada@pve")}), posture.Pass},
		{"2: one line gives a whole group the role Administrator", "IAM-06", pve.and(files{
			"etc/pve/user.cfg": "user:root@pam:1:0:::::x:\nuser:a@pve:1:0::::::\nuser:b@pve:1:0::::::\nuser:c@pve:1:0::::::\nuser:d@pve:1:0::::::\nuser:e@pve:1:0::::::\n\n" +
				"group:all:a@pve,b@pve,c@pve,d@pve,e@pve::\n\nacl:1:/:@all:Administrator:\n"}), posture.Fail},
		{"2: many lines about one person", "IAM-06", pve.and(files{
			"etc/pve/user.cfg": "user:root@pam:1:0:::::x:\nuser:a@pve:1:0::::Administrator of the night::\nuser:b@pve:1:0::::was Administrator::\n\n" +
				"group:g:a@pve:Administrators:\ngroup:h:b@pve:no Administrator:\n\nacl:1:/:@g:Administrator:\nacl:1:/vms:a@pve:Administrator:\nacl:1:/nodes:a@pve:Administrator:\n"}), posture.Pass},
		{"3: no policy_in means DROP", "FW-02", pve.and(fw("[OPTIONS]\n\nenable: 1\n")), posture.Pass},
		{"3: policy_in in a comment", "FW-02", pve.and(fw("[OPTIONS]\n\nenable: 1\n#policy_in: DROP\npolicy_in: ACCEPT\n")), posture.Fail},
		{"4: a host.fw without enable is on", "FW-05", pve.and(fw("[OPTIONS]\n\nenable: 1\n")).and(running).and(guest("pve1/host.fw", "[OPTIONS]\n\nlog_level_in: info\n")), posture.Pass},
		{"4: a host.fw that switches it off", "FW-05", pve.and(fw("[OPTIONS]\n\nenable: 1\n")).and(running).and(guest("pve1/host.fw", "[OPTIONS]\n\nenable: 0\n")), posture.Fail},
		{"4: no host.fw, and nothing is known of the service", "FW-05", pve.and(fw("[OPTIONS]\n\nenable: 1\n")).and(guest("pve1/lrm_status", "{}")), posture.StatusUnknown},
		{"5: knet alone encrypts nothing", "NET-05", pve.and(files{"etc/pve/corosync.conf": corosyncConf("  transport: knet\n")}), posture.Fail},
		{"5: crypto_cipher without secauth", "NET-05", pve.and(files{"etc/pve/corosync.conf": corosyncConf("  crypto_cipher: aes256\n  crypto_hash: sha256\n")}), posture.Pass},
		{"5: secauth", "NET-05", pve.and(files{"etc/pve/corosync.conf": corosyncConf("  secauth: on\n")}), posture.Pass},
		{"6: migration is encrypted unless it is said otherwise", "NET-07", pve.and(files{"etc/pve/corosync.conf": corosyncConf("  secauth: on\n"),
			"etc/pve/datacenter.cfg": "keyboard: de\nmigration: network=10.0.2.0/24\n"}), posture.Pass},
		{"6: insecure as the default key of the property", "NET-07", pve.and(files{"etc/pve/corosync.conf": corosyncConf("  secauth: on\n"),
			"etc/pve/datacenter.cfg": "migration: insecure,network=10.0.2.0/24\n"}), posture.Fail},
		{"7: the certificate that is served has run out", "WEB-10", pve.and(files{
			"etc/pve/nodes/pve1/pve-ssl.pem": certificate(t, 700), "etc/pve/nodes/pve1/pveproxy-ssl.pem": certificate(t, -3),
			"etc/pve/nodes/pve1/pveproxy-ssl.key": "not read\n"}), posture.Fail},
		{"7: the certificate that is not served has run out", "WEB-10", pve.and(files{
			"etc/pve/nodes/pve1/pve-ssl.pem": certificate(t, -3), "etc/pve/nodes/pve1/pveproxy-ssl.pem": certificate(t, 700),
			"etc/pve/nodes/pve1/pveproxy-ssl.key": "not read\n"}), posture.Manual}, // who renews it is for a person to say
		{"8: a privileged container of another node, unprivileged in its snapshot", "CT-01", pve.and(files{"etc/pve/corosync.conf": corosyncConf("  secauth: on\n")}).and(
			guest("pve2/lxc/200.conf", "hostname: x\nrootfs: local:200/vm-200-disk-0.raw,size=8G\n\n[before]\nhostname: x\nsnaptime: 1760000000\nunprivileged: 1\n")), posture.Fail},
		{"8: arguments in a snapshot only", "VM-03", pve.and(guest("pve1/qemu-server/100.conf", vmLines+"\n[before]\nargs: -vnc 0.0.0.0:1\nsnaptime: 1760000000\n")), posture.Pass},
		{"9: root may not log in at all", "SSH-01", files{".castellan/meta": "now 2026-11-20T12:00:00Z\n", "etc/ssh/sshd_config": "PermitRootLogin no\n",
			"etc/passwd": "root:x:0:0:root:/root:/bin/bash\nada:x:1000:1000::/home/ada:/bin/bash\n", "etc/group": "root:x:0:\nada:x:1000:\n"}, posture.Pass},
		{"10: a repository that is there and disabled", "UPD-03", pve.and(files{"etc/apt/sources.list.d/proxmox.sources": "Enabled: false\nTypes: deb\nURIs: http://download.proxmox.com/debian/pve\n" +
			"Suites: trixie\nComponents: pve-no-subscription\n", "etc/apt/sources.list": "# deb http://download.proxmox.com/debian/pve trixie pve-no-subscription\n"}), posture.Fail},
		{"11: an IOMMU that is on without an argument", "BOOT-12", pve.and(files{".castellan/meta": "now 2026-11-20T12:00:00Z\nlive yes\n", "proc/cmdline": "root=/dev/mapper/pve-root ro quiet\n",
			"proc/sys/kernel/osrelease": "6.14.8-2-pve\n", "sys/kernel/iommu_groups/0/type": "DMA-FQ\n"}).and(guest("pve1/qemu-server/100.conf", vmLines+"hostpci0: mapping=gpu\n")), posture.Pass},
		{"12: a VM without a line about its CPU", "VM-10", pve.and(guest("pve1/qemu-server/100.conf", vmLines)), posture.Fail},
		{"12: a VM with the CPU of its host", "VM-10", pve.and(guest("pve1/qemu-server/100.conf", vmLines+"cpu: host\n")), posture.Pass},
	}
	env, err := posture.NewEnv()
	if err != nil {
		t.Fatal(err)
	}
	controls, err := controlsOf(catalogueDir, env)
	if err != nil {
		t.Fatal(err)
	}
	byID := map[string]posture.Control{}
	for _, c := range controls {
		byID[c.ID] = c
	}
	for _, tt := range tests {
		t.Run(tt.control+" "+tt.name, func(t *testing.T) {
			c, ok := byID[tt.control]
			if !ok {
				t.Fatalf("there is no control %s", tt.control)
			}
			dir := hosttest.Write(t, tt.tree)
			f, err := judgeFixture(env, c, dir, time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC))
			if err != nil {
				t.Fatal(err)
			}
			if f.Status != tt.want {
				t.Errorf("%s is %s, not %s: %s%s", tt.control, f.Status, tt.want, f.Reason, evidenceWords(f))
			}
		})
	}
}

// certificate makes a certificate that ends some days after the moment of the trees.
func certificate(t *testing.T, days int) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	end := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC).AddDate(0, 0, days)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "pve1"}, DNSNames: []string{"pve1"},
		NotBefore: end.AddDate(-2, 0, 0), NotAfter: end}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: der}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
