package kinds

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/conffile"
	parser "github.com/castellan-project/castellan/internal/debian/journald"
	"github.com/castellan-project/castellan/internal/host"
)

// The drop-ins of ours. Drop-ins are read in the order of their names, and later ones win (journald.conf(5)): the second is used only
// where one that the administrator wrote is read after the first.
const (
	journaldFile = "/etc/systemd/journald.conf.d/castellan.conf"
	journaldLast = "/etc/systemd/journald.conf.d/zz-castellan.conf"
)

// journald sets options of the journal. SystemMaxUse is raised and never lowered, nor set where it is unset: with a smaller limit
// journald removes messages as soon as it starts, and no revert brings them back.
func journald(d *change.Draft, c change.Change) error {
	wanted, err := journaldWanted(d, c.Set)
	if err != nil || len(wanted) == 0 {
		return err
	}
	for _, file := range []string{journaldFile, journaldLast} {
		winner, err := journaldOverride(d, wanted, file)
		if err != nil {
			return err
		}
		switch {
		case winner != "" && file == journaldLast:
			return change.Cannot("%s is read last and says otherwise; change it there", winner)
		case winner != "":
			continue
		}
		if err := journaldWrite(d, file, wanted); err != nil {
			return err
		}
		break
	}
	journaldEffects(d, wanted)
	return d.Do(change.Action{Verb: change.Restart, Object: "systemd-journald.service"})
}

// journaldWanted leaves out what holds already.
func journaldWanted(d *change.Draft, set map[string]string) (map[string]string, error) {
	conf, err := journaldConf(d, "")
	if err != nil {
		return nil, err
	}
	wanted := map[string]string{}
	for key, value := range set {
		if !regexp.MustCompile(`^[A-Za-z]+$`).MatchString(key) || strings.ContainsAny(value, "\r\n\\\x00") || value == "" {
			return nil, change.Cannot("%s=%q is nothing that journald.conf can hold", key, value)
		}
		now, isSet := conf.Get(key)
		if isSet && journaldSame(key, now.Value, value) {
			continue
		}
		if key == "SystemMaxUse" {
			least, err := parser.Size(value)
			if err != nil {
				return nil, change.Cannot("SystemMaxUse: %v", err)
			}
			if size, err := parser.Size(now.Value); !isSet || err == nil && size >= least {
				continue
			}
		}
		wanted[key] = value
	}
	return wanted, nil
}

// journaldSame compares two values as systemd reads them.
func journaldSame(key, a, b string) bool {
	x, errx := parser.Bool(a)
	y, erry := parser.Bool(b)
	if errx == nil && erry == nil && key != "SystemMaxUse" {
		return x == y
	}
	return a == b
}

// journaldConf reads the whole configuration; with a name given only the files that are read after it.
func journaldConf(d *change.Draft, after string) (*parser.Config, error) {
	var found []string
	for _, p := range parser.Patterns("journald.conf") {
		list, err := d.List(p)
		if err != nil && !host.NotExist(err) {
			return nil, fmt.Errorf("cannot list %s: %w", p, err)
		}
		for _, f := range list {
			found = append(found, f.Path)
		}
	}
	if after != "" && !slices.Contains(found, after) {
		found = append(found, after)
	}
	order := parser.Order("journald.conf", found)
	if after != "" {
		order = order[slices.Index(order, after)+1:]
	}
	conf := &parser.Config{Section: "Journal"}
	for _, name := range order {
		b, exists, err := d.Content(name)
		if err != nil {
			return nil, fmt.Errorf("cannot read %s: %w", name, err)
		}
		if exists {
			conf.Merge(name, b)
		}
	}
	return conf, nil
}

// journaldOverride finds a setting that is read after one of our files and says otherwise.
func journaldOverride(d *change.Draft, wanted map[string]string, file string) (string, error) {
	conf, err := journaldConf(d, file)
	if err != nil {
		return "", err
	}
	for _, key := range slices.Sorted(maps.Keys(wanted)) {
		if s, ok := conf.Get(key); ok && !journaldSame(key, s.Value, wanted[key]) {
			return s.Source + ": " + key + "=" + s.Value, nil
		}
	}
	return "", nil
}

func journaldWrite(d *change.Draft, file string, wanted map[string]string) error {
	old, _, err := d.Content(file)
	if err != nil {
		return fmt.Errorf("cannot read %s: %w", file, err)
	}
	doc := conffile.Parse(old, conffile.Dialect{Separator: "=", Split: "=", Comment: "#;", Sections: true})
	for _, key := range slices.Sorted(maps.Keys(wanted)) {
		doc.Set("Journal", key, wanted[key])
	}
	if err := d.Write(file, doc.Bytes(), 0o644); err != nil {
		return err
	}
	conf, err := journaldConf(d, "")
	if err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(wanted)) {
		if s, _ := conf.Get(key); !journaldSame(key, s.Value, wanted[key]) {
			return change.Cannot("%s cannot be set in %s: it stays %q (%s)", key, file, s.Value, s.Source)
		}
	}
	return nil
}

// journaldEffects says what journald does of itself with the new values (systemd-journald.service(8)).
func journaldEffects(d *change.Draft, wanted map[string]string) {
	if wanted["Storage"] == "persistent" {
		d.Effect("journald makes /var/log/journal itself and moves the messages of this boot there; reverting leaves that directory in place")
	}
	if on, err := parser.Bool(wanted["Seal"]); err == nil && on {
		d.Effect("the journal is sealed once there are keys: run journalctl --setup-keys --interval=15min, which shows the verification key once, " +
			"and keep that key off this host")
	}
}
