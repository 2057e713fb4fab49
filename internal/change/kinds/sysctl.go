package kinds

import (
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/conffile"
	"github.com/castellan-project/castellan/internal/debian/sysctl"
	"github.com/castellan-project/castellan/internal/host"
)

const (
	// sysctlFile sorts after the files that Debian ships and before 99-sysctl.conf.
	sysctlFile = "/etc/sysctl.d/60-castellan.conf"
	// sysctlLast sorts after whatever begins with a digit; it is used where a file of a package would win over sysctlFile.
	sysctlLast = "/etc/sysctl.d/zz-castellan.conf"
	sysctlMain = "/etc/sysctl.conf"
)

var sysctlKey = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_./:@-]*$`)

// sysctls sets kernel parameters: in a file of ours, in the later files that would win over it, and in the running kernel.
func sysctls(d *change.Draft, c change.Change) error {
	for _, key := range slices.Sorted(maps.Keys(c.Set)) {
		value := strings.Join(strings.Fields(c.Set[key]), " ")
		dotted := sysctl.Dotted(key)
		if !sysctlKey.MatchString(key) || value == "" || strings.ContainsFunc(value, isControl) {
			return change.Cannot("%q with the value %q cannot be written into a file of sysctl.d", key, c.Set[key])
		}
		if err := namespacesLeft(d, dotted, value); err != nil {
			return err
		}
		if err := persistSysctl(d, dotted, value); err != nil {
			return err
		}
		if err := runSysctl(d, dotted, value); err != nil {
			return err
		}
		if err := interfaceSysctls(d, dotted, value); err != nil {
			return err
		}
	}
	return nil
}

// namespacesLeft refuses to allow user namespaces while another parameter leaves none of them: how many there may be is the
// administrator's word.
func namespacesLeft(d *change.Draft, key, value string) error {
	if key != "kernel.unprivileged_userns_clone" || value != "1" {
		return nil
	}
	set, err := sysctlSet(d)
	if err != nil {
		return err
	}
	if a, ok := set.Lookup("user.max_user_namespaces"); ok && a.Value == "0" {
		return change.Cannot("%s:%d sets user.max_user_namespaces to 0, which forbids the namespaces as well; remove that line first", a.File, a.Line)
	}
	return nil
}

// isControl reports characters that end or break a line of a configuration file.
func isControl(r rune) bool { return r < 0x20 || r == 0x7f || r == '\uFFFD' }

// sysctlSet reads sysctl.d of the draft as systemd-sysctl does.
func sysctlSet(d *change.Draft) (*sysctl.Set, error) {
	var found []string
	masked := map[string]bool{}
	for _, dir := range sysctl.Dirs() {
		list, err := d.List(dir + "/*.conf")
		if err != nil {
			return nil, err
		}
		for _, f := range list {
			found = append(found, f.Path)
			masked[f.Path] = f.Link == "/dev/null"
		}
	}
	var all []sysctl.Assignment
	for _, p := range sysctl.Order(found) {
		if masked[p] {
			continue
		}
		b, there, err := d.Content(p)
		if err != nil {
			return nil, err
		}
		if there {
			list, _ := sysctl.Parse(p, b)
			all = append(all, list...)
		}
	}
	return sysctl.NewSet(all), nil
}

// maxSysctlRewrites bounds how many lines of other files are rewritten for one key: each is one that wins over the next.
const maxSysctlRewrites = 20

// persistSysctl lets the files of the next start give a key the value.
func persistSysctl(d *change.Draft, key, value string) error {
	for range maxSysctlRewrites {
		set, err := sysctlSet(d)
		if err != nil {
			return err
		}
		a, assigned := set.Lookup(key) // of a line "-key", which keeps patterns from setting the key, the line and false
		switch {
		case assigned && a.Key == key && strings.Join(strings.Fields(a.Value), " ") == value:
			return nil
		case a.Key == "", a.IsGlob() && a.Key != key, a.File == sysctlLast, path.Base(a.File) <= path.Base(sysctlFile):
			err = setSysctl(d, sysctlTarget(a.File), key, value)
		default:
			err = outdoSysctl(d, a, key, value)
		}
		if err != nil {
			return err
		}
	}
	return change.Cannot("other files of sysctl.d set %s over and over; leave it in one file", key)
}

func sysctlTarget(file string) string {
	if file == sysctlLast {
		return sysctlLast
	}
	return sysctlFile
}

// setSysctl sets a key in one of our files.
func setSysctl(d *change.Draft, file, key, value string) error {
	old, _, err := d.Content(file)
	if err != nil {
		return err
	}
	doc := conffile.Parse(old, conffile.Dialect{Separator: " = ", Split: "=", Comment: "#;"})
	name := key
	if v, line := doc.Get("", "-"+key); line > 0 || v != "" {
		name = "-" + key // the line that counts ignores failures; it stays so
	}
	doc.Set("", name, value)
	return d.Write(file, doc.Bytes(), 0o644)
}

// outdoSysctl deals with a line of a file that is read after ours: one that an administrator wrote is rewritten, because two
// files that contradict each other help nobody; one of a package is left alone and outdone by a later file of ours.
func outdoSysctl(d *change.Draft, a sysctl.Assignment, key, value string) error {
	real, err := host.Resolve(d, a.File)
	if err != nil {
		return err
	}
	shipped, err := conffileOf(d, real)
	if err != nil {
		return err
	}
	if strings.HasPrefix(real, "/etc/") && (!shipped || real == sysctlMain) {
		return rewriteSysctl(d, real, a.Line, value)
	}
	if path.Base(a.File) >= path.Base(sysctlLast) {
		return change.Cannot("%s:%d sets %s, belongs to a package and is read last; rename it or mask it with a link to /dev/null in /etc/sysctl.d", a.File, a.Line, key)
	}
	return setSysctl(d, sysctlLast, key, value)
}

// rewriteSysctl gives one line of a file another value and leaves the rest of the file alone.
func rewriteSysctl(d *change.Draft, file string, line int, value string) error {
	b, _, err := d.Content(file)
	if err != nil {
		return err
	}
	lines := strings.SplitAfter(string(b), "\n")
	if line < 1 || line > len(lines) {
		return change.Cannot("%s has no line %d", file, line)
	}
	text, end := cutEnding(lines[line-1])
	if i := strings.IndexByte(text, '='); i >= 0 {
		j := i + 1
		for j < len(text) && (text[j] == ' ' || text[j] == '\t') {
			j++
		}
		lines[line-1] = text[:j] + value + end
	} else { // "-key", which keeps patterns from setting it
		lines[line-1] = strings.Replace(strings.TrimRight(text, " \t"), "-", "", 1) + " = " + value + end
	}
	return d.Write(file, []byte(strings.Join(lines, "")), 0o644)
}

// cutEnding parts a line from its ending.
func cutEnding(l string) (text, end string) {
	text = strings.TrimRight(l, "\r\n")
	return text, l[len(text):]
}

// conffileOf reports whether a file of /etc belongs to a package as dpkg knows it.
func conffileOf(d *change.Draft, name string) (bool, error) {
	b, _, err := d.Content(dpkgStatusFile)
	if err != nil {
		return false, err
	}
	for l := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(l, " "+name); ok && strings.HasPrefix(rest, " ") {
			return true, nil
		}
	}
	return false, nil
}

const dpkgStatusFile = "/var/lib/dpkg/status"

// latched reports whether a running kernel takes a value and never gives it back (Documentation/admin-guide/sysctl/kernel.rst):
// such a value could not be reverted.
func latched(key, value string) bool {
	switch key {
	case "kernel.kexec_load_disabled", "kernel.modules_disabled", "kernel.unprivileged_bpf_disabled":
		return value == "1"
	case "kernel.yama.ptrace_scope":
		return value == "3"
	}
	return false
}

// runSysctl gives the running kernel the value, unless it could not be taken back.
func runSysctl(d *change.Draft, key, value string) error {
	if d.Live() && latched(key, value) {
		b, there, err := d.Content(sysctl.Path(sysctl.Dotted(key)))
		if err != nil || !there || strings.TrimSpace(string(b)) == value {
			return err
		}
		d.Reboot("%s takes the value %s at the next start: a running kernel would not give it back, so it is not set there now", key, value)
		return nil
	}
	return d.Sysctl(key, vector(value))
}

// vector writes several numbers as the kernel prints them, so that what is read back is what was written.
func vector(value string) string {
	f := strings.Fields(value)
	for _, w := range f {
		if _, err := strconv.ParseInt(w, 10, 64); err != nil {
			return value
		}
	}
	return strings.Join(f, "\t")
}
