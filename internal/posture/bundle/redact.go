package bundle

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"path"
	"reflect"
	"regexp"
	"slices"
	"sort"
	"strings"

	"github.com/castellan-project/castellan/internal/posture"
)

// Redact returns a copy of the facts in which the names and addresses of hosts and people are replaced. The same name
// always gets the same replacement within one bundle; private addresses stay private and public ones public, so that
// most judgements stay what they are. Loopback, unspecified and documentation addresses stay, as do all names of
// programs, files and settings.
func Redact(f *posture.Facts) *posture.Facts {
	b, err := json.Marshal(f)
	if err != nil {
		return &posture.Facts{Version: f.Version}
	}
	var c posture.Facts
	if err := json.Unmarshal(b, &c); err != nil {
		return &posture.Facts{Version: f.Version}
	}
	r := &redactor{names: map[string]string{}, addrs: map[netip.Addr]netip.Addr{}}
	r.learn(&c)
	// The files of the cluster hold free text and names that no list knows. What follows from them, the facts, is kept.
	c.Estate = posture.Estate{}
	r.walk(reflect.ValueOf(&c).Elem())
	if c.Target.Kind != "local" {
		c.Target.Name = "redacted"
	}
	return &c
}

type redactor struct {
	names    map[string]string
	pattern  *regexp.Regexp
	addrs    map[netip.Addr]netip.Addr
	v4, v6   uint32
	public   uint32
	maxNames int
}

// generic reports whether a name is a word that says nothing about whose host it is and stands in paths and settings
// of every host: many a node is called pve, and /etc/pve must stay.
func generic(name string) bool {
	words := []string{"root", "localhost", "pve", "proxmox", "debian", "linux", "server", "host", "node", "local", "cluster", "admin", "user",
		"backup", "test", "vm", "default", "system", "data", "home", "main", "guest", "www", "mail", "ssh", "web", "storage", "none", "yes", "no"}
	return len(name) < 2 || slices.Contains(words, strings.ToLower(name))
}

// addName notes a name to replace.
func (r *redactor) addName(kind, name string) {
	if generic(name) || r.names[name] != "" {
		return
	}
	r.maxNames++
	r.names[name] = fmt.Sprintf("%s-%d", kind, r.maxNames)
}

// learn gathers the names of this estate: the host, its cluster, its people.
func (r *redactor) learn(f *posture.Facts) {
	r.addName("host", f.Target.Hostname)
	r.addName("host", f.OS.Hostname.Value)
	for _, n := range f.OS.Nodes.Value {
		r.addName("host", n.Name)
	}
	for _, u := range people(f) {
		r.addName("person", u)
	}
	r.learnCluster(f)
	var list []string
	for n := range r.names {
		list = append(list, regexp.QuoteMeta(n))
	}
	// Longer names first: "admin2" before "admin".
	sort.Slice(list, func(i, j int) bool {
		return len(list[i]) > len(list[j]) || len(list[i]) == len(list[j]) && list[i] < list[j]
	})
	if len(list) > 0 {
		r.pattern = regexp.MustCompile(`(?:^|\b)(?:` + strings.Join(list, "|") + `)(?:\b|$)`)
	}
}

// learnCluster gathers the names that the administrators of a cluster have given.
func (r *redactor) learnCluster(f *posture.Facts) {
	r.addName("cluster", f.OS.ClusterName.Value)
	for _, d := range f.Estate.Dirs {
		r.addName("host", path.Base(d))
	}
	for _, u := range f.Identity.Users.Value {
		name, _, _ := strings.Cut(u.ID, "@")
		r.addName("person", name)
	}
	for _, t := range f.Identity.Tokens.Value {
		_, name, _ := strings.Cut(t.ID, "!")
		r.addName("token", name)
	}
	for _, g := range f.Identity.Groups.Value {
		r.addName("group", g.ID)
	}
	for _, x := range f.Identity.Roles.Value {
		r.addName("role", x.ID)
	}
	for _, m := range f.Identity.Realms.Value {
		if m.ID != "pam" && m.ID != "pve" {
			r.addName("realm", m.ID)
		}
	}
	for _, e := range f.Identity.Entries.Value {
		if pool, ok := strings.CutPrefix(e.Path, "/pool/"); ok {
			for part := range strings.SplitSeq(pool, "/") {
				r.addName("pool", part)
			}
		}
	}
	for _, s := range f.Backups.Storages.Value {
		r.addName("storage", s.ID)
	}
	for _, l := range f.Guests.Lives.Value {
		r.addName("person", l.Owner)
		r.addName("purpose", l.Purpose)
		for _, t := range l.Tags {
			r.addName("tag", t)
		}
	}
	for _, g := range f.Guests.QEMU.Value {
		r.addName("guest", g.Name)
	}
	for _, g := range f.Guests.LXC.Value {
		r.addName("guest", g.Name)
	}
}

