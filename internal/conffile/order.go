// Package conffile holds what line-based configuration of different programs has in common. It knows no format's
// words: those live in internal/debian and internal/pve, which may import it.
package conffile

import (
	"path"
	"slices"
	"sort"
	"strings"
)

// Order chooses, from the paths found in the directories of one program's drop-ins, those that count, in the order in
// which they are read: files named *.conf, sorted by their name without directory, and of several of one name only the
// one in the foremost directory. So systemd (sysctl.d(5)) and kmod (modprobe.d(5)) do. Whether a file is empty or a
// link to /dev/null is for the caller to see after Order: it still masks the others.
func Order(dirs, found []string) []string {
	best := map[string]string{}
	rank := func(p string) int { return slices.Index(dirs, path.Dir(p)) }
	for _, p := range found {
		name := path.Base(p)
		if !strings.HasSuffix(name, ".conf") || rank(p) < 0 {
			continue
		}
		if old, ok := best[name]; !ok || rank(p) < rank(old) {
			best[name] = p
		}
	}
	names := make([]string, 0, len(best))
	for n := range best {
		names = append(names, n)
	}
	sort.Strings(names)
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = best[n]
	}
	return out
}
