package collect

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/debian/fail2ban"
	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/posture"
)

// meantFor reports whether a jail is there against one kind of guessing: by what it matches, or where it matches
// nothing by its name, filter or port.
func meantFor(j posture.BanJail, shapes []logShape, kind string) bool {
	for _, s := range shapes {
		if s.kind == kind && j.Matches[s.name] {
			return true
		}
	}
	name := strings.ToLower(j.Name + " " + j.Filter)
	access := slices.ContainsFunc(j.LogPaths, func(p posture.BanLogPath) bool { return strings.Contains(p.Path, "access.log") })
	switch kind {
	case "ssh":
		return strings.Contains(name, "ssh")
	case "token":
		return access && (strings.Contains(name, "prox") || strings.Contains(name, "pve"))
	}
	return !access && (strings.Contains(name, "proxmox") || strings.Contains(name, "pve") || strings.Contains(j.Port, "8006"))
}

// banCover sums up what the jails do about one kind of guessing.
func banCover(c *Context, f *posture.BanFacts, jails []*fail2ban.Jail, shapes []logShape, kind string, journal host.Command) posture.Fact[posture.BanCover] {
	var recent []string
	if journal.Name != "" {
		out, err := c.Host.Run(journal)
		if c.Live && err == nil && out.Code == 0 {
			recent = host.Lines(out.Stdout)
		}
	}
	if !f.Jails.IsKnown() {
		return posture.Unknown[posture.BanCover](f.Jails.Problem, f.Jails.Source)
	}
	cover := posture.BanCover{Jails: []string{}, Missed: []string{}, Problems: []string{}}
	cover.FindTime, cover.BanTime = math.MaxInt32, math.MaxInt32
	var meant []*fail2ban.Jail
	taken := map[string]posture.Fact[bool]{}
	for i, j := range f.Jails.Value {
		if !meantFor(j, shapes, kind) {
			continue
		}
		cover.Jails = append(cover.Jails, j.Name)
		meant = append(meant, jails[i])
		reads := canRead(j, f.JournalModule)
		addJail(&cover, j, reads)
		for name, ok := range j.Matches {
			if old := taken[name]; ok && !(old.IsKnown() && old.Value) {
				taken[name] = reads
			}
		}
	}
	if cover.MaxRetry == 0 {
		cover.FindTime, cover.BanTime = 0, 0
	}
	cover.Works = works(&cover, shapes, kind, taken)
	countRecent(&cover, meant, recent)
	if cover.RecentLines > 0 && cover.RecentMatched == 0 {
		cover.Works = posture.Known(false, posture.Effective, "journalctl")
		cover.Problems = append(cover.Problems, fmt.Sprintf("none of the last %d failures in the journal matches", cover.RecentLines))
	}
	return posture.Known(cover, posture.Configured, fail2ban.Base)
}

// works judges whether every line shape of a kind is taken by a jail that can read, and notes those that are not.
func works(cover *posture.BanCover, shapes []logShape, kind string, taken map[string]posture.Fact[bool]) posture.Fact[bool] {
	result := posture.Known(len(cover.Jails) > 0, posture.Configured, fail2ban.Base)
	for _, s := range shapes {
		if s.kind != kind || s.forged {
			continue
		}
		t, matched := taken[s.name]
		switch {
		case !matched:
			cover.Missed = append(cover.Missed, s.name)
			result = posture.Known(false, posture.Configured, fail2ban.Base)
		case t.IsKnown() && !t.Value:
			result = posture.Known(false, posture.Configured, fail2ban.Base)
		case !t.IsKnown() && (!result.IsKnown() || result.Value):
			result = t
		}
	}
	return result
}

// canRead reports whether the jail starts and has something to read.
func canRead(j posture.BanJail, module posture.Fact[bool]) posture.Fact[bool] {
	switch {
	case !j.Starts:
		return posture.Known(false, posture.Configured, j.Source)
	case j.Journal:
		return module
	}
	return j.SourceExists
}

func addJail(cover *posture.BanCover, j posture.BanJail, reads posture.Fact[bool]) {
	for _, p := range j.Problems {
		cover.Problems = append(cover.Problems, "["+j.Name+"] "+p)
	}
	cover.Forgeable = cover.Forgeable || j.Forgeable
	if j.Forgeable {
		cover.Problems = append(cover.Problems, fmt.Sprintf("[%s] the filter is not anchored: a crafted user name has any address banned", j.Name))
	}
	switch {
	case !j.Starts:
		cover.Problems = append(cover.Problems, "["+j.Name+"] the jail does not start")
		return
	case !j.Journal && reads.IsKnown() && !reads.Value:
		cover.Problems = append(cover.Problems, fmt.Sprintf("[%s] none of its log files exists: %s", j.Name, logPathNames(j)))
	case j.Journal && reads.IsKnown() && !reads.Value:
		cover.Problems = append(cover.Problems, "["+j.Name+"] backend = systemd needs the package python3-systemd")
	}
	ban := j.BanTime
	if ban < 0 {
		ban = math.MaxInt32
	}
	cover.MaxRetry = max(cover.MaxRetry, j.MaxRetry)
	cover.FindTime, cover.BanTime = min(cover.FindTime, j.FindTime), min(cover.BanTime, ban)
}

