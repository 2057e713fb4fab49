package logindefs

import (
	"bytes"
	"strconv"
	"strings"
)

// Timeout is what a shell start-up file says about TMOUT.
type Timeout struct {
	Seconds  int // 0: switched off
	ReadOnly bool
	Exported bool
	Line     int
}

// Mask is a umask as written, octal or symbolic.
type Mask struct {
	Text string // empty: none
	Line int
}

// ShellSettings are the statements of a shell start-up file that this package looks for.
type ShellSettings struct {
	TMOUT *Timeout
	// Umask is the last one that is set for everybody.
	Umask Mask
	// Conditional is the strictest one that is set inside an if, a case or behind &&: for some users. What the condition
	// means is not evaluated.
	Conditional Mask
}

// ParseShell reads a start-up file (profile, bash.bashrc, profile.d/*.sh). It understands the forms that people and
// guides write: TMOUT=900, export TMOUT=900, readonly TMOUT=900, declare -xr TMOUT=900, umask 027; several on a line
// with ";" or "&&".
func ParseShell(b []byte) ShellSettings {
	var s ShellSettings
	n, depth := 0, 0
	for raw := range bytes.Lines(b) {
		n++
		line := comment(strings.TrimSpace(string(raw)))
		for list := range strings.SplitSeq(line, ";") {
			for i, part := range strings.Split(list, "&&") {
				words := strings.Fields(part)
				for len(words) > 0 && nests(words[0], &depth) {
					words = words[1:]
				}
				if len(words) > 0 {
					s.statement(words, n, depth+i) // what stands behind && depends on what stands before it
				}
			}
		}
	}
	return s
}

// nests follows the nesting of compound commands and reports whether the word is one of their keywords.
func nests(word string, depth *int) bool {
	switch word {
	case "if", "case", "for", "while", "until", "{":
		*depth++
	case "fi", "esac", "done", "}":
		*depth = max(0, *depth-1)
	case "then", "else", "elif", "do":
	default:
		return false
	}
	return true
}

func (s *ShellSettings) statement(words []string, n, depth int) {
	readOnly, exported := false, false
	switch words[0] {
	case "umask":
		if len(words) > 1 && !strings.HasPrefix(words[1], "-") {
			s.mask(Mask{Text: words[1], Line: n}, depth > 0)
		}
		return
	case "readonly":
		readOnly = true
	case "export":
		exported = true
	case "declare", "typeset":
		if len(words) > 1 && strings.HasPrefix(words[1], "-") {
			readOnly, exported = strings.Contains(words[1], "r"), strings.Contains(words[1], "x")
			words = words[1:]
		}
	default:
		words = append([]string{""}, words...)
	}
	for _, w := range words[1:] {
		s.assign(w, n, readOnly, exported)
	}
}

func (s *ShellSettings) mask(m Mask, conditional bool) {
	if !conditional {
		s.Umask = m
		return
	}
	had, _ := MaskOctal(s.Conditional.Text)
	if bits, ok := MaskOctal(m.Text); s.Conditional.Text == "" || ok && bits > had {
		s.Conditional = m
	}
}

func (s *ShellSettings) assign(word string, n int, readOnly, exported bool) {
	name, value, set := strings.Cut(word, "=")
	if name != "TMOUT" {
		return
	}
	if !set { // export TMOUT, readonly TMOUT
		if s.TMOUT != nil {
			s.TMOUT.ReadOnly = s.TMOUT.ReadOnly || readOnly
			s.TMOUT.Exported = s.TMOUT.Exported || exported
		}
		return
	}
	sec, err := strconv.Atoi(strings.Trim(value, `"'`))
	if err != nil || sec < 0 {
		return
	}
	s.TMOUT = &Timeout{Seconds: sec, ReadOnly: readOnly, Exported: exported, Line: n}
}

func comment(line string) string {
	if strings.HasPrefix(line, "#") {
		return ""
	}
	if i := strings.Index(line, " #"); i >= 0 {
		return line[:i]
	}
	return line
}

// MaskOctal turns a umask into its bits. Symbolic masks ("u=rwx,g=rx,o=") name what stays allowed.
func MaskOctal(mask string) (int, bool) {
	if n, err := strconv.ParseUint(mask, 8, 16); err == nil && n <= 0o777 {
		return int(n), true
	}
	bits := 0o777
	for clause := range strings.SplitSeq(mask, ",") {
		who, perms, ok := strings.Cut(clause, "=")
		if !ok || strings.Trim(who, "ugoa") != "" || strings.Trim(perms, "rwx") != "" {
			return 0, false
		}
		if who == "" || strings.Contains(who, "a") {
			who = "ugo"
		}
		p := 0
		for _, c := range perms {
			p |= map[rune]int{'r': 4, 'w': 2, 'x': 1}[c]
		}
		for _, c := range who {
			shift := map[rune]int{'u': 6, 'g': 3, 'o': 0}[c]
			bits = bits&^(7<<shift) | (7&^p)<<shift
		}
	}
	return bits, true
}
