package firewall_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/castellan-project/castellan/internal/host/hosttest"
	"github.com/castellan-project/castellan/internal/pve"
	"github.com/castellan-project/castellan/internal/pve/firewall"
)

// TestRuleLines: what pve-firewall makes of a line. Lost is part of the problem of a line that is no rule to it; errors
// are the properties that keep a rule from being generated.
func TestRuleLines(t *testing.T) {
	for _, c := range []struct {
		line   string
		want   firewall.Rule
		lost   string
		errors string
	}{
		{line: "IN ACCEPT", want: firewall.Rule{Enabled: true, Type: "in", Action: "ACCEPT"}},
		{line: "|out DROP -p tcp #x # y", want: firewall.Rule{Type: "out", Action: "DROP", Proto: "tcp", Comment: "x # y"}},
		{line: "IN ssh(ACCEPT) --source +dc/a1 -dest b1 -log info -i net0", want: firewall.Rule{Enabled: true, Type: "in", Action: "ACCEPT",
			Macro: "SSH", Source: "+dc/a1", Dest: "b1", Log: "info", Iface: "net0"}},
		{line: "IN ACCEPT -proto udp --dport 1 --sport 2 -icmp-type x", errors: "proto", want: firewall.Rule{Enabled: true, Type: "in", Action: "ACCEPT",
			Proto: "udp", DPort: "1", SPort: "2", ICMPType: "x"}},
		{line: "IN ACCEPT -p tcp -p udp", want: firewall.Rule{Enabled: true, Type: "in", Action: "ACCEPT", Proto: "udp"}},
		{line: "IN ACCEPT -log info-p tcp", want: firewall.Rule{Enabled: true, Type: "in", Action: "ACCEPT", Log: "info", Proto: "tcp"}},
		{line: "IN ACCEPT -log information", lost: "cannot parse"},
		{line: "IN ACCEPT -log nolog -log err", want: firewall.Rule{Enabled: true, Type: "in", Action: "ACCEPT", Log: "err"}},
		{line: "IN ACCEPT -p  tcp", lost: "cannot parse"},
		{line: "IN ACCEPT -p\ttcp", lost: "cannot parse"},
		{line: "IN ACCEPT -p", lost: "cannot parse"},
		{line: "IN ACCEPT tcp", lost: "cannot parse"},
		{line: "| IN ACCEPT", lost: "no type"},
		{line: "IN", lost: "no type"},
		{line: "IN ", lost: "no type"},
		{line: "GROUP web -i net0", want: firewall.Rule{Enabled: true, Type: "group", Action: "web", Iface: "net0"}},
		{line: "GROUP web -p tcp", lost: "cannot parse"},
		{line: "group Web", want: firewall.Rule{Enabled: true, Type: "group", Action: "Web"}},
		{line: "GROUP 1web", errors: "action", want: firewall.Rule{Enabled: true, Type: "group", Action: "1web"}},
		{line: "IN accept", errors: "action", want: firewall.Rule{Enabled: true, Type: "in", Action: "accept"}},
		{line: "IN SSH(accept)", errors: "action", want: firewall.Rule{Enabled: true, Type: "in", Action: "SSH(accept)"}},
		{line: "IN Nosuch(DROP)", errors: "macro", want: firewall.Rule{Enabled: true, Type: "in", Action: "DROP", Macro: "Nosuch"}},
		{line: "FOO ACCEPT", errors: "type", want: firewall.Rule{Enabled: true, Type: "foo", Action: "ACCEPT"}},
		{line: "FORWARD ACCEPT", errors: "type", want: firewall.Rule{Enabled: true, Type: "forward", Action: "ACCEPT"}},
		{line: "IN ACCEPT -i eth0", errors: "iface", want: firewall.Rule{Enabled: true, Type: "in", Action: "ACCEPT", Iface: "eth0"}},
		{line: "IN ACCEPT -dport 22", errors: "proto,dport", want: firewall.Rule{Enabled: true, Type: "in", Action: "ACCEPT", DPort: "22"}},
		{line: "IN ACCEPT -p gre -dport 22", errors: "dport", want: firewall.Rule{Enabled: true, Type: "in", Action: "ACCEPT", Proto: "gre", DPort: "22"}},
		{line: "IN ACCEPT -p 6 -dport 22", want: firewall.Rule{Enabled: true, Type: "in", Action: "ACCEPT", Proto: "6", DPort: "22"}},
		{line: "IN ACCEPT -p nosuch", errors: "proto", want: firewall.Rule{Enabled: true, Type: "in", Action: "ACCEPT", Proto: "nosuch"}},
		{line: "IN ACCEPT -p 250", errors: "proto", want: firewall.Rule{Enabled: true, Type: "in", Action: "ACCEPT", Proto: "250"}},
		{line: "IN ACCEPT -p tcp -dport 2:1", errors: "dport", want: firewall.Rule{Enabled: true, Type: "in", Action: "ACCEPT", Proto: "tcp", DPort: "2:1"}},
		{line: "IN ACCEPT -p tcp -dport 1,", errors: "dport", want: firewall.Rule{Enabled: true, Type: "in", Action: "ACCEPT", Proto: "tcp", DPort: "1,"}},
		{line: "IN ACCEPT -p tcp -dport 65536", errors: "dport", want: firewall.Rule{Enabled: true, Type: "in", Action: "ACCEPT", Proto: "tcp", DPort: "65536"}},
		{line: "IN ACCEPT -p tcp -sport nosuch", errors: "sport", want: firewall.Rule{Enabled: true, Type: "in", Action: "ACCEPT", Proto: "tcp", SPort: "nosuch"}},
		{line: "IN ACCEPT -p icmp -dport echo-request", want: firewall.Rule{Enabled: true, Type: "in", Action: "ACCEPT", Proto: "icmp", DPort: "echo-request"}},
		{line: "IN ACCEPT -p icmp -icmp-type 8", errors: "icmp-type", want: firewall.Rule{Enabled: true, Type: "in", Action: "ACCEPT", Proto: "icmp", ICMPType: "8"}},
		{line: "IN ACCEPT -p icmp -icmp-type no-route", errors: "icmp-type", want: firewall.Rule{Enabled: true, Type: "in", Action: "ACCEPT", Proto: "icmp", ICMPType: "no-route"}},
		{line: "IN ACCEPT -p icmpv6 -icmp-type no-route", want: firewall.Rule{Enabled: true, Type: "in", Action: "ACCEPT", Proto: "icmpv6", ICMPType: "no-route"}},
		{line: "IN ACCEPT -source 1.2.3", errors: "source", want: firewall.Rule{Enabled: true, Type: "in", Action: "ACCEPT", Source: "1.2.3"}},
		{line: "IN ACCEPT -source 10.0.0.1/8", errors: "source", want: firewall.Rule{Enabled: true, Type: "in", Action: "ACCEPT", Source: "10.0.0.1/8"}},
		{line: "IN ACCEPT -source +1", errors: "source", want: firewall.Rule{Enabled: true, Type: "in", Action: "ACCEPT", Source: "+1"}},
		{line: "IN ACCEPT -dest 10.0.0.0-10.0.0.9", want: firewall.Rule{Enabled: true, Type: "in", Action: "ACCEPT", Dest: "10.0.0.0-10.0.0.9"}},
		{line: "IN ACCEPT -source 0 -p 0", want: firewall.Rule{Enabled: true, Type: "in", Action: "ACCEPT", Source: "0", Proto: "0"}},
	} {
		f, problems := firewall.Parse(firewall.GuestFile, []byte("[RULES]\n"+c.line+"\n"))
		if c.lost != "" {
			if len(f.Rules) != 0 || len(problems) != 1 || !strings.Contains(problems[0].Text, c.lost) {
				t.Errorf("%s: %+v, %v", c.line, f.Rules, problems)
			}
			continue
		}
		if len(f.Rules) != 1 {
			t.Errorf("%s: the rule is lost: %v", c.line, problems)
			continue
		}
		got, properties := f.Rules[0], []string{}
		for _, e := range got.Errors {
			properties = append(properties, e.Property)
		}
		if strings.Join(properties, ",") != c.errors {
			t.Errorf("%s: errors %v, want %s", c.line, got.Errors, c.errors)
		}
		c.want.Line, got.Errors = 2, nil
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.line, d)
		}
	}
}

