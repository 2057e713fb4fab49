package collect

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/castellan-project/castellan/internal/debian/passwd"
	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/posture"
)

// Files returns the collector of the subject files.
func Files() Collector {
	var needs []host.Need
	for _, list := range [][]host.Need{modeNeeds(), mountNeeds(), inventoryNeeds(), usbNeeds()} {
		needs = append(needs, list...)
	}
	return Collector{Name: "files", Needs: needs, Collect: collectFiles}
}

func collectFiles(c *Context) {
	var f posture.FileFacts
	names := readNames(c)
	f.Modes = fileModes(c, names)
	collectMounts(c, &f)
	f.CronAllowed, f.AtAllowed = schedulers(c)
	collectInventory(c, &f, names)
	collectUSB(c, &f)
	c.Facts.Files = f
}

// watchedPaths are the files whose mode and owner controls judge.
func watchedPaths() []string {
	return []string{
		"/etc/passwd", "/etc/passwd-", "/etc/shadow", "/etc/shadow-", "/etc/group", "/etc/group-", "/etc/gshadow", "/etc/gshadow-", "/etc/shells",
		"/etc/security/opasswd", "/etc/security/opasswd.old", "/etc/crontab", "/etc/cron.hourly", "/etc/cron.daily", "/etc/cron.weekly", "/etc/cron.monthly",
		"/etc/cron.yearly", "/etc/cron.d", "/etc/cron.allow", "/etc/cron.deny", "/etc/at.allow", "/etc/at.deny", "/etc/sudoers", "/etc/sudoers.d",
		"/root", "/etc/exports", "/etc/postfix/main.cf", "/etc/motd", "/etc/issue", "/etc/issue.net",
	}
}

func modeNeeds() []host.Need {
	return append(stats(watchedPaths()...), reads("/etc/passwd", "/etc/group", "/etc/subuid", "/etc/subgid", "/etc/cron.allow", "/etc/at.allow")...)
}

// nameTable turns user and group ids into names.
type nameTable struct {
	users, groups map[int]string
	err           error
}

func readNames(c *Context) nameTable {
	t := nameTable{users: map[int]string{}, groups: map[int]string{}}
	b, err := c.Host.ReadFile("/etc/passwd")
	if err == nil {
		var users []passwd.User
		users, err = passwd.ParseUsers(b)
		for _, u := range slices.Backward(users) {
			t.users[u.UID] = u.Name
		}
	}
	t.err = err
	b, err = c.Host.ReadFile("/etc/group")
	if err == nil {
		var groups []passwd.Group
		groups, err = passwd.ParseGroups(b)
		for _, g := range slices.Backward(groups) {
			t.groups[g.GID] = g.Name
		}
	}
	if t.err == nil {
		t.err = err
	}
	return t
}

// of returns the name, or the number when there is none. Ids that Debian's base-passwd fixes are known without files.
func (t nameTable) of(id int, names map[int]string, group bool) string {
	if n, ok := names[id]; ok {
		return n
	}
	switch {
	case id == 0:
		return "root"
	case id == 42 && group:
		return "shadow"
	}
	return itoa(id)
}

func fileModes(c *Context, names nameTable) posture.Fact[map[string]posture.FileMode] {
	out := map[string]posture.FileMode{}
	for _, p := range watchedPaths() {
		out[p] = fileMode(c, p, names)
	}
	return posture.Known(out, posture.Effective, "stat")
}

func fileMode(c *Context, p string, names nameTable) posture.FileMode {
	var m posture.FileMode
	info, err := c.Host.Stat(p)
	gone := host.NotExist(err)
	// In a copy of parts the passwd family is missing only when it was not copied.
	if gone && wholeSystem(c) {
		m.Exists = posture.Known(false, posture.Effective, p)
	} else if err != nil {
		m.Exists = posture.Unknown[bool](err, p)
	} else {
		m.Exists = posture.Known(true, posture.Effective, p)
	}
	if err == nil && info.OwnerUnknown {
		err = posture.Problemf("unavailable", "the copy did not keep the mode and owner of %s", p)
	}
	if err != nil {
		m.Mode, m.Owner, m.Group = posture.Unknown[string](err, p), posture.Unknown[string](err, p), posture.Unknown[string](err, p)
		m.Bits, m.Time = posture.Unknown[int](err, p), posture.Unknown[time.Time](err, p)
		for _, b := range []*posture.Fact[bool]{&m.GroupRead, &m.GroupWrite, &m.OtherRead, &m.OtherWrite, &m.OtherExec} {
			*b = posture.Unknown[bool](err, p)
		}
		return m
	}
	bit := func(mask uint32) posture.Fact[bool] { return posture.Known(info.Mode&mask != 0, posture.Effective, p) }
	m.Mode = posture.Known(fmt.Sprintf("%04o", info.Mode), posture.Effective, p)
	m.Bits = posture.Known(int(info.Mode), posture.Effective, p)
	m.Owner = posture.Known(names.of(info.UID, names.users, false), posture.Effective, p)
	m.Group = posture.Known(names.of(info.GID, names.groups, true), posture.Effective, p)
	m.Time = posture.Known(info.ModTime.UTC(), posture.Effective, p)
	if !recordable(info.ModTime) {
		m.Time = posture.Unknown[time.Time](posture.Problemf("malformed", "%s was changed in the year %d", p, info.ModTime.Year()), p)
	}
	m.GroupRead, m.GroupWrite = bit(0o040), bit(0o020)
	m.OtherRead, m.OtherWrite, m.OtherExec = bit(0o004), bit(0o002), bit(0o001)
	return m
}

