package collect

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/castellan-project/castellan/internal/posture"
)

// rsyslogEnabled are the files of a system that starts rsyslog.
func rsyslogEnabled(more map[string]string) map[string]string {
	files := map[string]string{
		"usr/lib/systemd/system/rsyslog.service":                      "[Service]\n[Install]\nWantedBy=multi-user.target\n",
		"etc/systemd/system/multi-user.target.wants/rsyslog.service":  "->/usr/lib/systemd/system/rsyslog.service",
		"usr/lib/systemd/system/promtail.service":                     "[Service]\n[Install]\nWantedBy=multi-user.target\n",
		"etc/systemd/system/multi-user.target.wants/promtail.service": "->/usr/lib/systemd/system/promtail.service",
		"usr/lib/systemd/system/filebeat.service":                     "[Service]\n[Install]\nWantedBy=multi-user.target\n",
		"usr/lib/systemd/system/prometheus-node-exporter.service":     "[Service]\n",
		"etc/systemd/system/multi-user.target.wants/ssh.service":      "->/usr/lib/systemd/system/ssh.service",
		"usr/lib/systemd/system/systemd-journal-upload.service":       "[Service]\n[Install]\nWantedBy=multi-user.target\n",
		"usr/lib/systemd/journald.conf.d/syslog.conf":                 "[Journal]\nForwardToSyslog=yes\n",
		"etc/systemd/journald.conf":                                   "[Journal]\nStorage=volatile\n",
		"etc/systemd/journald.conf.d/keep.conf":                       "[Journal]\nStorage=\nMaxRetentionSec=36h\nCompress=4K\nSystemMaxUse=1G\n",
		"var/log/journal/0123/fss":                                    "",
		"etc/rsyslog.conf":                                            "$IncludeConfig /etc/rsyslog.d/*.conf\ninclude(file=\"/etc/extra.d/\")\n",
		"etc/rsyslog.d/10.conf":                                       "kern.* @@127.0.0.1:1514\ninput(type=\"imfile\" File=\"/var/log/pveproxy/*.log\")\n",
		"etc/rsyslog.d/10.conf.bak":                                   "*.* @192.0.2.1\n",
		"etc/extra.d/x":                                               "*.* @@(o)[2001:db8::5]:514\n",
		"etc/promtail/config.yml":                                     "clients:\n - url: https://loki.example/push\n   # url: http://old.example/push\nscrape:\n  __path__: /var/log/pve/tasks/**\n",
		"etc/filebeat/filebeat.yml":                                   "- /var/log/pve-firewall.log\n",
		"etc/logrotate.conf":                                          "weekly\nrotate 4\n",
		"etc/logrotate.d/pve-firewall":                                "/var/log/pve-firewall.log {\n daily\n rotate 7\n}\n",
	}
	for k, v := range more {
		files[k] = v
	}
	return files
}

func TestLogs(t *testing.T) {
	f := pkgTree(t, rsyslogEnabled(nil), Logs()).Logs
	j := f.Journald
	if j.Storage.Value != "auto" || !j.Persistent.Value || !j.Sealed.Value || j.RetentionDays.Value != 2 || !j.Compress.Value || j.MaxUse.Value != 1<<30 {
		t.Errorf("journald %+v", j)
	}
	wantForwards := []posture.LogForward{
		{ID: "a selection to 127.0.0.1:1514 by tcp (/etc/rsyslog.d/10.conf:1)", Via: "rsyslog", Protocol: "tcp", Target: "127.0.0.1", Port: "1514", Local: true, Active: true, Source: "/etc/rsyslog.d/10.conf:1"},
		{ID: "all to 2001:db8::5:514 by tcp (/etc/extra.d/x:1)", Via: "rsyslog", Protocol: "tcp", Target: "2001:db8::5", Port: "514", All: true, Active: true, Source: "/etc/extra.d/x:1"},
	}
	if d := cmp.Diff(wantForwards, f.Forwards.Value); d != "" {
		t.Error(d)
	}
	if a := f.Agents.Value; len(a) != 2 || a[0].Name != "filebeat" || a[0].Active || a[0].Encrypted.IsKnown() || a[1].Name != "promtail" || !a[1].Active || !a[1].Encrypted.Value {
		t.Errorf("agents %+v", a)
	}
	wantLogs := []posture.PVELog{
		{Path: "/var/log/pveproxy/access.log", FollowedBy: []string{"rsyslog"}}, {Path: "/var/log/pve/tasks/index", FollowedBy: []string{"promtail"}},
		{Path: "/var/log/pve-firewall.log", FollowedBy: []string{}}, // filebeat names it but does not run
	}
	if d := cmp.Diff(wantLogs, f.PVELogs.Value); d != "" {
		t.Error(d)
	}
	wantRetention := []posture.LogRetention{
		{Log: "journal", Days: 2, Source: "/etc/systemd/journald.conf.d/keep.conf:3"}, {Log: "/var/log/pve-firewall.log", Days: 7, Source: "/etc/logrotate.d"},
	}
	if d := cmp.Diff(wantRetention, f.Retention.Value); d != "" {
		t.Error(d)
	}
	if e := f.Exporters.Value; len(e) != 1 || e[0].Active {
		t.Errorf("exporters %+v", e)
	}
	if f.CollectorDays.IsKnown() || f.Tasks.IsKnown() {
		t.Error("what cannot be seen is known")
	}
}

