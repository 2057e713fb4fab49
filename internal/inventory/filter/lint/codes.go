package lint

//table: the codes

// The codes of findings. They are stable: scripts and controls know them by name.
const (
	RuleLost        = "rule-lost"
	RuleSkipped     = "rule-skipped"
	LineSkipped     = "line-skipped"
	AliasBlanks     = "alias-blanks"
	EntrySkipped    = "entry-skipped"
	SectionRepeated = "section-repeated"
	CaseMismatch    = "case-mismatch"
	UnknownName     = "unknown-name"
	GroupKillsGuest = "group-kills-guest"
	NFTRefused      = "nft-refused"
	NFTSkipped      = "nft-skipped"
	Shadowed        = "shadowed"
	Redundant       = "redundant"
	AnyAny          = "any-any"
	UnusedGroup     = "unused-group"
	UnusedIPSet     = "unused-ipset"
	UnusedAlias     = "unused-alias"
	SwitchMissing   = "switch-missing"
	EnableAboveOne  = "enable-above-one"
	LockoutMgmt     = "lockout-management"
	LockoutCluster  = "lockout-cluster"
	ManagementWide  = "management-wide"
	BlacklistNFT    = "blacklist-nft"
	ForwardIgnored  = "forward-ignored"
	IPFilterEmpty   = "ipfilter-empty"
	IPFilterNFT     = "ipfilter-nft"
	OptionNFT       = "option-nft"
)

// Code explains a code.
type Code struct{ Name, Text string }

// Codes lists all codes with what they mean.
func Codes() []Code {
	return []Code{
		{RuleLost, "a line that should be a rule cannot be parsed: pve-firewall loses it, proxmox-firewall refuses the file"},
		{RuleSkipped, "a rule with an error: it is kept in the file and nothing is made of it"},
		{LineSkipped, "an option, header or other line that is not accepted"},
		{AliasBlanks, "an alias with more than one blank between name and address: pve-firewall does not read it"},
		{EntrySkipped, "an entry of an ipset that is left out"},
		{SectionRepeated, "a group or ipset that is defined twice: the last one replaces the others"},
		{CaseMismatch, "names of groups and ipsets are put in lower case where they are defined and not where they are used; proxmox-firewall compares the case of macros"},
		{UnknownName, "a rule names a group, an ipset or an alias that does not exist"},
		{GroupKillsGuest, "a group with a rule that cannot be generated for the guest: pve-firewall makes no chains, and nothing filters the guest"},
		{NFTRefused, "proxmox-firewall refuses the file: rules of the node are not updated any more, and none are loaded at boot"},
		{NFTSkipped, "proxmox-firewall reads the line and makes nothing of it"},
		{Shadowed, "a rule that never decides, because rules before it decide about all of its packets"},
		{Redundant, "a rule that could be taken out: what follows it decides the same"},
		{AnyAny, "a rule that accepts everything"},
		{UnusedGroup, "a security group that no rule uses"},
		{UnusedIPSet, "an ipset that no rule uses"},
		{UnusedAlias, "an alias that no rule and no ipset uses"},
		{SwitchMissing, "a NIC that is not filtered because one of the four switches is off"},
		{EnableAboveOne, "enable is a time: the firewall is on for 60 seconds after it, and off before and later"},
		{LockoutMgmt, "a rule keeps management networks from SSH or the web interface before the rules that would let them in"},
		{LockoutCluster, "what nodes send to each other is dropped by policy_out"},
		{ManagementWide, "the ipset management holds a very wide network"},
		{BlacklistNFT, "the ipset blacklist has no effect with proxmox-firewall"},
		{ForwardIgnored, "FORWARD rules and the files of vnets have no effect with pve-firewall"},
		{IPFilterEmpty, "ipfilter is on and no ipset says which addresses a VM may use: all of its IPv4 packets are dropped"},
		{IPFilterNFT, "an ipset ipfilter-netN without the option ipfilter has no effect with proxmox-firewall"},
		{OptionNFT, "an option that proxmox-firewall does not know"},
	}
}
