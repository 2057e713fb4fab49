package cli

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/castellan-project/castellan/internal/host"
)

// envoy is castellan on another host, for one errand: the binary is put there, runs there as root, and is removed. So the host
// changes itself, and can take the change back when no connection is left.
type envoy struct {
	app    *app
	shell  *host.Shell
	name   string // the target as the user named it
	dir    string // where the binary lies
	state  string
	target host.SSHTarget
	hangUp context.CancelFunc // ends the connection, whatever it is doing
}

// sshFlags say how a host is reached that is changed.
type sshFlags struct {
	identities []string
	knownHosts string
}

func addSSHFlags(cmd *cobra.Command, f *sshFlags) {
	cmd.Flags().StringSliceVarP(&f.identities, "identity", "i", nil, "private key `file` for SSH (default: agent, then ~/.ssh/id_*)")
	cmd.Flags().StringVar(&f.knownHosts, "known-hosts", "", "known_hosts `file` (default: ~/.ssh/known_hosts and /etc/ssh/ssh_known_hosts)")
}

// sshTarget names a host and how it is reached.
func (a *app) sshTarget(name string, f *sshFlags) (host.SSHTarget, error) {
	t, err := host.ParseSSH(name)
	if err != nil {
		return t, usage("%w", err)
	}
	t.AgentSocket, t.Home, t.Identities, t.Passphrase = a.env("SSH_AUTH_SOCK"), a.env("HOME"), f.identities, a.passphrase
	if f.knownHosts != "" {
		t.KnownHosts = []string{f.knownHosts}
	}
	return t, nil
}

// sendEnvoy connects to a host and puts this binary there, below the state directory, where programs may run.
func (a *app) sendEnvoy(ctx context.Context, name, state string, f *sshFlags) (*envoy, error) {
	t, err := a.sshTarget(name, f)
	if err != nil {
		return nil, err
	}
	if !path.IsAbs(state) {
		return nil, usage("--state %s: the state directory of another host needs its whole path", state)
	}
	shell, err := host.DialShell(ctx, t)
	if err != nil {
		return nil, exit(ExitTarget, err)
	}
	e := &envoy{app: a, shell: shell, name: name, state: state, target: t, hangUp: func() {}}
	if err := e.settle(); err != nil {
		e.leave()
		return nil, exit(ExitTarget, fmt.Errorf("cannot run castellan on %s: %w", name, err))
	}
	return e, nil
}

// settle puts the binary in place and proves that it runs.
func (e *envoy) settle() error {
	var machine bytes.Buffer
	if code, err := e.shell.Run([]string{"uname", "-m"}, nil, &machine, io.Discard); err != nil || code != 0 {
		return errors.Join(err, fmt.Errorf("it does not tell what machine it is (code %d)", code))
	}
	if want, got := unameOf(runtime.GOARCH), strings.TrimSpace(machine.String()); got != want {
		return fmt.Errorf("it is a %s machine and this castellan is for %s", got, want)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	binary, err := os.Open(self)
	if err != nil {
		return err
	}
	defer binary.Close()
	var id [4]byte
	if _, err := rand.Read(id[:]); err != nil {
		return err
	}
	e.dir = path.Join(e.state, "errand-"+hex.EncodeToString(id[:]))
	if err := e.shell.Put(e.binary(), 0o700, binary); err != nil {
		return err
	}
	// Two buffers: both streams are read at the same time.
	var said, complaint bytes.Buffer
	code, err := e.shell.Run([]string{e.binary(), "--version"}, nil, &said, &complaint)
	if err != nil {
		return err
	}
	if code != 0 || !strings.Contains(said.String(), Version()) {
		return fmt.Errorf("it does not run there (%s); the file system of %s may forbid programs: name another directory with --state", clipped(said.String()+" "+complaint.String()), e.state)
	}
	return nil
}

func unameOf(arch string) string {
	if u, ok := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[arch]; ok {
		return u
	}
	return arch
}

// clipped is the beginning of what a host said, on one line.
func clipped(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	return s[:min(len(s), 200)]
}

func (e *envoy) binary() string { return path.Join(e.dir, "castellan") }

// leave removes what was put there and hangs up.
func (e *envoy) leave() {
	if e.dir != "" {
		if err := e.shell.Remove(e.dir); err != nil {
			fmt.Fprintf(e.app.err, "castellan: %v; remove %s there by hand\n", err, e.dir)
		}
	}
	e.shell.Close()
	e.hangUp()
}

// send puts a local file beside the binary and returns where it lies.
func (e *envoy) send(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	to := path.Join(e.dir, "files", strings.NewReplacer("/", "_", "..", "_").Replace(filepath.ToSlash(name)))
	return to, e.shell.Put(to, 0o600, f)
}

// sendTree puts the YAML files of a directory beside the binary.
func (e *envoy) sendTree(dir string) (string, error) {
	files, err := readTree(os.DirFS(dir))
	if err != nil {
		return "", err
	}
	to := path.Join(e.dir, "controls")
	for _, f := range files {
		if err := e.shell.Put(path.Join(to, f.Name), 0o600, bytes.NewReader(f.Content)); err != nil {
			return "", err
		}
	}
	return to, nil
}

// run runs castellan on the host: its standard output comes back, its messages go to ours.
func (e *envoy) run(args ...string) ([]byte, int, error) {
	var out bytes.Buffer
	code, err := e.shell.Run(append([]string{e.binary()}, args...), nil, &out, e.app.err)
	b := out.Bytes()
	// What a login script printed before our JSON is not ours.
	if i := bytes.IndexByte(b, '{'); i > 0 {
		b = b[i:]
	}
	return b, code, err
}
