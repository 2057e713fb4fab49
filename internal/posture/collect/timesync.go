package collect

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/debian/chrony"
	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/posture"
)

const (
	svcChronyConf    = "/etc/chrony/chrony.conf"
	svcTimesyncdConf = "/etc/systemd/timesyncd.conf"
)

func timeNeeds() []host.Need {
	needs := reads(svcChronyConf, "/etc/chrony/conf.d/*.conf", "/etc/chrony/sources.d/*.sources", "/run/chrony-dhcp/*.sources", svcTimesyncdConf,
		"/etc/systemd/timesyncd.conf.d/*.conf", "/usr/lib/systemd/timesyncd.conf.d/*.conf", "/etc/ntp.conf", "/etc/ntpsec/ntp.conf", "/etc/openntpd/ntpd.conf")
	needs = append(needs, lists("/etc/chrony/conf.d/*.conf", "/etc/chrony/sources.d/*.sources", "/run/chrony-dhcp/*.sources",
		"/etc/systemd/timesyncd.conf.d/*.conf", "/usr/lib/systemd/timesyncd.conf.d/*.conf")...)
	return append(needs, host.Need{Run: chronyTracking()})
}

func chronyTracking() host.Command {
	return host.Command{Name: "chrony-tracking", Argv: []string{"chronyc", "-n", "-c", "-m", "tracking", "sources"}, Timeout: 5e9}
}

func timesyncStatus() host.Command {
	return host.Command{Name: "timesync-status", Argv: []string{"timedatectl", "timesync-status", "--no-pager"}, Timeout: 5e9}
}

// timeDaemons are the daemons that set the clock, by unit.
func timeDaemons() []struct{ unit, name string } {
	return []struct{ unit, name string }{
		{"chrony.service", "chrony"}, {"systemd-timesyncd.service", "systemd-timesyncd"}, {"ntpsec.service", "ntpsec"},
		{"ntp.service", "ntp"}, {"openntpd.service", "openntpd"},
	}
}

func collectTime(c *Context, f *posture.ServiceFacts, units *unitView) {
	t := &f.Time
	found := []string{}
	for _, d := range timeDaemons() {
		on, err := units.starts(d.unit)
		if err != nil {
			t.Daemons = posture.Unknown[[]string](err, d.unit)
			t.Sources, t.OffsetMS = posture.Unknown[int](err, d.unit), posture.Unknown[int](err, d.unit)
			t.Synchronized = posture.Unknown[bool](err, d.unit)
			return
		}
		if s, err := units.state(d.unit); on && err == nil && s.Name == d.unit { // ntp.service is an alias of ntpsec.service
			found = append(found, d.name)
		}
	}
	t.Daemons = posture.Known(found, posture.Effective, "unit files")
	if len(found) == 0 {
		t.Sources = posture.Known(0, posture.Effective, "no time daemon")
		t.Synchronized = posture.Known(false, posture.Effective, "no time daemon")
		t.OffsetMS = posture.Unknown[int](posture.Problemf("unavailable", "no time daemon runs"), "unit files")
		return
	}
	t.Sources = timeSources(c, found[0])
	if c.Live && !runs(units, found) {
		p := posture.Problemf("unavailable", "%s is enabled but does not run", strings.Join(found, ", "))
		t.OffsetMS, t.Synchronized = posture.Unknown[int](p, found[0]), posture.Known(false, posture.Effective, p.Text)
		return
	}
	timeState(c, t, found[0])
}

// runs reports whether one of the daemons is active now.
func runs(units *unitView, names []string) bool {
	for _, d := range timeDaemons() {
		if slices.Contains(names, d.name) && units.unit(d.unit).Active.Value == "active" {
			return true
		}
	}
	return false
}

func timeSources(c *Context, daemon string) posture.Fact[int] {
	switch daemon {
	case "chrony":
		return ntpSources(c, svcChronyConf)
	case "ntpsec":
		return ntpSources(c, "/etc/ntpsec/ntp.conf")
	case "ntp":
		return ntpSources(c, "/etc/ntp.conf")
	case "openntpd":
		return openntpdSources(c)
	}
	return timesyncdSources(c)
}

