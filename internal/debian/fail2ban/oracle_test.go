package fail2ban

import (
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
)

// disk reads below a directory that stands for /etc/fail2ban.
func disk(dir string) Source {
	at := func(p string) string { return filepath.Join(dir, strings.TrimPrefix(p, Base)) }
	return Source{
		Read: func(p string) ([]byte, error) { return os.ReadFile(at(p)) },
		Glob: func(p string) ([]string, error) {
			list, err := filepath.Glob(at(p))
			for i, f := range list {
				list[i] = Base + strings.TrimPrefix(f, dir)
			}
			sort.Strings(list)
			return list, err
		},
	}
}

// TestInstalledFilters reads every filter and jail that the fail2ban package of this machine ships, where it is
// installed: all must load without a problem, and the ones that matter here must match.
func TestInstalledFilters(t *testing.T) {
	dir := os.Getenv("CASTELLAN_FAIL2BAN")
	if dir == "" {
		dir = Base
	}
	if _, err := os.Stat(filepath.Join(dir, "jail.conf")); err != nil {
		t.Skip("fail2ban is not installed; CASTELLAN_FAIL2BAN may name a copy of /etc/fail2ban")
	}
	src := disk(dir)
	files, _ := src.Glob(Base + "/filter.d/*.conf")
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".conf")
		partial := strings.HasSuffix(name, "common") // holds parts for others
		flt, err := LoadFilter(src, f, nil, false)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !partial && !flt.Usable() {
			t.Errorf("%s: not usable: %v", name, flt.Problems)
		}
	}
	c, err := Load(src, Base)
	if err != nil {
		t.Fatal(err)
	}
	for _, j := range c.Jails {
		if j.Name != "sshd" {
			continue
		}
		if !j.Starts() {
			t.Errorf("sshd does not start: %v", j.Problems)
		}
		line := "host sshd[12]: Failed password for root from 192.0.2.7 port 4242 ssh2"
		if !j.Journal() {
			line = "Nov 20 12:00:00 " + line
		}
		if m, ok := j.Match(line); !ok || m.Host != "192.0.2.7" || m.User != "root" {
			t.Errorf("sshd: %+v %v", m, ok)
		}
	}
}
