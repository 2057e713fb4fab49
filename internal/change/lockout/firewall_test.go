package lockout

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/castellan-project/castellan/internal/change"
)

// tree reads a sample of the repository.
func tree(t *testing.T, name string) files {
	t.Helper()
	root := filepath.Join("../../../examples", name)
	out := files{}
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(p)
		rel, _ := filepath.Rel(root, p)
		out["/"+filepath.ToSlash(rel)] = string(b)
		return err
	})
	if err != nil || len(out) < 10 {
		t.Fatalf("%d files of %s: %v", len(out), root, err)
	}
	return out
}

// pveNode is a standalone node of a release with a firewall file.
func pveNode(codename, clusterFW string) files {
	return debian().with(files{
		"/etc/os-release": "VERSION_CODENAME=" + codename + "\n", "/etc/hostname": "pve1\n", "/etc/hosts": "192.0.2.1 pve1.example.org pve1\n",
		"/etc/network/interfaces":                  "auto vmbr0\niface vmbr0 inet static\n address 192.0.2.1/28\n gateway 192.0.2.14\n bridge-ports eno1\n",
		"/etc/pve/nodes/pve1/x":                    "",
		"/etc/pve/nodes/pve1/qemu-server/100.conf": "name: a\n",
		clusterFile:                   clusterFW,
		"/etc/pve/nodes/pve1/host.fw": "[OPTIONS]\n\nenable: 1\n",
	})
}

const clusterFile = "/etc/pve/firewall/cluster.fw"

func TestFirewall(t *testing.T) {
	off := "[OPTIONS]\n\nenable: 0\n"
	on := "[OPTIONS]\n\nenable: 1\n"
	admin := change.Operator{User: "root", Address: "198.51.100.9", Port: 22, Local: "192.0.2.1", Method: "publickey", Key: edPrint, Session: true}
	for name, tt := range map[string]struct {
		before  string
		changed files
		op      change.Operator
		want    wanted
	}{
		"switched on without him": {off, files{clusterFile: on}, admin, no("198.51.100.9 to pve1, tcp port 22: DROP by", "ipset management")},
		"switched on with him":    {off, files{clusterFile: on + "\n[IPSET management]\n\n198.51.100.0/24\n"}, admin, yes("port 22", "port 8006", clusterFile)},
		"from the local network":  {off, files{clusterFile: on}, named("root", "192.0.2.5"), yes("port 22")},
		"a rule for SSH only": {off, files{clusterFile: on + "\n[RULES]\n\nIN ACCEPT -source 198.51.100.9 -p tcp -dport 22\n"}, admin,
			no("tcp port 8006: DROP")},
		"a rule that drops him": {on + "\n[IPSET management]\n\n198.51.100.0/24\n", files{clusterFile: on + "\n[IPSET management]\n\n198.51.100.0/24\n\n[RULES]\n\nIN DROP -source 198.51.100.9 -p tcp -dport 22\n"}, admin,
			no("cluster.fw:11")},
		"another port": {off, files{clusterFile: on + "\n[IPSET management]\n\n198.51.100.0/24\n"},
			change.Operator{User: "root", Address: "198.51.100.9", Port: 2222, Local: "192.0.2.1"}, no("tcp port 2222: DROP")},
		"the web was shut before": {on + "\n[RULES]\n\nIN ACCEPT -source 198.51.100.9 -p tcp -dport 22\n",
			files{clusterFile: on + "\n[RULES]\n\nIN ACCEPT -source 198.51.100.9 -p tcp -dport 22\nIN DROP -p tcp -dport 25\n"}, admin, yes("8006: shut before this plan already")},
		"SSH was shut before": {on, files{clusterFile: on + "\n[RULES]\n\nIN DROP -p tcp -dport 25\n"}, admin, no("also before this plan")},
		"a network whole":     {off, files{clusterFile: on + "\n[IPSET management]\n\n198.51.100.0/24\n"}, named("root", "198.51.100.0/25"), yes()},
		"a network split":     {off, files{clusterFile: on + "\n[IPSET management]\n\n198.51.100.0/25\n"}, named("root", "198.51.100.0/24"), no("198.51.100.128 to pve1")},
		"a hole in a network": {off, files{clusterFile: on + "\n[IPSET management]\n\n198.51.100.0/24\n\n[RULES]\n\nIN DROP -source 198.51.100.77 -p tcp -dport 22\n"},
			named("root", "198.51.100.0/24"), no("198.51.100.77 to pve1")},
		"IPv6":               {off, files{clusterFile: on + "\n[IPSET management]\n\n2001:db8::/32\n"}, named("root", "2001:db8::9"), yes()},
		"IPv6 forgotten":     {off, files{clusterFile: on + "\n[IPSET management]\n\n198.51.100.0/24\n"}, named("root", "2001:db8::9"), no("DROP")},
		"the other firewall": {on + "\n[IPSET management]\n\n198.51.100.0/24\n", files{"/etc/pve/nodes/pve1/host.fw": "[OPTIONS]\n\nenable: 1\nnftables: 1\n"}, admin, yes()},
		"the other firewall, refused": {on + "\n[IPSET management]\n\n198.51.100.0/24\n\n[RULES]\n\nIN ACCEPT -source nonsense/ -p tcp\n",
			files{"/etc/pve/nodes/pve1/host.fw": "[OPTIONS]\n\nenable: 1\nnftables: 1\n"}, admin, no("proxmox-firewall refuses")},
		"unreadable":    {on, files{clusterFile: "unreadable"}, admin, no("cannot be told", clusterFile)},
		"nftables.conf": {off, files{"/etc/nftables.conf": "flush ruleset\n"}, admin, no("does not simulate /etc/nftables.conf")},
		"fail2ban":      {off, files{"/etc/fail2ban/jail.local": "x\n"}, admin, yes("ignoreip")},
	} {
		for _, codename := range []string{"bookworm", "trixie"} {
			t.Run(name+" "+codename, func(t *testing.T) {
				tt.want.check(t, firewallGuard{}.Judge(caseOf(pveNode(codename, tt.before), tt.changed, tt.op)))
			})
		}
	}
}

