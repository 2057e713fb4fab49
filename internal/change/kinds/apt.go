package kinds

import (
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/change"
	aptconf "github.com/castellan-project/castellan/internal/debian/apt"
	"github.com/castellan-project/castellan/internal/host"
)

const (
	aptFile  = "/etc/apt/apt.conf.d/99castellan"
	aptMain  = "/etc/apt/apt.conf"
	aptParts = "/etc/apt/apt.conf.d/*"
)

// apt sets options of apt.conf(5) in a file of ours that is read after those of Debian. A name that ends in "::" adds to a list. The
// option must count afterwards: what a later file says is not fought.
func apt(d *change.Draft, c change.Change) error {
	have, err := readApt(d)
	if err != nil {
		return err
	}
	changed, err := rewrite(d, aptFile, 0o644, func(b []byte) ([]byte, error) {
		for _, name := range slices.Sorted(maps.Keys(c.Set)) {
			if err := plain(name, c.Set[name]); err != nil {
				return nil, err
			}
			if !optionName(name) {
				return nil, change.Cannot("%.60q is no option of APT", name)
			}
			if !aptHolds(have, name, c.Set[name]) {
				b = setOption(b, name, c.Set[name])
			}
		}
		return b, nil
	})
	if err != nil || !changed {
		return err
	}
	after, err := readApt(d)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(c.Set)) {
		if aptHolds(after, name, c.Set[name]) {
			continue
		}
		if o, ok := after.Find(name); ok {
			return change.Cannot("%s sets %s to %.60q after %s is read; change it there", o.Source, name, o.Value, aptFile)
		}
		return change.Cannot("%s would not count: another file clears it", name)
	}
	return d.Do(change.Action{Verb: change.Check, Object: "apt-config dump"})
}

// optionName reports whether a name can stand in apt.conf without quotes.
func optionName(name string) bool { return optionNames.MatchString(name) }

var optionNames = regexp.MustCompile(`^[A-Za-z0-9_.+/-]+(::[A-Za-z0-9_.+/-]+)*(::)?$`)

// readApt reads the configuration as APT does: the parts in the order of their names, then apt.conf.
func readApt(d *change.Draft) (*aptconf.Config, error) {
	list, err := d.List(aptParts)
	if err != nil && !host.NotExist(err) {
		return nil, err
	}
	var names []string
	for _, f := range list {
		if aptconf.IsPart(path.Base(f.Path)) && f.Type != host.Dir {
			names = append(names, f.Path)
		}
	}
	slices.Sort(names)
	conf := &aptconf.Config{}
	for _, name := range append(names, aptMain) {
		b, _, err := d.Content(name)
		if err != nil {
			return nil, err
		}
		if err := conf.Merge(name, b); err != nil {
			return nil, change.Cannot("APT refuses its configuration as it is: %v; correct that first", err)
		}
	}
	return conf, nil
}

// aptHolds reports whether an option is as wanted, or as its administrator chose among what is as good: another address for
// reports, another number of days.
func aptHolds(conf *aptconf.Config, name, want string) bool {
	if list, ok := strings.CutSuffix(name, "::"); ok {
		return slices.ContainsFunc(conf.List(list), func(o aptconf.Option) bool { return o.Value == want })
	}
	o, ok := conf.Find(name)
	if !ok {
		return false
	}
	switch {
	case o.Value == want:
		return true
	case strings.EqualFold(name, "Unattended-Upgrade::Mail"), strings.EqualFold(name, "Unattended-Upgrade::MailReport"):
		return o.Value != "" && want != ""
	case strings.HasPrefix(strings.ToLower(name), "apt::periodic::"):
		on := func(v string) bool { return v != "" && v != "0" && aptconf.Bool(v, true) }
		return on(o.Value) == on(want)
	case want == "true", want == "false":
		return aptconf.Bool(o.Value, want != "true") == (want == "true")
	}
	return false
}

// setOption writes an option: over its line in our file, else at its end.
func setOption(b []byte, name, value string) []byte {
	text := name + ` "` + value + `";`
	lines, ending := pieces(b)
	for i, l := range lines {
		head, _, ok := strings.Cut(strings.TrimSpace(l), " ")
		if ok && strings.EqualFold(head, name) && !strings.HasSuffix(name, "::") && strings.HasSuffix(strings.TrimSpace(l), ";") && strings.Count(l, ";") == 1 {
			lines[i] = text + lineEnd(l, ending)
			return joined(lines)
		}
	}
	if len(lines) == 0 {
		lines = append(lines, "// Settings of castellan. Files that sort after this one win.\n")
	}
	return joined(appendLine(lines, text, ending))
}
