package firewall

import (
	"slices"
	"strings"
)

//table: the macros

// Macro is a set of rules with a name: "IN SSH(ACCEPT)".
type Macro struct {
	// Name is spelled as PVE writes it. pve-firewall finds it in any case, proxmox-firewall in this one only.
	Name string
	// Family is 6 for a macro that has no meaning in IPv4; else 0.
	Family int
	four   string
	six    string // when IPv6 differs
}

// MacroRule is one of the rules that a macro stands for. The ICMP type is in DPort, as in PVE.
type MacroRule struct{ Proto, DPort, SPort string }

// Rules are those of a family, 4 or 6; for 0 those that pve-firewall checks a rule against.
func (m *Macro) Rules(family int) []MacroRule {
	if family != 0 && m.Family != 0 && family != m.Family {
		return nil
	}
	text := m.four
	if m.six != "" && (family == 6 || text == "") {
		text = m.six
	}
	rules := make([]MacroRule, 0, 1+strings.Count(text, " "))
	for part := range strings.FieldsSeq(text) {
		var r MacroRule
		part, r.SPort, _ = strings.Cut(part, "<")
		r.Proto, r.DPort, _ = strings.Cut(part, "/")
		rules = append(rules, r)
	}
	return rules
}

// MacroByName finds a macro in any case.
func MacroByName(name string) (*Macro, bool) {
	i, ok := slices.BinarySearchFunc(macros, name, func(m Macro, name string) int { return compareFold(m.Name, name) })
	if !ok {
		return nil, false
	}
	return &macros[i], true
}

// Macros lists all macros by name, in the order of their lower-case names.
func Macros() []Macro { return slices.Clone(macros) }

// StrictMacro finds a macro as proxmox-firewall does: in its exact spelling, and one more (PBS).
func StrictMacro(name string) (*Macro, bool) {
	if name == "PBS" {
		return &Macro{Name: "PBS", four: "tcp/8007"}, true
	}
	m, ok := MacroByName(name)
	if !ok || m.Name != name {
		return nil, false
	}
	return m, true
}

