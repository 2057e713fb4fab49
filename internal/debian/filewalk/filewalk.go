// Package filewalk reads the output of the one find(1) that takes stock of special files. Each record is
//
//	TYPE MODE UID GID PATH NUL
//
// where TYPE is find's letter (f, d, l ...), MODE is octal and PATH may hold any byte but NUL. It is made with
// -printf '%y %m %U %G %p\0'.
package filewalk

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// File is one file of the walk.
type File struct {
	Type byte // find's letter: f regular, d directory ...
	Mode uint32
	UID  int
	GID  int
	Path string
}

// Parse reads the records. Bytes after the last NUL are an error: the walk was cut off, and half an inventory must not
// be taken for a whole one.
func Parse(b []byte) ([]File, error) {
	var out []File
	for n := 1; len(b) > 0; n++ {
		rec, rest, ok := bytes.Cut(b, []byte{0})
		if !ok {
			return nil, fmt.Errorf("cannot read the file walk: record %d is cut off", n)
		}
		b = rest
		f := strings.SplitN(string(rec), " ", 5)
		if len(f) != 5 || len(f[0]) != 1 || f[4] == "" {
			return nil, fmt.Errorf("cannot read the file walk: record %d has not the form type mode uid gid path", n)
		}
		mode, err1 := strconv.ParseUint(f[1], 8, 16)
		uid, err2 := strconv.ParseUint(f[2], 10, 32)
		gid, err3 := strconv.ParseUint(f[3], 10, 32)
		if err1 != nil || err2 != nil || err3 != nil {
			return nil, fmt.Errorf("cannot read the file walk: record %d has a bad number", n)
		}
		out = append(out, File{Type: f[0][0], Mode: uint32(mode), UID: int(uid), GID: int(gid), Path: f[4]})
	}
	return out, nil
}
