package kinds

import (
	"regexp"
	"slices"
	"strings"
)

// removeArgs takes arguments out of a command line together with the blanks behind them, and leaves all else as it is. Blanks
// within quotes do not part arguments.
func removeArgs(text string, unwanted func(string) bool) string {
	var b strings.Builder
	for i := 0; i < len(text); {
		j := i
		for j < len(text) && (text[j] == ' ' || text[j] == '\t') {
			j++
		}
		b.WriteString(text[i:j])
		k, quote := j, byte(0)
		for ; k < len(text) && (quote != 0 || text[k] != ' ' && text[k] != '\t'); k++ {
			switch {
			case quote == 0 && (text[k] == '"' || text[k] == '\''):
				quote = text[k]
			case text[k] == quote:
				quote = 0
			}
		}
		if word := text[j:k]; word != "" && unwanted(word) {
			i = k
			for i < len(text) && (text[i] == ' ' || text[i] == '\t') {
				i++
			}
			continue
		}
		b.WriteString(text[j:k])
		i = k
	}
	out := b.String()
	if out != text && strings.TrimRight(text, " \t") == text {
		out = strings.TrimRight(out, " \t") // the blank before the last argument went with it
	}
	return out
}

// assignments are the lines of a file of shell assignments.
type assignments struct {
	lines []string
	end   string
}

func parseAssignments(s string) *assignments {
	a := &assignments{end: "\n"}
	if i := strings.IndexByte(s, '\n'); i > 0 && s[i-1] == '\r' {
		a.end = "\r\n"
	}
	for l := range strings.Lines(s) {
		a.lines = append(a.lines, l)
	}
	return a
}

func (a *assignments) text() string { return strings.Join(a.lines, "") }

// shellLine is an assignment that stands on one line: with double quotes, single quotes or none, and perhaps a comment behind it.
// Within double quotes a backslash takes the next character with it.
var shellLine = regexp.MustCompile(`^([ \t]*(?:export[ \t]+)?)(GRUB_[A-Z_]+)=("(?:[^"\\\x60]|\\.)*"|'[^']*'|[A-Za-z0-9_.,:/@+=-]*)([ \t]*(?:#.*)?)$`)

func (a *assignments) match(i int, name string) []string {
	text, _ := cutEnding(a.lines[i])
	if m := shellLine.FindStringSubmatch(text); m != nil && m[2] == name {
		return m
	}
	return nil
}

// has reports whether a line assigns to a variable in a form that can be edited.
func (a *assignments) has(name string) bool {
	for i := range a.lines {
		if a.match(i, name) != nil {
			return true
		}
	}
	return false
}

// each replaces the value of every assignment to a variable; final is set for the last one.
func (a *assignments) each(name string, edit func(value string, final bool) string) {
	final := true
	for i := range slices.Backward(a.lines) {
		m := a.match(i, name)
		if m == nil {
			continue
		}
		quote, value := "", m[3]
		if value != "" && (value[0] == '"' || value[0] == '\'') {
			quote, value = value[:1], value[1:len(value)-1]
		}
		out := edit(value, final)
		final = false
		if out == value {
			continue
		}
		if quote == "" {
			quote = `"`
		}
		_, end := cutEnding(a.lines[i])
		a.lines[i] = m[1] + name + "=" + quote + out + quote + m[4] + end
	}
}

// append adds an assignment at the end.
func (a *assignments) append(name, value string) {
	if n := len(a.lines); n > 0 && !strings.HasSuffix(a.lines[n-1], "\n") {
		a.lines[n-1] += a.end
	}
	a.lines = append(a.lines, name+`="`+value+`"`+a.end)
}

// linuxLine is a line of grub.cfg that starts a kernel: the command, the kernel, and its arguments.
var linuxLine = regexp.MustCompile(`^([ \t]*(?:linux|linuxefi|linux16)[ \t]+[^ \t]+)([ \t]*)(.*)$`)

// editEntries edits the kernel's arguments of the entries of a grub.cfg. Entries of a rescue system get none added, as
// GRUB_CMDLINE_LINUX_DEFAULT does not reach them (grub-mkconfig(8), 10_linux).
func editEntries(text string, edit func(args string, adds bool) string) string {
	var b strings.Builder
	title := ""
	for l := range strings.Lines(text) {
		line, end := cutEnding(l)
		if f := strings.Fields(line); len(f) > 0 && f[0] == "menuentry" {
			title = strings.ToLower(line)
		}
		m := linuxLine.FindStringSubmatch(line)
		if m == nil {
			b.WriteString(l)
			continue
		}
		f := strings.Fields(m[3])
		rescue := strings.Contains(title, "recovery") || slices.Contains(f, "single") || slices.Contains(f, "recovery")
		args, blank := edit(m[3], !rescue), m[2]
		if blank == "" && args != "" {
			blank = " "
		}
		if args == m[3] {
			b.WriteString(l)
			continue
		}
		b.WriteString(m[1] + blank + args + end)
	}
	return b.String()
}

// optionsLine is the line of an entry of systemd-boot that holds the kernel's arguments (Boot Loader Specification).
var optionsLine = regexp.MustCompile(`^([ \t]*options[ \t]+)(.*)$`)

// editOptions edits the arguments of an entry of systemd-boot; several lines add up, so the last one gets what is added.
func editOptions(text string, edit func(args string, adds bool) string) string {
	var lines []string
	last := -1
	for l := range strings.Lines(text) {
		if t, _ := cutEnding(l); optionsLine.MatchString(t) {
			last = len(lines)
		}
		lines = append(lines, l)
	}
	for i, l := range lines {
		t, end := cutEnding(l)
		if m := optionsLine.FindStringSubmatch(t); m != nil {
			lines[i] = m[1] + edit(m[2], i == last) + end
		}
	}
	return strings.Join(lines, "")
}
