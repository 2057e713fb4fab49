// Package storagecfg reads storage.cfg, the storages of a cluster, with the defaults that PVE puts in
// (pve-storage, PVE/Storage/Plugin.pm and the plugins). It does not look into storages, and it holds no password: those
// stand in /etc/pve/priv/storage.
package storagecfg

import (
	"slices"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/pve"
)

// Config is what the file says.
type Config struct {
	// Storages are in the order of the file; "local" is always there, as PVE makes one when the file does not.
	Storages []Storage
}

// Storage is one storage.
type Storage struct {
	ID, Type string
	// Line is that of the header, 0 for a "local" that PVE adds.
	Line int
	// Nodes are those that may use it; empty means all.
	Nodes    []string
	Disabled bool
	// Content is what it may hold (images, rootdir, vztmpl, iso, backup, snippets, import), sorted; ContentSet tells a value of the
	// file from the default of the type.
	Content    []string
	ContentSet bool
	// Shared is true when every node sees the same content: by type, or because the file says so.
	Shared bool
	// Retention is prune-backups or the older maxfiles. Unset means that all backups are kept.
	Retention    pve.Retention
	RetentionSet bool
	// Path is where directories and shares are mounted on nodes; "" for other types.
	Path string
	// Server is the address of the machine behind it, "" for local storages.
	Server string
	// Port is that of a backup server, 8007 unless set; 0 for other types.
	Port int
	// Pool is that of ZFS, Ceph or LVM: zpool, RBD pool or volume group.
	Pool string

	// Username is who logs in at a backup server or share; passwords are not in this file.
	Username string
	// Datastore, Namespace and Fingerprint are those of a backup server.
	Datastore, Namespace, Fingerprint string
	// EncryptionKey is the fingerprint of the key with which backups are encrypted before they leave the node; "" when they are not. It may
	// be "1" in files of older releases.
	EncryptionKey string
	// MasterPubkey is true when the key is saved with each backup, encrypted with a master key.
	MasterPubkey bool
	// MaxProtected is max-protected-backups; -1 means without limit. Unset it is 5 for users without Datastore.Allocate.
	MaxProtected    int
	MaxProtectedSet bool
	// Options are mount options of NFS and CIFS.
	Options []string
	// SkipCertCheck is true when the certificate of an ESXi host is not looked at.
	SkipCertCheck bool
	// Section is the storage as it is written.
	Section pve.Section
}

// Storage returns a storage by its ID.
func (c *Config) Storage(id string) (*Storage, bool) {
	for i := range c.Storages {
		if c.Storages[i].ID == id {
			return &c.Storages[i], true
		}
	}
	return nil, false
}

// On reports whether a node may use the storage.
func (s *Storage) On(node string) bool {
	return !s.Disabled && (len(s.Nodes) == 0 || slices.Contains(s.Nodes, node))
}

// Holds reports whether the storage may hold a kind of content.
func (s *Storage) Holds(content string) bool { return slices.Contains(s.Content, content) }

// Encrypted reports whether backups are encrypted on the node before they are sent.
func (s *Storage) Encrypted() bool { return s.Type == "pbs" && s.EncryptionKey != "" }

// Token reports whether the storage logs in with an API token ("user@pbs!name") and not as a person.
func (s *Storage) Token() bool { return strings.Contains(s.Username, "!") }

// LineOf is the line of a setting, or that of the header.
func (s *Storage) LineOf(key string) int { return s.Section.LineOf(key) }

// FileBased reports whether content lies as files in a directory below Path.
func (s *Storage) FileBased() bool {
	switch s.Type {
	case "dir", "nfs", "cifs", "glusterfs", "cephfs", "btrfs":
		return true
	}
	return false
}

// DumpDir is the directory of backups of a file-based storage (content-dirs may move it), "" for others.
func (s *Storage) DumpDir() string {
	if !s.FileBased() || s.Path == "" {
		return ""
	}
	for _, d := range pve.List(s.Section.Value("content-dirs")) {
		if sub, ok := strings.CutPrefix(d, "backup="); ok {
			return s.Path + "/" + strings.Trim(sub, "/")
		}
	}
	return s.Path + "/dump"
}

// Parse reads the file as PVE does.
func Parse(b []byte) (*Config, []pve.Problem) {
	raw, problems := pve.ParseSections(b)
	for i := range raw {
		raw[i].Type = strings.ToLower(raw[i].Type)
	}
	valid := raw[:0]
	for _, s := range raw {
		if s.ID != "" && !validID(s.ID) {
			problems = append(problems, pve.Skipf(s.Line, "%s %q: no name for a storage, all of it is ignored", s.Type, short(s.ID)))
			continue
		}
		valid = append(valid, s)
	}
	sections, more := pve.Sections(valid, keysByType())
	problems = append(problems, more...)
	c := &Config{}
	for _, s := range sections {
		st, ps := storage(s)
		c.Storages, problems = append(c.Storages, st), append(problems, ps...)
	}
	return c, append(problems, c.local()...)
}

