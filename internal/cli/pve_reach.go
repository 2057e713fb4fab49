package cli

import (
	"net/netip"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/castellan-project/castellan/internal/inventory"
	"github.com/castellan-project/castellan/internal/inventory/filter"
	"github.com/castellan-project/castellan/internal/inventory/filter/reach"
	"github.com/castellan-project/castellan/internal/netset"
)

// reachFlags are the question of the command reach.
type reachFlags struct {
	to, from, node, backend string
	allNodes                bool
}

func (a *app) pveReachCommand(e *estateFlags) *cobra.Command {
	f := &reachFlags{}
	cmd := &cobra.Command{
		Use:   "reach --to host:PORT|guest:ID:PORT",
		Short: "Who can reach a port: every set of addresses, with the rule that lets it in or keeps it out",
		Long: `Computes with sets of addresses, ports and protocols which sources reach a port of a node or a guest. No packets are tried: what is
not listed as reaching it is listed as refused, and together they are everything, for IPv4 and IPv6. The first packet of a
connection is meant; answers follow it.

  castellan pve reach --to host:8006                      the web interface of this node
  castellan pve reach --to host:22 --all-nodes            SSH of every node
  castellan pve reach --to guest:100:443                  a port of a guest; /udp, /sctp for other protocols
  castellan pve reach --to guest:100                      all ports of a guest
  castellan pve reach --to guests:22                      a port of every guest, from outside unless --from says else
  castellan pve reach --to guest:100:5432 --from vm/101   only from one guest
  castellan pve reach --to host:22 --from 192.0.2.0/24    only from some addresses

Zones: outside (beyond the bridge or another interface; guests without firewall=1 are there too), nodes (the other members of the
cluster), guests (on the same bridge, after their own rules for what they send), host (the node itself).`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q, err := f.parse()
			if err != nil {
				return err
			}
			return a.withCluster(cmd.Context(), e, func(c *inventory.Cluster, o *opened) error {
				k := q.asker(c, filter.Options{Now: o.desc.Now})
				jobs, err := k.jobs()
				if err != nil {
					return err
				}
				if e.json {
					return a.printReachJSON(k, jobs)
				}
				return a.printReach(k, jobs)
			})
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.to, "to", "", "`target`: host:PORT[/PROTO], guest:ID[/netN]:PORT[/PROTO], host, guest:ID, guests[:PORT]")
	fl.StringVar(&f.from, "from", "", "only from a `zone` (outside, nodes, guests, host), an address or network, or a guest (vm/100)")
	fl.StringVar(&f.node, "node", "", "`node` whose firewall is asked (default: this node, or that of the guest)")
	fl.StringVar(&f.backend, "backend", "", "iptables or nftables (default: what host.fw of the node chooses)")
	fl.BoolVar(&f.allNodes, "all-nodes", false, "ask about every node")
	return cmd
}

// reachQuestion is what was asked, understood.
type reachQuestion struct {
	flags   *reachFlags
	vmid    int // 0: the node, allGuests: every guest
	nic     int // -1: all
	service netset.Services
	zones   []string
	guest   int
	source  netset.Addrs
}

// allGuests stands for every guest of every node.
const allGuests = -1

func (f *reachFlags) parse() (*reachQuestion, error) {
	q := &reachQuestion{flags: f, nic: -1, service: netset.AnyService()}
	parts := strings.Split(f.to, ":")
	bad := func() (*reachQuestion, error) {
		return nil, usage("--to %q: targets are host:8006, host, guest:100:22, guest:100/net1:53/udp, guest:100, guests:22, guests", f.to)
	}
	rest := parts[1:]
	switch {
	case f.to == "":
		return nil, usage("--to says what is reached: host:8006, guest:100:22, guest:100, host")
	case parts[0] == "guest" && len(parts) > 1:
		id, nic, has := strings.Cut(parts[1], "/net")
		var err error
		if q.vmid, err = strconv.Atoi(id); err != nil || q.vmid < 1 {
			return bad()
		}
		if has {
			if q.nic, err = strconv.Atoi(nic); err != nil || q.nic < 0 {
				return bad()
			}
		}
		rest = parts[2:]
	case parts[0] == "guests":
		q.vmid = allGuests
	case parts[0] != "host":
		return bad()
	}
	if len(rest) > 1 {
		return bad()
	}
	if len(rest) == 1 {
		var ok bool
		if q.service, ok = portService(rest[0]); !ok {
			return nil, usage("--to %q: a port is a number from 0 to 65535 or a range 5900-5999, with /tcp, /udp, /sctp, /dccp or /udplite", f.to)
		}
	}
	if f.backend != "" && f.backend != string(filter.IPTables) && f.backend != string(filter.NFTables) {
		return nil, usage("--backend %s: the firewall programs are iptables and nftables", f.backend)
	}
	if f.allNodes && (f.node != "" || q.vmid != 0) {
		return nil, usage("--all-nodes is for --to host, without --node")
	}
	if q.vmid == allGuests {
		q.zones = []string{reach.ZoneOutside}
	}
	return q, q.parseFrom(f.from)
}