func ntpSources(c *Context, file string) posture.Fact[int] {
	b, err := c.Host.ReadFile(file)
	if err != nil {
		return posture.Unknown[int](err, file)
	}
	conf := chrony.Parse(b)
	for _, pattern := range conf.Includes {
		if path.Clean(pattern) == file || !strings.HasPrefix(pattern, "/") {
			continue
		}
		_, contents, err := readAll(c, pattern)
		if err != nil {
			return posture.Unknown[int](err, pattern)
		}
		for _, inc := range contents {
			conf.Add(chrony.Parse(inc)) // chrony does not look for includes in included sources
		}
	}
	return posture.Known(conf.Sources(), posture.Configured, file)
}

// openntpdSources counts server lines, and servers lines (a pool) as four.
func openntpdSources(c *Context) posture.Fact[int] {
	const file = "/etc/openntpd/ntpd.conf"
	b, err := c.Host.ReadFile(file)
	if err != nil {
		return posture.Unknown[int](err, file)
	}
	n := 0
	for _, l := range host.Lines(b) {
		switch f := strings.Fields(l); {
		case len(f) > 1 && f[0] == "server":
			n++
		case len(f) > 1 && f[0] == "servers":
			n += 4
		}
	}
	return posture.Known(n, posture.Configured, file)
}

// debianFallback is how many servers Debian compiles into systemd-timesyncd (0 to 3.debian.pool.ntp.org).
const debianFallback = 4

func timesyncdSources(c *Context) posture.Fact[int] {
	var servers, fallback []string
	fallbackSet := false
	add := func(b []byte) {
		s, fb := chrony.ParseTimesyncd(b)
		if len(s) > 0 {
			servers = append(servers, s...)
		}
		if len(fb) > 0 {
			fallback, fallbackSet = fb, true
		}
	}
	b, err := c.Host.ReadFile(svcTimesyncdConf)
	if err != nil && !absent(c, err) {
		return posture.Unknown[int](err, svcTimesyncdConf)
	}
	add(b)
	for _, dir := range []string{"/usr/lib/systemd/timesyncd.conf.d/*.conf", "/etc/systemd/timesyncd.conf.d/*.conf"} {
		_, contents, err := readAll(c, dir)
		if err != nil {
			return posture.Unknown[int](err, dir)
		}
		for _, b := range contents {
			add(b)
		}
	}
	switch {
	case len(servers) > 0:
		return posture.Known(len(servers), posture.Configured, svcTimesyncdConf)
	case fallbackSet:
		return posture.Known(len(fallback), posture.Configured, svcTimesyncdConf)
	}
	return posture.Known(debianFallback, posture.Default, "default of Debian's systemd-timesyncd")
}

func timeState(c *Context, t *posture.ServiceTime, daemon string) {
	var src string
	var err error
	if !c.Live {
		err = posture.Problemf("unavailable", "a copy has no running clock; scan the running host")
		t.OffsetMS, t.Synchronized = posture.Unknown[int](err, daemon), posture.Unknown[bool](err, daemon)
		return
	}
	switch daemon {
	case "chrony":
		src = "chronyc tracking"
		var tr chrony.Tracking
		if tr, err = runTracking(c); err == nil {
			t.OffsetMS = posture.Known(tr.OffsetMS, posture.Effective, src)
			t.Synchronized = posture.Known(tr.Synchronized, posture.Effective, src)
			return
		}
	case "systemd-timesyncd":
		src = "timedatectl timesync-status"
		_, statErr := c.Host.Stat("/run/systemd/timesync/synchronized")
		t.Synchronized = posture.Known(statErr == nil, posture.Effective, "/run/systemd/timesync/synchronized")
		var out host.Output
		if out, err = c.Host.Run(timesyncStatus()); err == nil {
			var ms int
			if ms, err = chrony.ParseTimesync(out.Stdout); err == nil {
				t.OffsetMS = posture.Known(ms, posture.Effective, src)
				return
			}
		}
		t.OffsetMS = posture.Unknown[int](err, src)
		return
	default:
		src, err = daemon, fmt.Errorf("the offset of %s is not read", daemon)
	}
	t.OffsetMS, t.Synchronized = posture.Unknown[int](err, src), posture.Unknown[bool](err, src)
}

func runTracking(c *Context) (chrony.Tracking, error) {
	out, err := c.Host.Run(chronyTracking())
	if err != nil {
		return chrony.Tracking{}, err
	}
	if out.Code != 0 {
		return chrony.Tracking{}, posture.Problemf("error", "chronyc ended with code %d: %s%s", out.Code, firstLine(out.Stdout), firstLine(out.Stderr))
	}
	return chrony.ParseTracking(out.Stdout)
}
