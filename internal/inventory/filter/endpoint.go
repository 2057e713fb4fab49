package filter

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/inventory"
)

// Endpoint reads "host", "outside", "outside/IFACE", "BRIDGE/PORT", "vm/ID", "ct/ID", "guest/ID", each guest with an
// optional "/netN" (net0 when there is none), also with ":" instead of "/". The error says what there is.
func (n *Network) Endpoint(text string) (Endpoint, error) {
	parts := strings.Split(strings.ReplaceAll(strings.TrimSuffix(text, ":"), ":", "/"), "/")
	switch parts[0] {
	case "host":
		if len(parts) == 1 || len(parts) == 2 && parts[1] == "" {
			return Endpoint{Kind: Host}, nil
		}
	case "outside":
		if len(parts) == 1 {
			return Endpoint{Kind: Outside, Iface: n.files.main}, nil
		}
		if len(parts) == 2 {
			return n.iface(text, parts[1])
		}
	case "vm", "ct", "guest":
		if len(parts) == 2 || len(parts) == 3 {
			return n.guestEndpoint(text, parts)
		}
	case "":
		return Endpoint{}, fmt.Errorf("an empty endpoint; %s", endpointForms)
	default:
		if len(parts) == 2 && parts[1] != "" {
			return n.iface(text, parts[0])
		}
	}
	return Endpoint{}, fmt.Errorf("%q is no endpoint; %s", text, endpointForms)
}

const endpointForms = "there are host, outside, outside/IFACE, BRIDGE/PORT, vm/ID, ct/ID and guest/ID, guests with /netN for another NIC than net0"

// iface is what lies behind an interface of the node.
func (n *Network) iface(text, name string) (Endpoint, error) {
	known := n.files.ifaces
	ok := known == nil || name == n.files.main
	names := make([]string, 0, len(known))
	for _, i := range known {
		ok = ok || i.Name == name
		names = append(names, i.Name)
		if slices.Contains(i.Ports, name) { // what comes through a port comes from the bridge
			return Endpoint{Kind: Outside, Iface: i.Name}, nil
		}
	}
	for _, g := range n.files.guests { // vnets and bridges that SDN made stand in no file of the network
		ok = ok || slices.ContainsFunc(g.nics, func(c *nic) bool { return c.Bridge == name })
	}
	if !ok {
		return Endpoint{}, fmt.Errorf("%s: the node %s has no interface %s; it has %s", text, n.Node, name, strings.Join(names, ", "))
	}
	return Endpoint{Kind: Outside, Iface: name}, nil
}

func (n *Network) guestEndpoint(text string, parts []string) (Endpoint, error) {
	id, err := strconv.Atoi(parts[1])
	if err != nil {
		return Endpoint{}, fmt.Errorf("%s: %q is no VMID", text, parts[1])
	}
	g := n.files.byID[id]
	switch {
	case g == nil:
		return Endpoint{}, fmt.Errorf("%s: no such guest on the node %s; there are %s", text, n.Node, n.guestList())
	case parts[0] == "vm" && g.container:
		return Endpoint{}, fmt.Errorf("%s: %d is a container; it is ct/%d", text, id, id)
	case parts[0] == "ct" && !g.container:
		return Endpoint{}, fmt.Errorf("%s: %d is a virtual machine; it is vm/%d", text, id, id)
	}
	e := Endpoint{Kind: GuestNIC, VMID: id}
	if len(parts) == 3 {
		num, ok := strings.CutPrefix(parts[2], "net")
		if e.Net, err = strconv.Atoi(num); !ok || err != nil {
			return Endpoint{}, fmt.Errorf("%s: %q is no NIC; a NIC is named net0, net1 and so on", text, parts[2])
		}
	} else if len(g.nics) > 0 && n.files.nic(id, 0) == nil {
		e.Net = g.nics[0].Net
	}
	c := n.files.nic(id, e.Net)
	if c == nil {
		if g.err != nil {
			return Endpoint{}, g.err
		}
		list := make([]string, 0, len(g.nics))
		for _, c := range g.nics {
			list = append(list, fmt.Sprintf("net%d", c.Net))
		}
		if len(list) == 0 {
			return Endpoint{}, fmt.Errorf("%s: the guest has no NIC", text)
		}
		return Endpoint{}, fmt.Errorf("%s: the guest has no net%d; it has %s", text, e.Net, strings.Join(list, ", "))
	}
	e.Iface = c.Bridge
	return e, nil
}

// maxListed bounds how many guests an error names.
const maxListed = 20

func (n *Network) guestList() string {
	var list []string
	for _, g := range n.files.guests {
		if len(list) == maxListed {
			list = append(list, fmt.Sprintf("and %d more", len(n.files.guests)-maxListed))
			break
		}
		kind := "vm"
		if g.container {
			kind = "ct"
		}
		list = append(list, fmt.Sprintf("%s/%d", kind, g.id))
	}
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, ", ")
}

// Elsewhere names the node of the guest that an endpoint names, for the hint to someone who asked the wrong one.
func Elsewhere(c *inventory.Cluster, endpoint string) (node string, ok bool) {
	parts := strings.Split(strings.ReplaceAll(endpoint, ":", "/"), "/")
	if len(parts) < 2 || parts[0] != "vm" && parts[0] != "ct" && parts[0] != "guest" {
		return "", false
	}
	id, err := strconv.Atoi(parts[1])
	if err != nil {
		return "", false
	}
	g, ok := c.Guest(id)
	if !ok {
		return "", false
	}
	return g.Node, true
}
