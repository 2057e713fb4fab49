package kinds

import (
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/debian/passwd"
	"github.com/castellan-project/castellan/internal/host"
)

const (
	passwdFile = "/etc/passwd"
	shadowFile = "/etc/shadow"
)

// account changes local accounts: locked ("yes"), shell, max_days, min_days, warn_days, inactive_days and expire (a date), each a
// field of passwd(5) or shadow(5). Every other byte of the files stays. Neither root nor the last account that can log in is
// ever closed.
func account(d *change.Draft, c change.Change) error {
	names := slices.Clone(c.Each)
	if c.Name != "" {
		names = append(names, c.Name)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) == 0 {
		return nil
	}
	a, err := readAccounts(d)
	if err != nil {
		return err
	}
	before, err := a.open(d)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := a.edit(d, name, c.Set); err != nil {
			return err
		}
	}
	after, err := a.open(d)
	if err != nil {
		return err
	}
	if before > 0 && after == 0 {
		return change.Cannot("no account would be left that can log in; give another one a password or a key first")
	}
	return a.write(d)
}

// accounts are the account files, line by line.
type accounts struct{ passwd, shadow *table }

// table is a file of lines with fields parted by colons.
type table struct {
	lines  []string
	ending string
	old    string
}

func readTable(d *change.Draft, name string) (*table, []byte, error) {
	b, exists, err := d.Content(name)
	if err == nil && !exists {
		err = change.Cannot("there is no %s", name)
	}
	lines, ending := pieces(b)
	return &table{lines, ending, string(b)}, b, err
}

func readAccounts(d *change.Draft) (*accounts, error) {
	users, b, err := readTable(d, passwdFile)
	if err != nil {
		return nil, err
	}
	if _, err := passwd.ParseUsers(b); err != nil {
		return nil, change.Cannot("%v", err)
	}
	shadow, b, err := readTable(d, shadowFile)
	if err != nil {
		return nil, err
	}
	if _, err := passwd.ParseShadow(b); err != nil {
		return nil, change.Cannot("%v", err)
	}
	return &accounts{users, shadow}, nil
}

// find returns the fields of a name and its line; -1 when there is none. The first line of a name counts (getpwnam(3)).
func (t *table) find(name string) ([]string, int) {
	for i, l := range t.lines {
		text, _ := lineAndEnd(l)
		if f := strings.Split(text, ":"); len(f) > 1 && f[0] == name {
			return f, i
		}
	}
	return nil, -1
}

func (t *table) put(i int, fields []string) {
	_, end := lineAndEnd(t.lines[i])
	t.lines[i] = strings.Join(fields, ":") + end
}

// Fields of passwd(5) and shadow(5), from 0.
const (
	fieldPassword = 1
	fieldUID      = 2
	fieldHome     = 5
	fieldShell    = 6
	shadowChanged = 2
	shadowMin     = 3
	shadowMax     = 4
	shadowWarn    = 5
	shadowIdle    = 6
	shadowExpire  = 7
)

