package kinds

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/pve/firewall"
)

func fwSet(section string, set map[string]string, each ...string) change.Change {
	return change.Change{Kind: "pvefirewall", Section: section, Set: set, Each: each}
}

func TestFirewallOptions(t *testing.T) {
	const cluster, host1, guest100 = "etc/pve/firewall/cluster.fw", "etc/pve/nodes/pve1/host.fw", "etc/pve/firewall/100.fw"
	for _, tc := range []struct {
		name, file, before, after string
		c                         change.Change
	}{
		{"a section is made first", cluster, "# ours\n\n[RULES]\n\nIN Ping(ACCEPT) # all\n", "# ours\n\n[OPTIONS]\n\npolicy_in: DROP\n\n[RULES]\n\nIN Ping(ACCEPT) # all\n", fwSet("cluster", map[string]string{"policy_in": "DROP"})},
		{"a file is made", guest100, "", "[OPTIONS]\n\nenable: 1\n\n", fwSet("guest", map[string]string{"enable": "1"}, "100")},
		{"a value is replaced", host1, "[OPTIONS]\n\n  tcpflags: 0 \nndp: 1\n", "[OPTIONS]\n\n  tcpflags: 1\nndp: 1\n", fwSet("host", map[string]string{"tcpflags": "1"}, "pve1")},
		{"the node itself", host1, "[OPTIONS]\n\nenable: 0\n", "[OPTIONS]\n\nenable: 1\n", fwSet("host", map[string]string{"enable": "1"}, "local")},
		{"behind the last option", host1, "[OPTIONS]\n\nndp: 1\n\n[RULES]\n\n", "[OPTIONS]\n\nndp: 1\ntcpflags: 1\n\n[RULES]\n\n", fwSet("host", map[string]string{"tcpflags": "1"}, "pve1")},
		{"an empty section", host1, "[OPTIONS]\n", "[OPTIONS]\ntcpflags: 1\n", fwSet("host", map[string]string{"tcpflags": "1"}, "pve1")},
		{"a value that neither reads", host1, "[OPTIONS]\n\ntcpflags: on\n", "[OPTIONS]\n\ntcpflags: 1\n", fwSet("host", map[string]string{"tcpflags": "1"}, "pve1")},
		{"the switch was a time", cluster, "[OPTIONS]\n\nenable: 1790000000\n", "[OPTIONS]\n\nenable: 1\n", fwSet("cluster", map[string]string{"enable": "1"})},
		{"twice, of which the last counts", cluster, "[OPTIONS]\nenable: 0\nEnable: 0\n", "[OPTIONS]\nenable: 1\n", fwSet("", map[string]string{"enable": "1"})},
		{"a part", cluster, "[OPTIONS]\n\nlog_ratelimit: enable=0,rate=5/second\n", "[OPTIONS]\n\nlog_ratelimit: rate=5/second\n", fwSet("cluster", map[string]string{"log_ratelimit.enable": "!0"})},
		{"a part alone", cluster, "[OPTIONS]\n\nlog_ratelimit: 0\n", "[OPTIONS]\n\n", fwSet("cluster", map[string]string{"log_ratelimit.enable": "!0"})},
		{"it holds in other letters", cluster, "[OPTIONS]\n\npolicy_in: drop\n", "[OPTIONS]\n\npolicy_in: drop\n", fwSet("cluster", map[string]string{"policy_in": "DROP"})},
		{"an option goes", cluster, "[OPTIONS]\n\nebtables: 0\n", "[OPTIONS]\n\n", fwSet("cluster", map[string]string{"ebtables": ""})},
	} {
		files := map[string]string{"etc/hostname": "pve1\n", host1: "", vm100: "name: a\n"}
		if tc.before != "" {
			files[tc.file] = tc.before
		}
		b := newBench(t, false, files)
		if got := b.after(t, []string{"/" + tc.file}, tc.c, tc.c)["/"+tc.file]; got != tc.after {
			t.Errorf("%s:\n got %q\nwant %q", tc.name, got, tc.after)
		}
	}
}

