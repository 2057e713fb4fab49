package collect

import (
	"encoding/base64"
	"encoding/json"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/posture"
)

// Files that tell how the host is kept up to date.
const (
	pkgSubscription = "/etc/subscription"
	pkgDebsecan     = "/var/lib/debsecan/history"
	pkgAptHistory   = "/var/log/apt/history.log"
	pkgShellHistory = "/root/.bash_history"
)

func pkgCronFiles() []string {
	return []string{"/etc/crontab", "/etc/cron.d/*", "/etc/cron.hourly/*", "/etc/cron.daily/*", "/etc/cron.weekly/*",
		"/etc/cron.monthly/*", "/var/spool/cron/crontabs/root"}
}

// plainUpgrade finds an upgrade that installs no new packages, fullUpgrade one that may: a Proxmox VE update needs
// the latter, as new versions bring new dependencies (the kernel's, for one).
var (
	plainUpgrade = regexp.MustCompile(`(?:^|[\s;&|(/])(?:apt|apt-get|aptitude)(?:\s+-\S+|\s+\S+::\S+)*\s+(?:safe-)?upgrade(?:$|[\s;&|)])`)
	fullUpgrade  = regexp.MustCompile(`(?:^|[\s;&|(/])(?:apt|apt-get|aptitude)(?:\s+-\S+|\s+\S+::\S+)*\s+(?:dist-upgrade|full-upgrade)(?:$|[\s;&|)])|(?:^|[\s;&|(/])pveupgrade(?:$|[\s;&|)])`)
)

// habit counts upgrades. Of the histories only the counts are kept.
func (s *pkgState) habit() {
	u := &s.facts.Upgrades
	u.Plain, u.Full = s.countUpgrades(pkgAptHistory, "Commandline: ")
	u.ShellPlain, u.ShellFull = s.countUpgrades(pkgShellHistory, "")
	scripts := []string{}
	for _, pattern := range pkgCronFiles() {
		files, errs := pkgReadParts(s.c, pattern, func(string) bool { return true })
		if err := pkgFirst(errs); err != nil {
			u.Scripts = posture.Unknown[[]string](err, pattern)
			return
		}
		for _, f := range files {
			for i, line := range host.Lines(f.content) {
				if t := strings.TrimSpace(line); !strings.HasPrefix(t, "#") && plainUpgrade.MatchString(t) {
					scripts = append(scripts, pkgAt(f.path, i+1))
				}
			}
		}
	}
	u.Scripts = posture.Known(scripts, posture.Configured, "/etc/crontab, /etc/cron.*")
}

// countUpgrades counts in the lines of a file that start with a prefix. A history that does not exist has no entries,
// unless the copy left it behind.
func (s *pkgState) countUpgrades(file, prefix string) (plain, full posture.Fact[int]) {
	b, err := s.c.Host.ReadFile(file)
	if host.NotExist(err) {
		err = notCopiedDir(s.c, path.Dir(file))
	}
	if err != nil {
		return posture.Unknown[int](err, file), posture.Unknown[int](err, file)
	}
	p, f := 0, 0
	for _, line := range host.Lines(b) {
		text, ok := strings.CutPrefix(line, prefix)
		if !ok {
			continue
		}
		if plainUpgrade.MatchString(text) {
			p++
		}
		if fullUpgrade.MatchString(text) {
			f++
		}
	}
	return posture.Known(p, posture.Effective, file), posture.Known(f, posture.Effective, file)
}

// subscription reads the state that Proxmox's own check left: key, checksum, and JSON in base64, a line each. The key
// and the server's identity stay where they are.
func (s *pkgState) subscription() {
	b, err := s.c.Host.ReadFile(pkgSubscription)
	f := &s.facts.Subscription
	switch {
	case host.NotExist(err):
		*f = posture.Known(posture.Subscription{Status: "none"}, posture.Effective, pkgSubscription)
		return
	case err != nil:
		*f = posture.Unknown[posture.Subscription](err, pkgSubscription)
		return
	}
	lines := host.Lines(b)
	if len(lines) == 0 || strings.TrimSpace(lines[0]) == "" {
		*f = posture.Known(posture.Subscription{Status: "none"}, posture.Effective, pkgSubscription)
		return
	}
	sub := posture.Subscription{Status: "new", Level: subscriptionLevel(lines[0])}
	if len(lines) >= 3 {
		var state struct {
			Status  string `json:"status"`
			NextDue string `json:"nextduedate"`
		}
		raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(strings.Join(lines[2:], "")))
		if err == nil {
			err = json.Unmarshal(raw, &state)
		}
		if err != nil {
			*f = posture.Unknown[posture.Subscription](posture.Problemf("malformed", "%s holds no readable state", pkgSubscription), pkgSubscription)
			return
		}
		sub.Status, sub.NextDue = strings.ToLower(state.Status), state.NextDue
	}
	*f = posture.Known(sub, posture.Effective, pkgSubscription)
}

// subscriptionLevel reads the level from the form of the key: pve, number of sockets, letter of the level.
func subscriptionLevel(key string) string {
	key = strings.TrimPrefix(strings.TrimSpace(key), "pve")
	key = strings.TrimLeft(key, "0123456789")
	if len(key) < 2 || key[1] != '-' {
		return ""
	}
	return map[byte]string{'c': "community", 'b': "basic", 's': "standard", 'p': "premium"}[key[0]]
}

