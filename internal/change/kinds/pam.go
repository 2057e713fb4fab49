package kinds

import (
	"bytes"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/change"
	pamconf "github.com/castellan-project/castellan/internal/debian/pam"
	"github.com/castellan-project/castellan/internal/host"
)

const pamDir = "/etc/pam.d/"

// pam edits a stack. Section is the file below /etc/pam.d, or "*" for every one that uses the module. Set gives for each module
// either words to add ("+word") or to take away ("-word") on its lines, parted by blanks, or a whole line that shall stand in
// the file ("auth required pam_wheel.so use_uid").
//
// pam-auth-update keeps options that were added or removed by hand when it writes the common files again, so its own
// profiles are not touched.
func pam(d *change.Draft, c change.Change) error {
	files := []string{pamDir + c.Section}
	if c.Section == "*" {
		var err error
		if files, err = pamFiles(d); err != nil {
			return err
		}
	} else if c.Section == "" || strings.ContainsAny(c.Section, "/\x00") || strings.HasPrefix(c.Section, ".") {
		return change.Cannot("%q is no file of /etc/pam.d", c.Section)
	}
	before := len(d.Changed())
	for _, module := range slices.Sorted(maps.Keys(c.Set)) {
		edit, err := wanted(module, c.Set[module])
		if err != nil {
			return err
		}
		for _, f := range files {
			if err := editStack(d, f, edit); err != nil {
				return err
			}
		}
	}
	if len(d.Changed()) == before {
		return nil
	}
	d.Effect("open sessions go on; whoever logs in from now on meets the changed PAM stack")
	return nil
}

// pamFiles are the services: files whose names PAM would look up. What editors and dpkg leave behind is none.
func pamFiles(d *change.Draft) ([]string, error) {
	list, err := d.List(pamDir + "*")
	if err != nil {
		return nil, err
	}
	var out []string
	for _, f := range list {
		name := path.Base(f.Path)
		if f.Type == host.Regular && !strings.ContainsAny(name, ".~") {
			out = append(out, f.Path)
		}
	}
	return out, nil
}

// stackEdit is an edit of the lines of one module.
type stackEdit struct {
	module string
	// words gives the arguments that a line of the module shall have.
	words func(args []string) []string
	// line is a whole line that shall stand in the file; its type limits which lines it replaces.
	line string
}

// hashes are the words of pam_unix(8) that choose how passwords are hashed; one takes the place of another.
func hashes() []string {
	return []string{"yescrypt", "gost_yescrypt", "blowfish", "sha512", "sha256", "bigcrypt", "md5"}
}

// wanted reads the value of a setting.
func wanted(module, value string) (stackEdit, error) {
	words := strings.Fields(value)
	if len(words) == 0 || strings.ContainsAny(value, "\x00\r\n#\\") || strings.ContainsAny(module, "\x00\r\n#\\ \t") {
		return stackEdit{}, change.Cannot("%.60q is nothing that can be written for %.40s", value, module)
	}
	if words[0][0] != '+' && words[0][0] != '-' || slices.Contains([]string{"-auth", "-account", "-password", "-session"}, words[0]) {
		if len(words) < 3 || words[2] != module {
			return stackEdit{}, change.Cannot("%.80q is no line of PAM for %.40s: type, control and module are wanted", value, module)
		}
		return stackEdit{module: module, line: strings.TrimSpace(strings.Join(words[:3], "\t") + " " + strings.Join(words[3:], " "))}, nil
	}
	return stackEdit{module: module, words: func(args []string) []string {
		for _, w := range words {
			args = applyWord(args, w)
		}
		return args
	}}, nil
}

