package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/castellan-project/castellan/internal/inventory"
	"github.com/castellan-project/castellan/internal/inventory/filter"
	"github.com/castellan-project/castellan/internal/netset"
)

// simulateFlags are one packet, or a file of them.
type simulateFlags struct {
	node, backend, queries string
	query                  filter.Query
}

func (a *app) pveSimulateCommand(e *estateFlags) *cobra.Command {
	f := &simulateFlags{}
	cmd := &cobra.Command{
		Use:   "simulate",
		Short: "What the firewall of a node does with a packet, and which line decides",
		Long: `Follows the first packet of a connection through the firewall of a node, as pve-firewall (iptables) or proxmox-firewall (nftables) would
treat it, and names the file, line and rule that decides at each stage.

  castellan pve simulate --from outside --to host --dport 8006
  castellan pve simulate --from vm/100 --to vm/101/net1 --proto udp --dport 53 --source 10.0.0.5
  castellan pve simulate --from outside --to ct/200 --dport 22 --backend nftables
  castellan pve simulate --queries packets.jsonl          one line {"from": ..., "to": ...} each, "-" is standard input

Endpoints: host; outside (beyond the interface with the node's address), outside/IFACE, BRIDGE/PORT; vm/ID, ct/ID or guest/ID, with /netN
for another NIC than net0. Without --proto the packet is TCP. Without an address the node has the one that its name stands for, a guest
the static one of its configuration, and everybody else 100.100.1.2 as source and 100.200.3.4 as destination. Without --dport the packet
goes to port 0, without --sport it comes from port 50000, without --icmp-type it is an echo request.

The answer to --queries and with --json is one line of JSON per packet: its own keys, verdict and trace. Query keys are from, to, proto,
source, dest, dport, sport, icmp_type and mac (the hardware address that a guest's frame carries).`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(); err != nil {
				return err
			}
			return a.withCluster(cmd.Context(), e, func(c *inventory.Cluster, o *opened) error {
				net, err := f.network(c, o)
				if err != nil {
					return err
				}
				for _, r := range net.Refused {
					fmt.Fprintf(a.err, "castellan: %s:%d: proxmox-firewall refuses the file: %s; after a boot the node has no rules\n", r.Path, r.Line, safe(r.Text))
				}
				if f.queries != "" {
					return a.simulateAll(c, net, f.queries)
				}
				return a.simulateOne(c, net, f.query, e.json)
			})
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.node, "node", "", "`node` whose firewall is asked (default: the one that the files come from, or the only one)")
	fl.StringVar(&f.backend, "backend", "", "iptables or nftables (default: what host.fw of the node chooses)")
	fl.StringVar(&f.query.From, "from", "", "`endpoint` that sends the packet")
	fl.StringVar(&f.query.To, "to", "", "`endpoint` that gets it")
	fl.StringVar(&f.query.Proto, "proto", "", "`protocol` by name or number (default tcp)")
	fl.StringVar(&f.query.Source, "source", "", "source `address`, IPv4 or IPv6")
	fl.StringVar(&f.query.Dest, "dest", "", "destination `address`")
	fl.StringVar(&f.query.DPort, "dport", "", "destination `port` by number or name")
	fl.StringVar(&f.query.SPort, "sport", "", "source `port` (default 50000)")
	fl.StringVar(&f.query.ICMPType, "icmp-type", "", "ICMP `type` by name or number, with /CODE (default echo-request)")
	fl.StringVar(&f.query.MAC, "mac", "", "hardware `address` that the frame of a guest carries (default: its own)")
	fl.StringVar(&f.queries, "queries", "", "`file` of packets, one JSON object a line")
	return cmd
}

func (f *simulateFlags) check() error {
	one := f.query != filter.Query{}
	switch {
	case f.queries != "" && one:
		return usage("--queries holds the packets; leave out --from, --to and the other flags of a packet")
	case f.queries == "" && (f.query.From == "" || f.query.To == ""):
		return usage("a packet needs --from and --to: castellan pve simulate --from outside --to host --dport 8006")
	}
	return checkBackend(f.backend)
}

func checkBackend(name string) error {
	switch filter.Backend(name) {
	case "", filter.IPTables, filter.NFTables:
		return nil
	}
	return usage("--backend %s: there is no such firewall; there are iptables and nftables", name)
}

