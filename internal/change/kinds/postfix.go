package kinds

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/change"
	parser "github.com/castellan-project/castellan/internal/debian/postfix"
)

// Files of Postfix.
const (
	postfixMain   = "/etc/postfix/main.cf"
	postfixMaster = "/etc/postfix/master.cf"
)

// postfix sets parameters in main.cf. Of several definitions of a parameter Postfix takes the last (postconf(5)), so that one is
// rewritten, together with the lines that continue it.
func postfix(d *change.Draft, c change.Change) error {
	old, exists, err := d.Content(postfixMain)
	if err != nil {
		return fmt.Errorf("cannot read %s: %w", postfixMain, err)
	}
	if !exists {
		return change.Cannot("Postfix is not installed: there is no %s", postfixMain)
	}
	text := string(old)
	restart := false
	for _, key := range slices.Sorted(maps.Keys(c.Set)) {
		value := c.Set[key]
		if !postfixName().MatchString(key) || strings.ContainsAny(value, "\r\n\x00") {
			return change.Cannot("%s = %q is nothing that %s can hold", key, value, postfixMain)
		}
		before := text
		text = postfixSet(text, key, value)
		if got := parser.ParseMain([]byte(text))[key].Text; got != value {
			return change.Cannot("%s cannot be set in %s: it stays %q", key, postfixMain, got)
		}
		// The addresses and protocols of the listening sockets are read at the start only (postconf(5), inet_interfaces).
		restart = restart || text != before && strings.HasPrefix(key, "inet_")
	}
	if err := postfixMasterAgrees(d, c.Set["inet_interfaces"]); err != nil {
		return err
	}
	if text == string(old) {
		return nil
	}
	if err := d.Write(postfixMain, []byte(text), 0o644); err != nil {
		return err
	}
	if err := d.Do(change.Action{Verb: change.Check, Object: "postfix check"}); err != nil {
		return err
	}
	verb := change.Reload
	if restart {
		verb = change.Restart
		d.Effect("Postfix starts again; messages that wait in its queue stay there")
	}
	if v := c.Set["inet_interfaces"]; v != "" && parser.LoopbackOnly(v) {
		d.Effect("other hosts can no longer hand in mail to this one")
	}
	return d.Do(change.Action{Verb: verb, Object: "postfix.service"})
}

func postfixName() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*$`) }

// postfixMasterAgrees refuses where main.cf does not decide: a service of master.cf with an address of its own listens there whatever
// inet_interfaces says (master(5)).
func postfixMasterAgrees(d *change.Draft, interfaces string) error {
	if interfaces == "" || !parser.LoopbackOnly(interfaces) {
		return nil
	}
	b, _, err := d.Content(postfixMaster)
	if err != nil {
		return fmt.Errorf("cannot read %s: %w", postfixMaster, err)
	}
	for _, s := range parser.ParseMaster(b) {
		if s.Exposed(true) {
			return change.Cannot("%s:%d: the service %s listens on an address of its own, whatever inet_interfaces says; remove the address or the line, "+
				"when nobody sends there, and run: systemctl restart postfix", postfixMaster, s.Line, s.Name)
		}
	}
	return nil
}

// postfixSet gives a parameter its value. The place of the last definition, its spelling up to the value and the comments between
// its continued lines are kept.
func postfixSet(text, key, value string) string {
	if v, ok := parser.ParseMain([]byte(text))[key]; ok && v.Text == value {
		return text
	}
	lines := slices.Collect(strings.Lines(text))
	first, last := postfixSpan(lines, key)
	ending := "\n"
	if len(lines) > 0 && strings.HasSuffix(lines[0], "\r\n") {
		ending = "\r\n"
	}
	if first < 0 {
		if n := len(lines); n > 0 && !strings.HasSuffix(lines[n-1], "\n") {
			lines[n-1] += ending
		}
		return strings.Join(lines, "") + key + " = " + value + ending
	}
	out := slices.Clone(lines[:first])
	head, rest, _ := strings.Cut(lines[first], "=")
	blanks := rest[:len(rest)-len(strings.TrimLeft(rest, " \t"))]
	if strings.TrimSpace(rest) == "" {
		blanks = " "
	}
	if strings.HasSuffix(lines[first], "\n") {
		ending = lines[first][len(strings.TrimRight(lines[first], "\r\n")):]
	}
	out = append(out, strings.TrimRight(head+"="+blanks+value, " \t")+ending)
	for _, l := range lines[first+1 : last] {
		if t := strings.TrimSpace(l); t == "" || t[0] == '#' {
			out = append(out, l)
		}
	}
	return strings.Join(append(out, lines[last:]...), "")
}

// postfixSpan finds the last definition of a parameter: its line, and the line behind those that continue it; -1 when there is none.
func postfixSpan(lines []string, key string) (first, last int) {
	first = -1
	open := false
	for i, raw := range lines {
		line := strings.TrimRight(raw, "\r\n\t ")
		trimmed := strings.TrimSpace(line)
		switch {
		case trimmed == "" || trimmed[0] == '#':
		case line[0] == ' ' || line[0] == '\t':
			if open {
				last = i + 1
			}
		default:
			name, _, ok := strings.Cut(line, "=")
			if open = ok && strings.TrimSpace(name) == key; open {
				first, last = i, i+1
			}
		}
	}
	return first, last
}