var (
	addrLike = regexp.MustCompile(`[0-9]{1,3}(?:\.[0-9]{1,3}){3}|[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?:(?:\.[0-9]{1,3}){3})?`)
	// atLike finds mail addresses, users of realms and the comments of SSH keys: somebody@somewhere.
	atLike = regexp.MustCompile(`[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*`)
	// domainLike finds host names with a domain of the usual private and public endings; file names such as
	// sshd_config.d or castellan.conf do not end in one of them.
	domainLike = regexp.MustCompile(`\b[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.(?:com|net|org|de|fr|eu|io|lan|local|internal|intra|corp|home|example|test)\b`)
)

// publicNames are domains that belong to distributions and say nothing about an estate.
var publicNames = regexp.MustCompile(`(?:^|\.)(?:debian|proxmox|openssh|ubuntu|docker|kernel|systemd|freedesktop|grafana|elastic)\.(?:org|com|io|net|co)$|^systemd\.|\.service\.`)

func (r *redactor) text(s string) string {
	s = atLike.ReplaceAllStringFunc(s, r.somebody)
	s = domainLike.ReplaceAllStringFunc(s, func(m string) string {
		if publicNames.MatchString(m) || strings.HasPrefix(m, "domain-") || m == "libssh.org" {
			return m
		}
		return r.domain(m)
	})
	s = addrLike.ReplaceAllStringFunc(s, r.address)
	if r.pattern != nil {
		s = r.pattern.ReplaceAllStringFunc(s, func(m string) string { return r.names[m] })
	}
	return s
}

// notPeople are the right-hand sides of names with @ that are no people: algorithms, units, realms of PVE.
var notPeople = regexp.MustCompile(`^(?:openssh\.com|libssh\.org|.*\.(?:service|socket|timer|mount|automount|slice|target|path|scope|swap))$`)

func (r *redactor) somebody(m string) string {
	who, where, _ := strings.Cut(m, "@")
	if notPeople.MatchString(where) {
		return m
	}
	if who != "root" {
		if r.names[who] == "" {
			r.addName("person", who)
		}
		if to := r.names[who]; to != "" {
			who = to
		}
	}
	switch {
	case where == "pam" || where == "pve" || where == "pbs" || where == "localhost":
	case strings.Contains(where, "."):
		where = r.domain(where)
	default:
		r.addName("host", where)
		if to := r.names[where]; to != "" {
			where = to
		}
	}
	return who + "@" + where
}

func (r *redactor) domain(m string) string {
	if r.names[m] == "" {
		r.addName("domain", m)
	}
	return strings.TrimSuffix(r.names[m], ".invalid") + ".invalid"
}

func (r *redactor) address(m string) string {
	a, err := netip.ParseAddr(m)
	if err != nil || a.IsLoopback() || a.IsUnspecified() || a.IsMulticast() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return m
	}
	if to, ok := r.addrs[a]; ok {
		return to.String()
	}
	to := r.next(a)
	r.addrs[a] = to
	return to.String()
}

// next gives a fresh address of the same kind: private IPv4 from 10.0.0.0/8, public IPv4 from 198.18.0.0/15 (RFC 2544),
// IPv6 from fd00::/8 or 2001:db8::/32 (RFC 3849). The last octet stays when it is 0, so that networks look like it.
func (r *redactor) next(a netip.Addr) netip.Addr {
	if a.Is4() {
		b := a.As4()
		if a.IsPrivate() {
			r.v4++
			return netip.AddrFrom4([4]byte{10, byte(r.v4 >> 8), byte(r.v4), keepZero(b[3])})
		}
		r.public++
		return netip.AddrFrom4([4]byte{198, 18 + byte(r.public>>8&1), byte(r.public), keepZero(b[3])})
	}
	r.v6++
	to := [16]byte{0x20, 0x01, 0x0d, 0xb8}
	if a.IsPrivate() {
		to = [16]byte{0xfd}
	}
	to[6], to[7] = byte(r.v6>>8), byte(r.v6)
	if b := a.As16(); b[15] != 0 {
		to[15] = 1
	}
	return netip.AddrFrom16(to)
}

func keepZero(b byte) byte {
	if b == 0 {
		return 0
	}
	return 1
}

// walk replaces every string below v, keys of maps included.
func (r *redactor) walk(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			r.walk(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				r.walk(v.Field(i))
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			r.walk(v.Index(i))
		}
	case reflect.Map:
		r.walkMap(v)
	case reflect.String:
		if v.CanSet() {
			v.SetString(r.text(v.String()))
		}
	}
}

func (r *redactor) walkMap(v reflect.Value) {
	if v.IsNil() || v.Type().Key().Kind() != reflect.String {
		return
	}
	keys := v.MapKeys()
	sort.Slice(keys, func(i, j int) bool { return keys[i].String() < keys[j].String() })
	for _, k := range keys {
		x := reflect.New(v.Type().Elem()).Elem()
		x.Set(v.MapIndex(k))
		r.walk(x)
		v.SetMapIndex(k, reflect.Value{})
		v.SetMapIndex(reflect.ValueOf(r.text(k.String())).Convert(k.Type()), x)
	}
}

// people lists accounts of persons.
func people(f *posture.Facts) []string {
	var names []string
	for _, u := range f.Accounts.Users.Value {
		if u.Person {
			names = append(names, u.Name)
		}
	}
	return names
}
