package collect

import (
	"errors"
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/posture"
	"github.com/castellan-project/castellan/internal/pve/statuscfg"
)

// forwards lists the ways out of rsyslog, systemd-journal-upload and systemd-netlogd.
func (s *logState) forwards() {
	list := []posture.LogForward{}
	if s.rsyslog != nil {
		for _, f := range s.rsyslog.Forwards {
			list = append(list, posture.LogForward{
				Via: "rsyslog", Protocol: f.Protocol, Target: f.Target, Port: f.Port, Encrypted: f.TLS, Verified: f.Verified,
				All: !f.Conditional && (f.Selector == "" || strings.HasPrefix(f.Selector, "*.*") || f.Selector == "*.debug"), Active: s.units[logRsyslogUnit].Active, Source: f.Source,
			})
		}
	}
	upload, err := s.uploads()
	err = errors.Join(s.rsyslogErr, s.unitErr, err)
	if err != nil {
		s.facts.Forwards = posture.Unknown[[]posture.LogForward](err, "configuration of rsyslog and systemd-journal-upload")
		return
	}
	list = append(list, upload...)
	for i := range list {
		f := &list[i]
		f.Local = isLoopback(f.Target)
		what := "all"
		if !f.All {
			what = "a selection"
		}
		to := f.Target
		if f.Port != "" {
			to += ":" + f.Port
		}
		f.ID = what + " to " + to + " by " + f.Protocol + " (" + f.Source + ")"
	}
	s.facts.Forwards = posture.Known(list, posture.Configured, "configuration of rsyslog and systemd-journal-upload")
}

func (s *logState) uploads() ([]posture.LogForward, error) {
	var list []posture.LogForward
	conf, err := s.systemdConf(logUploadConf, "Upload")
	if err != nil {
		return nil, err
	}
	if v, ok := conf.Get("URL"); ok {
		f := posture.LogForward{Via: "journal-upload", Port: "19532", All: true, Active: s.units[logUploadUnit].Active, Source: v.Source}
		address := v.Value
		if !strings.Contains(address, "://") {
			address = "https://" + address // without a scheme HTTPS is used (journal-upload.conf(5))
		}
		u, err := url.Parse(address)
		if err != nil {
			return nil, posture.Problemf("malformed", "%s: the URL cannot be read", v.Source)
		}
		f.Protocol, f.Target = u.Scheme, u.Hostname() // user and password stay behind
		if u.Port() != "" {
			f.Port = u.Port()
		}
		trust, _ := conf.Get("TrustedCertificateFile")
		f.Encrypted = f.Protocol == "https"
		f.Verified = f.Encrypted && trust.Value != "all" && trust.Value != "-"
		list = append(list, f)
	}
	b, err := s.c.Host.ReadFile(logNetlogd)
	if err != nil && !host.NotExist(err) {
		return nil, err
	}
	if m := regexp.MustCompile(`(?m)^\s*Address\s*=\s*(\S+)\s*$`).FindSubmatch(b); m != nil {
		protocol := "udp"
		if p := regexp.MustCompile(`(?m)^\s*Protocol\s*=\s*(\S+)\s*$`).FindSubmatch(b); p != nil {
			protocol = strings.ToLower(string(p[1]))
		}
		target, port := string(m[1]), ""
		if i := strings.LastIndexByte(target, ':'); i >= 0 {
			target, port = strings.Trim(target[:i], "[]"), target[i+1:]
		}
		tls := protocol == "tls" || protocol == "dtls"
		list = append(list, posture.LogForward{Via: "netlogd", Protocol: protocol, Target: target, Port: port, Encrypted: tls,
			Verified: tls, All: true, Active: s.units[logNetlogdUnit].Active, Source: logNetlogd})
	}
	return list, nil
}

func isLoopback(target string) bool {
	if target == "localhost" || strings.HasPrefix(target, "/") {
		return true
	}
	a, err := netip.ParseAddr(strings.Trim(target, "[]"))
	return err == nil && a.IsLoopback()
}

func (s *logState) receivers() {
	list := []posture.LogReceiver{}
	if err := errors.Join(s.rsyslogErr, s.unitErr); err != nil {
		s.facts.Receivers = posture.Unknown[[]posture.LogReceiver](err, logRsyslog)
		return
	}
	if s.rsyslog != nil {
		for _, in := range s.rsyslog.Inputs {
			if in.Port == "" {
				continue // messages of this machine
			}
			address := in.Address
			if address == "" {
				address = "*"
			}
			list = append(list, posture.LogReceiver{
				ID: in.Type + " " + address + ":" + in.Port + " (" + in.Source + ")", Type: in.Type, Local: isLoopback(in.Address),
				Active: s.units[logRsyslogUnit].Active, Source: in.Source,
			})
		}
	}
	if u := s.units[logRemoteUnit]; u.Installed && (u.Active || u.Enabled) {
		list = append(list, posture.LogReceiver{ID: "systemd-journal-remote (" + logRemoteUnit + ")", Type: "journal-remote", Active: true, Source: logRemoteUnit})
	}
	s.facts.Receivers = posture.Known(list, posture.Configured, "configuration of rsyslog, "+logRemoteUnit)
}

