package firewall

import (
	"strconv"
	"strings"
)

// form is what the value of an option looks like to pve-firewall.
type form uint8

const (
	flagForm   form = iota // 0 or 1
	numberForm             // digits
	policyForm             // ACCEPT, DROP, REJECT in any case
	vnetPolicy             // without REJECT
	levelForm              // a log level in any case, or nothing
	mustLevel              // a log level
	wordForm               // anything without white space
	queueForm              // N or N:M
	listForm               // names with commas
	helperForm             // names of conntrack helpers
)

//table: the options of each kind of file (parse_clusterfw_option and its sisters)

func optionForm(kind Kind, name string) (form, bool) {
	switch kind {
	case ClusterFile:
		switch name {
		case "enable":
			return numberForm, true
		case "ebtables":
			return flagForm, true
		case "policy_in", "policy_out", "policy_forward":
			return policyForm, true
		case "log_ratelimit":
			return wordForm, true
		}
	case HostFile:
		switch name {
		case "enable", "nosmurfs", "tcpflags", "ndp", "log_nf_conntrack", "nf_conntrack_allow_invalid", "protection_synflood", "nftables":
			return flagForm, true
		case "log_level_in", "log_level_out", "log_level_forward", "tcp_flags_log_level", "smurf_log_level":
			return levelForm, true
		case "nf_conntrack_helpers":
			return helperForm, true
		case "nf_conntrack_max", "nf_conntrack_tcp_timeout_established", "nf_conntrack_tcp_timeout_syn_recv",
			"protection_synflood_rate", "protection_synflood_burst", "protection_limit":
			return numberForm, true
		}
	case GuestFile:
		switch name {
		case "enable", "dhcp", "ndp", "radv", "macfilter", "ipfilter", "ips":
			return flagForm, true
		case "log_level_in", "log_level_out":
			return levelForm, true
		case "policy_in", "policy_out":
			return policyForm, true
		case "ips_queues":
			return queueForm, true
		case "layer2_protocols":
			return listForm, true
		}
	case VNetFile:
		switch name {
		case "enable":
			return numberForm, true
		case "policy_forward":
			return vnetPolicy, true
		case "log_level_forward":
			return mustLevel, true
		}
	}
	return 0, false
}

// helpers are the conntrack helpers that PVE knows.
var helpers = []string{"amanda", "ftp", "irc", "netbios-ns", "pptp", "sane", "sip", "snmp", "tftp"}

// perlOption reads a line of the section OPTIONS.
func perlOption(kind Kind, line string) (name, value, why string) {
	written, value, ok := strings.Cut(line, ":")
	name = strings.ToLower(written)
	f, known := optionForm(kind, name)
	if !ok || !known || name == "log_ratelimit" && written != name {
		return "", "", "no option of a " + string(kind) + " firewall"
	}
	value = trimSpace(value)
	bad := "the value of " + name + " is not accepted"
	switch f {
	case flagForm:
		ok = value == "0" || value == "1"
	case numberForm:
		ok = digits(value)
		value = plainNumber(value)
	case policyForm, vnetPolicy:
		value = strings.ToUpper(value)
		ok = value == "ACCEPT" || value == "DROP" || value == "REJECT" && f == policyForm
	case levelForm, mustLevel:
		value = strings.ToLower(value)
		ok = contains(logLevels, value) || value == "" && f == levelForm
	case wordForm:
		w, rest := word(value)
		ok = w != "" && rest == ""
	case queueForm:
		a, b, two := strings.Cut(value, ":")
		ok = digits(a) && (!two || digits(b))
	case listForm:
		w, rest := word(value)
		ok = w != "" && rest == ""
	case helperForm:
		value = strings.ToLower(value)
		for _, h := range strings.Split(value, ",") {
			ok = ok && contains(helpers, h)
		}
	}
	if !ok {
		return "", "", bad
	}
	return name, value, ""
}

// plainNumber takes leading zeros off.
func plainNumber(s string) string {
	if n, err := strconv.ParseUint(s, 10, 64); err == nil {
		return strconv.FormatUint(n, 10)
	}
	return s
}

// Conntrack is a helper of connection tracking: the port of the protocol that it follows.
type Conntrack struct {
	Name string
	TCP  bool
	Port uint16
	// Six is true when there is one for IPv6.
	Six bool
}

// Tracked are the helpers of a list that PVE knows (pve_fw_helpers).
func Tracked(list string) []Conntrack {
	known := []Conntrack{
		{"amanda", false, 10080, true}, {"ftp", true, 21, true}, {"irc", true, 6667, false}, {"netbios-ns", false, 137, false},
		{"pptp", true, 1723, false}, {"sane", true, 6566, true}, {"sip", false, 5060, true}, {"snmp", false, 161, false},
		{"tftp", false, 69, true},
	}
	var found []Conntrack
	for _, name := range strings.Split(list, ",") {
		for _, h := range known {
			if h.Name == name {
				found = append(found, h)
			}
		}
	}
	return found
}
