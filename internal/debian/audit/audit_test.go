package audit

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	r := Parse([]byte("## c\n-w /old -p wa\n-D\n-b 8192\n-w /etc/pve/ -p wa -k pve\n-a always,exit -F arch=b64 -S init_module,delete_module -S finit_module -k modules\n-a always,exit -F path=/etc/sudoers -F perm=wa -F key=sudo\n-w /etc/read -p r\n-w /etc/all\n-a never,exit -F dir=/etc/skip -F perm=wa\n-e 2\n"))
	if diff := cmp.Diff([]string{"/etc/all", "/etc/pve", "/etc/sudoers"}, r.Watches()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"delete_module", "finit_module", "init_module"}, r.Syscalls()); diff != "" {
		t.Error(diff)
	}
	if r.Mode != "2" || r.Suppressed || r.List[0].Key != "pve" || r.List[0].Line != 5 {
		t.Errorf("%+v", r)
	}
	if !Parse([]byte("-a never,task\n")).Suppressed || !Parse([]byte("-a task,never\n")).Suppressed {
		t.Error("never,task switches recording off")
	}
	if got := Parse([]byte("No rules\n")); len(got.List) != 0 {
		t.Error(got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("-w /etc -p wa -k x\n-a always,exit -F path=/x -F perm=w -S all\n"))
	f.Add([]byte("-w\n-F =\n-S"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := Parse(b)
		for _, w := range r.Watches() {
			if w == "" {
				t.Fatal("an empty watch")
			}
		}
		r.Syscalls()
	})
}