func TestFirewallOfTheSampleCluster(t *testing.T) {
	estate := tree(t, "estate")
	text := estate[clusterFile]
	from := func(address string) change.Operator { return change.Operator{User: "root", Address: address} }
	cut := func(old, fresh string) files {
		t.Helper()
		if !strings.Contains(text, old) {
			t.Fatalf("%q is not in cluster.fw", old)
		}
		return files{clusterFile: strings.Replace(text, old, fresh, 1)}
	}
	for name, tt := range map[string]struct {
		changed files
		op      change.Operator
		want    wanted
	}{
		"a comment":             {cut("# any office, until the VPN is there", "# offices"), from("10.10.10.7"), yes("pve1", "pve2", "pve3")},
		"management is smaller": {cut("10.0.0.0/8 # any", "10.10.0.0/16 # any"), from("10.99.0.7"), no("10.99.0.7 to pve", "port 22", "10.99.0.7 to the ipset management")},
		"management keeps him":  {cut("10.0.0.0/8 # any", "10.10.0.0/16 # any"), from("10.10.120.0/24"), yes()},
	} {
		t.Run(name, func(t *testing.T) {
			v := firewallGuard{}.Judge(caseOf(estate, tt.changed, tt.op))
			if len(v) != 2 || v[1].Operator != "root@cluster" {
				t.Fatalf("%+v", v)
			}
			tt.want.check(t, v[:1])
			yes("reach each other as before").check(t, v[1:])
		})
	}
	t.Run("corosync is dropped", func(t *testing.T) {
		v := firewallGuard{}.Judge(caseOf(estate, cut("GROUP cluster-traffic\n", "IN DROP -source 10.10.20.12 -p udp\nGROUP cluster-traffic\n")))
		no("10.10.20.12 to pve", "udp port 5405", "cluster.fw").check(t, v)
	})
	t.Run("the second link lives by what goes out", func(t *testing.T) {
		const name = "/etc/pve/nodes/pve3/host.fw"
		on := strings.Replace(estate[name], "enable: 0", "enable: 1", 1)
		if on == estate[name] {
			t.Fatal("the firewall of pve3 is on already")
		}
		yes("reach each other").check(t, firewallGuard{}.Judge(caseOf(estate, files{name: on})))
		shut := on + "\n[RULES]\n\nOUT DROP -dest 10.10.10.0/24 -p udp -dport 5406\n"
		no("to pve3, udp port 5406").check(t, firewallGuard{}.Judge(caseOf(estate, files{name: shut})))
	})
	t.Run("SSH between nodes is dropped", func(t *testing.T) {
		v := firewallGuard{}.Judge(caseOf(estate, cut("GROUP cluster-traffic\n", "IN DROP -source 10.10.10.12 -p tcp -dport 22\nGROUP cluster-traffic\n")))
		no("10.10.10.12 to pve", "tcp port 22").check(t, v)
	})
	t.Run("files of guests are silent", func(t *testing.T) {
		if v := (firewallGuard{}).Judge(caseOf(estate, files{"/etc/pve/firewall/101.fw": ""}, from("10.10.10.7"))); v != nil {
			t.Errorf("%+v", v)
		}
	})
}

