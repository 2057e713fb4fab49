package collect

import (
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/posture"
)

// Files that several parts of the subject services read.
const (
	svcStorageCfg = "/etc/pve/storage.cfg"
	svcUserCfg    = "/etc/pve/user.cfg"
	svcFstab      = "/etc/fstab"
	svcMounts     = "/proc/1/mounts"
	svcMountsSelf = "/proc/mounts"
)

// Services returns the collector of the subject services.
func Services() Collector {
	var needs []host.Need
	for _, list := range [][]host.Need{unitNeeds(), listenerNeeds(), mailNeeds(), nfsNeeds(), timeNeeds(), confinementNeeds(),
		integrityNeeds(), guestChannelNeeds(), platformNeeds()} {
		needs = append(needs, list...)
	}
	return Collector{Name: "services", Needs: needs, Collect: collectServices}
}

func collectServices(c *Context) {
	var f posture.ServiceFacts
	units := readUnits(c)
	f.Units, f.EnabledUnits = units.facts()
	l := readListeners(c)
	f.Listeners = l.fact()
	f.Exposed = l.exposedFact()
	collectPostfix(c, &f, l)
	collectMail(c, &f)
	collectNFS(c, &f)
	collectTime(c, &f, units)
	collectAppArmor(c, &f)
	collectAudit(c, &f)
	collectIntegrity(c, &f, units)
	collectGuestChannels(c, &f, l)
	collectPlatform(c, &f)
	f.OwnUnits = units.ownUnits()
	c.Facts.Services = f
}

// reads makes needs of files to read, which may be patterns.
func reads(patterns ...string) []host.Need {
	out := make([]host.Need, 0, len(patterns))
	for _, p := range patterns {
		out = append(out, host.Need{Read: p})
	}
	return out
}

// lists makes needs of patterns to list.
func lists(patterns ...string) []host.Need {
	out := make([]host.Need, 0, len(patterns))
	for _, p := range patterns {
		out = append(out, host.Need{List: p})
	}
	return out
}

// stats makes needs of paths to describe.
func stats(paths ...string) []host.Need {
	out := make([]host.Need, 0, len(paths))
	for _, p := range paths {
		out = append(out, host.Need{Stat: p})
	}
	return out
}

// wholeSystem reports whether the target shows the whole system, so that a file that is not there does not exist: a
// running machine, or a copy with the package database. In a copy of a few files absence says nothing.
func wholeSystem(c *Context) bool {
	if c.Live {
		return true
	}
	_, err := c.Host.Stat(dpkgStatus)
	return err == nil
}

// absent reports whether err means that the file does not exist on the host, as opposed to not having been copied.
func absent(c *Context, err error) bool { return host.NotExist(err) && wholeSystem(c) }

// readAll reads every regular file and link that matches a pattern, sorted by path. The first error other than a
// dangling link ends it.
func readAll(c *Context, pattern string) (paths []string, contents [][]byte, err error) {
	infos, err := c.Host.List(pattern)
	if err != nil {
		return nil, nil, err
	}
	for _, i := range infos {
		if i.Type != host.Regular && i.Type != host.Link {
			continue
		}
		b, err := c.Host.ReadFile(i.Path)
		if host.NotExist(err) {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		paths, contents = append(paths, i.Path), append(contents, b)
	}
	return paths, contents, nil
}

// exists reports whether a path is there. In a copy of a few files a missing path is an error.
func exists(c *Context, p string) (bool, error) {
	_, err := c.Host.Stat(p)
	switch {
	case err == nil:
		return true, nil
	case absent(c, err):
		return false, nil
	}
	return false, err
}

// notCopied is the error for a file whose absence from a copy says nothing.
func notCopied(p string) error {
	return &host.Error{Op: "read", Path: p, Err: fs.ErrNotExist}
}

// source writes a file and line as facts do.
func source(file string, line int) string {
	if line == 0 {
		return file
	}
	return file + ":" + itoa(line)
}

// originOf tells a setting that a file makes from the default of the program.
func originOf(line int) posture.Origin {
	if line == 0 {
		return posture.Default
	}
	return posture.Configured
}

// recordable reports whether a time can stand in a fact: JSON knows the years 0 to 9999.
func recordable(t time.Time) bool {
	y := t.UTC().Year()
	return y >= 0 && y <= 9999
}

// nodeOf returns the node's name in a path below /etc/pve/nodes.
func nodeOf(p string) string {
	rest, ok := strings.CutPrefix(p, "/etc/pve/nodes/")
	if !ok {
		return ""
	}
	node, _, _ := strings.Cut(rest, "/")
	return node
}

// vmid returns a guest's number from the name of its configuration.
func vmid(p string) string { return strings.TrimSuffix(path.Base(p), ".conf") }
