package kinds

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/debian/systemd"
)

// disabled removes the links that pull a unit in and those that name it otherwise, and stops it.
func (u *unitTree) disabled(name string) error {
	s, text, err := u.state(name)
	if err != nil {
		return err
	}
	changed := false
	if strings.HasPrefix(s.Path, "/etc/init.d/") {
		if changed, err = u.script(s, false); err != nil {
			return err
		}
	}
	names := []string{s.Name}
	if s.Name != name {
		names = append(names, name)
	}
	for _, other := range installWords(systemd.ParseUnit(text), "Also") {
		if unitNames.MatchString(other) && mustRun(other) == "" {
			names = append(names, other)
		}
	}
	for _, e := range u.entries {
		if e.Link == "" || !u.pulls(e, names) {
			continue
		}
		changed = true
		if err := u.d.Remove(e.Path); err != nil {
			return err
		}
	}
	if changed {
		if err := u.d.Do(change.Action{Verb: change.DaemonReload}); err != nil {
			return err
		}
		u.told(name)
	}
	return u.d.Do(change.Action{Verb: change.Stop, Object: name})
}

// pulls reports whether a link of the administrator's (below /etc or /run) enables one of the units: it lies in a .wants
// directory under the unit's name, or is another name for it.
func (u *unitTree) pulls(e systemd.Entry, names []string) bool {
	dir, base := path.Dir(e.Path), path.Base(e.Path)
	if parent := path.Dir(dir); parent == unitDir || parent == runtimeDir {
		return slices.Contains(names, base)
	}
	if dir != unitDir && dir != runtimeDir || pointsTo(e, noUnit) {
		return false
	}
	return slices.Contains(names, path.Base(e.Link)) && !slices.Contains(names, base)
}

// masked links a unit to /dev/null, so that nothing starts it, and stops it. A unit that is not there is left alone.
func (u *unitTree) masked(name string) error {
	s, _, err := u.state(name)
	if err != nil {
		return err
	}
	named := slices.ContainsFunc(u.entries, func(e systemd.Entry) bool { return path.Base(e.Path) == name && path.Dir(path.Dir(e.Path)) != unitDir })
	if s.Enabled == systemd.Absent && !named && (u.vendor || u.d.Live()) {
		return nil
	}
	at := unitDir + "/" + name
	for _, e := range u.entries {
		if e.Path == at && e.Link == "" && e.Size > 0 {
			return change.Cannot("%s is a unit of this host's own: masking would take its place; move it away, or remove it", at)
		}
	}
	if s.Enabled != systemd.Masked {
		if err := u.d.Symlink(at, noUnit); err != nil {
			return err
		}
		if err := u.d.Do(change.Action{Verb: change.DaemonReload}); err != nil {
			return err
		}
		u.told(name)
	}
	return u.d.Do(change.Action{Verb: change.Stop, Object: name})
}

// told says what stops working.
func (u *unitTree) told(name string) {
	words := map[string]string{
		"rpcbind.service":      "NFS version 3 and other RPC programs no longer work on this host, in either direction; NFS version 4 does",
		"rpcbind.socket":       "NFS version 3 and other RPC programs no longer work on this host, in either direction; NFS version 4 does",
		"rpc-statd.service":    "files on NFS version 3 mounts can no longer be locked; NFS version 4 locks by itself",
		"nfs-client.target":    "the helpers of NFS mounts are no longer started at boot",
		"spiceproxy.service":   "SPICE consoles can no longer be opened through this node; open ones end",
		"ctrl-alt-del.target":  "Ctrl-Alt-Del at the console no longer restarts the host",
		"avahi-daemon.service": "names ending in .local are no longer found or announced",
		"postfix.service":      "no mail leaves this host: reports of backups and disks stay in the queue",
		"autofs.service":       "file systems that autofs mounts on demand are no longer mounted",
		"udisks2.service":      "programs of a desktop can no longer mount disks",
		"usbmount.service":     "disks that are plugged in are no longer mounted by themselves",
		"udevil.service":       "disks that are plugged in are no longer mounted by themselves",
		"devmon.service":       "disks that are plugged in are no longer mounted by themselves",
	}
	if w, ok := words[name]; ok {
		u.d.Effect("%s", w)
	}
}

// scriptLink is the name of a link of a runlevel: S or K, two digits, the script.
var scriptLink = regexp.MustCompile(`^([SK])(\d\d)(.+)$`)

// script switches a System V script on or off: its links in the runlevels are named S or K (update-rc.d(8)).
func (u *unitTree) script(s systemd.State, on bool) (changed bool, err error) {
	name := path.Base(s.Path)
	levels := map[string]bool{}
	for _, e := range u.entries {
		dir, base := path.Dir(e.Path), path.Base(e.Path)
		m := scriptLink.FindStringSubmatch(base)
		if m == nil || m[3] != name || !strings.HasPrefix(dir, "/etc/rc") {
			continue
		}
		levels[dir] = true
		if (m[1] == "S") == on {
			continue
		}
		other := map[bool]string{true: "S", false: "K"}[on] + m[2] + name
		changed = true
		if err := u.d.Remove(e.Path); err != nil {
			return false, err
		}
		if err := u.d.Symlink(dir+"/"+other, e.Link); err != nil {
			return false, err
		}
	}
	if !on || len(levels) > 0 {
		return changed, nil
	}
	for _, level := range u.startLevels(s.Path) {
		changed = true
		if err := u.d.Symlink("/etc/rc"+level+".d/S01"+name, "../init.d/"+name); err != nil {
			return false, err
		}
	}
	return changed, nil
}

// startLevels reads Default-Start of a script's header, 2 to 5 when it does not say (LSB 3.1, comment conventions).
func (u *unitTree) startLevels(script string) []string {
	b, _, err := u.d.Content(script)
	if err == nil {
		for l := range strings.Lines(string(b)) {
			if v, ok := strings.CutPrefix(strings.TrimSpace(l), "# Default-Start:"); ok {
				var out []string
				for _, f := range strings.Fields(v) {
					if strings.Contains("2345", f) && len(f) == 1 {
						out = append(out, f)
					}
				}
				return out
			}
		}
	}
	return []string{"2", "3", "4", "5"}
}