func TestLogsKeepSecretsOut(t *testing.T) {
	const secret = "hunter2SECRET"
	f := pkgTree(t, rsyslogEnabled(map[string]string{
		"etc/pve/status.cfg":              "influxdb: a\n\tserver 10.0.0.5\n\tinfluxdbproto https\n\ttoken " + secret + "\nopentelemetry: o\n\tserver o.example\n\totel-headers " + secret + "\n",
		"etc/systemd/journal-upload.conf": "[Upload]\nURL=me:" + secret + "@logs.example:19532\n",
		"etc/rsyslog.d/20.conf":           "action(type=\"omelasticsearch\" server=\"es\" uid=\"me\" pwd=\"" + secret + "\")\naction(type=\"omhttp\" server=\"h\" httpheadervalue=\"" + secret + "\"\n",
		"etc/promtail/config.yml":         "url: https://me:" + secret + "@loki.example/push\npassword: " + secret + "\n",
	}), Logs()).Logs
	b, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	if i := strings.Index(string(b), secret); i >= 0 {
		t.Errorf("a secret is in the facts: %s", b[max(0, i-200):min(len(b), i+50)])
	}
	want := []posture.MetricServer{
		{Name: "a", Type: "influxdb", Server: "10.0.0.5", Protocol: "https", Enabled: true, Encrypted: true, Private: true},
		{Name: "o", Type: "opentelemetry", Server: "o.example", Protocol: "https", Enabled: true, Encrypted: true},
	}
	if d := cmp.Diff(want, f.MetricServers.Value); d != "" {
		t.Error(d)
	}
	up := f.Forwards.Value[len(f.Forwards.Value)-1]
	if up.Via != "journal-upload" || up.Target != "logs.example" || !up.Encrypted || up.Active {
		t.Errorf("upload %+v", up)
	}
}

func TestCovers(t *testing.T) {
	for _, c := range []struct {
		pattern, file string
		want          bool
	}{
		{"/var/log/pveproxy/access.log", "/var/log/pveproxy/access.log", true}, {"/var/log/*/access.log", "/var/log/pveproxy/access.log", true},
		{"/var/log/*.log", "/var/log/pveproxy/access.log", false}, {"/var/log/**", "/var/log/pve/tasks/index", true},
		{"/var/log/**/*.log", "/var/log/pve/tasks/index", false}, {"/var/log/[", "/var/log/[", false},
	} {
		if covers(c.pattern, c.file) != c.want {
			t.Errorf("%s covers %s: %v", c.pattern, c.file, !c.want)
		}
	}
}

func FuzzLogsParsers(f *testing.F) {
	f.Add("/var/log/**/x", "https://a@b:1")
	f.Fuzz(func(_ *testing.T, a, b string) {
		covers(a, b)
		isLoopback(a)
		agentEncrypted("promtail", a+b, nil)
		logPath.FindAllString(a, -1)
	})
}
