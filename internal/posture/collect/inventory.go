package collect

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/castellan-project/castellan/internal/debian/filewalk"
	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/posture"
)

// Bounds of the walk and of the lists that it makes.
const (
	walkTimeout = 20 * time.Second
	// maxOddities is how many paths a list holds; more than this is one finding, not an inventory.
	maxOddities = 500
)

// walkSkips are the trees that hold guests and other machines' files, which are not the host's own.
func walkSkips() []string {
	return []string{"/proc", "/sys", "/dev", "/run", "/var/lib/vz", "/var/lib/lxc", "/var/lib/docker", "/var/lib/containers", "/var/lib/containerd",
		"/var/lib/machines", "/mnt", "/media", "/rpool/data", "/snap"}
}

func inventoryNeeds() []host.Need {
	return reads("/etc/passwd", "/etc/group", "/etc/subuid", "/etc/subgid")
}

// idRange is a range of user or group ids, both ends included.
type idRange struct{ from, to int }

// dynamicUsers are the ids that systemd gives to services with DynamicUser= (systemd.exec(5)); they come and go.
func dynamicUsers() idRange { return idRange{61184, 65519} }

func collectInventory(c *Context, f *posture.FileFacts, names nameTable) {
	files, err := walk(c, names)
	if err != nil {
		f.SetID, f.WorldWritable = posture.Unknown[[]string](err, "find"), posture.Unknown[[]string](err, "find")
		f.Unowned = posture.Unknown[[]string](err, "find")
		return
	}
	users, groups := ownedIDs(c, names.users, "/etc/subuid"), ownedIDs(c, names.groups, "/etc/subgid")
	setID, writable, unowned := []string{}, []string{}, []string{}
	add := func(list *[]string, p string) {
		if len(*list) < maxOddities {
			*list = append(*list, strings.ToValidUTF8(p, "?"))
		}
	}
	for _, x := range files {
		if x.Type == 'f' && x.Mode&0o6000 != 0 {
			add(&setID, x.Path)
		}
		if x.Mode&0o002 != 0 && (x.Type == 'f' || x.Type == 'd' && x.Mode&0o1000 == 0) {
			add(&writable, x.Path)
		}
		if !owned(x.UID, users) || !owned(x.GID, groups) {
			add(&unowned, x.Path)
		}
	}
	slices.Sort(setID)
	slices.Sort(writable)
	slices.Sort(unowned)
	f.SetID, f.WorldWritable = posture.Known(setID, posture.Effective, "find"), posture.Known(writable, posture.Effective, "find")
	f.Unowned = posture.Known(unowned, posture.Effective, "find")
	if names.err != nil {
		f.Unowned = posture.Unknown[[]string](names.err, "/etc/passwd")
	}
}

// walk takes stock of special files: on a running host by one find, in a copy by listing it.
func walk(c *Context, names nameTable) ([]filewalk.File, error) {
	if !c.Live {
		return walkCopy(c)
	}
	if !c.Root {
		return nil, posture.Problemf("permission", "only root can look into every directory")
	}
	if names.err != nil {
		return nil, names.err
	}
	if w, ok := c.Host.(host.Walker); ok {
		return walkHere(w, ownedIDs(c, names.users, "/etc/subuid"), ownedIDs(c, names.groups, "/etc/subgid"))
	}
	out, err := c.Host.Run(walkCommand(ownedIDs(c, names.users, "/etc/subuid"), ownedIDs(c, names.groups, "/etc/subgid")))
	if err != nil {
		return nil, err
	}
	// find ends with 1 when a file vanished during the walk; what it printed is complete otherwise.
	if out.Code > 1 {
		return nil, posture.Problemf("error", "find ended with code %d: %s", out.Code, firstLine(out.Stderr))
	}
	list, err := filewalk.Parse(out.Stdout)
	if err != nil {
		return nil, posture.Problemf("malformed", "%v", err)
	}
	return plausible(list)
}

// walkHere does what the find does, without it.
func walkHere(w host.Walker, users, groups []idRange) ([]filewalk.File, error) {
	skips := map[string]bool{}
	for _, p := range walkSkips() {
		skips[p] = true
	}
	infos, err := w.Walk(
		func(p, name string) bool {
			return skips[p] || slices.Contains(cacheNames(), name) || strings.HasSuffix(p, moduleCache)
		},
		func(t host.FileType, mode uint32, uid, gid int) bool {
			return t == host.Regular && mode&0o6002 != 0 || t == host.Dir && mode&0o1002 == 0o002 ||
				!owned(uid, users) || !owned(gid, groups)
		})
	if err != nil {
		return nil, err
	}
	var out []filewalk.File
	for _, i := range infos {
		if t := letter(i.Type); t != 0 {
			out = append(out, filewalk.File{Type: t, Mode: i.Mode, UID: i.UID, GID: i.GID, Path: i.Path})
		}
	}
	return plausible(out)
}

// cacheNames are directories in which tools of developers keep hundreds of thousands of unpacked files; a host that
// has them is walked in a fraction of the time without. They are named in docs/030-copies.md.
func cacheNames() []string {
	return []string{"node_modules", ".cache", ".cargo", ".rustup", ".npm", ".pyenv", ".git", "__pycache__"}
}

