package lint_test

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/host/hosttest"
	"github.com/castellan-project/castellan/internal/inventory"
	"github.com/castellan-project/castellan/internal/inventory/filter/lint"
)

// world is a cluster of two nodes, the first with pve-firewall, the second with proxmox-firewall, and a guest on each.
func world(change map[string]string) *host.Memory {
	files := map[string]string{
		"/etc/hostname":           "n1\n",
		"/etc/hosts":              "10.0.0.1 n1\n10.0.0.2 n2\n",
		"/etc/network/interfaces": "iface vmbr0 inet static\n\taddress 10.0.0.1/24\n\tbridge-ports eth0\n",
		"/etc/pve/corosync.conf": "totem {\n cluster_name: c\n}\nnodelist {\n node {\n  name: n1\n  ring0_addr: 10.0.0.1\n  ring1_addr: 10.7.0.1\n }\n" +
			" node {\n  name: n2\n  ring0_addr: 10.0.0.2\n  ring1_addr: 10.7.0.2\n }\n}\n",
		"/etc/pve/firewall/cluster.fw":           "[OPTIONS]\nenable: 1\n",
		"/etc/pve/nodes/n1/host.fw":              "",
		"/etc/pve/nodes/n2/host.fw":              "[OPTIONS]\nnftables: 1\n",
		"/etc/pve/nodes/n1/qemu-server/100.conf": "name: a\nnet0: virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1\n",
		"/etc/pve/nodes/n2/qemu-server/200.conf": "net0: virtio=BC:24:11:00:00:02,bridge=vmbr0,firewall=1\n",
		"/etc/pve/firewall/100.fw":               "[OPTIONS]\nenable: 1\n",
		"/etc/pve/firewall/200.fw":               "[OPTIONS]\nenable: 1\n",
	}
	m := &host.Memory{Files: map[string][]byte{}}
	for name, text := range files {
		m.Files[name] = []byte(text)
	}
	for name, text := range change {
		if text == "" {
			delete(m.Files, name)
			continue
		}
		m.Files[name] = []byte(text)
	}
	return m
}

func check(tb testing.TB, m *host.Memory) lint.Report {
	tb.Helper()
	c, err := inventory.Read(m, 9)
	if err != nil {
		tb.Fatal(err)
	}
	return lint.Check(c, lint.Options{Now: time.Unix(1_800_000_000, 0)})
}

// lines are the findings as "file:line code severity iptables/nftables".
func lines(r lint.Report) []string {
	var out []string
	for _, f := range r.Findings {
		out = append(out, fmt.Sprintf("%s:%d %s %s %s/%s", path.Base(f.File), f.Line, f.Code, f.Severity, f.Effect.IPTables, f.Effect.NFTables))
	}
	return out
}

const (
	clusterFW = "/etc/pve/firewall/cluster.fw"
	guestFW   = "/etc/pve/firewall/100.fw"
	nftFW     = "/etc/pve/firewall/200.fw"
	hostFW    = "/etc/pve/nodes/n1/host.fw"
	conf      = "/etc/pve/nodes/n1/qemu-server/100.conf"
	on        = "[OPTIONS]\nenable: 1\n" // lines 1 and 2
)

