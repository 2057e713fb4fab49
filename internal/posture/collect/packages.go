package collect

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/debian/dpkg"
	"github.com/castellan-project/castellan/internal/debian/osrelease"
	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/posture"
)

// Files of the packages collector that more than one part of it reads.
const (
	pkgDiversions = "/var/lib/dpkg/diversions"
	pkgLists      = "/var/lib/apt/lists"
	pkgStamps     = "/var/lib/apt/periodic"
	pkgConf       = "/etc/apt/apt.conf"
	pkgConfParts  = "/etc/apt/apt.conf.d/*"
	pkgSources    = "/etc/apt/sources.list"
	pkgParts      = "/etc/apt/sources.list.d/*"
	pkgKeyring    = "/etc/apt/trusted.gpg"
	pkgKeyParts   = "/etc/apt/trusted.gpg.d/*"
)

// Packages returns the collector of the subject packages.
func Packages() Collector {
	c := Collector{Name: "packages", Collect: collectPackages}
	read := []string{dpkgStatus, pkgDiversions, pkgConf, pkgConfParts, pkgSources, pkgParts, osFileOSRelease, osFileOSReleaseUsr, pkgSubscription,
		pkgDebsecan, pkgAptHistory, pkgShellHistory, pkgUpgradeLog, pkgKernelRelease, pkgKernelVersion, pkgKernelPin,
		pkgPidFiles, logTasks}
	for _, p := range append(read, pkgCronFiles()...) {
		c.Needs = append(c.Needs, host.Need{Read: p})
	}
	for _, p := range pkgSumFiles() {
		c.Needs = append(c.Needs, host.Need{Read: p})
	}
	for _, p := range append([]string{pkgConfParts, pkgParts, pkgKeyParts, pkgKernels, pkgExes, pkgPidFiles}, append(pkgCronFiles(), leftoverGlobs()...)...) {
		c.Needs = append(c.Needs, host.Need{List: p})
	}
	for _, p := range append([]string{pkgKeyring, pkgUpgradeLog, pkgRebootFlag}, listStamps()...) {
		c.Needs = append(c.Needs, host.Need{Stat: p})
	}
	for _, cmd := range []host.Command{pkgIndexCommand(), pkgStaleCommand(), pkgSumCommand(), showCommand(pkgShowName, pkgUnits())} {
		c.Needs = append(c.Needs, host.Need{Run: cmd})
	}
	return c
}

// pkgState is what the parts of the collector share.
type pkgState struct {
	c        *Context
	facts    *posture.PackageFacts
	packages []dpkg.Package // installed ones; nil with pkgErr
	pkgErr   error
	codename string // "bookworm"; empty when not known
	version  string // "12"
	conf     aptConf
}

func collectPackages(c *Context) {
	s := &pkgState{c: c, facts: &posture.PackageFacts{}}
	s.release()
	s.installed()
	s.support()
	s.conf = readAptConf(c)
	s.sources()
	s.insecureOptions()
	s.periodic()
	s.unattended()
	s.updates()
	s.kernels()
	s.running()
	s.integrity()
	s.habit()
	s.subscription()
	s.vulnerabilities()
	s.leftovers()
	units, err := watchedUnits(c, pkgShowName, pkgUnits())
	s.facts.AptDaily = unitFact(units, err, "apt-daily.timer")
	s.facts.AptDailyUpgrade = unitFact(units, err, "apt-daily-upgrade.timer")
	c.Facts.Packages = *s.facts
}

const pkgShowName = "systemctl-show-packages"

func pkgUnits() []string { return []string{"apt-daily.timer", "apt-daily-upgrade.timer"} }

func (s *pkgState) release() {
	b, err := s.c.Host.ReadFile(osFileOSRelease)
	if usr, usrErr := s.c.Host.ReadFile(osFileOSReleaseUsr); err != nil {
		b, err = usr, usrErr
	}
	if err != nil {
		return
	}
	if m, err := osrelease.Parse(b); err == nil {
		s.codename, s.version = m["VERSION_CODENAME"], m["VERSION_ID"]
	}
}

