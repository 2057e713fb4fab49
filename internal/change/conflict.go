package change

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/castellan-project/castellan/internal/debian/sysctl"
)

// claim is one thing that a change makes so: a place that holds one value at a time, and the value.
type claim struct{ place, value string }

// subject is a control on one object: what is made or left out as a whole.
type subject struct{ control, object string }

func (c Change) subject() subject   { return subject{c.Control, c.Object} }
func (o Omission) subject() subject { return subject{o.Control, o.Object} }

// withoutConflicts leaves out the controls that want another value where one before them has claimed a place. To choose is the
// administrator's matter: he asks for one of the two.
func withoutConflicts(changes []Change) ([]Change, []Omission) {
	type owner struct{ value, control string }
	taken := map[string]owner{}
	refused := map[subject]Omission{}
	var order []subject
	of := map[subject][]Change{}
	for _, c := range changes {
		id := c.subject()
		if of[id] == nil {
			order = append(order, id)
		}
		of[id] = append(of[id], c)
	}
	for _, id := range order {
		mine := map[string]owner{}
		for _, c := range of[id] {
			for _, x := range claims(c) {
				if o, ok := taken[x.place]; ok && o.value != x.value {
					refused[id] = Omission{Control: id.control, Object: id.object, Code: "cannot",
						Reason: fmt.Sprintf("%s wants another value for %s (%s, not %s); choose one of them with --control", o.control, x.place, shown(o.value), shown(x.value))}
				}
				mine[x.place] = owner{x.value, id.control}
			}
		}
		if _, no := refused[id]; !no {
			for place, o := range mine {
				if _, ok := taken[place]; !ok {
					taken[place] = o
				}
			}
		}
	}
	var omissions []Omission
	for _, id := range order {
		if o, ok := refused[id]; ok {
			omissions = append(omissions, o)
		}
	}
	return slices.DeleteFunc(changes, func(c Change) bool { _, ok := refused[c.subject()]; return ok }), omissions
}

// shown is a value as a message shows it.
func shown(v string) string {
	switch {
	case v == "":
		return "nothing"
	case len(v) > 40 || strings.ContainsRune(v, '\n'):
		return "another content"
	}
	return v
}

// claims are the places that a change fills.
func claims(c Change) []claim {
	switch c.Kind {
	case "package":
		return packageClaims(c)
	case "unit":
		value := "running"
		if slices.Contains([]string{"disabled", "masked", "stopped"}, c.State) {
			value = "stopped"
		}
		return []claim{{"the unit " + strings.TrimSuffix(c.Unit, ".service"), value}}
	case "file":
		return fileClaims(c)
	case "mount":
		return nil // options add up
	case "grub":
		return grubClaims(c)
	case "pam":
		return pamClaims(c)
	}
	var out []claim
	for _, k := range slices.Sorted(maps.Keys(c.Set)) {
		for _, at := range places(c) {
			out = append(out, claim{strings.TrimSpace(at + " " + settingName(c.Kind, k)), strings.TrimSpace(c.Set[k])})
		}
	}
	return out
}

// places says where the settings of a change belong: the file or section, for each of its ids.
func places(c Change) []string {
	at := strings.Join(strings.Fields(strings.Join([]string{c.Kind, c.Section, c.Path, c.Match, c.Name}, " ")), " ")
	if c.Each == nil {
		return []string{at}
	}
	out := make([]string, len(c.Each))
	for i, id := range c.Each {
		out[i] = at + " " + id
	}
	return out
}

// settingName is the name of a setting in the one form that its program knows it by.
func settingName(kind, key string) string {
	switch kind {
	case "sshd", "journald", "apt": // keywords without regard to case: sshd_config(5), systemd.syntax(7), apt.conf(5)
		return strings.ToLower(key)
	case "sysctl":
		return sysctl.Dotted(key)
	}
	return key
}

func packageClaims(c Change) []claim {
	var out []claim
	for _, n := range c.Install {
		out = append(out, claim{"the package " + n, "installed"})
	}
	for _, n := range c.Purge {
		out = append(out, claim{"the package " + n, "removed"})
	}
	return out
}

func fileClaims(c Change) []claim {
	if c.Ensure == "absent" {
		return []claim{{c.Path, "no file"}}
	}
	var out []claim
	if c.Content != "" {
		out = append(out, claim{c.Path, c.Content})
	}
	if c.Mode != "" {
		out = append(out, claim{"the mode of " + c.Path, strings.TrimLeft(c.Mode, "0")})
	}
	if c.Owner != "" {
		out = append(out, claim{"the owner of " + c.Path, c.Owner})
	}
	return out
}

// grubClaims: arguments of the kernel add up; one that is added by one control and removed by another is a conflict.
func grubClaims(c Change) []claim {
	var out []claim
	for _, k := range slices.Sorted(maps.Keys(c.Set)) {
		switch k {
		case "cmdline_add":
			for _, w := range strings.Fields(c.Set[k]) {
				name, _, _ := strings.Cut(w, "=")
				out = append(out, claim{"the kernel argument " + name, w})
				if w != name {
					out = append(out, claim{"the kernel argument " + w, "present"})
				}
			}
		case "cmdline_remove":
			// What the same control adds again is replaced, and that is its claim.
			added := " " + c.Set["cmdline_add"] + " "
			for _, w := range strings.Fields(c.Set[k]) {
				name, _, _ := strings.Cut(w, "=")
				if !strings.Contains(added, " "+name+"=") && !strings.Contains(added, " "+name+" ") {
					out = append(out, claim{"the kernel argument " + strings.TrimSuffix(w, "="), "absent"})
				}
			}
		default:
			out = append(out, claim{"grub " + k, c.Set[k]})
		}
	}
	return out
}

// pamClaims: arguments of a module add up (+arg, -arg).
func pamClaims(c Change) []claim {
	var out []claim
	for _, k := range slices.Sorted(maps.Keys(c.Set)) {
		v, place := c.Set[k], "pam "+c.Section+" "+k
		if strings.HasPrefix(v, "+") || strings.HasPrefix(v, "-") {
			out = append(out, claim{place + " " + v[1:], v[:1]})
			continue
		}
		out = append(out, claim{place, v})
	}
	return out
}

// validText reports whether everything that a change says is text: a plan is JSON, and JSON would alter other bytes.
func validText(c Change) bool { return utf8.ValidString(fmt.Sprintf("%v", c)) }
