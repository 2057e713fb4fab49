package reach_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/inventory"
	"github.com/castellan-project/castellan/internal/inventory/filter"
	"github.com/castellan-project/castellan/internal/inventory/filter/reach"
	"github.com/castellan-project/castellan/internal/netset"
)

// estate makes the files of one node with many guests, each with many rules of all kinds.
func estate(guests, rules int) map[string][]byte {
	rnd := rand.New(rand.NewPCG(7, 7)) //nolint:gosec // the same estate each time
	files := map[string][]byte{
		"/etc/hostname": []byte("n1\n"), "/etc/hosts": []byte("10.0.0.1 n1\n"),
		"/etc/network/interfaces": []byte("auto vmbr0\niface vmbr0 inet static\n\taddress 10.0.0.1/16\n\tbridge-ports eth0\n"),
	}
	var c strings.Builder
	c.WriteString("[OPTIONS]\nenable: 1\n[ALIASES]\n")
	for i := range 40 {
		fmt.Fprintf(&c, "net%d 10.%d.0.0/16\n", i, i)
	}
	for i := range 20 {
		fmt.Fprintf(&c, "[IPSET set%d]\n", i)
		for j := range 5 {
			fmt.Fprintf(&c, "192.0.2.%d\n", i*5+j)
		}
	}
	c.WriteString("[RULES]\nIN ACCEPT -source dc/net1 -p tcp -dport 8006\n")
	for g := range 10 {
		fmt.Fprintf(&c, "[group grp%d]\n", g)
		for k := range 5 {
			fmt.Fprintf(&c, "IN ACCEPT -source +set%d -p tcp -dport %d\n", (g+k)%20, 2000+g*10+k)
		}
	}
	files["/etc/pve/firewall/cluster.fw"] = []byte(c.String())
	for v := range guests {
		id := 100 + v
		files[fmt.Sprintf("/etc/pve/nodes/n1/qemu-server/%d.conf", id)] =
			fmt.Appendf(nil, "net0: virtio=BC:24:11:00:%02X:%02X,bridge=vmbr0,firewall=1\n", v/256, v%256)
		files[fmt.Sprintf("/etc/pve/firewall/%d.fw", id)] = []byte(guestRules(rnd, rules))
	}
	return files
}

func guestRules(rnd *rand.Rand, rules int) string {
	var b strings.Builder
	b.WriteString("[OPTIONS]\nenable: 1\n[RULES]\n")
	pick := func(list ...string) string { return list[rnd.IntN(len(list))] }
	for range rules {
		switch x := rnd.IntN(100); {
		case x < 5:
			fmt.Fprintf(&b, "GROUP grp%d\n", rnd.IntN(10))
		case x < 15:
			fmt.Fprintf(&b, "IN %s(ACCEPT) -source dc/net%d\n", pick("SSH", "HTTP", "HTTPS", "DNS", "SMTP"), rnd.IntN(40))
		case x < 30:
			fmt.Fprintf(&b, "OUT %s -dest 10.%d.%d.0/24 -p tcp -dport %d\n", pick("ACCEPT", "DROP"), rnd.IntN(255), rnd.IntN(255), 1+rnd.IntN(60000))
		case x < 50:
			fmt.Fprintf(&b, "IN %s -source +dc/set%d -p tcp -dport %d\n", pick("ACCEPT", "DROP", "REJECT"), rnd.IntN(20), 1+rnd.IntN(60000))
		case x < 60:
			fmt.Fprintf(&b, "IN DROP -source 198.51.%d.%d\n", rnd.IntN(255), rnd.IntN(255))
		default:
			fmt.Fprintf(&b, "IN ACCEPT -source 10.%d.0.0/16 -p %s -dport %d\n", rnd.IntN(255), pick("tcp", "udp"), 1+rnd.IntN(60000))
		}
	}
	return b.String()
}

// fataler is a test, a benchmark or a property.
type fataler interface{ Fatal(args ...any) }

func read(tb fataler, files map[string][]byte) *inventory.Cluster {
	c, err := inventory.Read(&host.Memory{Files: files}, 9)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// allPorts asks about all ports of all guests.
func allPorts(tb testing.TB, c *inventory.Cluster, backend filter.Backend) (rows int) {
	tb.Helper()
	n, err := filter.New(c, "n1", backend, filter.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	p := reach.NewProber(c, n)
	for _, nic := range n.NICs() {
		to := filter.Endpoint{Kind: filter.GuestNIC, VMID: nic.VMID, Net: nic.Net, Iface: nic.Bridge}
		a, err := p.Reach(reach.Query{To: to, Service: netset.AnyService(), Zones: []string{reach.ZoneOutside}})
		if err != nil {
			tb.Fatal(err)
		}
		rows += len(a.Rows)
		n.Forget(to)
	}
	return rows
}

// BenchmarkThousandGuests is the budget of the estate: 1,000 guests with 50 rules each, parse and reach for all ports
// under 2 s on two cores.
func BenchmarkThousandGuests(b *testing.B) {
	files := estate(1000, 50)
	for _, backend := range []filter.Backend{filter.IPTables, filter.NFTables} {
		b.Run(string(backend), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				b.ReportMetric(float64(allPorts(b, read(b, files), backend)), "rows")
			}
		})
	}
}
