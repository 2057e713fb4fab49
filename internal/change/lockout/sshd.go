package lockout

import (
	"bytes"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/debian/passwd"
	"github.com/castellan-project/castellan/internal/debian/sshd"
	"github.com/castellan-project/castellan/internal/host"
)

// sshdGuard judges whether operators, and the other nodes of a cluster, still get in by SSH.
type sshdGuard struct{ o Options }

// sshSide is one side of a window for this guard.
type sshSide struct {
	st      *state
	configs []*sshd.Config
	err     error
	socket  bool
}

func newSide(r host.Reader, c change.Case) *sshSide {
	s := &sshSide{st: newState(r, c.Now)}
	s.configs, s.err = s.st.configs()
	_, err := host.Lstat(r, "/etc/systemd/system/sockets.target.wants/ssh.socket")
	s.socket = err == nil
	return s
}

// Judge implements [change.Guard].
func (g sshdGuard) Judge(c change.Case) []change.Verdict {
	after := newSide(c.After, c)
	if after.err == nil && len(after.configs) == 0 {
		return nil // no server is installed
	}
	before := newSide(c.Before, c)
	if !sshTouched(c, before, after) {
		return nil
	}
	if x, ok := stops(c, []string{"ssh", "sshd"}, []string{"openssh-server"}); ok {
		j := refuse("%s takes the SSH server away (%s)", x.Control, or(x.Text, x.Unit+strings.Join(x.Purge, ", ")))
		return everybody(c, "sshd", j)
	}
	if why := socketChanged(c, before, after); why != "" {
		return everybody(c, "sshd", refuse("%s", why))
	}
	var out []change.Verdict
	for _, o := range c.Operators {
		f, err := parseFrom(o.Address)
		if err != nil {
			out = append(out, refuse("it is not known where %s comes from: %v", o.User, err).adding("--admin %s@ADDRESS", o.User).verdict("sshd", o.Words()))
			continue
		}
		j := g.operator(c, before, after, o, f)
		out = append(out, j.verdict("sshd", o.Words()))
	}
	return append(out, g.nodes(c, before, after)...)
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// everybody gives one judgement to every operator, or to nobody in particular when there is none.
func everybody(c change.Case, guard string, j judgement) []change.Verdict {
	if len(c.Operators) == 0 {
		if !c.Target.Live {
			return nil
		}
		return []change.Verdict{j.verdict(guard, "")}
	}
	var out []change.Verdict
	for _, o := range c.Operators {
		out = append(out, j.verdict(guard, o.Words()))
	}
	return out
}

// sshTouched reports whether a window can change who gets in by SSH: its configuration with everything included, accounts,
// keys and what lies on the way to them, lists of keys, the units.
func sshTouched(c change.Case, before, after *sshSide) bool {
	if touches(c, "/etc/ssh/", filePasswd, fileGroup, fileShadow, "/etc/ssh", "/home/*", "/root", "/root/.ssh/", "/home/*/.ssh", "/home/*/.ssh/*", pveKeys,
		"/etc/default/ssh", "/etc/systemd/system/ssh.*", "/etc/systemd/system/ssh.*/", "/etc/systemd/system/ssh.service.d/", "/etc/systemd/system/ssh.socket.d/",
		"/etc/systemd/system/sockets.target.wants/ssh.socket", "/etc/systemd/system/multi-user.target.wants/ssh.service") {
		return true
	}
	for _, x := range c.Changes {
		unit := strings.TrimSuffix(x.Unit, ".service")
		if x.Kind == "sshd" || unit == "ssh" || unit == "sshd" || unit == "ssh.socket" || slices.Contains(x.Purge, "openssh-server") {
			return true
		}
	}
	for _, side := range []*sshSide{before, after} {
		for _, name := range side.files(c) {
			if slices.Contains(c.Paths, name) {
				return true
			}
		}
	}
	return false
}

// files are the files outside of the usual places on which an answer can depend.
func (s *sshSide) files(c change.Case) []string {
	var out []string
	for _, config := range s.configs {
		out = append(out, config.Included...)
		for _, d := range config.Directives {
			switch d.Name {
			case "revokedkeys", "trustedusercakeys", "hostkey":
				out = append(out, strings.TrimSpace(d.Value))
			}
		}
		for _, o := range c.Operators {
			u, err := s.st.user(o.User)
			if err != nil {
				continue
			}
			set, err := config.For(sshd.Connection{User: o.User, KnownUser: true, Groups: s.st.groupsOf(u), Address: "192.0.2.1", Host: "192.0.2.1",
				LocalAddress: "192.0.2.2", LocalPort: port(o)})
			if err != nil {
				continue
			}
			for _, name := range keyFiles(set, u) {
				for ; name != "/"; name = path.Dir(name) {
					out = append(out, name)
				}
			}
			out = append(out, path.Clean("/"+u.Home), u.Shell)
		}
	}
	for i, name := range out {
		if real, err := host.Resolve(s.st.r, name); err == nil && strings.HasPrefix(name, "/") {
			out[i] = real
		}
	}
	return out
}

// socketChanged refuses changes of where systemd listens for the server: what its units say is not computed.
func socketChanged(c change.Case, before, after *sshSide) string {
	if before.socket != after.socket {
		return "whether systemd listens for sshd (ssh.socket) changes, and where it would listen cannot be told"
	}
	if p := touched(c, "/etc/systemd/system/ssh.socket.d/", "/etc/systemd/system/ssh.socket"); p != "" && after.socket {
		return "systemd listens for sshd, and where it would listen with " + p + " cannot be told"
	}
	for _, x := range c.Changes {
		if x.Unit == "ssh.socket" {
			return "the unit ssh.socket changes (" + x.Control + "), and where anybody would listen cannot be told"
		}
	}
	return ""
}

// operator judges one operator from all of his addresses.
func (g sshdGuard) operator(c change.Case, before, after *sshSide, o change.Operator, f from) judgement {
	if after.err != nil {
		return refuse("the configuration of sshd cannot be read: %v", after.err).in(sshd.MainFile)
	}
	addrs, err := sshSamples(after, o, f)
	if err != nil {
		return refuse("%v", err)
	}
	var last judgement
	for _, a := range addrs {
		last = after.login(c, o, a, before)
		if !last.ok {
			if !f.one {
				last.why = "from " + a.String() + ": " + last.why
			}
			return afterwards(last, func() judgement {
				if before.err != nil {
					return refuse("%v", before.err)
				}
				return before.login(c, o, a, nil)
			})
		}
	}
	if j := g.ask(c, after, o, addrs[0]); !j.ok {
		return j
	}
	if last.why = o.Words() + " " + last.why; !f.one {
		last.why = "every address of " + f.prefix.String() + ": " + last.why
	}
	return last
}

// login judges one address under every release that the server may be of.
func (s *sshSide) login(c change.Case, o change.Operator, a netip.Addr, before *sshSide) judgement {
	var j judgement
	for i, config := range s.configs {
		l := &login{st: s.st, config: config, op: o, addr: a, local: local(c, o, a), socket: s.socket}
		if before != nil && i < len(before.configs) {
			l.before = &login{st: before.st, config: before.configs[i], op: o, addr: a, local: l.local, socket: before.socket}
		}
		if j = l.judge(); !j.ok {
			return j
		}
	}
	return j
}

// sshSamples are addresses that stand for all that an operator comes from, as the configuration and his keys divide them.
func sshSamples(s *sshSide, o change.Operator, f from) ([]netip.Addr, error) {
	if f.one {
		return f.samples(nil)
	}
	var nets []netip.Prefix
	add := func(where, words string) error {
		n, ok := networks(words)
		if !ok {
			return fmt.Errorf("%s draws borders through networks with a pattern (%q), so that it cannot be told whether all of %s gets in", where,
				clean(words), f.prefix)
		}
		nets = append(nets, n...)
		return nil
	}
	for _, config := range s.configs {
		for _, d := range config.Directives {
			switch d.Name {
			case "match", "allowusers", "denyusers":
				if err := add(d.Source(), d.Value); err != nil {
					return nil, err
				}
			}
		}
	}
	u, err := s.st.user(o.User)
	if err != nil {
		return f.samples(nets)
	}
	for _, name := range s.keyFilesOf(u) {
		b, err := s.st.r.ReadFile(name)
		if err != nil {
			continue
		}
		for _, line := range host.Lines(b) {
			if strings.Contains(line, "from=") {
				if err := add(name, line[:min(len(line), 4096)]); err != nil {
					return nil, err
				}
			}
		}
	}
	return f.samples(nets)
}

// keyFilesOf are all files that some part of the configuration may name for the keys of an account.
func (s *sshSide) keyFilesOf(u passwd.User) []string {
	out := keyFiles(sshd.Settings{"authorizedkeysfile": {Values: []string{".ssh/authorized_keys .ssh/authorized_keys2"}}}, u)
	for _, config := range s.configs {
		for _, d := range config.Directives {
			if d.Name == "authorizedkeysfile" {
				out = append(out, keyFiles(sshd.Settings{"authorizedkeysfile": {Values: []string{strings.ReplaceAll(d.Value, `"`, "")}}}, u)...)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// provenOtherwise tells whether the operator of the present session, whose key no file lists, keeps the way by which he came:
// a certificate, or a key that a command told sshd. Everything on which that depends must be what it was.
func (l *login) provenOtherwise() bool {
	b := l.before
	if !l.op.Session || l.op.Key == "" || b == nil {
		return false
	}
	var err error
	if b.user, err = b.st.user(l.op.User); err != nil || !b.config.Valid() {
		return false
	}
	if b.s, err = b.config.For(b.connection()); err != nil {
		return false
	}
	for _, key := range []string{"pubkeyauthentication", "pubkeyacceptedalgorithms", "pubkeyauthoptions", "requiredrsasize", "trustedusercakeys", "authorizedkeysfile",
		"authorizedkeyscommand", "authorizedkeyscommanduser", "authorizedprincipalsfile", "authorizedprincipalscommand", "authorizedprincipalscommanduser",
		"casignaturealgorithms", "revokedkeys"} {
		if !slices.Equal(l.s[key].Values, b.s[key].Values) {
			return false
		}
	}
	files := keyFiles(l.s, l.user)
	for _, key := range []string{"trustedusercakeys", "revokedkeys", "authorizedprincipalsfile", "authorizedkeyscommand"} {
		if v := l.s[key].Values; len(v) > 0 && strings.HasPrefix(v[0], "/") {
			files = append(files, strings.Fields(v[0])[0])
		}
	}
	some := false
	for _, key := range []string{"trustedusercakeys", "authorizedkeyscommand"} {
		v, _ := one(l.s, key)
		some = some || v != "" && v != "none"
	}
	for _, name := range files {
		now, errNow := l.st.r.ReadFile(name)
		then, errThen := b.st.r.ReadFile(name)
		if (errNow == nil) != (errThen == nil) || errNow != nil && !host.NotExist(errNow) || !bytes.Equal(now, then) {
			return false
		}
		some = some || strings.Contains(string(now), "cert-authority")
	}
	return some
}

// netNode is another member of the cluster.
type netNode struct {
	name  string
	addrs []netip.Addr
}

// unmapped reads an address of a node.
func unmapped(text string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(text)
	if err != nil || a.IsLoopback() {
		return netip.Addr{}, false
	}
	return a.Unmap().WithZone(""), true
}