func logPathNames(j posture.BanJail) string {
	var names []string
	for _, p := range j.LogPaths {
		names = append(names, p.Path)
	}
	if len(names) == 0 {
		return "no logpath is set"
	}
	return strings.Join(names, ", ")
}

// countRecent tries real lines of this host. "journalctl --output=short" puts a time stamp in front of what the
// systemd backend gives; a jail that reads files sees the same line with the stamp.
func countRecent(cover *posture.BanCover, jails []*fail2ban.Jail, lines []string) {
	for _, l := range lines {
		if l == "" || strings.HasPrefix(l, "-- ") {
			continue
		}
		cover.RecentLines++
		for _, j := range jails {
			if j.Filter == nil {
				continue
			}
			_, ok := j.Filter.Match(l)
			if j.Journal() {
				_, ok = j.Filter.MatchText(withoutStamp(l))
			}
			if ok {
				cover.RecentMatched++
				break
			}
		}
	}
}

// withoutStamp removes "Nov 20 12:00:00 " from a line.
func withoutStamp(l string) string {
	if f := strings.SplitN(l, " ", 4); len(f) == 4 && len(l) > 16 && strings.Count(l[:16], ":") == 2 {
		return strings.TrimLeft(l[15:], " ")
	}
	return l
}

// banFirewall finds the backend of PVE's firewall and the programs for packet filters.
func banFirewall(c *Context, f *posture.BanFacts) {
	fw, fwErr := c.Host.ReadFile(webClusterFW)
	node := osHostname(c)
	file := banHostFW
	b, err := c.Host.ReadFile(file)
	if err != nil && node.IsKnown() {
		file = "/etc/pve/nodes/" + node.Value + "/host.fw"
		b, err = c.Host.ReadFile(file)
	}
	switch {
	case firstHardError(fwErr, err) != nil:
		f.FirewallBackend = posture.Unknown[string](firstHardError(fwErr, err), file)
	case !pveFirewallEnabled(fw):
		f.FirewallBackend = posture.Known("none", posture.Configured, webClusterFW)
	case hostNftables(b):
		f.FirewallBackend = posture.Known("nftables", posture.Configured, file)
	default:
		f.FirewallBackend = posture.Known("iptables", posture.Default, file)
	}
	tools := []string{}
	for _, t := range []string{"nft", "iptables", "ipset"} {
		_, err := c.Host.Stat("/usr/sbin/" + t)
		if err == nil {
			tools = append(tools, t)
			continue
		}
		if !host.NotExist(err) {
			f.Tools = posture.Unknown[[]string](err, "/usr/sbin/"+t)
			return
		}
	}
	f.Tools = posture.Known(tools, posture.Effective, "/usr/sbin")
	if _, err := c.Host.Stat("/usr/sbin"); err != nil {
		f.Tools = posture.Unknown[[]string](err, "/usr/sbin")
	}
}

// hostNftables reads "nftables: 1" in the [OPTIONS] of host.fw.
func hostNftables(b []byte) bool {
	section := ""
	for _, l := range host.Lines(b) {
		l, _, _ = strings.Cut(l, "#")
		l = strings.TrimSpace(l)
		if strings.HasPrefix(l, "[") {
			section = strings.ToUpper(l)
		}
		if k, v, ok := strings.Cut(l, ":"); ok && section == "[OPTIONS]" && strings.TrimSpace(k) == "nftables" {
			return strings.TrimSpace(v) == "1"
		}
	}
	return false
}

// banMissingTools compares what the actions call with what is installed.
func banMissingTools(f *posture.BanFacts) posture.Fact[[]string] {
	if !f.Jails.IsKnown() || !f.Tools.IsKnown() {
		p := f.Jails.Problem
		if p == nil {
			p = f.Tools.Problem
		}
		return posture.Unknown[[]string](p, "/usr/sbin")
	}
	out := []string{}
	for _, j := range f.Jails.Value {
		need := map[string]string{"nftables": "nft", "iptables": "iptables", "ipset": "ipset"}[j.ActionBackend]
		if need != "" && !slices.Contains(f.Tools.Value, need) {
			out = append(out, fmt.Sprintf("[%s] bans with %s, which is not installed", j.Name, need))
		}
	}
	return posture.Known(uniqStrings(out), posture.Effective, "/usr/sbin")
}
