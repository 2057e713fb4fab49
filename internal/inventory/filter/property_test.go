package filter_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/castellan-project/castellan/internal/host/hosttest"
	"github.com/castellan-project/castellan/internal/inventory/filter"
	"github.com/castellan-project/castellan/internal/netset"
)

// drawRules makes the lines of a section RULES or of a group, good ones and bad.
func drawRules(t *rapid.T, label string) string {
	line := rapid.Custom(func(t *rapid.T) string {
		pick := func(list ...string) string { return rapid.SampledFrom(list).Draw(t, "x") }
		if rapid.IntRange(0, 4).Draw(t, "kind") == 0 {
			return pick("GROUP g1", "GROUP g2 -i net0", "GROUP g3 -i eth2", "GROUP nosuch", "|GROUP g1", "GROUP abcdefghijklmnopqrstu")
		}
		return pick("IN ", "OUT ", "FORWARD ", "in ", "|IN ") + pick("ACCEPT", "DROP", "REJECT", "SSH(ACCEPT)", "Ping(DROP)", "SMB(REJECT)", "accept") +
			pick("", " -i net0", " -i vmbr0") + pick("", " -source +s1", " -source 10.0.0.0/8", " -source a1", " -source guest/a1", " -source 2001:db8::/32", " -source +guest/s1") +
			pick("", " -dest 10.0.0.1-10.0.0.99", " -dest six", " -dest 10.0.0.2,192.0.2.1") + pick("", " -p tcp", " -p udp -dport 53,100:200", " -p icmp -icmp-type any", " -p icmpv6", " -p  tcp")
	})
	return strings.Join(rapid.SliceOfN(line, 0, 8).Draw(t, label), "\n") + "\n"
}

func drawNetwork(t *rapid.T, tb testing.TB, b filter.Backend) *filter.Network {
	policy := func(label string) string {
		return rapid.SampledFrom([]string{"", "policy_in: ACCEPT\n", "policy_in: REJECT\n", "policy_out: DROP\n", "policy_out: REJECT\nipfilter: 1\n", "macfilter: 0\ndhcp: 0\n"}).Draw(t, label)
	}
	clusterFW := on + policy("cluster") + "[ALIASES]\na1 10.0.0.0/8\nsix 2001:db8::/48\n[IPSET s1]\n10.0.0.0/8\n!10.1.0.0/16\n2001:db8::/32\n" +
		"[group g1]\n" + drawRules(t, "g1") + "[group g2]\n" + drawRules(t, "g2") + "[group g3]\n" + drawRules(t, "g3") + "[RULES]\n" + drawRules(t, "rules")
	guest := func(label string) string {
		return on + policy(label) + "[ALIASES]\na1 192.0.2.0/24\n[RULES]\n" + drawRules(t, label+" rules")
	}
	return network(tb, b, "cluster.fw", clusterFW, "host.fw", "[RULES]\n"+drawRules(t, "host"), "100.fw", guest("100"), "101.fw", guest("101"), "200.fw", guest("200"))
}

// TestStages: whatever the files say, the last step of each stage is for every packet of the family, no other step is, and
// the reasons point at the lines that they quote.
func TestStages(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b := rapid.SampledFrom([]filter.Backend{filter.IPTables, filter.NFTables}).Draw(rt, "backend")
		n := drawNetwork(rt, t, b)
		ends := []string{"host", "outside", "vm/100", "vm/100/net1", "vm/101", "ct/200", "outside/eth2"}
		for _, from := range ends {
			for _, to := range ends {
				e, err1 := n.Endpoint(from)
				f, err2 := n.Endpoint(to)
				if err1 != nil || err2 != nil {
					rt.Fatal(err1, err2)
				}
				if from == to {
					continue
				}
				for _, family := range []int{4, 6} {
					all := netset.Box{Source: netset.Any4(), Dest: netset.Any4(), Service: netset.AnyService(), Class: netset.AnyClass}
					if family == 6 {
						all.Source, all.Dest = netset.Any6(), netset.Any6()
					}
					for _, s := range n.Path(e, f, family) {
						last := s.Steps[len(s.Steps)-1]
						if s.Family != family || s.Name == "" || len(last.Match) != 1 || !last.Match[0].Covers(all) {
							rt.Fatalf("%s IPv%d ends with %v", s.Name, family, last)
						}
						for _, st := range s.Steps {
							if st.Why.Rule == "" || st.Verdict == "" || st.ForeignMAC != (len(st.Match) == 0) {
								rt.Fatalf("%s: %+v", s.Name, st)
							}
							for _, box := range st.Match {
								if !all.Covers(box) {
									rt.Fatalf("%s IPv%d matches %s", s.Name, family, box)
								}
							}
						}
					}
				}
			}
		}
	})
}