// vulnerabilities reads what debsecan's daily run left: "VERSION 1", the time, then lines "bug,package,F" with F for a
// fix that is available.
func (s *pkgState) vulnerabilities() {
	f := &s.facts.Vulnerabilities
	b, err := s.c.Host.ReadFile(pkgDebsecan)
	if err != nil {
		if host.NotExist(err) {
			err = posture.Problemf("not-found", "no scan for known vulnerabilities has left a result: debsecan is not installed or has not run")
		}
		*f = posture.Unknown[posture.Vulnerabilities](err, pkgDebsecan)
		return
	}
	lines := host.Lines(b)
	var seconds int64 = -1
	if len(lines) >= 2 && strings.TrimSpace(lines[0]) == "VERSION 1" {
		if n, err := strconv.ParseInt(strings.TrimSpace(lines[1]), 10, 64); err == nil && n < 1<<40 {
			seconds = n
		}
	}
	if seconds < 0 {
		*f = posture.Unknown[posture.Vulnerabilities](posture.Problemf("malformed", "%s is not of the form that debsecan writes", pkgDebsecan), pkgDebsecan)
		return
	}
	v := posture.Vulnerabilities{Updated: time.Unix(seconds, 0).UTC()}
	for _, line := range lines[2:] {
		if field := strings.Split(strings.TrimSpace(line), ","); len(field) == 3 {
			v.Open++
			if field[2] == "F" {
				v.Fixable++
			}
		}
	}
	*f = posture.Known(v, posture.Effective, pkgDebsecan)
}

// leftoverTraces are files that scripts of third parties leave on a node.
func leftoverTraces() map[string]string {
	return map[string]string{
		"/usr/local/bin/pve-remove-nag.sh":      "patches the web interface (community scripts)",
		"/usr/local/bin/update-lxcs.sh":         "updates containers unattended (community scripts)",
		"/usr/local/community-scripts/*":        "community scripts",
		"/etc/apt/apt.conf.d/no-nag-script":     "patches the web interface after each update",
		"/etc/apt/apt.conf.d/86pve-nags":        "patches the web interface after each update (pve-nag-buster)",
		"/usr/share/pve-nag-buster.sh":          "patches the web interface (pve-nag-buster)",
		"/etc/extremeshok":                      "post-installation script of eXtremeSHOK",
		proxmoxLib + ".bak*":                    "copy made by a patch of the web interface",
		"/usr/share/perl5/PVE/API2/*.bak":       "copy made by a patch of the API",
		"/usr/share/pve-manager/images/dd_*":    "theme patched into the web interface",
		"/etc/cron.d/*fake-subscription*":       "renews a forged subscription",
		"/etc/systemd/system/*fake-sub*.timer":  "renews a forged subscription",
		"/usr/local/bin/pve-no-subscription*":   "patches the web interface",
		"/usr/local/sbin/pve-no-subscription*":  "patches the web interface",
		"/usr/share/pve-manager/js/*.js.backup": "copy made by a patch of the web interface",
	}
}

func leftoverGlobs() []string {
	var list []string
	for p := range leftoverTraces() {
		list = append(list, p)
	}
	slices.Sort(list)
	return list
}

// nagWords are what a hook of APT contains that patches Proxmox's web interface.
var nagWords = regexp.MustCompile(`(?i)proxmoxlib|pvemanagerlib|remove-nag|data\.status|NoMoreNagging`)

func (s *pkgState) leftovers() {
	found := []string{}
	traces := leftoverTraces()
	for _, p := range leftoverGlobs() {
		list, err := s.c.Host.List(p)
		if err != nil {
			s.facts.Leftovers = posture.Unknown[[]string](err, p)
			return
		}
		for _, fi := range list {
			found = append(found, fi.Path+": "+traces[p])
		}
	}
	for _, name := range []string{"DPkg::Post-Invoke", "DPkg::Pre-Invoke", "APT::Update::Post-Invoke", "APT::Update::Post-Invoke-Success"} {
		for _, o := range s.conf.List(name) {
			if nagWords.MatchString(o.Value) {
				found = append(found, o.Source+": hook of APT that patches the web interface")
			}
		}
	}
	for _, name := range []string{"pve-fake-subscription", "pve-nag-buster"} {
		if v, ok := s.facts.Installed.Value[name]; ok {
			found = append(found, "package "+name+" "+v)
		}
	}
	for _, file := range s.facts.ChangedFiles.Value {
		if path.Ext(file) == ".js" || path.Base(file) == "Subscription.pm" {
			found = append(found, file+": differs from its package")
		}
	}
	slices.Sort(found)
	switch {
	case s.conf.err != nil && len(found) == 0:
		s.facts.Leftovers = posture.Unknown[[]string](s.conf.err, "/etc/apt/apt.conf.d")
	default:
		s.facts.Leftovers = posture.Known(slices.Compact(found), posture.Effective, "/usr/local, /etc/apt/apt.conf.d, /usr/share")
	}
}
