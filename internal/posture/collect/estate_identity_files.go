package collect

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/posture"
)

const (
	datacenterFile = "/etc/pve/datacenter.cfg"
	mountsFile     = "/proc/mounts"
)

// identityNeeds is what the subject identity reads beyond the inventory.
func identityNeeds() []host.Need {
	needs := []host.Need{{Read: "/etc/pve/priv/shadow.cfg"}, {Read: mountsFile}, {Stat: "/etc/pve/priv"}, {Stat: userFile}, {Stat: "/root"}, {List: "/etc/pve/priv/**"}}
	for _, p := range scriptPatterns() {
		needs = append(needs, host.Need{List: p})
	}
	for _, p := range historyPatterns() {
		needs = append(needs, host.Need{Read: p}, host.Need{List: p})
	}
	return needs
}

// scriptPatterns are the places where administrators keep scripts and their settings.
func scriptPatterns() []string {
	return append(pkgCronFiles(), "/var/spool/cron/crontabs/*", "/etc/environment", "/etc/profile.d/*", "/etc/systemd/system/*.service", "/etc/systemd/system/*.d/*.conf",
		"/etc/default/*", "/usr/local/bin/*", "/usr/local/sbin/*", "/usr/local/etc/*", "/root/*", "/root/.*rc", "/root/.profile", "/root/.env", "/root/bin/*", "/root/scripts/*",
		"/opt/*", "/opt/*/*", "/home/*/*.sh", "/home/*/.env")
}

// historyPatterns are the histories of shells.
func historyPatterns() []string {
	return []string{"/root/.bash_history", "/root/.zsh_history", "/home/*/.bash_history", "/home/*/.zsh_history"}
}

const (
	// maxScript is the size up to which a file counts as a script, in bytes: programs are larger.
	maxScript = 64 << 10
	// maxScripts bounds how many files are read.
	maxScripts = 2000
)

var (
	// tokenHeader is the header of the API with a literal secret, plainToken a token's name with the secret next to it, and
	// tokenVariable one of the usual variables with a literal secret (Terraform, Packer, Ansible, exporters).
	tokenHeader   = regexp.MustCompile(`PVEAPIToken=[^\s:!"'$]+@[^\s!"'$]+![A-Za-z][\w.-]+[=: ]` + uuid)
	plainToken    = regexp.MustCompile(`[\w.-]+@[A-Za-z][\w.-]+![A-Za-z][\w.-]+["']?\s*[=:,\s]\s*["']?` + uuid)
	tokenVariable = regexp.MustCompile(`(?i)(?:token|secret|pve|proxmox)\w*["']?\s*[=:]\s*["']?` + uuid)
	// passwordOption finds a password on a command line of PVE's tools or of useradd and its like; a variable is no password.
	passwordOption = regexp.MustCompile(`(?:^|[\s;&|(/])(pveum|pvesh|pvesm|pvecm|pct|qm|proxmox-backup-client|proxmox-backup-manager|useradd|usermod|mysql|ldapsearch)\s(?:.*\s)?--?passw(?:or)?d(?:=|\s+)["']?[^\s$"'-]`)
	sshpassOption  = regexp.MustCompile(`(?:^|[\s;&|(/])(sshpass)\s+-p\s*["']?[^\s$"'-]`)
)

const uuid = `[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}`

// files fills the facts that stand in files other than user.cfg.
func (s *identityState) files() {
	s.consent()
	s.exposed()
	s.mounted()
	s.plainTokens()
	s.typedPasswords()
}

func (s *identityState) consent() {
	b, err := s.c.Host.ReadFile(datacenterFile)
	switch {
	case host.NotExist(err) && !s.c.API:
		s.facts.Consent = posture.Known(false, posture.Default, "default of Proxmox VE")
		return
	case err != nil:
		s.facts.Consent = posture.Unknown[bool](err, datacenterFile)
		return
	}
	for i, l := range host.Lines(b) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(l), "consent-text:"); ok {
			s.facts.Consent = posture.Known(strings.TrimSpace(v) != "", posture.Configured, pkgAt(datacenterFile, i+1))
			return
		}
	}
	s.facts.Consent = posture.Known(false, posture.Default, "default of Proxmox VE")
}

