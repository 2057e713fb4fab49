package kinds

import (
	"path"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/change"
	aptconf "github.com/castellan-project/castellan/internal/debian/apt"
	"github.com/castellan-project/castellan/internal/host"
)

const aptSources = "/etc/apt/sources.list.d/*"

// aptsource adds a package source in a file of ours, or disables those of an address without deleting them.
func aptsource(d *change.Draft, c change.Change) error {
	for _, v := range []string{c.URIs, c.Suite, c.Components, c.SignedBy} {
		if strings.ContainsAny(v, "\x00\r\n#") {
			return change.Cannot("a package source cannot hold a line break or #")
		}
	}
	files, err := sourceFiles(d)
	if err != nil {
		return err
	}
	if c.Ensure == "absent" {
		for _, f := range files {
			if err := disableSource(d, f, c); err != nil {
				return err
			}
		}
		return nil
	}
	if c.Suite == "" || c.Components == "" {
		return change.Cannot("a package source needs a suite and components")
	}
	missing := strings.Fields(c.Components)
	for _, f := range files {
		for _, s := range f.entries {
			if s.Enabled && slices.Contains(s.Types, "deb") && s.Suite == c.Suite && sameURI(s.URI, c.URIs) {
				missing = slices.DeleteFunc(missing, func(x string) bool { return slices.Contains(s.Components, x) })
			}
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return addSource(d, c, missing)
}

// addSource writes a stanza of its own file; sources.list(5), DEB822-STYLE FORMAT.
func addSource(d *change.Draft, c change.Change, components []string) error {
	if d.Live() && strings.HasPrefix(c.SignedBy, "/") {
		if _, err := d.Stat(c.SignedBy); host.NotExist(err) {
			return change.Cannot("the key %s is not there; install the package that brings it", c.SignedBy)
		}
	}
	name := c.Path
	if name == "" {
		name = "/etc/apt/sources.list.d/castellan-" + strings.Map(partLetter, c.Suite) + ".sources"
	}
	if syntax, ok := aptconf.IsSourcePart(path.Base(name)); !ok || syntax != "sources" || path.Dir(name) != path.Dir(aptSources) {
		return change.Cannot("APT does not read %s as a file of stanzas", name)
	}
	stanza := "Types: deb\nURIs: " + c.URIs + "\nSuites: " + c.Suite + "\nComponents: " + strings.Join(components, " ") + "\n"
	if c.SignedBy != "" {
		stanza += "Signed-By: " + c.SignedBy + "\n"
	}
	_, err := rewrite(d, name, 0o644, func(b []byte) ([]byte, error) {
		lines, _ := pieces(b)
		if n := len(lines); n > 0 {
			if !strings.HasSuffix(lines[n-1], "\n") {
				lines[n-1] += "\n"
			}
			if strings.TrimSpace(lines[n-1]) != "" {
				lines = append(lines, "\n")
			}
		}
		return joined(append(lines, stanza)), nil
	})
	d.Effect("packages of %s %s can be installed once apt-get update has run; castellan does not run it", c.URIs, c.Suite)
	return err
}

// partLetter keeps what may stand in the name of a part (apt.conf(5)).
func partLetter(r rune) rune {
	if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
		return r
	}
	return '-'
}

// sourceFile is a file of sources.
type sourceFile struct {
	path    string
	deb822  bool
	entries []aptconf.Source
}

// sourceFiles reads every file of sources. One that APT refuses is an error: it works with none then.
func sourceFiles(d *change.Draft) ([]sourceFile, error) {
	list, err := d.List(aptSources)
	if err != nil && !host.NotExist(err) {
		return nil, err
	}
	out := []sourceFile{{path: "/etc/apt/sources.list"}}
	for _, f := range list {
		if syntax, ok := aptconf.IsSourcePart(path.Base(f.Path)); ok && f.Type != host.Dir {
			out = append(out, sourceFile{path: f.Path, deb822: syntax == "sources"})
		}
	}
	for i, f := range out {
		b, _, err := d.Content(f.path)
		if err != nil {
			return nil, err
		}
		parse := aptconf.ParseList
		if f.deb822 {
			parse = aptconf.ParseSources
		}
		if out[i].entries, err = parse(b); err != nil {
			return nil, change.Cannot("APT refuses %s as it is: %v; correct that first", f.path, err)
		}
	}
	return out, nil
}

// sameURI compares two addresses of a repository; http and https lead to the same archive.
func sameURI(a, b string) bool {
	bare := func(s string) string {
		s = strings.TrimRight(s, "/")
		return strings.TrimPrefix(strings.TrimPrefix(s, "https://"), "http://")
	}
	return bare(a) == bare(b)
}

// disableSource turns the sources of an address off, in the form of their file.
func disableSource(d *change.Draft, f sourceFile, c change.Change) error {
	matches := func(s aptconf.Source) bool {
		return s.Enabled && sameURI(s.URI, c.URIs) && (c.Suite == "" || s.Suite == c.Suite)
	}
	at := map[int]bool{} // lines where an entry starts
	for _, s := range f.entries {
		if matches(s) {
			at[s.Line] = true
		}
	}
	for _, s := range f.entries {
		if at[s.Line] && s.Enabled && !matches(s) {
			return change.Cannot("%s:%d names several addresses or suites in one stanza; part them by hand", f.path, s.Line)
		}
	}
	if len(at) == 0 {
		return nil
	}
	_, err := rewrite(d, f.path, 0o644, func(b []byte) ([]byte, error) {
		lines, ending := pieces(b)
		var out []string
		for i, l := range lines {
			switch {
			case !at[i+1]:
				out = append(out, l)
			case f.deb822:
				stopEnabled(lines, i)
				out = append(out, "Enabled: no"+ending, lines[i])
			default:
				out = append(out, "# "+l)
			}
		}
		return joined(out), nil
	})
	return err
}

// stopEnabled takes a field Enabled out of the stanza that begins at a line: it is written anew.
func stopEnabled(lines []string, from int) {
	for i := from; i < len(lines) && strings.TrimSpace(lines[i]) != ""; i++ {
		key, _, ok := strings.Cut(lines[i], ":")
		if ok && strings.EqualFold(strings.TrimSpace(key), "Enabled") && !strings.HasPrefix(lines[i], "#") {
			lines[i] = ""
		}
	}
}
