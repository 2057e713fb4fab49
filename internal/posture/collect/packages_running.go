package collect

import (
	"path"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/debian/dpkg"
	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/posture"
)

// Files that tell what runs.
const (
	pkgKernelRelease = "/proc/sys/kernel/osrelease"
	pkgKernelVersion = "/proc/version"
	pkgKernelPin     = "/etc/kernel/proxmox-boot-pin"
	pkgKernels       = "/boot/vmlinuz-*"
	pkgRebootFlag    = "/run/reboot-required"
	pkgExes          = "/proc/[0-9]*/exe"
	pkgPidFiles      = "/run/qemu-server/*.pid"
)

// pkgStaleCommand lists mappings of deleted files with code, the processes of containers (whose files are not the
// host's), and the names of processes. The mappings of a host with 500 processes are 30 MB: too much to fetch.
func pkgStaleCommand() host.Command {
	return host.Command{Name: "deleted-libraries", Argv: []string{"sh", "-c", `
grep -sE '^[^ ]+ r-xp .* \(deleted\)$' /proc/[0-9]*/maps /dev/null
grep -slE '[:/]lxc(/|\.payload)' /proc/[0-9]*/cgroup
grep -s '' /proc/[0-9]*/comm /dev/null
true`}}
}

func (s *pkgState) kernels() {
	f := s.facts
	f.RunningKernel = pkgOneLine(s.c, pkgKernelRelease)
	if !s.c.Live && !f.RunningKernel.IsKnown() {
		f.RunningKernel = posture.Unknown[string](host.ErrUnavailable, pkgKernelRelease)
	}
	f.PinnedKernel = pkgOneLine(s.c, pkgKernelPin)
	if f.PinnedKernel.Problem != nil && f.PinnedKernel.Problem.Code == "not-found" {
		f.PinnedKernel = posture.Known("", posture.Default, pkgKernelPin)
	}
	list, err := s.c.Host.List(pkgKernels)
	newest := ""
	for _, fi := range list {
		release := strings.TrimPrefix(path.Base(fi.Path), "vmlinuz-")
		if newest == "" || dpkg.Compare(release, newest) > 0 {
			newest = release
		}
	}
	switch {
	case err != nil:
		f.NewestKernel = posture.Unknown[string](err, pkgKernels)
	case newest == "":
		f.NewestKernel = posture.Unknown[string](posture.Problemf("not-found", "there is no kernel in /boot"), pkgKernels)
	default:
		f.NewestKernel = posture.Known(newest, posture.Effective, "/boot/vmlinuz-"+newest)
	}
	s.kernelCurrent()
	_, err = s.c.Host.Stat(pkgRebootFlag)
	switch {
	case err == nil:
		f.RebootRequired = posture.Known(true, posture.Effective, pkgRebootFlag)
	case host.NotExist(err):
		f.RebootRequired = posture.Known(false, posture.Effective, pkgRebootFlag)
	default:
		f.RebootRequired = posture.Unknown[bool](err, pkgRebootFlag)
	}
}

// kernelCurrent compares releases, and for a Debian kernel, whose release survives updates, also the build: it names
// its package version in /proc/version.
func (s *pkgState) kernelCurrent() {
	f := s.facts
	for _, k := range []posture.Fact[string]{f.RunningKernel, f.PinnedKernel, f.NewestKernel} {
		if !k.IsKnown() {
			f.KernelCurrent = posture.Fact[bool]{Problem: k.Problem, Source: k.Source}
			return
		}
	}
	want, source := f.NewestKernel.Value, f.NewestKernel.Source
	if f.PinnedKernel.Value != "" {
		want, source = f.PinnedKernel.Value, f.PinnedKernel.Source
	}
	running := f.RunningKernel.Value
	ok := running == want
	if b, err := s.c.Host.ReadFile(pkgKernelVersion); ok && err == nil {
		build := debianBuild(string(b))
		installed, has := f.Installed.Value["linux-image-"+running]
		if build != "" && has && dpkg.Compare(build, installed) < 0 {
			ok, source = false, "linux-image-"+running+" "+installed+" is installed, "+build+" runs"
		}
	}
	f.KernelCurrent = posture.Known(ok, posture.Effective, source)
}

// debianBuild finds the package version in "... #1 SMP PREEMPT_DYNAMIC Debian 6.1.119-1 (2024-11-22)".
func debianBuild(version string) string {
	_, rest, ok := strings.Cut(version, "Debian ")
	for ok {
		v, _, _ := strings.Cut(rest, " ")
		if dpkg.Valid(v) == nil && v[0] >= '0' && v[0] <= '9' && strings.Contains(version, v+" (") {
			return v
		}
		_, rest, ok = strings.Cut(rest, "Debian ")
	}
	return ""
}

// pkgOneLine reads a file of one line.
func pkgOneLine(c *Context, file string) posture.Fact[string] {
	b, err := c.Host.ReadFile(file)
	if err != nil {
		return posture.Unknown[string](err, file)
	}
	text, _, _ := strings.Cut(string(b), "\n")
	return posture.Known(strings.TrimSpace(text), posture.Effective, file)
}

