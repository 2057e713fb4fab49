package collect_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/host/hosttest"
	"github.com/castellan-project/castellan/internal/inventory"
	"github.com/castellan-project/castellan/internal/posture/collect"
)

// TestEstateIsKept holds that the questions about a cluster can be asked of its facts as of the target itself, and that
// what is kept for them holds no secret.
func TestEstateIsKept(t *testing.T) {
	d := hosttest.Open(t, hosttest.Write(t, map[string]string{
		"etc/hostname":                         "a\n",
		"etc/os-release":                       "ID=debian\nVERSION_ID=13\n",
		"etc/pve/user.cfg":                     "user:root@pam:1:0:::::\ntoken:root@pam!t1:0:1::\n",
		"etc/pve/domains.cfg":                  "openid: sso\n\tissuer-url https://id.example.org\n\tclient-key KEEPOUT1\n",
		"etc/pve/datacenter.cfg":               "http_proxy: http://joe:KEEPOUT2@192.0.2.1:3128\n",
		"etc/pve/priv/tfa.cfg":                 "{\"users\":{\"root@pam\":{\"totp\":[{\"entry\":\"KEEPOUT3\"}]}}}",
		"etc/pve/nodes/a/qemu-server/100.conf": "#password%3A KEEPOUT4\nname: web\ncipassword: KEEPOUT5\nargs: -vnc 0.0.0.0:1,password=KEEPOUT6\nnet0: virtio=BC:24:11:00:00:01,bridge=vmbr0\n",
		"etc/pve/nodes/a/lxc/101.conf":         "hostname: z\nenv: A=KEEPOUT7\nlxc.environment: B=KEEPOUT8\n",
		"etc/pve/nodes/b/host.fw":              "[OPTIONS]\nenable: 0\n",
		"etc/network/interfaces":               "auto vmbr0\niface vmbr0 inet static\n\taddress 192.0.2.10/24\n\tbridge-ports eth0\n\twpa-psk KEEPOUT9\n",
	}))
	facts, err := collect.Run(d, d.Describe(), collect.All())
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(facts)
	if err != nil {
		t.Fatal(err)
	}
	if i := strings.Index(string(text), "KEEPOUT"); i >= 0 {
		t.Errorf("a secret is kept: ...%s...", text[max(0, i-80):min(len(text), i+20)])
	}
	kept, err := collect.OpenEstate(facts)
	if err != nil {
		t.Fatal(err)
	}
	names := func(r host.Reader) (s []string) {
		c, err := inventory.Read(r, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range c.Nodes {
			s = append(s, n.Name, n.Firewall.Path)
		}
		for _, g := range c.Guests {
			s = append(s, g.Title(), g.Node)
		}
		return s
	}
	if d := cmp.Diff(names(d), names(kept)); d != "" {
		t.Error(d)
	}
}
