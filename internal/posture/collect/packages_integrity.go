package collect

import (
	"crypto/md5" //nolint:gosec // the checksums that dpkg keeps are MD5
	"encoding/hex"
	"errors"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/debian/dpkg"
	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/posture"
)

const proxmoxLib = "/usr/share/javascript/proxmox-widget-toolkit/proxmoxlib.js"

// coreProgram is a file of a package, by the name of the package's list of checksums.
type coreProgram struct{ list, file string }

// corePrograms are the files that an intruder or a patch script changes first. dpkg --verify would read the whole
// system and take minutes of CPU; these are 6 MB and take 20 ms.
func corePrograms() []coreProgram {
	return []coreProgram{
		{"openssh-server", "/usr/sbin/sshd"},
		{"openssh-server", "/usr/lib/openssh/sshd-session"},
		{"login", "/usr/bin/login"},
		{"passwd", "/usr/bin/passwd"},
		{"sudo", "/usr/bin/sudo"},
		{"util-linux", "/usr/bin/su"},
		{"coreutils", "/usr/bin/ls"},
		{"procps", "/usr/bin/ps"},
		{"iproute2", "/usr/bin/ss"},
		{"dpkg", "/usr/bin/dpkg"},
		{"libpam-modules:amd64", "/usr/lib/x86_64-linux-gnu/security/pam_unix.so"},
		{"pve-manager", "/usr/bin/pveproxy"},
		{"pve-manager", "/usr/bin/pvedaemon"},
		{"pve-manager", "/usr/share/pve-manager/js/pvemanagerlib.js"},
		{"pve-manager", "/usr/share/perl5/PVE/API2/Subscription.pm"},
		{"pve-manager", "/usr/share/perl5/PVE/HTTPServer.pm"},
		{"libpve-access-control", "/usr/share/perl5/PVE/AccessControl.pm"},
		{"libpve-access-control", "/usr/share/perl5/PVE/Auth/PAM.pm"},
		{"libpve-http-server-perl", "/usr/share/perl5/PVE/APIServer/AnyEvent.pm"},
		{"pve-firewall", "/usr/share/perl5/PVE/Firewall.pm"},
		{"pve-cluster", "/usr/bin/pmxcfs"},
		{"qemu-server", "/usr/sbin/qm"},
		{"proxmox-widget-toolkit", proxmoxLib},
	}
}

func sumFile(list string) string { return "/var/lib/dpkg/info/" + list + ".md5sums" }

// pkgSumFiles are the lists of checksums of the packages that corePrograms belong to.
func pkgSumFiles() []string {
	var files []string
	for _, p := range corePrograms() {
		if f := sumFile(p.list); !slices.Contains(files, f) {
			files = append(files, f)
		}
	}
	return files
}

// pkgSumCommand computes the checksums on the host, so that the programs need not travel. Files that a host does not
// have are reported on standard error, which is not read.
func pkgSumCommand() host.Command {
	cmd := host.Command{Name: "md5-core", Argv: []string{"md5sum", "--"}}
	for _, p := range corePrograms() {
		cmd.Argv = append(cmd.Argv, p.file)
	}
	return cmd
}

// unmerged gives a path without the /usr that merged systems put in front of the old top-level directories, so that
// lists from before and after the merge compare.
func unmerged(file string) string {
	for _, d := range []string{"/usr/bin/", "/usr/sbin/", "/usr/lib/"} {
		if strings.HasPrefix(file, d) {
			return strings.TrimPrefix(file, "/usr")
		}
	}
	return file
}

func (s *pkgState) integrity() {
	f := s.facts
	fail := func(err error) {
		f.CheckedFiles, f.ChangedFiles = posture.Unknown[int](err, "/var/lib/dpkg/info"), posture.Unknown[[]string](err, "/var/lib/dpkg/info")
	}
	if s.pkgErr != nil {
		fail(s.pkgErr)
		return
	}
	want, err := s.wantedSums()
	if err != nil {
		fail(err)
		return
	}
	have, complete, err := s.presentSums()
	if err != nil {
		fail(err)
		return
	}
	checked, changed := 0, []string{}
	for _, p := range corePrograms() {
		digest, ok := want[unmerged(p.file)]
		present, there := have[unmerged(p.file)]
		switch {
		case !ok || !there && !complete:
			continue
		case !there:
			changed = append(changed, p.file+" (missing)")
		case present != digest:
			changed = append(changed, p.file)
		}
		checked++
	}
	if checked == 0 {
		fail(posture.Problemf("unavailable", "the target holds none of the programs that are compared, or no checksums for them"))
		return
	}
	f.CheckedFiles = posture.Known(checked, posture.Effective, "/var/lib/dpkg/info/*.md5sums")
	f.ChangedFiles = posture.Known(changed, posture.Effective, "/var/lib/dpkg/info/*.md5sums")
}

// wantedSums reads what the packages say, by unmerged path. Files that dpkg-divert moved away are left out: another
// package's file stands there.
func (s *pkgState) wantedSums() (map[string]string, error) {
	want := map[string]string{}
	for _, file := range pkgSumFiles() {
		b, err := s.c.Host.ReadFile(file)
		if host.NotExist(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for name, digest := range dpkg.ParseSums(b) {
			want[unmerged(name)] = digest
		}
	}
	b, err := s.c.Host.ReadFile(pkgDiversions)
	if err != nil && !host.NotExist(err) {
		return nil, err
	}
	for i, line := range host.Lines(b) {
		if i%3 == 0 { // path, where it went, by whom
			delete(want, unmerged(line))
		}
	}
	return want, nil
}

// presentSums computes the checksums of what is there, by unmerged path. They are complete when a file that is not
// among them does not exist.
func (s *pkgState) presentSums() (sums map[string]string, complete bool, err error) {
	out, err := s.c.Host.Run(pkgSumCommand())
	if err == nil && (out.Code == 0 || len(out.Stdout) > 0) {
		sums = map[string]string{}
		for name, digest := range dpkg.ParseSums(out.Stdout) {
			sums[unmerged(name)] = digest
		}
		return sums, s.c.Root, nil
	}
	if err != nil && !errors.Is(err, host.ErrUnavailable) {
		return nil, false, err
	}
	sums = map[string]string{}
	for _, p := range corePrograms() {
		b, err := s.c.Host.ReadFile(p.file)
		if errors.Is(err, host.ErrPending) {
			return nil, false, err
		}
		if err == nil {
			sum := md5.Sum(b) //nolint:gosec // compared with what dpkg keeps
			sums[unmerged(p.file)] = hex.EncodeToString(sum[:])
		}
	}
	return sums, false, nil
}
