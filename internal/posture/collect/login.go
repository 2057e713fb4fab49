package collect

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/debian/logindefs"
	"github.com/castellan-project/castellan/internal/debian/pam"
	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/posture"
)

const accUseradd = "/etc/default/useradd"

// Start-up files of login shells, in the order in which a login shell of bash reads them.
const (
	accProfile    = "/etc/profile"
	accProfileDir = "/etc/profile.d/*.sh"
	accBashrc     = "/etc/bash.bashrc"
	accRootRC     = "/root/.bashrc"
	accRootProf   = "/root/.profile"
)

func loginNeeds() []host.Need {
	return append(reads(accUseradd, accProfile, accProfileDir, accBashrc, accRootRC, accRootProf, "/root/.bash_profile"), lists(accProfileDir)...)
}

func readLoginDefs(c *Context) (logindefs.Defs, error) {
	b, err := c.Host.ReadFile(accLoginDefs)
	if absent(c, err) {
		err = nil
	}
	return logindefs.Parse(b), err
}

func collectLogin(c *Context, f *posture.AccountFacts, defs logindefs.Defs, defsErr error) {
	l := &f.Login
	number := func(key string) posture.Fact[int] {
		if defsErr != nil {
			return posture.Unknown[int](defsErr, accLoginDefs)
		}
		n, v, ok := defs.Int(key)
		if !ok {
			return posture.Unknown[int](posture.Problemf("malformed", "%s: %s is no number", source(accLoginDefs, v.Line), key), accLoginDefs)
		}
		return posture.Known(n, originOf(v.Line), source(accLoginDefs, v.Line))
	}
	l.PassMaxDays, l.PassMinDays, l.PassWarnAge = number("PASS_MAX_DAYS"), number("PASS_MIN_DAYS"), number("PASS_WARN_AGE")
	l.UIDMin = number("UID_MIN")
	if defsErr != nil {
		l.EncryptMethod, l.Umask = posture.Unknown[string](defsErr, accLoginDefs), posture.Unknown[string](defsErr, accLoginDefs)
	} else {
		m, _ := defs.Get("ENCRYPT_METHOD")
		l.EncryptMethod = posture.Known(strings.ToLower(m.Text), originOf(m.Line), source(accLoginDefs, m.Line))
		u, _ := defs.Get("UMASK")
		l.Umask = posture.Known(u.Text, originOf(u.Line), source(accLoginDefs, u.Line))
	}
	l.Inactive = inactive(c)
	shells, err := readShellFiles(c, []string{accBashrc})
	timeout(l, shells, err)
	own, rootErr := readShellFiles(c, []string{accRootProf, accRootRC})
	umasks(f, defs, shells, err)
	rootUmask(l, own, rootErr)
}

// inactive reads useradd's default for the INACTIVE field of new accounts; -1 when it is not set (useradd(8)).
func inactive(c *Context) posture.Fact[int] {
	b, err := c.Host.ReadFile(accUseradd)
	if err != nil && !host.NotExist(err) {
		return posture.Unknown[int](err, accUseradd)
	}
	if host.NotExist(err) && !wholeSystem(c) {
		return posture.Unknown[int](err, accUseradd)
	}
	out := posture.Known(-1, posture.Default, "default of useradd")
	for n, line := range host.Lines(b) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "INACTIVE="); ok {
			days, err := strconv.Atoi(strings.TrimSpace(v))
			if err != nil {
				return posture.Unknown[int](posture.Problemf("malformed", "%s: INACTIVE is no number", source(accUseradd, n+1)), accUseradd)
			}
			out = posture.Known(days, posture.Configured, source(accUseradd, n+1))
		}
	}
	return out
}

// shellFile is a start-up file with what it sets.
type shellFile struct {
	path string
	set  logindefs.ShellSettings
}

