//go:build lab

package lab

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// missing are packages that a host of TestPackages does not have, and the controls whose repair brings them.
const (
	missing   = "fail2ban libpam-pwquality chrony"
	wantThem  = "BAN-01,BAN-07,ACC-08,SVC-11"
	proxyConf = "/etc/apt/apt.conf.d/00lab-proxy" // without it APT reaches nothing
	planFile  = "/var/tmp/plan.json"
)

// lacking starts a host that lacks the packages, as far as they were ever there.
func lacking(t *testing.T, release, scenario string) *machine {
	t.Helper()
	m := bootForChange(t, release, scenario, false)
	m.mirror(t)
	must(t, m.enter("apt-get", "-q", "update")...)
	must(t, m.enter("sh", "-c", "DEBIAN_FRONTEND=noninteractive apt-get -q -y --purge remove "+missing)...)
	return m
}

// packages are the installed ones with their versions.
func (m *machine) packages(t *testing.T) string {
	t.Helper()
	return must(t, m.enter("dpkg-query", "-W", "-f", "${db:Status-Abbrev}${binary:Package} ${Version}\n")...)
}

// planPackages plans what brings the packages, or what is left to do when they are there.
func (m *machine) planPackages(t *testing.T) plan {
	t.Helper()
	words := append([]string{"plan", "--control", wantThem, "-o", planFile}, settings()...)
	if out, err := m.asRoot(words...); err != nil {
		t.Fatalf("plan: %v\n%s", err, out)
	}
	return m.readPlan(t, planFile)
}

// TestPackages installs what controls need with the real APT, in a window of its own, repairs what the packages bring, and takes all of it back.
func TestPackages(t *testing.T) {
	for _, release := range []string{"12", "13"} {
		t.Run("debian"+release, func(t *testing.T) {
			t.Parallel()
			m := lacking(t, release, "apt")
			before, had := m.mine(t), m.packages(t)
			for round := 1; round <= 2; round++ { // what the packages bring is set by the plan after
				p := m.planPackages(t)
				if round == 1 && (len(p.Windows) == 0 || p.Windows[0].Name != "packages") {
					t.Fatalf("the plan does not begin with a window of packages: %+v", p)
				}
				for range p.Windows {
					if out, err := m.asRoot("apply", planFile, "--yes", "--confirm-within", "90s"); err != nil {
						t.Fatalf("apply: %v\n%s", err, out)
					}
					if out, err := m.asRoot("confirm"); err != nil {
						t.Fatalf("confirm: %v\n%s", err, out)
					}
				}
			}
			now := scan(t, m.enter(castellanThere, "scan", "local", "--format", "json", "--quiet"))
			for _, id := range []string{"BAN-01", "ACC-08"} {
				if now[id].Status != "pass" {
					t.Errorf("%s is %s: %s", id, now[id].Status, now[id].Reason)
				}
			}
			for _, x := range m.history(t) {
				if out, err := m.asRoot("revert", x.ID, "--yes"); err != nil {
					t.Errorf("revert %s: %v\n%s", x.ID, err, out)
				}
			}
			m.samePackages(t, had)
			if diff := slices.DeleteFunc(changed(before, m.mine(t)), writtenByPrograms); len(diff) > 0 {
				t.Errorf("not as before:\n%s", strings.Join(diff, "\n"))
			}
			m.clean(t)
		})
	}
}

func (m *machine) samePackages(t *testing.T, had string) {
	t.Helper()
	if now := m.packages(t); now != had {
		t.Errorf("the packages are not those of before:\n%s", strings.Join(changed(byName(had), byName(now)), "\n"))
	}
}

func byName(list string) map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(list) {
		name, version, _ := strings.Cut(strings.TrimSpace(line), " ")
		out[name] = version
	}
	return out
}

// TestPackagesFail: APT reaches no archive, and then apply is killed while dpkg is at work. Both times the host is as before.
func TestPackagesFail(t *testing.T) {
	t.Parallel()
	m := lacking(t, "13", "aptfail")
	had := m.packages(t)
	m.planPackages(t)
	proxy := filepath.Join(m.dir, "root", proxyConf)
	conf, err := os.ReadFile(proxy)
	if err != nil {
		t.Fatal(err)
	}
	must(t, "rm", proxy)
	must(t, m.enter("apt-get", "clean")...)
	before := m.mine(t)
	out, err := m.asRoot("apply", planFile, "--yes", "--confirm-within", "90s")
	if code(err) != 3 || !strings.Contains(out, "apt-get") {
		t.Errorf("apply ended with %d, want 3 and what APT says:\n%s", code(err), out)
	}
	m.samePackages(t, had)
	if diff := changed(before, m.mine(t)); len(diff) > 0 {
		t.Errorf("not as before:\n%s", strings.Join(diff, "\n"))
	}
	m.clean(t)
	if err := os.WriteFile(proxy, conf, 0o644); err != nil {
		t.Fatal(err)
	}
	m.killed(t, m.mine(t), "/usr/bin/fail2ban-client")
	m.samePackages(t, had)
	m.clean(t)
}