// running finds processes that still run what an update has replaced. It needs root: the mappings and programs of
// other users' processes are not shown to anybody else.
func (s *pkgState) running() {
	f := s.facts
	fail := func(err error) {
		f.StaleProcesses = posture.Unknown[[]string](err, "/proc/*/maps")
		f.StaleGuests = posture.Unknown[[]string](err, "/proc/*/exe")
	}
	switch {
	case !s.c.Live:
		fail(host.ErrUnavailable)
		return
	case !s.c.Root:
		fail(posture.Problemf("permission", "only root sees what other users' processes run"))
		return
	}
	out, err := s.c.Host.Run(pkgStaleCommand())
	if err == nil && out.Code != 0 {
		err = posture.Problemf("error", "reading /proc/*/maps ended with %d: %.200s", out.Code, out.Stderr)
	}
	if err != nil {
		f.StaleProcesses = posture.Unknown[[]string](err, "/proc/*/maps")
		s.staleGuests(nil, err)
		return
	}
	stale := parseStale(out.Stdout)
	f.StaleProcesses = posture.Known(stale.processes(), posture.Effective, "/proc/*/maps")
	s.staleGuests(stale.qemu, nil)
}

// maxStaleFiles is how many replaced files are named for a process.
const maxStaleFiles = 10

// staleCode is what pkgStaleCommand found, by process.
type staleCode struct {
	names       map[string]string
	inContainer map[string]bool
	libraries   map[string][]string
	qemu        []string // processes of QEMU whose program was replaced
}

// parseStale reads the output of pkgStaleCommand: lines "/proc/PID/maps:range r-xp ... file (deleted)",
// "/proc/PID/cgroup" and "/proc/PID/comm:name".
func parseStale(b []byte) staleCode {
	st := staleCode{map[string]string{}, map[string]bool{}, map[string][]string{}, nil}
	for _, line := range host.Lines(b) {
		rest, ok := strings.CutPrefix(line, "/proc/")
		if !ok {
			continue
		}
		pid, rest, _ := strings.Cut(rest, "/")
		switch kind, text, _ := strings.Cut(rest, ":"); kind {
		case "cgroup":
			st.inContainer[pid] = true
		case "comm":
			st.names[pid] = text
		case "maps":
			i := strings.IndexByte(text, '/')
			if i < 0 {
				continue
			}
			file := strings.TrimSuffix(text[i:], " (deleted)")
			switch {
			case strings.HasPrefix(path.Base(file), "qemu-system-") && !slices.Contains(st.qemu, pid):
				st.qemu = append(st.qemu, pid)
			case packaged(file) && len(st.libraries[pid]) < maxStaleFiles && !slices.Contains(st.libraries[pid], file):
				st.libraries[pid] = append(st.libraries[pid], file)
			}
		}
	}
	return st
}

// processes names those of the host itself; what a container runs is a matter of the container.
func (st staleCode) processes() []string {
	found := []string{}
	for pid, files := range st.libraries {
		if !st.inContainer[pid] {
			found = append(found, st.names[pid]+" ("+pid+"): "+strings.Join(files, ", "))
		}
	}
	slices.Sort(found)
	return found
}

// packaged reports whether a file lies where packages put programs and libraries.
func packaged(file string) bool {
	for _, p := range []string{"/usr/", "/lib/", "/lib64/", "/bin/", "/sbin/", "/opt/"} {
		if strings.HasPrefix(file, p) {
			return true
		}
	}
	return false
}

// staleGuests names the guests of QEMU processes whose program has been replaced: those given, or, when the mappings
// could not be read, those whose link to the program the kernel marks.
func (s *pkgState) staleGuests(pids []string, err error) {
	source := "/proc/*/maps"
	if err != nil {
		list, listErr := s.c.Host.List(pkgExes)
		if listErr != nil || len(list) == 0 {
			s.facts.StaleGuests = posture.Unknown[[]string](err, source)
			return
		}
		source = pkgExes
		for _, fi := range list {
			program, deleted := strings.CutSuffix(fi.Link, " (deleted)")
			if base := path.Base(program); deleted && (strings.HasPrefix(base, "qemu-system-") || base == "kvm") {
				pids = append(pids, path.Base(path.Dir(fi.Path)))
			}
		}
	}
	guests := map[string]string{}
	files, _ := s.c.Host.List(pkgPidFiles) // without them only the guests' numbers are missing
	for _, fi := range files {
		if b, err := s.c.Host.ReadFile(fi.Path); err == nil {
			guests[strings.TrimSpace(string(b))] = strings.TrimSuffix(path.Base(fi.Path), ".pid")
		}
	}
	stale := []string{}
	for _, pid := range pids {
		guest, ok := guests[pid]
		if !ok {
			guest = "unnamed guest"
		}
		stale = append(stale, guest+" (pid "+pid+")")
	}
	slices.Sort(stale)
	s.facts.StaleGuests = posture.Known(stale, posture.Effective, source)
}
