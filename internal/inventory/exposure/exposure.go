// Package exposure answers what a guest can reach beyond its own disks and memory: devices and directories of the node,
// channels to whoever looks at its console, code that runs on the node for it, and weakened isolation. Virtual machines
// and containers share one family of channels. It also tells a guest's life: who owns it, from what template it came,
// how old its snapshots are, and what waits for a restart.
//
// Answers are about one section of a configuration, the one in force or the one of the next start; snapshots are never
// judged. The package does not decide whether an exposure is justified: controls do, with lists of exceptions.
package exposure

import (
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/inventory"
	"github.com/castellan-project/castellan/internal/pve"
	"github.com/castellan-project/castellan/internal/pve/guestcfg"
)

// Severity is how much an exposure gives away: critical, high, medium, low, info.
type Severity string

// The severities, worst first.
const (
	Critical Severity = "critical"
	High     Severity = "high"
	Medium   Severity = "medium"
	Low      Severity = "low"
	Info     Severity = "info"
)

// Rank is 4 for critical and 0 for info.
func (s Severity) Rank() int {
	return slices.Index([]Severity{Info, Low, Medium, High, Critical}, s)
}

// Channel is the way between a guest and what lies outside of it. The names are the same for all kinds of guests.
type Channel string

// The channels.
const (
	Clipboard     Channel = "clipboard"
	FolderSharing Channel = "folder-sharing"
	DeviceControl Channel = "device-control" // media and redirected devices that come and go
	Devices       Channel = "devices"        // emulated devices that are code to attack
	Passthrough   Channel = "passthrough"    // devices of the node
	Console       Channel = "console"
	RawArguments  Channel = "raw-arguments"
	HostInfo      Channel = "host-info"
	Agent         Channel = "agent"
	SharedMemory  Channel = "shared-memory"
	HostCode      Channel = "host-code" // programs that the node runs for the guest
	Network       Channel = "network"
	Secrets       Channel = "secrets"
	Isolation     Channel = "isolation"
	Processor     Channel = "processor"
	Integrity     Channel = "integrity"
)

// Exposure is one thing that a setting of a guest gives away.
type Exposure struct {
	// Kind is a name of [Kinds].
	Kind     string   `json:"kind"`
	Channel  Channel  `json:"channel"`
	Severity Severity `json:"severity"`
	// Key is the setting; empty when it is its absence. Line is its line in the file, 0 for a default.
	Key  string `json:"key"`
	Line int    `json:"line,omitempty"`
	// Text says what it is, without any secret.
	Text string `json:"text"`
}

// Words are key and text, the key once.
func (e Exposure) Words() string {
	if e.Key == "" || strings.HasPrefix(e.Text, e.Key) {
		return e.Text
	}
	return e.Key + " " + e.Text
}

// kindRow describes a kind.
type kindRow struct {
	name     string
	channel  Channel
	severity Severity
}

// kindRows lists all kinds in the order in which people read them.
//
// kindRows is a table: kinds of exposure with channel and severity.
func kindRows() []kindRow {
	return []kindRow{
		{"privileged", Isolation, Critical}, {"apparmor", Isolation, Critical}, {"capabilities", Isolation, Critical},
		{"seccomp", Isolation, High}, {"idmap", Isolation, Critical}, {"idmap_passthrough", Isolation, High},
		{"cgroup_devices", Isolation, Critical}, {"keyctl", Isolation, Medium}, {"mknod", Isolation, Medium},
		{"fuse", Isolation, Low}, {"mount", Isolation, Medium}, {"force_rw_sys", Isolation, Medium}, {"nesting", HostInfo, Medium},
		{"mount_auto", HostInfo, High}, {"args", RawArguments, High}, {"monitor", Console, Critical}, {"vnc", Console, High},
		{"old_qemu", Isolation, High}, {"floppy", Devices, High}, {"legacy", Devices, Low}, {"hookscript", HostCode, High}, {"host_code", HostCode, High},
		{"shared_memory", SharedMemory, High}, {"pci_raw", Passthrough, High}, {"pci_mapped", Passthrough, Medium},
		{"host_dir", FolderSharing, High}, {"host_dir_ro", FolderSharing, Medium}, {"device", Passthrough, High},
		{"raw_disk", Passthrough, Medium}, {"usb_host", Passthrough, Medium}, {"usb_mapped", Passthrough, Low}, {"usb_spice", DeviceControl, Low},
		{"serial_host", Passthrough, Medium}, {"parallel", Passthrough, Medium}, {"serial", Console, Low}, {"audio", Devices, Low},
		{"cdrom", DeviceControl, Low}, {"cdrom_host", Passthrough, Medium}, {"spice_folders", FolderSharing, Medium}, {"spice_video", Console, Info},
		{"clipboard", Clipboard, Low}, {"shell_console", Console, Medium}, {"raw_net", Network, High}, {"user_nic", Network, Medium},
		{"unfiltered", Network, Info}, {"cloudinit_password", Secrets, Medium}, {"cloudinit_custom", HostCode, Low},
		{"environment", Secrets, Medium}, {"unsafe_cache", Integrity, Medium}, {"no_kvm", Processor, Medium}, {"cpu_mitigations", Processor, Medium},
		{"nested", Processor, Low}, {"agent", Agent, Low},
	}
}