// exposed compares modes with those of pmxcfs: files 0640, below priv/ 0600, priv/ itself 0700.
func (s *identityState) exposed() {
	found := []string{}
	check := func(f host.File, forbidden uint32) {
		if f.Type != host.Link && f.Mode&forbidden != 0 {
			found = append(found, fmt.Sprintf("%s %04o", f.Path, f.Mode))
		}
	}
	fail := func(err error, source string) { s.facts.Exposed = posture.Unknown[[]string](err, source) }
	user, err := s.host.Stat(userFile)
	priv, privErr := s.host.Stat("/etc/pve/priv")
	below, belowErr := s.host.List("/etc/pve/priv/**")
	switch {
	case err != nil:
		fail(err, userFile)
		return
	case privErr != nil:
		fail(privErr, "/etc/pve/priv")
		return
	case user.OwnerUnknown || priv.OwnerUnknown:
		fail(posture.Problemf("unavailable", "the copy did not keep modes"), "/etc/pve")
		return
	}
	check(user, 0o007)
	check(priv, 0o077)
	switch {
	case belowErr != nil && len(found) == 0 && priv.Mode&0o077 != 0:
		fail(belowErr, "/etc/pve/priv")
		return
	case belowErr == nil:
		for _, f := range below {
			check(f, 0o077)
		}
	}
	slices.Sort(found)
	s.facts.Exposed = posture.Known(found, posture.Effective, "/etc/pve")
}

func (s *identityState) mounted() {
	b, err := s.host.ReadFile(mountsFile)
	if err != nil || !s.c.Live {
		if err == nil {
			err = posture.Problemf("unavailable", "this is a copy")
		}
		s.facts.Mounted = posture.Unknown[bool](err, mountsFile)
		return
	}
	is := false
	for _, l := range host.Lines(b) {
		f := strings.Fields(l)
		is = is || len(f) > 2 && f[1] == "/etc/pve" && strings.HasPrefix(f[2], "fuse")
	}
	s.facts.Mounted = posture.Known(is, posture.Effective, mountsFile)
}

// plainTokens looks for secrets of API tokens in scripts. Only the place is kept.
func (s *identityState) plainTokens() {
	found := []string{}
	read, err := 0, error(nil)
	if s.c.API {
		s.facts.PlainTokens = posture.Unknown[[]string](posture.Problemf("unavailable", "the API shows no files of nodes"), "scripts")
		return
	}
	seen := map[string]bool{}
	for _, pattern := range scriptPatterns() {
		files, listErr := s.host.List(pattern)
		if listErr != nil && !host.NotExist(listErr) && err == nil {
			err = listErr
		}
		for _, f := range files {
			if f.Type != host.Regular || f.Size > maxScript || seen[f.Path] {
				continue
			}
			if read++; read > maxScripts {
				err = posture.Problemf("too-large", "more than %d files to look at", maxScripts)
				break
			}
			seen[f.Path] = true
			b, readErr := s.host.ReadFile(f.Path)
			if readErr != nil && !host.NotExist(readErr) && err == nil {
				err = readErr
			}
			for i, l := range host.Lines(b) {
				if tokenHeader.MatchString(l) || plainToken.MatchString(l) || tokenVariable.MatchString(l) {
					found = append(found, pkgAt(f.Path, i+1))
				}
			}
		}
	}
	if err == nil {
		err = notCopiedDir(s.c, "/root")
	}
	s.facts.PlainTokens = s.whatWasFound(found, err, "cron, /root, /usr/local, /opt, /etc/default, units")
}

// whatWasFound is a fact that counts as known as soon as something was found: what could not be read adds to it at most.
func (s *identityState) whatWasFound(found []string, err error, source string) posture.Fact[[]string] {
	if err != nil && len(found) == 0 {
		return posture.Unknown[[]string](err, source)
	}
	slices.Sort(found)
	return posture.Known(found, posture.Effective, source)
}

// typedPasswords looks for passwords on command lines in the histories of shells. Only the place and the program are kept.
func (s *identityState) typedPasswords() {
	found := []string{}
	var err error
	if s.c.API {
		s.facts.TypedPasswords = posture.Unknown[[]string](posture.Problemf("unavailable", "the API shows no files of nodes"), "shell histories")
		return
	}
	for _, pattern := range historyPatterns() {
		files, listErr := s.host.List(pattern)
		if listErr != nil && !host.NotExist(listErr) && err == nil {
			err = listErr
		}
		for _, f := range files {
			b, readErr := s.host.ReadFile(f.Path)
			if readErr != nil && err == nil {
				err = readErr
			}
			for i, l := range host.Lines(b) {
				m := passwordOption.FindStringSubmatch(l)
				if m == nil {
					m = sshpassOption.FindStringSubmatch(l)
				}
				if m != nil {
					found = append(found, fmt.Sprintf("%s (%s)", pkgAt(f.Path, i+1), m[1]))
				}
			}
		}
	}
	if err == nil {
		err = notCopiedDir(s.c, path.Dir(historyPatterns()[0]))
	}
	s.facts.TypedPasswords = s.whatWasFound(found, err, "shell histories")
}
