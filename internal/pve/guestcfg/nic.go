package guestcfg

import (
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/pve"
)

// NIC is a network card of a guest.
type NIC struct {
	// Key is the setting, "net0"; Index its number and Line its line.
	Key   string
	Index int
	Line  int
	// Name is the name of the interface within a container, "" in virtual machines.
	Name string
	// Model is the emulated card of a virtual machine, "" in containers; Type is "veth" in containers.
	Model, Type string
	// MAC is the hardware address in upper case, "" when PVE makes one up at each start.
	MAC string
	// Bridge is a bridge or a virtual network of SDN. A virtual machine without one has user-mode networking: QEMU
	// translates addresses on the node itself, past every firewall of PVE; a container without one has an interface
	// that is connected to nothing.
	Bridge   string
	UserMode bool
	// Tag is the VLAN, 0 for none. Trunks are VLANs that the guest may send tagged.
	Tag    int
	Trunks []VLANs
	// Firewall is true when the rules of PVE's firewall apply to the card. Left out it is false.
	Firewall bool
	LinkDown bool
	// IP and IP6 are addresses with prefix length, or "dhcp", "auto", "manual"; of virtual machines they come from
	// ipconfigN and are what cloud-init is told, not what the guest has to do. "" when nothing is said.
	IP, Gateway, IP6, Gateway6 string
	// Rate limits the traffic, in megabytes per second; 0 is no limit.
	Rate float64
	// MTU is 0 when it is that of the bridge.
	MTU int
	// HostManaged is true when PVE sets the addresses of a container from outside.
	HostManaged bool
}

// VLANs is a range of VLAN ids, both ends included.
type VLANs struct{ First, Last int }

// NICs returns the network cards that are in force, by number.
func (c *Config) NICs() []NIC { return c.Current.NICs() }

// NICs returns the network cards of a section, by number.
func (s *Section) NICs() []NIC {
	var nics []NIC
	for _, e := range s.numbered("net") {
		n := NIC{Key: e.Key, Line: e.Line}
		n.Index, _ = number(e.Key, "net")
		ps := pve.ParseProperties(e.Value, "model")
		if s.kind == LXC {
			s.container(&n, ps)
		} else {
			s.machine(&n, ps)
		}
		n.common(s, ps)
		nics = append(nics, n)
	}
	return nics
}

// common reads what the cards of both kinds of guests have.
func (n *NIC) common(s *Section, ps pve.Properties) {
	n.Bridge = ps.Value("bridge")
	n.UserMode = n.Bridge == "" && s.kind != LXC
	n.Tag, _ = vlan(ps.Value("tag"))
	n.Trunks = trunks(ps.Value("trunks"))
	n.Firewall = ps.On("firewall")
	n.LinkDown = ps.On("link_down")
	n.Rate, _ = strconv.ParseFloat(ps.Value("rate"), 64)
	n.MTU, _ = strconv.Atoi(ps.Value("mtu"))
	n.MAC = strings.ToUpper(n.MAC)
}

func (s *Section) container(n *NIC, ps pve.Properties) {
	n.Name, n.Type, n.MAC = ps.Value("name"), "veth", ps.Value("hwaddr")
	n.IP, n.Gateway, n.IP6, n.Gateway6 = ps.Value("ip"), ps.Value("gw"), ps.Value("ip6"), ps.Value("gw6")
	n.HostManaged = ps.On("host-managed") || s.On("ipmanagehost")
}

// machine reads "virtio=MAC", "virtio" and "model=virtio,macaddr=MAC".
func (s *Section) machine(n *NIC, ps pve.Properties) {
	n.MAC = ps.Value("macaddr")
	for _, p := range ps {
		switch {
		case cardModel(p.Key):
			n.Model, n.MAC = p.Key, p.Value
		case p.Key == "model":
			n.Model = p.Value
		}
	}
	addr := s.Properties("ipconfig"+strconv.Itoa(n.Index), "")
	n.IP, n.Gateway, n.IP6, n.Gateway6 = addr.Value("ip"), addr.Value("gw"), addr.Value("ip6"), addr.Value("gw6")
}

// vlan reads a VLAN id.
func vlan(s string) (int, bool) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > 4094 {
		return 0, false
	}
	return n, true
}

// trunks reads "10;20-30". What is no VLAN is left out.
func trunks(s string) []VLANs {
	if s == "" {
		return nil
	}
	var all []VLANs
	for part := range strings.SplitSeq(s, ";") {
		first, last, ok := strings.Cut(part, "-")
		if !ok {
			last = first
		}
		a, okA := vlan(first)
		b, okB := vlan(last)
		if okA && okB && a <= b && len(all) < maxTrunks {
			all = append(all, VLANs{a, b})
		}
	}
	return all
}

// maxTrunks is the number of VLANs there are.
const maxTrunks = 4094
