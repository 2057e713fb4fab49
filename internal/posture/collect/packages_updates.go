package collect

import (
	"errors"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/castellan-project/castellan/internal/debian/apt"
	"github.com/castellan-project/castellan/internal/debian/dpkg"
	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/posture"
	"github.com/castellan-project/castellan/internal/pve/tasklog"
)

// pkgIndexCommand reduces the package lists to the versions of installed packages. APT itself would need 1 to 2.7 s of
// CPU to simulate an upgrade, and 50 MB of lists cannot travel over SSH; this costs 0.05 to 0.2 s and 40 kB. apt-helper
// unpacks lists that are kept compressed.
func pkgIndexCommand() host.Command {
	return host.Command{Name: "apt-lists", Timeout: 60 * time.Second, Argv: []string{"sh", "-c", `cd ` + pkgLists + ` || exit 1
for f in *_Packages *_Packages.*; do
	[ -f "$f" ] || continue
	echo "File: $f"
	case $f in
	*_Packages) cat -- "$f" ;;
	*) /usr/lib/apt/apt-helper cat-file "$f" ;;
	esac
done | LC_ALL=C grep -aE '^(Package|Version|File): ' | LC_ALL=C awk '
	NR == FNR { if ($1 == "Package:") installed[$2] = 1; next }
	$1 == "File:" { print; next }
	$1 == "Package:" { keep = $2 in installed }
	keep { print }' ` + dpkgStatus + ` -
`}}
}

// listStamps are what a refresh of the lists touches: the directories, and the stamps of apt.systemd.daily.
func listStamps() []string {
	return []string{pkgLists, pkgLists + "/partial", pkgStamps + "/update-stamp", pkgStamps + "/update-success-stamp"}
}

// listing is what the package lists offer for the installed packages.
type listing struct {
	candidates []apt.Candidate
	// files are the lists that were read, failed those that were not.
	files  []string
	failed map[string]error
}

// problem tells why nothing can be said about the repositories of some classes: a list of theirs was not read, or there
// is none although one is needed.
func (l listing) problem(needed bool, of func(class string) bool) error {
	for _, f := range slices.Sorted(maps.Keys(l.failed)) {
		if of(listClass(apt.ParseIndexName(f))) {
			return l.failed[f]
		}
	}
	has := slices.ContainsFunc(l.files, func(f string) bool { return of(listClass(apt.ParseIndexName(f))) })
	if needed && !has {
		return posture.Problemf("not-found", "%s holds no list of the repository in question", pkgLists)
	}
	return nil
}

func ofSecurity(class string) bool { return class == "debian-security" }

func ofProxmox(class string) bool {
	return strings.HasPrefix(class, "pve-") || strings.HasPrefix(class, "ceph-") || class == "proxmox-other"
}

func (s *pkgState) updates() {
	s.listsUpdated()
	f := s.facts
	lists, err := s.lists()
	if err == nil {
		err = s.pkgErr
	}
	updates := s.pending(lists.candidates)
	names := func(of func(string) bool) []string {
		list := []string{}
		for _, u := range updates {
			if of(u.Class) {
				list = append(list, u.Package+" "+u.Installed+" → "+u.Available)
			}
		}
		return list
	}
	any := func(string) bool { return true }
	_, pve := f.Installed.Value["pve-manager"]
	f.Updates = listFact(updates, err, lists.problem(true, any))
	f.SecurityUpdates = listFact(names(ofSecurity), err, lists.problem(true, ofSecurity))
	f.PVEUpdates = listFact(names(ofProxmox), err, lists.problem(pve, ofProxmox))
}

// listFact makes a fact that is unknown when there is an error.
func listFact[T any](v T, errs ...error) posture.Fact[T] {
	if err := pkgFirst(errs); err != nil {
		return posture.Unknown[T](err, pkgLists)
	}
	return posture.Known(v, posture.Effective, pkgLists)
}

// lists reads the package lists: reduced by a command on a running host, from the files in a copy.
func (s *pkgState) lists() (listing, error) {
	installed := map[string]bool{}
	for _, p := range s.packages {
		installed[p.Name] = true
	}
	keep := func(name string) bool { return installed[name] }
	out, err := s.c.Host.Run(pkgIndexCommand())
	switch {
	case errors.Is(err, host.ErrPending):
		return listing{}, err
	case err == nil && out.Code == 0:
		l := listing{candidates: apt.ParseIndex("", out.Stdout, keep)}
		for _, line := range host.Lines(out.Stdout) {
			if file, ok := strings.CutPrefix(line, "File: "); ok {
				l.files = append(l.files, file)
			}
		}
		return l, nil
	case s.c.Live && !errors.Is(err, host.ErrUnavailable):
		if err == nil {
			err = posture.Problemf("error", "reading the package lists ended with %d: %s", out.Code, firstLine(out.Stderr))
		}
		return listing{}, err
	}
	return s.listsFromFiles(keep)
}

