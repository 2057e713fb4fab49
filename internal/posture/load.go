package posture

import (
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/castellan-project/castellan/internal/expr"
)

// SourceError is a mistake in a file that a person wrote: a control, a profile, waivers.
type SourceError struct {
	File         string
	Line, Column int // from 1; 0 when the whole file is meant
	Text         string
	Hint         string // what to do instead
}

func (e *SourceError) Error() string {
	at := e.File
	if e.Line > 0 {
		at = fmt.Sprintf("%s:%d:%d", e.File, e.Line, e.Column)
	}
	s := at + ": " + e.Text
	if e.Hint != "" {
		s += "\n  hint: " + e.Hint
	}
	return s
}

// MaxControlFile bounds a control file, in bytes; the largest of ours has under 8 KiB.
const MaxControlFile = 256 << 10

var controlID = regexp.MustCompile(`^[A-Z][A-Z0-9]{1,9}-[0-9]{2,4}$`)

// ParseControl decodes one control strictly and checks it as a whole: its keys, its expressions and fact paths
// against the types of the facts, its remediation. File names it in errors, which are *SourceError.
func ParseControl(file string, src []byte, env *expr.Env) (Control, error) {
	var c Control
	if len(src) > MaxControlFile {
		return c, &SourceError{File: file, Text: "a control file of this size is not read", Hint: "write one control per file"}
	}
	if err := decodeStrict(file, src, &c); err != nil {
		return c, err
	}
	c.File = file
	normalise(c.Params)
	if c.Cluster != nil {
		normalise(c.Cluster.Params)
	}
	c.Group = strings.ToLower(strings.SplitN(c.ID, "-", 2)[0])
	v := validator{c: &c, env: env, src: source{file: file, src: src}}
	if err := v.all(); err != nil {
		return c, err
	}
	return c, nil
}

// decodeStrict decodes one YAML document; unknown keys are errors with their place.
func decodeStrict(file string, src []byte, into any) error {
	dec := yaml.NewDecoder(strings.NewReader(string(src)), yaml.Strict(), yaml.DisallowUnknownField())
	err := dec.Decode(into)
	if err == nil || errors.Is(err, io.EOF) {
		if errors.Is(err, io.EOF) {
			return &SourceError{File: file, Text: "the file is empty"}
		}
		return nil
	}
	var ye yaml.Error
	if errors.As(err, &ye) && ye.GetToken() != nil {
		p := ye.GetToken().Position
		hint := ""
		if strings.Contains(ye.GetMessage(), "unknown field") {
			hint = "the keys are described in CONTRIBUTING.md; castellan controls show SSH-06 prints an example"
		}
		return &SourceError{File: file, Line: p.Line, Column: p.Column, Text: ye.GetMessage(), Hint: hint}
	}
	return &SourceError{File: file, Text: "cannot read this as YAML: " + strings.SplitN(err.Error(), "\n", 2)[0]}
}

// source finds where a key of a YAML document stands.
type source struct {
	file string
	src  []byte
	doc  *ast.File
}

// at returns an error at the value of a YAML path ("$.check"), moved by a position inside the value.
func (s *source) at(yamlPath string, in *expr.Error, text, hint string) error {
	e := &SourceError{File: s.file, Text: text, Hint: hint}
	if s.doc == nil {
		s.doc, _ = parser.ParseBytes(s.src, 0)
	}
	p, err := yaml.PathString(yamlPath)
	if err != nil || s.doc == nil {
		return e
	}
	n, err := p.FilterFile(s.doc)
	if err != nil || n == nil {
		return e
	}
	if m, ok := n.(*ast.MappingNode); ok && len(m.Values) > 0 {
		n = m.Values[0].Key // the token of a mapping is its first colon
	}
	pos := n.GetToken().Position
	e.Line, e.Column = pos.Line, pos.Column
	if lit, ok := n.(*ast.LiteralNode); ok {
		// The text of a block starts on the line after its | or >, at the indentation of its first line.
		first := lit.Value.GetToken().Position
		e.Line, e.Column = pos.Line+1, max(first.Column, 1)
	}
	if in != nil {
		e.Line += in.Line - 1
		e.Column += in.Column - 1
	}
	return e
}

// validator checks a decoded control.
type validator struct {
	c   *Control
	env *expr.Env
	src source
}

