package kinds

import (
	"errors"
	"io/fs"
	"maps"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/conffile"
	parser "github.com/castellan-project/castellan/internal/debian/fail2ban"
)

// defaults sets options of DEFAULT, and of the jails that say something else themselves: what is wanted of all jails is not
// reached while one has a word of its own.
func (b *jails) defaults(before *parser.Config, set map[string]string) error {
	for _, key := range slices.Sorted(maps.Keys(set)) {
		value := set[key]
		switch key {
		case "ignoreip":
			if err := b.ignore(value); err != nil {
				return err
			}
		case "backend":
			b.backend(before, value)
		default:
			b.set("DEFAULT", map[string]string{key: value})
		}
	}
	after, err := b.written()
	if err != nil {
		return err
	}
	for _, j := range after.Jails {
		if want := set["banaction"]; j.Enabled && want != "" && j.BanAction != actionName(want) && j.BanAction != actionName(set["banaction_allports"]) {
			b.set(j.Name, map[string]string{"banaction": want})
		}
		if j.Enabled {
			b.mend(j)
		}
	}
	return nil
}

func actionName(s string) string {
	name, _, _ := strings.Cut(s, "[")
	return name
}

// ignore adds to the lists of addresses that are never banned. What is on them stays, but for networks that hold almost everybody.
func (b *jails) ignore(value string) error {
	wanted := strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' })
	for _, s := range wanted {
		if _, err := netip.ParseAddr(s); err == nil {
			continue
		}
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return change.Cannot("ignoreip: %q is no address and no network", s)
		}
		if p.Bits() < 8 {
			return change.Cannot("ignoreip: %s holds almost everybody", s)
		}
	}
	nodes, err := nodeAddresses(b.d)
	if err != nil {
		return err
	}
	wanted = append(wanted, nodes...)
	now, err := b.probe()
	if err != nil {
		return err
	}
	b.set("DEFAULT", map[string]string{"ignoreip": ignoreList(now, wanted)})
	after, err := b.written()
	if err != nil {
		return err
	}
	for _, j := range after.Jails {
		if j.Enabled && ignoreList(j.IgnoreIP, wanted) != strings.Join(j.IgnoreIP, " ") {
			b.set(j.Name, map[string]string{"ignoreip": ignoreList(j.IgnoreIP, wanted)})
		}
	}
	return nil
}

// ignoreList joins two lists of addresses.
func ignoreList(now, wanted []string) string {
	var out []string
	for _, s := range now {
		if p, err := netip.ParsePrefix(s); err == nil && p.Bits() < 8 || slices.Contains(out, s) {
			continue
		}
		out = append(out, s)
	}
	for _, s := range wanted {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return strings.Join(out, " ")
}

// probe reads the ignore list that a jail without one of its own has, by way of a jail that exists for the parser only.
func (b *jails) probe() ([]string, error) {
	const name, file = "castellan-probe", parser.Base + "/jail.d/zzzz-castellan-probe.local"
	src := b.source()
	read, glob := src.Read, src.Glob
	src.Read = func(p string) ([]byte, error) {
		if p == file {
			return []byte("[" + name + "]\nenabled = true\nfilter =\naction =\nlogpath =\n"), nil
		}
		return read(p)
	}
	src.Glob = func(pattern string) ([]string, error) {
		list, err := glob(pattern)
		if ok, _ := path.Match(pattern, file); ok {
			if errors.Is(err, fs.ErrNotExist) {
				err = nil
			}
			list = append(list, file)
		}
		return list, err
	}
	cfg, err := parser.Load(src, parser.Base)
	if err != nil {
		return nil, err
	}
	if j := jailNamed(cfg, name); j != nil {
		return j.IgnoreIP, nil
	}
	return nil, nil
}

// backend sets the source of all jails. Jails that read a file which is there keep it; those that read none, and whose lines the
// journal has, are told to read the journal even when they say something else themselves.
func (b *jails) backend(before *parser.Config, value string) {
	b.set("DEFAULT", map[string]string{"backend": value})
	for _, j := range before.Jails {
		switch {
		case !j.Enabled || j.Backend == value:
		case b.readable(j) && !j.Journal() && !inJournal(b.d, j):
			b.set(j.Name, map[string]string{"backend": j.Backend})
		case inJournal(b.d, j):
			b.set(j.Name, map[string]string{"backend": value})
		case len(j.LogPaths) > 0:
			// Left at what it says: the journal does not have its lines, and accept tells what to do.
			b.set(j.Name, map[string]string{"backend": j.Backend})
		}
	}
}

// effective reports whether a jail does what the change wants.
func (b *jails) effective(j *parser.Jail, c change.Change) bool {
	if c.Section != "DEFAULT" {
		return jailHolds(j, c.Set)
	}
	if want := c.Set["banaction"]; want != "" {
		for _, a := range append(slices.Clone(j.Actions), j.BanAction) {
			if strings.HasPrefix(a, "iptables") && !strings.HasPrefix(want, "iptables") {
				return false
			}
		}
	}
	if want := c.Set["ignoreip"]; want != "" {
		return ignoreList(j.IgnoreIP, strings.FieldsFunc(want, func(r rune) bool { return r == ',' || r == ' ' })) == strings.Join(j.IgnoreIP, " ")
	}
	return true
}

// jailHolds compares what a jail is with what is wanted of it, as fail2ban reads both.
func jailHolds(j *parser.Jail, set map[string]string) bool {
	for key, want := range set {
		var ok bool
		switch key {
		case "enabled":
			ok = j.Enabled == isOn(want)
		case "backend":
			ok = j.Backend == want
		case "filter":
			ok = j.FilterName == actionName(want)
		case "port":
			ok = j.Port == want
		case "logpath":
			ok = slices.Equal(j.LogPaths, []string{want})
		case "maxretry":
			ok = strconv.Itoa(j.MaxRetry) == want
		case "findtime":
			n, err := parser.Seconds(want)
			ok = err == nil && n == j.FindTime
		case "bantime":
			n, err := parser.Seconds(want)
			ok = err == nil && n == j.BanTime
		case "banaction":
			ok = j.BanAction == actionName(want)
		case "ignoreip":
			ok = strings.Join(j.IgnoreIP, " ") == strings.Join(strings.FieldsFunc(want, func(r rune) bool { return r == ',' || r == ' ' }), " ")
		default:
			ok = false // not known from the parser; writing it again does no harm
		}
		if !ok {
			return false
		}
	}
	return true
}

func isOn(s string) bool {
	return slices.Contains([]string{"1", "on", "true", "yes"}, strings.ToLower(s))
}

// winner names the file that is read after ours and says otherwise.
func (b *jails) winner(j *parser.Jail, c change.Change) string {
	files, err := b.source().Glob(parser.Base + "/jail.d/*.local")
	if err == nil {
		for _, f := range slices.Backward(files) {
			content, _, err := b.d.Content(f)
			if err != nil || f <= fail2banFile {
				continue
			}
			doc := conffile.Parse(content, conffile.Dialect{Split: "=:", Comment: "#;", Sections: true})
			for _, key := range slices.Sorted(maps.Keys(c.Set)) {
				for _, section := range []string{j.Name, "DEFAULT"} {
					if v, line := doc.Get(section, key); line > 0 {
						return f + ":" + strconv.Itoa(line) + ": " + key + " = " + v + " of [" + section + "] is read after " + fail2banFile + " and wins; take that line out"
					}
				}
			}
		}
	}
	return "the jail [" + j.Name + "] (" + j.File + ":" + strconv.Itoa(j.Line) + ") says otherwise in a way that cannot be changed from " + fail2banFile + "; look at its action and its options there"
}