// compareFold compares in ASCII lower case without making new strings.
func compareFold(a, b string) int {
	for i := 0; i < len(a) && i < len(b); i++ {
		if x, y := lower(a[i]), lower(b[i]); x != y {
			return int(x) - int(y)
		}
	}
	return len(a) - len(b)
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// macros are "protocol/destination port", with "<source port" where there is one (PVE::Firewall, pve_fw_macros and
// pve_ipv6fw_macros). Sorted by lower-case name.
var macros = []Macro{
	{Name: "Amanda", four: "udp/10080 tcp/10080"},
	{Name: "Auth", four: "tcp/113"},
	{Name: "BGP", four: "tcp/179"},
	{Name: "BitTorrent", four: "tcp/6881:6889 udp/6881"},
	{Name: "BitTorrent32", four: "tcp/6881:6999 udp/6881"},
	{Name: "Ceph", four: "tcp/6789 tcp/3300 tcp/6800:7300"},
	{Name: "Citrix", four: "tcp/1494 udp/1604 tcp/2598"},
	{Name: "CVS", four: "tcp/2401"},
	{Name: "DAAP", four: "tcp/3689 udp/3689"},
	{Name: "DCC", four: "tcp/6277"},
	{Name: "DHCPfwd", four: "udp/67:68<67:68"},
	{Name: "DHCPv6", Family: 6, six: "udp/546:547<546:547"},
	{Name: "Distcc", four: "tcp/3632"},
	{Name: "DNS", four: "udp/53 tcp/53"},
	{Name: "Finger", four: "tcp/79"},
	{Name: "FTP", four: "tcp/21"},
	{Name: "Git", four: "tcp/9418"},
	{Name: "GNUnet", four: "tcp/2086 udp/2086 tcp/1080 udp/1080"},
	{Name: "GRE", four: "47"},
	{Name: "HKP", four: "tcp/11371"},
	{Name: "HTTP", four: "tcp/80"},
	{Name: "HTTPS", four: "tcp/443"},
	{Name: "ICPV2", four: "udp/3130"},
	{Name: "ICQ", four: "tcp/5190"},
	{Name: "IMAP", four: "tcp/143"},
	{Name: "IMAPS", four: "tcp/993"},
	{Name: "IPIP", four: "94"},
	{Name: "IPsec", four: "udp/500<500 50"},
	{Name: "IPsecah", four: "udp/500<500 51"},
	{Name: "IPsecnat", four: "udp/500 udp/4500 50"},
	{Name: "IRC", four: "tcp/6667"},
	{Name: "Jetdirect", four: "tcp/9100"},
	{Name: "L2TP", four: "udp/1701"},
	{Name: "LDAP", four: "tcp/389"},
	{Name: "LDAPS", four: "tcp/636"},
	{Name: "Mail", four: "tcp/25 tcp/465 tcp/587"},
	{Name: "MDNS", four: "udp/5353"},
	{Name: "MSNP", four: "tcp/1863"},
	{Name: "MSSQL", four: "tcp/1433"},
	{Name: "Munin", four: "tcp/4949"},
	{Name: "MySQL", four: "tcp/3306"},
	{Name: "NeighborDiscovery", Family: 6,
		six: "icmpv6/router-solicitation icmpv6/router-advertisement icmpv6/neighbor-solicitation icmpv6/neighbor-advertisement"},
	{Name: "NNTP", four: "tcp/119"},
	{Name: "NNTPS", four: "tcp/563"},
	{Name: "NTP", four: "udp/123"},
	{Name: "OpenVPN", four: "udp/1194"},
	{Name: "OSPF", four: "89"},
	{Name: "PCA", four: "udp/5632 tcp/5631"},
	{Name: "Ping", four: "icmp/echo-request", six: "icmpv6/echo-request"},
	{Name: "PMG", four: "tcp/8006"},
	{Name: "POP3", four: "tcp/110"},
	{Name: "POP3S", four: "tcp/995"},
	{Name: "PostgreSQL", four: "tcp/5432"},
	{Name: "PPtP", four: "47 tcp/1723"},
	{Name: "Printer", four: "tcp/515"},
	{Name: "Razor", four: "tcp/2703"},
	{Name: "Rdate", four: "tcp/37"},
	{Name: "RDP", four: "tcp/3389"},
	{Name: "RIP", four: "udp/520"},
	{Name: "RNDC", four: "tcp/953"},
	{Name: "Rsync", four: "tcp/873"},
	{Name: "SANE", four: "tcp/6566"},
	{Name: "SixXS", four: "tcp/3874 udp/3740 41 udp/5072,8374"},
	{Name: "SMB", four: "udp/135,445 udp/137:139 udp/1024:65535<137 tcp/135,139,445"},
	{Name: "SMBswat", four: "tcp/901"},
	{Name: "SMTP", four: "tcp/25"},
	{Name: "SMTPS", four: "tcp/465"},
	{Name: "SNMP", four: "udp/161:162 tcp/161"},
	{Name: "SPAMD", four: "tcp/783"},
	{Name: "SPICEproxy", four: "tcp/3128"},
	{Name: "Squid", four: "tcp/3128"},
	{Name: "SSH", four: "tcp/22"},
	{Name: "Submission", four: "tcp/587"},
	{Name: "SVN", four: "tcp/3690"},
	{Name: "Syslog", four: "udp/514 tcp/514"},
	{Name: "Telnet", four: "tcp/23"},
	{Name: "Telnets", four: "tcp/992"},
	{Name: "TFTP", four: "udp/69"},
	{Name: "Time", four: "tcp/37"},
	{Name: "Trcrt", four: "udp/33434:33524 icmp/echo-request", six: "udp/33434:33524 icmpv6/echo-request"},
	{Name: "VNC", four: "tcp/5900:5999"},
	{Name: "VNCL", four: "tcp/5500"},
	{Name: "Web", four: "tcp/80 tcp/443"},
	{Name: "Webcache", four: "tcp/8080"},
	{Name: "Webmin", four: "tcp/10000"},
	{Name: "Whois", four: "tcp/43"},
}
