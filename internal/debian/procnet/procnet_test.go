package procnet

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const header = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"

func TestParse(t *testing.T) {
	tests := []struct {
		table, line string
		want        Socket
	}{
		{"tcp", "   0: 00000000:1F46 00000000:0000 0A 00000000:00000000 00:00000000 00000000    33        0 1153 1 0 100 0 0 10 0\n",
			Socket{Protocol: "tcp", Local: netip.MustParseAddr("0.0.0.0"), Port: 8006, Remote: netip.MustParseAddr("0.0.0.0"), Listens: true, UID: 33, Inode: 1153}},
		{"tcp", "   1: 0100007F:0055 0200000A:D6E0 01 00000000:00000000 00:00000000 00000000     0        0 7 1\n",
			Socket{Protocol: "tcp", Local: netip.MustParseAddr("127.0.0.1"), Port: 85, Remote: netip.MustParseAddr("10.0.0.2"), Inode: 7}},
		{"tcp6", "   0: 00000000000000000000000001000000:0016 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 9 1\n",
			Socket{Protocol: "tcp", Local: netip.MustParseAddr("::1"), Port: 22, Remote: netip.MustParseAddr("::"), Listens: true, Inode: 9}},
		{"udp6", " 10: 0000000000000000FFFF00000100007F:006F 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 11 2\n",
			Socket{Protocol: "udp", Local: netip.MustParseAddr("127.0.0.1"), Port: 111, Remote: netip.MustParseAddr("::"), Listens: true, Inode: 11}},
		{"udp", " 10: 0100007F:B001 01010101:007B 01 00000000:00000000 00:00000000 00000000     0        0 12 2\n",
			Socket{Protocol: "udp", Local: netip.MustParseAddr("127.0.0.1"), Port: 45057, Remote: netip.MustParseAddr("1.1.1.1"), Inode: 12}},
	}
	for _, tt := range tests {
		got, err := Parse(tt.table, []byte(header+tt.line))
		if err != nil {
			t.Errorf("%s: %v", tt.line, err)
			continue
		}
		if diff := cmp.Diff([]Socket{tt.want}, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Errorf("%s: %s", tt.line, diff)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, line := range []string{"0: 0:0\n", "0: 00:0000 00000000:0000 0A a:b c:d 0 0 0 1\n", "0: 00000000:FFFFF 00000000:0000 0A a b c 0 0 1\n"} {
		if _, err := Parse("tcp", []byte(header+line)); err == nil {
			t.Errorf("%q was accepted", line)
		}
	}
}

func TestCgroupUnit(t *testing.T) {
	for in, want := range map[string]string{
		"0::/system.slice/ssh.service\n":                                               "ssh.service",
		"12:pids:/x.service\n1:name=systemd:/system.slice/cron.service\n":              "cron.service",
		"0::/qemu.slice/100.scope\n":                                                   "100.scope",
		"0::/system.slice/system-postfix.slice/postfix@-.service\n":                    "postfix@-.service",
		"0::/user.slice/user-1000.slice/user@1000.service/app.slice/foo.service/sub\n": "foo.service",
		"0::/\n": "", "": "", "nonsense": "",
	} {
		if got := CgroupUnit([]byte(in)); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(header + "   0: 00000000:1F46 00000000:0000 0A 00000000:00000000 00:00000000 00000000    33        0 1153 1\n"))
	f.Add([]byte("\x00\xff : : :"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, name := range []string{"tcp", "udp6"} {
			socks, err := Parse(name, b)
			for _, s := range socks {
				if err == nil && (!s.Local.IsValid() || s.Port < 0 || s.Port > 65535) {
					t.Fatalf("bad socket %+v", s)
				}
			}
		}
		CgroupUnit(b)
		SocketInode(string(b))
	})
}
