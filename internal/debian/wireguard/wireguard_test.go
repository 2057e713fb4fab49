package wireguard

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// key is a made-up string in the shape of a key, which must appear nowhere in what Parse returns.
const key = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U="

var quick = `[Interface]
Address = 10.8.0.1/24, fd00::1/64
ListenPort = 51820
PrivateKey = ` + key + `
PostUp = iptables -A FORWARD -i wg0 -j ACCEPT

# laptop of alice
[Peer]
PublicKey = ` + key + `
PresharedKey = ` + key + `
AllowedIPs = 10.8.0.2, fd00::2/128

[Peer]
# everything
PublicKey = ` + key + `
AllowedIPs = 0.0.0.0/1, 128.0.0.0/1
Endpoint = vpn.example.org:51820
PersistentKeepalive = 25
`

func TestParse(t *testing.T) {
	got := Parse([]byte(quick))
	want := &Config{
		WireGuard: true, Addresses: []string{"10.8.0.1/24", "fd00::1/64"}, ListenPort: 51820, PrivateKey: true,
		Hooks: []string{"iptables -A FORWARD -i wg0 -j ACCEPT"},
		Peers: []Peer{
			{Name: "laptop of alice", AllowedIPs: []string{"10.8.0.2/32", "fd00::2/128"}, PresharedKey: true},
			{Name: "everything", AllowedIPs: []string{"0.0.0.0/1", "128.0.0.0/1"}, Endpoint: "vpn.example.org:51820", Keepalive: 25},
		},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if got.Peers[0].Everything() || !got.Peers[1].Everything() {
		t.Error("Everything is wrong")
	}
}

func TestParseNetdev(t *testing.T) {
	got := Parse([]byte("[NetDev]\nName=wg1\nKind=wireguard\n[WireGuard]\nListenPort=auto\nPrivateKeyFile=/etc/keys/wg1\n[WireGuardPeer]\nAllowedIPs=::/0\nPresharedKeyFile=/x\n"))
	want := &Config{Name: "wg1", WireGuard: true, PrivateKeyFile: "/etc/keys/wg1",
		Peers: []Peer{{AllowedIPs: []string{"::/0"}, PresharedKey: true}}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if !got.Peers[0].Everything() {
		t.Error("::/0 is everything")
	}
	if Parse([]byte("[NetDev]\nName=br0\nKind=bridge\n")).WireGuard {
		t.Error("a bridge is no WireGuard interface")
	}
}

func TestNoKeyInProblems(t *testing.T) {
	c := Parse([]byte("PrivateKey = " + key + "\n[Interface]\nListenPort = " + key + "\n" + key + "\n#PresharedKey = " + key + "\n[Peer]\n# " + key + "\nAllowedIPs = " + key + "\n"))
	if len(c.Problems) != 3 {
		t.Errorf("problems: %q", c.Problems)
	}
	if strings.Contains(fmt.Sprintf("%+v", c), "c2Vj") {
		t.Error("a key leaked")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(quick))
	f.Add([]byte("[peer]\nallowedips=,\x00\n[\n]\n="))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, p := range Parse(b).Peers {
			p.Everything()
		}
	})
}
