// Package utmp reads the login records of glibc: wtmp (utmp(5)) and lastlog(8), in the layout of 64-bit Linux: 384 and
// 292 bytes a record, 32-bit seconds. Debian 13 replaces lastlog by lastlog2, an SQLite database, which this package
// does not read.
package utmp

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"
)

// Sizes of the records in bytes (bits/utmp.h and lastlog.h of glibc on amd64 and arm64).
const (
	recordSize  = 384
	lastlogSize = 292
	userProcess = 7 // ut_type of a login
)

// Login is one login of wtmp.
type Login struct {
	User string
	Line string // terminal
	Host string
	Time time.Time
}

// ParseLogins reads wtmp and returns the logins of users, in the order of the file. A last record that is cut short
// (the file is being written) is ignored.
func ParseLogins(b []byte) []Login {
	var out []Login
	for ; len(b) >= recordSize; b = b[recordSize:] {
		r := b[:recordSize]
		if int16(binary.LittleEndian.Uint16(r)) != userProcess {
			continue
		}
		sec := binary.LittleEndian.Uint32(r[340:])
		out = append(out, Login{User: text(r[44:76]), Line: text(r[8:40]), Host: text(r[76:332]), Time: time.Unix(int64(sec), 0).UTC()})
	}
	return out
}

// ParseLastlog reads lastlog: the record of user id n stands at n times the record size; a record of zeros means that
// the user never logged in.
func ParseLastlog(b []byte) (map[int]time.Time, error) {
	if len(b)%lastlogSize != 0 {
		return nil, fmt.Errorf("cannot read lastlog: its size %d is no multiple of %d bytes", len(b), lastlogSize)
	}
	out := map[int]time.Time{}
	for uid := 0; len(b) > 0; uid, b = uid+1, b[lastlogSize:] {
		if sec := binary.LittleEndian.Uint32(b); sec != 0 {
			out[uid] = time.Unix(int64(sec), 0).UTC()
		}
	}
	return out, nil
}

func text(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(bytes.ToValidUTF8(b, []byte("?")))
}
