package cli

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/term"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/posture"
	"github.com/castellan-project/castellan/internal/posture/collect"
)

// remoteTimeout bounds the reading of one remote host; a scan of a distant host takes seconds.
const remoteTimeout = 2 * time.Minute

// sshFacts reads a host over SSH.
func (a *app) sshFacts(ctx context.Context, name string, t *targetFlags) (*posture.Facts, error) {
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
	ctx, cancel := context.WithTimeout(ctx, remoteTimeout)
	defer cancel()
	r, err := host.DialSSH(ctx, target)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	d := r.Describe()
	d.Name = name
	return collect.Run(r, d, collect.All())
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
