package datacenter_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/castellan-project/castellan/internal/pve/datacenter"
)

func TestMigration(t *testing.T) {
	for in, want := range map[string]datacenter.Migration{
		"": {Type: "secure"},
		"migration: insecure,network=10.0.0.0/24\n":  {Type: "insecure", Network: "10.0.0.0/24", Line: 1},
		"migration: network=10.0.0.0/24\n":           {Type: "secure", Network: "10.0.0.0/24", Line: 1},
		"migration: type=secure\n":                   {Type: "secure", Line: 1},
		"keyboard: de\nmigration_unsecure: 1\n":      {Type: "insecure", Line: 2},
		"migration_unsecure: 1\nmigration: secure\n": {Type: "secure", Line: 2},
		"migration: sloppy\n":                        {Type: "secure"},
	} {
		c, _ := datacenter.Parse([]byte(in))
		if d := cmp.Diff(want, c.Migration()); d != "" {
			t.Errorf("%q: %s", in, d)
		}
	}
	c, _ := datacenter.Parse([]byte("migration: insecure\nreplication: secure\n"))
	if c.Replication().Type != "secure" || c.Migration().Type != "insecure" {
		t.Error("replication has a setting of its own")
	}
	if c, _ = datacenter.Parse([]byte("migration: insecure\n")); c.Replication().Type != "insecure" {
		t.Error("without a setting replication does as migration")
	}
}

func TestSettings(t *testing.T) {
	c, problems := datacenter.Parse([]byte("# note%3A one\nconsent-text: Only%3A us\nmac_prefix: bc:24:11\nmac_prefix: aa:bb:cc\nregistered-tags: a;b\nnonsense: 1\nno colon\nfencing: maybe\nuser-tag-access: user-allow=list\n"))
	if c.ConsentText() != "Only: us" || c.MACPrefix() != "BC:24:11" || c.TagAccess() != "list" || c.Fencing() != "watchdog" || c.Description != " note: one" || !cmp.Equal(c.RegisteredTags(), []string{"a", "b"}) {
		t.Errorf("%+v", c)
	}
	var lines []int
	for _, p := range problems {
		lines = append(lines, p.Line)
	}
	if d := cmp.Diff([]int{4, 6, 7, 8}, lines); d != "" {
		t.Error(d)
	}
}

// TestProxySecret: whatever form the address has, nothing of user and password is kept.
func TestProxySecret(t *testing.T) {
	for _, in := range []string{"http://joe:KEEPOUT@192.0.2.1:3128", "http://joe:KEEP@OUT@192.0.2.1", "joe:KEEPOUT@proxy", "http://KEEPOUT@proxy/"} {
		c, problems := datacenter.Parse([]byte("http_proxy: " + in + "\nhttp_proxy: " + in + "\n"))
		if all := fmt.Sprintf("%+v %v", c, problems); strings.Contains(all, "KEEP") || strings.Contains(all, "OUT") || !c.ProxyCredentials() {
			t.Errorf("%s: %s", in, all)
		}
	}
	if c, _ := datacenter.Parse([]byte("http_proxy: http://192.0.2.1:3128\n")); c.ProxyCredentials() || c.Proxy() != "http://192.0.2.1:3128" {
		t.Error("no credentials are there")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("migration: secure\nhttp_proxy: http://a:b@c\n#x\n"))
	f.Add([]byte(":\n\x00: 1\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, _ := datacenter.Parse(b)
		if m := c.Migration(); m.Type != "secure" && m.Type != "insecure" {
			t.Fatal(m)
		}
	})
}
