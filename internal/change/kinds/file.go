package kinds

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/debian/mounts"
	"github.com/castellan-project/castellan/internal/debian/systemd"
	"github.com/castellan-project/castellan/internal/host"
)

// file makes a file's content, mode and owner so, or removes it. A path without content is given mode and owner when it is
// there. Files that a daemon of the base system reads only when told are loaded.
func file(d *change.Draft, c change.Change) error {
	if !strings.HasPrefix(c.Path, "/") || path.Clean(c.Path) != c.Path || c.Path == "/" || strings.ContainsAny(c.Path, "\x00\r\n") {
		return change.Cannot("the path %q is not absolute", c.Path)
	}
	changed, err := putFile(d, c)
	if err != nil || !changed {
		return err
	}
	return loadFile(d, c.Path)
}

// putFile drafts the file and reports whether its content changes.
func putFile(d *change.Draft, c change.Change) (changed bool, err error) {
	if c.Ensure == "absent" {
		_, err := host.Lstat(d, c.Path)
		if host.NotExist(err) {
			return false, nil
		}
		return err == nil, d.Remove(c.Path)
	}
	mode, err := parseMode(c.Mode)
	if err != nil {
		return false, err
	}
	fresh := isFresh(d, c.Path)
	if c.Content != "" {
		if skip, err := mountedByFstab(d, c); skip || err != nil {
			return false, err
		}
		bits := uint32(0o644)
		if mode != nil {
			bits = *mode
		}
		changed, err = rewrite(d, c.Path, bits, func([]byte) ([]byte, error) { return []byte(c.Content), nil })
		if err != nil {
			return false, err
		}
	} else if f, err := d.Stat(c.Path); host.NotExist(err) {
		return false, nil // a file that is not there has no wrong mode
	} else if err == nil && f.Type != host.Regular && f.Type != host.Dir {
		return false, change.Cannot("%s is a device, a pipe or a socket", c.Path)
	}
	owner := c.Owner
	if fresh && owner == "root:root" {
		owner = "" // a new file is root's, and in an image of its builder's
	}
	if mode == nil && owner == "" {
		return changed, nil
	}
	return changed, d.Attr(c.Path, mode, owner)
}

// isFresh reports whether a path is not there yet, or only in the draft.
func isFresh(d *change.Draft, name string) bool {
	f, err := d.Stat(name)
	return host.NotExist(err) || err == nil && f.UID < 0
}

// mountedByFstab reports whether a mount unit is not wanted because fstab describes the mount already: the unit would take its
// place and hide what lies there.
func mountedByFstab(d *change.Draft, c change.Change) (bool, error) {
	if !unitFile(c.Path) || path.Ext(c.Path) != ".mount" {
		return false, nil
	}
	where, ok := systemd.ParseUnit([]byte(c.Content)).Last("Mount", "Where")
	if !ok {
		return false, nil
	}
	return inFstab(d, where)
}

func inFstab(d *change.Draft, where string) (bool, error) {
	b, _, err := d.Content("/etc/fstab")
	if err != nil {
		return false, err
	}
	list, err := mounts.Parse(b)
	if err != nil {
		return false, change.Cannot("/etc/fstab cannot be understood: %v", err)
	}
	return slices.ContainsFunc(list, func(m mounts.Mount) bool { return m.Path == where }), nil
}

// unitFile reports whether a path is a unit of the administrator's.
func unitFile(name string) bool {
	return path.Dir(name) == "/etc/systemd/system" && slices.Contains([]string{".service", ".socket", ".timer", ".mount", ".target", ".path"}, path.Ext(name))
}

// loadFile lets a changed file count.
func loadFile(d *change.Draft, name string) error {
	switch {
	case strings.HasPrefix(name, "/etc/systemd/system/"):
		if _, exists, err := d.Content(name); err == nil && exists && unitFile(name) {
			if _, err := d.Stat("/usr/bin/systemd-analyze"); err == nil {
				if err := d.Candidate(name, "systemd-analyze verify"); err != nil {
					return err
				}
			}
		}
		return d.Do(change.Action{Verb: change.DaemonReload})
	case strings.HasPrefix(name, "/etc/audit/rules.d/"):
		return loadAudit(d)
	}
	return nil
}

// auditStatus asks the kernel whether audit rules can still be changed.
func auditStatus() host.Command {
	return host.Command{Name: "audit-status", Argv: []string{"auditctl", "-s"}}
}

// loadAudit lets the kernel take up the rules. auditd loads them itself when it starts; rules that were locked with -e 2 stay
// until the next start of the host (auditctl(8)).
func loadAudit(d *change.Draft) error {
	if !d.Live() {
		return nil
	}
	active, err := d.Active("auditd.service")
	if err != nil || !active {
		return err
	}
	out, err := d.Run(auditStatus())
	if err != nil {
		return change.Cannot("auditctl does not tell whether the audit rules are locked: %v", err)
	}
	for _, l := range host.Lines(out.Stdout) {
		if f := strings.Fields(l); len(f) == 2 && f[0] == "enabled" && f[1] == "2" {
			d.Reboot("the audit rules are locked (-e 2), so the new ones count from the next start of the host")
			return nil
		}
	}
	if err := d.Do(change.Action{Verb: change.Check, Object: "augenrules --check"}); err != nil {
		return err
	}
	return d.Do(change.Action{Verb: change.Refresh, Object: "augenrules --load"})
}

// parseMode reads an octal mode; "" is nil.
func parseMode(s string) (*uint32, error) {
	if s == "" {
		return nil, nil
	}
	n, err := strconv.ParseUint(s, 8, 32)
	if err != nil || n > 0o7777 {
		return nil, change.Cannot("the mode %q is not octal", s)
	}
	m := uint32(n)
	return &m, nil
}