func (s *pkgState) installed() {
	f := s.facts
	b, err := s.c.Host.ReadFile(dpkgStatus)
	var all []dpkg.Package
	if err == nil {
		if all, err = dpkg.ParseStatus(b); err != nil {
			err = posture.Problemf("malformed", "%s: %v", dpkgStatus, err)
		}
	}
	if err != nil {
		s.pkgErr = err
		f.Installed = posture.Unknown[map[string]string](err, dpkgStatus)
		f.Held = posture.Unknown[[]string](err, dpkgStatus)
		f.Broken = posture.Unknown[[]string](err, dpkgStatus)
		return
	}
	versions := map[string]string{}
	var held, broken []string
	for _, p := range all {
		switch {
		case p.Installed():
			s.packages = append(s.packages, p)
			if v, ok := versions[p.Name]; !ok || dpkg.Compare(p.Version, v) > 0 {
				versions[p.Name] = p.Version
			}
			if p.Held() {
				held = append(held, p.Name)
			}
		case p.Broken():
			broken = append(broken, p.Name+" ("+p.State+")")
		}
	}
	f.Installed = posture.Known(versions, posture.Effective, dpkgStatus)
	f.Held = posture.Known(held, posture.Effective, dpkgStatus)
	f.Broken = posture.Known(broken, posture.Effective, dpkgStatus)
}

// has reports whether a package is installed, or why that is not known.
func (s *pkgState) has(name string) posture.Fact[bool] {
	if s.pkgErr != nil {
		return posture.Unknown[bool](s.pkgErr, dpkgStatus)
	}
	ok := slices.ContainsFunc(s.packages, func(p dpkg.Package) bool { return p.Name == name })
	return posture.Known(ok, posture.Effective, dpkgStatus)
}

func (s *pkgState) support() {
	f := s.facts
	debian, ok := debianSupport(s.version)
	f.DebianSupport = posture.Known(debian, posture.Configured, supportSource)
	if !ok {
		f.DebianSupport = posture.Unknown[posture.Support](posture.Problemf("unavailable",
			"no end of support is known for Debian %q: castellan may be too old", s.version), supportSource)
	}
	version, installed := f.Installed.Value["pve-manager"]
	major, _, _ := strings.Cut(version, ".")
	pve, ok := pveSupport(major)
	switch {
	case !f.Installed.IsKnown():
		f.PVESupport = posture.Unknown[posture.Support](s.pkgErr, dpkgStatus)
	case !installed:
		f.PVESupport = posture.Unknown[posture.Support](posture.Problemf("not-found", "pve-manager is not installed"), dpkgStatus)
	case !ok:
		f.PVESupport = posture.Unknown[posture.Support](posture.Problemf("unavailable",
			"no end of support is known for Proxmox VE %q: castellan may be too old", major), supportSource)
	default:
		f.PVESupport = posture.Known(pve, posture.Configured, supportSource)
	}
}

// pkgReadParts reads the files of a directory that a rule admits, in the order of their names. Files that cannot be read
// are errors.
func pkgReadParts(c *Context, pattern string, admit func(name string) bool) (files []pkgFile, errs []error) {
	list, err := c.Host.List(pattern)
	if err != nil {
		return nil, []error{err}
	}
	for _, fi := range list {
		if fi.Type == host.Dir || !admit(path.Base(fi.Path)) {
			continue
		}
		b, err := c.Host.ReadFile(fi.Path)
		if err != nil {
			if !host.NotExist(err) { // a link to nowhere, or gone since it was listed
				errs = append(errs, err)
			}
			continue
		}
		files = append(files, pkgFile{fi.Path, b})
	}
	return files, errs
}

type pkgFile struct {
	path    string
	content []byte
}

// notCopiedDir tells that a copy lacks a whole directory, so that a file that is not in it may well be on the host. On a
// running host what is not there is not there.
func notCopiedDir(c *Context, dir string) error {
	if c.Live {
		return nil
	}
	if _, err := c.Host.Stat(dir); host.NotExist(err) {
		return posture.Problemf("not-found", "%s is not part of this copy", dir)
	}
	return nil
}

// pkgFirst returns the first error that is not nil.
func pkgFirst(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func pkgAt(file string, line int) string { return fmt.Sprintf("%s:%d", file, line) }