// schedulers reads who may use cron and at. Debian's defaults without any file: everybody may use cron (crontab(1)),
// only root may use at (at(1)); the list is then ["ALL"] or empty. root may always.
func schedulers(c *Context) (cron, at posture.Fact[[]string]) {
	one := func(allow string, without []string) posture.Fact[[]string] {
		b, err := c.Host.ReadFile(allow)
		if absent(c, err) {
			return posture.Known(without, posture.Default, allow)
		}
		if err != nil {
			return posture.Unknown[[]string](err, allow)
		}
		names := []string{}
		for _, l := range host.Lines(b) {
			if l = strings.TrimSpace(l); l != "" && l[0] != '#' {
				names = append(names, l)
			}
		}
		return posture.Known(names, posture.Configured, allow)
	}
	return one("/etc/cron.allow", []string{"ALL"}), one("/etc/at.allow", []string{})
}

const svcModprobe = "/etc/modprobe.d/*.conf"

func modprobeDirs() []string {
	return []string{svcModprobe, "/run/modprobe.d/*.conf", "/usr/lib/modprobe.d/*.conf", "/lib/modprobe.d/*.conf"}
}

func usbNeeds() []host.Need {
	var needs []host.Need
	for _, d := range modprobeDirs() {
		needs = append(needs, host.Need{Read: d}, host.Need{List: d})
	}
	return append(needs, lists("/sys/module/*", "/etc/systemd/system/*.wants/*", "/etc/init.d/*", "/usr/lib/systemd/system/udisks2.service",
		"/usr/lib/systemd/system/autofs.service", "/etc/systemd/system/*")...)
}

// installFalse matches the line that makes a module impossible to load: "install usb-storage /bin/false".
func installFalse() *regexp.Regexp {
	return regexp.MustCompile(`^\s*install\s+usb[-_]storage\s+(/usr)?/bin/(false|true)\b`)
}

func collectUSB(c *Context, f *posture.FileFacts) {
	f.USBStorage = usbStorage(c)
	f.Automounters = automounters(c)
}

func usbStorage(c *Context) posture.Fact[string] {
	blocked := ""
	re := installFalse()
	for _, d := range modprobeDirs() {
		paths, contents, err := readAll(c, d)
		if err != nil {
			return posture.Unknown[string](err, d)
		}
		for i, p := range paths {
			for n, l := range host.Lines(contents[i]) {
				if re.MatchString(l) && blocked == "" {
					blocked = source(p, n+1)
				}
			}
		}
	}
	if c.Live {
		infos, err := c.Host.List("/sys/module/*")
		if err != nil {
			return posture.Unknown[string](err, "/sys/module")
		}
		if named(infos, "usb_storage") {
			return posture.Known("loaded", posture.Effective, "/sys/module/usb_storage")
		}
	}
	if blocked != "" {
		return posture.Known("blocked", posture.Configured, blocked)
	}
	if !c.Live && !wholeSystem(c) {
		if infos, err := c.Host.List(svcModprobe); err != nil || len(infos) == 0 {
			return posture.Unknown[string](notCopied("/etc/modprobe.d"), "/etc/modprobe.d")
		}
	}
	return posture.Known("loadable", posture.Default, "default of the kernel")
}

// automounters are services that mount what is plugged in. udisks2 itself only mounts on request of a desktop, which a
// host should not have either.
func automounters(c *Context) posture.Fact[[]string] {
	out := []string{}
	names := []string{"udisks2.service", "autofs.service", "usbmount.service", "udevil.service", "devmon.service"}
	infos, err := c.Host.List("/etc/systemd/system/*.wants/*")
	own, err2 := c.Host.List("/etc/systemd/system/*")
	if err != nil || err2 != nil {
		if err == nil {
			err = err2
		}
		return posture.Unknown[[]string](err, "/etc/systemd/system")
	}
	if len(infos) == 0 && !wholeSystem(c) {
		return posture.Unknown[[]string](notCopied("/etc/systemd/system"), "/etc/systemd/system")
	}
	for _, n := range names {
		masked := slices.ContainsFunc(own, func(i host.File) bool { return path.Base(i.Path) == n && i.Link == "/dev/null" })
		if !masked && named(infos, n) {
			out = append(out, n)
		}
	}
	return posture.Known(out, posture.Configured, "/etc/systemd/system")
}
