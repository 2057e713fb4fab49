package sshd

import (
	"bytes"
	"errors"
	"strings"
)

// configLines turns the content of a file into the lines that sshd sees. sshd reads line by line, drops blanks
// before the text, and copies as a C string: what follows a NUL in a line is lost together with its line break, so
// that the next line is glued to it.
func configLines(content []byte) []string {
	var b strings.Builder
	b.Grow(len(content))
	for len(content) > 0 {
		line := content
		if i := bytes.IndexByte(content, '\n'); i >= 0 {
			line = content[:i+1]
		}
		content = content[len(line):]
		line = bytes.TrimLeft(line, " \t\r")
		if i := bytes.IndexByte(line, 0); i >= 0 {
			line = line[:i]
		}
		b.Write(line)
	}
	return strings.Split(b.String(), "\n")
}

// trimLine drops blanks at the end of a line but never its first byte, as sshd does.
func trimLine(line string) string {
	if line == "" {
		return line
	}
	return line[:1] + strings.TrimRight(line[1:], " \t\r\n\f")
}

// rest is the unread part of a line. done means that there is none, which differs from an empty rest.
type rest struct {
	text string
	done bool
}

const blanks = " \t\r\n"

// next cuts the next word off: words end at a blank, at a double quote that starts a quoted word, or at one equals
// sign. ok is false at the end and after an unbalanced quote.
func (r *rest) next() (word string, ok bool) {
	if r.done {
		return "", false
	}
	i := strings.IndexAny(r.text, blanks+"\"=")
	if i < 0 {
		word, r.text, r.done = r.text, "", true
		return word, true
	}
	if r.text[i] == '"' {
		before, after := r.text[:i], r.text[i+1:]
		end := strings.IndexByte(after, '"')
		if end < 0 {
			r.text, r.done = "", true
			return "", false
		}
		r.text = strings.TrimLeft(after[end+1:], blanks)
		return before + after[:end], true
	}
	word = r.text[:i]
	equals := r.text[i] == '='
	r.text = strings.TrimLeft(r.text[i+1:], blanks)
	if !equals && strings.HasPrefix(r.text, "=") {
		r.text = strings.TrimLeft(r.text[1:], blanks)
	}
	return word, true
}

var errQuotes = errors.New("invalid quotes")

// splitArgs splits the arguments of a keyword: blanks separate, single and double quotes group, a backslash before a
// quote, a backslash or (outside quotes) a space takes it literally, and an argument that starts with # ends the line.
func splitArgs(s string) ([]string, error) {
	var args []string
	for i := 0; i < len(s); i++ {
		if s[i] == ' ' || s[i] == '\t' {
			continue
		}
		if s[i] == '#' {
			break
		}
		arg, end, err := oneArg(s, i)
		if err != nil {
			return nil, err
		}
		args = append(args, arg)
		i = end
	}
	return args, nil
}

func oneArg(s string, i int) (arg string, end int, err error) {
	var b strings.Builder
	var quote byte
	for ; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\\':
			if i+1 < len(s) && (strings.IndexByte(`'"\`, s[i+1]) >= 0 || quote == 0 && s[i+1] == ' ') {
				i++
			}
			b.WriteByte(s[i])
		case quote == 0 && (c == ' ' || c == '\t'):
			return b.String(), i, nil
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case quote != 0 && c == quote:
			quote = 0
		default:
			b.WriteByte(c)
		}
	}
	if quote != 0 {
		return "", i, errQuotes
	}
	return b.String(), i, nil
}

// quoteArgs is the inverse of splitArgs, as OpenSSH 10 writes the command of a subsystem.
func quoteArgs(args []string) string {
	out := make([]string, len(args))
	for i, a := range args {
		a = strings.NewReplacer(`\`, `\\`, `'`, `\'`, `"`, `\"`).Replace(a)
		if strings.ContainsAny(a, " \t") {
			a = `"` + a + `"`
		}
		out[i] = a
	}
	return strings.Join(out, " ")
}