// network compiles the firewall of the node that the flags choose.
func (f *simulateFlags) network(c *inventory.Cluster, o *opened) (*filter.Network, error) {
	node, err := chosenNode(c, f.node)
	if err != nil {
		return nil, err
	}
	backend := filter.Backend(f.backend)
	if backend == "" {
		backend = filter.DefaultBackend(c, node)
	}
	net, err := filter.New(c, node, backend, filter.Options{Now: o.desc.Now})
	if err != nil {
		return nil, exit(ExitTarget, err)
	}
	return net, nil
}

// chosenNode is the node that is asked for, else the one that the files come from, else the only one.
func chosenNode(c *inventory.Cluster, name string) (string, error) {
	names := make([]string, 0, len(c.Nodes))
	for _, n := range c.Nodes {
		names = append(names, n.Name)
	}
	switch {
	case name != "":
		if _, ok := c.Node(name); !ok {
			return "", usage("--node %s: there is no such node; there are %s", name, strings.Join(names, ", "))
		}
		return name, nil
	case c.Here != "":
		return c.Here, nil
	case len(names) == 1:
		return names[0], nil
	case len(names) == 0:
		return "", exit(ExitTarget, errors.New("no node is in /etc/pve/nodes"))
	}
	return "", usage("say which node with --node: %s", strings.Join(names, ", "))
}

// refused turns the error of a query into an exit code: wrong usage, or a file that could not be read.
func refusedQuery(c *inventory.Cluster, q filter.Query, err error) error {
	var unknown *filter.UnknownError
	if errors.As(err, &unknown) {
		return exit(ExitTarget, err)
	}
	for _, text := range []string{q.From, q.To} {
		if node, ok := filter.Elsewhere(c, text); ok && strings.Contains(err.Error(), "no such guest on the node") {
			return usage("%w; %s is on %s: --node %s", err, text, node, node)
		}
	}
	return usage("%w", err)
}

func (a *app) simulateOne(c *inventory.Cluster, net *filter.Network, q filter.Query, asJSON bool) error {
	ans, err := net.Simulate(q)
	if err != nil {
		return refusedQuery(c, q, err)
	}
	if asJSON {
		return a.printAnswers(func(w *answerWriter) error { return w.write(queryFields(q), ans) })
	}
	fmt.Fprintf(a.out, "%s  %s\n", a.paintVerdict(ans.Verdict), safe(packetText(ans.Packet)))
	fmt.Fprintf(a.out, "from %s to %s on %s, %s\n\n", safe(q.From), safe(q.To), safe(net.Node), net.Backend)
	t := &table{}
	for _, d := range ans.Trace {
		where := ""
		if d.File != "" {
			where = d.File
			if d.Line > 0 {
				where += fmt.Sprintf(":%d", d.Line)
			}
			where += "  "
		}
		text := where + d.Rule
		if d.Group != "" {
			text += " (group " + d.Group + ")"
		}
		t.add("  "+or(d.Stage, "no stage"), string(d.Verdict), text)
	}
	t.print(a.out, a.columns())
	return nil
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// paintVerdict colours a verdict on a terminal.
func (a *app) paintVerdict(v filter.Verdict) string {
	if !a.color(a.out) {
		return string(v)
	}
	colour := "31"
	if v == filter.Accept {
		colour = "32"
	}
	return "\x1b[1;" + colour + "m" + string(v) + "\x1b[0m"
}

// packetText says a packet in words: "tcp 192.0.2.1:50000 to 192.0.2.2:22".
func packetText(p netset.Packet) string {
	switch {
	case netset.HasPorts(p.Proto):
		source, dest := fmt.Sprintf("%s:%d", p.Source, p.SPort), fmt.Sprintf("%s:%d", p.Dest, p.DPort)
		if p.Source.Is6() {
			source, dest = fmt.Sprintf("[%s]:%d", p.Source, p.SPort), fmt.Sprintf("[%s]:%d", p.Dest, p.DPort)
		}
		return protocolText(p.Proto) + " " + source + " to " + dest
	case netset.HasTypes(p.Proto):
		return fmt.Sprintf("%s type %d code %d %s to %s", protocolText(p.Proto), p.Type, p.Code, p.Source, p.Dest)
	}
	return fmt.Sprintf("%s %s to %s", protocolText(p.Proto), p.Source, p.Dest)
}

func protocolText(proto uint8) string {
	switch proto {
	case netset.ProtoTCP:
		return "tcp"
	case netset.ProtoUDP:
		return "udp"
	case netset.ProtoICMP:
		return "icmp"
	case netset.ProtoICMPv6:
		return "icmpv6"
	case netset.ProtoSCTP:
		return "sctp"
	}
	return fmt.Sprintf("protocol %d", proto)
}