// local sees to it that "local" is the directory /var/lib/vz of every node (Plugin.pm, parse_config).
func (c *Config) local() []pve.Problem {
	s, ok := c.Storage("local")
	if ok && s.Type == "dir" && (s.Section.Value("path") == "" || s.Section.Value("path") == "/var/lib/vz") {
		s.Path, s.Nodes = "/var/lib/vz", nil
		return nil
	}
	made := Storage{ID: "local", Type: "dir", Path: "/var/lib/vz", Content: []string{"backup", "images", "iso", "rootdir", "snippets", "vztmpl"}}
	if !ok {
		c.Storages = append([]Storage{made}, c.Storages...)
		return nil
	}
	line := s.Line
	*s = made
	return []pve.Problem{pve.Skipf(line, "the storage \"local\" is always the directory /var/lib/vz; what stands here is ignored")}
}

func storage(s pve.Section) (Storage, []pve.Problem) {
	var problems []pve.Problem
	st := Storage{ID: s.ID, Type: s.Type, Line: s.Line, Disabled: s.On("disable"), Section: s,
		Server: first(s.Value("server"), s.Value("portal"), s.Value("monhost")), Pool: first(s.Value("pool"), s.Value("vgname")), Username: s.Value("username"),
		Datastore: s.Value("datastore"), Namespace: s.Value("namespace"), Fingerprint: s.Value("fingerprint"),
		EncryptionKey: s.Value("encryption-key"), SkipCertCheck: s.On("skip-cert-verification"), Path: s.Value("path")}
	st.Nodes = pve.List(s.Value("nodes"))
	slices.Sort(st.Nodes)
	if v, ok := s.Get("options"); ok {
		st.Options = strings.Split(v, ",")
	}
	if v := s.Value("master-pubkey"); v != "" && v != "0" {
		st.MasterPubkey = true
	}
	if st.Path == "" && st.FileBased() {
		st.Path = "/mnt/pve/" + s.ID
	}
	if s.Type == "pbs" {
		st.Port = 8007
	}
	if n, err := strconv.Atoi(s.Value("port")); err == nil {
		st.Port = n
	}
	if n, err := strconv.Atoi(s.Value("max-protected-backups")); err == nil {
		st.MaxProtected, st.MaxProtectedSet = n, true
	}
	problems = append(problems, st.content(s)...)
	problems = append(problems, st.retention(s)...)
	st.Shared = s.On("shared") || sharedType(s.Type)
	return st, problems
}

// content resolves the content types; those that the type of storage cannot hold are ignored.
func (s *Storage) content(sec pve.Section) []pve.Problem {
	able, usual := contents(sec.Type)
	v, ok := sec.Get("content")
	if !ok {
		s.Content = usual
		return nil
	}
	var problems []pve.Problem
	s.ContentSet = true
	for _, c := range pve.List(v) {
		switch {
		case !slices.Contains(able, c):
			problems = append(problems, pve.Skipf(sec.LineOf("content"), "a storage of the type %s cannot hold %q", sec.Type, short(c)))
		case c != "none" && !slices.Contains(s.Content, c):
			s.Content = append(s.Content, c)
		}
	}
	slices.Sort(s.Content)
	if len(s.Content) == 0 && !slices.Contains(able, "none") {
		// PVE refuses the value, and with no value the default counts.
		s.Content, s.ContentSet = usual, false
		problems = append(problems, pve.Skipf(sec.LineOf("content"), "a storage of the type %s has to hold something; the default counts", sec.Type))
	}
	return problems
}

func (s *Storage) retention(sec pve.Section) []pve.Problem {
	if v, ok := sec.Get("prune-backups"); ok {
		r, err := pve.ParseRetention(v)
		if err != nil {
			return []pve.Problem{pve.Skipf(sec.LineOf("prune-backups"), "%s: %v", sec.ID, err)}
		}
		s.Retention, s.RetentionSet = r, true
		return nil
	}
	if n, err := strconv.Atoi(sec.Value("maxfiles")); err == nil && n >= 0 {
		s.Retention, s.RetentionSet = pve.Retention{Last: n}, true
	}
	return nil
}

// validID reports whether a name can be that of a storage (pve-common, JSONSchema.pm, parse_storage_id).
func validID(id string) bool {
	for i := range len(id) {
		c := id[i] | 0x20
		letter, digit := c >= 'a' && c <= 'z', id[i] >= '0' && id[i] <= '9'
		if !letter && (i == 0 || !digit && (i == len(id)-1 || !strings.ContainsRune("-_.", rune(id[i])))) {
			return false
		}
	}
	return len(id) >= 2
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

func short(s string) string {
	if len(s) > 60 {
		return s[:60] + "..."
	}
	return s
}
