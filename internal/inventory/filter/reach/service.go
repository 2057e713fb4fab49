package reach

import (
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/netset"
)

// protocolName is the name that PVE uses for a protocol, else its number.
func protocolName(proto uint8) string {
	switch proto {
	case netset.ProtoICMP:
		return "icmp"
	case 2:
		return "igmp"
	case netset.ProtoTCP:
		return "tcp"
	case netset.ProtoUDP:
		return "udp"
	case netset.ProtoDCCP:
		return "dccp"
	case 47:
		return "gre"
	case 50:
		return "esp"
	case 51:
		return "ah"
	case netset.ProtoICMPv6:
		return "icmpv6"
	case 89:
		return "ospf"
	case 112:
		return "vrrp"
	case netset.ProtoSCTP:
		return "sctp"
	case netset.ProtoUDPLite:
		return "udplite"
	}
	return "protocol " + strconv.Itoa(int(proto))
}

// ServiceText says services in words: "tcp 22,8006", "icmp type 8", "everything except tcp 22". Asked is what the question
// was about; it is left out when the answer has it whole.
func ServiceText(s, asked netset.Services) string {
	if s.Equal(asked) {
		if s.IsAny() {
			return "everything"
		}
		return positive(s)
	}
	if missing := asked.Minus(s); missing.Size() < s.Size() {
		if asked.IsAny() {
			return "everything except " + positive(missing)
		}
		return positive(asked) + " except " + positive(missing)
	}
	return positive(s)
}

func positive(s netset.Services) string {
	var items []string
	for _, p := range s.Parts() {
		items = append(items, partText(p))
	}
	// tcp and udp on the same ports are one thing to people.
	if len(items) > 1 {
		for i := 0; i < len(items); i++ {
			tail, ok := strings.CutPrefix(items[i], "tcp ")
			for j := i + 1; ok && j < len(items); j++ {
				if items[j] == "udp "+tail {
					items[i] = "tcp,udp " + tail
					items = append(items[:j], items[j+1:]...)
				}
			}
		}
	}
	return strings.Join(items, ", ")
}

func partText(p netset.ServicePart) string {
	text := protocolName(p.Proto)
	switch {
	case p.Count > 1:
		return "protocols " + strconv.Itoa(int(p.Proto)) + "-" + strconv.Itoa(int(p.Proto)+p.Count-1)
	case p.Whole:
		return text
	case netset.HasTypes(p.Proto):
		text += " type " + p.Dest.String()
		if !p.AnySource {
			text += " code " + p.Source.String()
		}
		return text
	}
	if !p.Dest.IsAny() {
		text += " " + p.Dest.String()
	}
	if !p.AnySource {
		text += " from port " + p.Source.String()
	}
	return text
}