// TestSimulateWalksStages: the verdict is that of the first stage that does not accept, and the trace says so.
func TestSimulateWalksStages(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b := rapid.SampledFrom([]filter.Backend{filter.IPTables, filter.NFTables}).Draw(rt, "backend")
		n := drawNetwork(rt, t, b)
		for range 20 {
			q := filter.Query{
				From:  rapid.SampledFrom([]string{"host", "outside", "vm/100", "ct/200"}).Draw(rt, "from"),
				To:    rapid.SampledFrom([]string{"vm/101", "vm/100/net1"}).Draw(rt, "to"),
				Proto: rapid.SampledFrom([]string{"", "udp", "icmp", "47"}).Draw(rt, "proto"),
				DPort: fmt.Sprint(rapid.IntRange(0, 65535).Draw(rt, "dport")),
			}
			a := rapid.Uint32().Draw(rt, "source")
			q.Source = netip.AddrFrom4([4]byte{byte(a >> 24), byte(a >> 16), byte(a >> 8), byte(a)}).String()
			got, err := n.Simulate(q)
			if err != nil {
				rt.Fatal(err)
			}
			for i, d := range got.Trace {
				if last := i == len(got.Trace)-1; last && d.Verdict != got.Verdict || !last && d.Verdict != filter.Accept {
					rt.Fatalf("%+v: %+v", q, got)
				}
			}
			if again, _ := n.Simulate(q); again.Verdict != got.Verdict {
				rt.Fatal("the second answer differs")
			}
		}
	})
}

// TestHostileFiles: megabytes of GROUP lines, of groups that name each other and of entries cost in proportion to their size.
func TestHostileFiles(t *testing.T) {
	var nested, entries strings.Builder
	nested.WriteString(on)
	for i := range 3000 {
		fmt.Fprintf(&nested, "[group g%d]\nGROUP g%d\nGROUP g%d\nIN DROP -p tcp -dport %d\n", i, i+1, i+2, i)
	}
	entries.WriteString(on + "[IPSET s1]\n")
	for i := range 60_000 {
		fmt.Fprintf(&entries, "%s10.%d.%d.%d/%d\n", []string{"", "!"}[i%2], i%256, i/256%256, i*7%256, 8+i%25)
	}
	entries.WriteString("[RULES]\n" + strings.Repeat("IN ACCEPT -source +s1 -p tcp -dport 1\n", 5000))
	many := on + "[RULES]\n" + strings.Repeat("GROUP g0\n", 100_000)
	for name, files := range map[string][]string{
		"nested":  {"cluster.fw", nested.String(), "100.fw", many},
		"entries": {"cluster.fw", entries.String()},
	} {
		for _, b := range []filter.Backend{filter.IPTables, filter.NFTables} {
			hosttest.Hostile(t, fmt.Sprintf("%s, %s", name, b), len(strings.Join(files, "")), func() {
				n := network(t, b, files...)
				for _, q := range []filter.Query{{From: "outside", To: "host"}, {From: "outside", To: "vm/100", DPort: "7"}} {
					if _, err := n.Simulate(q); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
}