func TestSections(t *testing.T) {
	const text = "enable: 1\n" +
		"[Options] \n\tEnable: 1\nnosuch: 2\npolicy_in: reject\nenable: 0\n" +
		"[ALIASES]\nA1 10.0.0.0/8 # c\nb1  10.0.0.1\nc1 nowhere\nd1 10.0.0.7/32\nA1 10.9.0.0/16\n" +
		"[IPSET Nets] # all\n10.0.0.1\n10.0.0.1/32\n! 10.0.0.2 # no\n0.0.0.0/0\na1 b1\na1\n!\n" +
		"[group Web] # www\nIN ACCEPT\nGROUP x1\n" +
		"[group abcdefghijklmnopqrs]\nIN DROP\n" +
		"[rules]\nIN DROP\n[nonsense]\n"
	f, problems := firewall.Parse(firewall.ClusterFile, []byte(text))
	if o, _ := f.Option("enable"); o.Value != "0" || o.Line != 6 {
		t.Errorf("the last option counts: %+v", o)
	}
	if f.Value("policy_in", "") != "REJECT" || f.Value("policy_out", "ACCEPT") != "ACCEPT" {
		t.Error("policies")
	}
	if a, ok := f.Alias("a1"); !ok || a.CIDR != "10.9.0.0/16" || a.Name != "A1" {
		t.Errorf("alias: %+v", a)
	}
	if a, ok := f.Alias("d1"); !ok || a.CIDR != "10.0.0.7" {
		t.Errorf("a single address loses its length: %+v", a)
	}
	set, ok := f.IPSet("nets")
	if _, upper := f.IPSet("Nets"); upper || !ok || set.Written != "Nets" || set.Comment != "all" {
		t.Errorf("ipset: %+v", set)
	}
	good := 0
	for _, e := range set.Entries {
		if e.Error == "" {
			good++
		}
	}
	if len(set.Entries) != 7 || good != 3 || !set.Entries[2].NoMatch || !set.Entries[5].Alias {
		t.Errorf("entries: %+v", set.Entries)
	}
	if g, ok := f.Group("web"); !ok || len(g.Rules) != 2 || len(g.Rules[1].Errors) == 0 || g.Comment != "www" {
		t.Errorf("group: %+v", g)
	}
	if len(f.Rules) != 1 || f.Text(f.Rules[0].Line) != "IN DROP" || f.Text(99) != "" {
		t.Errorf("rules: %+v", f.Rules)
	}
	lines := []int{}
	for _, p := range problems {
		lines = append(lines, p.Line)
	}
	// 1 no section, 4 unknown, 9 and 10 aliases, 8 replaced, 15 twice, 17 zero, 18 two words, 20 nothing, 23 group in a
	// group, 24 too long, 25 without a section, 28 no header.
	if d := cmp.Diff([]int{1, 4, 9, 10, 8, 15, 17, 18, 20, 23, 24, 25, 28}, lines); d != "" {
		t.Errorf("problems (-want +got):\n%s\n%v", d, problems)
	}
}