func TestFirewallLists(t *testing.T) {
	const name = "etc/pve/firewall/cluster.fw"
	for _, tc := range []struct {
		name, before, after string
		c                   change.Change
	}{
		{"entries are added once", "[OPTIONS]\n\nenable: 1\n\n[IPSET management] # us\n\n192.0.2.0/24 # office\n\n[RULES]\n\nIN Ping(ACCEPT)\n",
			"[OPTIONS]\n\nenable: 1\n\n[IPSET management] # us\n\n192.0.2.0/24 # office\n2001:db8::/48\n\n[RULES]\n\nIN Ping(ACCEPT)\n",
			fwSet("ipset", map[string]string{"management": "192.0.2.0/24, 2001:db8::/48"})},
		{"a set is made above the rules", "[OPTIONS]\n\nenable: 1\n\n[RULES]\n\nIN Ping(ACCEPT)\n",
			"[OPTIONS]\n\nenable: 1\n\n[IPSET management]\n\n192.0.2.0/24\n\n[RULES]\n\nIN Ping(ACCEPT)\n", fwSet("ipset", map[string]string{"management": "192.0.2.0/24"})},
		{"a file is made", "", "[IPSET management]\n\n192.0.2.0/24\n", fwSet("ipset", map[string]string{"management": "192.0.2.0/24"})},
		{"nothing to add", "", "", fwSet("ipset", map[string]string{"management": ""})},
		{"aliases", "[ALIASES]\n\noffice 192.0.2.0/24 # here\n", "[ALIASES]\n\noffice 198.51.100.0/24 # here\nvpn 10.9.0.0/16\n", fwSet("alias", map[string]string{"office": "198.51.100.0/24", "vpn": "10.9.0.0/16"})},
		{"rules last, in their order, once", "[RULES]\n\nIN Ping(ACCEPT) -log nolog # who\n", "[RULES]\n\nIN Ping(ACCEPT) -log nolog # who\nIN ACCEPT -source 192.0.2.1 -p tcp -dport 22\nIN DROP -p tcp -dport 22 -log info # all others\n",
			fwSet("rules", map[string]string{"last": "IN Ping(ACCEPT) -log nolog\nIN ACCEPT -source 192.0.2.1 -p tcp -dport 22\nIN DROP -p tcp -dport 22 -log info # all others\n"})},
		{"rules first", "[RULES]\n\nIN Ping(ACCEPT)\n", "[RULES]\n\nIN ACCEPT -source 192.0.2.1 -p tcp -dport 22\nIN SMTP(ACCEPT)\nIN Ping(ACCEPT)\n",
			fwSet("rules", map[string]string{"first": "IN ACCEPT -source 192.0.2.1 -p tcp -dport 22\nIN SMTP(ACCEPT)"})},
		{"a group", "", "[group web]\n\nIN HTTP(ACCEPT)\nIN HTTPS(ACCEPT)\n", fwSet("group", map[string]string{"web": "IN HTTP(ACCEPT)\nIN HTTPS(ACCEPT)"})},
		{"entries go", "[IPSET seen]\n\n192.0.2.1 # bad\n192.0.2.2\n", "[IPSET seen]\n\n192.0.2.2\n",
			change.Change{Kind: "pvefirewall", Section: "ipset", Ensure: "absent", Set: map[string]string{"seen": "192.0.2.1 192.0.2.9"}}},
		{"a set goes", "[IPSET seen]\n\n192.0.2.1 # bad\n\n[RULES]\n\nIN Ping(ACCEPT)\n", "[RULES]\n\nIN Ping(ACCEPT)\n",
			change.Change{Kind: "pvefirewall", Section: "ipset", Ensure: "absent", Set: map[string]string{"seen": ""}}},
		{"a rule goes", "[RULES]\n\nIN Ping(ACCEPT) # x\nIN SMTP(ACCEPT)\n", "[RULES]\n\nIN SMTP(ACCEPT)\n",
			change.Change{Kind: "pvefirewall", Section: "rules", Ensure: "absent", Set: map[string]string{"last": "IN Ping(ACCEPT)"}}},
	} {
		files := map[string]string{"etc/hostname": "pve1\n", "etc/pve/nodes/pve1/host.fw": ""}
		if tc.before != "" {
			files[name] = tc.before
		}
		b := newBench(t, false, files)
		got := b.after(t, []string{"/" + name}, tc.c, tc.c)["/"+name]
		if got != tc.after {
			t.Errorf("%s:\n got %q\nwant %q", tc.name, got, tc.after)
		}
		if p := firewall.ParseStrict(firewall.ClusterFile, []byte(got)).Refused(); p != nil {
			t.Errorf("%s: proxmox-firewall refuses it: %v", tc.name, p)
		}
	}
}

