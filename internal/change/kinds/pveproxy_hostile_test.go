package kinds

import (
	"strings"
	"testing"

	"github.com/castellan-project/castellan/internal/change"
)

// Files that nobody would write end in an answer, and soon: refused, or changed once and for all.
func TestServicesHostile(t *testing.T) {
	kinds := map[string]struct {
		file string
		c    change.Change
	}{
		"pveproxy": {"etc/default/pveproxy", change.Change{Kind: "pveproxy", Set: map[string]string{"COMPRESSION": "0"}}},
		"postfix":  {"etc/postfix/main.cf", change.Change{Kind: "postfix", Set: map[string]string{"inet_interfaces": "loopback-only"}}},
		"journald": {"etc/systemd/journald.conf.d/castellan.conf", change.Change{Kind: "journald", Set: map[string]string{"Storage": "persistent"}}},
		"chrony":   {"etc/chrony/conf.d/castellan.conf", change.Change{Kind: "chrony", Set: map[string]string{"server": "192.0.2.1", "makestep": "1 3"}}},
		"rsyslog":  {"etc/rsyslog.d/castellan.conf", change.Change{Kind: "rsyslog", Set: map[string]string{"target": "logs.example.com", "follow": "/var/log/x"}}},
		"fail2ban": {"etc/fail2ban/jail.d/castellan.local", sshJail()},
	}
	for name, k := range kinds {
		for _, text := range []string{
			"\x00\xff\xfe", "\r\n\r\n", strings.Repeat("# ", 1<<20), "COMPRESSION=1" + strings.Repeat(" #", 1<<20), strings.Repeat("[", 1<<18) + "\n",
			strings.Repeat("a\n", 1<<16), "inet_interfaces =" + strings.Repeat("\n x", 1<<16), strings.Repeat("\\\n", 1<<16), "\ufeff[Journal]\nStorage=none\n",
		} {
			files := rsyslogFiles(bans(map[string]string{"etc/chrony/chrony.conf": chronyDebian, "etc/postfix/main.cf": "a = b\n"}))
			files[k.file] = text
			b := newBench(t, false, files)
			d, err := change.NewDraft(b.planner.Machine, b.planner.Target)
			if err != nil {
				t.Fatal(err)
			}
			if b.planner.Kinds[k.c.Kind].Draft(d, k.c) != nil {
				continue
			}
			once, _, _ := d.Content("/" + k.file)
			if err := b.planner.Kinds[k.c.Kind].Draft(d, k.c); err != nil {
				t.Errorf("%s, %.20q: the second time: %v", name, text, err)
			}
			if twice, _, _ := d.Content("/" + k.file); string(twice) != string(once) {
				t.Errorf("%s, %.20q: drafted twice", name, text)
			}
		}
	}
}