// TestWindowsLines: a carriage return hides "[RULES]" from Perl, and not "[group x]".
func TestWindowsLines(t *testing.T) {
	text := strings.ReplaceAll("[OPTIONS]\nenable: 1\n[group web]\nIN ACCEPT -p tcp\n\n[RULES]\nIN DROP\n", "\n", "\r\n")
	f, problems := firewall.Parse(firewall.ClusterFile, []byte(text))
	if _, ok := f.Option("enable"); ok || len(f.Rules) != 0 {
		t.Errorf("%+v %+v", f.Options, f.Rules)
	}
	g, ok := f.Group("web")
	if !ok || len(g.Rules) != 2 || g.Rules[0].Proto != "tcp" || len(problems) == 0 {
		t.Errorf("%+v, %v", g, problems)
	}
	if len(f.Strict) != 0 {
		t.Errorf("proxmox-firewall does not mind: %v", f.Strict)
	}
}

func TestOtherKinds(t *testing.T) {
	host, problems := firewall.Parse(firewall.HostFile, []byte("[OPTIONS]\nnftables: 1\n[IPSET a1]\n10.0.0.1\n[RULES]\nFORWARD DROP -i vmbr0\nFORWARD REJECT\n"))
	if !host.On("nftables", false) || len(host.IPSets) != 0 || len(host.Rules) != 2 || len(host.Rules[0].Errors) != 0 || len(host.Rules[1].Errors) != 1 {
		t.Errorf("%+v", host)
	}
	if len(problems) != 3 || host.Refused() == nil {
		t.Errorf("the header and the entry are junk of the options: %v, %v", problems, host.Strict)
	}
	vnet, _ := firewall.Parse(firewall.VNetFile, []byte("[OPTIONS]\nenable: 1\npolicy_forward: REJECT\n[RULES]\nIN ACCEPT\nFORWARD ACCEPT\n"))
	if vnet.Value("policy_forward", "ACCEPT") != "ACCEPT" || len(vnet.Rules[0].Errors) == 0 || len(vnet.Rules[1].Errors) != 0 {
		t.Errorf("%+v", vnet)
	}
	guest, _ := firewall.Parse(firewall.GuestFile, []byte("[group web]\n[OPTIONS]\nips_queues: 1:3\nlog_level_in:\nlayer2_protocols: ARP,IPv4\nmacfilter: 2\n"))
	if len(guest.Groups) != 0 || guest.Value("ips_queues", "") != "1:3" || !guest.On("macfilter", true) {
		t.Errorf("%+v", guest)
	}
	if o, ok := guest.Option("log_level_in"); !ok || o.Value != "" {
		t.Errorf("an empty log level is one: %+v", o)
	}
	empty, problems := firewall.Parse(firewall.ClusterFile, nil)
	if len(problems)+len(empty.Strict) != 0 || empty.Refused() != nil || len(empty.Bytes()) != 0 {
		t.Error("an empty file is fine")
	}
}

