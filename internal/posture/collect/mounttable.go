package collect

import (
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/debian/mounts"
	"github.com/castellan-project/castellan/internal/debian/systemd"
	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/posture"
)

const svcVzdumpConf = "/etc/vzdump.conf"

func mountPoints() []string {
	return []string{"/", "/tmp", "/var/tmp", "/dev/shm", "/home", "/var", "/var/log", "/var/log/audit", "/var/lib/vz", "/boot", "/boot/efi", "/proc", "/srv"}
}

func mountNeeds() []host.Need {
	needs := reads(svcMounts, svcMountsSelf, svcFstab, svcVzdumpConf, "/etc/systemd/system/*.mount", "/usr/lib/systemd/system/tmp.mount",
		"/etc/systemd/system/tmp.mount.d/*.conf")
	return append(needs, lists("/etc/systemd/system/*", "/etc/systemd/system/*.wants/*.mount", "/etc/systemd/system/tmp.mount.d/*.conf",
		"/usr/lib/systemd/system/*.mount", "/usr/lib/systemd/system/local-fs.target.wants/*")...)
}

func collectMounts(c *Context, f *posture.FileFacts) {
	f.VzdumpTmpdir = vzdumpTmpdir(c)
	persistent, pErr := persistentMounts(c)
	var running []mounts.Mount
	var rErr error
	if c.Live {
		running, rErr = runningMounts(c)
	}
	out := map[string]posture.FileMount{}
	for _, p := range mountPoints() {
		out[p] = mountFacts(c, p, running, rErr, persistent, pErr)
	}
	f.Mounts = posture.Known(out, posture.Effective, svcFstab)
}

func mountFacts(c *Context, p string, running []mounts.Mount, rErr error, persistent []mounts.Mount, pErr error) posture.FileMount {
	var m posture.FileMount
	conf, has := mounts.At(persistent, p)
	if pErr != nil {
		m.Persistent = posture.Unknown[[]string](pErr, svcFstab)
	} else {
		m.Persistent = posture.Known(mountOptions(conf), posture.Configured, svcFstab)
	}
	if !c.Live {
		m.Options = m.Persistent
		if pErr != nil {
			m.Mounted, m.Type = posture.Unknown[bool](pErr, svcFstab), posture.Unknown[string](pErr, svcFstab)
			return m
		}
		m.Mounted, m.Type = posture.Known(has, posture.Configured, svcFstab), posture.Known(conf.Type, posture.Configured, svcFstab)
		return m
	}
	if rErr != nil {
		m.Mounted, m.Type = posture.Unknown[bool](rErr, svcMounts), posture.Unknown[string](rErr, svcMounts)
		m.Options = posture.Unknown[[]string](rErr, svcMounts)
		return m
	}
	now, mounted := mounts.At(running, p)
	m.Mounted = posture.Known(mounted, posture.Effective, svcMounts)
	m.Options, m.Type = posture.Known(mountOptions(now), posture.Effective, svcMounts), posture.Known(now.Type, posture.Effective, svcMounts)
	return m
}

