package cli

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// bigTree is a cluster of so many guests, on 16 nodes, in 30 VLANs, each with a firewall file.
func bigTree(tb testing.TB, guests int) string {
	tb.Helper()
	root := tb.TempDir()
	write := func(name, s string) {
		p := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(s), 0o644); err != nil {
			tb.Fatal(err)
		}
	}
	interfaces := "iface eno1 inet manual\niface eno2 inet manual\niface bond0 inet manual\n\tbond-slaves eno1 eno2\n\tbond-mode 802.3ad\n" +
		"iface vmbr0 inet static\n\taddress 10.0.0.1/24\n\tgateway 10.0.0.254\n\tbridge-ports bond0\niface vmbr1 inet manual\n\tbridge-ports eno3\n\tbridge-vlan-aware yes\n"
	write("etc/hostname", "pve00\n")
	write("etc/network/interfaces", interfaces)
	corosync := "totem {\n cluster_name: big\n}\nnodelist {\n"
	for n := range 16 {
		corosync += fmt.Sprintf(" node {\n  name: pve%02d\n  nodeid: %d\n  ring0_addr: 10.0.0.%d\n }\n", n, n+1, n+1)
	}
	write("etc/pve/corosync.conf", corosync+"}\n")
	write("etc/pve/firewall/cluster.fw", "[OPTIONS]\nenable: 1\n")
	for i := range guests {
		second := ""
		if i%50 == 0 {
			second = "net1: virtio=BC:24:11:00:00:02,bridge=vmbr0\n"
		}
		write(fmt.Sprintf("etc/pve/nodes/pve%02d/qemu-server/%d.conf", i%16, 1000+i),
			fmt.Sprintf("name: guest%d\ncores: 2\nmemory: 2048\nnet0: virtio=BC:24:11:00:00:01,bridge=vmbr1,tag=%d,firewall=%d\n%s", i, 100+i%30, i%2, second))
		write(fmt.Sprintf("etc/pve/firewall/%d.fw", 1000+i), "[OPTIONS]\nenable: 1\n[RULES]\n"+strings.Repeat("IN ACCEPT -source 10.1.2.3 -p tcp -dport 443\n", 50))
	}
	return root
}

// TestMapGroups draws a thousand guests: in boxes that say how many they stand for.
func TestMapGroups(t *testing.T) {
	root := bigTree(t, 1000)
	var out, errw bytes.Buffer
	if code := Main([]string{"pve", "map", "--root", root, "-o", "-"}, strings.NewReader(""), &out, &errw); code != 0 {
		t.Fatalf("exit %d: %s", code, errw.String())
	}
	var guests, boxes int
	var of int
	if _, err := fmt.Sscanf(errw.String(), "%d of %d guests are drawn together, boxes: %d", &guests, &of, &boxes); err != nil {
		t.Fatalf("%v: %q", err, errw.String())
	}
	if of != 1000 || guests < 900 || boxes > 300 {
		t.Errorf("%d of %d guests in %d boxes", guests, of, boxes)
	}
	if n := strings.Count(out.String(), `<g class="guest`); n != boxes+1000-guests {
		t.Errorf("%d boxes are drawn, %d expected", n, boxes+1000-guests)
	}
}

// BenchmarkMap is the whole command for a thousand guests with fifty rules each; it may take two seconds.
func BenchmarkMap(b *testing.B) {
	root := bigTree(b, 1000)
	for b.Loop() {
		var out, errw bytes.Buffer
		if code := Main([]string{"pve", "map", "--root", root, "-o", "-"}, strings.NewReader(""), &out, &errw); code != 0 {
			b.Fatalf("exit %d: %s", code, errw.String())
		}
	}
}
