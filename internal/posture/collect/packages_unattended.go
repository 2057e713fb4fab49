package collect

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/castellan-project/castellan/internal/debian/apt"
	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/posture"
)

const pkgUpgradeLog = "/var/log/unattended-upgrades/unattended-upgrades.log"

func (s *pkgState) unattended() {
	u := &s.facts.Unattended
	const prefix = "Unattended-Upgrade::"
	u.Installed = s.has("unattended-upgrades")
	u.Reboot = s.conf.truth(prefix+"Automatic-Reboot", false)
	mail := s.conf.text(prefix+"Mail", "")
	u.Mail = posture.Fact[bool]{Problem: mail.Problem, Source: mail.Source}
	if mail.IsKnown() {
		u.Mail = posture.Known(mail.Value != "", mail.Origin, mail.Source)
	}
	u.MailReport = s.conf.text(prefix+"MailReport", "on-change")
	s.origins()
	s.upgradeLog()
}

// origins resolves what unattended-upgrades may install from. Its own variables need the release's code name.
func (s *pkgState) origins() {
	u := &s.facts.Unattended
	fail := func(err error) {
		u.Origins = posture.Unknown[[]posture.UpgradeOrigin](err, "Unattended-Upgrade::Origins-Pattern")
		u.Security = posture.Unknown[bool](err, "Unattended-Upgrade::Origins-Pattern")
	}
	switch {
	case s.conf.err != nil:
		fail(s.conf.err)
		return
	case s.codename == "":
		fail(posture.Problemf("not-found", "the code name of the release is not known: %s", osFileOSRelease))
		return
	}
	variables := map[string]string{"distro_id": "Debian", "distro_codename": s.codename}
	releases := knownReleases(s.codename)
	list := []posture.UpgradeOrigin{}
	security := posture.Known(false, posture.Default, "default of Unattended-Upgrade::Origins-Pattern")
	for _, kind := range []struct {
		option string
		parse  func(string, map[string]string) (apt.Pattern, error)
	}{{"Allowed-Origins", apt.ParseAllowedOrigin}, {"Origins-Pattern", apt.ParsePattern}} {
		for _, o := range s.conf.List("Unattended-Upgrade::" + kind.option) {
			p, err := kind.parse(o.Value, variables)
			if err != nil {
				fail(posture.Problemf("malformed", "%s: %v", o.Source, err))
				return
			}
			origin := posture.UpgradeOrigin{Text: o.Value, Source: o.Source, Matches: []string{}}
			for _, r := range releases {
				if p.Match(r.Release) {
					origin.Matches = append(origin.Matches, r.class)
					if r.class == "debian-security" {
						security = posture.Known(true, posture.Configured, o.Source)
					}
				}
			}
			list = append(list, origin)
		}
	}
	u.Origins = posture.Known(list, posture.Configured, "/etc/apt/apt.conf.d")
	u.Security = security
}

type knownRelease struct {
	class string
	apt.Release
}

// knownReleases are the Release files of the repositories that a Proxmox VE host has, in the fields that patterns can
// ask for. The suite of a Debian release changes with its age, and a pattern that matches none of its names matches
// nothing; so the present name is taken from the code name.
func knownReleases(codename string) []knownRelease {
	suite := map[string]string{"bullseye": "oldoldstable", "bookworm": "oldstable", "trixie": "stable", "forky": "testing"}[codename]
	debian := func(class, label, suffix, site string) knownRelease {
		return knownRelease{class, apt.Release{
			Origin: "Debian", Label: label, Suite: suite + suffix, Codename: codename + suffix, Component: "main", Site: site,
		}}
	}
	backports := debian("debian-backports", "Debian Backports", "-backports", "deb.debian.org")
	backports.Origin, backports.Suite = "Debian Backports", codename+"-backports"
	return []knownRelease{
		debian("debian", "Debian", "", "deb.debian.org"),
		debian("debian-security", "Debian-Security", "-security", "security.debian.org"),
		debian("debian-updates", "Debian", "-updates", "deb.debian.org"),
		backports,
		{"pve", apt.Release{Origin: "Proxmox", Label: "Proxmox Debian Repository", Suite: "stable", Codename: codename, Component: "pve-no-subscription", Site: "download.proxmox.com"}},
		{"pve", apt.Release{Origin: "Proxmox", Label: "Proxmox Debian Repository", Suite: "stable", Codename: codename, Component: "pve-enterprise", Site: "enterprise.proxmox.com"}},
		{"ceph", apt.Release{Origin: "Proxmox", Label: "Proxmox Ceph Debian Repository", Suite: "stable", Codename: codename, Component: "no-subscription", Site: "download.proxmox.com"}},
	}
}

// upgradeLog reads when unattended-upgrades last started and what went wrong then. The log states local time without a
// zone; the file's own time is exact where the copy kept it.
func (s *pkgState) upgradeLog() {
	u := &s.facts.Unattended
	b, err := s.c.Host.ReadFile(pkgUpgradeLog)
	if err != nil {
		if host.NotExist(err) {
			err = posture.Problemf("not-found", "unattended-upgrades has not written its log since the last rotation: %s", pkgUpgradeLog)
		}
		u.LastRun = posture.Unknown[time.Time](err, pkgUpgradeLog)
		u.Errors = posture.Unknown[int](err, pkgUpgradeLog)
		return
	}
	run := lastUpgradeRun(b)
	u.Errors = posture.Known(run.errors, posture.Effective, pkgUpgradeLog)
	fi, err := s.c.Host.Stat(pkgUpgradeLog)
	switch {
	case errors.Is(err, host.ErrPending):
		u.LastRun = posture.Unknown[time.Time](err, pkgUpgradeLog)
	case err == nil && !fi.OwnerUnknown && run.line > 0:
		u.LastRun = posture.Known(fi.ModTime.UTC().Truncate(time.Second), posture.Effective, pkgUpgradeLog)
	case run.line == 0:
		none := posture.Problemf("not-found", "%s records no run", pkgUpgradeLog)
		u.LastRun, u.Errors = posture.Unknown[time.Time](none, pkgUpgradeLog), posture.Unknown[int](none, pkgUpgradeLog)
	default:
		u.LastRun = posture.Known(run.started, posture.Effective, pkgAt(pkgUpgradeLog, run.line))
	}
}

type upgradeRun struct {
	started time.Time
	line    int // of the start, 0 when the log has none
	errors  int
}

// lastUpgradeRun finds the last run in lines like "2026-11-20 06:31:07,412 INFO Starting unattended upgrades script".
func lastUpgradeRun(b []byte) upgradeRun {
	var run upgradeRun
	for i, line := range host.Lines(b) {
		f := strings.SplitN(line, " ", 4)
		if len(f) < 4 || len(f[1]) < 8 {
			continue
		}
		switch f[2] {
		case "ERROR", "CRITICAL":
			run.errors++
		case "INFO":
			if strings.HasPrefix(f[3], "Starting unattended upgrades script") {
				t, err := time.Parse(time.DateTime, fmt.Sprintf("%s %s", f[0], f[1][:8]))
				if err == nil {
					run = upgradeRun{started: t, line: i + 1}
				}
			}
		}
	}
	return run
}
