package lockout

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/debian/passwd"
	"github.com/castellan-project/castellan/internal/debian/sshd"
	"github.com/castellan-project/castellan/internal/debian/utmp"
	"github.com/castellan-project/castellan/internal/host"
)

// proofHours is how fresh the login of the second administrator must be (control SSH-31).
const proofHours = 24

// maxPeople bounds the accounts that are looked at one by one.
const maxPeople = 5000

// secondPath asks for a second way in before root's login, passwords or most accounts are shut out: a person with a key,
// admitted by the new configuration, who becomes root by sudo and has logged in within a day.
type secondPath struct{}

// Judge implements [change.Guard].
func (secondPath) Judge(c change.Case) []change.Verdict {
	if !c.Target.Live && len(c.Operators) == 0 {
		return nil // nobody is named, and nobody is logged in to a copy
	}
	after, before := newSide(c.After, c), newSide(c.Before, c)
	if after.err == nil && len(after.configs) == 0 || !sshTouched(c, before, after) {
		return nil
	}
	if after.err != nil || before.err != nil {
		return nil // the guard sshd says so
	}
	closes := closing(c, before, after)
	if closes == "" {
		return nil
	}
	return []change.Verdict{prove(c, after, before, closes).verdict("second-path", "")}
}

// closing says what a window shuts that may have been somebody's only way in; empty when nothing.
func closing(c change.Case, before, after *sshSide) string {
	addrs := []netip.Addr{netip.MustParseAddr("198.51.100.7")}
	for _, o := range c.Operators {
		if f, err := parseFrom(o.Address); err == nil {
			addrs = append(addrs, f.prefix.Addr())
		}
	}
	for i, config := range after.configs {
		if !config.Valid() || i >= len(before.configs) || !before.configs[i].Valid() {
			continue
		}
		for _, a := range addrs {
			conn := sshd.Connection{User: "root", KnownUser: true, Groups: []string{"root"}, Host: a.String(), Address: a.String(),
				LocalAddress: or(local(c, change.Operator{}, a), "192.0.2.2"), LocalPort: 22}
			was, err1 := before.configs[i].For(conn)
			now, err2 := config.For(conn)
			if err1 != nil || err2 != nil {
				continue
			}
			if text := closedBy(was, now); text != "" {
				return text
			}
		}
	}
	return ""
}

// closedBy compares the settings for root before and after.
func closedBy(was, now sshd.Settings) string {
	old, _ := one(was, "permitrootlogin")
	value, at := one(now, "permitrootlogin")
	if (old == "yes" || old == "without-password" || old == "prohibit-password") && (value == "no" || value == "forced-commands-only") {
		return fmt.Sprintf("PermitRootLogin %s (%s) closes the login of root", value, at)
	}
	for _, x := range []struct{ key, word string }{{"passwordauthentication", "PasswordAuthentication"}, {"kbdinteractiveauthentication", "KbdInteractiveAuthentication"},
		{"pubkeyauthentication", "PubkeyAuthentication"}} {
		old, _ := one(was, x.key)
		if value, at := one(now, x.key); old == "yes" && value == "no" {
			return fmt.Sprintf("%s no (%s) shuts a way of logging in", x.word, at)
		}
	}
	for _, x := range []struct{ key, word string }{{"allowusers", "AllowUsers"}, {"allowgroups", "AllowGroups"}} {
		if len(was[x.key].Values) == 0 && len(now[x.key].Values) > 0 {
			return fmt.Sprintf("%s (%s) shuts out everybody whom it does not name", x.word, source(now[x.key].Source))
		}
	}
	return ""
}

// prove looks for the second administrator.
func prove(c change.Case, after, before *sshSide, closes string) judgement {
	st := after.st
	if st.userErr != nil {
		return refuse("%s, and the accounts cannot be read: %v", closes, st.userErr)
	}
	if len(st.users) > maxPeople {
		return refuse("%s, and %s has more than %d accounts", closes, filePasswd, maxPeople)
	}
	var against []string
	logins := &logins{c: c}
	for _, u := range st.users {
		if u.UID < 1000 || u.UID >= 60000 || st.shellProblem(u) != "" {
			continue
		}
		root := sudoOf(st, before.st, u)
		if !root.ok {
			continue
		}
		in, from := enters(c, after, before, u)
		if !in.ok {
			against = append(against, u.Name+": "+in.why)
			continue
		}
		when, why := logins.last(u)
		if why != "" {
			against = append(against, u.Name+" "+why)
			continue
		}
		return admit("%s; %s still gets in from %s %s, %s, %s", closes, u.Name, from, in.why, root.why, when)
	}
	j := refuse("%s, and no second administrator is proven", closes)
	if len(against) > 0 {
		slices.Sort(against)
		j.why += ": " + strings.Join(against[:min(len(against), 5)], "; ")
	} else {
		j.why += ": no account of a person has sudo"
	}
	return j.adding("adduser NAME; usermod -aG sudo NAME; a key into ~NAME/.ssh/authorized_keys; then log in as NAME from another terminal and run sudo -i")
}

