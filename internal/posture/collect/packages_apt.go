package collect

import (
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/debian/apt"
	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/posture"
)

// aptConf is the effective configuration, or why it is not known.
type aptConf struct {
	apt.Config
	err error
}

// readAptConf reads apt.conf.d in the order of the names, then apt.conf (apt.conf(5)).
func readAptConf(c *Context) aptConf {
	var conf aptConf
	files, errs := pkgReadParts(c, pkgConfParts, apt.IsPart)
	conf.err = pkgFirst(errs)
	if b, err := c.Host.ReadFile(pkgConf); err == nil {
		files = append(files, pkgFile{pkgConf, b})
	} else if !host.NotExist(err) && conf.err == nil {
		conf.err = err
	}
	if conf.err == nil {
		conf.err = notCopiedDir(c, "/etc/apt")
	}
	for _, f := range files {
		if err := conf.Merge(f.path, f.content); err != nil && conf.err == nil {
			conf.err = posture.Problemf("malformed", "%v", err)
		}
	}
	return conf
}

// text resolves an option with its default.
func (a *aptConf) text(name, byDefault string) posture.Fact[string] {
	if a.err != nil {
		return posture.Unknown[string](a.err, name)
	}
	if o, ok := a.Find(name); ok {
		return posture.Known(o.Value, posture.Configured, o.Source)
	}
	return posture.Known(byDefault, posture.Default, "default of "+name)
}

// truth resolves a boolean option with its default.
func (a *aptConf) truth(name string, byDefault bool) posture.Fact[bool] {
	t := a.text(name, strconv.FormatBool(byDefault))
	if !t.IsKnown() {
		return posture.Fact[bool]{Problem: t.Problem, Source: t.Source}
	}
	return posture.Known(apt.Bool(t.Value, byDefault), t.Origin, t.Source)
}

func (s *pkgState) sources() {
	list := []posture.AptSource{}
	var bad []string
	var files []pkgFile
	parts, errs := pkgReadParts(s.c, pkgParts, func(name string) bool { _, ok := apt.IsSourcePart(name); return ok })
	b, err := s.c.Host.ReadFile(pkgSources)
	if err == nil {
		files = append(files, pkgFile{pkgSources, b})
	} else if !host.NotExist(err) {
		errs = append(errs, err)
	}
	for _, f := range append(files, parts...) {
		parse := apt.ParseList
		if path.Ext(f.path) == ".sources" {
			parse = apt.ParseSources
		}
		entries, err := parse(f.content)
		if err != nil {
			bad = append(bad, f.path+": "+err.Error())
		}
		for _, e := range entries {
			list = append(list, aptSource(f.path, e))
		}
	}
	errs = append(errs, notCopiedDir(s.c, "/etc/apt"))
	s.facts.Sources = posture.Known(list, posture.Configured, "/etc/apt/sources.list, sources.list.d")
	if err := pkgFirst(errs); err != nil {
		s.facts.Sources = posture.Unknown[[]posture.AptSource](err, "/etc/apt/sources.list.d")
	}
	s.facts.SourceErrors = posture.Known(bad, posture.Configured, "/etc/apt/sources.list, sources.list.d")
	s.globalKeys()
}

func aptSource(file string, e apt.Source) posture.AptSource {
	src := posture.AptSource{
		Source: pkgAt(file, e.Line), URI: withoutCredentials(e.URI), Suite: e.Suite, Components: e.Components,
		Enabled: e.Enabled, Binary: slices.Contains(e.Types, "deb"), SignedBy: len(e.SignedBy) > 0,
		Insecure: e.Trusted || e.AllowInsecure || e.AllowWeak,
	}
	src.ID = strings.Join(append([]string{src.URI, src.Suite}, src.Components...), " ") + " (" + src.Source + ")"
	src.Class, src.Codename = classify(src.URI, src.Suite, src.Components, e.SignedBy)
	return src
}

// withoutCredentials takes user and password out of a URI: some mirrors have them there.
func withoutCredentials(uri string) string {
	scheme, rest, ok := strings.Cut(uri, "://")
	if !ok {
		return uri
	}
	authority, after, _ := strings.Cut(rest, "/")
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		return scheme + "://" + authority[i+1:] + "/" + after
	}
	return uri
}

// classify tells what a repository is by its components first, as mirrors keep these, then by its address.
func classify(uri, suite string, components, keys []string) (class, codename string) {
	name, place := uri, ""
	if u, err := url.Parse(uri); err == nil {
		name, place = u.Hostname(), u.Path
	}
	codename = suiteCodename(suite)
	for _, c := range components {
		switch c {
		case "pve-enterprise", "pve-no-subscription":
			return c, codename
		case "pve-test", "pvetest":
			return "pve-test", codename
		}
	}
	proxmox := strings.HasSuffix(name, "proxmox.com")
	if strings.Contains(place, "/ceph-") && (proxmox || slices.Contains(components, "no-subscription")) {
		for _, c := range components {
			switch c {
			case "enterprise", "no-subscription", "test":
				return "ceph-" + c, codename
			case "main": // the layout before Proxmox VE 8: no channel but that of the host name
				if strings.HasPrefix(name, "enterprise.") {
					return "ceph-enterprise", codename
				}
				return "ceph-no-subscription", codename
			}
		}
	}
	if proxmox {
		return "proxmox-other", codename
	}
	if !isDebian(name, strings.TrimSuffix(place, "/"), keys) {
		return "third-party", codename
	}
	switch {
	case strings.HasSuffix(suite, "-security"), strings.HasSuffix(suite, "/updates"), strings.Contains(place, "debian-security"):
		return "debian-security", codename
	case strings.HasSuffix(suite, "-updates"), strings.HasSuffix(suite, "-proposed-updates"):
		return "debian-updates", codename
	case strings.Contains(suite, "-backports"):
		return "debian-backports", codename
	}
	return "debian", codename
}

