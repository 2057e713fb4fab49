package collect

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/castellan-project/castellan/internal/debian/postfix"
	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/posture"
)

// Files of Postfix and of PVE's notifications.
const (
	svcMainCf        = "/etc/postfix/main.cf"
	svcMasterCf      = "/etc/postfix/master.cf"
	svcAliases       = "/etc/aliases"
	svcForward       = "/root/.forward"
	svcNotifications = "/etc/pve/notifications.cfg"
	svcMailLog       = "/var/log/mail.log"
)

func mailNeeds() []host.Need {
	needs := reads(svcMainCf, svcMasterCf, svcAliases, svcForward, svcNotifications, svcUserCfg, svcMailLog)
	needs = append(needs, stats(dpkgStatus, "/usr/lib/postfix/sbin/master")...)
	return append(needs, host.Need{Run: lastMail()})
}

// lastMail asks the journal for the last message that another host took from Postfix.
func lastMail() host.Command {
	return host.Command{Name: "mail-delivered", Timeout: 5 * time.Second, Argv: []string{"journalctl", "--quiet", "--no-pager", "--identifier=postfix/smtp",
		"--identifier=postfix/relay/smtp", "--grep=status=sent", "--lines=1", "--output=short-unix"}}
}

func collectPostfix(c *Context, f *posture.ServiceFacts, l listenerView) {
	p := &f.Postfix
	b, err := c.Host.ReadFile(svcMainCf)
	if absent(c, err) {
		p.Installed = posture.Known(false, posture.Effective, svcMainCf)
		return
	}
	if err != nil {
		p.Installed = posture.Unknown[bool](err, svcMainCf)
		p.InetInterfaces, p.InetProtocols = posture.Unknown[string](err, svcMainCf), posture.Unknown[string](err, svcMainCf)
		p.LoopbackOnly, p.Relayhost = posture.Unknown[bool](err, svcMainCf), posture.Unknown[string](err, svcMainCf)
		p.MyNetworks = posture.Unknown[string](err, svcMainCf)
		p.ExposedServices, p.Exposed = posture.Unknown[[]string](err, svcMainCf), posture.Unknown[[]string](err, svcMainCf)
		return
	}
	installed, instErr := exists(c, "/usr/lib/postfix/sbin/master")
	if instErr != nil || !c.Live { // a copy with the configuration is a copy of a host with Postfix
		installed = true
	}
	p.Installed = posture.Known(installed, posture.Effective, svcMainCf)
	m := postfix.ParseMain(b)
	p.InetInterfaces, p.InetProtocols = postfixFact(m, "inet_interfaces"), postfixFact(m, "inet_protocols")
	p.Relayhost = postfixFact(m, "relayhost")
	p.MyNetworks = posture.Known("", posture.Default, "default of Postfix")
	if _, set := m["mynetworks"]; set {
		p.MyNetworks = postfixFact(m, "mynetworks")
	}
	loopback := postfix.LoopbackOnly(p.InetInterfaces.Value)
	p.LoopbackOnly = posture.Known(loopback, p.InetInterfaces.Origin, p.InetInterfaces.Source)
	p.ExposedServices = exposedServices(c, loopback)
	p.Exposed = p.ExposedServices
	if c.Live {
		p.Exposed = mailSockets(l)
	}
}

func postfixFact(m postfix.Main, name string) posture.Fact[string] {
	v, ok := m.Get(name)
	if !ok {
		return posture.Unknown[string](posture.Problemf("not-found", "%s does not set %s and its default depends on the host", svcMainCf, name), svcMainCf)
	}
	if v.Line == 0 {
		return posture.Known(v.Text, posture.Default, "default of Postfix")
	}
	return posture.Known(v.Text, posture.Configured, source(svcMainCf, v.Line))
}