// Kinds lists the kinds of exposures.
func Kinds() []string {
	rows := kindRows()
	names := make([]string, len(rows))
	for i, k := range rows {
		names[i] = k.name
	}
	return names
}

// Judge finds exposures. It holds what does not stand in the configuration of a guest. The zero Judge knows none of it.
type Judge struct {
	// Models are the CPU models that administrators defined, by name without "custom-".
	Models map[string]Model
	rows   map[string]kindRow
}

// NewJudge returns a judge for a cluster with these CPU models of its own.
func NewJudge(models map[string]Model) *Judge {
	j := &Judge{Models: models, rows: map[string]kindRow{}}
	for _, k := range kindRows() {
		j.rows[k.name] = k
	}
	return j
}

// scan collects the exposures of one section.
type scan struct {
	judge *Judge
	s     *guestcfg.Section
	found []Exposure
}

// maxExposures bounds what is listed of one guest: a file of 1 MB could hold 50,000.
const maxExposures = 500

func (c *scan) add(kind, key string, line int, text string) {
	if len(c.found) >= maxExposures {
		return
	}
	row := c.judge.rows[kind]
	c.found = append(c.found, Exposure{Kind: kind, Channel: row.channel, Severity: row.severity, Key: key, Line: line, Text: Clip(text)})
}

// maxText bounds the words for one exposure, in bytes.
const maxText = 160

// Clip makes one valid line of at most 160 bytes of what a host says.
func Clip(s string) string {
	s = strings.ToValidUTF8(s, "?")
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
	if len(s) > maxText {
		return strings.ToValidUTF8(s[:maxText], "") + "..."
	}
	return s
}

// Of returns the exposures of a section of a guest of a kind, the worst first, then by setting.
func (j *Judge) Of(kind inventory.GuestKind, s *guestcfg.Section) []Exposure {
	c := &scan{judge: j, s: s}
	if kind == inventory.LXC {
		c.container()
	} else {
		c.machine()
	}
	c.network(kind)
	sortExposures(c.found)
	return c.found
}

func sortExposures(all []Exposure) {
	slices.SortStableFunc(all, func(a, b Exposure) int {
		if d := b.Severity.Rank() - a.Severity.Rank(); d != 0 {
			return d
		}
		return a.Line - b.Line
	})
}

// OldQEMU is the exposure of a machine that runs an older QEMU than its node has.
func (j *Judge) OldQEMU(st State, newest string) Exposure {
	row := j.rows["old_qemu"]
	return Exposure{Kind: row.name, Channel: row.channel, Severity: row.severity, Text: "runs QEMU " + st.QEMU + ", the node has " + newest}
}

// Change is what the next start of a guest changes.
type Change struct {
	// Gone are exposures that are in force now and end with the next start: hardening that is not active yet.
	Gone []Exposure `json:"gone,omitempty"`
	// Coming are those that begin with the next start.
	Coming []Exposure `json:"coming,omitempty"`
}

// Pending compares what is in force with what will be after the next start.
func (j *Judge) Pending(kind inventory.GuestKind, c *guestcfg.Config) Change {
	if len(c.Pending.Entries) == 0 && len(c.Pending.Deletes) == 0 {
		return Change{}
	}
	next := c.Next()
	now, then := j.Of(kind, &c.Current), j.Of(kind, &next)
	return Change{Gone: without(now, then), Coming: without(then, now)}
}

// without returns the exposures of a that are not among b. Lines do not matter.
func without(a, b []Exposure) []Exposure {
	type id struct{ kind, key, text string }
	has := make(map[id]bool, len(b))
	for _, e := range b {
		has[id{e.Kind, e.Key, e.Text}] = true
	}
	var left []Exposure
	for _, e := range a {
		if !has[id{e.Kind, e.Key, e.Text}] {
			left = append(left, e)
		}
	}
	return left
}

// Worst is the highest severity among exposures, "" without any.
func Worst(all []Exposure) Severity {
	worst := Severity("")
	for _, e := range all {
		if worst == "" || e.Severity.Rank() > worst.Rank() {
			worst = e.Severity
		}
	}
	return worst
}

// network finds what cards give away in both kinds of guests.
func (c *scan) network(kind inventory.GuestKind) {
	for _, n := range c.s.NICs() {
		switch {
		case n.UserMode:
			c.add("user_nic", n.Key, n.Line, "user-mode network: the node translates addresses, past PVE's firewall")
		case !n.Firewall && n.Bridge != "":
			c.add("unfiltered", n.Key, n.Line, "firewall=0 on "+n.Bridge)
		}
		if kind == inventory.QEMU && legacyCard(n.Model) {
			c.add("legacy", n.Key, n.Line, "emulated card "+n.Model)
		}
	}
}

// legacyCard is a table: cards that only operating systems of the last century need.
func legacyCard(model string) bool {
	switch model {
	case "ne2k_isa", "ne2k_pci", "pcnet", "i82551", "i82557b", "i82559er":
		return true
	}
	return false
}

// properties splits the value of a key and gives its line.
func (c *scan) properties(key, defaultKey string) (pve.Properties, int) {
	return c.s.Properties(key, defaultKey), c.s.LineOf(key)
}
