package report

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/castellan-project/castellan/internal/posture"
)

// xsd is the part of XML Schema that testdata/schemas/junit.xsd uses: elements that are sequences of other elements,
// or text, with attributes of simple types.
type xsd struct {
	Elements []xsdElement `xml:"element"`
}

type xsdElement struct {
	Name     string         `xml:"name,attr"`
	Children []xsdChild     `xml:"complexType>sequence>element"`
	Attrs    []xsdAttribute `xml:"complexType>attribute"`
	Text     []xsdAttribute `xml:"complexType>simpleContent>extension>attribute"`
}

type xsdChild struct {
	Ref  string `xml:"ref,attr"`
	Name string `xml:"name,attr"`
	Max  string `xml:"maxOccurs,attr"`
}

type xsdAttribute struct {
	Name string `xml:"name,attr"`
	Type string `xml:"type,attr"`
	Use  string `xml:"use,attr"`
}

func readXSD(t *testing.T) xsd {
	t.Helper()
	b, err := os.ReadFile("testdata/schemas/junit.xsd")
	if err != nil {
		t.Fatal(err)
	}
	var x xsd
	if err := xml.Unmarshal(b, &x); err != nil {
		t.Fatal(err)
	}
	return x
}

// node is an element of a document.
type node struct {
	name     string
	attrs    map[string]string
	children []*node
	text     string
}

// parseXML reads a document, strictly.
func parseXML(doc string) (*node, error) {
	d := xml.NewDecoder(strings.NewReader(doc))
	root := &node{}
	stack := []*node{root}
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		top := stack[len(stack)-1]
		switch tok := tok.(type) {
		case xml.StartElement:
			n := &node{name: tok.Name.Local, attrs: map[string]string{}}
			for _, a := range tok.Attr {
				n.attrs[a.Name.Local] = a.Value
			}
			top.children = append(top.children, n)
			stack = append(stack, n)
		case xml.EndElement:
			stack = stack[:len(stack)-1]
		case xml.CharData:
			top.text += string(tok)
		case xml.Comment, xml.Directive:
			return nil, errors.New("a comment or directive")
		}
	}
	if len(root.children) != 1 {
		return nil, fmt.Errorf("%d roots", len(root.children))
	}
	return root.children[0], nil
}

func (x xsd) check(n *node) error {
	var e *xsdElement
	for i := range x.Elements {
		if x.Elements[i].Name == n.name {
			e = &x.Elements[i]
		}
	}
	if e == nil {
		return fmt.Errorf("no element %s", n.name)
	}
	if err := checkAttributes(n, append(e.Attrs, e.Text...)); err != nil {
		return err
	}
	if e.Text == nil && strings.TrimSpace(n.text) != "" {
		return fmt.Errorf("text in %s: %q", n.name, n.text)
	}
	place := 0
	counts := map[string]int{}
	for _, c := range n.children {
		for place < len(e.Children) && e.Children[place].Ref+e.Children[place].Name != c.name {
			place++
		}
		if place == len(e.Children) {
			return fmt.Errorf("%s is not allowed there in %s", c.name, n.name)
		}
		counts[c.name]++
		if e.Children[place].Max == "1" && counts[c.name] > 1 {
			return fmt.Errorf("more than one %s in %s", c.name, n.name)
		}
		if e.Children[place].Name != "" {
			continue // text only
		}
		if err := x.check(c); err != nil {
			return err
		}
	}
	return nil
}

func checkAttributes(n *node, want []xsdAttribute) error {
	patterns := map[string]string{
		"xs:string": `(?s).*`, "xs:nonNegativeInteger": `\d+`, "xs:decimal": `\d+(\.\d+)?`, "xs:dateTime": `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d`,
	}
	known := map[string]bool{}
	for _, a := range want {
		known[a.Name] = true
		v, ok := n.attrs[a.Name]
		if !ok {
			if a.Use == "required" {
				return fmt.Errorf("%s lacks %s", n.name, a.Name)
			}
			continue
		}
		if patterns[a.Type] == "" || !regexp.MustCompile("^("+patterns[a.Type]+")$").MatchString(v) {
			return fmt.Errorf("%s of %s is %q, no %s", a.Name, n.name, v, a.Type)
		}
	}
	for name := range n.attrs {
		if !known[name] {
			return fmt.Errorf("%s has no attribute %s", n.name, name)
		}
	}
	return nil
}

