// Package guestcfg reads the configuration of guests, qemu-server/ID.conf of virtual machines and lxc/ID.conf of
// containers, as Proxmox VE does: the section that is in force, what waits for a restart, and the snapshots, each with
// its settings in order and their lines.
//
// The two kinds of file look alike and are read differently (qemu-server src/PVE/QemuServer.pm parse_vm_config,
// pve-container src/PVE/LXC/Config.pm parse_pct_config): a setting that PVE cannot read is dropped from a virtual machine
// and kept in a container; an unknown section ends the settings of a virtual machine, while in a container its lines
// count for the section before. Whoever looks for text in such a file judges snapshots as the running guest. The package
// does not know what is dangerous, and it does not look at disks or storages.
//
// A configuration may hold secrets; see [Secret].
package guestcfg

import (
	"strconv"
	"strings"
	"time"

	"github.com/castellan-project/castellan/internal/pve"
)

// Kinds of guests, as in the paths and the API of PVE.
const (
	QEMU = "qemu"
	LXC  = "lxc"
)

// Config is the configuration of a guest.
type Config struct {
	// Kind is QEMU or LXC.
	Kind string
	// Current is what is in force, or will be at the next start of a guest that is stopped.
	Current Section
	// Pending is what waits for the next start: settings that replace those of Current. Its Deletes name those that go.
	Pending Section
	// Snapshots are in the order of the file.
	Snapshots []Snapshot
	// Special are sections that PVE keeps for itself ("cloudinit", "fleecing"), of virtual machines only.
	Special []Section

	raw []byte
}

// Section is one part of the file.
type Section struct {
	// Name is "" for the current settings, "pending", or the name of the snapshot or special section.
	Name string
	// Line is that of the header, 0 for the current settings.
	Line int
	// Description is the notes of the guest, decoded.
	Description string
	// Entries are all lines with settings, in order, also those that do not count.
	Entries []Entry
	// Deletes are the settings that a pending section takes away.
	Deletes []string

	kind string
}

// Entry is one setting.
type Entry struct {
	Key, Value string
	Line       int
	// Raw is true for the lxc.* settings, which are handed to LXC as they are and may be repeated.
	Raw bool
	// Refused is true when PVE does not take the line into account.
	Refused bool
}

// Snapshot is the state that a guest had.
type Snapshot struct {
	Section
	// Time is when it was taken; zero when the file does not say.
	Time time.Time
	// Parent is the snapshot before it, "" for the first.
	Parent string
	// VMState is the volume with the memory of the machine, "" when only disks were kept.
	VMState string
	// State is "prepare" or "delete" when taking or removing it has not ended.
	State string
}

// Parse reads the file of a guest of the kind "qemu" or "lxc" as PVE does. No content is refused as a whole. Of several
// lines for one key the last counts, of several sections of one name the last.
func Parse(kind string, b []byte) (*Config, []pve.Problem) {
	p := &parser{
		c:    &Config{Kind: kind, Current: Section{kind: kind}, Pending: Section{kind: kind}, raw: b},
		seen: map[string]int{}, names: map[string]bool{},
	}
	p.to = &p.c.Current
	for line := range strings.SplitSeq(string(b), "\n") {
		p.line++
		p.read(line)
	}
	p.close()
	p.c.Snapshots = lastOfName(p.c.Snapshots, func(s *Snapshot) string { return s.Name })
	p.c.Special = lastOfName(p.c.Special, func(s *Section) string { return s.Name })
	if p.more > 0 {
		p.problems = append(p.problems, pve.Skipf(0, "%d more lines that are not accepted", p.more))
	}
	return p.c, p.problems
}

// Bytes returns the file as it was read.
func (c *Config) Bytes() []byte { return c.raw }

// Get returns a current setting, and whether it is set.
func (c *Config) Get(key string) (string, bool) { return c.Current.Get(key) }

// Value returns a current setting, "" when it is not set.
func (c *Config) Value(key string) string { return c.Current.Value(key) }

// Line returns where a current setting stands, 0 when it is not set.
func (c *Config) Line(key string) int { return c.Current.LineOf(key) }

// On reports whether a boolean current setting is true.
func (c *Config) On(key string) bool { return c.Current.On(key) }

// Next is the section that will be in force after the next start: the current settings with the pending ones.
func (c *Config) Next() Section {
	next := Section{Description: c.Current.Description, kind: c.Kind}
	if c.Pending.Description != "" {
		next.Description = c.Pending.Description
	}
	gone := make(map[string]bool, len(c.Pending.Deletes)+len(c.Pending.Entries))
	for _, k := range c.Pending.Deletes {
		gone[k] = true
	}
	for _, e := range c.Pending.Entries {
		if !e.Refused && !e.Raw {
			gone[e.Key] = true
		}
	}
	for _, e := range c.Current.Entries {
		if e.Raw || !gone[e.Key] {
			next.Entries = append(next.Entries, e)
		}
	}
	for _, e := range c.Pending.Entries {
		if !e.Refused {
			next.Entries = append(next.Entries, e)
		}
	}
	return next
}

