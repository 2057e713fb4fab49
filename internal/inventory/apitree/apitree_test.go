package apitree_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/inventory"
	"github.com/castellan-project/castellan/internal/inventory/apitree"
	"github.com/castellan-project/castellan/internal/pve/client"
	"github.com/castellan-project/castellan/internal/pvetest"
)

const auditor = "audit@pve!castellan"

// estate is a copy of the sample estate with an auditor's token and one more, which may see a single guest.
func estate(t testing.TB, more ...string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../../../examples/estate")); err != nil {
		t.Fatal(err)
	}
	lines := append([]string{"user:audit@pve:1:0:::::", "token:" + auditor + ":0:0::", "user:half@pve:1:0:::::", "token:half@pve!only:0:0::",
		"acl:1:/:audit@pve:PVEAuditor:", "acl:1:/vms/100:half@pve:PVEAuditor:"}, more...)
	name := filepath.Join(dir, "etc/pve/user.cfg")
	old, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, append(old, []byte("\n"+strings.Join(lines, "\n")+"\n")...), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

func serve(t testing.TB, dir string, change func(*pvetest.Options)) *pvetest.Server {
	t.Helper()
	d, err := host.OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	o := pvetest.Options{Tree: d, Now: time.Now, Tokens: map[string]string{auditor: "s3cret-1", "half@pve!only": "s3cret-2"}}
	if change != nil {
		change(&o)
	}
	s, err := pvetest.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func open(t testing.TB, s *pvetest.Server, token string) *apitree.Tree {
	t.Helper()
	c, err := client.New(client.Options{Host: s.Addr(), Token: token, CA: s.Pool(), Sleep: func(context.Context, time.Duration) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	tree, err := apitree.Open(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func read(t testing.TB, r host.Reader) *inventory.Cluster {
	t.Helper()
	c, err := inventory.Read(r, 0)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestSameInventory holds that a tree read directly and the same tree read through the API are the same cluster.
func TestSameInventory(t *testing.T) {
	dir := estate(t)
	d, err := host.OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	direct := read(t, d)
	tree := open(t, serve(t, dir, nil), auditor+"=s3cret-1")
	if unread := tree.Unread(); len(unread) > 0 {
		t.Errorf("unread: %v", unread)
	}
	viaAPI := read(t, tree)
	if viaAPI.ListErr != nil {
		t.Error(viaAPI.ListErr)
	}
	want, got := dump(direct), dump(viaAPI)
	for _, l := range want {
		if _, ok := slices.BinarySearch(got, l); !ok && !explained(l) {
			t.Errorf("only in the files: %s", l)
		}
	}
	for _, l := range got {
		if _, ok := slices.BinarySearch(want, l); !ok && !explained(l) {
			t.Errorf("only through the API: %s", l)
		}
	}
}

// dump writes the exported parts of a value, one a line, without what only files have.
func dump(v any) []string {
	var out []string
	var walk func(at string, v reflect.Value)
	walk = func(at string, v reflect.Value) {
		if s, ok := v.Interface().(fmt.Stringer); ok && v.Kind() != reflect.Pointer {
			out = append(out, at+" = "+s.String())
			return
		}
		switch v.Kind() {
		case reflect.Pointer, reflect.Interface:
			if !v.IsNil() {
				walk(at, v.Elem())
			}
		case reflect.Struct:
			for i := range v.NumField() {
				f := v.Type().Field(i)
				if f.IsExported() && !onlyInFiles(f.Name) {
					walk(at+"."+f.Name, v.Field(i))
				}
			}
		case reflect.Slice:
			for i := range v.Len() {
				walk(fmt.Sprintf("%s[%s]", at, label(v.Index(i), i)), v.Index(i))
			}
		case reflect.Map:
			for _, k := range v.MapKeys() {
				walk(fmt.Sprintf("%s[%v]", at, k), v.MapIndex(k))
			}
		default:
			if !v.IsZero() {
				out = append(out, fmt.Sprintf("%s = %v", at, v.Interface()))
			}
		}
	}
	walk("", reflect.ValueOf(v))
	slices.Sort(out)
	return out
}

// explained are differences that have to be: property strings in another order, what the API conceals, the directory of a node that is
// gone, and how many recovery keys are left.
func explained(l string) bool {
	for _, part := range []string{".Settings[migration].", ".DHCPRanges[", "[cipassword]", "[pve0]", ".RecoveryKeys ", ".SDN.Value.Version "} {
		if strings.Contains(l, part) {
			return true
		}
	}
	return false
}

// label names an element by its key where it has one, because the order of settings means nothing.
func label(v reflect.Value, i int) string {
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	for _, name := range []string{"Key", "Name"} {
		if v.Kind() == reflect.Struct && v.FieldByName(name).IsValid() && v.FieldByName("Rules").Kind() == reflect.Invalid {
			return v.FieldByName(name).String()
		}
	}
	return fmt.Sprint(i)
}

// onlyInFiles are parts that the API cannot tell or tells in another form without another meaning.
func onlyInFiles(name string) bool {
	switch name {
	case "Line", "Problems", "File", "Absent", "Path", "Here", "Written", "Quorum", "Network", "Pending", "Strict":
		return true
	}
	return false
}
