package change

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/host"
)

// ids looks owner and group up in the target's own files.
func (d *Draft) ids(owner string) (uid, gid int, err error) {
	if owner == "" {
		return -1, -1, nil
	}
	user, group, _ := strings.Cut(owner, ":")
	if uid, err = d.id(user, "/etc/passwd"); err != nil {
		return -1, -1, err
	}
	gid, err = d.id(group, "/etc/group")
	return uid, gid, err
}

// wellKnown are the ids that Debian fixes (base-passwd), for copies that lack the files.
func wellKnown(name string) (int, bool) {
	id, ok := map[string]int{"root": 0, "shadow": 42, "www-data": 33, "adm": 4}[name]
	return id, ok
}

func (d *Draft) id(name, file string) (int, error) {
	if name == "" {
		return -1, nil
	}
	if n, err := strconv.Atoi(name); err == nil && n >= 0 {
		return n, nil
	}
	b, _, err := d.Content(file)
	if err != nil {
		return -1, err
	}
	for _, l := range host.Lines(b) {
		if f := strings.Split(l, ":"); len(f) > 2 && f[0] == name {
			n, err := strconv.Atoi(f[2])
			if err != nil || n < 0 {
				return -1, fmt.Errorf("%s gives %s no number", file, name)
			}
			return n, nil
		}
	}
	if n, ok := wellKnown(name); ok {
		return n, nil
	}
	return -1, Cannot("there is no %s in %s", name, file)
}