// TestStrict: what proxmox-firewall makes of a line; empty for nothing to say.
func TestStrict(t *testing.T) {
	for _, c := range []struct {
		kind   firewall.Kind
		text   string
		effect pve.Effect
		line   int
	}{
		{firewall.ClusterFile, "[options]\nenable: yes\n[aliases]\na1  10.0.0.1/24   # c\n[IPSET a1]\n! 10.0.0.1 # c\n[group g1]\nin accept --iface eth0\n[rules]\nGROUP g1 -i eth0\n", "", 0},
		{firewall.ClusterFile, "[OPTIONS]\nenable: 2\n", pve.Aborted, 2},
		{firewall.ClusterFile, "[OPTIONS]\nEnable: 1\n", pve.Skipped, 2},
		{firewall.ClusterFile, "[OPTIONS]\nbogus: 1\n", pve.Skipped, 2},
		{firewall.ClusterFile, "[OPTIONS]\nenable: 1\nenable: 1\n", pve.Aborted, 3},
		{firewall.ClusterFile, "[OPTIONS]\nenable\n", pve.Aborted, 2},
		{firewall.ClusterFile, "[ipset a1]\n", pve.Aborted, 1},
		{firewall.ClusterFile, "[GROUP a1]\nIN ACCEPT\n", pve.Aborted, 1},
		{firewall.ClusterFile, "[IPSETa1]\n", pve.Aborted, 1},
		{firewall.ClusterFile, "[IPSET a1\n", pve.Aborted, 1},
		{firewall.ClusterFile, "[IPSET a1] x\n", pve.Aborted, 1},
		{firewall.ClusterFile, "[IPSET a1]\n[IPSET a1]\n", pve.Aborted, 2},
		{firewall.ClusterFile, "[IPSET a1]\n10.0.0.1 x\n", pve.Aborted, 2},
		{firewall.ClusterFile, "[IPSET a1]\n10.0.0.300\n", pve.Aborted, 2},
		{firewall.ClusterFile, "[ALIASES]\na1 nowhere\n", pve.Aborted, 2},
		{firewall.ClusterFile, "[ALIASES]\na1 10.0.0.1\nA1 10.0.0.2\n", pve.Aborted, 3},
		{firewall.ClusterFile, "[RULES]\ngroup g1\n", pve.Aborted, 2},
		{firewall.ClusterFile, "[RULES]\nGROUP g1 -p tcp\n", pve.Aborted, 2},
		{firewall.ClusterFile, "[RULES]\nIN ssh(ACCEPT)\n", pve.Skipped, 2},
		{firewall.ClusterFile, "[RULES]\nIN ACCEPT -p tcp -p tcp\n", pve.Aborted, 2},
		{firewall.ClusterFile, "[RULES]\nIN ACCEPT -p\n", pve.Aborted, 2},
		{firewall.ClusterFile, "[RULES]\nIN ACCEPT ---p tcp\n", pve.Aborted, 2},
		{firewall.ClusterFile, "[RULES]\nIN ACCEPT -source 10.0.0.1 -dest fd00::1\n", pve.Aborted, 2},
		{firewall.ClusterFile, "[RULES]\nIN ACCEPT -p tcp -dport 5:4\n", pve.Aborted, 2},
		{firewall.ClusterFile, "[RULES]\nIN ACCEPT -p icmp -icmp-type nosuch\n", pve.Aborted, 2},
		{firewall.ClusterFile, "[RULES]\nIN ACCEPT -p icmp -icmp-type 1 -dport 2\n", pve.Aborted, 2},
		{firewall.ClusterFile, "[RULES]\nIN SSH(ACCEPT\n", pve.Aborted, 2},
		{firewall.ClusterFile, "x\n", pve.Aborted, 1},
		{firewall.ClusterFile, "[nonsense]\n", pve.Aborted, 1},
		{firewall.ClusterFile, "[RULES]\n\xff\n", pve.Aborted, 2},
		{firewall.GuestFile, "[RULES]\nIN ACCEPT -i eth0\n", pve.Aborted, 2},
		{firewall.GuestFile, "[RULES]\nFORWARD ACCEPT\n", pve.Aborted, 2},
		{firewall.GuestFile, "[group g1]\n", pve.Aborted, 1},
		{firewall.GuestFile, "[OPTIONS]\nips: 1\n", pve.Skipped, 2},
		{firewall.GuestFile, "[OPTIONS]\nlog_level_in: warn\n", "", 0},
		{firewall.HostFile, "[ALIASES]\n", "", 0},
		{firewall.HostFile, "[ALIASES]\na1 10.0.0.1\n", pve.Aborted, 2},
		{firewall.HostFile, "[group a1]\n", pve.Aborted, 1},
		{firewall.VNetFile, "[IPSET a1]\n", pve.Aborted, 1},
		{firewall.ClusterFile, "[group a1]\nGROUP b1\n[OPTIONS]\nlog_ratelimit: 1,rate=5/minute,burst=9\n", "", 0},
		{firewall.ClusterFile, "[OPTIONS]\nlog_ratelimit: rate=5/year\n", pve.Aborted, 2},
		{firewall.ClusterFile, "[OPTIONS]\nlog_ratelimit: 2\n", pve.Aborted, 2},
		{firewall.HostFile, "[OPTIONS]\nndp: on\nnf_conntrack_max: x\n", pve.Aborted, 3},
		{firewall.VNetFile, "[RULES]\nIN ACCEPT\n", pve.Aborted, 2},
	} {
		f, _ := firewall.Parse(c.kind, []byte(c.text))
		switch {
		case c.effect == "" && len(f.Strict) > 0:
			t.Errorf("%q: %v", c.text, f.Strict)
		case c.effect != "" && (len(f.Strict) == 0 || f.Strict[0].Effect != c.effect || f.Strict[0].Line != c.line):
			t.Errorf("%q: %v, want %s in line %d", c.text, f.Strict, c.effect, c.line)
		case (f.Refused() != nil) != (c.effect == pve.Aborted):
			t.Errorf("%q: refused %v", c.text, f.Refused())
		}
	}
}