func applyWord(args []string, w string) []string {
	word := w[1:]
	if w[0] == '-' {
		return slices.DeleteFunc(args, func(a string) bool { return a == word || word == "nullok" && a == "nullok_secure" })
	}
	if slices.Contains(hashes(), word) {
		at := len(args)
		if i := slices.IndexFunc(args, func(a string) bool { return slices.Contains(hashes(), a) }); i >= 0 {
			at = i
		}
		args = slices.DeleteFunc(args, func(a string) bool {
			// yescrypt takes 1 to 11 rounds, the older methods thousands: their number must not be handed on.
			n, rounds := strings.CutPrefix(a, "rounds=")
			many, err := strconv.Atoi(n)
			return slices.Contains(hashes(), a) && a != word || rounds && strings.HasSuffix(word, "yescrypt") && (err != nil || many > 11)
		})
		if !slices.Contains(args, word) {
			args = slices.Insert(args, min(at, len(args)), word)
		}
		return args
	}
	if !slices.Contains(args, word) {
		args = append(args, word)
	}
	return args
}

// readStack reads a service with what it includes, from the draft.
func readStack(d *change.Draft, service string) ([]pamconf.Entry, error) {
	list, err := pamconf.Stack(service, func(name string) ([]byte, error) { return d.ReadFile(pamDir + name) })
	if host.NotExist(err) {
		return nil, change.Cannot("%s%s is not there, or names a file that is not", pamDir, service)
	}
	if err != nil {
		return nil, change.Cannot("%v; correct that first", err)
	}
	return list, nil
}

// editStack edits one file. What it holds must be readable before and after, and no module may have got lost on the way:
// whoever could log in by a module still meets it.
func editStack(d *change.Draft, file string, edit stackEdit) error {
	before, err := readStack(d, path.Base(file))
	if err != nil {
		return err
	}
	if _, err := rewrite(d, file, 0o644, func(b []byte) ([]byte, error) {
		out := edit.apply(b)
		if again := edit.apply(out); !bytes.Equal(out, again) {
			// Odd continuations: what was written does not read as what was meant.
			return nil, change.Cannot("%s continues its lines in a way that castellan does not edit; change it by hand", file)
		}
		return out, nil
	}); err != nil {
		return err
	}
	after, err := readStack(d, path.Base(file))
	if err != nil {
		return err
	}
	for _, e := range before {
		same := func(x pamconf.Entry) bool { return x.Type == e.Type && x.Module == e.Module && x.Control == e.Control }
		if e.Module != edit.module && !slices.ContainsFunc(after, same) {
			return change.Cannot("%s would lose %s; edit it by hand", file, e.Module)
		}
	}
	return nil
}

// apply edits the text.
func (s stackEdit) apply(b []byte) []byte {
	if s.line != "" {
		return s.place(b)
	}
	spans := logical(b)
	lines, _ := pieces(b)
	for _, sp := range spans {
		if sp.entry.Module == s.module {
			sp.rewrite(lines, s.words(slices.Clone(sp.entry.Args)))
		}
	}
	return joined(lines)
}

// span is a line of a stack with the physical lines [from, to) that it stands on.
type span struct {
	from, to int
	entry    pamconf.Entry
}

