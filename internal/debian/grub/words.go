package grub

import (
	"iter"
	"regexp"
	"strconv"
	"strings"
)

func itoa(n int) string { return strconv.Itoa(n) }

// statements yields the statements of a GRUB script as words, with the number of the line on which each begins.
// Quotes are removed, variables stay as they are written.
func statements(s string) iter.Seq2[int, []string] {
	return func(yield func(int, []string) bool) {
		w := words{line: 1, start: 1}
		for i := 0; i < len(s); i++ {
			ch := s[i]
			switch {
			case ch == '\\' && i+1 < len(s) && w.quote != '\'':
				i++
				if s[i] == '\n' {
					w.line++
				} else {
					w.add(s[i])
				}
			case w.quote != 0:
				if ch == w.quote {
					w.quote = 0
				} else {
					w.add(ch)
				}
				if ch == '\n' {
					w.line++
				}
			case ch == '\'' || ch == '"':
				w.quote, w.in = ch, true
			case ch == '#' && !w.in:
				for i+1 < len(s) && s[i+1] != '\n' {
					i++
				}
			case ch == ' ' || ch == '\t' || ch == '\r':
				w.end()
			case ch == '\n' || ch == ';':
				w.end()
				if len(w.list) > 0 && !yield(w.start, w.list) {
					return
				}
				w.list = nil
				if ch == '\n' {
					w.line++
				}
				w.start = w.line
			default:
				w.add(ch)
			}
		}
		w.end()
		if len(w.list) > 0 {
			yield(w.start, w.list)
		}
	}
}

type words struct {
	list        []string
	cur         strings.Builder
	in          bool
	quote       byte
	line, start int
}

func (w *words) add(ch byte) {
	w.in = true
	w.cur.WriteByte(ch)
}

func (w *words) end() {
	if w.in {
		w.list = append(w.list, w.cur.String())
	}
	w.cur.Reset()
	w.in = false
}

// Variables of /etc/default/grub that hold kernel arguments.
const (
	CmdlineLinux        = "GRUB_CMDLINE_LINUX"
	CmdlineLinuxDefault = "GRUB_CMDLINE_LINUX_DEFAULT"
)

// ParseDefaults reads /etc/default/grub and the files of /etc/default/grub.d in the order given: shell assignments,
// the last of which wins, with $NAME and ${NAME} of variables set before.
func ParseDefaults(files ...[]byte) map[string]string {
	vars := map[string]string{}
	ref := regexp.MustCompile(`\$\{?([A-Za-z_][A-Za-z0-9_]*)\}?`)
	for _, b := range files {
		for _, words := range statements(string(b)) {
			w := words[0]
			if w == "export" && len(words) > 1 {
				w = words[1]
			}
			name, value, ok := strings.Cut(w, "=")
			if !ok || strings.ContainsAny(name, " $/") {
				continue
			}
			value = ref.ReplaceAllStringFunc(value, func(s string) string { return vars[strings.Trim(s, "${}")] })
			if len(value) > maxValue {
				value = value[:maxValue]
			}
			vars[name] = value
		}
	}
	return vars
}

// maxValue bounds the value of a variable, in bytes: a file that doubles a variable in each line must not exhaust
// memory. The kernel itself takes 2,048 bytes (COMMAND_LINE_SIZE of x86).
const maxValue = 64 << 10

// Args splits a kernel command line at spaces; double quotes keep spaces together.
func Args(s string) []string {
	out := []string{}
	quoted, in := false, false
	var cur strings.Builder
	flush := func() {
		if in {
			out = append(out, cur.String())
		}
		cur.Reset()
		in = false
	}
	for _, r := range s {
		switch {
		case r == '"':
			quoted, in = !quoted, true
		case !quoted && (r == ' ' || r == '\t' || r == '\n' || r == '\r'):
			flush()
		default:
			cur.WriteRune(r)
			in = true
		}
	}
	flush()
	return out
}

// PasswordLines finds the lines of a script of /etc/grub.d that set a password: those with a PBKDF2 hash, and those in
// plain text. Comments do not count.
func PasswordLines(b []byte) (hashed, plain []int) {
	n := 0
	for line := range strings.Lines(string(b)) {
		n++
		words := strings.Fields(line)
		for i, w := range words {
			if strings.HasPrefix(w, "#") {
				break
			}
			first := i == 0 || words[i-1] == "echo" || strings.HasSuffix(words[i-1], ";")
			w = strings.TrimLeft(w, `"'`)
			switch {
			case !first || len(words) < i+3:
			case w == "password_pbkdf2" && strings.HasPrefix(words[i+2], "grub.pbkdf2."):
				hashed = append(hashed, n)
			case w == "password":
				plain = append(plain, n)
			}
		}
	}
	return hashed, plain
}
