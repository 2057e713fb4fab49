// Package firewall reads the firewall files of Proxmox VE: cluster.fw, host.fw, VMID.fw and the vnet files of SDN. Two
// programs read them and disagree: pve-firewall (Perl, makes iptables rules) skips what it does not understand,
// proxmox-firewall (Rust, makes nftables rules) refuses the whole file, and each accepts what the other does not. [Parse]
// reads as the first does, [ParseStrict] as the second.
//
// A [File] keeps the text, so that it can be written back byte for byte. What a name stands for depends on other files;
// [Scope] checks that. What a packet meets is the business of internal/inventory/filter.
//
// Sources: PVE::Firewall of pve-firewall 6 (generic_fw_config_parser, parse_fw_rule, verify_rule); proxmox-ve-config of
// proxmox-ve-rs (firewall/common.rs and below).
package firewall

import (
	"slices"
	"sort"
	"strings"

	"github.com/castellan-project/castellan/internal/pve"
)

// Kind is the kind of a firewall file.
type Kind string

// The kinds of firewall files.
const (
	ClusterFile Kind = "cluster"
	HostFile    Kind = "host"
	GuestFile   Kind = "guest"
	VNetFile    Kind = "vnet"
)

// File is one firewall file as one of the two programs reads it.
type File struct {
	Kind Kind
	// Options, Aliases, IPSets and Groups are in the order of the file. Of several with one name the last counts.
	Options []Option
	Aliases []Alias
	IPSets  []IPSet
	Groups  []Group
	// Rules are those of the section RULES; those of a group are in the group.
	Rules []Rule
	// Strict is what proxmox-firewall does not accept: Aborted for what makes it refuse the file, Skipped for what it
	// reads without effect.
	Strict []pve.Problem

	raw    string
	starts []int32 // where each line begins
	names  map[key]named
}

// Option is one setting. Name is in lower case, as pve-firewall reads it; Value is in PVE's spelling.
type Option struct {
	Name, Value string
	Line        int
}

// Alias is a name for an address or a network.
type Alias struct {
	// Name as written; pve-firewall compares it in lower case.
	Name string
	// CIDR is as written, without a prefix length that covers one address only.
	CIDR    string
	Comment string
	Line    int
}

// IPSet is a named set of networks.
type IPSet struct {
	// Name is in lower case when pve-firewall reads it, which does not put the references in lower case.
	Name    string
	Written string
	Comment string
	Line    int
	Entries []Entry
}

// Entry is one line of an ipset.
type Entry struct {
	// CIDR is an address, a network, or the name of an alias with an optional "dc/" or "guest/".
	CIDR    string
	NoMatch bool
	Alias   bool
	Comment string
	// Error is why PVE leaves the entry out; empty when it is good as far as this file alone can tell.
	Error string
	Line  int
}

// Group is a security group.
type Group struct {
	// Name is in lower case when pve-firewall reads it; see [IPSet].
	Name    string
	Written string
	Comment string
	Line    int
	Rules   []Rule
}

// Rule is one rule. Its fields are texts as written, empty when not given.
type Rule struct {
	Line    int
	Enabled bool
	// Type is "in", "out", "forward" or "group", in lower case; anything else is an error of the rule.
	Type string
	// Action is "ACCEPT", "DROP", "REJECT", or the name of the group; anything else is an error of the rule.
	Action string
	// Macro is the name in PVE's spelling, or as written when there is no such macro.
	Macro                              string
	Iface, Source, Dest                string
	Proto, DPort, SPort, Log, ICMPType string
	Comment                            string
	// Errors are why pve-firewall keeps the rule without making anything of it, as far as the rule alone tells. See
	// [Scope.Check] for the names that it uses.
	Errors []RuleError
}

// RuleError is one fault of a rule.
type RuleError struct {
	// Property is PVE's word for what is wrong: "type", "action", "iface", "macro", "proto", "dport", "sport",
	// "icmp-type", "source", "dest".
	Property string
	Text     string
}

func (e RuleError) String() string { return e.Property + ": " + e.Text }

type sort8 uint8

