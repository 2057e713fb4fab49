// Package mounts reads tables of mounts: /proc/PID/mounts and /etc/fstab share one format (fstab(5)).
package mounts

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// Mount is one line of a table.
type Mount struct {
	Source  string
	Path    string
	Type    string
	Options []string
	Line    int
}

// Has reports whether an option is set.
func (m Mount) Has(option string) bool { return slices.Contains(m.Options, option) }

// Value returns the value of an option key=value.
func (m Mount) Value(key string) (string, bool) {
	for _, o := range slices.Backward(m.Options) {
		if v, ok := strings.CutPrefix(o, key+"="); ok {
			return v, true
		}
	}
	return "", false
}

// Network reports whether the file system is served by another host or a user process: walking it costs that host.
func (m Mount) Network() bool {
	switch m.Type {
	case "nfs", "nfs4", "cifs", "smb3", "ceph", "glusterfs", "9p", "afs", "virtiofs":
		return true
	}
	return strings.HasPrefix(m.Type, "fuse.")
}

// Parse reads a table. In fstab, lines that are no mount point (swap: "none") are kept with their word; a line of fewer
// than three fields is an error.
func Parse(b []byte) ([]Mount, error) {
	var out []Mount
	n := 0
	for raw := range bytes.Lines(b) {
		n++
		f := strings.Fields(string(raw))
		if len(f) == 0 || f[0][0] == '#' {
			continue
		}
		if len(f) < 3 {
			return nil, fmt.Errorf("cannot read mounts, line %d: %d fields, expected device, mount point, type", n, len(f))
		}
		m := Mount{Source: unescape(f[0]), Path: clean(unescape(f[1])), Type: f[2], Line: n}
		if len(f) > 3 {
			m.Options = strings.Split(f[3], ",")
		}
		out = append(out, m)
	}
	return out, nil
}

// At returns the mount whose path is exactly p; the last one covers earlier ones.
func At(list []Mount, p string) (Mount, bool) {
	for _, m := range slices.Backward(list) {
		if m.Path == p {
			return m, true
		}
	}
	return Mount{}, false
}

func clean(p string) string {
	if len(p) > 1 {
		p = strings.TrimRight(p, "/")
		if p == "" {
			p = "/"
		}
	}
	return p
}

// unescape undoes the octal escapes of blanks (\040), tabs, newlines and backslashes.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) && s[i+1] >= '0' && s[i+1] <= '3' && s[i+2] >= '0' && s[i+2] <= '7' && s[i+3] >= '0' && s[i+3] <= '7' {
			b.WriteByte((s[i+1]-'0')<<6 | (s[i+2]-'0')<<3 | (s[i+3] - '0'))
			i += 3
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
