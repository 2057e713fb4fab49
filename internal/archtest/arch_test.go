// Package archtest holds the rules of the house as tests: who may import whom, where dangerous imports live, and how
// large things may grow. The rules are those of STYLE.md and of the map in doc.go. Sources are parsed in-process, so
// that the result depends on the files alone.
package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/castellan-project/castellan"

// Budgets, for code that is not a table.
const (
	maxFileLines     = 500
	maxFunctionLines = 100
	maxMethods       = 5
	maxArguments     = 5
	maxChain         = 9
)

// layer returns the layer of a room; a room imports lower layers only.
func layer(pkg string) (int, bool) {
	layers := []struct {
		prefix string
		layer  int
	}{
		{"cmd", 8}, {"internal/cli", 7}, {"internal/daemon", 6}, {"internal/webui", 6}, {"internal/config", 5},
		{"internal/posture", 4}, {"internal/access", 4}, {"internal/detection", 4},
		{"internal/change", 3}, {"internal/pvetest", 3}, {"internal/inventory", 2}, {"internal/audit", 2},
		{"internal/api", 1}, {"internal/pve", 1}, {"internal/debian", 1}, {"internal/vmx", 1}, {"internal/vsphere", 1},
		{"internal/expr", 1}, {"internal/nft", 1}, {"internal/store", 1},
		{"internal/host", 0}, {"internal/netset", 0}, {"internal/conffile", 0}, {"catalogue", 0},
	}
	for _, l := range layers {
		if pkg == l.prefix || strings.HasPrefix(pkg, l.prefix+"/") {
			return l.layer, true
		}
	}
	return 0, false
}

// room is the unit within which a child may import its ancestors.
func room(pkg string) string {
	parts := strings.Split(pkg, "/")
	if parts[0] == "internal" && len(parts) > 1 {
		return strings.Join(parts[:2], "/")
	}
	return parts[0]
}

type source struct {
	pkg, file string
	ast       *ast.File
	fset      *token.FileSet
	lines     int
	text      []byte
}

func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// sources parses all Go files; tests are included when asked for.
func sources(t *testing.T, tests bool) []source {
	t.Helper()
	dir := root(t)
	var out []source
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if slices.Contains([]string{".git", "testdata", "node_modules", "web", "dist", "bin"}, d.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") && !tests {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		out = append(out, source{pkg: path.Dir(rel), file: rel, ast: f, fset: fset, lines: strings.Count(string(text), "\n"), text: text})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) < 20 {
		t.Fatalf("only %d files found; the test looks at the wrong place", len(out))
	}
	return out
}

func imports(s source) []string {
	var out []string
	for _, i := range s.ast.Imports {
		p, _ := strconv.Unquote(i.Path.Value)
		out = append(out, p)
	}
	return out
}

func TestImportsGoDown(t *testing.T) {
	for _, s := range sources(t, false) {
		if strings.HasPrefix(s.pkg, "lab") {
			continue
		}
		from, ok := layer(s.pkg)
		if !ok {
			if s.pkg != "." {
				t.Errorf("%s: the room %s has no layer; give it one here and in doc.go", s.file, s.pkg)
			}
			continue
		}
		for _, imp := range imports(s) {
			if to, ok := strings.CutPrefix(imp, module+"/"); ok {
				if why := forbidden(s.pkg, to, from); why != "" {
					t.Errorf("%s imports %s: %s", s.file, to, why)
				}
			}
		}
	}
}

func forbidden(from, to string, fromLayer int) string {
	toLayer, ok := layer(to)
	switch {
	case !ok:
		return "the imported room has no layer"
	case forTests(to) && !forTests(from):
		return "a room for tests is imported by tests only"
	case room(from) == room(to):
		if strings.HasPrefix(from, to+"/") {
			return ""
		}
		return "inside a room a child imports its ancestors, never a sibling, and a parent never its child"
	case from == "internal/webui" && to != "internal/api":
		return "webui imports api only"
	case to == "internal/vsphere" && fromLayer < 6:
		return "vsphere is linked by cli and daemon only"
	case toLayer >= fromLayer:
		return "a room imports lower layers only"
	}
	return ""
}

// forTests reports whether a room serves tests, as net/http/httptest does: pvetest, hosttest, vctest.
func forTests(pkg string) bool { return strings.HasSuffix(pkg, "test") }

func TestImportChain(t *testing.T) {
	uses := map[string][]string{}
	for _, s := range sources(t, false) {
		for _, imp := range imports(s) {
			if to, ok := strings.CutPrefix(imp, module+"/"); ok && !slices.Contains(uses[s.pkg], to) {
				uses[s.pkg] = append(uses[s.pkg], to)
			}
		}
	}
	depth := map[string]int{}
	var walk func(pkg string) int
	walk = func(pkg string) int {
		if d, ok := depth[pkg]; ok {
			return d
		}
		d := 1
		for _, to := range uses[pkg] {
			d = max(d, walk(to)+1)
		}
		depth[pkg] = d
		return d
	}
	for pkg := range uses {
		if d := walk(pkg); d > maxChain {
			t.Errorf("the import chain below %s is %d long; %d is allowed", pkg, d, maxChain)
		}
	}
}