// portService reads "8006", "53/udp", "5900-5999".
func portService(text string) (netset.Services, bool) {
	ports, name, has := strings.Cut(text, "/")
	proto := netset.ProtoTCP
	if has {
		known := map[string]uint8{"tcp": netset.ProtoTCP, "udp": netset.ProtoUDP, "sctp": netset.ProtoSCTP, "dccp": netset.ProtoDCCP, "udplite": netset.ProtoUDPLite}
		var ok bool
		if proto, ok = known[name]; !ok {
			return netset.Services{}, false
		}
	}
	from, to, isRange := strings.Cut(ports, "-")
	lo, err := strconv.ParseUint(from, 10, 16)
	if err != nil {
		return netset.Services{}, false
	}
	hi := lo
	if isRange {
		if hi, err = strconv.ParseUint(to, 10, 16); err != nil || hi < lo {
			return netset.Services{}, false
		}
	}
	return netset.PortService(proto, netset.AnyPorts(), netset.PortRange(uint16(lo), uint16(hi))), true
}

func (q *reachQuestion) parseFrom(from string) error {
	switch {
	case from == "":
		return nil
	case slices.Contains([]string{reach.ZoneOutside, reach.ZoneNodes, reach.ZoneGuests, reach.ZoneHost}, from):
		if from == reach.ZoneHost && q.vmid == 0 {
			return usage("--from host: what a node sends to itself is not filtered; ask about a guest")
		}
		q.zones = []string{from}
		return nil
	}
	for _, kind := range []string{"vm/", "ct/", "guest/"} {
		if id, ok := strings.CutPrefix(from, kind); ok {
			n, err := strconv.Atoi(id)
			if err != nil || n < 1 {
				return usage("--from %s: a guest is vm/100 or ct/200", from)
			}
			if n == q.vmid {
				return usage("--from %s: a guest does not reach itself through the firewall", from)
			}
			q.zones, q.guest = []string{reach.ZoneGuests}, n
			return nil
		}
	}
	if p, err := netip.ParsePrefix(from); err == nil {
		q.source = netset.Prefix(p)
		return nil
	}
	addr, err := netip.ParseAddr(from)
	if err != nil {
		return usage("--from %s: sources are outside, nodes, guests, host, an address or network (192.0.2.0/24), or a guest (vm/100)", from)
	}
	q.source = netset.Addr(addr.Unmap().WithZone(""))
	return nil
}

// job is one target of a question.
type job struct {
	node string
	to   filter.Endpoint
}

// asker answers jobs. A compiled network must not be used twice at once, so each worker has an asker of its own.
type asker struct {
	q       *reachQuestion
	cluster *inventory.Cluster
	opts    filter.Options
	nets    map[string]*filter.Network
	probers map[string]*reach.Prober
}

func (q *reachQuestion) asker(c *inventory.Cluster, o filter.Options) *asker {
	return &asker{q: q, cluster: c, opts: o, nets: map[string]*filter.Network{}, probers: map[string]*reach.Prober{}}
}

func (k *asker) network(node string) (*filter.Network, error) {
	if n := k.nets[node]; n != nil {
		return n, nil
	}
	backend := filter.Backend(k.q.flags.backend)
	if backend == "" {
		backend = filter.DefaultBackend(k.cluster, node)
	}
	n, err := filter.New(k.cluster, node, backend, k.opts)
	if err != nil {
		return nil, exit(ExitTarget, err)
	}
	k.nets[node] = n
	return n, nil
}

// jobs lists the targets that the question is about, on each node.
func (k *asker) jobs() ([]job, error) {
	nodes, err := k.q.nodes(k.cluster)
	if err != nil {
		return nil, err
	}
	var jobs []job
	for _, node := range nodes {
		n, err := k.network(node)
		if err != nil {
			return nil, err
		}
		targets, err := k.q.targets(k.cluster, n)
		if err != nil {
			return nil, err
		}
		for _, to := range targets {
			jobs = append(jobs, job{node, to})
		}
	}
	return jobs, nil
}