// logical finds the lines of a file that name a module.
func logical(b []byte) []span {
	lines, _ := pieces(b)
	var out []span
	for i := 0; i < len(lines); i++ {
		from := i
		for i+1 < len(lines) && strings.HasSuffix(strings.TrimRight(lines[i], "\r\n"), `\`) {
			i++
		}
		text := strings.Join(lines[from:i+1], "")
		one, err := pamconf.Stack("x", func(name string) ([]byte, error) {
			if name != "x" {
				return nil, nil
			}
			return []byte(text), nil
		})
		if err == nil && len(one) == 1 {
			out = append(out, span{from, i + 1, one[0]})
		}
	}
	return out
}

// rewrite changes the arguments of a line: words that are gone are cut out with the blanks before them, changed ones are
// replaced where they stand, new ones are put at the end.
func (s span) rewrite(lines []string, args []string) {
	if slices.Equal(args, s.entry.Args) {
		return
	}
	kept := map[string]int{}
	for _, a := range args {
		kept[a]++
	}
	var fresh []string
	old := map[string]int{}
	for _, a := range s.entry.Args {
		old[a]++
	}
	for _, a := range args {
		if old[a] == 0 {
			fresh = append(fresh, a)
		}
	}
	for i := s.from; i < s.to; i++ {
		text, end := lineAndEnd(lines[i])
		code, rest := text, ""
		if at := strings.IndexByte(text, '#'); at >= 0 {
			code, rest = text[:at], text[at:]
		}
		for _, a := range s.entry.Args {
			if kept[a] > 0 {
				continue
			}
			instead := ""
			if len(fresh) > 0 && containsWord(code, a) {
				instead, fresh = fresh[0], fresh[1:]
			}
			code = replaceWord(code, a, instead)
		}
		if i == s.to-1 && len(fresh) > 0 {
			tail := code[len(strings.TrimRight(code, " \t")):]
			code = strings.TrimRight(code, " \t") + " " + strings.Join(fresh, " ") + tail
		}
		lines[i] = code + rest + end
	}
}

// wordAt finds a word that stands between blanks, or in brackets when it holds blanks itself.
func wordAt(code, word string) (from, to int) {
	for _, w := range []string{word, "[" + word + "]"} {
		for at := 0; at <= len(code)-len(w); at++ {
			i := strings.Index(code[at:], w)
			if i < 0 {
				break
			}
			from, to = at+i, at+i+len(w)
			if from > 0 && strings.ContainsRune(" \t", rune(code[from-1])) && (to == len(code) || strings.ContainsRune(" \t\\", rune(code[to]))) {
				return from, to
			}
			at = from
		}
	}
	return -1, -1
}

func containsWord(code, word string) bool {
	from, _ := wordAt(code, word)
	return from >= 0
}

func replaceWord(code, word, instead string) string {
	for {
		from, to := wordAt(code, word)
		if from < 0 {
			return code
		}
		if instead != "" {
			code, instead = code[:from]+instead+code[to:], ""
			continue
		}
		code = strings.TrimRight(code[:from], " \t") + code[to:]
	}
}

// place puts a whole line: over a line of the same type and module, over a commented line of the same kind (Debian's files
// carry examples), else before the first line of its type that is not pam_rootok, which lets root pass.
func (s stackEdit) place(b []byte) []byte {
	lines, ending := pieces(b)
	words := strings.Fields(s.line)
	kind := strings.TrimPrefix(words[0], "-")
	special := func(e pamconf.Entry) bool { return e.Flag("deny") || e.Flag("trust") }
	before := -1
	for _, sp := range logical(b) {
		if sp.entry.Type != kind {
			continue
		}
		if sp.entry.Module == s.module && !special(sp.entry) {
			if sp.entry.Control == strings.ToLower(words[1]) && slices.Equal(sp.entry.Args, words[3:]) {
				return b
			}
			lines = slices.Replace(lines, sp.from, sp.to, s.line+lineEnd(lines[sp.to-1], ending))
			return joined(lines)
		}
		if before < 0 && sp.entry.Module != "pam_rootok.so" {
			before = sp.from
		}
	}
	for i, l := range lines {
		text := strings.TrimSpace(strings.TrimLeft(strings.TrimSpace(l), "#"))
		if !strings.HasPrefix(strings.TrimSpace(l), "#") || before >= 0 && i > before {
			continue
		}
		f := strings.Fields(text)
		if len(f) >= 3 && f[0] == kind && f[1] == words[1] && f[2] == s.module && !slices.Contains(f, "deny") && !slices.Contains(f, "trust") {
			lines[i] = s.line + lineEnd(l, ending)
			return joined(lines)
		}
	}
	if i := firstInclude(lines); before < 0 || i >= 0 && i < before {
		before = i
	}
	if before < 0 {
		return joined(appendLine(lines, s.line, ending))
	}
	return joined(slices.Insert(lines, before, s.line+ending))
}

// firstInclude is the place of the first @include.
func firstInclude(lines []string) int {
	return slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(strings.TrimSpace(l), "@include") })
}

func lineEnd(l, usual string) string {
	if _, end := lineAndEnd(l); end != "" {
		return end
	}
	return usual
}