// logAgent is an agent that castellan knows: its unit, and where it says which files it follows and where to it sends.
type logAgent struct {
	name, unit string
	config     []string
}

func logAgents() []logAgent {
	return []logAgent{
		{"wazuh-agent", "wazuh-agent.service", []string{"/var/ossec/etc/ossec.conf"}},
		{"filebeat", "filebeat.service", []string{"/etc/filebeat/filebeat.yml"}},
		{"elastic-agent", "elastic-agent.service", []string{"/opt/Elastic/Agent/elastic-agent.yml"}},
		{"promtail", "promtail.service", []string{"/etc/promtail/*.yml", "/etc/promtail/*.yaml"}},
		{"alloy", "alloy.service", []string{"/etc/alloy/*.alloy"}},
		{"grafana-agent", "grafana-agent.service", []string{"/etc/grafana-agent.yaml"}},
		{"fluent-bit", "fluent-bit.service", []string{"/etc/fluent-bit/*.conf", "/etc/fluent-bit/*.yaml"}},
		{"vector", "vector.service", []string{"/etc/vector/*.yaml", "/etc/vector/*.toml"}},
		{"otelcol-contrib", "otelcol-contrib.service", []string{"/etc/otelcol-contrib/config.yaml"}},
		{"graylog-sidecar", "graylog-sidecar.service", []string{"/etc/graylog/sidecar/sidecar.yml"}},
		{"nxlog", "nxlog.service", []string{"/etc/nxlog/nxlog.conf"}},
		{"syslog-ng", "syslog-ng.service", []string{"/etc/syslog-ng/syslog-ng.conf", "/etc/syslog-ng/conf.d/*.conf"}},
		{"splunk", "SplunkForwarder.service", []string{"/opt/splunkforwarder/etc/system/local/inputs.conf"}},
	}
}

// Patterns that the configuration of agents is searched with: whole lines of comments are taken out before.
var (
	logPath    = regexp.MustCompile(`/var/log(?:/[A-Za-z0-9_.*-]+)+`)
	logAddress = regexp.MustCompile(`\b(https?)://([^\s"'/]+)`)
)

func (s *logState) agents() {
	if s.unitErr != nil {
		s.facts.Agents = posture.Unknown[[]posture.LogAgent](s.unitErr, "units of log agents")
		return
	}
	list := []posture.LogAgent{}
	for _, a := range logAgents() {
		u := s.units[a.unit]
		if !u.Installed {
			continue
		}
		agent := posture.LogAgent{Name: a.name, Unit: a.unit, Enabled: u.Enabled, Active: u.Active}
		agent.Healthy = s.healthy(a, u)
		text, err := s.agentConfig(a)
		if u.Active {
			s.followed[a.name] = logPath.FindAllString(text, -1)
		}
		agent.Encrypted = agentEncrypted(a.name, text, err)
		list = append(list, agent)
	}
	s.facts.Agents = posture.Known(list, posture.Effective, "units of log agents")
}

// agentConfig returns the lines of an agent's configuration that are no comments.
func (s *logState) agentConfig(a logAgent) (string, error) {
	var b strings.Builder
	var errs []error
	for _, pattern := range a.config {
		files, more := pkgReadParts(s.c, pattern, func(string) bool { return true })
		errs = append(errs, more...)
		for _, f := range files {
			for _, line := range host.Lines(f.content) {
				if t := strings.TrimSpace(line); !strings.HasPrefix(t, "#") && !strings.HasPrefix(t, "//") && !strings.HasPrefix(t, "<!--") {
					b.WriteString(t + "\n")
				}
			}
		}
	}
	return b.String(), pkgFirst(errs)
}

func agentEncrypted(name, text string, err error) posture.Fact[bool] {
	if name == "wazuh-agent" {
		return posture.Known(true, posture.Default, "the protocol between Wazuh's agent and manager is always encrypted")
	}
	if err != nil {
		return posture.Unknown[bool](err, "configuration of "+name)
	}
	found := false
	for _, m := range logAddress.FindAllStringSubmatch(text, -1) {
		target, _, _ := strings.Cut(m[2], ":")
		if isLoopback(target) || target == "0.0.0.0" {
			continue
		}
		if m[1] == "http" {
			return posture.Known(false, posture.Configured, "configuration of "+name)
		}
		found = true
	}
	if !found {
		return posture.Unknown[bool](posture.Problemf("unavailable", "the configuration of %s does not tell whether it sends encrypted", name), "configuration of "+name)
	}
	return posture.Known(true, posture.Configured, "configuration of "+name)
}

