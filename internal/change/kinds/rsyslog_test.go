package kinds

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/castellan-project/castellan/internal/change"
)

func rsyslogFiles(more map[string]string) map[string]string {
	files := map[string]string{
		"etc/rsyslog.conf":                  "module(load=\"imuxsock\")\n$IncludeConfig /etc/rsyslog.d/*.conf\n*.* -/var/log/syslog\n",
		"etc/ssl/certs/ca-certificates.crt": "x", "usr/lib/x86_64-linux-gnu/rsyslog/lmnsd_gtls.so": "",
	}
	for k, v := range more {
		if files[k] = v; v == "" {
			delete(files, k)
		}
	}
	return files
}

func TestRsyslog(t *testing.T) {
	forward := change.Change{Kind: "rsyslog", Set: map[string]string{"target": "logs.example.com", "port": "6514", "peer": "", "ca": ""}}
	follow := change.Change{Kind: "rsyslog", Set: map[string]string{"follow": "/var/log/pveproxy/access.log,/var/log/pve-firewall.log"}}
	b := newBench(t, true, rsyslogFiles(map[string]string{"etc/rsyslog.d/castellan.conf": "# mine\n"}))
	text := b.after(t, []string{rsyslogFile}, forward, follow, forward, follow)[rsyslogFile]
	for _, want := range []string{"# mine\n", `target="logs.example.com" port="6514"`, `StreamDriverPermittedPeers="logs.example.com"`, `queue.filename="castellan"`,
		`File="/var/log/pveproxy/access.log" Tag="pveproxy-access-log:"`} {
		if strings.Count(text, want) != 1 {
			t.Errorf("%q is not once in\n%s", want, text)
		}
	}
	if strings.Count(text, `module(load="imfile")`) != 1 {
		t.Errorf("%s", text)
	}
	if a := actionsOf(b.plan(t, forward, follow)); !slices.Equal(a, []string{"check with rsyslogd -N1", "restart rsyslog.service"}) {
		t.Errorf("%q", a)
	}
	other := newBench(t, false, rsyslogFiles(map[string]string{"etc/rsyslog.d/80-pve.conf": "module(load=\"imfile\")\ninput(type=\"imfile\" File=\"/var/log/pve-firewall.log\" Tag=\"x\")\n"}))
	text = other.after(t, []string{rsyslogFile}, follow)[rsyslogFile]
	if d := cmp.Diff("# begin castellan follow\ninput(type=\"imfile\" File=\"/var/log/pveproxy/access.log\" Tag=\"pveproxy-access-log:\" Severity=\"info\")\n# end castellan follow\n", text); d != "" {
		t.Error(d)
	}
}

func TestRsyslogRefuses(t *testing.T) {
	for name, x := range map[string]struct {
		more map[string]string
		set  map[string]string
		want string
	}{
		"in clear":      {map[string]string{"etc/rsyslog.d/90.conf": "*.* @10.0.0.50:514\n"}, map[string]string{"target": "logs.example.com"}, "90.conf:1"},
		"not installed": {map[string]string{"etc/rsyslog.conf": ""}, map[string]string{"target": "logs.example.com"}, "not installed"},
		"not included":  {map[string]string{"etc/rsyslog.conf": "*.* -/var/log/syslog\n"}, map[string]string{"target": "logs.example.com"}, "does not read"},
		"no follow":     {map[string]string{"etc/rsyslog.conf": "*.* -/var/log/syslog\n"}, map[string]string{"follow": "/var/log/x"}, "does not read"},
		"no TLS":        {map[string]string{"usr/lib/x86_64-linux-gnu/rsyslog/lmnsd_gtls.so": ""}, map[string]string{"target": "logs.example.com"}, "rsyslog-gnutls"},
		"no CA":         {map[string]string{"etc/ssl/certs/ca-certificates.crt": ""}, map[string]string{"target": "logs.example.com"}, "authority"},
		"quote":         {nil, map[string]string{"target": `a" x="`}, "no name"},
		"port":          {nil, map[string]string{"target": "a", "port": "0"}, "no port"},
		"ca":            {nil, map[string]string{"target": "a", "ca": "x"}, "absolute"},
		"path":          {nil, map[string]string{"follow": `/var/log/x")`}, "absolute"},
		"key":           {nil, map[string]string{"tls": "off"}, "do not know"},
	} {
		why := newBench(t, false, rsyslogFiles(x.more)).refusal(t, change.Change{Kind: "rsyslog", Set: x.set})
		if !strings.Contains(why, x.want) {
			t.Errorf("%s: %q", name, why)
		}
	}
}

func TestSetBlock(t *testing.T) {
	line := rapid.SampledFrom([]string{"# mine\n", "*.* @@x\r\n", "# begin castellan a\n", "# end castellan a\n", "# begin castellan b\n", "y"})
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(line, 0, 6).Draw(t, "lines"), "")
		once := setBlock(text, "a", "x\n")
		if twice := setBlock(once, "a", "x\n"); twice != once {
			t.Fatalf("%q becomes %q", once, twice)
		}
		if !strings.Contains(once, "# begin castellan a\nx\n# end castellan a\n") {
			t.Fatalf("%q", once)
		}
	})
}
