// Package dpkg reads what Debian's package manager keeps on disk: the status file (/var/lib/dpkg/status), the lists of
// checksums (/var/lib/dpkg/info/*.md5sums), and version numbers with their order. It is pure: bytes in, values out.
package dpkg

import (
	"bytes"
	"fmt"
	"path"
	"strings"
)

// Package is one stanza of the status file.
type Package struct {
	Name    string
	Version string
	Arch    string
	// Source is the source package; the package's own name when the stanza does not say.
	Source string
	// Want is what the administrator asked for: install, hold, deinstall, purge, unknown.
	Want string
	// State is how far it got: installed, config-files, half-installed, unpacked, half-configured,
	// triggers-awaited, triggers-pending, not-installed.
	State string
}

// Installed reports whether the package's files are there and usable, triggers aside (dpkg(1), package states).
func (p Package) Installed() bool {
	return p.State == "installed" || p.State == "triggers-awaited" || p.State == "triggers-pending"
}

// Broken reports whether an installation or removal stopped half-way.
func (p Package) Broken() bool {
	return p.State == "half-installed" || p.State == "half-configured" || p.State == "unpacked"
}

// Held reports whether the administrator keeps the package from being upgraded.
func (p Package) Held() bool { return p.Want == "hold" }

// ParseStatus reads a status file. It returns every stanza, in the order of the file; a stanza without a name or with
// a status that has not three words is an error with its line, because half a package list must not be judged.
func ParseStatus(b []byte) ([]Package, error) {
	var (
		list  []Package
		p     Package
		seen  bool
		start int
	)
	finish := func() error {
		if !seen {
			return nil
		}
		if p.Name == "" || p.State == "" {
			return fmt.Errorf("line %d: the stanza has no Package or no Status field of three words", start)
		}
		if p.Source == "" {
			p.Source = p.Name
		}
		list = append(list, p)
		p, seen = Package{}, false
		return nil
	}
	for n := 1; len(b) > 0; n++ {
		line := b
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			line, b = b[:i], b[i+1:]
		} else {
			b = nil
		}
		line = bytes.TrimSuffix(line, []byte("\r"))
		if len(line) == 0 {
			if err := finish(); err != nil {
				return nil, err
			}
			continue
		}
		if !seen {
			seen, start = true, n
		}
		if line[0] == ' ' || line[0] == '\t' {
			continue // continuation of a field that is of no interest here
		}
		p.set(line)
	}
	if err := finish(); err != nil {
		return nil, err
	}
	return list, nil
}

// set takes over one field of a stanza. Field names are case-insensitive; dpkg writes them as here.
func (p *Package) set(line []byte) {
	key, value, ok := bytes.Cut(line, []byte(":"))
	if !ok {
		return
	}
	// Most of the file is Description, Depends and checksums: look only at lengths that matter before copying.
	switch len(key) {
	case 6, 7, 12:
	default:
		return
	}
	v := func() string { return string(bytes.TrimSpace(value)) }
	switch {
	case bytes.EqualFold(key, []byte("Package")):
		p.Name = v()
	case bytes.EqualFold(key, []byte("Version")):
		p.Version = v()
	case bytes.EqualFold(key, []byte("Architecture")):
		p.Arch = v()
	case bytes.EqualFold(key, []byte("Source")):
		p.Source, _, _ = strings.Cut(v(), " ")
	case bytes.EqualFold(key, []byte("Status")):
		if f := strings.Fields(v()); len(f) == 3 {
			p.Want, p.State = f[0], f[2]
		}
	}
}

// ParseSums reads a list of checksums in the form of md5sum(1), which is that of /var/lib/dpkg/info/*.md5sums too:
// digest, two characters, path. Paths are returned absolute and cleaned. Lines that are not of this form are left
// out: md5sum escapes odd file names, and no packaged file has one.
func ParseSums(b []byte) map[string]string {
	sums := map[string]string{}
	for line := range bytes.Lines(b) {
		digest, name, ok := bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte(" "))
		name = bytes.TrimLeft(name, " *")
		if !ok || len(digest) != 32 || len(name) == 0 || len(bytes.Trim(digest, "0123456789abcdef")) != 0 {
			continue
		}
		sums[path.Clean("/"+string(name))] = string(digest)
	}
	return sums
}
