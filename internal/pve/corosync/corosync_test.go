package corosync

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const sample = `logging {
  debug: off
  to_syslog: yes
}

nodelist {
  node {
    name: pve1
    nodeid: 1
    quorum_votes: 1
    ring0_addr: 10.0.0.1
    ring1_addr: 10.1.0.1
  }
  node {
    name: pve2
    nodeid: 2
    quorum_votes: 1
    ring0_addr: pve2
  }
}

quorum {
  provider: corosync_votequorum
}

totem {
  cluster_name: lab
  config_version: 4
  interface {
    linknumber: 0
  }
  ip_version: ipv4-6
  link_mode: passive
  secauth: on
  version: 2
}
`

func TestParse(t *testing.T) {
	c := Parse([]byte(sample))
	want := []Node{
		{Name: "pve1", ID: 1, Addresses: []string{"10.0.0.1", "10.1.0.1"}, Votes: 1},
		{Name: "pve2", ID: 2, Addresses: []string{"pve2"}, Votes: 1},
	}
	if d := cmp.Diff(want, c.Nodes); d != "" {
		t.Error(d)
	}
	if c.Totem["cluster_name"] != "lab" || len(c.Interfaces) != 1 || len(c.Problems) != 0 || c.Quorum["provider"] == "" {
		t.Errorf("%+v", c)
	}
}

func TestDevice(t *testing.T) {
	c := Parse([]byte("quorum {\n  device {\n    model: net\n    votes: 1\n    net {\n      host: 192.0.2.9\n    }\n  }\n  provider: corosync_votequorum\n}\n"))
	if c.Device["model"] != "net" || c.Quorum["provider"] == "" || Parse([]byte(sample)).Device != nil {
		t.Errorf("%+v", c)
	}
}

func TestParseBroken(t *testing.T) {
	for _, in := range []string{"}", "a: b", "totem {", strings.Repeat("a {\n", 100), "totem {\nnonsense\n}"} {
		if c := Parse([]byte(in)); len(c.Problems) == 0 {
			t.Errorf("%.20q: no problem reported", in)
		}
	}
}

func TestParseMembers(t *testing.T) {
	m, err := ParseMembers([]byte(`{"nodename":"pve1","version":7,
"cluster":{"name":"lab","version":4,"nodes":2,"quorate":1},
"nodelist":{"pve2":{"id":2,"online":0,"ip":"10.0.0.2"},"pve1":{"id":1,"online":1,"ip":"10.0.0.1"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := &Members{NodeName: "pve1", Cluster: true, Name: "lab", Quorate: true, Nodes: []Member{
		{"pve1", 1, true, "10.0.0.1"}, {"pve2", 2, false, "10.0.0.2"}}}
	if d := cmp.Diff(want, m); d != "" {
		t.Error(d)
	}
	m, err = ParseMembers([]byte(`{"nodename":"pve","version":0}`))
	if err != nil || m.Cluster || m.NodeName != "pve" {
		t.Errorf("standalone: %+v %v", m, err)
	}
	if _, err := ParseMembers([]byte("nope")); err == nil {
		t.Error("no error")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(sample))
	f.Add([]byte("}{\n{\n}\n\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := Parse(b)
		for _, n := range c.Nodes {
			if len(n.Addresses) > 8 {
				t.Fatal("more links than corosync has")
			}
		}
	})
}

func FuzzParseMembers(f *testing.F) {
	f.Add([]byte(`{"nodename":"a","nodelist":{"a":{"id":1}}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := ParseMembers(b); err == nil && m == nil {
			t.Fatal("neither members nor error")
		}
	})
}