// edit makes the settings so for one account.
func (a *accounts) edit(d *change.Draft, name string, set map[string]string) error {
	user, at := a.passwd.find(name)
	if at < 0 {
		return change.Cannot("there is no account %.40q in %s", name, passwdFile)
	}
	if user[fieldUID] == "0" {
		return change.Cannot("%s has the rights of root: castellan does not close or age it", name)
	}
	for _, key := range slices.Sorted(maps.Keys(set)) {
		want := set[key]
		if strings.ContainsAny(want, ":\x00\r\n") {
			return change.Cannot("the value of %s cannot stand in %s", key, passwdFile)
		}
		var err error
		switch key {
		case "locked":
			err = a.lock(d, name, want)
		case "shell":
			err = a.shell(d, name, want)
		case "expire":
			err = a.expire(name, want)
		case "max_days", "min_days", "warn_days", "inactive_days":
			err = a.age(d, name, key, want)
		default:
			err = change.Cannot("an account has no setting %.40q", key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// lock puts a "!" before the hash (passwd(1)). A password that stands in passwd itself is moved to shadow on the way: it would
// count in spite of the "!".
func (a *accounts) lock(d *change.Draft, name, want string) error {
	if want != "yes" {
		return change.Cannot("castellan locks accounts and unlocks none")
	}
	user, at := a.passwd.find(name)
	entry, line := a.shadow.find(name)
	hash := ""
	if line >= 0 {
		hash = entry[fieldPassword]
	}
	if user[fieldPassword] != "x" {
		if user[fieldPassword] != "" {
			hash = user[fieldPassword]
		}
		user[fieldPassword] = "x"
		a.passwd.put(at, user)
	} else if line < 0 {
		return nil // "x" without a line in shadow: no password works
	}
	if !strings.HasPrefix(hash, "!") && !strings.HasPrefix(hash, "*") {
		hash = "!" + hash
		d.Effect("%s is locked: sessions that are open go on; keys in authorized_keys still let in unless shell or expiry forbid it", name)
	}
	if line < 0 {
		a.shadow.lines = appendLine(a.shadow.lines, name+":"+hash+":::::::", a.shadow.ending)
		return nil
	}
	entry[fieldPassword] = hash
	a.shadow.put(line, entry)
	return nil
}

func (a *accounts) shell(d *change.Draft, name, want string) error {
	if !strings.HasPrefix(want, "/") {
		return change.Cannot("the shell %.60q is no absolute path", want)
	}
	user, at := a.passwd.find(name)
	if d.Live() {
		if _, err := d.Stat(want); host.NotExist(err) {
			return change.Cannot("the shell %s is not there", want)
		}
	}
	if user[fieldShell] == want || !interactiveShell(user[fieldShell]) && !interactiveShell(want) {
		return nil
	}
	user[fieldShell] = want
	a.passwd.put(at, user)
	d.Effect("%s gets the shell %s: su and jobs that start a shell for it stop working", name, want)
	return nil
}

// interactiveShell reports whether a shell lets somebody work; the empty field means /bin/sh (passwd(5)).
func interactiveShell(shell string) bool {
	return !slices.Contains([]string{"nologin", "false", "sync", "halt", "shutdown", "true"}, path.Base(shell))
}

// expire writes a date as the days since 1970-01-01 that shadow(5) wants. An earlier date stays.
func (a *accounts) expire(name, want string) error {
	t, err := time.Parse(time.DateOnly, want)
	days := int(t.Unix() / 86400)
	if err != nil || days < 1 {
		return change.Cannot("the date %.20q is not written as 2026-12-31, or lies before 1970-01-02", want)
	}
	f, line := a.shadow.find(name)
	if line < 0 {
		return change.Cannot("%s has no line in %s; run pwconv", name, shadowFile)
	}
	if have, err := strconv.Atoi(f[shadowExpire]); err == nil && have >= 1 && have <= days {
		return nil
	}
	f[shadowExpire] = strconv.Itoa(days)
	a.shadow.put(line, f)
	return nil
}

// age sets one of the ageing fields. A stricter value stays. Somebody who would be shut out at once is not aged: with his
// password too old by more than the days of grace not even a key lets him in (shadow(5), password inactivity period).
func (a *accounts) age(d *change.Draft, name, key, want string) error {
	n, err := strconv.Atoi(want)
	if err != nil || n < 0 {
		return change.Cannot("%.20q is no number of days for %s", want, key)
	}
	f, line := a.shadow.find(name)
	if line < 0 {
		return change.Cannot("%s has no line in %s; run pwconv", name, shadowFile)
	}
	at := map[string]int{"max_days": shadowMax, "min_days": shadowMin, "warn_days": shadowWarn, "inactive_days": shadowIdle}[key]
	if f[at] != "" && holds(key, f[at], want) {
		return nil
	}
	f[at] = want
	a.shadow.put(line, f)
	if key != "max_days" && key != "inactive_days" || d.Target.Now.IsZero() {
		return nil
	}
	changed, err1 := strconv.Atoi(f[shadowChanged])
	most, err2 := strconv.Atoi(f[shadowMax])
	if err1 != nil || err2 != nil || changed <= 0 || most < 0 {
		return nil
	}
	today := int(d.Target.Now.Unix() / 86400)
	if grace, err := strconv.Atoi(f[shadowIdle]); err == nil && grace >= 0 && today > changed+most+grace {
		return change.Cannot("the password of %s is %d days old, so that it would be locked out at once, keys included; let it be changed first (passwd %s)",
			name, today-changed, name)
	}
	if today > changed+most {
		d.Effect("%s has to change the password at the next login, also when it comes with a key", name)
	}
	return nil
}

// open counts the accounts that can log in: a shell to work in, not expired, and a password or a key.
func (a *accounts) open(d *change.Draft) (int, error) {
	n := 0
	for _, l := range a.passwd.lines {
		text, _ := lineAndEnd(l)
		f := strings.Split(text, ":")
		if len(f) != 7 || strings.ContainsAny(text[:1], "#+-") || !interactiveShell(f[fieldShell]) {
			continue
		}
		hash := f[fieldPassword]
		if s, line := a.shadow.find(f[0]); line >= 0 && len(s) > shadowExpire {
			if hash == "x" {
				hash = s[fieldPassword]
			}
			if day, err := strconv.Atoi(s[shadowExpire]); err == nil && day > 0 && !d.Target.Now.IsZero() && int64(day)*86400 <= d.Target.Now.Unix() {
				continue
			}
		}
		keys, err := hasKeys(d, f[fieldHome])
		if err != nil {
			return 0, err
		}
		if keys || hash == "" || !strings.ContainsAny(hash[:1], "!*x") {
			n++
		}
	}
	return n, nil
}

func hasKeys(d *change.Draft, home string) (bool, error) {
	if !strings.HasPrefix(home, "/") || home == "/" || home == "/nonexistent" {
		return false, nil
	}
	f, err := d.Stat(path.Join(home, ".ssh/authorized_keys"))
	if host.NotExist(err) {
		return false, nil
	}
	return err == nil && f.Size > 0, err
}

// write drafts the files. A hash that stands in passwd is as secret as one in shadow.
func (a *accounts) write(d *change.Draft) error {
	for _, l := range strings.Split(a.passwd.old, "\n") {
		if f := strings.Split(l, ":"); len(f) > 1 && len(f[fieldPassword]) > 1 && f[fieldPassword] != "x" {
			if err := d.Secret(passwdFile); err != nil {
				return err
			}
			break
		}
	}
	if err := d.Secret(shadowFile); err != nil {
		return err
	}
	if b := joined(a.passwd.lines); string(b) != a.passwd.old {
		if err := d.Write(passwdFile, b, 0o644); err != nil {
			return err
		}
	}
	if b := joined(a.shadow.lines); string(b) != a.shadow.old {
		return d.Write(shadowFile, b, 0o640)
	}
	return nil
}