func (v *validator) all() error {
	for _, check := range []func() error{v.identity, v.expressions, v.paths, v.remedies, v.references} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (v *validator) identity() error {
	c := v.c
	switch {
	case !controlID.MatchString(c.ID):
		return v.src.at("$.id", nil, fmt.Sprintf("the id %q is not of the form SSH-06", c.ID), "letters, a dash, two to four digits")
	case c.Title == "":
		return v.src.at("$.id", nil, "the control has no title", "say in one line what is wanted")
	case c.Severity.Rank() < 0:
		return v.src.at("$.severity", nil, fmt.Sprintf("the severity %q is not known", c.Severity), "critical, high, medium, low or info")
	case c.Level < 1 || c.Level > 3:
		return v.src.at("$.level", nil, "the level is not 1, 2 or 3", "1 baseline, 2 strict, 3 only where the effort is justified")
	case !slices.Contains([]string{"none", "session", "boot", "cluster"}, c.Lockout):
		return v.src.at("$.lockout", nil, fmt.Sprintf("the lock-out class %q is not known", c.Lockout), "none, session, boot or cluster")
	case c.Rationale == "":
		return v.src.at("$.id", nil, "the control has no rationale", "say in plain words what goes wrong without it")
	case c.Check == "" && c.Attest == nil:
		return v.src.at("$.id", nil, "the control has neither a check nor attest", "give a CEL check, or attest: {days: 365} with manual instructions")
	case c.Check != "" && c.Fail == "":
		return v.src.at("$.check", nil, "the control has no fail text", "fail: says in one line what is wrong, with {fact.paths}")
	case len(c.Remediation) == 0 && c.Manual == "":
		return v.src.at("$.id", nil, "the control has neither remediation nor manual", "give typed changes, or exact instructions and why they cannot be automated")
	case c.Attest != nil && (c.Attest.Days < 1 || c.Attest.Days > 1100):
		return v.src.at("$.attest.days", nil, "an attestation holds 1 to 1100 days", "")
	case len(c.Refs) == 0:
		return v.src.at("$.id", nil, "the control has no refs", "name the document and clause that asks for it; doc: castellan for our own")
	}
	return nil
}

// expressions compiles everything that is CEL, of the control and of its cluster variant.
func (v *validator) expressions() error {
	type item struct {
		path, src string
		kind      expr.Kind
	}
	items := []item{{"$.applies", v.c.Applies, expr.Bool}, {"$.check", v.c.Check, expr.Bool},
		{"$.needs", v.c.Needs, expr.Bool}, {"$.offenders", v.c.Offenders, expr.Strings}}
	if cl := v.c.Cluster; cl != nil {
		items = append(items, item{"$.cluster.check", cl.Check, expr.Bool}, item{"$.cluster.needs", cl.Needs, expr.Bool},
			item{"$.cluster.offenders", cl.Offenders, expr.Strings})
	}
	for _, it := range items {
		if it.src == "" {
			continue
		}
		if _, err := v.env.Compile(it.src, it.kind); err != nil {
			var ee *expr.Error
			if errors.As(err, &ee) {
				return v.src.at(it.path, ee, ee.Text, "facts are listed by: castellan controls facts")
			}
			return v.src.at(it.path, nil, err.Error(), "")
		}
		if err := v.params(it.path, it.src); err != nil {
			return err
		}
	}
	return nil
}

var paramUse = regexp.MustCompile(`\bparams\.([A-Za-z_][A-Za-z0-9_]*)`)

// params finds parameters that are used and not declared.
func (v *validator) params(yamlPath, text string) error {
	declared := v.c.Params
	if strings.HasPrefix(yamlPath, "$.cluster") && v.c.Cluster != nil {
		declared = mergeParams(declared, v.c.Cluster.Params)
	}
	for _, m := range paramUse.FindAllStringSubmatchIndex(text, -1) {
		name := text[m[2]:m[3]]
		if _, ok := declared[name]; !ok {
			in := &expr.Error{Line: 1 + strings.Count(text[:m[0]], "\n"), Column: m[0] - strings.LastIndex(text[:m[0]], "\n")}
			return v.src.at(yamlPath, in, fmt.Sprintf("params.%s is not declared", name), "add it under params: with its default")
		}
	}
	return nil
}

// paths checks evidence and the {paths} of texts.
func (v *validator) paths() error {
	check := func(where string, list []string) error {
		for i, p := range list {
			if _, err := v.env.ParsePath(p); err != nil {
				return v.src.at(fmt.Sprintf("%s[%d]", where, i), nil, err.Error(), "facts are listed by: castellan controls facts")
			}
		}
		return nil
	}
	texts := map[string]string{"$.fail": v.c.Fail}
	if err := check("$.evidence", v.c.Evidence); err != nil {
		return err
	}
	if cl := v.c.Cluster; cl != nil {
		texts["$.cluster.fail"] = cl.Fail
		if err := check("$.cluster.evidence", cl.Evidence); err != nil {
			return err
		}
	}
	for _, where := range sortedKeys(texts) {
		for _, p := range placeholders(texts[where]) {
			switch {
			case p == "offenders" || strings.HasPrefix(p, "params."):
				if err := v.params(where, p); err != nil {
					return err
				}
			default:
				if _, err := v.env.ParsePath(p); err != nil {
					return v.src.at(where, nil, err.Error(), "facts are listed by: castellan controls facts")
				}
			}
		}
	}
	return nil
}

func (v *validator) remedies() error {
	lists := map[string][]Remediation{"$.remediation": v.c.Remediation}
	if v.c.Cluster != nil {
		lists["$.cluster.remediation"] = v.c.Cluster.Remediation
	}
	for _, where := range sortedKeys(lists) {
		for i, r := range lists[where] {
			if err := r.Validate(); err != nil {
				return v.src.at(fmt.Sprintf("%s[%d].kind", where, i), nil, err.Error(), "CONTRIBUTING.md lists the kinds and their keys")
			}
			for _, text := range r.texts() {
				// Braces with anything but a parameter may be text: regular expressions and shell have them too.
				for _, p := range placeholders(text) {
					if !strings.HasPrefix(p, "params.") {
						continue
					}
					if err := v.params(fmt.Sprintf("%s[%d]", where, i), p); err != nil {
						return err
					}
				}
			}
		}
	}
	return nil
}

func (v *validator) references() error {
	docs := Documents()
	for i, r := range v.c.Refs {
		if docs[r.Doc] == "" && !strings.Contains(r.Doc, ":") {
			return v.src.at(fmt.Sprintf("$.refs[%d].doc", i), nil, fmt.Sprintf("the document %q is not known", r.Doc),
				"known are "+strings.Join(sortedKeys(docs), ", ")+"; your own documents are written own:name")
		}
	}
	return nil
}

var placeholder = regexp.MustCompile(`\{([^{}]+)\}`)

func placeholders(text string) []string {
	var out []string
	for _, m := range placeholder.FindAllStringSubmatch(text, -1) {
		out = append(out, m[1])
	}
	return out
}

// File is one file of a catalogue: its name with slashes, and its content.
type File struct {
	Name    string
	Content []byte
}

// ParseControls reads many control files; profiles are left out. Two controls with one id are an error. The result
// is sorted by group and id.
func ParseControls(files []File, env *expr.Env) ([]Control, error) {
	var controls []Control
	seen := map[string]string{}
	for _, f := range files {
		if path.Base(path.Dir(f.Name)) == "profiles" {
			continue
		}
		c, err := ParseControl(f.Name, f.Content, env)
		if err != nil {
			return nil, err
		}
		if other, ok := seen[c.ID]; ok {
			return nil, &SourceError{File: f.Name, Line: 1, Column: 1, Text: fmt.Sprintf("the id %s is taken by %s", c.ID, other),
				Hint: "ids are unique; choose a prefix of your own, such as ACME-01"}
		}
		seen[c.ID] = f.Name
		controls = append(controls, c)
	}
	SortControls(controls)
	return controls, nil
}

// KindAPI is the kind of targets that are read through the API of a cluster.
const KindAPI = "pve"

// KindVMX is the kind of targets that are a VMware virtual machine: a .vmx file, or one of vSphere.
const KindVMX = "vmx"

// judges reports whether the controls of a group say something about a kind of target.
func judges(kind, group string) bool {
	switch kind {
	case KindVMX:
		return group == "vmx"
	case KindAPI:
		return !HostGroup(group) && group != "vmx"
	}
	return group != "vmx"
}

// HostGroup reports whether the controls of a group are about one host rather than the cluster.
func HostGroup(group string) bool {
	return slices.Contains([]string{"ssh", "acc", "web", "ban", "upd", "sys", "svc", "boot", "log"}, group)
}

// Groups lists the groups in the order in which the catalogue is listed, and reports show groups that are equally bad.
func Groups() []string {
	return []string{"ssh", "acc", "web", "ban", "upd", "sys", "svc", "boot", "log",
		"iam", "fw", "net", "vm", "ct", "lif", "bak", "clu", "vmx"}
}

// GroupTitle names a group for people. A group that the catalogue does not have (user controls) keeps its name.
func GroupTitle(g string) string {
	titles := map[string]string{
		"ssh": "SSH", "acc": "Accounts, PAM and sudo", "web": "Web interface and API", "ban": "Brute-force defence",
		"upd": "Packages and updates", "sys": "Kernel and network parameters", "svc": "Services and local hardening",
		"boot": "Boot, firmware and physical access", "log": "Logging and monitoring", "iam": "Identities and permissions",
		"fw": "Proxmox VE firewall", "net": "Networks", "vm": "Virtual machines", "ct": "Containers", "lif": "Life of guests",
		"bak": "Backups", "clu": "Cluster", "vmx": "VMware guests", "": "Other controls",
	}
	if t, ok := titles[g]; ok {
		return t
	}
	return g
}

// SortControls sorts by group, in the order of reports, and id.
func SortControls(cs []Control) {
	order := map[string]int{}
	for i, g := range Groups() {
		order[g] = i - len(Groups())
	}
	slices.SortFunc(cs, func(a, b Control) int {
		if d := order[a.Group] - order[b.Group]; d != 0 {
			return d
		}
		return strings.Compare(a.ID, b.ID)
	})
}