// Name is what the guest is called: its name, or the host name of a container.
func (c *Config) Name() string {
	if c.Kind == LXC {
		return c.Value("hostname")
	}
	return c.Value("name")
}

// maxTags bounds the tags of one guest, of which people give a handful.
const maxTags = 200

// Tags are the tags of the guest, in lower case as PVE compares them, without repetition; at most 200.
func (c *Config) Tags() []string {
	var tags []string
	seen := map[string]bool{}
	for _, t := range pve.List(c.Value("tags")) {
		if t = strings.ToLower(t); !seen[t] && len(tags) < maxTags {
			seen[t] = true
			tags = append(tags, t)
		}
	}
	return tags
}

// Get returns the value that counts for a key, and whether there is one.
func (s *Section) Get(key string) (string, bool) {
	if e := s.entry(key); e != nil {
		return e.Value, true
	}
	return "", false
}

// Value returns the value of a key, "" when it is not set.
func (s *Section) Value(key string) string {
	v, _ := s.Get(key)
	return v
}

// LineOf returns the line of a key, 0 when it is not set.
func (s *Section) LineOf(key string) int {
	if e := s.entry(key); e != nil {
		return e.Line
	}
	return 0
}

// On reports whether a boolean key is true. What is no boolean was refused in a virtual machine; in a container it is
// kept and has Perl's truth, so that "unprivileged: maybe" is true.
func (s *Section) On(key string) bool {
	v, ok := s.Get(key)
	if !ok {
		return false
	}
	return s.truth(v)
}

// Number returns an integer setting, and whether it is one.
func (s *Section) Number(key string) (int, bool) {
	n, err := strconv.Atoi(s.Value(key))
	return n, err == nil
}

// Properties splits the value of a key that is a property string. The default key is what a value without "=" means.
func (s *Section) Properties(key, defaultKey string) pve.Properties {
	return pve.ParseProperties(s.Value(key), defaultKey)
}

// Raw returns the values of an lxc.* setting in their order.
func (s *Section) Raw(key string) []Entry {
	var found []Entry
	for _, e := range s.Entries {
		if e.Raw && !e.Refused && e.Key == key {
			found = append(found, e)
		}
	}
	return found
}

// entry is the last line of a key that counts.
func (s *Section) entry(key string) *Entry {
	for i := len(s.Entries) - 1; i >= 0; i-- {
		if e := &s.Entries[i]; e.Key == key && !e.Refused {
			return e
		}
	}
	return nil
}

func (s *Section) truth(v string) bool {
	b, ok := pve.Bool(v)
	if !ok && s.kind == LXC {
		return pve.Truth(v)
	}
	return b
}

// numbered returns the entries of the keys prefix0 ... prefixN that count, by number.
func (s *Section) numbered(prefix string) []Entry {
	last := map[int]int{}
	highest := -1
	for i, e := range s.Entries {
		if n, ok := number(e.Key, prefix); ok && !e.Refused && !e.Raw {
			last[n] = i
			highest = max(highest, n)
		}
	}
	var found []Entry
	for n := 0; n <= highest; n++ {
		if i, ok := last[n]; ok {
			found = append(found, s.Entries[i])
		}
	}
	return found
}

// Numbered returns the settings prefix0, prefix1 ... that count, by number: "hostpci", "usb", "serial", "mp" and so on.
func (s *Section) Numbered(prefix string) []Entry { return s.numbered(prefix) }

// maxNumber bounds the numbers of keys: unused255 and mp255 are the highest that PVE knows.
const maxNumber = 255

// number is the N of a key "prefixN".
func number(key, prefix string) (int, bool) {
	digits, ok := strings.CutPrefix(key, prefix)
	if !ok || digits == "" || len(digits) > 3 || (len(digits) > 1 && digits[0] == '0') {
		return 0, false
	}
	n := 0
	for i := range len(digits) {
		if digits[i] < '0' || digits[i] > '9' {
			return 0, false
		}
		n = n*10 + int(digits[i]-'0')
	}
	return n, n <= maxNumber
}

// Secret reports whether the value of a key is a secret, or may hold one: passwords of cloud-init and the environment of
// containers. Such a value must not leave this process.
func Secret(key string) bool {
	switch key {
	case "cipassword", "env":
		return true
	}
	return strings.HasPrefix(key, "lxc.environment")
}
