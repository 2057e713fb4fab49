package kinds

import (
	"maps"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/conffile"
	pamconf "github.com/castellan-project/castellan/internal/debian/pam"
)

const faillockFile = "/etc/security/faillock.conf"

// faillock sets keys of faillock.conf(5), and where the stack gives the module an argument of the same name, that argument,
// which wins. root_unlock_time is only set where root's failures count already: naming it makes them count. A stricter value
// stays. The module reads its file at every login.
func faillock(d *change.Draft, c change.Change) error {
	set := maps.Clone(c.Set)
	if _, asked := set["root_unlock_time"]; asked {
		counted, err := rootCounted(d)
		if err != nil {
			return err
		}
		if !counted {
			delete(set, "root_unlock_time")
		}
	}
	return moduleConf(d, moduleSettings{set: set, file: faillockFile, stack: "common-auth", module: "pam_faillock.so"})
}

// rootCounted reports whether failures of root are counted: pam_faillock(8), even_deny_root and root_unlock_time.
func rootCounted(d *change.Draft) (bool, error) {
	b, _, err := d.Content(faillockFile)
	if err != nil {
		return false, err
	}
	conf := pamconf.ParseConf(b)
	if _, ok := conf["even_deny_root"]; ok {
		return true, nil
	}
	if _, ok := conf["root_unlock_time"]; ok {
		return true, nil
	}
	entries, err := readStack(d, "common-auth")
	return slices.ContainsFunc(entries, func(e pamconf.Entry) bool {
		_, time := e.Arg("root_unlock_time")
		return e.Module == "pam_faillock.so" && (time || e.Flag("even_deny_root"))
	}), err
}

// moduleSettings are settings of a PAM module that has a file of its own and takes the same words as arguments.
type moduleSettings struct {
	set                 map[string]string
	file, stack, module string
	// below is what files beside it say, which count less than it.
	below map[string]pamconf.Value
}

// moduleConf sets them: in the file, and in the arguments that stand in the stack already.
func moduleConf(d *change.Draft, m moduleSettings) error {
	for _, key := range slices.Sorted(maps.Keys(m.set)) {
		want := m.set[key]
		if err := plain(key, want); err != nil {
			return err
		}
		if err := argument(d, m, key, want); err != nil {
			return err
		}
	}
	_, err := rewrite(d, m.file, 0o644, func(b []byte) ([]byte, error) {
		have := pamconf.ParseConf(b)
		doc := conffile.Parse(b, conffile.Dialect{Separator: " = ", Split: "="})
		for _, key := range slices.Sorted(maps.Keys(m.set)) {
			v, ok := have[key]
			if !ok {
				v, ok = m.below[key]
			}
			if !ok || !holds(key, v.Text, m.set[key]) {
				doc.Set("", key, m.set[key])
			}
		}
		return doc.Bytes(), nil
	})
	return err
}

// argument gives a module's argument key=value in a stack the value, in the file where it stands.
func argument(d *change.Draft, m moduleSettings, key, want string) error {
	entries, err := readStack(d, m.stack)
	if err != nil {
		return err
	}
	for _, e := range entries {
		have, ok := e.Arg(key)
		if e.Module != m.module || !ok || holds(key, have, want) {
			continue
		}
		edit := stackEdit{module: m.module, words: func(words []string) []string {
			for i, w := range words {
				if strings.HasPrefix(w, key+"=") && !holds(key, w[len(key)+1:], want) {
					words[i] = key + "=" + want
				}
			}
			return words
		}}
		if err := editStack(d, e.File, edit); err != nil {
			return err
		}
	}
	return nil
}
