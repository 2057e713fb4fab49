package host

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	sshconfig "github.com/kevinburke/ssh_config"
)

// resolved is a target after ~/.ssh/config has had its say.
type resolved struct {
	SSHTarget
	user    string
	address string // host:port to connect to
	known   string // host:port under which the host key is known
	home    string
	files   []string // private keys, in the order in which they are tried
	only    bool     // of the agent's keys use only those that files name
	jump    *SSHTarget
}

// resolve applies ~/.ssh/config as ssh does: HostName, User, Port, IdentityFile, IdentitiesOnly, HostKeyAlias and
// ProxyJump. What the user wrote on the command line goes first.
func (t SSHTarget) resolve() (resolved, error) {
	r := resolved{SSHTarget: t}
	var err error
	if r.home, err = homeOf(t.SSHOptions); err != nil {
		return r, err
	}
	get, err := configOf(filepath.Join(r.home, ".ssh", "config"), t.Host)
	if err != nil {
		return r, err
	}
	hostName := t.Host
	if h := get("HostName"); len(h) > 0 {
		hostName = strings.ReplaceAll(h[0], "%h", t.Host)
	}
	if r.user, err = firstUser(t.User, get("User")); err != nil {
		return r, err
	}
	port := strconv.Itoa(t.Port)
	if t.Port == 0 {
		port = "22"
		if p := get("Port"); len(p) > 0 {
			port = p[0]
		}
	}
	r.address = net.JoinHostPort(hostName, port)
	r.known = r.address
	if alias := append(nonEmpty(t.HostKeyAlias), get("HostKeyAlias")...); len(alias) > 0 {
		r.known = net.JoinHostPort(alias[0], "22")
	}
	if c := get("ProxyCommand"); len(c) > 0 && c[0] != "none" {
		return r, fmt.Errorf("~/.ssh/config reaches %s through a ProxyCommand, which is not supported: use ProxyJump", t.Host)
	}
	r.only = strings.EqualFold(strings.Join(get("IdentitiesOnly"), ""), "yes")
	r.files = r.identityFiles(get("IdentityFile"), hostName)
	if j := get("ProxyJump"); len(j) > 0 && j[0] != "none" {
		r.jump, err = jumpTarget(j[0], t.SSHOptions)
	}
	return r, err
}

// nonEmpty is a list of a word, or of none.
func nonEmpty(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

// configOf returns a function that looks up a keyword for a host.
func configOf(file, host string) (func(key string) []string, error) {
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return func(string) []string { return nil }, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the SSH configuration: %w", err)
	}
	cfg, err := sshconfig.DecodeBytes(b)
	if err != nil {
		return nil, fmt.Errorf("cannot use %s: %w", file, err)
	}
	return func(key string) []string {
		values, err := cfg.GetAll(host, key)
		if err != nil || len(values) == 0 || values[0] == "" {
			return nil
		}
		return values
	}, nil
}

func firstUser(written string, configured []string) (string, error) {
	if written != "" {
		return written, nil
	}
	if len(configured) > 0 {
		return configured[0], nil
	}
	me, err := user.Current()
	if err != nil {
		return "", fmt.Errorf("cannot find the present user's name (write ssh://user@host): %w", err)
	}
	return me.Username, nil
}

// identityFiles lists key files: those of the command line, else those of the configuration, else ssh's defaults.
func (r *resolved) identityFiles(configured []string, hostName string) []string {
	files := append(append([]string(nil), r.Identities...), configured...)
	if len(files) == 0 {
		for _, n := range []string{"id_ed25519", "id_ecdsa", "id_rsa"} {
			files = append(files, filepath.Join(r.home, ".ssh", n))
		}
	}
	expand := strings.NewReplacer("%d", r.home, "%h", hostName, "%r", r.user, "%%", "%")
	for i, f := range files {
		f = expand.Replace(f)
		if rest, ok := strings.CutPrefix(f, "~/"); ok {
			f = filepath.Join(r.home, rest)
		}
		files[i] = f
	}
	return files
}

// jumpTarget reads the value of ProxyJump: [user@]host[:port], one hop.
func jumpTarget(text string, o SSHOptions) (*SSHTarget, error) {
	if strings.Contains(text, ",") {
		return nil, fmt.Errorf("ProxyJump %s has several hops: only one is supported", text)
	}
	t, err := ParseSSH("ssh://" + strings.TrimPrefix(text, "ssh://"))
	if err != nil {
		return nil, fmt.Errorf("ProxyJump in ~/.ssh/config: %w", err)
	}
	t.SSHOptions = o
	t.HostKeyAlias = "" // that is the name of the host behind it
	return &t, nil
}