// moduleCache is where Go keeps unpacked modules, below a home directory.
const moduleCache = "/go/pkg/mod"

// plausible refuses an inventory without any set-user-ID program below /usr: every Debian has some, so the tree is
// a copy of parts, or the walk did not see it.
func plausible(list []filewalk.File) ([]filewalk.File, error) {
	for _, f := range list {
		if f.Type == 'f' && f.Mode&0o4000 != 0 && strings.HasPrefix(f.Path, "/usr/") {
			return list, nil
		}
	}
	return nil, posture.Problemf("not-found", "no set-user-ID program below /usr: this is a copy of parts, whose inventory would say nothing")
}

// walkCommand makes the find that stays on the root file system. find's own -nouser looks each owner up in the user
// database, which costs twenty times as much as the ranges of ids that are spelled out here.
func walkCommand(users, groups []idRange) host.Command {
	argv := []string{"find", "/", "-xdev", "("}
	for i, p := range walkSkips() {
		if i > 0 {
			argv = append(argv, "-o")
		}
		argv = append(argv, "-path", p)
	}
	for _, n := range cacheNames() {
		argv = append(argv, "-o", "-type", "d", "-name", n)
	}
	argv = append(argv, "-o", "-path", "*"+moduleCache, ")", "-prune", "-o", "(", "-type", "f", "-perm", "/6002", "-o", "-type", "d", "-perm", "-0002", "!", "-perm", "-1000")
	argv = append(argv, strange("-uid", users)...)
	argv = append(argv, strange("-gid", groups)...)
	argv = append(argv, ")", "-printf", `%y %m %U %G %p\0`)
	return host.Command{Name: "file-walk", Argv: argv, Timeout: walkTimeout}
}

// strange are find's tests for ids outside of all ranges: "-o ( -uid +10 -uid -33 )" for each gap.
func strange(test string, ranges []idRange) []string {
	var out []string
	next := 0
	for _, r := range ranges {
		if r.from > next {
			out = append(out, "-o", "(")
			if next > 0 {
				out = append(out, test, "+"+strconv.Itoa(next-1))
			}
			out = append(out, test, "-"+strconv.Itoa(r.from), ")")
		}
		next = max(next, r.to+1)
	}
	return append(out, "-o", test, "+"+strconv.Itoa(next-1))
}

// ownedIDs are the ids that somebody owns: accounts, dynamic users of systemd, and the ranges that containers are
// mapped to. Sorted, without overlap.
func ownedIDs(c *Context, names map[int]string, subFile string) []idRange {
	ranges := []idRange{{0, 0}, dynamicUsers(), {65534, 65534}}
	for id := range names {
		ranges = append(ranges, idRange{id, id})
	}
	if b, err := c.Host.ReadFile(subFile); err == nil {
		for _, l := range host.Lines(b) {
			f := strings.Split(l, ":")
			if len(f) != 3 {
				continue
			}
			from, err1 := strconv.Atoi(f[1])
			n, err2 := strconv.Atoi(f[2])
			if err1 == nil && err2 == nil && from > 0 && n > 0 && n < 1<<32 {
				ranges = append(ranges, idRange{from, from + n - 1})
			}
		}
	}
	slices.SortFunc(ranges, func(a, b idRange) int { return a.from - b.from })
	out := ranges[:1]
	for _, r := range ranges[1:] {
		if last := &out[len(out)-1]; r.from <= last.to+1 {
			last.to = max(last.to, r.to)
			continue
		}
		out = append(out, r)
	}
	return out
}

func owned(id int, ranges []idRange) bool {
	return slices.ContainsFunc(ranges, func(r idRange) bool { return id >= r.from && id <= r.to })
}

// walkCopy lists a copied tree, leaving out what the find leaves out.
func walkCopy(c *Context) ([]filewalk.File, error) {
	tops, err := c.Host.List("/*")
	if err != nil {
		return nil, err
	}
	var out []filewalk.File
	for _, top := range tops {
		if top.Type != host.Dir || slices.Contains(walkSkips(), top.Path) {
			continue
		}
		infos, err := c.Host.List(top.Path + "/**")
		if err != nil {
			return nil, err
		}
		for _, i := range append([]host.File{top}, infos...) {
			if i.OwnerUnknown {
				return nil, posture.Problemf("unavailable", "the copy did not keep modes and owners")
			}
			if t := letter(i.Type); t != 0 && !skipped(i.Path) {
				out = append(out, filewalk.File{Type: t, Mode: i.Mode, UID: i.UID, GID: i.GID, Path: i.Path})
			}
		}
	}
	return plausible(out)
}

func letter(t host.FileType) byte {
	switch t {
	case host.Regular:
		return 'f'
	case host.Dir:
		return 'd'
	}
	return 0
}

func skipped(p string) bool {
	return slices.ContainsFunc(walkSkips(), func(s string) bool { return p == s || strings.HasPrefix(p, s+"/") })
}
