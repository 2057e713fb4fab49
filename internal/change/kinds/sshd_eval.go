package kinds

import (
	"errors"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/debian/dpkg"
	"github.com/castellan-project/castellan/internal/debian/hosts"
	"github.com/castellan-project/castellan/internal/debian/osrelease"
	"github.com/castellan-project/castellan/internal/debian/passwd"
	"github.com/castellan-project/castellan/internal/debian/sshd"
	"github.com/castellan-project/castellan/internal/host"
)

// Addresses that belong to nobody (RFC 5737): a login from there is one from anywhere.
const (
	sshElsewhere = "192.0.2.1"
	sshOwn       = "192.0.2.2"
)

// addsUp reports whether all lines of a keyword count, of sshd -T's name for it.
func addsUp(name string) bool {
	return slices.Contains([]string{"acceptenv", "allowgroups", "allowusers", "denygroups", "denyusers"}, name)
}

// lastCounts reports whether of several lines of a keyword the last one counts, unlike with all others (OpenSSH, servconf.c).
func lastCounts(name string) bool {
	return slices.Contains([]string{"fingerprinthash", "ipqos", "maxstartups", "permituserenvironment", "persourcenetblocksize", "streamlocalbindmask"}, name)
}

// sshdRelease tells which sshd is installed: from dpkg, else from the release of Debian. sure is false for a guess.
func sshdRelease(d *change.Draft) (r sshd.Release, sure bool, err error) {
	status, there, err := d.Content(dpkgStatusFile)
	if err != nil {
		return r, false, err
	}
	if there {
		pkgs, err := dpkg.ParseStatus(status)
		if err != nil {
			return r, false, err
		}
		for _, p := range pkgs {
			if p.Name == "openssh-server" {
				if r, err := sshd.ParsePackageVersion(p.Version); err == nil {
					return r, true, nil
				}
			}
		}
	}
	for _, f := range []string{"/etc/os-release", "/usr/lib/os-release"} {
		b, there, err := d.Content(f)
		if err != nil {
			return r, false, err
		}
		if !there {
			continue
		}
		values, _ := osrelease.Parse(b)
		switch values["VERSION_CODENAME"] {
		case "bookworm":
			return sshd.Release{Major: 9, Minor: 2, Update: -1}, true, nil
		case "trixie":
			return sshd.Release{Major: 10, Minor: 0, Update: -1}, true, nil
		}
	}
	// What the older one takes, both take.
	return sshd.Release{Major: 9, Minor: 2, Update: -1}, false, nil
}

// sshdReader lets the evaluator read the draft as glob(3) and fopen(3) would.
func sshdReader(d *change.Draft) sshd.Files {
	return sshd.Files{
		Read: func(name string) ([]byte, error) {
			b, err := d.ReadFile(name)
			if errors.Is(err, host.ErrNotRegular) {
				if st, e := d.Stat(name); e == nil && st.Type == host.Dir {
					return nil, nil
				}
			}
			return b, err
		},
		Glob: func(pattern string) ([]string, error) {
			list, err := d.List(strings.ReplaceAll(strings.ReplaceAll(pattern, "**", "*"), "[!", "[^"))
			var out []string
			for _, f := range list {
				if !strings.HasPrefix(path.Base(f.Path), ".") || strings.HasPrefix(path.Base(pattern), ".") {
					out = append(out, f.Path)
				}
			}
			return out, err
		},
	}
}

// people are the accounts as far as Match and the lists of groups ask for them.
type people struct {
	users  []passwd.User
	groups []passwd.Group
	own    string // an address of this host
}

func readPeople(d *change.Draft) (people, error) {
	var p people
	b, there, err := d.Content("/etc/passwd")
	if err == nil && there {
		p.users, err = passwd.ParseUsers(b)
	}
	if err != nil {
		return p, err
	}
	b, there, err = d.Content("/etc/group")
	if err == nil && there {
		p.groups, err = passwd.ParseGroups(b)
	}
	if err != nil {
		return p, err
	}
	p.own = sshOwn
	name, _, err := d.Content("/etc/hostname")
	if err != nil {
		return p, err
	}
	text, _, err := d.Content("/etc/hosts")
	if a := addressesOf(strings.TrimSpace(string(name)), hosts.Parse(text)); len(a) > 0 {
		p.own = a[0]
	}
	return p, err
}