func exposedServices(c *Context, loopback bool) posture.Fact[[]string] {
	b, err := c.Host.ReadFile(svcMasterCf)
	if err != nil {
		if loopback && host.NotExist(err) {
			// Without master.cf Postfix does not start; nothing is exposed by what is there.
			return posture.Known([]string{}, posture.Configured, svcMainCf)
		}
		return posture.Unknown[[]string](err, svcMasterCf)
	}
	out := []string{}
	for _, s := range postfix.ParseMaster(b) {
		if s.Exposed(loopback) {
			out = append(out, s.Name)
		}
	}
	return posture.Known(out, posture.Configured, svcMasterCf)
}

func mailSockets(l listenerView) posture.Fact[[]string] {
	if l.err != nil {
		return posture.Unknown[[]string](l.err, "/proc/net/tcp")
	}
	list := l.exposed(func(s posture.ServiceListener) bool {
		return s.Protocol == "tcp" && (s.Port == 25 || s.Port == 465 || s.Port == 587)
	})
	return posture.Known(list, posture.Effective, "/proc/net/tcp")
}

func collectMail(c *Context, f *posture.ServiceFacts) {
	m := &f.Mail
	m.RootRecipients = rootRecipients(c)
	m.AdminAddresses, m.Targets = notifications(c)
	m.LastDelivery = lastDelivery(c)
	m.Tested = posture.Unknown[bool](posture.Problemf("unavailable", "whether a person receives the messages has to be attested"), "attestation")
	m.Reaches = reaches(m)
}

// reaches joins the ways on which a message leaves for a person.
func reaches(m *posture.ServiceMail) posture.Fact[bool] {
	src := svcAliases
	for _, list := range []posture.Fact[[]string]{m.AdminAddresses, m.Targets} {
		if list.IsKnown() && len(list.Value) > 0 {
			return posture.Known(true, posture.Configured, list.Source)
		}
	}
	for _, r := range m.RootRecipients.Value {
		// An alias to root itself, to a file or to nothing reaches nobody. Debian's package pve-manager forwards
		// root's mail with |/usr/bin/proxmox-mail-forward to the address in user.cfg, which is looked at above.
		if r != "root" && !strings.HasPrefix(r, "/") && !strings.HasPrefix(r, "|") && !strings.HasPrefix(r, ":") {
			return posture.Known(true, posture.Configured, src)
		}
	}
	for _, list := range []posture.Fact[[]string]{m.RootRecipients, m.AdminAddresses, m.Targets} {
		if !list.IsKnown() {
			return posture.Unknown[bool](list.Problem, list.Source)
		}
	}
	return posture.Known(false, posture.Configured, src)
}

func rootRecipients(c *Context) posture.Fact[[]string] {
	b, err := c.Host.ReadFile(svcAliases)
	if err != nil && !absent(c, err) {
		return posture.Unknown[[]string](err, svcAliases)
	}
	out := postfix.Resolve(postfix.ParseAliases(b), "root")
	if slices.Contains(out, "root") {
		fw, err := c.Host.ReadFile(svcForward)
		if err != nil && !host.NotExist(err) {
			return posture.Unknown[[]string](err, svcForward)
		}
		for _, l := range host.Lines(fw) {
			if l = strings.Trim(strings.TrimSpace(l), `"`); l != "" && l[0] != '#' {
				out = append(out, l)
			}
		}
	}
	if out == nil {
		out = []string{}
	}
	return posture.Known(out, posture.Configured, svcAliases)
}

// notifications reads the addresses of root@pam and the enabled targets of PVE. The built-in target mail-to-root sends to
// root@pam's address, so it is no target of its own.
func notifications(c *Context) (addresses, targets posture.Fact[[]string]) {
	addr, tgt := []string{}, []string{}
	b, err := c.Host.ReadFile(svcUserCfg)
	switch {
	case err == nil:
		for _, l := range host.Lines(b) {
			if f := strings.Split(l, ":"); len(f) >= 7 && f[0] == "user" && f[1] == "root@pam" && f[6] != "" {
				addr = append(addr, f[6])
			}
		}
		addresses = posture.Known(addr, posture.Configured, svcUserCfg)
	case absent(c, err):
		addresses = posture.Known(addr, posture.Default, svcUserCfg)
	default:
		addresses = posture.Unknown[[]string](err, svcUserCfg)
	}
	b, err = c.Host.ReadFile(svcNotifications)
	switch {
	case err == nil:
		tgt = notificationTargets(b)
		targets = posture.Known(tgt, posture.Configured, svcNotifications)
	case absent(c, err):
		targets = posture.Known(tgt, posture.Default, svcNotifications)
	default:
		targets = posture.Unknown[[]string](err, svcNotifications)
	}
	return addresses, targets
}

