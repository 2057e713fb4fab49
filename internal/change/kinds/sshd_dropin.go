package kinds

import (
	"maps"
	"slices"
	"strings"
)

// nodesMark stands above the Match blocks of ours whose addresses are those of the cluster's nodes: they follow when the
// cluster gets another node. Other blocks belong to whoever wrote them.
const nodesMark = "# castellan: the nodes of the cluster"

// dropInHead begins a new drop-in.
const dropInHead = "# Written by castellan. sshd takes the first value that it reads, so these win over the other files.\n"

// dropInText is the text of a drop-in as lines with their endings.
type dropInText struct {
	lines []string
	end   string
}

// editDropIn sets keywords in the text of a drop-in: before the first Match line, or in the block of the criteria. A keyword that
// stands there more than once is left once. Other lines stay as they are.
func editDropIn(text, match string, nodes bool, set map[string]string) string {
	t := &dropInText{end: "\n"}
	if first, _, ok := strings.Cut(text, "\n"); ok && strings.HasSuffix(first, "\r") {
		t.end = "\r\n"
	}
	if text == "" {
		text = dropInHead
	}
	for l := range strings.Lines(text) {
		t.lines = append(t.lines, l)
	}
	if n := len(t.lines); !strings.HasSuffix(t.lines[n-1], "\n") {
		t.lines[n-1] += t.end
	}
	if match != "" {
		t.block(match, nodes)
	}
	for _, k := range slices.Sorted(maps.Keys(set)) {
		t.set(match, k, set[k])
	}
	out := strings.Join(t.lines, "")
	if strings.TrimSuffix(out, t.end) == text {
		return text // nothing but the end of the last line
	}
	return out
}

// sshdWord takes a line apart as sshd does: the keyword in lower case and what follows.
func sshdWord(line string) (key, value string) {
	line = strings.Trim(line, " \t\r\n\f")
	if line == "" || line[0] == '#' {
		return "", ""
	}
	i := strings.IndexAny(line, " \t=\"")
	if i < 0 {
		return strings.ToLower(line), ""
	}
	value = strings.TrimLeft(line[i:], " \t")
	if v, ok := strings.CutPrefix(value, "="); ok {
		value = strings.TrimLeft(v, " \t")
	}
	return strings.ToLower(line[:i]), value
}

// span gives the lines [from, to) of the global part, or of the block with the criteria.
func (t *dropInText) span(match string) (from, to int, found bool) {
	found = match == ""
	for i, l := range t.lines {
		key, value := sshdWord(l)
		switch {
		case key != "match":
		case found:
			return from, i, true
		case sameCriteria(value, match):
			from, found = i+1, true
		}
	}
	return from, len(t.lines), found
}

func sameCriteria(a, b string) bool {
	return strings.EqualFold(strings.Join(strings.Fields(a), " "), strings.Join(strings.Fields(b), " "))
}

// set gives a keyword its value within a part of the file.
func (t *dropInText) set(match, key, value string) {
	from, to, _ := t.span(match)
	indent := ""
	if match != "" {
		indent = "    "
	}
	done := false
	var kept []string
	for i := from; i < to; i++ {
		k, v := sshdWord(t.lines[i])
		switch {
		case k != strings.ToLower(key):
			kept = append(kept, t.lines[i])
		case done:
		case v == value:
			kept, done = append(kept, t.lines[i]), true
		default:
			kept, done = append(kept, indent+key+" "+value+t.end), true
		}
	}
	if !done {
		at := len(kept)
		for at > 0 && to < len(t.lines) && blankOrComment(kept[at-1]) {
			at-- // what stands right above the next block belongs to it
		}
		if at == 0 && match == "" {
			at = leading(kept)
		}
		kept = slices.Insert(kept, at, indent+key+" "+value+t.end)
	}
	t.lines = slices.Concat(t.lines[:from:from], kept, t.lines[to:])
}

func blankOrComment(l string) bool {
	l = strings.TrimSpace(l)
	return l == "" || l[0] == '#'
}

// leading counts the lines of the comment that a file begins with, when an empty line ends it or it is the head of ours.
func leading(lines []string) int {
	if len(lines) > 0 && lines[0] == dropInHead {
		return 1
	}
	return 0
}

// block sees to it that there is a block with the criteria. A block for the nodes whose addresses have changed becomes it.
func (t *dropInText) block(match string, nodes bool) {
	if _, _, found := t.span(match); found {
		return
	}
	for i := 1; nodes && i < len(t.lines); i++ {
		key, value := sshdWord(t.lines[i])
		if key == "match" && strings.TrimSpace(t.lines[i-1]) == nodesMark && shape(value) == shape(match) {
			t.lines[i] = "Match " + match + t.end
			return
		}
	}
	// A new block stands before the others, because of several that apply to a connection the first decides.
	_, at, _ := t.span("")
	for at < len(t.lines) && at > leading(t.lines) && blankOrComment(t.lines[at-1]) {
		at--
	}
	added := []string{t.end}
	if nodes {
		added = append(added, nodesMark+t.end)
	}
	t.lines = slices.Insert(t.lines, at, append(added, "Match "+match+t.end)...)
}

// shape is what a Match line asks for besides addresses.
func shape(criteria string) string {
	f := strings.Fields(strings.ToLower(criteria))
	for i := 1; i < len(f); i++ {
		if f[i-1] == "address" {
			f[i] = "*"
		}
	}
	return strings.Join(f, " ")
}