// healthy asks more of Wazuh's agent than to run: it writes every few seconds whether its manager answers.
func (s *logState) healthy(a logAgent, u posture.WatchedUnit) posture.Fact[bool] {
	if !u.Active || a.name != "wazuh-agent" || !s.c.Live {
		return posture.Known(u.Active, posture.Effective, "state of "+u.Name)
	}
	b, err := s.c.Host.ReadFile(logWazuhState)
	if err != nil {
		return posture.Unknown[bool](err, logWazuhState)
	}
	fi, err := s.c.Host.Stat(logWazuhState)
	if err != nil {
		return posture.Unknown[bool](err, logWazuhState)
	}
	ok := strings.Contains(string(b), "status='connected'") && s.c.Now.Sub(fi.ModTime) < 5*time.Minute
	return posture.Known(ok, posture.Effective, logWazuhState)
}

// pveLogs tells which of Proxmox VE's log files somebody sends away.
func (s *logState) pveLogs() {
	if err := errors.Join(s.rsyslogErr, s.unitErr); err != nil {
		s.facts.PVELogs = posture.Unknown[[]posture.PVELog](err, "configuration of log forwarders")
		return
	}
	if !s.units[logRsyslogUnit].Active {
		delete(s.followed, "rsyslog")
	}
	list := []posture.PVELog{}
	for _, file := range pveLogFiles() {
		l := posture.PVELog{Path: file, FollowedBy: []string{}}
		for name, patterns := range s.followed {
			if slices.ContainsFunc(patterns, func(p string) bool { return covers(p, file) }) {
				l.FollowedBy = append(l.FollowedBy, name)
			}
		}
		slices.Sort(l.FollowedBy)
		list = append(list, l)
	}
	s.facts.PVELogs = posture.Known(list, posture.Configured, "configuration of log forwarders")
}

// covers reports whether a pattern of an agent includes a file; "**" crosses directories.
func covers(pattern, file string) bool {
	if head, tail, ok := strings.Cut(pattern, "**"); ok {
		return strings.HasPrefix(file, head) && (strings.Trim(tail, "/*") == "" || strings.HasSuffix(file, strings.TrimLeft(tail, "/*")))
	}
	ok, err := path.Match(pattern, file)
	return err == nil && ok
}

func (s *logState) metrics() {
	b, err := s.c.Host.ReadFile(logStatusCfg)
	if err != nil && !host.NotExist(err) {
		s.facts.MetricServers = posture.Unknown[[]posture.MetricServer](err, logStatusCfg)
		return
	}
	servers, err := statuscfg.Parse(b)
	if err != nil {
		s.facts.MetricServers = posture.Unknown[[]posture.MetricServer](posture.Problemf("malformed", "%s: %v", logStatusCfg, err), logStatusCfg)
		return
	}
	list := []posture.MetricServer{}
	for _, m := range servers {
		a, err := netip.ParseAddr(m.Options["server"])
		list = append(list, posture.MetricServer{
			Name: m.Name, Type: m.Type, Server: m.Options["server"], Protocol: m.Protocol(), Enabled: !m.Disabled(),
			Encrypted: m.Protocol() == "https", Private: err == nil && (a.IsPrivate() || a.IsLoopback()),
		})
	}
	s.facts.MetricServers = posture.Known(list, posture.Configured, logStatusCfg)
}

// logExporters are the units of exporters and monitoring agents.
func logExporters() []string {
	return []string{"prometheus-node-exporter.service", "node_exporter.service", "prometheus-pve-exporter.service",
		"pve_exporter.service", "prometheus-zfs-exporter.service", "telegraf.service", "netdata.service", "zabbix-agent.service",
		"zabbix-agent2.service", "check-mk-agent.socket", "cmk-agent-ctl-daemon.service", "collectd.service", "icinga2.service"}
}

func (s *logState) exporters() {
	if s.unitErr != nil {
		s.facts.Exporters = posture.Unknown[[]posture.WatchedUnit](s.unitErr, "units of exporters")
		return
	}
	list := []posture.WatchedUnit{}
	for _, name := range logExporters() {
		if u := s.units[name]; u.Installed {
			list = append(list, u)
		}
	}
	s.facts.Exporters = posture.Known(list, posture.Effective, "units of exporters")
}
