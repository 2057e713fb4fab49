package netcfg

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/pve"
)

// ParseAPI reads what the API answers to GET /nodes/NODE/network: a list of interfaces, bare or as "data" of an object. A field
// of a wrong type is left out and reported; an answer that is no JSON gives an empty model and an Aborted problem.
func ParseAPI(b []byte) (*Config, []pve.Problem) {
	c := &Config{FromAPI: true, raw: b}
	var list []json.RawMessage
	err := json.Unmarshal(b, &list)
	if err != nil {
		var wrapped struct {
			Data []json.RawMessage `json:"data"`
		}
		if json.Unmarshal(b, &wrapped) != nil {
			return c, []pve.Problem{pve.Abortf(0, "the API's answer is no list of interfaces: %v", err)}
		}
		list = wrapped.Data
	}
	var problems []pve.Problem
	priority := map[string]int{}
	have := map[string]bool{}
	for n, raw := range list {
		f := fields{}
		if err := decode(raw, &f); err != nil {
			problems = append(problems, pve.Skipf(0, "interface %d of the API's answer is no object", n+1))
			continue
		}
		name := f.text("iface")
		if name == "" || have[name] {
			problems = append(problems, pve.Skipf(0, "interface %d of the API's answer has no name or one that came before", n+1))
			continue
		}
		have[name] = true
		i, wrong := f.iface(name)
		for _, w := range wrong {
			problems = append(problems, pve.Skipf(0, "%s: %s", clip(name), w))
		}
		priority[name], _ = number(f.text("priority"))
		c.Interfaces = append(c.Interfaces, i)
	}
	slices.SortStableFunc(c.Interfaces, func(a, b Interface) int {
		if d := priority[a.Name] - priority[b.Name]; d != 0 {
			return d
		}
		return strings.Compare(a.Name, b.Name)
	})
	return c, problems
}

func decode(raw json.RawMessage, f *fields) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(f); err != nil {
		return fmt.Errorf("cannot read an interface: %w", err)
	}
	return nil
}

// fields are those of one interface; the API gives numbers as numbers or texts.
type fields map[string]any

// text is a field as text; "" when it is not there or is a list or an object.
func (f fields) text(key string) string {
	switch v := f[key].(type) {
	case string:
		return strings.TrimSpace(v)
	case json.Number:
		return v.String()
	case bool:
		if v {
			return "1"
		}
		return "0"
	}
	return ""
}

// lines is a field that is a list of texts, or one text.
func (f fields) lines(key string) []string {
	list, ok := f[key].([]any)
	if !ok {
		if s := f.text(key); s != "" {
			return []string{s}
		}
		return nil
	}
	var out []string
	for _, v := range list {
		if s, ok := v.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// plainFields are the fields that set understands by the same names, with underscores turned into hyphens.
//
// table: the fields of the API that carry a setting of the file
func plainFields() []string {
	return []string{"bridge_ports", "bridge_vids", "bridge_stp", "slaves", "bond_mode", "bond-primary", "vlan-raw-device", "vlan-id", "vlan-protocol",
		"ovs_bridge", "ovs_bonds", "ovs_ports", "ovs_options", "mtu", "vxlan-id", "vxlan-local-tunnelip", "link-type"}
}

func (f fields) iface(name string) (i Interface, wrong []string) {
	i.Name = name
	i.Autostart, _ = pve.Bool(f.text("autostart"))
	i.Active, _ = pve.Bool(f.text("active"))
	for _, key := range plainFields() {
		v := f.text(key)
		if v == "" {
			if f[key] != nil && f[key] != "" {
				wrong = append(wrong, "a "+key+" of a wrong type")
			}
			continue
		}
		if why := set(&i, strings.ReplaceAll(key, "_", "-"), v); why != "" {
			wrong = append(wrong, key+": "+why)
		}
	}
	i.VLANAware, _ = pve.Bool(f.text("bridge_vlan_aware"))
	i.VXLANRemote = f.lines("vxlan-remoteip")
	for _, suffix := range []string{"", "6"} {
		wrong = append(wrong, f.family(&i, suffix)...)
	}
	derive(&i)
	if kind, ok := apiKind(f.text("type")); ok {
		i.Kind = kind
	}
	if tag, ok := number(f.text("ovs_tag")); ok {
		i.OVSTag = tag
		if i.Kind == OVSIntPort {
			i.VLANID = tag
		}
	}
	return i, wrong
}

// family reads addresses, gateway and raw options of IPv4 (suffix "") or IPv6 ("6").
func (f fields) family(i *Interface, suffix string) (wrong []string) {
	family := map[string]string{"": "inet", "6": "inet6"}[suffix]
	if m := f.text("method" + suffix); m != "" {
		i.Methods = append(i.Methods, family+" "+m)
	}
	address, mask := f.text("cidr"+suffix), ""
	if address == "" {
		address, mask = f.text("address"+suffix), f.text("netmask"+suffix)
	}
	if address != "" {
		if p, ok := prefix(address, mask); ok {
			i.Addresses = append(i.Addresses, p)
		} else {
			wrong = append(wrong, "no address: "+clip(address))
		}
	}
	if g := f.text("gateway" + suffix); g != "" {
		if a, err := netip.ParseAddr(g); err == nil {
			i.Gateways = append(i.Gateways, a)
		} else {
			wrong = append(wrong, "no address of a gateway: "+clip(g))
		}
	}
	for _, o := range f.lines("options" + suffix) {
		key, value := cutSpace(strings.TrimSpace(o))
		if key != "" {
			i.Options = append(i.Options, Option{Key: strings.ReplaceAll(key, "_", "-"), Value: value})
		}
	}
	for _, c := range strings.Split(f.text("comments"+suffix), "\n") {
		if c = strings.TrimSpace(c); c != "" {
			i.Comments = append(i.Comments, c)
		}
	}
	return wrong
}

func apiKind(t string) (Kind, bool) {
	switch t {
	case "eth":
		return Physical, true
	case "bridge", "bond", "vlan", "alias", "loopback", "vxlan", "dummy", "vnet":
		return Kind(t), true
	case "OVSBridge", "OVSBond", "OVSPort", "OVSIntPort":
		return ovsKind(t), true
	}
	return "", false
}

// CountVIDs is how many VLANs a list as in bridge-vids or trunks admits ("2-4094", "10 20", "5;7-9"). Parts that are no number
// or range count nothing; VLANs that are named twice count twice.
func CountVIDs(s string) int {
	n := 0
	for _, part := range pve.List(s) {
		lo, hi, ok := strings.Cut(part, "-")
		a, err := strconv.Atoi(lo)
		if err != nil || a < 1 || a > 4094 {
			continue
		}
		if !ok {
			n++
			continue
		}
		b, err := strconv.Atoi(hi)
		if err == nil && b >= a && b <= 4094 {
			n += b - a + 1
		}
	}
	return n
}