func TestCheck(t *testing.T) {
	cases := map[string]struct {
		files map[string]string
		want  []string
	}{
		"nothing": {nil, nil},
		"two blanks lose a rule, and the DROP lets in": {
			map[string]string{guestFW: on + "[RULES]\nIN DROP -p  tcp -dport 22\n|IN ACCEPT -p  tcp\n"},
			[]string{"100.fw:4 rule-lost high fail-open/none", "100.fw:5 rule-lost info none/none"},
		},
		"what is skipped": {
			map[string]string{guestFW: on + "[RULES]\nIN drop -p tcp -dport 22\nIN ACCEPT -dport 80\nIN ACCEPT -source nobody\n"},
			[]string{
				"100.fw:4 rule-skipped high fail-open/none", "100.fw:5 rule-skipped medium fail-closed/none",
				"100.fw:6 unknown-name medium fail-closed/fail-closed",
			},
		},
		"a line that proxmox-firewall refuses stops its node": {
			map[string]string{nftFW: on + "[ipset ab]\n10.0.0.1\n[RULES]\nIN SSH(ACCEPT) -source +ab\n"},
			[]string{"200.fw:3 nft-refused critical none/node-abort"},
		},
		"case": {
			map[string]string{
				clusterFW: on + "[group Web]\nIN HTTP(ACCEPT)\n[IPSET Hosts]\n10.0.0.1\n",
				guestFW:   on + "[RULES]\nGROUP Web\nIN ACCEPT -source +Hosts\nIN ssh(ACCEPT) -source 10.0.0.1\n",
			},
			[]string{
				"100.fw:4 case-mismatch medium fail-closed/none", "100.fw:5 case-mismatch medium fail-closed/none",
				"100.fw:6 case-mismatch low none/fail-closed",
			},
		},
		"no group": {
			map[string]string{guestFW: on + "[RULES]\nGROUP nowhere\n"},
			[]string{"100.fw:4 unknown-name medium fail-closed/fail-closed"},
		},
		"a group that leaves the guest open": {
			map[string]string{
				clusterFW: on + "[ALIASES]\nfoo 10.0.0.1\n[group gg]\nIN ACCEPT -source guest/foo\n",
				guestFW:   on + "[RULES]\nGROUP gg\n",
			},
			[]string{"100.fw:4 group-kills-guest critical fail-open/none"},
		},
		"repeated section": {
			map[string]string{
				clusterFW: on + "[group gg]\nIN DROP -p tcp -dport 23\n[group gg]\nIN HTTP(ACCEPT)\n",
				hostFW:    "[RULES]\nGROUP gg\n",
			},
			[]string{"cluster.fw:3 section-repeated critical fail-open/node-abort", "cluster.fw:5 nft-refused critical none/node-abort"},
		},
		"alias with two blanks": {
			map[string]string{clusterFW: on + "[ALIASES]\nab  10.0.0.1\n"},
			[]string{"cluster.fw:4 alias-blanks medium fail-closed/none"},
		},
		"enable is a time": {
			map[string]string{clusterFW: "[OPTIONS]\nenable: 2\n"},
			[]string{"cluster.fw:2 enable-above-one critical fail-open/node-abort", "cluster.fw:2 nft-refused critical none/node-abort", "cluster.fw:2 switch-missing high fail-open/fail-open"},
		},
		"shadowed, redundant": {
			map[string]string{guestFW: on + "[RULES]\nIN ACCEPT -source 10.0.0.0/8 -p tcp\nIN DROP -source 10.1.0.0/16 -p tcp -dport 22\nIN ACCEPT -source 10.2.0.0/16 -p tcp -dport 80\n" +
				"IN DROP -source 192.0.2.1\nOUT ACCEPT -p tcp -dport 53\n"},
			[]string{
				"100.fw:5 shadowed medium fail-open/fail-open", "100.fw:6 shadowed low no-effect/no-effect",
				"100.fw:8 redundant info no-effect/no-effect",
			},
		},
		"any any": {
			map[string]string{hostFW: "[RULES]\nIN ACCEPT\n"},
			[]string{"host.fw:2 any-any high none/none"},
		},
		"unused": {
			map[string]string{clusterFW: on + "[ALIASES]\nab 10.0.0.1\ncd 10.0.0.2\nlocal_network 10.0.0.0/24\n[IPSET ss]\ncd\n[IPSET management]\n10.0.0.0/24\n[group gg]\nIN SSH(ACCEPT)\n"},
			[]string{"cluster.fw:7 unused-ipset low no-effect/no-effect", "cluster.fw:11 unused-group low no-effect/no-effect", "cluster.fw:4 unused-alias info no-effect/no-effect"},
		},
		"switches": {
			map[string]string{conf: "net0: virtio=BC:24:11:00:00:01,bridge=vmbr0\nnet1: virtio=BC:24:11:00:00:03\n", nftFW: ""},
			[]string{"100.conf:1 switch-missing high fail-open/fail-open", "200.fw:0 switch-missing medium fail-open/fail-open"},
		},
		"cluster off": {
			map[string]string{clusterFW: ""},
			[]string{"cluster.fw:0 switch-missing high fail-open/fail-open"},
		},
		"a template is not filtered and need not be": {
			map[string]string{conf: "template: 1\nnet0: virtio=BC:24:11:00:00:01,bridge=vmbr0\n"}, nil,
		},
		"lock-out": {
			map[string]string{hostFW: "[RULES]\nIN DROP -p tcp -dport 8006\nIN DROP -source 10.0.0.9 -p tcp -dport 22\n"},
			[]string{"host.fw:2 lockout-management medium fail-closed/none", "host.fw:3 lockout-management medium fail-closed/none"},
		},
		"a refusing rule for all ports locks out altogether": {
			map[string]string{hostFW: "[RULES]\nIN DROP -p tcp\n"},
			[]string{"host.fw:2 lockout-management high fail-closed/none"},
		},
		"cluster traffic": {
			map[string]string{clusterFW: on + "policy_out: DROP\n"},
			[]string{"cluster.fw:3 lockout-cluster high fail-closed/fail-closed", "cluster.fw:3 lockout-cluster high fail-closed/fail-closed"},
		},
		"management too wide": {
			map[string]string{clusterFW: on + "[IPSET management]\n10.0.0.0/8\n10.2.0.0/24\n2001:db8::/32\n!172.16.0.0/12\n"},
			[]string{"cluster.fw:4 management-wide medium none/none", "cluster.fw:6 management-wide medium none/none"},
		},
		"blacklist": {
			map[string]string{clusterFW: on + "[IPSET blacklist]\n203.0.113.5\n"},
			[]string{"cluster.fw:3 blacklist-nft high none/fail-open"},
		},
		"forward": {
			map[string]string{clusterFW: on + "[RULES]\nFORWARD DROP -source 10.0.0.1\nFORWARD ACCEPT -source 10.0.0.2\n", "/etc/pve/sdn/firewall/vv.fw": "[OPTIONS]\nenable: 1\n[RULES]\nFORWARD DROP\n"},
			[]string{
				"vv.fw:4 forward-ignored medium fail-open/none", "cluster.fw:4 forward-ignored medium fail-open/none", "cluster.fw:5 forward-ignored low no-effect/none",
			},
		},
		"ipfilter": {
			map[string]string{guestFW: on + "ipfilter: 1\n", nftFW: on + "[IPSET ipfilter-net0]\n10.0.0.5\n"},
			[]string{"100.fw:3 ipfilter-empty high fail-closed/none", "200.fw:3 ipfilter-nft high none/fail-open"},
		},
		"options that only one knows": {
			map[string]string{guestFW: on + "ips: 1\n"},
			[]string{"100.fw:3 option-nft info none/no-effect"},
		},
		"bad entry and bad option": {
			map[string]string{clusterFW: on + "nonsense: 1\n[IPSET management]\n10.0.0.0/24\n10.0.0.0/24\n0.0.0.0/0\n"},
			[]string{
				"cluster.fw:6 entry-skipped medium fail-closed/none", "cluster.fw:7 entry-skipped medium fail-closed/none", "cluster.fw:3 line-skipped low no-effect/no-effect",
			},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := check(t, world(c.files))
			if diff := cmp.Diff(c.want, lines(r)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
				for _, f := range r.Findings {
					t.Logf("%s:%d %s", path.Base(f.File), f.Line, f.Text)
				}
			}
			for _, f := range r.Findings {
				if !slices.ContainsFunc(lint.Codes(), func(k lint.Code) bool { return k.Name == f.Code }) {
					t.Errorf("the code %s is not documented", f.Code)
				}
			}
		})
	}
}

