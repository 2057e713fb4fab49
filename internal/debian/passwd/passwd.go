// Package passwd reads the account files of Debian: passwd(5), group(5), shadow(5) and gshadow(5). Of shadow it gives
// the state and the scheme of a password, never the hash: no type of this package can hold one.
package passwd

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// User is a line of passwd.
type User struct {
	Name     string
	Shadowed bool // the password field is "x": the password is in shadow
	NoField  bool // the password field is empty: anyone gets in without a password
	UID, GID int
	Home     string
	Shell    string // as written; empty means /bin/sh
	Line     int
}

// Group is a line of group.
type Group struct {
	Name    string
	GID     int
	Members []string
	Line    int
}

// PasswordState says whether a password can be used.
type PasswordState string

// The states of a password.
const (
	// Set means that a password exists and is accepted.
	Set PasswordState = "set"
	// Locked means that a hash exists but is disabled by a leading "!" (passwd -l).
	Locked PasswordState = "locked"
	// None means that no password was ever set: "*", "!" or "!!" alone.
	None PasswordState = "none"
	// Empty means that an empty password lets anyone in.
	Empty PasswordState = "empty"
)

// Shadow is a line of shadow without its secret. Numbers of days are -1 when the field is empty.
type Shadow struct {
	Name       string
	State      PasswordState
	Scheme     string // yescrypt, gost-yescrypt, scrypt, sha512, sha256, bcrypt, md5, des, unknown; empty when there is no hash
	LastChange time.Time
	MustChange bool // the last change is day 0: the password has to be changed at the next login
	Min        int
	Max        int
	Warn       int
	Inactive   int
	Expire     time.Time // zero: never
	Line       int
}

// ParseUsers reads passwd. Lines of NIS ("+", "-") and comments are skipped; a malformed line is an error.
func ParseUsers(b []byte) ([]User, error) {
	var out []User
	err := each(b, "passwd", 7, func(f []string, n int) error {
		uid, err1 := strconv.Atoi(f[2])
		gid, err2 := strconv.Atoi(f[3])
		if err1 != nil || err2 != nil || uid < 0 || gid < 0 {
			return fmt.Errorf("user or group id is no number")
		}
		out = append(out, User{Name: f[0], Shadowed: f[1] == "x", NoField: f[1] == "", UID: uid, GID: gid, Home: f[5], Shell: f[6], Line: n})
		return nil
	})
	return out, err
}

// ParseGroups reads group.
func ParseGroups(b []byte) ([]Group, error) {
	var out []Group
	err := each(b, "group", 4, func(f []string, n int) error {
		gid, err := strconv.Atoi(f[2])
		if err != nil || gid < 0 {
			return fmt.Errorf("group id is no number")
		}
		out = append(out, Group{Name: f[0], GID: gid, Members: split(f[3]), Line: n})
		return nil
	})
	return out, err
}

// ParseShadow reads shadow. Errors name the line, never its content.
func ParseShadow(b []byte) ([]Shadow, error) {
	var out []Shadow
	err := each(b, "shadow", 9, func(f []string, n int) error {
		s := Shadow{Name: f[0], Line: n}
		s.State, s.Scheme = password(f[1])
		days := [6]int{}
		for i := range days {
			days[i] = -1
			if f[i+2] == "" {
				continue
			}
			v, err := strconv.Atoi(f[i+2])
			if err != nil || v > 1<<24 {
				return fmt.Errorf("field %d is no number of days", i+3)
			}
			days[i] = v
		}
		s.MustChange = days[0] == 0
		s.LastChange, s.Expire = date(days[0]), date(days[5])
		s.Min, s.Max, s.Warn, s.Inactive = days[1], days[2], days[3], days[4]
		out = append(out, s)
		return nil
	})
	return out, err
}

// lastDay is 9999-12-31, the last day that the JSON of a fact can hold.
const lastDay = 2_932_896

// date is the zero time for an empty field and for days that no calendar needs.
func date(days int) time.Time {
	if days <= 0 || days > lastDay {
		return time.Time{}
	}
	return time.Unix(int64(days)*86400, 0).UTC()
}

// password classifies the second field of shadow (crypt(5), passwd(1)).
func password(field string) (PasswordState, string) {
	if field == "" {
		return Empty, ""
	}
	bare := strings.TrimLeft(field, "!")
	if bare == "" || strings.HasPrefix(bare, "*") || bare == "x" {
		return None, ""
	}
	state := Set
	if bare != field {
		state = Locked
	}
	return state, scheme(bare)
}

func scheme(hash string) string {
	for _, s := range []struct{ prefix, name string }{
		{"$y$", "yescrypt"}, {"$gy$", "gost-yescrypt"}, {"$7$", "scrypt"}, {"$6$", "sha512"}, {"$5$", "sha256"},
		{"$2", "bcrypt"}, {"$1$", "md5"}, {"$md5", "md5"}, {"$sha1$", "sha1"}, {"_", "des"},
	} {
		if strings.HasPrefix(hash, s.prefix) {
			return s.name
		}
	}
	if len(hash) == 13 && !strings.Contains(hash, "$") {
		return "des"
	}
	return "unknown"
}

// ParseGroupPasswords reads gshadow and returns the groups that have a password: anybody who knows it may join them
// with newgrp(1).
func ParseGroupPasswords(b []byte) (withPassword []string, err error) {
	err = each(b, "gshadow", 4, func(f []string, _ int) error {
		if s, _ := password(f[1]); s == Set {
			withPassword = append(withPassword, f[0])
		}
		return nil
	})
	return withPassword, err
}

func each(b []byte, file string, fields int, line func(f []string, n int) error) error {
	n := 0
	for raw := range bytes.Lines(b) {
		n++
		text := strings.TrimRight(string(raw), "\r\n")
		if text == "" || text[0] == '#' || text[0] == '+' || text[0] == '-' {
			continue
		}
		f := strings.Split(text, ":")
		if len(f) != fields || f[0] == "" {
			return fmt.Errorf("cannot read %s:%d: %d fields, expected %d; correct the line with vipw or vigr", file, n, len(f), fields)
		}
		if err := line(f, n); err != nil {
			return fmt.Errorf("cannot read %s:%d: %w", file, n, err)
		}
	}
	return nil
}

func split(list string) []string {
	var out []string
	for s := range strings.SplitSeq(list, ",") {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}