func TestFirewallCannot(t *testing.T) {
	for _, tc := range []struct {
		name, before, want string
		c                  change.Change
	}{
		{"no such option", "", "would not read enabled", fwSet("cluster", map[string]string{"enabled": "1"})},
		{"no such value", "", "would not read policy_in", fwSet("cluster", map[string]string{"policy_in": "FORGET"})},
		{"Windows line ends", "[OPTIONS]\r\nenable: 0\r\n", "would", fwSet("cluster", map[string]string{"enable": "1"})},
		{"more lines", "", "line break", fwSet("cluster", map[string]string{"enable": "1\n[RULES]"})},
		{"no such node", "", "no node", fwSet("host", map[string]string{"enable": "1"}, "../pve9")},
		{"no such guest", "", "no guest", fwSet("guest", map[string]string{"enable": "1"}, "101")},
		{"no such section", "", "no section", fwSet("vnet", map[string]string{"enable": "1"})},
		{"no address", "", "no IP address", fwSet("ipset", map[string]string{"management": "office.example.org/24"})},
		{"an entry for all", "", "zero prefix", fwSet("ipset", map[string]string{"management": "0.0.0.0/0"})},
		{"an alias for nothing", "", "no address", fwSet("alias", map[string]string{"office": "x"})},
		{"a name that is not found again", "", "lower case", fwSet("group", map[string]string{"Web": "IN HTTP(ACCEPT)"})},
		{"a name that is none", "", "lower case", fwSet("ipset", map[string]string{"a] x": "192.0.2.1"})},
		{"a rule that is lost", "", "would not accept", fwSet("rules", map[string]string{"last": "IN ACCEPT -p  tcp -dport 22"})},
		{"a rule in error", "", "would not accept", fwSet("rules", map[string]string{"last": "IN accept -p tcp -dport 22"})},
		{"a rule without its set", "", "no such ipset", fwSet("rules", map[string]string{"last": "IN ACCEPT -source +nobody -p tcp -dport 22"})},
		{"a rule that never decides", "[RULES]\n\nIN DROP -p tcp -dport 22\n", "as it would be", fwSet("rules", map[string]string{"last": "IN ACCEPT -source 192.0.2.1 -p tcp -dport 22"})},
		{"a rule that takes another its decisions", "[RULES]\n\nIN ACCEPT -source 192.0.2.1 -p tcp -dport 22\n", "as it would be", fwSet("rules", map[string]string{"first": "IN DROP -p tcp -dport 22"})},
		{"a set that is used", "[IPSET seen]\n\n192.0.2.1\n\n[RULES]\n\nIN DROP -source +seen\n", "as it would be",
			change.Change{Kind: "pvefirewall", Section: "ipset", Ensure: "absent", Set: map[string]string{"seen": ""}}},
		{"neither first nor last", "", "neither", fwSet("rules", map[string]string{"middle": "IN Ping(ACCEPT)"})},
		{"sets of nodes", "", "rules only", fwSet("ipset", map[string]string{"seen": "192.0.2.1"}, "pve1")},
	} {
		files := map[string]string{"etc/hostname": "pve1\n", "etc/pve/nodes/pve1/host.fw": ""}
		if tc.before != "" {
			files["etc/pve/firewall/cluster.fw"] = tc.before
		}
		b := newBench(t, false, files)
		p := b.plan(t, tc.c)
		if len(p.Omitted) != 1 || !strings.Contains(p.Omitted[0].Reason, tc.want) || len(p.Windows) > 0 {
			t.Errorf("%s: %+v %+v", tc.name, p.Omitted, p.Windows)
		}
	}
}

// A change of cluster.fw says that it is one of all nodes.
func TestFirewallEffects(t *testing.T) {
	b := newBench(t, false, map[string]string{"etc/hostname": "pve1\n", "etc/pve/nodes/pve1/host.fw": "", "etc/pve/nodes/pve2/host.fw": "[OPTIONS]\nnftables: 1\n"})
	p := b.plan(t, fwSet("cluster", map[string]string{"enable": "1"}))
	text := strings.Join(p.Windows[0].Effects, "\n")
	for _, want := range []string{"all 2 nodes (pve1, pve2)", "the firewall goes on", "pve2 uses nftables"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q lacks %q", text, want)
		}
	}
}