// mountOptions returns the options, sorted. "defaults" says nothing and is left out.
func mountOptions(m mounts.Mount) []string {
	out := []string{}
	for _, o := range m.Options {
		if o != "" && o != "defaults" {
			out = append(out, o)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// runningMounts prefers the table of process 1, which is the host's even when the scan runs in a namespace of its own.
func runningMounts(c *Context) ([]mounts.Mount, error) {
	b, err := c.Host.ReadFile(svcMounts)
	if err != nil {
		if b2, err2 := c.Host.ReadFile(svcMountsSelf); err2 == nil {
			b, err = b2, nil
		}
	}
	if err != nil {
		return nil, err
	}
	list, err := mounts.Parse(b)
	if err != nil {
		return nil, posture.Problemf("malformed", "%v", err)
	}
	return list, nil
}

// persistentMounts joins fstab, mount units, and what systemd mounts by itself.
func persistentMounts(c *Context) ([]mounts.Mount, error) {
	b, err := c.Host.ReadFile(svcFstab)
	if err != nil && !absent(c, err) {
		return nil, err
	}
	fstab, err := mounts.Parse(b)
	if err != nil {
		return nil, posture.Problemf("malformed", "%s: %v", svcFstab, err)
	}
	// systemd mounts /dev/shm and /proc in its own code (src/shared/mount-setup.c); entries of fstab change the options.
	list := []mounts.Mount{
		{Path: "/dev/shm", Type: "tmpfs", Options: []string{"nosuid", "nodev"}},
		{Path: "/proc", Type: "proc", Options: []string{"nosuid", "nodev", "noexec"}},
	}
	unit, ok, err := tmpMount(c)
	if err != nil {
		return nil, err
	}
	if ok {
		list = append(list, unit)
	}
	units, err := mountUnits(c)
	if err != nil {
		return nil, err
	}
	return append(append(list, units...), fstab...), nil
}

// tmpMount is the unit that Debian 13 uses for /tmp and Debian 12 has as an example: it counts when something enables it.
func tmpMount(c *Context) (mounts.Mount, bool, error) {
	var entries []systemd.Entry
	for _, p := range []string{"/etc/systemd/system/*", "/etc/systemd/system/*.wants/*.mount", "/usr/lib/systemd/system/*.mount",
		"/usr/lib/systemd/system/local-fs.target.wants/*"} {
		infos, err := c.Host.List(p)
		if err != nil && !host.NotExist(err) {
			return mounts.Mount{}, false, err
		}
		for _, i := range infos {
			if i.Type != host.Dir {
				entries = append(entries, systemd.Entry{Path: i.Path, Link: i.Link, Size: i.Size})
			}
		}
	}
	tree := systemd.NewTree(entries)
	file := tree.File("tmp.mount")
	if file == "" {
		return mounts.Mount{}, false, nil
	}
	b, err := c.Host.ReadFile(file)
	if err != nil {
		return mounts.Mount{}, false, err
	}
	if s := tree.State("tmp.mount", b); !s.Boots || s.Enabled == systemd.Masked {
		return mounts.Mount{}, false, nil
	}
	_, dropIns, err := readAll(c, "/etc/systemd/system/tmp.mount.d/*.conf")
	if err != nil {
		return mounts.Mount{}, false, err
	}
	u := systemd.ParseUnit(b)
	for _, d := range dropIns {
		u = u.Merge(systemd.ParseUnit(d))
	}
	return unitMount(u), true, nil
}

func unitMount(u systemd.Unit) mounts.Mount {
	where, _ := u.Last("Mount", "Where")
	kind, _ := u.Last("Mount", "Type")
	options, _ := u.Last("Mount", "Options")
	what, _ := u.Last("Mount", "What")
	m := mounts.Mount{Source: what, Path: where, Type: kind}
	if options != "" {
		m.Options = strings.Split(options, ",")
	}
	return m
}

// mountUnits are the administrator's own mount units that are enabled.
func mountUnits(c *Context) ([]mounts.Mount, error) {
	wants, err := c.Host.List("/etc/systemd/system/*.wants/*.mount")
	if err != nil {
		return nil, err
	}
	var out []mounts.Mount
	paths, contents, err := readAll(c, "/etc/systemd/system/*.mount")
	if err != nil {
		return nil, err
	}
	for i, p := range paths {
		name := p[strings.LastIndexByte(p, '/')+1:]
		if name != "tmp.mount" && named(wants, name) {
			if m := unitMount(systemd.ParseUnit(contents[i])); m.Path != "" {
				out = append(out, m)
			}
		}
	}
	return out, nil
}

// vzdumpTmpdir reads "tmpdir: PATH" of vzdump.conf.
func vzdumpTmpdir(c *Context) posture.Fact[string] {
	b, err := c.Host.ReadFile(svcVzdumpConf)
	if absent(c, err) {
		return posture.Known("", posture.Default, svcVzdumpConf)
	}
	if err != nil {
		return posture.Unknown[string](err, svcVzdumpConf)
	}
	for n, l := range host.Lines(b) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(l), "tmpdir:"); ok {
			return posture.Known(strings.TrimSpace(v), posture.Configured, source(svcVzdumpConf, n+1))
		}
	}
	return posture.Known("", posture.Default, svcVzdumpConf)
}
