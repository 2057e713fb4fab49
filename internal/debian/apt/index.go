package apt

import (
	"bytes"
	"strings"
)

// Candidate is a version of a package that a repository offers.
type Candidate struct {
	Package string
	Version string
	// File is the index that offers it: the name of a file in /var/lib/apt/lists.
	File string
}

// ParseIndex reads a package index (*_Packages) and returns the versions of the packages that keep accepts. The
// same form, reduced to the fields Package and Version, may come from several indices one after the other, each
// introduced by a line "File: name".
func ParseIndex(file string, b []byte, keep func(name string) bool) []Candidate {
	var list []Candidate
	name := ""
	for len(b) > 0 {
		line := b
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			line, b = b[:i], b[i+1:]
		} else {
			b = nil
		}
		switch {
		case bytes.HasPrefix(line, []byte("Package: ")):
			name = string(bytes.TrimSpace(line[9:]))
			if !keep(name) {
				name = ""
			}
		case name != "" && bytes.HasPrefix(line, []byte("Version: ")):
			list = append(list, Candidate{name, string(bytes.TrimSpace(line[9:])), file})
			name = ""
		case bytes.HasPrefix(line, []byte("File: ")):
			file, name = string(bytes.TrimSpace(line[6:])), ""
		}
	}
	return list
}

// IndexName is what the name of a file in /var/lib/apt/lists says about its repository.
type IndexName struct {
	// Site is the URI without its scheme, slashes as underscores: "deb.debian.org_debian".
	Site      string
	Suite     string
	Component string
	Arch      string
}

// ParseIndexName takes the name of an index apart: site_dists_suite_component_binary-arch_Packages. Of a flat
// repository only the site is known.
func ParseIndexName(file string) IndexName {
	base, _, _ := strings.Cut(file, "_Packages")
	site, rest, ok := strings.Cut(base, "_dists_")
	n := IndexName{Site: site}
	if !ok {
		return n
	}
	f := strings.Split(rest, "_")
	if last := f[len(f)-1]; strings.HasPrefix(last, "binary-") {
		n.Arch = strings.TrimPrefix(last, "binary-")
		f = f[:len(f)-1]
	}
	if len(f) > 1 {
		n.Component = f[len(f)-1]
		f = f[:len(f)-1]
	}
	n.Suite = strings.Join(f, "/")
	return n
}
