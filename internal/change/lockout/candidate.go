package lockout

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/debian/sshd"
	"github.com/castellan-project/castellan/internal/host"
)

// candidateName is the directory below Options.Dir in which the drafted configuration is laid out.
const candidateName = "sshd-candidate"

// deciding are the keywords of sshd -T on which a login depends: where they differ from what was computed here, nobody is
// admitted.
func deciding() []string {
	return []string{"allowgroups", "allowstreamlocalforwarding", "allowtcpforwarding", "allowusers", "authenticationmethods", "authorizedkeyscommand",
		"authorizedkeysfile", "casignaturealgorithms", "chrootdirectory", "ciphers", "denygroups", "denyusers", "disableforwarding", "forcecommand",
		"hostkeyalgorithms", "kbdinteractiveauthentication", "kexalgorithms", "listenaddress", "macs", "maxsessions", "passwordauthentication",
		"permitrootlogin", "permittty", "port", "pubkeyacceptedalgorithms", "pubkeyauthentication", "refuseconnection", "requiredrsasize",
		"revokedkeys", "strictmodes", "trustedusercakeys", "usedns", "usepam"}
}

// ask lets the sshd of the host judge the draft, and compares. It admits where nobody can be asked: on copies, and without
// a scratch directory.
func (g sshdGuard) ask(c change.Case, s *sshSide, o change.Operator, a netip.Addr) judgement {
	if g.o.Scratch == nil || !c.Target.Live || !c.Target.Root || len(s.configs) != 1 || s.configs[0] == nil {
		return judgement{ok: true}
	}
	config := s.configs[0]
	l := &login{st: s.st, config: config, op: o, addr: a, local: local(c, o, a)}
	u, err := s.st.user(o.User)
	if err != nil {
		return refuse("%v", err)
	}
	l.user = u
	conn := l.connection()
	got, err := Candidate(g.o.Scratch, g.o.Dir, c.After, config.Included, conn)
	if err != nil {
		return refuse("%v", err).in(sshd.MainFile)
	}
	want, err := config.For(conn)
	if err != nil {
		return refuse("what sshd does cannot be told: %v", err).in(sshd.MainFile)
	}
	if touches(c, filePasswd, fileGroup) {
		return judgement{ok: true} // sshd asked the accounts as they are now; its syntax check still counted
	}
	for _, key := range deciding() {
		if x, y := plain(want[key].Values), plain(got[key].Values); want[key].Err == nil && !slices.Equal(x, y) {
			return refuse("sshd itself says otherwise: %s is %q to it, and %q was computed", key, strings.Join(y, " "), strings.Join(x, " ")).in(want[key].Source)
		}
	}
	return judgement{ok: true}
}

// plain puts values into a form in which order and spelling of what means the same do not count.
func plain(values []string) []string {
	out := slices.Clone(values)
	if len(out) == 1 && out[0] == "none" {
		return nil
	}
	slices.Sort(out)
	return out
}

// Candidate lays the drafted configuration out below dir of the scratch machine, with the paths of its Include lines turned
// there, and asks the sshd of that machine: first whether it takes the files (sshd -t), then for its settings for a
// connection (sshd -T -C). What it laid out is gone when it returns. An error says what sshd complains about, or that it
// cannot be asked.
func Candidate(scratch host.Machine, dir string, draft host.Reader, included []string, conn sshd.Connection) (settings sshd.Settings, err error) {
	for _, field := range []string{conn.User, conn.Address, conn.LocalAddress, conn.Host} {
		if strings.ContainsAny(field, ",= \n\x00") {
			return nil, fmt.Errorf("sshd cannot be asked about %q", field)
		}
	}
	if dir == "" || !path.IsAbs(dir) {
		return nil, fmt.Errorf("sshd cannot be asked without a scratch directory")
	}
	out := &layout{scratch: scratch, root: path.Join(dir, candidateName)}
	defer func() {
		if gone := out.remove(); gone != nil && err == nil {
			err = gone
		}
	}()
	if err := out.empty(); err != nil {
		return nil, err
	}
	if err := out.dir(dir); err != nil {
		return nil, err
	}
	for _, name := range append([]string{sshd.MainFile}, included...) {
		b, err := sshFiles(draft).Read(name)
		if err != nil {
			return nil, fmt.Errorf("sshd cannot be asked: %w", err)
		}
		if err := out.file(name, rewrite(b, out.root)); err != nil {
			return nil, err
		}
	}
	main := path.Join(out.root, sshd.MainFile)
	if _, err := run(scratch, out.root, "sshd-candidate-t", "sshd", "-t", "-f", main); err != nil {
		return nil, err
	}
	spec := fmt.Sprintf("user=%s,host=%s,addr=%s", conn.User, conn.Host, conn.Address)
	if conn.LocalAddress != "" {
		spec += ",laddr=" + conn.LocalAddress
	}
	if conn.LocalPort != 0 {
		spec += fmt.Sprintf(",lport=%d", conn.LocalPort)
	}
	text, err := run(scratch, out.root, "sshd-candidate-settings", "sshd", "-T", "-f", main, "-C", spec)
	if err != nil {
		return nil, err
	}
	return sshd.ParseOutput(text), nil
}

