package collect

import (
	"encoding/json"
	"io/fs"
	"path"
	"slices"
	"testing"
	"time"

	"github.com/castellan-project/castellan/internal/host"
)

// memory is a live host whose files and recorded commands stand in a map.
type memory map[string]string

func (m memory) ReadFile(name string) ([]byte, error) {
	if c, ok := m[name]; ok {
		return []byte(c), nil
	}
	return nil, &host.Error{Op: "read", Path: name, Err: fs.ErrNotExist}
}

func (m memory) Stat(name string) (host.File, error) {
	if c, ok := m[name]; ok {
		return host.File{Path: name, Type: host.Regular, Mode: 0o600, Size: int64(len(c))}, nil
	}
	if name == "/home/ann/.ssh" {
		return host.File{Path: name, Type: host.Dir, Mode: 0o700}, nil
	}
	return host.File{}, &host.Error{Op: "stat", Path: name, Err: fs.ErrNotExist}
}

func (m memory) List(pattern string) ([]host.File, error) {
	var out []host.File
	for name := range m {
		if ok, err := path.Match(pattern, name); err != nil {
			return nil, err
		} else if ok {
			out = append(out, host.File{Path: name, Type: host.Regular, Mode: 0o600})
		}
	}
	slices.SortFunc(out, func(a, b host.File) int { return len(a.Path) - len(b.Path) })
	return out, nil
}

func (m memory) Run(c host.Command) (host.Output, error) {
	if out, ok := m["run "+c.Name]; ok {
		return host.Output{Stdout: []byte(out)}, nil
	}
	return host.Output{}, &host.Error{Op: "run", Path: c.Name, Err: host.ErrUnavailable}
}

// FuzzSSH feeds hostile files and answers to the collectors: whatever they hold, facts come out and can be written.
func FuzzSSH(f *testing.F) {
	f.Add("PermitRootLogin no\n", "auth required pam_wheel.so group=sudo\n", "permitrootlogin no\nmaxstartups 1:2:3\n", "1795165200.5 h sshd[1]: Accepted publickey for ann from x\n")
	f.Add("Include *\nMatch Group a\n", "# pam_wheel.so", "maxauthtries x\nmaxstartups\n", "99999999999999999999 h sshd[1]: Accepted password for ann from x")
	f.Add("\x00\xff", "\xff", "\xfe \xff\n", "\x00")
	f.Fuzz(func(t *testing.T, config, text, answer, journal string) {
		m := memory{
			"/etc/ssh/sshd_config": config, "/etc/ssh/sshd_config.d/a.conf": text, "/etc/passwd": sshTestPasswd, "/etc/group": sshTestGroup,
			"/var/lib/dpkg/status": sshTestStatus, "/etc/pam.d/su": text, "/etc/shadow": "root:$y$x:20000:0:99999:7:::\n", "/etc/sudoers": text,
			"/etc/pve/firewall/cluster.fw": text, "/etc/hosts.deny": text, "/etc/corosync/corosync.conf": text, "/run/sshd.pid": text,
			"/var/log/wtmp": text, "/var/log/lastlog": text, "/home/ann/.ssh/authorized_keys": text, "/home/ann/.ssh/id": text,
			"run sshd-t-admin": answer, "run sshd-t-root-elsewhere": answer, "run ssh-accepted": journal,
		}
		facts := sshCollect(t, m, host.Description{Live: true, Root: true, Now: time.Unix(1795166000, 0)})
		if _, err := json.Marshal(facts); err != nil {
			t.Errorf("facts cannot be written: %v", err)
		}
	})
}
