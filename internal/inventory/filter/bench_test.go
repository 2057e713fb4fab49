package filter_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/castellan-project/castellan/internal/inventory"
	"github.com/castellan-project/castellan/internal/inventory/filter"
)

// big is a node with guests of fifty rules each.
func big(t testing.TB, guests int) *inventory.Cluster {
	m := map[string][]byte{}
	for name, text := range base() {
		m[name] = []byte(text)
	}
	var fw strings.Builder
	fw.WriteString(on + "[ALIASES]\nlocal_network 10.0.0.0/24\n")
	for i := range 40 {
		fmt.Fprintf(&fw, "net%02d 10.%d.0.0/16\n", i, i)
	}
	for i := range 20 {
		fmt.Fprintf(&fw, "[IPSET set%02d]\n", i)
		for j := range 20 {
			fmt.Fprintf(&fw, "192.%d.%d.0/24\n", i, j*2)
		}
	}
	for i := range 10 {
		fmt.Fprintf(&fw, "[group grp%02d]\nIN ACCEPT -p tcp -dport %d -source +set%02d\nIN SSH(ACCEPT) -source net%02d\nIN DROP -p udp -dport 53\n", i, 1000+i, i, i)
	}
	m["/etc/pve/firewall/cluster.fw"] = []byte(fw.String())
	for g := range guests {
		id := 1000 + g
		m[fmt.Sprintf("/etc/pve/nodes/pve1/qemu-server/%d.conf", id)] = fmt.Appendf(nil, "net0: virtio=BC:24:11:01:%02X:%02X,bridge=vmbr0,firewall=1\n", g/256, g%256)
		var b strings.Builder
		b.WriteString(on + "[IPSET mine]\n198.51.100.0/24\n!198.51.100.7\n[RULES]\n")
		for r := range 50 {
			switch r % 5 {
			case 0:
				fmt.Fprintf(&b, "GROUP grp%02d\n", (g+r)%10)
			case 1:
				fmt.Fprintf(&b, "IN ACCEPT -source +set%02d -p tcp -dport %d\n", (g+r)%20, 2000+r)
			case 2:
				fmt.Fprintf(&b, "IN HTTPS(ACCEPT) -source net%02d # web %d\n", (g+r)%40, g)
			case 3:
				fmt.Fprintf(&b, "OUT DROP -dest 203.0.113.%d -p udp -dport %d:%d\n", (g+r)%256, 3000+r, 4000+r)
			default:
				fmt.Fprintf(&b, "IN REJECT -source +mine -p tcp -dport %d,%d\n", 5000+r, 6000+g%1000)
			}
		}
		m[fmt.Sprintf("/etc/pve/firewall/%d.fw", id)] = []byte(b.String())
	}
	return cluster(t, m)
}

// BenchmarkCompile makes every stage of a thousand guests with fifty rules.
func BenchmarkCompile(b *testing.B) {
	c := big(b, 1000)
	for _, backend := range []filter.Backend{filter.IPTables, filter.NFTables} {
		b.Run(string(backend), func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				n := compile(b, c, "pve1", backend)
				outside := filter.Endpoint{Kind: filter.Outside, Iface: "vmbr0"}
				steps := 0
				for _, nic := range n.NICs() {
					e := filter.Endpoint{Kind: filter.GuestNIC, VMID: nic.VMID, Net: nic.Net}
					for _, family := range []int{4, 6} {
						for _, path := range [][]*filter.Stage{n.Path(outside, e, family), n.Path(e, outside, family)} {
							for _, s := range path {
								steps += len(s.Steps)
							}
						}
					}
				}
				if steps < 50_000 {
					b.Fatal(steps)
				}
			}
		})
	}
}

// BenchmarkSimulate is one packet through a guest's fifty rules and the node's.
func BenchmarkSimulate(b *testing.B) {
	n := compile(b, big(b, 2), "pve1", filter.IPTables)
	q := filter.Query{From: "vm/1000", To: "host", DPort: "9999"}
	b.ReportAllocs()
	for range b.N {
		if _, err := n.Simulate(q); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkConformance is all conformance packets with the reading and compiling of their sixty configurations.
func BenchmarkConformance(b *testing.B) {
	world, cases := archive(b)
	for range b.N {
		for _, files := range cases {
			n := compile(b, cluster(b, world, files), "node1", filter.IPTables)
			for sc := bufio.NewScanner(bytes.NewReader(files["/expected.jsonl"])); sc.Scan(); {
				var q struct {
					filter.Query
					DPort json.Number `json:"dport"`
				}
				if err := json.Unmarshal(sc.Bytes(), &q); err != nil {
					b.Fatal(err)
				}
				q.Query.DPort = q.DPort.String()
				if _, err := n.Simulate(q.Query); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
}
