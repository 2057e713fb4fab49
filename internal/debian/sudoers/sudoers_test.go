package sudoers

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

type tree map[string]string

func (t tree) Read(p string) ([]byte, error) {
	if s, ok := t[p]; ok {
		return []byte(s), nil
	}
	return nil, fmt.Errorf("%s: %w", p, fs.ErrNotExist)
}

func (t tree) Dir(p string) ([]string, error) {
	var out []string
	for name := range t {
		if strings.HasPrefix(name, p+"/") {
			out = append(out, name)
		}
	}
	return out, nil
}

func TestParse(t *testing.T) {
	c, err := Parse("/etc/sudoers", tree{
		"/etc/sudoers": `# comment
Defaults	env_reset, !lecture
Defaults	secure_path="/usr/sbin:/usr/bin",use_pty # here
Defaults:ann !authenticate
Defaults timestamp_timeout = 5
User_Alias ADMINS = ann, %ops, OLD : OLD = bob
Cmnd_Alias SVC = /bin/systemctl restart a, /bin/systemctl \
   restart b
root	ALL=(ALL:ALL) ALL
%sudo	ALL=(ALL:ALL) ALL
ADMINS, !eve ALL = (root) NOPASSWD: SVC, PASSWD: NOEXEC: /usr/bin/vi : web = (:adm) /bin/x
#1000 ALL=(ALL) NOPASSWD:ALL
"dom\\user" ALL = ALL
@includedir /etc/sudoers.d
`,
		"/etc/sudoers.d/b":      "carl ALL=(www-data) /bin/a\\,b\n",
		"/etc/sudoers.d/README": "#\n",
		"/etc/sudoers.d/x.off":  "evil ALL=(ALL) ALL\n",
		"/etc/sudoers.d/y~":     "evil ALL=(ALL) ALL\n",
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Problems) != 0 {
		t.Error(c.Problems)
	}
	admins := []string{"ann", "%ops", "bob", "!eve"}
	want := []Rule{
		{Users: []string{"root"}, RunAs: []string{"ALL"}, Command: "ALL", Line: 9},
		{Users: []string{"%sudo"}, RunAs: []string{"ALL"}, Command: "ALL", Line: 10},
		{Users: admins, RunAs: []string{"root"}, Command: "/bin/systemctl restart a", NoPasswd: true, Line: 11},
		{Users: admins, RunAs: []string{"root"}, Command: "/bin/systemctl     restart b", NoPasswd: true, Line: 11},
		{Users: admins, RunAs: []string{"root"}, Command: "/usr/bin/vi", NoExec: true, Line: 11},
		{Users: admins, RunAs: []string{"(self)"}, Command: "/bin/x", Line: 11},
		{Users: []string{"#1000"}, RunAs: []string{"ALL"}, Command: "ALL", NoPasswd: true, Line: 12},
		{Users: []string{`"dom\\user"`}, RunAs: []string{"root"}, Command: "ALL", Line: 13},
		{Users: []string{"carl"}, RunAs: []string{"www-data"}, Command: `/bin/a\,b`, Line: 1},
	}
	if diff := cmp.Diff(want, c.Rules, cmpopts.IgnoreFields(Rule{}, "File", "Hosts")); diff != "" {
		t.Error(diff)
	}
	if !c.Rules[0].Everything() || c.Rules[2].Everything() || c.Rules[5].Everything() {
		t.Error("wrong answers about rules")
	}
	if d, ok := c.Last("timestamp_timeout"); !ok || d.Value != "5" {
		t.Error(d)
	}
	if d, ok := c.Last("secure_path"); !ok || d.Value != "/usr/sbin:/usr/bin" {
		t.Error(d)
	}
	if d, ok := c.Last("use_pty"); !ok || d.Off {
		t.Error(d)
	}
	if _, ok := c.Last("authenticate"); ok {
		t.Error("a setting for one user is not global")
	}
	if d, ok := c.Last("lecture"); !ok || !d.Off {
		t.Error(d)
	}
}

func TestProblems(t *testing.T) {
	for _, bad := range []string{"ann ALL\n", "ann=ALL\n", "ann ALL=(root ALL\n", "User_Alias X\n", "Defaults !\n", "ann ALL=NOPASSWD:\n", "@include /etc/sudoers\n"} {
		c, err := Parse("/etc/sudoers", tree{"/etc/sudoers": bad})
		if err != nil || len(c.Problems) == 0 {
			t.Errorf("%q: %v %+v", bad, err, c)
		}
	}
	if _, err := Parse("/etc/sudoers", tree{"/etc/sudoers": "@include gone\n"}); err == nil {
		t.Error("a missing include is an error")
	}
}

func FuzzParse(f *testing.F) {
	f.Add("root ALL=(ALL:ALL) ALL\nUser_Alias A = B : B = A\nA ALL = A\n")
	f.Add("Defaults:a !x, y+=\"z\"\n#include /etc/sudoers.d/x\n")
	f.Add("Cmnd_Alias A=B,B,B:B=C,C,C:C=A,A\nx y=A:z=(")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := Parse("/etc/sudoers", tree{"/etc/sudoers": s, "/etc/sudoers.d/x": s})
		if err != nil {
			return
		}
		for _, r := range c.Rules {
			if r.Command == "" || r.Line == 0 {
				t.Fatalf("%+v", r)
			}
			r.Everything()
		}
	})
}
