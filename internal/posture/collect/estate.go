package collect

import (
	"slices"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/inventory"
)

// Estate returns the collector of the subjects that describe the whole cluster: identity, firewall, topology, guests,
// backups and cluster. They share one inventory, which is read once; estate_<subject>.go turns it into the facts of
// a subject. Where the target is no Proxmox VE node they stay uncollected, and the controls do not apply.
// Backends are those of [Context].
func Estate(backends ...string) Collector {
	return Collector{Name: "estate", Needs: append(inventory.Needs(), estateNeeds()...), Collect: func(c *Context) {
		own := *c // collectors run side by side: what one is told is not told to all
		own.Backends = backends
		collectEstate(&own)
	}}
}

// estateNeeds are the files beyond the inventory that single subjects read.
func estateNeeds() []host.Need {
	return slices.Concat(guestsNeeds(), identityNeeds(), firewallNeeds(), backupsNeeds(), clusterNeeds())
}

func collectEstate(c *Context) {
	rec := newRecorder(c.estateReader())
	cl, err := inventory.Read(rec, 0)
	if err != nil {
		return
	}
	// What the subjects below ask for goes through the recorder too.
	c.Host = rec
	f := c.Facts
	f.Identity = identityFacts(c, cl)
	f.Firewall = firewallFacts(c, cl)
	f.Topology = topologyFacts(c, cl)
	f.Guests = guestsFacts(c, cl)
	f.Backups = backupsFacts(c, cl)
	f.Cluster = clusterFacts(c, cl)
	f.Estate = rec.estate
}

// estateReader keeps a scan of a node from running pvesh, of which each call takes about a second of processor time: on
// nodes the files say what they say, and what only the API knows is unknown.
func (c *Context) estateReader() host.Reader {
	if c.Live && !c.API {
		return quiet{c.Host}
	}
	return c.Host
}

// quiet is a Reader that does not run pvesh.
type quiet struct{ host.Reader }

// Run refuses questions to the API; others are cheap.
func (q quiet) Run(cmd host.Command) (host.Output, error) {
	if len(cmd.Argv) == 0 || cmd.Argv[0] != "pvesh" {
		return q.Reader.Run(cmd)
	}
	return host.Output{}, &host.Error{Op: "run", Path: cmd.Name, Err: host.ErrUnavailable}
}
