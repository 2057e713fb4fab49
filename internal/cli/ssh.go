package cli

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/term"

	"github.com/castellan-project/castellan/internal/host"
)

// remoteTimeout bounds the reading of one remote host; a scan of a distant host takes seconds.
const remoteTimeout = 2 * time.Minute

// openSSH connects to a host.
func (a *app) openSSH(ctx context.Context, name string, t *targetFlags) (*opened, error) {
	target, err := host.ParseSSH(name)
	if err != nil {
		return nil, err
	}
	target.AgentSocket = a.env("SSH_AUTH_SOCK")
	target.Identities = t.identities
	target.Home = a.env("HOME")
	if t.knownHosts != "" {
		target.KnownHosts = []string{t.knownHosts}
	}
	target.Passphrase = a.passphrase
	r, err := host.DialSSH(ctx, target)
	if err != nil {
		return nil, err
	}
	d := r.Describe()
	d.Name = name
	return &opened{reader: r, desc: d, close: r.Close}, nil
}

// passphrase asks for the passphrase of a key, once at a time, on a terminal only.
func (a *app) passphrase(file string) ([]byte, error) {
	in, ok := a.in.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return nil, fmt.Errorf("the key %s has a passphrase and there is no terminal to ask on; add it to the agent with ssh-add", file)
	}
	a.asking.Lock()
	defer a.asking.Unlock()
	fmt.Fprintf(a.err, "passphrase of %s: ", file)
	b, err := term.ReadPassword(int(in.Fd()))
	fmt.Fprintln(a.err)
	return b, err
}