func TestUnreadFileIsSaid(t *testing.T) {
	m := world(nil)
	m.Errs = map[string]error{guestFW: fs.ErrPermission}
	delete(m.Files, guestFW)
	r := check(t, m)
	if len(r.Unread) != 1 || !strings.Contains(r.Unread[0], "100.fw") {
		t.Errorf("unread: %v", r.Unread)
	}
}

// TestThirtyThousandRules is the bound: a file of more than a megabyte costs in proportion to its size, and what was cut is said.
func TestThirtyThousandRules(t *testing.T) {
	var b strings.Builder
	b.WriteString(on + "[RULES]\n")
	for i := range 30_000 {
		fmt.Fprintf(&b, "IN ACCEPT -source 10.%d.%d.7 -p tcp -dport %d\n", i%250, i/250, 1+i%60_000)
	}
	b.WriteString("IN DROP -source 10.3.0.7 -p tcp -dport 4\n")
	var r lint.Report
	hosttest.Hostile(t, "rules", b.Len(), func() { r = check(t, world(map[string]string{clusterFW: b.String()})) })
	if len(r.Bounded) == 0 {
		t.Error("the cut is not said")
	}
	want := "cluster.fw:30004 shadowed"
	if !slices.ContainsFunc(lines(r), func(l string) bool { return strings.HasPrefix(l, want) }) {
		t.Errorf("%s is missing in %v", want, lines(r))
	}
}

func FuzzCheck(f *testing.F) {
	f.Add([]byte(on+"[RULES]\nIN ACCEPT\nGROUP gg\n[group gg]\nIN DROP -source guest/ab\n[ALIASES]\nab 10.0.0.1\n"), []byte(on+"[RULES]\nGROUP gg\n"))
	f.Add([]byte("[IPSET management]\n!0.0.0.0/1\n::/1\n\x00\xff\n"), []byte("[RULES]\n|IN\n"))
	f.Add([]byte(on+"[RULES]\nIN REJECT -p tcp -dport 22\nOUT DROP\n"), []byte(on+"ipfilter: 1\n[IPSET ipfilter-net0]\n!ab\n"))
	f.Fuzz(func(t *testing.T, cluster, guest []byte) {
		m := world(nil)
		m.Files[clusterFW], m.Files[guestFW] = cluster, guest
		r := check(t, m)
		for i, x := range r.Findings {
			if x.File == "" || x.Text == "" || x.Severity.Rank() < 0 || x.Line < 0 {
				t.Fatalf("an incomplete finding: %+v", x)
			}
			if i > 0 && r.Findings[i-1].Severity.Rank() > x.Severity.Rank() {
				t.Fatal("not sorted")
			}
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	m := world(map[string]string{guestFW: on + "[RULES]\n" + strings.Repeat("IN ACCEPT -source 10.0.0.1 -p tcp -dport 80\n", 50)})
	c, err := inventory.Read(m, 9)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		lint.Check(c, lint.Options{})
	}
}
