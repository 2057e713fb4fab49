package change

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/castellan-project/castellan/internal/host"
)

// archive is an apt-get that behaves: it keeps /var/lib/dpkg/status of a rig, knows what depends on what, and what cannot be
// there together. It stands between the rig and its machine.
type archive struct {
	target
	versions  map[string]string   // what can be had
	needs     map[string][]string // dependencies
	conflicts map[string]string
	dies      string // the command that is killed half way
}

func (a *archive) status() map[string]string {
	out := map[string]string{}
	b, _ := a.ReadFile(dpkgStatus)
	for s := range strings.SplitSeq(string(b), "\n\n") {
		if f := strings.Fields(s); len(f) > 7 {
			out[f[1]] = f[7]
		}
	}
	return out
}

func (a *archive) keep(installed map[string]string) {
	var b strings.Builder
	for _, n := range sorted(installed) {
		fmt.Fprintf(&b, "Package: %s\nStatus: install ok installed\nVersion: %s\nArchitecture: amd64\n\n", n, installed[n])
	}
	a.r.write("var/lib/dpkg/status", b.String(), 0o644)
}

func (a *archive) Run(c host.Command) (host.Output, error) {
	if c.Argv[0] != "apt-get" {
		return a.target.Run(c)
	}
	if !slices.Contains(c.Env, "DEBIAN_FRONTEND=noninteractive") {
		return host.Output{Code: 1, Stderr: []byte("it would ask")}, nil
	}
	simulated := slices.Contains(c.Argv, "-s")
	verb := slices.IndexFunc(c.Argv, func(s string) bool { return s == "install" || s == "purge" })
	now := a.status()
	was := maps.Clone(now)
	for _, w := range c.Argv[verb+1:] {
		name, version, pinned := strings.Cut(w, "=")
		name, remove := strings.CutSuffix(name, "-")
		switch {
		case remove || c.Argv[verb] == "purge":
			a.remove(now, name)
		case a.versions[name] == "" || pinned && version != a.versions[name]:
			return host.Output{Code: 100, Stderr: []byte("E: Unable to locate " + w)}, nil
		default:
			for _, n := range append(a.needs[name], name) {
				now[n] = a.versions[n]
				delete(now, a.conflicts[n])
			}
		}
	}
	if simulated {
		var out strings.Builder
		for _, n := range sorted(was) {
			if _, ok := now[n]; !ok {
				fmt.Fprintf(&out, "Remv %s [%s]\n", n, was[n])
			}
		}
		return host.Output{Stdout: []byte(out.String())}, nil
	}
	a.r.ran = append(a.r.ran, strings.Join(c.Argv[verb:], " "))
	a.keep(now)
	if c.Name == a.dies {
		return host.Output{}, errKilled
	}
	return host.Output{}, nil
}

func (a *archive) remove(now map[string]string, name string) {
	delete(now, name)
	for n, needs := range a.needs {
		if slices.Contains(needs, name) && now[n] != "" {
			a.remove(now, n)
		}
	}
}

// packageRig is a rig with an archive, and a way to open it as a new process.
func packageRig(t *testing.T, do ...Action) (*rig, *archive, func() (*Planner, *Engine)) {
	r := newRig(t, true, func(d *Draft) error {
		for _, a := range do {
			if err := d.Do(a); err != nil {
				return err
			}
		}
		return nil
	})
	a := &archive{versions: map[string]string{"chrony": "4.6-1", "libtomcrypt1": "1.18", "fail2ban": "1.1.0-8", "python3-systemd": "235", "telnetd": "0.17", "timesync": "1", "systemd-timesyncd": "257"},
		needs: map[string][]string{"chrony": {"libtomcrypt1"}, "proxmox-ve": {"rpcbind"}}, conflicts: map[string]string{"chrony": "systemd-timesyncd", "systemd-timesyncd": "chrony"}}
	open := func() (*Planner, *Engine) {
		p, e := r.open()
		a.target = e.o.Machine.(target)
		p.Machine, e.o.Machine = a, a
		return p, e
	}
	open()
	a.keep(map[string]string{"base-files": "13", "telnetd": "0.17", "rpcbind": "1.2", "proxmox-ve": "9", "systemd-timesyncd": "257"})
	return r, a, open
}

func TestPackages(t *testing.T) {
	r, a, open := packageRig(t, Action{Verb: Install, Object: "chrony fail2ban"}, Action{Verb: Purge, Object: "telnetd"})
	before := a.status()
	p, e := open()
	x, err := e.Apply(p, r.plan(p), ApplyOptions{Within: tenMinutes})
	if err != nil {
		t.Fatal(err)
	}
	if want := map[string]string{"base-files": "13", "rpcbind": "1.2", "proxmox-ve": "9", "chrony": "4.6-1", "libtomcrypt1": "1.18", "fail2ban": "1.1.0-8"}; !maps.Equal(a.status(), want) {
		t.Fatalf("%v", cmp.Diff(want, a.status()))
	}
	// What somebody else installs since is his.
	mine := a.status()
	mine["vim"] = "9.1"
	a.keep(mine)
	r.ran = nil
	_, e = open()
	if x, err = e.Revert(x.ID, me(), RevertOptions{}); err != nil || x.State != Reverted {
		t.Fatal(x, err)
	}
	before["vim"] = "9.1"
	if diff := cmp.Diff(before, a.status()); diff != "" {
		t.Error(diff, r.ran)
	}
	if want := []string{"install telnetd=0.17", "install chrony- fail2ban- libtomcrypt1- systemd-timesyncd=257"}; !slices.Equal(r.ran, want) {
		t.Errorf("ran %q, want %q", r.ran, want)
	}
}

