//go:build lab && look

package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// lookWanted says how much TestLook does, which is built with the tag look only: it takes minutes, downloads packages, and proves
// nothing by itself. "quick" leaves OpenSCAP out, which takes most of the time.
const lookWanted = "CASTELLAN_LAB_LOOK"

// content is the package of OpenSCAP's rules of Debian 13, in which those for Debian 12 are; Debian 12 itself has them for 11 only.
const content = "usr/share/xml/scap/ssg/content"

// TestLook has lynis, ssh-audit and OpenSCAP look at a stock node and at the same node after the whole baseline, and prints what
// they say.
func TestLook(t *testing.T) {
	rules := t.TempDir()
	// The newer release first: the older one uses its rules.
	for _, release := range []string{"13", "12"} {
		t.Run("debian"+release, func(t *testing.T) {
			m := bootForChange(t, release, "look", true)
			m.mirror(t)
			must(t, m.enter("apt-get", "-q", "update")...)
			if release == "13" {
				must(t, m.enter("sh", "-c", "cd /var/tmp && apt-get -q download ssg-debian && dpkg-deb -x ssg-debian_*.deb ssg && rm -f ssg-debian_*.deb")...)
				must(t, "sh", "-c", "cp "+filepath.Join(m.dir, "root/var/tmp/ssg", content)+"/ssg-debian1[0-9]-ds.xml "+rules)
			}
			if _, err := output(t, 5*time.Minute, m.enter("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y", "--no-install-recommends",
				"install", "openscap-scanner", "lynis")...); err != nil {
				t.Fatal(err)
			}
			stock := m.look(t, rules, release)
			m.harden(t, settings()...)
			hardened := m.look(t, rules, release)
			for i, line := range stock {
				fmt.Printf("Debian %s  %-38s %12s %12s\n", release, line[0], line[1], hardened[i][1])
			}
		})
	}
}

// look returns names and figures.
func (m *machine) look(t *testing.T, rules, release string) [][2]string {
	t.Helper()
	var out [][2]string
	add := func(name string, n any) { out = append(out, [2]string{name, fmt.Sprint(n)}) }
	// The exit code of lynis tells of warnings.
	_, _ = output(t, 5*time.Minute, m.enter("lynis", "audit", "system", "--quick", "--quiet", "--no-colors")...)
	report, err := os.ReadFile(filepath.Join(m.dir, "root/var/log/lynis-report.dat"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(report)) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "hardening_index="); ok {
			add("lynis: hardening index", v)
		}
	}
	add("lynis: warnings", strings.Count(string(report), "\nwarning[]="))
	add("lynis: suggestions", strings.Count(string(report), "\nsuggestion[]="))

	said, _ := output(t, time.Minute, m.from("ssh-audit", "-n", inside)...) // its exit code tells of findings
	add("ssh-audit: fail", strings.Count(string(said), "[fail]"))
	add("ssh-audit: warn", strings.Count(string(said), "[warn]"))

	if os.Getenv(lookWanted) == "quick" {
		return out
	}
	for _, profile := range []string{"standard", "anssi_np_nt28_average", "anssi_np_nt28_high"} {
		pass, fail, which := m.openSCAP(t, rules, release, profile)
		add("OpenSCAP "+which+" "+profile+": pass", pass)
		add("OpenSCAP "+which+" "+profile+": fail", fail)
	}
	return out
}

// openSCAP evaluates a profile of the newest rules that there are for the release.
func (m *machine) openSCAP(t *testing.T, rules, release, profile string) (pass, fail int, which string) {
	t.Helper()
	file := filepath.Join(rules, "ssg-debian"+release+"-ds.xml")
	if _, err := os.Stat(file); err != nil {
		t.Logf("there are no rules for Debian %s", release)
		return 0, 0, "none"
	}
	must(t, "install", "-m", "644", file, filepath.Join(m.dir, "root/var/tmp/rules.xml"))
	said, _ := output(t, 5*time.Minute, m.enter("oscap", "xccdf", "eval", "--profile", "xccdf_org.ssgproject.content_profile_"+profile, "/var/tmp/rules.xml")...)
	for line := range strings.Lines(string(said)) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == "Result" {
			switch f[1] {
			case "pass":
				pass++
			case "fail":
				fail++
			}
		}
	}
	return pass, fail, "debian" + release
}