func TestProxy(t *testing.T) {
	const name = "/etc/default/pveproxy"
	op := change.Operator{User: "root", Address: "192.0.2.10", Local: "192.0.2.1"}
	for title, tt := range map[string]struct {
		before, after string
		op            change.Operator
		want          wanted
	}{
		"open":                  {"-", "ALLOW_FROM=\"192.0.2.0/24\"\n", op, yes("ALLOW_FROM")},
		"shut":                  {"-", "ALLOW_FROM=\"198.51.100.0/24\"\nDENY_FROM=\"all\"\n", op, no("pveproxy refuses 192.0.2.10", "192.0.2.10 to ALLOW_FROM", name+":2")},
		"shut by policy":        {"-", "ALLOW_FROM=\"198.51.100.0/24\"\nPOLICY=\"deny\"\n", op, no("pveproxy refuses")},
		"kept":                  {"-", "ALLOW_FROM=\"192.0.2.0/24\"\nDENY_FROM=\"all\"\nPOLICY=\"allow\"\n", op, yes()},
		"had none":              {"DENY_FROM=\"all\"\nPOLICY=deny\n", "DENY_FROM=\"all\"\nPOLICY=deny\nALLOW_FROM=\"10.0.0.1\"\n", op, yes("had no access")},
		"a network split":       {"-", "ALLOW_FROM=\"192.0.2.0/25\"\nDENY_FROM=\"all\"\n", named("root", "192.0.2.0/24"), no("refuses 192.0.2.128")},
		"a network whole":       {"-", "ALLOW_FROM=\"192.0.2.0/24\"\nDENY_FROM=\"all\"\n", named("root", "192.0.2.0/24"), yes()},
		"a hole":                {"-", "DENY_FROM=\"192.0.2.77\"\n", named("root", "192.0.2.0/24"), no("192.0.2.77")},
		"shell":                 {"-", "ALLOW_FROM=\"$(cat x)\"\n", op, no("shell code")},
		"does not start":        {"-", "ALLOW_FROM=\"192.0.2.1/24\"\n", op, no("would not start")},
		"no TLS":                {"-", "DISABLE_TLS_1_2=1\nDISABLE_TLS_1_3=1\n", op, no("TLS")},
		"listens elsewhere":     {"-", "LISTEN_IP=\"10.0.0.1\"\n", op, no("listen on 10.0.0.1 only")},
		"listens here":          {"-", "LISTEN_IP=\"192.0.2.1\"\n", op, yes()},
		"listens, not known":    {"-", "LISTEN_IP=\"192.0.2.1\"\n", named("root", "192.0.2.10"), no("not known which address")},
		"unreadable":            {"-", "unreadable", op, no(name)},
		"an address is missing": {"-", "ALLOW_FROM=\"192.0.2.0/24\"\n", change.Operator{User: "root"}, no("--admin")},
	} {
		t.Run(title, func(t *testing.T) {
			tt.want.check(t, proxyGuard{}.Judge(caseOf(debian().with(files{name: tt.before}), files{name: tt.after}, tt.op)))
		})
	}
	t.Run("a node", func(t *testing.T) {
		v := proxyGuard{}.Judge(caseOf(cluster(nil), files{name: "ALLOW_FROM=\"10.0.0.0/24\"\nDENY_FROM=\"all\"\n"}))
		no("10.1.0.2, an address of the node pve2").check(t, v)
		v = proxyGuard{}.Judge(caseOf(cluster(nil), files{name: "LISTEN_IP=\"192.0.2.1\"\n"}))
		no("root@pve2 connects to 10.0.0.1").check(t, v)
		v = proxyGuard{}.Judge(caseOf(cluster(nil), files{name: "ALLOW_FROM=\"10.0.0.0/8\"\nDENY_FROM=\"all\"\n"}))
		yes("the node reaches the API").check(t, v)
	})
	t.Run("stopped", func(t *testing.T) {
		c := caseOf(debian(), nil, op)
		c.Changes = []change.Change{{Control: "X", Kind: "unit", Unit: "pveproxy.service", State: "masked"}}
		no("X takes the web interface").check(t, proxyGuard{}.Judge(c))
	})
	t.Run("silent", func(t *testing.T) {
		if v := (proxyGuard{}).Judge(caseOf(debian(), drop("Port 22"), op)); v != nil {
			t.Errorf("%+v", v)
		}
	})
}