func (s *pkgState) listsFromFiles(keep func(string) bool) (listing, error) {
	l := listing{failed: map[string]error{}}
	files, err := s.c.Host.List(pkgLists + "/*_Packages*")
	if err != nil {
		return l, err
	}
	for _, fi := range files {
		name := path.Base(fi.Path)
		if !strings.HasSuffix(name, "_Packages") {
			l.failed[name] = posture.Problemf("unavailable", "%s is compressed and can be read on a running host only", fi.Path)
			continue
		}
		b, err := s.c.Host.ReadFile(fi.Path)
		if err != nil {
			l.failed[name] = err
			continue
		}
		l.files = append(l.files, name)
		l.candidates = append(l.candidates, apt.ParseIndex(name, b, keep)...)
	}
	return l, nil
}

// pending compares the installed versions with the newest on offer. Backports and other suites that APT does not
// upgrade to by itself are left out; pins in preferences are not regarded.
func (s *pkgState) pending(list []apt.Candidate) []posture.Update {
	classes := map[string]string{}
	byName := map[string][]apt.Candidate{}
	for _, c := range list {
		if _, ok := classes[c.File]; !ok {
			classes[c.File] = listClass(apt.ParseIndexName(c.File))
		}
		byName[c.Package] = append(byName[c.Package], c)
	}
	updates := []posture.Update{}
	for _, p := range s.packages {
		best := posture.Update{Package: p.Name, Installed: p.Version, Available: p.Version, Held: p.Held()}
		security := false
		for _, c := range byName[p.Name] {
			n := apt.ParseIndexName(c.File)
			class := classes[c.File]
			if class == "debian-backports" || p.Arch != "all" && n.Arch != "" && n.Arch != "all" && n.Arch != p.Arch {
				continue
			}
			if dpkg.Compare(c.Version, p.Version) <= 0 {
				continue
			}
			// An update that the security archive offers stays one when a later point release carries it over.
			security = security || class == "debian-security"
			if dpkg.Compare(c.Version, best.Available) > 0 {
				best.Available, best.Class = c.Version, class
			}
		}
		if security {
			best.Class = "debian-security"
		}
		if best.Class != "" {
			updates = append(updates, best)
		}
	}
	slices.SortFunc(updates, func(a, b posture.Update) int { return strings.Compare(a.Package+a.Installed, b.Package+b.Installed) })
	return updates
}

// listClass classifies a list by the name of its file, in which the slashes of the URI are underscores.
func listClass(n apt.IndexName) string {
	class, _ := classify("http://"+strings.ReplaceAll(n.Site, "_", "/"), n.Suite, []string{n.Component}, nil)
	return class
}

// listsUpdated takes the newest of the stamps; in a copy without its own times, the newest date that a list states.
func (s *pkgState) listsUpdated() {
	var newest time.Time
	var firstErr error
	source := pkgLists
	for _, p := range listStamps() {
		fi, err := s.c.Host.Stat(p)
		switch {
		case err == nil && !fi.OwnerUnknown && fi.ModTime.After(newest):
			newest, source = fi.ModTime, p
		case err == nil && fi.OwnerUnknown:
			s.listsDated()
			return
		case err != nil && !host.NotExist(err) && firstErr == nil:
			firstErr = err
		}
	}
	if t := s.updateTask(); t.After(newest) {
		newest, source = t, logTasks
	}
	switch {
	case firstErr != nil:
		s.facts.ListsUpdated = posture.Unknown[time.Time](firstErr, pkgLists)
	case newest.IsZero():
		s.facts.ListsUpdated = posture.Unknown[time.Time](posture.Problemf("not-found", "there are no package lists in %s", pkgLists), pkgLists)
	default:
		s.facts.ListsUpdated = posture.Known(newest.UTC().Truncate(time.Second), posture.Effective, source)
	}
}

// updateTask is when Proxmox VE last refreshed the lists with success: its daily task leaves no stamp of APT, and a
// refresh that brought nothing new need not touch the lists.
func (s *pkgState) updateTask() time.Time {
	var newest time.Time
	b, err := s.c.Host.ReadFile(logTasks)
	if err != nil {
		return newest
	}
	tasks, _ := tasklog.Parse(b)
	for _, t := range tasks {
		if t.Type == "aptupdate" && t.Status == "OK" && t.Start.After(newest) && !t.Start.After(s.c.Now) {
			newest = t.Start
		}
	}
	return newest
}

func (s *pkgState) listsDated() {
	var newest time.Time
	source := pkgLists
	files, err := s.c.Host.List(pkgLists + "/*_InRelease")
	for _, fi := range files {
		b, rerr := s.c.Host.ReadFile(fi.Path)
		if rerr != nil {
			err = rerr
			continue
		}
		for _, line := range host.Lines(b[:min(len(b), 4096)]) {
			if date, ok := strings.CutPrefix(line, "Date: "); ok {
				if t, perr := time.Parse(time.RFC1123, date); perr == nil && t.After(newest) {
					newest, source = t, fi.Path
				}
			}
		}
	}
	switch {
	case !newest.IsZero():
		s.facts.ListsUpdated = posture.Known(newest.UTC(), posture.Effective, source)
	case err != nil:
		s.facts.ListsUpdated = posture.Unknown[time.Time](err, pkgLists)
	default:
		s.facts.ListsUpdated = posture.Unknown[time.Time](posture.Problemf("unavailable", "the copy did not keep the times of files"), pkgLists)
	}
}
