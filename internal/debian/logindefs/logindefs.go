// Package logindefs reads /etc/login.defs (login.defs(5)) and, from shell start-up files, the two settings that belong
// with it: umask and TMOUT. Defaults are those of Debian's shadow 4.13 (Debian 12) and 4.17 (Debian 13).
package logindefs

import (
	"bytes"
	"strconv"
	"strings"
)

// Value is a setting and the line that made it; line 0 is the program's default.
type Value struct {
	Text string
	Line int
}

// Defs are the settings of login.defs by key; the last one wins.
type Defs map[string]Value

// defaults are what the shadow tools use when a key is absent (lib/getdef.c and login.defs(5)).
func defaults(key string) (string, bool) {
	v, ok := map[string]string{
		"PASS_MAX_DAYS": "-1", "PASS_MIN_DAYS": "-1", "PASS_WARN_AGE": "-1", "UID_MIN": "1000", "UID_MAX": "60000",
		"SYS_UID_MIN": "101", "SYS_UID_MAX": "999", "GID_MIN": "1000", "ENCRYPT_METHOD": "DES", "UMASK": "022", "HOME_MODE": "",
		"LOGIN_TIMEOUT": "60", "LOGIN_RETRIES": "5", "USERGROUPS_ENAB": "no", "LOG_OK_LOGINS": "no",
	}[key]
	return v, ok
}

// Parse reads the file: one key and value a line, separated by blanks; # starts a comment only at the start of a line.
func Parse(b []byte) Defs {
	d := Defs{}
	n := 0
	for raw := range bytes.Lines(b) {
		n++
		line := strings.TrimSpace(string(raw))
		if line == "" || line[0] == '#' {
			continue
		}
		key, value, _ := strings.Cut(strings.ReplaceAll(line, "\t", " "), " ")
		value = strings.TrimSpace(value)
		value = strings.Trim(value, `"`)
		d[key] = Value{Text: value, Line: n}
	}
	return d
}

// Get returns the effective value of a key and whether it is known at all.
func (d Defs) Get(key string) (Value, bool) {
	if v, ok := d[key]; ok {
		return v, true
	}
	v, ok := defaults(key)
	return Value{Text: v}, ok
}

// Int returns an effective number; octal and hexadecimal forms are understood as the shadow tools do (strtol base 0).
func (d Defs) Int(key string) (int, Value, bool) {
	v, ok := d.Get(key)
	if !ok {
		return 0, v, false
	}
	n, err := strconv.ParseInt(v.Text, 0, 32)
	return int(n), v, err == nil
}