func TestJUnitSchema(t *testing.T) {
	x := readXSD(t)
	check := func(fatal func(string, ...any), doc string) {
		n, err := parseXML(doc)
		if err != nil {
			fatal("%v in\n%s", err, doc)
		}
		if err := x.check(n); err != nil {
			fatal("%v in\n%s", err, doc)
		}
	}
	for _, r := range []*posture.Report{sample(), fleet(), many(1000), {}, {Targets: []posture.TargetReport{{}, {Error: "x"}}}} {
		check(t.Fatalf, render(t, "junit", r, Options{}))
	}
	for _, h := range hostile() {
		check(t.Fatalf, render(t, "junit", filled(h), Options{}))
	}
	rapid.Check(t, func(t *rapid.T) {
		var b strings.Builder
		if err := Write(&b, "junit", anyReport(t), Options{}); err != nil {
			t.Fatal(err)
		}
		check(t.Fatalf, b.String())
	})
	for _, bad := range []string{
		`<testsuites/>`, `<other/>`, `<testcase name="a" classname="b" time="0"><skipped message="x"/><failure type="t" message="m"/></testcase>`,
		`<testcase name="a" classname="b" time="x"/>`, `<property name="a" value="b" more="c"/>`, `<properties>text</properties>`,
	} {
		n, err := parseXML(bad)
		if err != nil {
			t.Fatal(err)
		}
		if x.check(n) == nil {
			t.Errorf("the schema takes %s", bad)
		}
	}
}

func TestJUnitMapping(t *testing.T) {
	root, err := parseXML(render(t, "junit", fleet(), Options{}))
	if err != nil {
		t.Fatal(err)
	}
	totals := func(n *node) string {
		return n.attrs["tests"] + " " + n.attrs["failures"] + " " + n.attrs["errors"] + " " + n.attrs["skipped"]
	}
	got := map[string]string{"all": totals(root)}
	for _, s := range root.children {
		got[s.attrs["name"]] = totals(s)
		for _, c := range s.children {
			if c.name == "testcase" && len(c.children) > 0 && s.attrs["name"] == "local" {
				id, _, _ := strings.Cut(c.attrs["name"], " ")
				got[id] = c.attrs["classname"] + " " + c.children[0].name + " " + c.children[0].attrs["type"] + " " + c.children[0].attrs["message"]
			}
		}
	}
	delete(got, "SSH-01") // passes, with evidence as its output
	want := map[string]string{
		"all": "13 4 3 3", "local": "11 4 2 3", "ssh://root@pve2.example.org": "1 0 0 0", "ssh://root@pve3.example.org": "1 0 1 0",
		"SSH-06":  "castellan.ssh failure medium MaxAuthTries is 6; at most 4 is wanted",
		"SSH-02":  "castellan.ssh failure critical the waiver by Ada expired on 2026-10-31: PasswordAuthentication is yes for 198.51.100.7",
		"ACC-01":  "castellan.acc error fact-unreadable cannot read /etc/shadow: permission denied",
		"ACC-12":  "castellan.acc error fact-unreadable /etc/pam.d/common-password:3: malformed line",
		"BOOT-05": "castellan.boot skipped  manual: a person has to look, and nobody has attested it",
		"BOOT-08": "castellan.boot skipped  not applicable: the host has no UEFI firmware",
		"SYS-10":  "castellan.sys skipped  waived until 2027-01-31 by Grace: lab router",
		"SYS-9":   "castellan.sys failure low net.ipv4.conf.all.send_redirects is 1",
		"LOG-07":  "castellan.log failure info neither rsyslog nor journald forwards anything",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