func TestDangerousImportsHaveOneHome(t *testing.T) {
	for _, s := range sources(t, false) {
		if strings.HasPrefix(s.pkg, "lab") {
			continue
		}
		for _, imp := range imports(s) {
			if imp == "os/exec" && room(s.pkg) != "internal/host" {
				t.Errorf("%s imports os/exec; programs are run by internal/host only", s.file)
			}
		}
		ast.Inspect(s.ast, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			x, ok := sel.X.(*ast.Ident)
			if !ok {
				return true
			}
			call := x.Name + "." + sel.Sel.Name
			switch {
			case call == "http.ListenAndServe" || call == "http.Serve" || call == "http.Server":
				if !slices.Contains([]string{"internal/daemon", "internal/access/webgate", "internal/pvetest"}, s.pkg) {
					t.Errorf("%s: HTTP servers live in daemon, access/webgate and pvetest", s.fset.Position(n.Pos()))
				}
			case call == "time.Now" || call == "time.Since" || call == "rand.Read":
				if !slices.Contains([]string{"internal/cli", "internal/daemon", "internal/host"}, room(s.pkg)) {
					t.Errorf("%s: %s; clock and randomness are arguments outside cli, daemon and host", s.fset.Position(n.Pos()), call)
				}
			}
			return true
		})
	}
}

func TestNoInit(t *testing.T) {
	for _, s := range sources(t, false) {
		for _, d := range s.ast.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s: init(); lists are explicit and nothing happens on import", s.fset.Position(f.Pos()))
			}
		}
	}
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	docs, pkgs := map[string]string{}, map[string]bool{}
	for _, s := range sources(t, false) {
		pkgs[s.pkg] = true
		if s.ast.Doc != nil && len(s.ast.Doc.Text()) > 60 {
			docs[s.pkg] = s.ast.Doc.Text()
		}
	}
	for p := range pkgs {
		if docs[p] == "" {
			t.Errorf("package %s has no doc comment that tells a newcomer what it is for", p)
		}
	}
}

// words that say nothing about what a type is.
func emptyWord(name string) bool {
	for _, w := range []string{"Manager", "Impl", "Helper", "Util", "Utils", "Common", "Info"} {
		if strings.HasSuffix(name, w) {
			return true
		}
	}
	return false
}

func TestNames(t *testing.T) {
	for _, s := range sources(t, false) {
		if slices.Contains([]string{"util", "utils", "common", "types", "helpers", "core", "misc"}, s.ast.Name.Name) {
			t.Errorf("%s: the package name %s says nothing", s.file, s.ast.Name.Name)
		}
		ast.Inspect(s.ast, func(n ast.Node) bool {
			if ts, ok := n.(*ast.TypeSpec); ok && emptyWord(ts.Name.Name) {
				t.Errorf("%s: the name %s says nothing", s.fset.Position(ts.Pos()), ts.Name.Name)
			}
			return true
		})
	}
}

func TestBudgets(t *testing.T) {
	for _, s := range sources(t, false) {
		if s.lines > maxFileLines && !isTable(s) {
			t.Errorf("%s has %d lines, over %d: the idea has split, so split the file", s.file, s.lines, maxFileLines)
		}
		ast.Inspect(s.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				checkFunc(t, s, n)
			case *ast.InterfaceType:
				if n.Methods != nil && len(n.Methods.List) > maxMethods {
					t.Errorf("%s: an interface of %d methods, over %d", s.fset.Position(n.Pos()), len(n.Methods.List), maxMethods)
				}
			}
			return true
		})
	}
}

func checkFunc(t *testing.T, s source, f *ast.FuncDecl) {
	t.Helper()
	from, to := s.fset.Position(f.Pos()).Line, s.fset.Position(f.End()).Line
	if n := to - from + 1; n > maxFunctionLines && !isTable(s) && !returnsTable(f) {
		t.Errorf("%s:%d: %s has %d lines, over %d", s.file, from, f.Name.Name, n, maxFunctionLines)
	}
	if strings.HasPrefix(f.Name.Name, "New") && f.Type.Params != nil && f.Type.Params.NumFields() > maxArguments {
		t.Errorf("%s:%d: %s takes %d arguments, over %d; use an Options struct", s.file, from, f.Name.Name, f.Type.Params.NumFields(), maxArguments)
	}
}

// isTable reports whether a file says of itself that it is a table of data.
func isTable(s source) bool { return strings.Contains(string(s.text), "\n//table:") }

// returnsTable reports whether a function is one composite literal.
func returnsTable(f *ast.FuncDecl) bool {
	if f.Body == nil || len(f.Body.List) != 1 {
		return false
	}
	r, ok := f.Body.List[0].(*ast.ReturnStmt)
	if !ok || len(r.Results) == 0 {
		return false
	}
	_, ok = r.Results[0].(*ast.CompositeLit)
	return ok
}

// TestRulesBite proves that the rules are able to fail.
func TestRulesBite(t *testing.T) {
	cases := []struct{ from, to string }{
		{"internal/posture", "internal/cli"}, {"internal/posture", "internal/access"},
		{"internal/debian/sshd", "internal/debian/apt"}, {"internal/posture", "internal/posture/collect"},
		{"internal/webui", "internal/host"}, {"internal/posture", "internal/vsphere"},
		{"internal/cli", "internal/pvetest"}, {"internal/cli", "internal/vsphere/vctest"}, {"internal/inventory", "internal/host/hosttest"},
	}
	for _, c := range cases {
		l, _ := layer(c.from)
		if forbidden(c.from, c.to, l) == "" {
			t.Errorf("%s may import %s", c.from, c.to)
		}
	}
	if l, _ := layer("internal/posture/collect"); forbidden("internal/posture/collect", "internal/posture", l) != "" {
		t.Error("a child may not import its parent")
	}
	if !emptyWord("HostManager") || emptyWord("Host") {
		t.Error("names are not checked")
	}
}
