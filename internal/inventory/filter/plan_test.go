package filter_test

import (
	"strings"
	"testing"

	"github.com/castellan-project/castellan/internal/inventory/filter"
)

// TestGroupThatCannotBeGenerated: the first guest that names such a group has no chain at all, and who comes later gets
// what was made of the group by then.
func TestGroupThatCannotBeGenerated(t *testing.T) {
	const group = on + "[ALIASES]\nfoo 203.0.113.1\n[IPSET foo]\n203.0.113.1\n[group bad]\nIN ACCEPT -p tcp -dport 22\nIN ACCEPT -source BAD\nIN DROP\n"
	guest := on + "[RULES]\nGROUP bad\nIN ACCEPT -p udp\n"
	for _, ref := range []string{"guest/foo", "+guest/foo"} {
		fw := strings.Replace(group, "BAD", ref, 1)
		n := network(t, filter.IPTables, "cluster.fw", fw, "100.fw", guest, "101.fw", guest)
		expect(t, n, `
			ACCEPT outside vm/100 tcp dport=9999 # not filtered: line 9, in the group bad
			ACCEPT vm/100 outside tcp dport=9999
			ACCEPT outside vm/101 tcp dport=22 # -dport 22
			ACCEPT outside vm/101 udp dport=1
			DROP outside vm/101 tcp dport=9999 # policy_in
			ACCEPT vm/101 outside tcp dport=1 # half made`)
		for _, c := range n.NICs() {
			want := map[string]filter.Missing{"100/0": filter.MissingChain, "100/1": filter.MissingChain, "101/0": filter.MissingChain,
				"200/0": filter.MissingGuest}[key(c)]
			if c.Missing != want {
				t.Errorf("NIC %s: %q is missing (%s), want %q", key(c), c.Missing, c.MissingWhy, want)
			}
		}
	}
	// Only the rules of one direction are asked for: a bad OUT rule leaves the IN chain whole.
	outBad := on + "[IPSET foo]\n203.0.113.1\n[group bad]\nIN ACCEPT -p tcp -dport 22\nOUT DROP -dest +guest/foo\n"
	expect(t, network(t, filter.IPTables, "cluster.fw", outBad, "100.fw", guest, "101.fw", guest), `
		ACCEPT outside vm/100 tcp dport=9999
		DROP outside vm/101 tcp dport=9999
		ACCEPT vm/101 outside tcp dest=203.0.113.1 # policy_out`)
	// The node loses the GROUP line only, and makes what guests then find.
	host := group + "[RULES]\nGROUP bad\nIN ACCEPT -p udp -dport 7\n"
	expect(t, network(t, filter.IPTables, "cluster.fw", strings.Replace(host, "BAD", "guest/foo", 1), "100.fw", guest), `
		DROP outside host tcp dport=22 # policy_in
		ACCEPT outside host udp dport=7
		ACCEPT outside vm/100 tcp dport=22
		ACCEPT vm/100 outside tcp # half made`)
	// In a rule of the guest itself the same mistake costs that rule alone.
	direct := on + "[IPSET foo]\n203.0.113.1\n"
	expect(t, network(t, filter.IPTables, "cluster.fw", direct, "100.fw", on+"[RULES]\nIN DROP -source +guest/foo\nIN ACCEPT\n"), `
		ACCEPT outside vm/100 tcp source=203.0.113.1 # IN ACCEPT`)
	// A name that is too long for a chain ends the run too, a group that does not exist does not.
	long := on + "[RULES]\nGROUP abcdefghijklmnopqrst\n"
	expect(t, network(t, filter.IPTables, "100.fw", long), `ACCEPT outside vm/100 tcp # too long`)
	missing := on + "[RULES]\nGROUP Web\nIN ACCEPT -p tcp\n"
	expect(t, network(t, filter.IPTables, "cluster.fw", on+"[group Web]\nIN DROP\n", "100.fw", missing), `
		ACCEPT outside vm/100 tcp
		DROP outside vm/100 udp # policy_in`)
	// In IPv4 a group with a bad rule for IPv6 only is fine.
	six := on + "[ALIASES]\nfoo 2001:db8::1\n[group bad]\nIN ACCEPT -p ipv6-icmp -dport echo-request\n"
	expect(t, network(t, filter.IPTables, "cluster.fw", six, "100.fw", guest), `
		DROP outside vm/100 tcp
		ACCEPT outside vm/100 tcp source=2001:db8::1`)
}

func key(c filter.NIC) string { return strings.TrimSpace(itoa(c.VMID) + "/" + itoa(c.Net)) }

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + itoa(n%10)
}

func TestGroups(t *testing.T) {
	fw := on + "[group web]\nIN ACCEPT -p tcp -dport 80\nIN DROP -p tcp -dport 81\nIN REJECT -p tcp -dport 82\nOUT DROP -p tcp -dport 25\nFORWARD DROP\n" +
		"IN ACCEPT -i vmbr0 -p udp\n"
	guest := on + "[RULES]\nGROUP web -i net0\nIN ACCEPT -p tcp\n"
	expect(t, network(t, filter.IPTables, "cluster.fw", fw, "100.fw", guest), `
		ACCEPT outside vm/100 tcp dport=80 # IN ACCEPT -p tcp -dport 80
		DROP outside vm/100 tcp dport=81
		REJECT outside vm/100 tcp dport=82
		ACCEPT outside vm/100 tcp dport=83 # IN ACCEPT -p tcp
		ACCEPT vmbr1/x vm/100/net1 tcp dport=81
		DROP outside vm/100 udp dport=5
		DROP vm/100 outside tcp dport=25
		ACCEPT vm/100/net1 outside tcp dport=25`)
}

// TestOrderInTheFile: Perl checks a rule when it reads it, so what it names has to stand above.
func TestOrderInTheFile(t *testing.T) {
	late := on + "[RULES]\nIN ACCEPT -source office\nIN ACCEPT -source +nets\nGROUP web\n[ALIASES]\noffice 203.0.113.1\n[IPSET nets]\n203.0.113.2\n" +
		"[group web]\nIN ACCEPT -source office -p udp\n"
	expect(t, network(t, filter.IPTables, "cluster.fw", late, "100.fw", on+"[RULES]\nIN ACCEPT -source office\n"), `
		DROP outside host tcp source=203.0.113.1
		DROP outside host tcp source=203.0.113.2
		ACCEPT outside host udp source=203.0.113.1
		ACCEPT outside vm/100 tcp source=203.0.113.1`)
	own := on + "[RULES]\nIN ACCEPT -source here\n[ALIASES]\nhere 203.0.113.1\n"
	expect(t, network(t, filter.IPTables, "100.fw", own), `DROP outside vm/100 tcp source=203.0.113.1`)
	scopes := on + "[ALIASES]\noffice 203.0.113.9\n[RULES]\nIN ACCEPT -source office -p tcp\nIN ACCEPT -source dc/office -p udp\nIN ACCEPT -source guest/Office -p sctp\n"
	expect(t, network(t, filter.IPTables, "cluster.fw", on+"[ALIASES]\noffice 203.0.113.1\n", "100.fw", scopes), `
		ACCEPT outside vm/100 tcp source=203.0.113.9
		ACCEPT outside vm/100 udp source=203.0.113.1
		ACCEPT outside vm/100 sctp source=203.0.113.9
		DROP outside vm/100 udp source=203.0.113.9`)
}