// readShellFiles reads what every login shell reads, or root's own files when those are asked for. A file that is not there
// sets nothing.
func readShellFiles(c *Context, more []string) ([]shellFile, error) {
	var out []shellFile
	add := func(p string, b []byte) { out = append(out, shellFile{p, logindefs.ParseShell(b)}) }
	if more[0] == accBashrc {
		b, err := c.Host.ReadFile(accProfile)
		if err != nil && !absent(c, err) {
			return nil, err
		}
		add(accProfile, b)
		paths, contents, err := readAll(c, accProfileDir)
		if err != nil {
			return nil, err
		}
		for i, p := range paths {
			add(p, contents[i])
		}
	}
	for _, p := range more {
		b, err := c.Host.ReadFile(p)
		if host.NotExist(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		add(p, b)
	}
	return out, nil
}

func timeout(l *posture.LoginFacts, shells []shellFile, err error) {
	if err != nil {
		l.Timeout, l.TimeoutReadOnly = posture.Unknown[int](err, accProfile), posture.Unknown[bool](err, accProfile)
		return
	}
	l.Timeout = posture.Known(0, posture.Default, "default of bash")
	l.TimeoutReadOnly = posture.Known(false, posture.Default, "default of bash")
	for _, s := range shells {
		if s.set.TMOUT == nil {
			continue
		}
		if l.TimeoutReadOnly.Value { // a later assignment to a read-only variable fails
			break
		}
		src := source(s.path, s.set.TMOUT.Line)
		l.Timeout = posture.Known(s.set.TMOUT.Seconds, posture.Configured, src)
		l.TimeoutReadOnly = posture.Known(s.set.TMOUT.ReadOnly, posture.Configured, src)
	}
}

// mask is a umask and where it comes from.
type mask struct {
	bits   int
	origin posture.Origin
	src    string
	// private is set when the group's bits are the owner's, because the group is that person's own.
	private bool
}

// umasks follows a login: pam_umask first (its own argument, else UMASK of login.defs), then the start-up files. A statement
// inside a condition is taken to be meant for people, which is the form that keeps 022 for root. pam_umask gives a person's
// private group the owner's bits (usergroups); that does not count as writable by a group.
func umasks(f *posture.AccountFacts, defs logindefs.Defs, shells []shellFile, err error) {
	l := &f.Login
	session := f.PAM.Stacks
	if err == nil && !session.IsKnown() {
		err = session.Problem
	}
	if err == nil && !l.Umask.IsKnown() {
		err = l.Umask.Problem
	}
	if err != nil {
		l.RootUmask, l.PersonUmask = posture.Unknown[string](err, accProfile), posture.Unknown[string](err, accProfile)
		l.PersonGroupWrite, l.PersonOther = posture.Unknown[bool](err, accProfile), posture.Unknown[bool](err, accProfile)
		l.RootRestricted, l.PamUmask = posture.Unknown[bool](err, accProfile), posture.Unknown[bool](err, accPAMDir)
		return
	}
	base := kernelMask()
	entry, runs := pamUmask(session.Value)
	l.PamUmask = posture.Known(runs, posture.Configured, accPAMDir+"common-session")
	root, person := base, base
	if runs {
		root, person = pamMasks(entry, l.Umask, defs)
	}
	for _, s := range shells {
		if m, ok := shellMask(s.path, s.set.Umask); ok {
			root, person = m, m
		}
		if m, ok := shellMask(s.path, s.set.Conditional); ok {
			person = m
		}
	}
	l.RootUmask = posture.Known(fmt.Sprintf("%03o", root.bits), root.origin, root.src)
	l.PersonUmask = posture.Known(fmt.Sprintf("%03o", person.bits), person.origin, person.src)
	l.PersonGroupWrite = posture.Known(person.bits&0o020 == 0 && !person.private, person.origin, person.src)
	l.PersonOther = posture.Known(person.bits&0o007 != 0o007, person.origin, person.src)
	l.RootRestricted = posture.Known(root.bits&^0o022 != 0, root.origin, root.src)
}

// rootUmask lets root's own start-up files have the last word about root's umask.
func rootUmask(l *posture.LoginFacts, own []shellFile, err error) {
	if err != nil {
		l.RootUmask, l.RootRestricted = posture.Unknown[string](err, accRootRC), posture.Unknown[bool](err, accRootRC)
		return
	}
	for _, s := range own {
		if m, ok := shellMask(s.path, s.set.Umask); ok && l.RootUmask.IsKnown() {
			l.RootUmask = posture.Known(fmt.Sprintf("%03o", m.bits), m.origin, m.src)
			l.RootRestricted = posture.Known(m.bits&^0o022 != 0, m.origin, m.src)
		}
	}
}

func pamUmask(stacks map[string][]posture.PAMEntry) (posture.PAMEntry, bool) {
	for _, service := range []string{"common-session", "sshd", "login"} {
		for _, e := range stacks[service] {
			if e.Type == "session" && e.Module == "pam_umask.so" {
				return e, true
			}
		}
	}
	return posture.PAMEntry{}, false
}

// pamMasks says what pam_umask gives to root and to people. Debian lets USERGROUPS_ENAB of login.defs switch usergroups on
// unless the module is told nousergroups; root is exempt (pam_umask(8)).
func pamMasks(e posture.PAMEntry, umask posture.Fact[string], defs logindefs.Defs) (root, person mask) {
	text, src, origin := umask.Value, umask.Source, umask.Origin
	entry := pam.Entry{Args: e.Args}
	if v, ok := entry.Arg("umask"); ok {
		text, src, origin = v, e.Source, posture.Configured
	}
	bits, ok := logindefs.MaskOctal(text)
	if !ok {
		return kernelMask(), kernelMask()
	}
	root = mask{bits: bits, origin: origin, src: src}
	person = root
	groups, _ := defs.Get("USERGROUPS_ENAB")
	if entry.Flag("usergroups") || groups.Text == "yes" && !entry.Flag("nousergroups") {
		person.bits = bits&^0o070 | bits>>3&0o070
		person.private = true
	}
	return root, person
}

func kernelMask() mask {
	return mask{bits: 0o022, origin: posture.Default, src: "default of the kernel and systemd"}
}

func shellMask(file string, m logindefs.Mask) (mask, bool) {
	bits, ok := logindefs.MaskOctal(m.Text)
	return mask{bits: bits, origin: posture.Configured, src: source(file, m.Line)}, ok
}
