package kinds

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/conffile"
	parser "github.com/castellan-project/castellan/internal/debian/chrony"
	"github.com/castellan-project/castellan/internal/host"
)

// Files of chrony in Debian's layout, whose chrony.conf reads the directory.
const (
	chronyMain = "/etc/chrony/chrony.conf"
	chronyFile = "/etc/chrony/conf.d/castellan.conf"
)

// chrony adds to the configuration of chronyd. The key "server" takes a list of addresses or names divided by commas, of which
// each becomes a source; an empty list is all right where there are sources enough (key "sources": at least so many). Other keys
// are directives of chrony.conf(5) with their arguments.
func chrony(d *change.Draft, c change.Change) error {
	conf, ours, err := chronyConf(d)
	if err != nil {
		return err
	}
	old, _, err := d.Content(chronyFile)
	if err != nil {
		return fmt.Errorf("cannot read %s: %w", chronyFile, err)
	}
	doc := conffile.Parse(old, conffile.Dialect{Separator: " ", Split: " \t", Comment: "#!;%", Fold: true})
	add := ""
	for _, key := range slices.Sorted(maps.Keys(c.Set)) {
		value := c.Set[key]
		switch {
		case key == "sources":
		case key == "server":
			for _, s := range strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' }) {
				if !regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.:-]*$`).MatchString(s) {
					return change.Cannot("%q is no address of a time server", s)
				}
				if !slices.Contains(conf.Servers, s) && !slices.Contains(conf.Pools, s) {
					conf.Servers = append(conf.Servers, s)
					add += "server " + s + " iburst\n"
				}
			}
		case !regexp.MustCompile(`^[a-z][a-z0-9]*$`).MatchString(key) || strings.ContainsAny(value, "\r\n\x00"):
			return change.Cannot("%s %q is no directive of chrony.conf", key, value)
		default:
			doc.Set("", key, value)
		}
	}
	if err := chronyEnough(conf, c.Set["sources"]); err != nil {
		return err
	}
	text := string(doc.Bytes())
	if add != "" && text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	if text += add; text == string(old) {
		return nil
	}
	if !ours {
		return change.Cannot("%s does not read %s; add the line: confdir %s", chronyMain, chronyFile, path.Dir(chronyFile))
	}
	if err := d.Write(chronyFile, []byte(text), 0o644); err != nil {
		return err
	}
	if err := d.Do(change.Action{Verb: change.Check, Object: "chronyd -p"}); err != nil {
		return err
	}
	d.Effect("chronyd starts again and measures its sources anew, which takes some minutes")
	return d.Do(change.Action{Verb: change.Restart, Object: "chrony.service"})
}

// chronyEnough refuses where too few sources would be left, because which servers to ask is not for a program to guess.
func chronyEnough(conf parser.Conf, least string) error {
	n := 0
	if least == "" {
		return nil
	}
	if _, err := fmt.Sscanf(least, "%d", &n); err != nil {
		return change.Cannot("%q is no number of time servers", least)
	}
	if conf.Sources() < n {
		return change.Cannot("chrony would have %d sources, and %d are wanted; name your time servers in the parameter servers", conf.Sources(), n)
	}
	return nil
}

// chronyConf reads chrony.conf with what it includes, and tells whether our file is among it.
func chronyConf(d *change.Draft) (conf parser.Conf, ours bool, err error) {
	b, exists, err := d.Content(chronyMain)
	if err != nil {
		return conf, false, fmt.Errorf("cannot read %s: %w", chronyMain, err)
	}
	if !exists {
		return conf, false, change.Cannot("chrony is not installed: there is no %s", chronyMain)
	}
	conf = parser.Parse(b)
	for _, pattern := range conf.Includes {
		if ok, err := path.Match(pattern, chronyFile); err == nil && ok {
			ours = true
		}
		files, err := d.List(pattern)
		if err != nil && !host.NotExist(err) {
			return conf, ours, fmt.Errorf("cannot list %s: %w", pattern, err)
		}
		for _, f := range files {
			b, _, err := d.Content(f.Path)
			if err != nil {
				return conf, ours, fmt.Errorf("cannot read %s: %w", f.Path, err)
			}
			conf.Add(parser.Parse(b))
		}
	}
	return conf, ours, nil
}
