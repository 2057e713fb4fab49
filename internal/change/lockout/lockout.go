package lockout

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/host"
)

// Options are what the guards need besides the two pictures of the host.
type Options struct {
	// Scratch is a machine on which sshd can be asked about the drafted configuration: the target itself. Nil asks nobody;
	// directories have no sshd that could answer.
	Scratch host.Machine
	// Dir is a directory on Scratch that the guard may make and fill; what it puts there it takes away again. Its parent
	// must exist and belong to root alone.
	Dir string
}

// All returns the guards, in the order in which their verdicts are shown.
func All(o Options) []change.Guard {
	return []change.Guard{operatorGuard{}, sshdGuard{o}, firewallGuard{}, proxyGuard{}, accountsGuard{}, secondPath{}}
}

// judgement is the answer of a guard's inner function: nothing against it, or why not.
type judgement struct {
	// ok admits; why says how, or what stands against it; add what would help; path is the file that decides.
	ok             bool
	why, add, path string
	// silent leaves the verdict out.
	silent bool
	// unknown means that it cannot be told; stuck that a firewall refuses its files and keeps the rules that it has.
	unknown, stuck bool
}

func admit(format string, args ...any) judgement {
	return judgement{ok: true, why: fmt.Sprintf(format, args...)}
}

func refuse(format string, args ...any) judgement {
	return judgement{why: fmt.Sprintf(format, args...)}
}

// in names the file that decides; "file:line" and lists of such are cut to the file.
func (j judgement) in(source string) judgement {
	first, _, _ := strings.Cut(source, ",")
	if name, _, ok := cutLine(first); ok {
		first = name
	}
	if strings.HasPrefix(first, "/") {
		j.path = first
	}
	return j
}

// adding says what would help.
func (j judgement) adding(format string, args ...any) judgement {
	j.add = fmt.Sprintf(format, args...)
	return j
}

// cutLine takes ":LINE" off a source.
func cutLine(s string) (name, line string, ok bool) {
	i := strings.LastIndexByte(s, ':')
	if i <= 0 || i == len(s)-1 || strings.Trim(s[i+1:], "0123456789") != "" {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

// verdict is the judgement as the plan shows it.
func (j judgement) verdict(guard, operator string) change.Verdict {
	return change.Verdict{Guard: guard, Operator: operator, Admitted: j.ok, Reason: clean(j.why), Add: clean(j.add), Path: clean(j.path)}
}

// clean makes text of a host fit for a plan: valid, on one line, bounded.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > 1000 {
		s = strings.ToValidUTF8(s[:1000], "") + " ..."
	}
	return s
}

// afterwards compares a refusal with what held before, and says when the plan is not to blame.
func afterwards(after judgement, before func() judgement) judgement {
	if !after.ok && !before().ok {
		after.why += "; also before this plan"
	}
	return after
}

// touches reports whether a window changes one of the paths: exact ones, those of a directory ("/etc/ssh/"), or patterns of
// path.Match.
func touches(c change.Case, patterns ...string) bool { return touched(c, patterns...) != "" }

// touched is the first changed path that fits, empty when none does.
func touched(c change.Case, patterns ...string) string {
	for _, name := range c.Paths {
		for _, p := range patterns {
			hit, err := path.Match(p, name)
			if name == strings.TrimSuffix(p, "/") || strings.HasSuffix(p, "/") && strings.HasPrefix(name, p) || err == nil && hit {
				return name
			}
		}
	}
	return ""
}

// stops returns the change of a window by which one of the units no longer runs or is taken away with its package.
func stops(c change.Case, units, packages []string) (change.Change, bool) {
	for _, x := range c.Changes {
		unit := strings.TrimSuffix(x.Unit, ".service")
		down := x.State == "stopped" || x.State == "disabled" || x.State == "masked"
		if x.Kind == "unit" && down && slices.Contains(units, unit) {
			return x, true
		}
		if x.Kind == "package" && slices.ContainsFunc(x.Purge, func(p string) bool { return slices.Contains(packages, p) }) {
			return x, true
		}
	}
	return change.Change{}, false
}

// source words a "file:line" of a setting; empty is a default.
func source(s string) string {
	if s == "" {
		return "the default"
	}
	return s
}