// enters tells whether an account gets in by key from where one of the operators comes from.
func enters(c change.Case, after, before *sshSide, u passwd.User) (judgement, string) {
	last := refuse("it is not known from where anybody comes").adding("--admin user@cidr")
	for _, o := range c.Operators {
		f, err := parseFrom(o.Address)
		if err != nil {
			continue
		}
		who := change.Operator{User: u.Name, Address: o.Address, Port: o.Port, Local: o.Local, Method: "publickey"}
		if o.User == u.Name {
			who = o
			who.Method = "publickey"
		}
		if last = after.login(c, who, f.prefix.Addr(), before); last.ok {
			return last, f.prefix.Addr().String()
		}
	}
	return last, ""
}

// logins are the logins that the host recorded.
type logins struct {
	c        change.Case
	accepted map[string]time.Time
	err      error
	asked    bool
}

// last words the proof that an account was used within a day, or says why there is none.
func (l *logins) last(u passwd.User) (proof, why string) {
	if !l.c.Target.Live {
		return "though a copy cannot prove a login", ""
	}
	for _, o := range l.c.Operators {
		if o.Session && o.User == u.Name && !byPassword(o) {
			return "and is logged in now", ""
		}
	}
	last, known := l.recorded(u)
	switch {
	case !known:
		return "", "gets in, and when it last did is not recorded where castellan reads (lastlog, wtmp, journal)"
	case last.IsZero():
		return "", "gets in and has never done so"
	case l.c.Now.Sub(last) > proofHours*time.Hour || last.After(l.c.Now.Add(time.Hour)):
		return "", fmt.Sprintf("gets in, and last did on %s, more than %d hours ago", last.UTC().Format(time.DateOnly), proofHours)
	}
	return "last login " + last.UTC().Format("2006-01-02 15:04 UTC"), ""
}

// recorded is the newest login in lastlog, wtmp and journal. Debian 13 records no lastlog that can be read here, so the
// journal counts.
func (l *logins) recorded(u passwd.User) (last time.Time, known bool) {
	if b, err := l.c.Before.ReadFile("/var/log/lastlog"); err == nil {
		if byUID, err := utmp.ParseLastlog(b); err == nil {
			last, known = byUID[u.UID], true
		}
	}
	if b, err := l.c.Before.ReadFile("/var/log/wtmp"); err == nil {
		for _, x := range utmp.ParseLogins(b) {
			if x.User == u.Name && x.Time.After(last) {
				last, known = x.Time, true
			}
		}
	}
	l.journal()
	if l.err == nil {
		known = true
		if t := l.accepted[u.Name]; t.After(last) {
			last = t
		}
	}
	return last, known
}

var acceptedLine = regexp.MustCompile(`^(\d+)(?:\.\d+)? \S+ sshd(?:-session)?\[\d+\]: Accepted \S+ for (\S+) from `)

// journal asks for what sshd accepted in the last day; the command is that of the facts sshkeys.admin_paths.
func (l *logins) journal() {
	if l.asked {
		return
	}
	l.asked, l.accepted = true, map[string]time.Time{}
	if !l.c.Target.Root {
		l.err = host.ErrUnavailable
		return
	}
	out, err := l.c.Before.Run(host.Command{Name: "ssh-accepted", Argv: []string{"journalctl", "-q", "--no-pager", "-o", "short-unix", "-t", "sshd",
		"-t", "sshd-session", "--since=-25h", "--grep=^Accepted ", "-n", "500"}})
	if err == nil && out.Code > 1 { // 1 means that no line matched
		err = fmt.Errorf("journalctl ended with code %d", out.Code)
	}
	if l.err = err; err != nil {
		return
	}
	for _, line := range host.Lines(out.Stdout) {
		m := acceptedLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		sec, err := strconv.ParseInt(m[1], 10, 64)
		if t := time.Unix(sec, 0).UTC(); err == nil && t.After(l.accepted[m[2]]) {
			l.accepted[m[2]] = t
		}
	}
}
