// Package realmcfg reads domains.cfg, the authentication realms: where users come from and how their passwords travel. Client
// keys are noted as present and never kept.
//
// Source: pve-access-control, src/PVE/Auth/*.pm; PVE/SectionConfig.pm for the form of the file.
package realmcfg

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/pve"
)

// Config is what the file says, with the realms pam and pve that always exist.
type Config struct {
	Realms map[string]*Realm
}

// Realm is one realm, defaults resolved.
type Realm struct {
	ID string
	// Type is pam, pve, ldap, ad or openid.
	Type    string
	Default bool
	Comment string
	// Line is where its section begins; 0 for pam and pve when the file does not name them.
	Line int

	// TFA is the kind of second factor that the realm demands of everybody: oath, yubico, or "" for none.
	TFA string
	// TFADigits and TFAStep are those of oath: 6 and 30 seconds unless set.
	TFADigits, TFAStep int

	// LDAP and Active Directory.

	Servers []string
	// Mode is ldap (in the clear), ldaps or ldap+starttls.
	Mode string
	// Verify is true when the certificate of the server is checked. It means nothing in mode ldap.
	Verify bool
	// BindDN is true when PVE logs in to search; else it searches anonymously.
	BindDN        bool
	CaseSensitive bool

	// OpenID Connect.

	IssuerURL string
	// Autocreate is true when whoever logs in becomes a user.
	Autocreate bool
	// ClientKey is true when the file holds the secret of the client.
	ClientKey bool
	// GroupsClaim is the claim that groups are taken from; GroupsAutocreate makes missing groups, GroupsOverwrite takes users
	// out of groups that the claim does not name (PVE 8.2.1).
	GroupsClaim                       string
	GroupsAutocreate, GroupsOverwrite bool

	lines map[string]int
}

// LineOf returns the line of a key, else that of the section.
func (r *Realm) LineOf(key string) int {
	if n := r.lines[key]; n > 0 {
		return n
	}
	return r.Line
}

// Sorted returns the realms by name.
func (c *Config) Sorted() []*Realm {
	var all []*Realm
	for _, id := range slices.Sorted(maps.Keys(c.Realms)) {
		all = append(all, c.Realms[id])
	}
	return all
}

// Parse reads the file as PVE does.
func Parse(b []byte) (*Config, []pve.Problem) {
	c := &Config{Realms: map[string]*Realm{}}
	sections, problems := pve.ParseSections(b)
	hasDefault := false
	for i := range sections {
		s := &sections[i]
		kind := strings.ToLower(s.Type)
		switch {
		case !validRealm(s.ID):
			problems = append(problems, pve.Skipf(s.Line, "realm %q: no valid name; two or more letters, digits, '.', '-', '_', the first a letter", clip(s.ID)))
			continue
		case !slices.Contains([]string{"pam", "pve", "ldap", "ad", "openid"}, kind):
			problems = append(problems, pve.Skipf(s.Line, "realm %q: there is no type %q; there are pam, pve, ldap, ad and openid", clip(s.ID), clip(s.Type)))
			continue
		case c.Realms[s.ID] != nil:
			problems = append(problems, pve.Warnf(s.Line, "realm %q is defined again; the later section counts", clip(s.ID)))
		}
		r := newRealm(s.ID, kind)
		r.Line = s.Line
		problems = append(problems, r.fill(s)...)
		if r.Default && hasDefault {
			r.Default = false
			problems = append(problems, pve.Skipf(r.LineOf("default"), "realm %q: another realm is the default already", r.ID))
		}
		hasDefault = hasDefault || r.Default
		c.Realms[s.ID] = r
	}
	for _, id := range []string{"pam", "pve"} { // their types are forced
		if c.Realms[id] == nil {
			c.Realms[id] = newRealm(id, id)
		}
		c.Realms[id].Type = id
	}
	slices.SortStableFunc(problems, func(a, b pve.Problem) int { return a.Line - b.Line })
	return c, problems
}

func newRealm(id, kind string) *Realm {
	r := &Realm{ID: id, Type: kind, TFADigits: 6, TFAStep: 30, CaseSensitive: true, lines: map[string]int{}}
	if kind == "ldap" || kind == "ad" {
		r.Mode = "ldap"
	}
	return r
}

// fill takes the keys; of a repeated key the first counts, and a bad value is as if the key were not there.
func (r *Realm) fill(s *pve.Section) []pve.Problem {
	var problems []pve.Problem
	secure := false
	flags := map[string]*bool{"default": &r.Default, "verify": &r.Verify, "secure": &secure, "case-sensitive": &r.CaseSensitive,
		"autocreate": &r.Autocreate, "groups-autocreate": &r.GroupsAutocreate, "groups-overwrite": &r.GroupsOverwrite}
	mode := ""
	for _, k := range s.Keys {
		if r.lines[k.Name] > 0 {
			problems = append(problems, pve.Skipf(k.Line, "realm %q: %s is set again; the first counts", r.ID, clip(k.Name)))
			continue
		}
		if flag := flags[k.Name]; flag != nil {
			v, ok := pve.Bool(k.Value)
			if !ok {
				problems = append(problems, pve.Skipf(k.Line, "realm %q: %s is neither 0 nor 1", r.ID, k.Name))
				continue
			}
			*flag = v
		}
		switch k.Name {
		case "comment":
			r.Comment = pve.DecodeText(k.Value)
		case "tfa":
			if !r.tfa(k.Value) {
				problems = append(problems, pve.Skipf(k.Line, "realm %q: tfa demands type=oath or type=yubico", r.ID))
				continue
			}
		case "mode":
			if !slices.Contains([]string{"ldap", "ldaps", "ldap+starttls"}, k.Value) {
				problems = append(problems, pve.Skipf(k.Line, "realm %q: mode is ldap, ldaps or ldap+starttls, not %q", r.ID, clip(k.Value)))
				continue
			}
			mode = k.Value
		case "server1", "server2":
			r.Servers = append(r.Servers, k.Value)
		case "bind_dn":
			r.BindDN = true
		case "issuer-url":
			r.IssuerURL = k.Value
		case "client-key":
			r.ClientKey = true
		case "groups-claim":
			r.GroupsClaim = k.Value
		}
		r.lines[k.Name] = k.Line
	}
	switch {
	case r.Mode == "": // neither LDAP nor Active Directory
	case mode != "":
		r.Mode = mode
	case secure:
		r.Mode = "ldaps" // the old key; mode goes before it
	}
	return problems
}

// tfa reads the property string of the demanded factor.
func (r *Realm) tfa(value string) bool {
	ps := pve.ParseProperties(value, "")
	kind := ps.Value("type")
	if kind != "oath" && kind != "yubico" {
		return false
	}
	r.TFA = kind
	if n, err := strconv.Atoi(ps.Value("digits")); err == nil && n >= 6 && n <= 8 {
		r.TFADigits = n
	}
	if n, err := strconv.Atoi(ps.Value("step")); err == nil && n >= 10 {
		r.TFAStep = n
	}
	return true
}

func validRealm(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (i == 0 || (c < '0' || c > '9') && c != '.' && c != '-' && c != '_') {
			return false
		}
	}
	return len(s) >= 2
}

func clip(s string) string {
	const most = 60
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}
