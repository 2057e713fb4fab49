//go:build lab

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

// bases are the root file systems of the lab, which hold the fail2ban of Debian 12 and 13 with its test suite.
func bases(t *testing.T) []string {
	t.Helper()
	lab := os.Getenv("CASTELLAN_LAB")
	if lab == "" {
		lab = "/var/tmp/castellan-lab"
	}
	dirs, err := filepath.Glob(lab + "/base-*/etc/fail2ban/jail.conf")
	if err != nil || len(dirs) < 2 {
		t.Fatalf("%s holds no root file systems of Debian 12 and 13; make lab builds them", lab)
	}
	for i, d := range dirs {
		dirs[i] = strings.TrimSuffix(d, "/etc/fail2ban/jail.conf")
	}
	return dirs
}

// TestInstalledFilters reads every filter and jail that Debian's fail2ban ships: all must load without a problem, and the
// ones that matter here must match.
func TestInstalledFilters(t *testing.T) {
	for _, root := range bases(t) {
		t.Run(filepath.Base(root), func(t *testing.T) { installedFilters(t, root+Base) })
	}
}

func installedFilters(t *testing.T, dir string) {
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
