package reach_test

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/castellan-project/castellan/internal/inventory/filter"
	"github.com/castellan-project/castellan/internal/inventory/filter/reach"
	"github.com/castellan-project/castellan/internal/netset"
)

func set(prefixes ...string) netset.Addrs {
	var out []netset.Addrs
	for _, p := range prefixes {
		out = append(out, netset.Prefix(netip.MustParsePrefix(p)))
	}
	return netset.Join(out...)
}

func TestDescribe(t *testing.T) {
	names := reach.NewNames([]reach.Name{
		{Text: "+dc/blacklist", Set: set("198.51.100.77/32", "203.0.113.9/32")},
		{Text: "dc/bastion", Set: set("10.10.10.5/32")},
		{Text: "dc/office", Set: set("10.1.0.0/16", "2001:db8:1::/48")},
		{Text: "dc/desk", Set: set("10.1.4.0/24")},
		{Text: "dc/second", Set: set("10.1.0.0/16")},
		{Text: "dc/lab", Set: set("10.2.0.0/16")},
	})
	cases := []struct {
		set  netset.Addrs
		want string
	}{
		{netset.Any4(), "everyone"},
		{netset.Any6(), "everyone"},
		{set("10.1.0.0/16"), "dc/office"},
		{set("2001:db8:1::/48"), "dc/office"},
		{set("10.1.0.0/16", "10.2.0.0/16"), "dc/lab, dc/office"},
		{set("10.2.0.0/16", "10.1.4.0/24"), "dc/desk, dc/lab"},
		{set("198.51.100.77/32", "203.0.113.9/32", "10.10.10.5/32"), "+dc/blacklist, dc/bastion"},
		{set("198.51.100.77/32"), "198.51.100.77"},
		{set("10.1.0.0/16", "10.3.0.0/16"), "10.1.0.0/16, 10.3.0.0/16"},
		{netset.Any4().Minus(set("10.1.0.0/16")), "everyone except dc/office"},
		{netset.Any4().Minus(set("10.9.0.0/16")), "everyone except 10.9.0.0/16"},
		{netset.Any4().Minus(set("198.51.100.77/32", "203.0.113.9/32", "10.10.10.5/32")), "everyone except +dc/blacklist, dc/bastion"},
		{set("10.0.0.0/24").Minus(set("10.0.0.0/26")), "10.0.0.64-10.0.0.255"},
	}
	for _, c := range cases {
		if got := names.Describe(c.set).String(); got != c.want {
			t.Errorf("%v: got %q, want %q", c.set, got, c.want)
		}
	}
}

func TestServiceText(t *testing.T) {
	tcp := func(from, to uint16) netset.Services {
		return netset.PortService(netset.ProtoTCP, netset.AnyPorts(), netset.PortRange(from, to))
	}
	udp := netset.PortService(netset.ProtoUDP, netset.AnyPorts(), netset.PortRange(53, 53))
	all := netset.AnyService()
	cases := []struct {
		services, asked netset.Services
		want            string
	}{
		{all, all, "everything"},
		{tcp(22, 22), tcp(22, 22), "tcp 22"},
		{tcp(22, 22).Union(tcp(80, 90)), all, "tcp 22,80:90"},
		{tcp(53, 53).Union(udp), all, "tcp,udp 53"},
		{all.Minus(tcp(22, 22)), all, "everything except tcp 22"},
		{tcp(5900, 5999).Minus(tcp(5950, 5950)), tcp(5900, 5999), "tcp 5900:5999 except tcp 5950"},
		{netset.ICMPService(netset.ProtoICMP, 8, -1), all, "icmp type 8"},
		{netset.PortService(netset.ProtoUDP, netset.PortRange(68, 68), netset.PortRange(67, 67)), all, "udp 67 from port 68"},
		{netset.Protocol(47), all, "gre"},
	}
	for _, c := range cases {
		if got := reach.ServiceText(c.services, c.asked); got != c.want {
			t.Errorf("%v: got %q, want %q", c.services, got, c.want)
		}
	}
}

// TestCompare follows one node from pve-firewall to proxmox-firewall.
func TestCompare(t *testing.T) {
	files := estate(1, 0)
	files["/etc/pve/firewall/cluster.fw"] = []byte("[OPTIONS]\nenable: 1\n[RULES]\nIN DROP -source 10.0.0.7 -p tcp -dport 22\nIN ACCEPT -p tcp -dport 445\n")
	files["/etc/pve/firewall/100.fw"] = []byte("[OPTIONS]\nenable: 1\n[RULES]\nIN HTTP(ACCEPT)\nIN https(ACCEPT)\n")
	c := read(t, files)
	var nets [2]*filter.Network
	for i, b := range []filter.Backend{filter.IPTables, filter.NFTables} {
		n, err := filter.New(c, "n1", b, filter.Options{})
		if err != nil {
			t.Fatal(err)
		}
		nets[i] = n
	}
	d := reach.Compare(c, nets[0], nets[1], func(vmid int) *reach.Names { return reach.NewNames(reach.Named(c, vmid)) })
	got := map[string]bool{}
	for _, f := range d.Flips {
		if f.Family != 4 || f.Service.Overlaps(netset.Protocol(netset.ProtoICMP)) || f.Service.Overlaps(netset.Protocol(netset.ProtoUDP)) || f.Out {
			continue
		}
		change := "closes "
		if f.Opens {
			change = "opens "
		}
		got[change+f.Machines[0]+" "+reach.ServiceText(f.Service, netset.AnyService())+" from "+f.Sources.String()+": "+f.Before.Rule+" > "+f.After.Rule] = true
	}
	want := map[string]bool{
		"closes host tcp 445 from everyone: IN ACCEPT -p tcp -dport 445 > default: SMB":                                          true,
		"closes host tcp 60000:60050 from 10.0.0.0/16: management: tcp 60000:60050 > policy_in DROP (default)":                   true,
		"opens host tcp 22 from 10.0.0.7: IN DROP -source 10.0.0.7 -p tcp -dport 22 > management: tcp 8006, 5900-5999, 3128, 22": true,
		"closes vm/100/net0 tcp 443 from everyone: IN https(ACCEPT) > policy_in DROP (default)":                                  true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	same := reach.Compare(c, nets[0], nets[0], func(int) *reach.Names { return reach.NewNames(nil) })
	if len(same.Flips) != 0 || same.Compared != 2 {
		t.Errorf("a firewall differs from itself: %v", same.Flips)
	}
}