// run runs sshd and words its complaint with the paths of the host.
func run(m host.Machine, root, name string, argv ...string) (string, error) {
	out, err := m.Run(host.Command{Name: name, Argv: argv, Timeout: 20 * time.Second})
	if err != nil {
		return "", fmt.Errorf("sshd cannot be asked about the new configuration: %w", err)
	}
	if out.Code != 0 {
		text := strings.ReplaceAll(strings.TrimSpace(string(out.Stderr)), root, "")
		if lines := strings.Split(text, "\n"); len(lines) > 3 {
			text = strings.Join(lines[:3], "; ")
		}
		return "", fmt.Errorf("sshd itself refuses the new configuration: %s", clean(strings.ReplaceAll(text, "\n", "; ")))
	}
	return string(out.Stdout), nil
}

// layout is what was laid out, in order.
type layout struct {
	scratch host.Machine
	root    string
	made    []string
}

// dir makes a directory unless it is there.
func (l *layout) dir(name string) error {
	n, err := l.scratch.Look(name)
	if err != nil {
		return fmt.Errorf("cannot lay the new configuration of sshd out: %w", err)
	}
	if n.Type == host.Dir {
		return nil
	}
	if n.Type != host.Absent {
		return fmt.Errorf("cannot lay the new configuration of sshd out: %s is no directory", name)
	}
	if err := l.scratch.Put(name, host.Node{Type: host.Dir, Mode: 0o700, UID: -1, GID: -1}); err != nil {
		return fmt.Errorf("cannot lay the new configuration of sshd out: %w", err)
	}
	l.made = append(l.made, name)
	return nil
}

// file puts a file at its path below the root, with the directories above it.
func (l *layout) file(name string, content []byte) error {
	at := path.Join(l.root, path.Clean("/"+name))
	var dirs []string
	for d := path.Dir(at); strings.HasPrefix(d, l.root); d = path.Dir(d) {
		dirs = append(dirs, d)
	}
	slices.Reverse(dirs)
	for _, d := range dirs {
		if err := l.dir(d); err != nil {
			return err
		}
	}
	if err := l.scratch.Put(at, host.Node{Type: host.Regular, Mode: 0o600, UID: -1, GID: -1, Content: content}); err != nil {
		return fmt.Errorf("cannot lay the new configuration of sshd out: %w", err)
	}
	if !slices.Contains(l.made, at) {
		l.made = append(l.made, at)
	}
	return nil
}

// empty takes away what a killed attempt left: an old drop-in would count as one of the new.
func (l *layout) empty() error {
	n, err := l.scratch.Look(l.root)
	if err == nil && n.Type == host.Absent {
		return nil
	}
	if err == nil && n.Type != host.Dir {
		return fmt.Errorf("cannot lay the new configuration of sshd out: %s is no directory", l.root)
	}
	left := []host.File(nil)
	if err == nil {
		left, err = l.scratch.List(l.root + "/**")
	}
	if err != nil {
		return fmt.Errorf("cannot lay the new configuration of sshd out: %w", err)
	}
	slices.SortFunc(left, func(a, b host.File) int { return strings.Compare(b.Path, a.Path) }) // what is below a directory first
	for _, f := range append(left, host.File{Path: l.root}) {
		if err := l.scratch.Put(f.Path, host.Node{Type: host.Absent}); err != nil {
			return fmt.Errorf("cannot lay the new configuration of sshd out: %w", err)
		}
	}
	return nil
}

// remove takes away what was made, the last first.
func (l *layout) remove() error {
	var failed error
	for _, name := range slices.Backward(l.made) {
		if err := l.scratch.Put(name, host.Node{Type: host.Absent}); err != nil && failed == nil {
			failed = fmt.Errorf("cannot take away what was laid out for sshd: %w", err)
		}
	}
	return failed
}

// rewrite turns the paths of Include lines to the layout. Lines stay where they are, so that complaints name the right one.
func rewrite(b []byte, root string) []byte {
	lines := strings.Split(string(b), "\n")
	for i, line := range lines {
		rest, ok := includeArgs(line)
		if !ok {
			continue
		}
		var out strings.Builder
		out.WriteString("Include")
		for _, arg := range words(rest) {
			if !strings.HasPrefix(arg, "/") {
				arg = "/etc/ssh/" + arg
			}
			out.WriteString(` "` + root + arg + `"`)
		}
		lines[i] = out.String()
	}
	return []byte(strings.Join(lines, "\n"))
}

// includeArgs finds a line whose keyword is Include; sshd takes blanks or one equals sign after it, and quotes around it.
func includeArgs(line string) (string, bool) {
	t := strings.TrimLeft(line, " \t\f\r\"")
	if len(t) < len("include") || !strings.EqualFold(t[:len("include")], "include") {
		return "", false
	}
	t = strings.TrimPrefix(t[len("include"):], `"`)
	if t == "" || !strings.ContainsRune(" \t=", rune(t[0])) {
		return "", false
	}
	t = strings.TrimLeft(t, " \t")
	return strings.TrimLeft(strings.TrimPrefix(t, "="), " \t"), true
}

// words splits the arguments of a line as OpenSSH's argv_split does for plain cases: blanks, single and double quotes, and
// a comment at the end.
func words(s string) []string {
	var out []string
	var cur strings.Builder
	quote, in := byte(0), false
	for i := 0; i < len(s); i++ {
		ch := s[i]
		switch {
		case quote != 0 && ch == quote:
			quote = 0
		case quote == 0 && (ch == '"' || ch == '\''):
			quote, in = ch, true
		case quote == 0 && (ch == ' ' || ch == '\t' || ch == '\r' || ch == '\f'):
			if in {
				out = append(out, cur.String())
				cur.Reset()
				in = false
			}
		case quote == 0 && ch == '#' && !in:
			return out
		default:
			cur.WriteByte(ch)
			in = true
		}
	}
	if in {
		out = append(out, cur.String())
	}
	return out
}