// The sorts of names that a file looks up.
const (
	optionName sort8 = iota
	aliasName
	ipsetName
	groupName
)

type key struct {
	sort sort8
	name string
}

// named is where the last definition of a name is in its list, and the line of the first.
type named struct{ index, first int32 }

func (f *File) name(sort sort8, name string, index, line int) {
	if f.names == nil {
		f.names = map[key]named{}
	}
	k := key{sort, name}
	n, ok := f.names[k]
	if !ok {
		n.first = int32(line)
	}
	n.index = int32(index)
	f.names[k] = n
}

// Bytes is the text of the file, exactly as it was read.
func (f *File) Bytes() []byte { return []byte(f.raw) }

// Lines counts the lines.
func (f *File) Lines() int { return len(f.starts) }

// Text is a line without its end and the white space around it; empty when there is no such line.
func (f *File) Text(line int) string {
	if f == nil || line < 1 || line > len(f.starts) {
		return ""
	}
	end := len(f.raw)
	if line < len(f.starts) {
		end = int(f.starts[line])
	}
	return strings.TrimSpace(f.raw[f.starts[line-1]:end])
}

// Option returns the setting that counts.
func (f *File) Option(name string) (Option, bool) {
	if f == nil {
		return Option{}, false
	}
	n, ok := f.names[key{optionName, name}]
	if !ok {
		return Option{}, false
	}
	return f.Options[n.index], true
}

// Value is the value of a setting, or what its absence means.
func (f *File) Value(name, absent string) string {
	if o, ok := f.Option(name); ok {
		return o.Value
	}
	return absent
}

// On reports whether a boolean setting is on; absent is what its absence means.
func (f *File) On(name string, absent bool) bool {
	o, ok := f.Option(name)
	if !ok {
		return absent
	}
	return o.Value != "0" && o.Value != ""
}

// Alias finds an alias in any case.
func (f *File) Alias(name string) (*Alias, bool) {
	if f == nil || len(f.Aliases) == 0 {
		return nil, false
	}
	n, ok := f.names[key{aliasName, strings.ToLower(name)}]
	if !ok {
		return nil, false
	}
	return &f.Aliases[n.index], true
}

// IPSet finds an ipset by the name that it has for the program that read the file.
func (f *File) IPSet(name string) (*IPSet, bool) {
	if f == nil || len(f.IPSets) == 0 {
		return nil, false
	}
	n, ok := f.names[key{ipsetName, name}]
	if !ok {
		return nil, false
	}
	return &f.IPSets[n.index], true
}

// Group finds a security group by the name that it has for the program that read the file.
func (f *File) Group(name string) (*Group, bool) {
	if f == nil || len(f.Groups) == 0 {
		return nil, false
	}
	n, ok := f.names[key{groupName, name}]
	if !ok {
		return nil, false
	}
	return &f.Groups[n.index], true
}

// known reports whether a name is defined above a line. Perl checks a rule when it reads it: what comes further down in
// the same file does not exist yet. before 0 takes the whole file.
func (f *File) known(sort sort8, name string, before int) bool {
	if f == nil {
		return false
	}
	n, ok := f.names[key{sort, name}]
	return ok && (before == 0 || int(n.first) < before)
}

// AliasAbove reports whether an alias is defined above a line of this file. Entries of ipsets may use no other.
func (f *File) AliasAbove(name string, line int) bool {
	return f.known(aliasName, lowerASCII(name), line)
}

// Refused is why proxmox-firewall refuses the file; nil when it reads it.
func (f *File) Refused() *pve.Problem {
	if f == nil {
		return nil
	}
	i := slices.IndexFunc(f.Strict, func(p pve.Problem) bool { return p.Effect == pve.Aborted })
	if i < 0 {
		return nil
	}
	return &f.Strict[i]
}

// LineAt is the number of the line that an offset of the text is in.
func (f *File) LineAt(offset int) int {
	return sort.Search(len(f.starts), func(i int) bool { return int(f.starts[i]) > offset })
}

// clip shortens hostile text for a message.
func clip(s string) string {
	if len(s) > 60 {
		return s[:60] + "..."
	}
	return s
}