// reached is an answer, or why there is none.
type reached struct {
	answer reach.Answer
	err    error
}

func (k *asker) ask(j job) reached {
	n, err := k.network(j.node)
	if err != nil {
		return reached{err: err}
	}
	if k.probers[j.node] == nil {
		k.probers[j.node] = reach.NewProber(k.cluster, n)
	}
	answer, err := k.probers[j.node].Reach(reach.Query{To: j.to, Service: k.q.service, Zones: k.q.zones, From: k.q.guest, Source: k.q.source})
	n.Forget(j.to)
	if err != nil {
		return reached{err: exit(ExitTarget, err)}
	}
	return reached{answer: answer}
}

// Questions about fewer targets than manyTargets are answered by one worker: compiling the firewall twice would not pay.
const (
	manyTargets = 50
	maxWorkers  = 4
)

// askAll answers the question for each target in order: the answers of a thousand guests are not held together. It ends at
// the first error.
func (k *asker) askAll(jobs []job, use func(reach.Answer) error) error {
	workers := 1
	if len(jobs) >= manyTargets {
		workers = min(runtime.GOMAXPROCS(0), maxWorkers)
	}
	idle := make(chan *asker, workers)
	idle <- k
	for range workers - 1 {
		idle <- k.q.asker(k.cluster, k.opts)
	}
	index := make([]string, len(jobs))
	for i := range jobs {
		index[i] = strconv.Itoa(i)
	}
	var failed error
	inOrder(index, workers, func(name string) reached {
		i, _ := strconv.Atoi(name) // a number of this list
		w := <-idle
		defer func() { idle <- w }()
		return w.ask(jobs[i])
	}, func(r reached) {
		if failed == nil {
			failed = r.err
		}
		if failed == nil {
			failed = use(r.answer)
		}
	})
	return failed
}

// nodes are those whose firewall decides: that of the guest, the one that was named, this one, or all.
func (q *reachQuestion) nodes(c *inventory.Cluster) ([]string, error) {
	var all []string
	for _, n := range c.Nodes {
		all = append(all, n.Name)
	}
	if len(all) == 0 {
		return nil, exit(ExitTarget, errNoNodes)
	}
	if q.guest != 0 {
		if _, ok := c.Guest(q.guest); !ok {
			return nil, usage("--from: there is no guest %d", q.guest)
		}
	}
	node := q.flags.node
	switch {
	case q.vmid == allGuests && node == "":
		return all, nil
	case q.vmid > 0:
		g, ok := c.Guest(q.vmid)
		if !ok {
			return nil, usage("--to: there is no guest %d", q.vmid)
		}
		if node != "" && node != g.Node {
			return nil, usage("--node %s: %s is on %s, whose firewall filters it", node, g.Title(), g.Node)
		}
		return []string{g.Node}, nil
	case q.flags.allNodes:
		return all, nil
	case node != "":
		if !slices.Contains(all, node) {
			return nil, usage("--node %s: there is no such node; there are %s", node, strings.Join(all, ", "))
		}
		return []string{node}, nil
	case c.Here != "":
		return []string{c.Here}, nil
	}
	return nil, usage("say which node is meant: --node %s, or --all-nodes", strings.Join(all, ", --node "))
}

// targets are the ends that are reached: the node, or the NICs of the guest.
func (q *reachQuestion) targets(c *inventory.Cluster, n *filter.Network) ([]filter.Endpoint, error) {
	if q.vmid == 0 {
		return []filter.Endpoint{{Kind: filter.Host}}, nil
	}
	var out []filter.Endpoint
	var nics []string
	for _, nic := range n.NICs() {
		if nic.VMID != q.vmid && (q.vmid != allGuests || reach.Template(c, nic.VMID)) {
			continue
		}
		nics = append(nics, "net"+strconv.Itoa(nic.Net))
		if q.nic < 0 || nic.Net == q.nic {
			out = append(out, filter.Endpoint{Kind: filter.GuestNIC, VMID: nic.VMID, Net: nic.Net, Iface: nic.Bridge})
		}
	}
	switch {
	case q.vmid == allGuests:
		return out, nil
	case len(nics) == 0:
		return nil, usage("--to: guest %d has no network card on a bridge", q.vmid)
	case len(out) == 0:
		return nil, usage("--to: guest %d has no net%d; it has %s", q.vmid, q.nic, strings.Join(nics, ", "))
	}
	return out, nil
}
