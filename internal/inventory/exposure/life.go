package exposure

import (
	"strconv"
	"strings"
	"time"

	"github.com/castellan-project/castellan/internal/inventory"
	"github.com/castellan-project/castellan/internal/pve/guestcfg"
)

// Life is what a configuration tells about where a guest comes from and who wants it.
type Life struct {
	// Owner, Purpose and Expires are what the notes ("Owner: infra") or tags ("owner-infra") say; "" when nothing.
	Owner   string `json:"owner,omitempty"`
	Purpose string `json:"purpose,omitempty"`
	Expires string `json:"expires,omitempty"`
	// ExpiresAt is Expires as a date; zero when it is none ("never") or no date.
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	Template  bool      `json:"template"`
	// From are the templates that the guest is a linked clone of. LineageKnown is false where the storage does not tell:
	// a full clone and a guest of one's own look the same.
	From         []int `json:"from,omitempty"`
	LineageKnown bool  `json:"lineage_known"`
	// Created is when a virtual machine was made, zero when the configuration does not say (containers, and machines made
	// before PVE 7.1). QEMU is the version it was made with.
	Created time.Time `json:"created,omitzero"`
	QEMU    string    `json:"qemu,omitempty"`
	// Unused are volumes that belong to the guest and are not attached.
	Unused []string `json:"unused,omitempty"`
	Lock   string   `json:"lock,omitempty"`
	// Snapshots counts them; Oldest is when the first was taken, zero when none says; Memory how many hold the guest's
	// memory, with all secrets that were in it; Unfinished those that were never completed or removed.
	Snapshots  int       `json:"snapshots"`
	Oldest     time.Time `json:"oldest,omitzero"`
	Memory     int       `json:"memory,omitempty"`
	Unfinished int       `json:"unfinished,omitempty"`
}

// LifeOf reads the life of a guest.
func LifeOf(kind inventory.GuestKind, c *guestcfg.Config) Life {
	l := Life{Template: c.On("template"), From: c.Current.Templates(), Lock: c.Value("lock"), Snapshots: len(c.Snapshots)}
	l.LineageKnown = len(l.From) > 0 || l.Template
	l.labels(c)
	if kind == inventory.QEMU {
		meta := c.Current.Properties("meta", "")
		l.QEMU = meta.Value("creation-qemu")
		if n, err := strconv.ParseInt(meta.Value("ctime"), 10, 64); err == nil && n > 0 && n < maxTime {
			l.Created = time.Unix(n, 0).UTC()
		}
	}
	for _, v := range c.Volumes() {
		if v.Unused {
			l.Unused = append(l.Unused, v.ID())
		}
	}
	for _, s := range c.Snapshots {
		if !s.Time.IsZero() && (l.Oldest.IsZero() || s.Time.Before(l.Oldest)) {
			l.Oldest = s.Time
		}
		if s.VMState != "" {
			l.Memory++
		}
		if s.State != "" {
			l.Unfinished++
		}
	}
	return l
}

// maxTime is the year 9999, the last that JSON can write.
const maxTime = 253402300799

// maxLabel bounds a label, in bytes.
const maxLabel = 80

// labels reads notes first, then tags. Only these three are taken from notes: people write passwords there as well.
func (l *Life) labels(c *guestcfg.Config) {
	set := func(to *string, v string) {
		if v = Clip(strings.TrimSpace(v)); *to == "" && v != "" {
			*to = strings.ToValidUTF8(v[:min(len(v), maxLabel)], "")
		}
	}
	put := func(name, v string) {
		switch label(name) {
		case "owner":
			set(&l.Owner, v)
		case "purpose":
			set(&l.Purpose, v)
		case "expires":
			set(&l.Expires, v)
		}
	}
	for line := range strings.SplitSeq(c.Current.Description, "\n") {
		line = strings.Trim(line, " \t*#->|")
		if i := strings.IndexAny(line, ":="); i > 0 && i <= maxLabel {
			put(strings.Trim(line[:i], " *_`"), strings.Trim(line[i+1:], " *_`|"))
		}
	}
	for _, t := range c.Tags() {
		if i := strings.IndexAny(t, "-_.+"); i > 0 {
			put(t[:i], t[i+1:])
		}
	}
	l.ExpiresAt = date(l.Expires)
}

// label is a table: words for who a guest belongs to, what it is for and until when.
func label(name string) string {
	switch strings.ToLower(name) {
	case "owner", "contact", "responsible", "team", "besitzer", "verantwortlich", "responsable", "propriétaire": //nolint:misspell // other languages
		return "owner"
	case "purpose", "service", "role", "usage", "function", "zweck", "but", "fonction":
		return "purpose"
	case "expiry", "expires", "expire", "expiration", "exp", "until", "review", "ablauf", "valid-until":
		return "expires"
	}
	return ""
}

// date reads the usual ways to write a day.
func date(s string) time.Time {
	if len(s) > 10 {
		s = s[:10]
	}
	for _, layout := range []string{"2006-01-02", "20060102", "02.01.2006", "2006/01/02", "2006-01"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t
		}
	}
	return time.Time{}
}

// PlatformOf names the container platform that a container seems to run, and the sign of it: its name or a tag, or
// features that only Docker asks for. "" without a sign.
func PlatformOf(c *guestcfg.Config) string {
	for _, word := range []string{"docker", "podman", "k3s", "k8s", "kubernetes", "portainer", "containerd", "microk8s"} {
		for _, t := range c.Tags() {
			if strings.Contains(t, word) {
				return word + " (tag " + Clip(t) + ")"
			}
		}
		if strings.Contains(strings.ToLower(c.Name()), word) {
			return word + " (name)"
		}
	}
	ps := c.Current.Properties("features", "")
	if ps.On("nesting") && ps.On("keyctl") {
		return "docker (nesting with keyctl)"
	}
	return ""
}
