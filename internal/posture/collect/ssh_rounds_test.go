package collect

import (
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/castellan-project/castellan/internal/host"
)

// rounds is a host that answers nothing before its next round, as one over SSH.
type rounds struct {
	host.Reader
	mu           sync.Mutex
	known, asked map[string]bool
	flushed      int
}

func (r *rounds) Prefetch(needs []host.Need) {
	for _, n := range needs {
		switch {
		case n.Read != "":
			list, _ := r.Reader.List(n.Read)
			for _, f := range list {
				r.asked["read "+f.Path] = true
			}
			r.asked["read "+n.Read] = true
		case n.List != "":
			r.asked["list "+n.List] = true
		case n.Stat != "":
			r.asked["stat "+n.Stat] = true
		default:
			r.asked["run "+n.Run.Name+fmt.Sprint(n.Run.Argv)] = true
		}
	}
}

func (r *rounds) Flush() (bool, error) {
	pending := len(r.asked) > 0
	for k := range r.asked {
		r.known[k] = true
	}
	r.asked = map[string]bool{}
	r.flushed++
	return pending, nil
}

func (r *rounds) ask(key string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known[key] {
		return nil
	}
	r.asked[key] = true
	return &host.Error{Op: "read", Path: key, Err: host.ErrPending}
}

func (r *rounds) ReadFile(name string) ([]byte, error) {
	if err := r.ask("read " + name); err != nil {
		return nil, err
	}
	return r.Reader.ReadFile(name)
}

func (r *rounds) Stat(name string) (host.File, error) {
	if err := r.ask("stat " + name); err != nil {
		return host.File{}, err
	}
	return r.Reader.Stat(name)
}

func (r *rounds) List(pattern string) ([]host.File, error) {
	if err := r.ask("list " + pattern); err != nil {
		return nil, err
	}
	return r.Reader.List(pattern)
}

func (r *rounds) Run(c host.Command) (host.Output, error) {
	if err := r.ask("run " + c.Name + fmt.Sprint(c.Argv)); err != nil {
		return host.Output{}, err
	}
	return r.Reader.Run(c)
}

// TestSSHNeedsThreeRounds: a remote host gives the same facts as a local one within the round trips of DESIGN.
func TestSSHNeedsThreeRounds(t *testing.T) {
	files := sshBase("Include /etc/ssh/sshd_config.d/*.conf\nBanner /etc/motd\nHostKey /etc/ssh/own_key\nAuthorizedKeysFile .ssh/authorized_keys /etc/ssh/keys/%u\n")
	files[".castellan/meta"] = sshTestMeta + "live yes\n0644 0:0 /run/sshd.pid 2026-11-20T10:00:00Z\n0600 0:0 /etc/ssh/sshd_config 2026-11-20T09:00:00Z\n"
	files["etc/passwd"] = sshTestPasswd + "eve:x:1002:1002::/srv/eve:/bin/bash\n"
	files["etc/hostname"] = "pve1\n"
	files["etc/corosync/corosync.conf"] = "nodelist {\n node {\n name: pve1\n nodeid: 1\n ring0_addr: 10.0.0.1\n }\n node {\n name: pve2\n nodeid: 2\n ring0_addr: 10.0.0.2\n }\n}\n"
	files["etc/ssh/sshd_config.d/a.conf"] = "PermitRootLogin no\n"
	files["etc/motd"] = "hello\n"
	files["etc/ssh/own_key"], files["etc/ssh/own_key.pub"] = "x", sshTestKey+" h\n"
	files["etc/shadow"] = "root:*:20000:0:99999:7:::\n"
	files["etc/sudoers"] = "%sudo ALL=(ALL:ALL) ALL\n@includedir /etc/sudoers.d\n"
	files["etc/sudoers.d/eve"] = "eve ALL=(ALL:ALL) ALL\n"
	files["srv/eve/.ssh/authorized_keys"] = sshTestKey + " eve\n"
	files["srv/eve/.ssh/id"] = "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n"
	files["etc/ssh/keys/ann"] = sshTestKey + " ann\n"
	files["run/sshd.pid"], files["proc/7/comm"] = "7\n", "sshd\n"
	files[".castellan/run/sshd-test"] = ""
	for _, s := range []string{"admin", "root-cluster", "root-elsewhere"} {
		files[".castellan/run/sshd-t-"+s] = "port 22\npermitrootlogin no\nhostkey /etc/ssh/own_key\nbanner /etc/motd\npidfile /run/sshd.pid\n" +
			"authorizedkeysfile .ssh/authorized_keys /etc/ssh/keys/%u\ntrustedusercakeys none\n"
	}
	tree := sshTree(t, files)
	local := sshCollect(t, tree, tree.Describe())
	r := &rounds{Reader: tree, known: map[string]bool{}, asked: map[string]bool{}}
	remote := sshCollect(t, r, tree.Describe())
	if d := cmp.Diff(local.SSHD, remote.SSHD); d != "" {
		t.Errorf("sshd: local -, remote +\n%s", d)
	}
	if d := cmp.Diff(local.SSHKeys, remote.SSHKeys); d != "" {
		t.Errorf("sshkeys: local -, remote +\n%s", d)
	}
	if r.flushed > MaxRounds {
		t.Errorf("%d rounds, at most %d are allowed", r.flushed, MaxRounds)
	}
	if !local.SSHD.HostKeys.IsKnown() || len(local.SSHKeys.Private.Value) != 1 || len(local.SSHKeys.Authorized.Value) != 2 {
		t.Errorf("the fixture proves too little: %+v %+v", local.SSHD.HostKeys, local.SSHKeys)
	}
}