func TestMacros(t *testing.T) {
	all := firewall.Macros()
	if len(all) != 86 {
		t.Errorf("%d macros, want 86", len(all))
	}
	for _, m := range all {
		got, ok := firewall.MacroByName(strings.ToUpper(m.Name))
		if !ok || got.Name != m.Name {
			t.Errorf("%s is not found", m.Name)
		}
		for _, r := range append(m.Rules(4), m.Rules(6)...) {
			if _, ok := firewall.Protocol(r.Proto); !ok && r.Proto != "94" {
				t.Errorf("%s: unknown protocol %s", m.Name, r.Proto)
			}
			for _, p := range []string{r.DPort, r.SPort} {
				if _, _, why := firewall.Ports(p, true); p != "" && why != "" {
					t.Errorf("%s: %s", m.Name, why)
				}
			}
		}
		if len(m.Rules(6)) == 0 || (len(m.Rules(4)) == 0) != (m.Family == 6) {
			t.Errorf("%s: families", m.Name)
		}
	}
	if _, ok := firewall.MacroByName("PBS"); ok {
		t.Error("pve-firewall has no PBS")
	}
}

// TestBytes: the text is kept byte for byte, and every line is there.
func TestBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOf(rapid.SampledFrom([]string{"[RULES]\n", "[IPSET a1]\r\n", "10.0.0.1\n", "IN ACCEPT -p tcp", "\n", "\r", "#", "\x00", "\xff\n",
			"[OPTIONS]", "enable: 1\n", "GROUP x1\n", "[group x1]\n", " \t", "\xa0", "a1 10.0.0.0/8\n", "[ALIASES]\n"})).Draw(t, "parts"), "")
		for _, kind := range []firewall.Kind{firewall.ClusterFile, firewall.HostFile, firewall.GuestFile, firewall.VNetFile} {
			f, problems := firewall.Parse(kind, []byte(text))
			if !bytes.Equal(f.Bytes(), []byte(text)) {
				t.Fatalf("%q became %q", text, f.Bytes())
			}
			for _, p := range append(problems, f.Strict...) {
				if p.Line < 1 || p.Line > f.Lines() {
					t.Fatalf("%v is outside of %d lines", p, f.Lines())
				}
			}
		}
	})
}