// notificationTargets lists the sections of notifications.cfg that send somewhere. Sections have the form of all PVE
// section configuration: "TYPE: NAME" at the start of a line, then indented "KEY VALUE".
func notificationTargets(b []byte) []string {
	out := []string{}
	name, disabled, sends := "", false, false
	flush := func() {
		if name != "" && sends && !disabled {
			out = append(out, name)
		}
	}
	for _, l := range host.Lines(b) {
		if strings.HasPrefix(l, " ") || strings.HasPrefix(l, "\t") {
			k, v, _ := strings.Cut(strings.TrimSpace(l), " ")
			switch k {
			case "disable":
				disabled = strings.TrimSpace(v) == "1"
			case "mailto", "server", "url":
				sends = true
			case "mailto-user":
				// the address of a user, of which only root@pam's is known here
			}
			continue
		}
		kind, id, ok := strings.Cut(l, ":")
		if !ok {
			continue
		}
		flush()
		name, disabled, sends = "", false, false
		switch kind = strings.TrimSpace(kind); kind {
		case "sendmail", "smtp", "gotify", "webhook":
			name = kind + ": " + strings.TrimSpace(id)
			sends = kind == "gotify" || kind == "webhook"
		}
	}
	flush()
	return out
}

// delivered matches the line that Postfix writes when another host has taken a message (RFC 3339 or classic stamp).
func delivered() *regexp.Regexp {
	return regexp.MustCompile(`postfix/(?:relay/)?smtp\[\d+\]: .*status=sent`)
}

func lastDelivery(c *Context) posture.Fact[time.Time] {
	if c.Live {
		out, err := c.Host.Run(lastMail())
		if err == nil && out.Code == 0 {
			if t, ok := unixStamp(out.Stdout); ok {
				return posture.Known(t, posture.Effective, "journal")
			}
		}
	}
	b, err := c.Host.ReadFile(svcMailLog)
	if err == nil {
		re := delivered()
		for _, l := range slices.Backward(host.Lines(b)) {
			if !strings.Contains(l, "status=sent") || !re.MatchString(l) {
				continue
			}
			if t, ok := logStamp(l, c.Now); ok {
				return posture.Known(t, posture.Effective, svcMailLog)
			}
		}
	}
	return posture.Unknown[time.Time](posture.Problemf("not-found", "no log shows a message that another host accepted"), "journal, "+svcMailLog)
}

func unixStamp(b []byte) (time.Time, bool) {
	sec, _, _ := strings.Cut(firstLine(b), ".")
	var n int64
	for _, r := range sec {
		if r < '0' || r > '9' || n > 1<<40 {
			return time.Time{}, false
		}
		n = n*10 + int64(r-'0')
	}
	t := time.Unix(n, 0).UTC()
	return t, n > 0 && recordable(t)
}

// logStamp reads the time at the start of a line of syslog: RFC 3339 (rsyslog of Debian 12 and later) or the classic form
// without a year, which is the last one that is not in the future.
func logStamp(line string, now time.Time) (time.Time, bool) {
	if first, _, ok := strings.Cut(line, " "); ok {
		if t, err := time.Parse(time.RFC3339Nano, first); err == nil {
			return t.UTC().Truncate(time.Second), recordable(t)
		}
	}
	if len(line) < 15 {
		return time.Time{}, false
	}
	t, err := time.Parse("Jan _2 15:04:05 2006", line[:15]+" "+itoa(now.Year()))
	if err != nil {
		return time.Time{}, false
	}
	if t.After(now.Add(24 * time.Hour)) {
		t = t.AddDate(-1, 0, 0)
	}
	return t, true
}
