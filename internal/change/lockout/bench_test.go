package lockout

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/host"
)

// Keys made for tests by ssh-keygen, with the fingerprints that it printed.
const (
	edKey   = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExZNr2W80QWLYaKGvjOqwW3+ol6XIA/wKf9Ne10gPpI ann@desk"
	edPrint = "SHA256:IuvscMyPNFe+TaNefJ+w5TvJu4tFNVN28Hc5moP74DU"

	rsaKey   = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQCmbrL2AbOWY777QwzYo4rpqp7phTg39h18eaFDeCPZzpVly1gMfQib3/0bgvrWyQp3WViotKXGscI37nnmmG/iVNQKMnfEPQZr3p0IkBFTF/E1xoQsGZcN5NnnHLMWnYvQSW6qf+xDA26sPc6viwMGrWEmINCxL2+YUH/74gUxIy8CfDKsfYaIe6JIa6ND7r8rv8gdDFKDaoCdSK+fvs+DBtGNN1GNNkv1z+RhFxfpvM2+NUtMD04QGHbg3ZjKEO8Bc4Y8i4QNIRcBejM+VBSy+1HCpu2u8KHr5lsuP11WG6O9r8/9meS+oxTqXum16mSk5Ed7htaHxvuUyoPewg3L"
	rsaPrint = "SHA256:THOKybiRX+DWl7dXcIdPnYoRKqftAfM03cPpdBzGFXc"
)

var testNow = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// files are a host by path; a value of "-" takes a file away.
type files map[string]string

// debian is a host with root (key and password), ann (key, password, sudo), bob (password) and cleo (key, no login).
func debian() files {
	return files{
		"/etc/os-release":      "VERSION_CODENAME=trixie\n",
		"/etc/hostname":        "alpha\n",
		"/etc/hosts":           "192.0.2.1 alpha.example.org alpha\n",
		"/etc/ssh/sshd_config": "Include /etc/ssh/sshd_config.d/*.conf\nUsePAM yes\nPermitRootLogin yes\nKbdInteractiveAuthentication no\nSubsystem sftp /usr/lib/openssh/sftp-server\n",
		"/etc/passwd": "root:x:0:0:root:/root:/bin/bash\nann:x:1000:1000::/home/ann:/bin/bash\nbob:x:1001:1001::/home/bob:/bin/bash\n" +
			"cleo:x:1002:1002::/home/cleo:/usr/sbin/nologin\n",
		"/etc/group": "root:x:0:\nsudo:x:27:ann\nann:x:1000:\nbob:x:1001:\ncleo:x:1002:\nstaff:x:50:ann,bob\n",
		"/etc/shadow": "root:$y$j9T$ab$cd:20000:0:99999:7:::\nann:$y$j9T$ab$cd:20000:0:99999:7:::\nbob:$y$j9T$ab$cd:20000:0:99999:7:::\n" +
			"cleo:!:20000:0:99999:7:::\n",
		"/etc/sudoers":                   "Defaults env_reset\nroot ALL=(ALL:ALL) ALL\n%sudo ALL=(ALL:ALL) ALL\n",
		"/root/.ssh/authorized_keys":     edKey + "\n",
		"/home/ann/.ssh/authorized_keys": "# keys\n" + edKey + "\n" + rsaKey + " ann@old\n",
		"/etc/pam.d/sshd":                "@include common-auth\naccount required pam_nologin.so\n@include common-account\n",
		"/etc/pam.d/sudo":                "@include common-auth\n@include common-account\n",
		"/etc/pam.d/su":                  "auth sufficient pam_rootok.so\n@include common-auth\n",
		"/etc/pam.d/common-auth":         "auth [success=1 default=ignore] pam_unix.so nullok\nauth requisite pam_deny.so\nauth required pam_permit.so\n",
		"/etc/pam.d/common-account":      "account [success=1 new_authtok_reqd=done default=ignore] pam_unix.so\naccount requisite pam_deny.so\naccount required pam_permit.so\n",
	}
}

func (f files) with(more files) files {
	out := maps.Clone(f)
	maps.Copy(out, more)
	return out
}

func (f files) memory() *host.Memory {
	m := &host.Memory{Files: map[string][]byte{}, Errs: map[string]error{}, Answers: map[string][]byte{}}
	for name, text := range f {
		if text == "unreadable" {
			m.Errs[name] = host.ErrTooLarge
			continue
		}
		if text != "-" {
			m.Files[name] = []byte(text)
		}
	}
	return m
}

// caseOf is a window that puts the changed files on a host.
func caseOf(before, changed files, operators ...change.Operator) change.Case {
	after := before.with(changed)
	return change.Case{Before: before.memory(), After: after.memory(), Target: host.Description{Kind: "local", Live: true, Root: true, Now: testNow},
		Window: "host", Paths: slices.Sorted(maps.Keys(changed)), Operators: operators, Now: testNow}
}

// drop is the drop-in that most tests write.
func drop(lines ...string) files {
	return files{"/etc/ssh/sshd_config.d/00-castellan.conf": strings.Join(lines, "\n") + "\n"}
}

// operators of tests.
func rootByKey() change.Operator {
	return change.Operator{User: "root", Address: "192.0.2.10", Port: 22, Local: "192.0.2.1", Key: edPrint, Method: "publickey", Session: true}
}

func byWord(user string) change.Operator {
	return change.Operator{User: user, Address: "192.0.2.10", Port: 22, Local: "192.0.2.1", Method: "password", Session: true}
}

func named(user, from string) change.Operator {
	return change.Operator{User: user, Address: from}
}

// wanted is what a verdict must be: admitted or not, and parts of its text (Reason and Add).
type wanted struct {
	admitted bool
	parts    []string
}

func yes(parts ...string) wanted { return wanted{true, parts} }
func no(parts ...string) wanted  { return wanted{false, parts} }

func (w wanted) check(t *testing.T, v []change.Verdict) {
	t.Helper()
	if len(v) != 1 {
		t.Fatalf("%d verdicts: %+v", len(v), v)
	}
	text := v[0].Reason + " | " + v[0].Add
	if v[0].Admitted != w.admitted {
		t.Fatalf("admitted is %t: %s", v[0].Admitted, text)
	}
	for _, p := range w.parts {
		if !strings.Contains(text, p) {
			t.Errorf("%q is not in: %s", p, text)
		}
	}
	if v[0].Reason == "" || !v[0].Admitted && strings.Contains(text, "$y$") {
		t.Errorf("the verdict has no reason, or a secret: %+v", v[0])
	}
}