// huge is a cluster.fw of a megabyte with thirty thousand rules.
func huge() []byte {
	var b bytes.Buffer
	b.WriteString("[OPTIONS]\nenable: 1\n[RULES]\n")
	for i := range 30_000 {
		fmt.Fprintf(&b, "IN ACCEPT -p tcp -dport %d -source 10.%d.%d.0/24\n", i%65535, i%200, i/200)
	}
	return b.Bytes()
}

// TestHostile: large files that are made to hurt cost in proportion to their size.
func TestHostile(t *testing.T) {
	for name, text := range map[string][]byte{
		"many rules":   huge(),
		"one line":     bytes.Repeat([]byte("IN ACCEPT -p tcp "), 600_000),
		"headers":      bytes.Repeat([]byte("[group web]\nIN x\n"), 100_000),
		"brackets":     append([]byte("[group "), append(bytes.Repeat([]byte("]"), 2_000_000), 'x')...),
		"duplicates":   append([]byte("[IPSET a1]\n"), bytes.Repeat([]byte("10.0.0.1\n"), 200_000)...),
		"long list":    append([]byte("[RULES]\nIN ACCEPT -p tcp -dport "), bytes.Repeat([]byte("1,"), 2_000_000)...),
		"long sources": append([]byte("[RULES]\nIN ACCEPT -source "), bytes.Repeat([]byte("10.0.0.1,"), 500_000)...),
		"zeros":        bytes.Repeat([]byte{0}, 5_000_000),
	} {
		hosttest.Hostile(t, name, len(text), func() {
			if f, _ := firewall.Parse(firewall.ClusterFile, text); f.Lines() == 0 {
				t.Errorf("%s: no line was read", name)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add("cluster", []byte("[OPTIONS]\nenable: 1\n[ALIASES]\na1 10.0.0.0/8\n[IPSET b1]\n!10.0.0.1\na1\n[group c1]\nIN SSH(ACCEPT) -source +b1\n[RULES]\nGROUP c1 -i eth0\n"))
	f.Add("guest", []byte("[RULES]\nIN ACCEPT -i net0 -p icmp -icmp-type any -log err # c\n|OUT DROP --dport 1:2,http --sport 3 -p 17\r\n"))
	f.Add("host", []byte("[options]\nnftables: 1\nlog_level_in:\n[RULES]"))
	f.Add("vnet", []byte("[RULES]\nFORWARD DROP -source 10.0.0.1-10.0.0.9\n\x00[RULES]"))
	f.Fuzz(func(t *testing.T, kind string, b []byte) {
		file, problems := firewall.Parse(firewall.Kind(kind), b)
		if !bytes.Equal(file.Bytes(), b) {
			t.Fatal("the text changed")
		}
		for _, p := range append(problems, file.Strict...) {
			if p.Line < 1 || p.Line > file.Lines() || p.Text == "" || p.Effect == "" {
				t.Fatalf("%+v", p)
			}
		}
		sc := firewall.Scope{Cluster: file, Local: file}
		for i := range file.Rules {
			c := sc.Check(&file.Rules[i])
			if len(c.Errors) < len(file.Rules[i].Errors) {
				t.Fatal("errors are lost")
			}
		}
	})
}

// BenchmarkParse is a cluster.fw of a megabyte, for both programs.
func BenchmarkParse(b *testing.B) {
	text := huge()
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for range b.N {
		if f, _ := firewall.Parse(firewall.ClusterFile, text); len(f.Rules) != 30_000 {
			b.Fatal(len(f.Rules))
		}
	}
}