// TestPackagesKilled proves that what a killed apt-get installed is found.
func TestPackagesKilled(t *testing.T) {
	r, a, open := packageRig(t, Action{Verb: Install, Object: "fail2ban"})
	before := a.status()
	a.dies = "change-install"
	p, e := open()
	plan := r.plan(p)
	r.fault = func(act, _ string) error {
		if len(r.ran) > 0 {
			return errKilled // the whole process dies with it
		}
		return nil
	}
	if _, err := e.Apply(p, plan, ApplyOptions{Within: tenMinutes}); !errors.Is(err, errKilled) {
		t.Fatal(err)
	}
	r.fault, a.dies = nil, ""
	r.ran = nil
	a.keep(map[string]string{"base-files": "13", "telnetd": "0.17", "rpcbind": "1.2", "proxmox-ve": "9", "systemd-timesyncd": "257", "fail2ban": "1.1.0-8"})
	r.now = r.now.Add(time.Hour)
	_, e = open()
	all, err := e.Recover(me(), RecoverOptions{})
	if err != nil || len(all) != 1 || all[0].State != Reverted {
		t.Fatal(all, err)
	}
	if diff := cmp.Diff(before, a.status()); diff != "" || !slices.Contains(r.ran, "dpkg --configure -a --force-confold") {
		t.Error(diff, r.ran)
	}
}

// TestPackagesRefused proves that nothing is removed that the plan does not name, and that a failure is told.
func TestPackagesRefused(t *testing.T) {
	r, a, open := packageRig(t, Action{Verb: Purge, Object: "rpcbind"})
	before := a.status()
	p, e := open()
	x, err := e.Apply(p, r.plan(p), ApplyOptions{Within: tenMinutes})
	if err == nil || x.State != Reverted || !strings.Contains(err.Error(), "would also remove proxmox-ve") || !maps.Equal(before, a.status()) {
		t.Errorf("%+v, %v", x, err)
	}
	r, a, open = packageRig(t, Action{Verb: Purge, Object: "telnetd"})
	p, e = open()
	if _, err = e.Apply(p, r.plan(p), ApplyOptions{Within: tenMinutes}); err != nil {
		t.Fatal(err)
	}
	a.versions["telnetd"] = "0.18" // the old one cannot be had any more
	x, err = e.Revert("", me(), RevertOptions{})
	var left *LeftError
	if !errors.As(err, &left) || x.State != Failed || !strings.Contains(err.Error(), "Unable to locate telnetd=0.17") {
		t.Errorf("%+v, %v", x, err)
	}
}

// TestActionsOfHostsThatRun walks the verbs: each has a command of a closed form and, where one is needed, an inverse.
func TestActionsOfHostsThatRun(t *testing.T) {
	for _, c := range []struct {
		a          Action
		want, undo string
	}{
		{Action{Verb: Check, Object: "sshd -t"}, "sshd -t", ""},
		{Action{Verb: DaemonReload}, "systemctl daemon-reload", "systemctl daemon-reload"},
		{Action{Verb: Refresh, Object: "update-grub"}, "update-grub", "update-grub"},
		{Action{Verb: Remount, Object: "/tmp", Argument: "noexec,nodev", Was: "rw"}, "mount -o remount,noexec,nodev -- /tmp", "mount -o remount,rw -- /tmp"},
		{Action{Verb: Stop, Object: "x.service", Was: "active"}, "systemctl stop -- x.service", "systemctl start -- x.service"},
		{Action{Verb: Start, Object: "x.service", Was: "inactive"}, "systemctl start -- x.service", "systemctl stop -- x.service"},
		{Action{Verb: Reload, Object: "x.service", Was: "active"}, "systemctl reload -- x.service", "systemctl try-reload-or-restart -- x.service"},
		{Action{Verb: Restart, Object: "x.service", Was: "active"}, "systemctl restart -- x.service", "systemctl try-restart -- x.service"},
	} {
		if got := strings.Join(c.a.command().Argv, " "); got != c.want || c.a.timeout() <= 0 {
			t.Errorf("%+v runs %q, want %q", c.a, got, c.want)
		}
		undo, ok := c.a.inverse(false)
		if got := strings.Join(undo.Argv, " "); got != c.undo || ok != (c.undo != "") {
			t.Errorf("%+v is undone by %q, want %q", c.a, got, c.undo)
		}
		if boot, _ := c.a.inverse(true); len(boot.Argv) > 2 && boot.Argv[0] == "systemctl" && boot.Argv[1] != "--no-block" {
			t.Errorf("at the start of the host %q waits", boot.Argv)
		}
	}
}

// TestOneWayKnobs proves that a setting that the kernel does not take back is told, and is no failure.
func TestOneWayKnobs(t *testing.T) {
	r := newRig(t, true, manySteps)
	before, _ := r.trees()
	r.mustApply()
	r.fault = func(act, path string) error {
		if act == "rename" && path == "/proc/sys/kernel/knob" {
			return os.ErrPermission
		}
		return nil
	}
	x, err := r.engine().Revert("", me(), RevertOptions{})
	if err != nil || x.State != Reverted || !slices.Equal(x.Restart, []string{"/proc/sys/kernel/knob"}) {
		t.Fatalf("%+v, %v", x, err)
	}
	before["/proc/sys/kernel/knob"] = `-rw-r--r-- "1\n"`
	r.is(before, "after it")
}