// suiteCodename gives the release that a suite belongs to: "bookworm" for "bookworm-security" and, by today's names,
// for "oldstable-security". The names of ages move with each release of Debian, of which the next is due in 2027.
func suiteCodename(suite string) string {
	name, _, _ := strings.Cut(suite, "/")
	name, _, _ = strings.Cut(name, "-")
	switch name {
	case "stable":
		return "trixie"
	case "oldstable":
		return "bookworm"
	case "oldoldstable":
		return "bullseye"
	}
	return name
}

// isDebian tells Debian and its mirrors, which keep the archive at /debian, from others that pack for Debian and have
// that word deeper in their paths.
func isDebian(name, place string, keys []string) bool {
	return strings.HasSuffix(name, "debian.org") || place == "/debian" || place == "/debian/packages" ||
		strings.HasPrefix(place, "/debian-security") ||
		slices.ContainsFunc(keys, func(k string) bool { return strings.HasPrefix(path.Base(k), "debian-archive-") })
}

// globalKeys lists the keys that vouch for every repository. Those that the packages of Debian and Proxmox install are
// left out.
func (s *pkgState) globalKeys() {
	list, err := s.c.Host.List(pkgKeyParts)
	if err == nil {
		err = notCopiedDir(s.c, "/etc/apt")
	}
	if err != nil {
		s.facts.GlobalKeys = posture.Unknown[[]string](err, pkgKeyParts)
		return
	}
	var keys []string
	switch fi, err := s.c.Host.Stat(pkgKeyring); {
	case err == nil && fi.Size > 0:
		keys = append(keys, pkgKeyring)
	case err != nil && !host.NotExist(err):
		s.facts.GlobalKeys = posture.Unknown[[]string](err, pkgKeyring)
		return
	}
	for _, fi := range list {
		name := path.Base(fi.Path)
		ext := path.Ext(name)
		if fi.Type == host.Dir || ext != ".gpg" && ext != ".asc" || strings.HasPrefix(name, "debian-archive-") ||
			strings.HasPrefix(name, "proxmox-release-") || strings.HasPrefix(name, "proxmox-archive-") {
			continue
		}
		keys = append(keys, fi.Path)
	}
	s.facts.GlobalKeys = posture.Known(keys, posture.Configured, "/etc/apt/trusted.gpg.d")
}

// insecureOptions finds the options that make APT accept data without a valid signature (apt.conf(5), apt-secure(8)).
func (s *pkgState) insecureOptions() {
	if s.conf.err != nil {
		s.facts.InsecureOptions = posture.Unknown[[]string](s.conf.err, "/etc/apt/apt.conf.d")
		return
	}
	var found []string
	for _, name := range []string{
		"APT::Get::AllowUnauthenticated", "Acquire::AllowInsecureRepositories", "Acquire::AllowWeakRepositories",
		"Acquire::AllowDowngradeToInsecureRepositories",
	} {
		if o, ok := s.conf.Find(name); ok && apt.Bool(o.Value, false) {
			found = append(found, o.Name+" "+o.Value+" ("+o.Source+")")
		}
	}
	for _, name := range []string{"Acquire::https::Verify-Peer", "Acquire::https::Verify-Host", "Acquire::Check-Valid-Until"} {
		if o, ok := s.conf.Find(name); ok && !apt.Bool(o.Value, true) {
			found = append(found, o.Name+" "+o.Value+" ("+o.Source+")")
		}
	}
	s.facts.InsecureOptions = posture.Known(found, posture.Configured, "/etc/apt/apt.conf.d")
}

// periodic resolves what apt.systemd.daily, which both timers start, obeys.
func (s *pkgState) periodic() {
	p := &s.facts.Periodic
	p.Enable = s.conf.truth("APT::Periodic::Enable", true)
	p.UpdateLists = s.conf.text("APT::Periodic::Update-Package-Lists", "0")
	p.Upgrade = s.conf.text("APT::Periodic::Unattended-Upgrade", "0")
	p.UpdateListsOn = pkgBoth(p.Enable, p.UpdateLists)
	p.UpgradeOn = pkgBoth(p.Enable, p.Upgrade)
}

func pkgBoth(enable posture.Fact[bool], interval posture.Fact[string]) posture.Fact[bool] {
	if !interval.IsKnown() {
		return posture.Fact[bool]{Problem: interval.Problem, Source: interval.Source}
	}
	return posture.Known(enable.Value && intervalOn(interval.Value), interval.Origin, interval.Source)
}

// intervalOn reports whether an interval of APT::Periodic is other than never: days, "always", or a number with s, m,
// h or d.
func intervalOn(s string) bool {
	s = strings.TrimSpace(s)
	return s == "always" || strings.Trim(strings.TrimRight(s, "smhd"), "0") != "" && strings.Trim(strings.TrimRight(s, "smhd"), "0123456789") == ""
}
