package kinds

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/pve/proxycfg"
)

// refusal is why a change cannot be made; "" when it can.
func (b *bench) refusal(t *testing.T, c change.Change) string {
	t.Helper()
	d, err := change.NewDraft(b.planner.Machine, b.planner.Target)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.planner.Kinds[c.Kind].Draft(d, c); err != nil {
		return err.Error()
	}
	return ""
}

// actionsOf lists the actions of a plan in words.
func actionsOf(p *change.Plan) []string {
	var out []string
	for _, w := range p.Windows {
		for _, s := range w.Steps {
			if s.Action != nil {
				out = append(out, s.Action.Words())
			}
		}
	}
	return out
}

func effectsOf(p *change.Plan) string {
	var b strings.Builder
	for _, w := range p.Windows {
		b.WriteString(strings.Join(w.Effects, "\n") + "\n")
	}
	return b.String()
}

const twoNodes = `nodelist {
  node {
    name: pve1
    nodeid: 1
    ring0_addr: 10.0.0.1
    ring1_addr: 10.1.0.1
  }
  node {
    name: pve2
    nodeid: 2
    ring0_addr: pve2
  }
}
totem {
  cluster_name: lab
  version: 2
}
`

func TestPveproxy(t *testing.T) {
	for name, x := range map[string]struct {
		file, want string
		set        map[string]string
	}{
		"new file":               {"", "COMPRESSION=\"0\"\n", map[string]string{"COMPRESSION": "0"}},
		"comment, other key":     {"# mine\nPOLICY=allow\n", "# mine\nPOLICY=allow\nCOMPRESSION=\"0\"\n", map[string]string{"COMPRESSION": "0"}},
		"no newline at the end":  {"POLICY=allow", "POLICY=allow\nCOMPRESSION=\"0\"\n", map[string]string{"COMPRESSION": "0"}},
		"last line counts":       {"COMPRESSION=1\nCOMPRESSION=\"1\" # why\n", "COMPRESSION=1\nCOMPRESSION=\"0\" # why\n", map[string]string{"COMPRESSION": "0"}},
		"export and blanks":      {"  export COMPRESSION='1'\n", "  export COMPRESSION=\"0\"\n", map[string]string{"COMPRESSION": "0"}},
		"holds in another form":  {"COMPRESSION='0'\n", "COMPRESSION='0'\n", map[string]string{"COMPRESSION": "0"}},
		"two on a line":          {"COMPRESSION=1; POLICY=allow\n", "COMPRESSION=1; POLICY=allow\nCOMPRESSION=\"0\"\n", map[string]string{"COMPRESSION": "0"}},
		"continued line":         {"CIPHERS=a\\\nCOMPRESSION=1\n", "CIPHERS=a\\\nCOMPRESSION=1\nCOMPRESSION=\"0\"\n", map[string]string{"COMPRESSION": "0"}},
		"unset":                  {"LISTEN_IP=\"192.0.2.1\" # x\n", "LISTEN_IP=\"\" # x\n", map[string]string{"LISTEN_IP": ""}},
		"unset what is not set":  {"POLICY=allow\n", "POLICY=allow\n", map[string]string{"LISTEN_IP": ""}},
		"a hash in the value":    {"CIPHERS=\"a#b # c\" # d\n", "CIPHERS=\"x\" # d\n", map[string]string{"CIPHERS": "x"}},
		"a command for bash":     {"ALLOW_FROM=10.0.0.1, 10.0.0.2\n", "ALLOW_FROM=\"10.0.0.0/8,127.0.0.1,::1\"\n", map[string]string{"ALLOW_FROM": "10.0.0.0/8"}},
		"blanks between":         {"ALLOW_FROM=\"10.0.0.1 10.0.0.2\"\n", "ALLOW_FROM=\"10.0.0.1,127.0.0.1,::1\"\n", map[string]string{"ALLOW_FROM": "10.0.0.1"}},
		"a carriage return less": {"COMPRESSION=\"1\"\r\n", "COMPRESSION=\"0\"\n", map[string]string{"COMPRESSION": "0"}},
	} {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{}
			if x.file != "" {
				files["etc/default/pveproxy"] = x.file
			}
			b := newBench(t, false, files)
			c := change.Change{Kind: "pveproxy", Set: x.set}
			if d := cmp.Diff(x.want, b.after(t, []string{proxycfg.Path}, c, c)[proxycfg.Path]); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestPveproxyCluster(t *testing.T) {
	files := map[string]string{"etc/pve/corosync.conf": twoNodes, "etc/hostname": "pve1\n", "etc/pve/nodes/pve1/config": "", "etc/pve/nodes/pve2/config": "",
		"etc/hosts":            "127.0.0.1 localhost\n192.0.2.1 pve1.example.org pve1\n192.0.2.2 pve2\n",
		"etc/pve/.members":     `{"nodename":"pve1","nodelist":{"pve1":{"id":1,"online":1,"ip":"192.0.2.1"},"pve2":{"id":2,"online":1,"ip":"192.0.2.77"}}}`,
		"etc/default/pveproxy": "ALLOW_FROM=\"198.51.100.1\"\nDENY_FROM=all\n"}
	b := newBench(t, true, files)
	c := change.Change{Kind: "pveproxy", Set: map[string]string{"ALLOW_FROM": "10.0.0.0/16", "DENY_FROM": "all", "POLICY": "allow"}}
	got := proxycfg.Parse([]byte(b.after(t, []string{proxycfg.Path}, c)[proxycfg.Path]))
	if s, _ := got.Get("ALLOW_FROM"); s.Value != "10.0.0.0/16,127.0.0.1,::1,10.1.0.1,192.0.2.1,192.0.2.2,192.0.2.77" {
		t.Errorf("ALLOW_FROM is %s", s.Value)
	}
	p := b.plan(t, c)
	if a := actionsOf(p); !slices.Equal(a, []string{"restart pveproxy.service", "restart spiceproxy.service"}) {
		t.Errorf("actions %q", a)
	}
	if e := effectsOf(p); !strings.Contains(e, "no longer talks to 198.51.100.1") || !strings.Contains(e, "consoles") {
		t.Errorf("effects %q", e)
	}
	files["etc/hosts"], files["etc/pve/.members"] = "127.0.0.1 localhost\n", ""
	if why := newBench(t, false, files).refusal(t, c); !strings.Contains(why, "pve2") {
		t.Errorf("a member without address: %q", why)
	}
	// /etc/pve is not mounted: the other copy of corosync.conf still names the members.
	away := map[string]string{"etc/corosync/corosync.conf": twoNodes, "etc/hosts": "192.0.2.2 pve2\n"}
	if text := newBench(t, false, away).after(t, []string{proxycfg.Path}, c)[proxycfg.Path]; !strings.Contains(text, "192.0.2.2") {
		t.Errorf("%q", text)
	}
}

func TestPveproxyRefuses(t *testing.T) {
	for name, x := range map[string]struct{ file, key, value, want string }{
		"host bits":        {"", "ALLOW_FROM", "192.168.0.1/22", "192.168.0.0/22"},
		"blank":            {"", "ALLOW_FROM", "10.0.0.1, 10.0.0.2", "without blanks"},
		"a name":           {"", "ALLOW_FROM", "admin.example.org", "does not start"},
		"empty part":       {"", "ALLOW_FROM", "10.0.0.1,,10.0.0.2", "does not start"},
		"everybody of v6":  {"", "DENY_FROM", "::/0", "does not start"},
		"substitution":     {"", "CIPHERS", "$(id)", "cannot keep"},
		"quote":            {"", "CIPHERS", `a"b`, "cannot keep"},
		"newline":          {"", "CIPHERS", "a\nB=1", "cannot keep"},
		"no key":           {"", "A B", "1", "no key"},
		"bad policy":       {"", "POLICY", "permit", "would not start"},
		"bad flag":         {"", "COMPRESSION", "off", "would not start"},
		"nobody":           {"POLICY=deny\n", "DENY_FROM", "all", "everybody"},
		"shell code":       {"if true; then\n", "COMPRESSION", "0", "shell code"},
		"another is fatal": {"POLICY=permit\n", "COMPRESSION", "0", "would not start"},
		"carriage return":  {"POLICY=\"allow\"\r\n", "COMPRESSION", "0", "carriage return"},
		"no address":       {"", "PROXY_REAL_IP_ALLOW_FROM", "gateway", "does not start"},
	} {
		files := map[string]string{}
		if x.file != "" {
			files["etc/default/pveproxy"] = x.file
		}
		why := newBench(t, false, files).refusal(t, change.Change{Kind: "pveproxy", Set: map[string]string{x.key: x.value}})
		if !strings.Contains(why, x.want) {
			t.Errorf("%s: %q, want %q in it", name, why, x.want)
		}
	}
}

// Whatever the file: what is set is what PVE's reading gives, the second time changes nothing, and every other key keeps its value.
func TestPveproxySetProperty(t *testing.T) {
	line := rapid.SampledFrom([]string{"# c", "", "POLICY=allow", "COMPRESSION=1", "COMPRESSION='0' # x", "export COMPRESSION=\"1\"", "COMPRESSION=1; POLICY=deny",
		"COMPRESSION=1, 2", "\tCOMPRESSION=", "LISTEN_IP=::", "CIPHERS='a#b'", "COMPRESSION=1\\", "X=\"y z\";COMPRESSION=1 # a"})
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(line, 0, 8).Draw(t, "lines"), "\n") + rapid.SampledFrom([]string{"", "\n"}).Draw(t, "end")
		value := rapid.SampledFrom([]string{"", "0", "1"}).Draw(t, "value")
		before := proxycfg.Parse([]byte(text))
		once := pveproxySet(text, "COMPRESSION", value)
		after := proxycfg.Parse([]byte(once))
		if strings.HasSuffix(text, "\\") {
			return // the last line is continued by what is added; pveproxyAccepts refuses it
		}
		if got := after.Settings["COMPRESSION"].Value; got != value {
			t.Fatalf("%q: %q, want %q in %q", text, got, value, once)
		}
		if twice := pveproxySet(once, "COMPRESSION", value); twice != once {
			t.Fatalf("%q becomes %q", once, twice)
		}
		for k := range maps.Keys(before.Settings) {
			if k != "COMPRESSION" && after.Settings[k].Value != before.Settings[k].Value {
				t.Fatalf("%s changed: %q to %q", k, text, once)
			}
		}
	})
}

func FuzzPveproxySet(f *testing.F) {
	for _, s := range []string{"", "A=1\n", "COMPRESSION=1 # x\r\n", "COMPRESSION=\"1", "\x00\xff", "COMPRESSION=1;COMPRESSION=0", "COMPRESSION=1 #\\\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		once := pveproxySet(text, "COMPRESSION", "0")
		if pveproxyAccepts(once, map[string]string{"COMPRESSION": "0"}) == nil && pveproxySet(once, "COMPRESSION", "0") != once {
			t.Errorf("%q is drafted twice", once)
		}
	})
}