// admin is the account whose login stands for that of people: the first one of a person in the group sudo.
func (p people) admin() string {
	for _, u := range p.users {
		if u.UID >= 1000 && u.UID < 60000 && slices.Contains(p.groupsOf(u.Name), "sudo") {
			return u.Name
		}
	}
	return "admin"
}

func (p people) groupsOf(name string) []string {
	var out []string
	gid := -1
	if i := slices.IndexFunc(p.users, func(u passwd.User) bool { return u.Name == name }); i >= 0 {
		gid = p.users[i].GID
	}
	for _, g := range p.groups {
		if g.GID == gid || slices.Contains(g.Members, name) {
			out = append(out, g.Name)
		}
	}
	if len(out) == 0 && name == "root" {
		return []string{"root"}
	}
	return out
}

// login is a connection of an account from an address.
func (s *server) login(conf *sshd.Config, user, from string) sshd.Connection {
	port := 22
	for _, x := range conf.Directives {
		if n, err := strconv.Atoi(strings.TrimSpace(x.Value)); x.Name == "port" && err == nil && n > 0 {
			port = n
			break
		}
	}
	known := user == "root" || slices.ContainsFunc(s.people.users, func(u passwd.User) bool { return u.Name == user })
	return sshd.Connection{User: user, Groups: s.people.groupsOf(user), KnownUser: known, Host: from, Address: from, LocalAddress: s.people.own, LocalPort: port}
}

// logins are those for which a setting must hold: of people and of root from anywhere, or of root from each node.
func (s *server) logins(conf *sshd.Config, match string) []sshd.Connection {
	if match == "" {
		return []sshd.Connection{s.login(conf, s.people.admin(), sshElsewhere), s.login(conf, "root", sshElsewhere)}
	}
	var out []sshd.Connection
	for _, a := range s.cluster.addresses {
		if strings.Contains(match, a) {
			out = append(out, s.login(conf, "root", a))
		}
	}
	return out
}

// maxSSHDRewrites bounds how many lines of other files are corrected for one change.
const maxSSHDRewrites = 20

// settle looks whether the settings hold, corrects lines of other files for the few keywords that a drop-in cannot decide alone, and
// refuses when another line wins.
func (s *server) settle(file, match string, set map[string]string) error {
	wanted, err := alone(set, s.release)
	if err != nil {
		return err
	}
	for range maxSSHDRewrites {
		conf, err := s.load()
		if err != nil {
			return err
		}
		again := false
		for _, conn := range s.logins(conf, match) {
			want, err := wanted.For(conn)
			if err != nil {
				return err
			}
			got, err := conf.For(conn)
			if err != nil {
				return change.Cannot("what sshd would do cannot be computed: %v", err)
			}
			for _, k := range slices.Sorted(maps.Keys(set)) {
				name := strings.ToLower(k)
				if i := slices.IndexFunc(wanted.Directives, func(x sshd.Directive) bool { return strings.EqualFold(x.Keyword, k) }); i >= 0 {
					name = wanted.Directives[i].Name
				}
				if sshdHolds(name, want[name].Values, got[name].Values) {
					continue
				}
				if err := s.outdo(conf, file, name, set[k], got[name]); err != nil {
					return err
				}
				again = true
				break
			}
			if again {
				break
			}
		}
		if !again {
			return nil
		}
	}
	return change.Cannot("the files of sshd set the same keyword over and over; leave it in one file")
}

// sshdHolds compares the effective values with the wanted ones. Of lists of accounts all wanted ones must be in it; that others are
// allowed as well is what other files say.
func sshdHolds(name string, want, got []string) bool {
	switch {
	case name == "acceptenv":
		return slices.Equal(slices.Compact(slices.Sorted(slices.Values(want))), slices.Compact(slices.Sorted(slices.Values(got))))
	case !addsUp(name):
		return slices.Equal(want, got)
	}
	for _, w := range want {
		if !slices.Contains(got, w) {
			return false
		}
	}
	return true
}

// outdo corrects the line that keeps a setting from holding.
func (s *server) outdo(conf *sshd.Config, file, name, value string, got sshd.Setting) error {
	for _, x := range slices.Backward(conf.Directives) {
		if x.Name != name || x.File == file && x.Match == "" || !strings.Contains(", "+got.Source+",", ", "+x.Source()+",") {
			continue
		}
		switch {
		case x.Match != "":
			return change.Cannot("%s:%d gives %s another value for \"Match %s\"; remove it there if it is not meant to be an exception", x.File, x.Line, x.Keyword, oneWord(x.Match))
		case name == "acceptenv":
			words := strings.Fields(value)
			kept := slices.DeleteFunc(strings.Fields(x.Value), func(w string) bool { return !slices.Contains(words, w) })
			if len(kept) == len(strings.Fields(x.Value)) {
				continue
			}
			return s.rewriteLine(x, strings.Join(kept, " "))
		case lastCounts(name):
			return s.rewriteLine(x, value)
		default:
			return change.Cannot("%s:%d sets %s and is read before %s; remove that line", x.File, x.Line, x.Keyword, file)
		}
	}
	return change.Cannot("%s keeps another value than %s (%s)", name, value, got.Source)
}

