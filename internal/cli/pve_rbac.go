package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/inventory"
	"github.com/castellan-project/castellan/internal/inventory/rbac"
	"github.com/castellan-project/castellan/internal/pve"
	"github.com/castellan-project/castellan/internal/pve/usercfg"
)

const userCfg = "/etc/pve/user.cfg"

// principals is what questions about permissions need: one file, and which release reads it.
type principals struct {
	engine   *rbac.Engine
	problems []pve.Problem
}

// withPrincipals reads user.cfg, and nothing else of the cluster, and hands it to use.
func (a *app) withPrincipals(ctx context.Context, e *estateFlags, use func(*principals, *opened) error) error {
	return a.withEstate(ctx, e, func(o *opened) error {
		p, err := readPrincipals(o.reader, e.release)
		if err != nil {
			if host.NotExist(err) {
				err = fmt.Errorf("%s holds no etc/pve/user.cfg; is it a Proxmox VE node, or a copy of one?", e.name())
			}
			return exit(ExitTarget, err)
		}
		return use(p, o)
	})
}

func readPrincipals(r host.Reader, release int) (*principals, error) {
	if b, ok := r.(host.Batcher); ok {
		b.Prefetch([]host.Need{{Read: userCfg}, {Read: "/etc/os-release"}, {Read: "/usr/lib/os-release"}})
		if _, err := b.Flush(); err != nil {
			return nil, err
		}
	}
	text, err := r.ReadFile(userCfg)
	if err != nil {
		return nil, err
	}
	if release == 0 {
		release = releaseOf(r)
	}
	cfg, problems := usercfg.Parse(text, release)
	engine, err := rbac.New(cfg)
	if err != nil {
		return nil, err
	}
	return &principals{engine, problems}, nil
}

// releaseOf tells the major version of PVE from the Debian release: 8 is on Debian 12. What cannot be told is 9.
func releaseOf(r host.Reader) int {
	for _, name := range []string{"/etc/os-release", "/usr/lib/os-release"} {
		b, err := r.ReadFile(name)
		if err != nil {
			continue
		}
		for _, l := range host.Lines(b) {
			if k, v, _ := strings.Cut(l, "="); k == "VERSION_ID" && strings.Trim(v, `"'`) == "12" {
				return 8
			}
		}
	}
	return 9
}

// tellProblems names the lines of user.cfg that PVE does not take as they stand.
func (a *app) tellProblems(p *principals) {
	const most = 5
	for i, x := range p.problems {
		if i == most {
			fmt.Fprintf(a.err, "castellan: and %d more lines of user.cfg that PVE warns about\n", len(p.problems)-most)
			break
		}
		fmt.Fprintf(a.err, "castellan: user.cfg:%d: %s (%s)\n", x.Line, safe(x.Text), x.Effect)
	}
	for _, n := range p.engine.Config().Notes {
		fmt.Fprintf(a.err, "castellan: user.cfg:%d: %s\n", n.Line, safe(n.Text))
	}
}

// safe shows text of a host on a terminal: control characters and broken UTF-8 are escaped.
func safe(s string) string {
	if utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return s
	}
	q := strconv.Quote(s)
	return q[1 : len(q)-1]
}

// table prints columns of equal width, two blanks apart; the last one is wrapped to the width of the screen.
type table struct {
	rows [][]string
}

func (t *table) add(cells ...string) {
	for i := range cells {
		cells[i] = safe(cells[i])
	}
	t.rows = append(t.rows, cells)
}

// maxColumn keeps one long name from pushing the others off the screen, in characters.
const maxColumn = 36

func (t *table) print(w io.Writer, width int) {
	if width <= 0 {
		width = 80
	}
	var columns []int
	for _, row := range t.rows {
		for i, c := range row[:len(row)-1] {
			if i == len(columns) {
				columns = append(columns, 0)
			}
			columns[i] = max(columns[i], min(utf8.RuneCountInString(c), maxColumn))
		}
	}
	indent := 0
	for _, c := range columns {
		indent += c + 2
	}
	var b bytes.Buffer
	for _, row := range t.rows {
		for i, c := range row[:len(row)-1] {
			b.WriteString(c)
			b.WriteString(strings.Repeat(" ", max(columns[i]-utf8.RuneCountInString(c), 0)+2))
		}
		lines := fold(row[len(row)-1], max(width-indent, 24))
		for i, l := range lines {
			if i > 0 {
				b.WriteString(strings.Repeat(" ", indent))
			}
			b.WriteString(l + "\n")
		}
	}
	for l := range strings.Lines(b.String()) {
		fmt.Fprintln(w, strings.TrimRight(l, " \n"))
	}
}

// fold breaks text at blanks; a word that is longer than a line stays whole.
func fold(s string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(s) {
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) <= width:
			line += " " + word
		default:
			lines = append(lines, line)
			line = word
		}
	}
	return append(lines, line)
}

// columns is how wide output may be.
func (a *app) columns() int {
	if tty, width := terminal(a.out); tty && width > 0 {
		return min(width, maxWidth)
	}
	return 80
}

// privilege finds a privilege of a release by name, in any case; else it names those that look like it.
func privilege(name string, release int) (usercfg.Privs, string, error) {
	all := usercfg.Privileges(release)
	for _, p := range all {
		if strings.EqualFold(p, name) {
			set, _ := usercfg.PrivOf(p)
			return set, p, nil
		}
	}
	hint := nearest(name, all)
	if p, ok := usercfg.PrivOf(name); ok && p != 0 {
		return 0, "", usage("the privilege %s does not exist in PVE %d; similar are %s", name, release, hint)
	}
	return 0, "", usage("there is no privilege %q; did you mean %s?", name, hint)
}

// nearest returns the names that are most alike, by the number of letters to change.
func nearest(name string, all []string) string {
	const most = 3
	type near struct {
		name string
		far  int
	}
	var list []near
	lower := strings.ToLower(name)
	for _, n := range all {
		far := distance(lower, strings.ToLower(n))
		if lower != "" && strings.Contains(strings.ToLower(n), lower) {
			far = 0
		}
		list = append(list, near{n, far})
	}
	slices.SortStableFunc(list, func(a, b near) int { return a.far - b.far })
	var names []string
	for _, n := range list[:min(most, len(list))] {
		names = append(names, n.name)
	}
	return strings.Join(names, ", ")
}

// distance is the Levenshtein distance. Long input is cut: no name is longer than 60 bytes.
func distance(a, b string) int {
	a = a[:min(len(a), 60)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// apiAnswer asks the API through the target: at a node by pvesh, over pve:// directly.
func apiAnswer(r host.Reader, resource string, v any) error {
	b, err := inventory.API(r, resource)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return errors.New("the answer to " + resource + " is no JSON of the form expected")
	}
	return nil
}
