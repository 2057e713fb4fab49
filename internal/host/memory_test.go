package host_test

import (
	"errors"
	"io/fs"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/castellan-project/castellan/internal/host"
)

func TestMemory(t *testing.T) {
	m := &host.Memory{
		Files:   map[string][]byte{"/etc/pve/user.cfg": []byte("x"), "/etc/pve/nodes/a/lxc/100.conf": nil, "/etc/pve/nodes/b/lxc/101.conf": nil},
		Dirs:    []string{"/etc/pve/nodes/empty"},
		Errs:    map[string]error{"/etc/pve/domains.cfg": fs.ErrPermission},
		Answers: map[string][]byte{"pvesh-version": []byte("{}")},
	}
	paths := func(pattern string) []string {
		t.Helper()
		fs, err := m.List(pattern)
		if err != nil {
			t.Fatal(err)
		}
		out := []string{}
		for _, f := range fs {
			out = append(out, f.Path)
		}
		return out
	}
	for pattern, want := range map[string][]string{
		"/etc/pve/nodes/*":            {"/etc/pve/nodes/a", "/etc/pve/nodes/b", "/etc/pve/nodes/empty"},
		"/etc/pve/nodes/*/lxc/*.conf": {"/etc/pve/nodes/a/lxc/100.conf", "/etc/pve/nodes/b/lxc/101.conf"},
		"/etc/pve/nodes/a/**":         {"/etc/pve/nodes/a/lxc", "/etc/pve/nodes/a/lxc/100.conf"},
		"/etc/pve/user.cfg":           {"/etc/pve/user.cfg"},
		"/nowhere/*":                  {},
	} {
		if d := cmp.Diff(want, paths(pattern)); d != "" {
			t.Errorf("%s: %s", pattern, d)
		}
	}
	if _, err := m.List("etc"); err == nil {
		t.Error("a relative pattern is accepted")
	}
	if st, err := m.Stat("/etc/pve/"); err != nil || st.Type != host.Dir {
		t.Errorf("%v %v", st, err)
	}
	if st, err := m.Stat("/etc/pve/user.cfg"); err != nil || st.Type != host.Regular || st.Size != 1 {
		t.Errorf("%v %v", st, err)
	}
	if _, err := m.ReadFile("/etc/pve"); !errors.Is(err, host.ErrNotRegular) {
		t.Error(err)
	}
	if _, err := m.ReadFile("/etc/pve/other"); !host.NotExist(err) {
		t.Error(err)
	}
	if _, err := m.ReadFile("/etc/pve/domains.cfg"); !host.Denied(err) {
		t.Error(err)
	}
	if out, err := m.Run(host.Command{Name: "pvesh-version"}); err != nil || string(out.Stdout) != "{}" {
		t.Error(out, err)
	}
	if _, err := m.Run(host.Command{Name: "other"}); !errors.Is(err, host.ErrUnavailable) {
		t.Error(err)
	}
}
