package ifupdown

import (
	"errors"
	"io/fs"
	"path"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func tree(files map[string]string) Source {
	return Source{
		Read: func(p string) ([]byte, error) {
			s, ok := files[p]
			if !ok {
				return nil, fs.ErrNotExist
			}
			return []byte(s), nil
		},
		Glob: func(pattern string) ([]string, error) {
			var out []string
			for f := range files {
				if ok, _ := path.Match(pattern, f); ok {
					out = append(out, f)
				}
			}
			sort.Strings(out)
			return out, nil
		},
	}
}

const main = `# network
auto lo
iface lo inet loopback

iface eno1 inet manual

auto vmbr0
iface vmbr0 inet static
	address 192.0.2.10/24
	gateway 192.0.2.1
	bridge-ports eno1
	bridge_vlan_aware yes
	post-up iptables -t nat -A POSTROUTING \
		-s 10.0.0.0/24 -j MASQUERADE
iface vmbr0 inet6 static
	address 2001:db8::10
	netmask 64

auto vmbr1
iface vmbr1
	address 10.0.0.1
	netmask 255.255.255.0
	bridge-ports none

auto eno1.20
iface eno1.20 inet dhcp
stray line
source interfaces.d/*
`

func TestLoad(t *testing.T) {
	c, err := Load("/etc/network/interfaces", tree(map[string]string{
		"/etc/network/interfaces":       main,
		"/etc/network/interfaces.d/sdn": "#version:3\n\nauto vnet1\niface vnet1\n\taddress 10.9.0.1/24\n\tip-forward on\n\tbridge_ports none\noops\n",
		"/etc/network/interfaces.d/x":   "bad\n",
	}))
	if err != nil {
		t.Fatal(err)
	}
	type view struct {
		Name, Kind                 string
		Auto, VLAN                 bool
		Ports, Addresses, Gateways []string
	}
	var got []view
	for _, i := range c.Interfaces {
		got = append(got, view{i.Name, i.Kind(), i.Auto, i.VLANAware(), i.Ports(), i.Addresses(), i.Gateways()})
	}
	want := []view{
		{"lo", "loopback", true, false, nil, nil, nil},
		{"eno1", "physical", false, false, nil, nil, nil},
		{"vmbr0", "bridge", true, true, []string{"eno1"}, []string{"192.0.2.10/24", "2001:db8::10/64"}, []string{"192.0.2.1"}},
		{"vmbr1", "bridge", true, false, nil, []string{"10.0.0.1/24"}, nil},
		{"eno1.20", "vlan", true, false, nil, nil, nil},
		{"vnet1", "bridge", true, false, nil, []string{"10.9.0.1/24"}, nil},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	nat := c.Interfaces[2].Stanzas[0].Options[4]
	if nat.Key != "post-up" || !strings.HasSuffix(nat.Value, "-j MASQUERADE") || nat.Line != 13 {
		t.Errorf("continued line: %+v", nat)
	}
	if len(c.Problems) != 1 || !strings.HasPrefix(c.Problems[0], "/etc/network/interfaces.d/x:1: ") {
		t.Errorf("problems: %q", c.Problems)
	}
}

func TestIncludeLoopEnds(t *testing.T) {
	c, err := Load("/a", tree(map[string]string{"/a": "source /a\nsource /a\niface x inet manual\n"}))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Problems) == 0 {
		t.Error("a loop of included files was not reported")
	}
}

func TestUnreadableInclude(t *testing.T) {
	src := tree(map[string]string{"/a": "source /b\n"})
	src.Glob = func(string) ([]string, error) { return nil, fs.ErrPermission }
	c, err := Load("/a", src)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Errors) != 1 || !errors.Is(c.Errors[0], fs.ErrPermission) {
		t.Errorf("errors: %v", c.Errors)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add(main)
	f.Add("iface\nsource\nauto\n\\\n\x00")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := Load("/a", tree(map[string]string{"/a": s}))
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range c.Interfaces {
			i.Kind()
			i.Ports()
			i.Gateways()
			for _, a := range i.Addresses() {
				if !strings.Contains(a, "/") {
					t.Fatalf("address %q", a)
				}
			}
		}
	})
}
