package change

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/debian/dpkg"
	"github.com/castellan-project/castellan/internal/host"
)

// packageChange is what a package step changed: name:architecture with the version that was added or removed.
type packageChange struct {
	Added   map[string]string `json:"added,omitempty"`
	Removed map[string]string `json:"removed,omitempty"`
}

const dpkgStatus = "/var/lib/dpkg/status"

// installed lists the packages of the machine with their versions.
func (e *Engine) installed() (map[string]string, error) {
	b, err := e.o.Machine.ReadFile(dpkgStatus)
	if err != nil {
		return nil, err
	}
	list, err := dpkg.ParseStatus(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dpkgStatus, err)
	}
	out := map[string]string{}
	for _, p := range list {
		// Half installed is installed: it has to go, too.
		if p.State != "not-installed" && p.State != "config-files" {
			out[p.Name+":"+p.Arch] = p.Version
		}
	}
	return out, nil
}

// packagesBefore notes what is installed, when a step changes that.
func (w *work) packagesBefore() error {
	for _, s := range w.undo.Steps {
		if s.Action != nil && (s.Action.Verb == Install || s.Action.Verb == Purge) {
			var err error
			w.undo.Packages, err = w.installed()
			return err
		}
	}
	return nil
}

// packageForm is the name of a Debian package (Debian Policy 5.6.1).
var packageForm = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]+$`)

// replaceable are packages that may go when another is installed: of the time daemons only one can be there.
func replaceable() []string {
	return []string{"systemd-timesyncd", "ntp", "ntpsec", "openntpd", "chrony", "ntpdate", "ntpsec-ntpdate", "time-daemon"}
}

// apt is apt-get that asks nothing, keeps changed configuration, and waits a minute for another apt to end.
func apt(name string, args ...string) host.Command {
	return host.Command{Name: name, Timeout: packageTimeout, Env: []string{"DEBIAN_FRONTEND=noninteractive", "NEEDRESTART_SUSPEND=1"},
		Argv: append([]string{"apt-get", "-y", "-q", "--no-install-recommends", "-o", "Dpkg::Options::=--force-confold",
			"-o", "DPkg::Lock::Timeout=60"}, args...)}
}

// packages installs or removes packages, after a simulation that shows that nothing else is removed.
func (w *work) packages(i int, a Action) error {
	names := strings.Fields(a.Object)
	for _, n := range names {
		if !packageForm.MatchString(n) {
			return fmt.Errorf("%q is not the name of a package", n)
		}
	}
	allowed := replaceable()
	if a.Verb == Purge {
		allowed = names
	}
	args := append([]string{string(a.Verb)}, names...)
	if err := w.simulate(args, allowed); err != nil {
		return err
	}
	before, err := w.installed()
	if err != nil {
		return err
	}
	err = w.run(apt("change-"+string(a.Verb), args...))
	after, readErr := w.installed()
	if readErr == nil {
		if w.state.Packages == nil {
			w.state.Packages = map[int]packageChange{}
		}
		w.state.Packages[i] = compare(before, after)
		if saveErr := w.save(); err == nil {
			err = saveErr
		}
	}
	if err == nil {
		err = readErr
	}
	return err
}

// simulate asks apt what it would do, and refuses when it would remove anything but the allowed packages.
func (w *work) simulate(args, allowed []string) error {
	c := apt("simulate-packages", append([]string{"-s"}, args...)...)
	out, err := w.o.Machine.Run(c)
	if err != nil {
		return err
	}
	if out.Code != 0 {
		return fmt.Errorf("apt-get cannot %s: %s", strings.Join(args, " "), said(out))
	}
	var more []string
	for _, l := range host.Lines(out.Stdout) {
		// apt-get(8), --simulate: "Remv NAME [VERSION]", "Purg NAME [VERSION]".
		f := strings.Fields(l)
		if len(f) < 2 || f[0] != "Remv" && f[0] != "Purg" {
			continue
		}
		name, _, _ := strings.Cut(f[1], ":")
		if !slices.Contains(allowed, name) {
			more = with(more, name)
		}
	}
	if len(more) > 0 {
		return fmt.Errorf("apt-get %s would also remove %s", strings.Join(args, " "), list(more, 10))
	}
	return nil
}

// compare tells what was added and removed between two lists.
func compare(before, after map[string]string) packageChange {
	c := packageChange{Added: map[string]string{}, Removed: map[string]string{}}
	for n, v := range after {
		if _, ok := before[n]; !ok {
			c.Added[n] = v
		}
	}
	for n, v := range before {
		if _, ok := after[n]; !ok {
			c.Removed[n] = v
		}
	}
	return c
}

// undoPackages removes what a step installed, and installs what it removed, in one run of apt-get. Of a step that was killed it
// is found by comparing with what was there before the transaction.
func (w *work) undoPackages(i int) error {
	now, err := w.installed()
	if err != nil {
		return fmt.Errorf("cannot take back the packages: %w", err)
	}
	changed, ended := w.state.Packages[i]
	if !ended {
		changed = compare(w.undo.Packages, now)
	}
	var args, purge []string
	for _, n := range sorted(changed.Added) {
		if _, ok := now[n]; ok {
			name, _, _ := strings.Cut(n, ":")
			purge = append(purge, name)
			args = append(args, name+"-")
		}
	}
	for _, n := range sorted(changed.Removed) {
		if _, ok := now[n]; !ok {
			name, _, _ := strings.Cut(n, ":")
			args = append(args, name+"="+changed.Removed[n])
		}
	}
	if len(args) == 0 {
		return nil
	}
	if !ended {
		// A dpkg that was killed has to be brought to an end first (dpkg(1)).
		if err := w.run(host.Command{Name: "dpkg-configure", Argv: []string{"dpkg", "--configure", "-a", "--force-confold"}, Timeout: packageTimeout,
			Env: []string{"DEBIAN_FRONTEND=noninteractive"}}); err != nil {
			w.note(nil, "dpkg was interrupted and cannot be brought to an end: %v", err)
		}
	}
	args = append([]string{"--purge", "--allow-downgrades", "install"}, args...)
	if err := w.simulate(args, slices.Concat(purge, replaceable())); err != nil {
		return fmt.Errorf("cannot take back the packages: %w", err)
	}
	if err := w.run(apt("undo-packages", args...)); err != nil {
		return fmt.Errorf("cannot take back the packages: %w", err)
	}
	return nil
}

func sorted(m map[string]string) []string {
	var names []string
	for n := range m {
		names = with(names, n)
	}
	return names
}