// TestHostileFiles judges hosts whose files are none of what they should be: no guard may panic, and none admits by them.
func TestHostileFiles(t *testing.T) {
	junk := []string{"unreadable", "", "\x00\xff\xfe", strings.Repeat("x", 1<<20), strings.Repeat("a:", 5000), "\r\n\r\n", "Include /etc/ssh/sshd_config\n"}
	base := cluster(pveNode("trixie", "[OPTIONS]\nenable: 1\n"))
	base[dpkgStatus] = "Package: openssh-server\nStatus: install ok installed\nVersion: 1:10.0p1-7\n\n"
	op := named("root", "192.0.2.0/24")
	for _, name := range slices.Sorted(maps.Keys(base)) {
		for _, text := range junk {
			c := caseOf(base, files{name: text}, op, rootByKey())
			c.Paths = append(c.Paths, "/etc/ssh/sshd_config", clusterFile, "/etc/default/pveproxy", filePasswd)
			for _, g := range All(Options{}) {
				for _, v := range g.Judge(c) {
					if v.Reason == "" || v.Guard == "" || strings.ContainsAny(v.Reason+v.Add, "\n\x00\x1b") || len(v.Reason) > 1100 {
						t.Errorf("%s as %.20q: %+v", name, text, v)
					}
					essential := name == filePasswd || name == "/root/.ssh/authorized_keys"
					if v.Admitted && essential && v.Guard == "sshd" && strings.HasPrefix(v.Operator, "root@192.0.2.10") {
						t.Errorf("%s as %.20q admits: %+v", name, text, v)
					}
				}
			}
		}
	}
}

func FuzzGuards(f *testing.F) {
	f.Add("PermitRootLogin no\nMatch Address 192.0.2.0/24\nPermitRootLogin yes", "from=\"192.0.2.*\" "+edKey, "[OPTIONS]\nenable: 1\n", "ALLOW_FROM=\"10/8\"", "auth [success=99 default=die] pam_x.so")
	f.Add("Include *\n\x00", "command=\"", "[RULES]\n|IN", "POLICY=deny\r\n", "@include sshd")
	f.Add("AllowUsers a@b@c *@!1.2.3.4", edKey+"\n"+edKey, "[group x]\nIN GROUP x", "LISTEN_IP=::", "auth [success=-1] pam_unix.so")
	f.Fuzz(func(t *testing.T, conf, keys, fw, proxy, pam string) {
		if len(conf)+len(keys)+len(fw)+len(proxy)+len(pam) > 20_000 {
			return
		}
		base := cluster(pveNode("trixie", "[OPTIONS]\nenable: 1\n"))
		changed := files{"/etc/ssh/sshd_config.d/1.conf": conf, "/root/.ssh/authorized_keys": keys, clusterFile: fw, "/etc/default/pveproxy": proxy, "/etc/pam.d/common-auth": pam}
		c := caseOf(base, changed, named("root", "192.0.2.0/24"), rootByKey(), named("ann", "2001:db8::/64"))
		for _, g := range All(Options{}) {
			for _, v := range g.Judge(c) {
				if v.Reason == "" || strings.ContainsAny(v.Reason+v.Add+v.Path, "\n\x00\x1b") {
					t.Errorf("%+v", v)
				}
			}
		}
	})
}