// rewriteLine gives a line of another file another value, or makes it a comment when nothing of it is left. Mode and rest of the
// file stay.
func (s *server) rewriteLine(x sshd.Directive, value string) error {
	b, _, err := s.Content(x.File)
	if err != nil {
		return err
	}
	lines := strings.SplitAfter(string(b), "\n")
	if strings.IndexByte(string(b), 0) >= 0 || x.Line > len(lines) {
		return change.Cannot("%s:%d sets %s and cannot be edited, because the file holds a NUL byte", x.File, x.Line, x.Keyword)
	}
	text, end := cutEnding(lines[x.Line-1])
	if value == "" {
		lines[x.Line-1] = "# " + text + end
	} else {
		i := strings.Index(text, x.Keyword) + len(x.Keyword)
		rest := strings.TrimLeft(text[i:], " \t=")
		sep := text[i : len(text)-len(rest)]
		if sep == "" {
			sep = " "
		}
		lines[x.Line-1] = text[:i] + sep + value + end
	}
	s.Effect("%s:%d said %s %s", x.File, x.Line, x.Keyword, oneWord(strings.TrimSpace(x.Value)))
	return s.put(x.File, strings.Join(lines, ""), 0o644)
}

// nodesKeep refuses a change that takes from root of another node what a cluster needs: a login by key, and tunnels for migrations.
func (s *server) nodesKeep(before *sshd.Config, set map[string]string) error {
	if !s.cluster.member {
		return nil
	}
	if s.cluster.problem != "" {
		for k := range set {
			if cutsNodes(strings.ToLower(k)) {
				return change.Cannot("whether the nodes of the cluster still reach each other cannot be told: %s", s.cluster.problem)
			}
		}
		return nil
	}
	after, err := s.load()
	if err != nil {
		return err
	}
	for _, a := range s.cluster.addresses {
		had, err := s.nodeMisses(before, a)
		if err != nil {
			return err
		}
		misses, err := s.nodeMisses(after, a)
		if err != nil {
			return err
		}
		for _, m := range misses {
			if !slices.Contains(had, m) {
				return change.Cannot("root of the node with the address %s would lose %s, which the cluster needs", a, m)
			}
		}
	}
	return nil
}

// cutsNodes reports whether a keyword decides about logins and tunnels between nodes.
func cutsNodes(name string) bool {
	return slices.Contains([]string{"permitrootlogin", "pubkeyauthentication", "allowusers", "allowgroups", "denyusers", "denygroups", "disableforwarding",
		"allowtcpforwarding", "allowstreamlocalforwarding", "authenticationmethods", "refuseconnection"}, name)
}

// nodeMisses says what root does not get who comes from the address of a node.
func (s *server) nodeMisses(conf *sshd.Config, address string) ([]string, error) {
	conn := s.login(conf, "root", address)
	got, err := conf.For(conn)
	if err != nil {
		return nil, change.Cannot("what sshd would do for the nodes cannot be computed: %v", err)
	}
	one := func(name string) string { return strings.Join(got[name].Values, " ") }
	var out []string
	if ok, _ := conf.Admits(got, conn); !ok {
		out = append(out, "its place among those who may log in")
	}
	if v := one("permitrootlogin"); v != "yes" && v != "without-password" || one("pubkeyauthentication") != "yes" {
		out = append(out, "the login by key")
	}
	if m := got["authenticationmethods"].Values; !slices.ContainsFunc(m, func(v string) bool {
		return slices.Contains(strings.Fields(v), "publickey") || v == "any"
	}) {
		out = append(out, "the login by key alone")
	}
	for _, f := range []string{"allowtcpforwarding", "allowstreamlocalforwarding"} {
		if v := one(f); v != "yes" && v != "local" || one("disableforwarding") == "yes" {
			out = append(out, "tunnels ("+f+")")
		}
	}
	return out, nil
}
