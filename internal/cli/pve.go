package cli

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/inventory"
	"github.com/castellan-project/castellan/internal/posture/collect"
)

// estateFlags say which cluster a question is about.
type estateFlags struct {
	targetFlags
	root    string // a directory; the contract of all pve commands
	target  string // any target
	json    bool
	release int
}

func (a *app) pveCommand() *cobra.Command {
	e := &estateFlags{}
	cmd := &cobra.Command{
		Use:   "pve",
		Short: "Ask a Proxmox VE cluster: who can do that, who can reach this, what is not backed up, how does the network look",
		Long: `The commands of pve answer questions about a whole Proxmox VE cluster, from this node, a copy of its files (--root DIR), a
node over SSH or the API (--target ssh://root@pve1, --target pve://pve1:8006). Nothing is changed.`,
	}
	fl := cmd.PersistentFlags()
	fl.StringVar(&e.root, "root", "", "`directory` that holds etc/pve: a root file system or a copy of parts of one")
	fl.StringVar(&e.target, "target", "local", "the cluster: local, ssh://user@host, pve://host:8006, a `directory` or a bundle")
	fl.BoolVar(&e.json, "json", false, "print JSON")
	fl.IntVar(&e.release, "pve", 0, "major `version` of Proxmox VE, 8 or 9 (default: what the target says, else 9)")
	fl.StringSliceVarP(&e.identities, "identity", "i", nil, "private key `file` for SSH (default: agent, then ~/.ssh/id_*)")
	fl.StringVar(&e.knownHosts, "known-hosts", "", "known_hosts `file` (default: ~/.ssh/known_hosts and /etc/ssh/ssh_known_hosts)")
	addAPIFlags(fl, &e.api)
	cmd.AddCommand(a.pvePermissionsCommand(e), a.pveWhoCanCommand(e), a.pveAccessCommand(e), a.pveTokensCommand(e),
		a.pveSimulateCommand(e), a.pveReachCommand(e), a.pveLintCommand(e),
		a.pveGuestsCommand(e), a.pveBackupsCommand(e), a.pveMapCommand(e))
	return cmd
}

// name is the target that the flags choose.
func (e *estateFlags) name() string {
	if e.root != "" {
		return e.root
	}
	return e.target
}

func (e *estateFlags) check() error {
	if e.root != "" && e.target != "local" {
		return usage("--root and --target are two ways to say the same; give one")
	}
	if e.release != 0 && e.release != 8 && e.release != 9 {
		return usage("--pve %d: the versions that are known are 8 and 9", e.release)
	}
	return nil
}

func isPending(err error) bool { return errors.Is(err, host.ErrPending) }

// withCluster opens the target, reads the model of its cluster and hands both to use. The reader is for what a
// question needs beyond the model. Use runs once.
func (a *app) withCluster(ctx context.Context, e *estateFlags, use func(*inventory.Cluster, *opened) error) error {
	return a.withEstate(ctx, e, func(o *opened) error {
		c, err := readCluster(o.reader, e.release)
		if err != nil {
			return exit(ExitTarget, fmt.Errorf("cannot read a cluster from %s: %w", e.name(), err))
		}
		return use(c, o)
	})
}

// withEstate opens the target for use, and tells afterwards when not all of it could be read.
func (a *app) withEstate(ctx context.Context, e *estateFlags, use func(*opened) error) error {
	if err := e.check(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, remoteTimeout)
	defer cancel()
	o, err := a.openEstate(ctx, e)
	if err != nil {
		return exit(ExitTarget, err)
	}
	defer o.close() //nolint:errcheck // it was only read
	if err := use(o); err != nil {
		return err
	}
	if err := o.incomplete(); err != nil {
		return exit(ExitPartial, err)
	}
	return nil
}

// openEstate opens a target of any kind; of a bundle it is the configuration that the bundle kept.
func (a *app) openEstate(ctx context.Context, e *estateFlags) (*opened, error) {
	name := e.name()
	if st, err := os.Stat(name); err != nil || st.IsDir() || name == "local" {
		return a.open(ctx, name, &e.targetFlags)
	}
	f, err := bundleFacts(name)
	if err != nil {
		return nil, err
	}
	r, err := collect.OpenEstate(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	d := host.Description{Name: name, Kind: "bundle", Root: f.Target.Root, Now: f.Target.CollectedAt}
	return &opened{reader: r, desc: d, close: func() error { return nil }}, nil
}

// readCluster reads the model; a target in rounds is asked until nothing is pending.
func readCluster(r host.Reader, release int) (*inventory.Cluster, error) {
	b, ok := r.(host.Batcher)
	if !ok {
		return inventory.Read(r, release)
	}
	b.Prefetch(inventory.Needs())
	for range collect.MaxRounds - 1 {
		if _, err := b.Flush(); err != nil {
			return nil, err
		}
		if _, err := inventory.Read(r, release); err != nil && !isPending(err) {
			return nil, err
		}
	}
	if _, err := b.Flush(); err != nil {
		return nil, err
	}
	return inventory.Read(r, release)
}