// fwEditCheck edits a file in every way: what is not meant stays, and a second time changes nothing.
func fwEditCheck(t interface {
	Fatalf(string, ...any)
}, content string) {
	edits := map[string]func(e *firewall.Edit){
		"option": func(e *firewall.Edit) { e.SetOption("enable", "1") },
		"unset":  func(e *firewall.Edit) { e.SetOption("enable", "") },
		"alias":  func(e *firewall.Edit) { e.SetAlias("office", "192.0.2.0/24") },
		"ipset":  func(e *firewall.Edit) { e.AddEntries("management", []string{"192.0.2.0/24", "192.0.2.0/24"}) },
		"rules":  func(e *firewall.Edit) { e.AddRules("", []string{"IN Ping(ACCEPT)", "IN SMTP(ACCEPT)"}, true) },
		"group":  func(e *firewall.Edit) { e.AddRules("web", []string{"IN HTTP(ACCEPT)"}, false) },
	}
	for name, edit := range edits {
		e := firewall.NewEdit(firewall.ClusterFile, []byte(content))
		edit(e)
		once := string(e.Bytes())
		e = firewall.NewEdit(firewall.ClusterFile, []byte(once))
		edit(e)
		if string(e.Bytes()) != once {
			t.Fatalf("%s twice: %q\n%q\n%q", name, content, once, e.Bytes())
		}
		if name == "unset" {
			continue
		}
		was, _ := firewall.Parse(firewall.ClusterFile, []byte(content))
		now, _ := firewall.Parse(firewall.ClusterFile, []byte(once))
		if len(now.Rules) < len(was.Rules) || len(now.Groups) < len(was.Groups) || len(now.IPSets) < len(was.IPSets) || len(now.Aliases) < len(was.Aliases) {
			t.Fatalf("%s lost something: %q\n%q", name, content, once)
		}
		if name != "option" {
			continue
		}
		// All lines but those of the option are there, in their order.
		rest := once
		for l := range strings.Lines(content) {
			if key, _, _ := strings.Cut(strings.TrimSpace(l), ":"); strings.EqualFold(strings.TrimSpace(key), "enable") {
				continue
			}
			i := strings.Index(rest, strings.TrimSuffix(l, "\n"))
			if i < 0 {
				t.Fatalf("%q is gone from %q: %q", l, content, once)
			}
			rest = rest[i+len(strings.TrimSuffix(l, "\n")):]
		}
		if now.Value("enable", "") != "1" {
			t.Fatalf("enable is %q: %q\n%q", now.Value("enable", ""), content, once)
		}
	}
}

func TestFirewallEditProperty(t *testing.T) {
	line := rapid.SampledFrom([]string{"", "# c", "[OPTIONS]", "[options]", "[RULES]", "[rules] ", "[ALIASES]", "[IPSET management]", "[ipset Management] # x", "[group web]", "[GROUP Web]",
		"[group a-name-that-is-far-too-long]", "[else]", "enable: 0", "Enable: 1", "enable: x", " enable:2", "policy_in: DROP", "office 192.0.2.0/24", "OFFICE  192.0.2.0/24", "192.0.2.0/24", "192.0.2.0/24 # x",
		"IN Ping(ACCEPT)", "|IN Ping(ACCEPT)", "IN  Ping(ACCEPT) # x", "GROUP web", "nonsense", "[RULES]\r"})
	rapid.Check(t, func(r *rapid.T) {
		fwEditCheck(r, strings.Join(rapid.SliceOfN(line, 0, 14).Draw(r, "lines"), "\n")+rapid.SampledFrom([]string{"", "\n"}).Draw(r, "end"))
	})
}

func FuzzFirewallEdit(f *testing.F) {
	for _, content := range estateFiles(f) {
		if strings.Contains(content, "[RULES]") {
			f.Add(content)
		}
	}
	f.Add("[OPTIONS]\x00\n\xffenable: 0\r\n")
	f.Fuzz(func(t *testing.T, content string) { fwEditCheck(t, content) })
}

func FuzzEstablished(f *testing.F) {
	f.Add("   0: 0100007F:0016 070200C0:D431 01\n   1: x 0000000000000000FFFF0000070200C0:D431 01\n")
	f.Fuzz(func(t *testing.T, s string) { established([]byte(s)) })
}

func TestEstablished(t *testing.T) {
	got := established([]byte("  sl  local_address rem_address   st\n   0: 0A0A0A0A:0016 070200C0:D431 01 0:0\n   1: 0A0A0A0A:0016 080200C0:D431 06 0:0\n" +
		"   0: 00000000000000000000000001000000:0016 0000000000000000FFFF0000090200C0:D431 01\n   1: 0:1 B80D0120000000000000000001000000:D431 01\n"))
	var words []string
	for _, a := range got {
		words = append(words, a.String())
	}
	if s := strings.Join(words, " "); s != "192.0.2.7 192.0.2.9 2001:db8::1" {
		t.Error(s)
	}
}
