// Package proxycfg reads /etc/default/pveproxy as Proxmox VE does (pve-http-server, PVE/APIServer/Utils.pm): bash
// sources the file, ALLOW_FROM and DENY_FROM are split at commas and nothing else, each part goes to Net::IP, and an
// entry that Net::IP refuses makes pveproxy die at its start. It resolves the defaults, decides whether an address may
// talk to pveproxy ([Config.Allowed]), and says which TLS suites a cipher string admits ([Ciphers]).
//
// The file is never executed. Where it holds more than assignments of constants, the values are not known: see
// [Config.Shell].
package proxycfg

import (
	"fmt"
	"net/netip"
	"sort"
	"strings"
)

// Path is where the file stands.
const Path = "/etc/default/pveproxy"

// DefaultCiphers is what pveproxy offers for TLS 1.2 when CIPHERS is not set (pve-http-server, AnyEvent.pm).
const DefaultCiphers = "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:" +
	"ECDHE-RSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-SHA384:" +
	"ECDHE-RSA-AES256-SHA384:ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256"

// Problem is something in the file that does not do what its author wanted.
type Problem struct {
	Line int
	// Fatal is true when pveproxy does not start because of it.
	Fatal bool
	// Text says what is wrong, Fix the form that works.
	Text, Fix string
}

func (p Problem) String() string {
	s := fmt.Sprintf("%s:%d: %s", Path, p.Line, p.Text)
	if p.Fix != "" {
		s += "; " + p.Fix
	}
	return s
}

// Setting is an assignment: its value and line. The zero Setting means that the key is not set.
type Setting struct {
	Value string
	Line  int
}

// Config is the content of the file.
type Config struct {
	// Settings are all assignments by key, also of keys that pveproxy ignores. A later one wins.
	Settings map[string]Setting
	// Allow and Deny are the ranges of ALLOW_FROM and DENY_FROM.
	Allow, Deny []Range
	// Shell is true when the file holds shell code beyond assignments of constants: what bash makes of it is not known.
	Shell    bool
	Problems []Problem
}

// knownKeys are the keys that pveproxy, spiceproxy and pvedaemon read from the file.
func knownKeys() []string {
	return []string{"ALLOW_FROM", "DENY_FROM", "POLICY", "LISTEN_IP", "CIPHERS", "CIPHERSUITES", "DHPARAMS", "TLS_KEY_FILE",
		"HONOR_CIPHER_ORDER", "COMPRESSION", "DISABLE_TLS_1_2", "DISABLE_TLS_1_3", "PROXY_REAL_IP_HEADER",
		"PROXY_REAL_IP_ALLOW_FROM", "MAX_WORKERS"}
}

// Parse reads the file. A nil slice stands for a file that is not there: everything is default.
func Parse(b []byte) *Config {
	c := &Config{Settings: map[string]Setting{}}
	c.assignments(b)
	c.Allow = c.list("ALLOW_FROM")
	c.Deny = c.list("DENY_FROM")
	c.check()
	return c
}

// Get returns a setting that is not empty. PVE treats an empty value as not set.
func (c *Config) Get(key string) (Setting, bool) {
	s := c.Settings[key]
	return s, s.Value != ""
}

func (c *Config) problem(line int, fatal bool, fix, format string, args ...any) {
	c.Problems = append(c.Problems, Problem{Line: line, Fatal: fatal, Text: fmt.Sprintf(format, args...), Fix: fix})
}

// list parses a comma list as split(/,/) and Net::IP do: no blanks are trimmed, and empty parts at the end drop out.
func (c *Config) list(key string) []Range {
	s, ok := c.Get(key)
	if !ok {
		return nil
	}
	parts := strings.Split(s.Value, ",")
	for len(parts) > 0 && parts[len(parts)-1] == "" {
		parts = parts[:len(parts)-1]
	}
	var out []Range
	bad := false
	for _, p := range parts {
		if p == "all" {
			out = append(out, everything()...)
			continue
		}
		r, err := ParseRange(p)
		if err != nil {
			if !bad {
				c.problem(s.Line, true, fmt.Sprintf("write %s=%q", key, corrected(s.Value)),
					"%s: %q: %v; pveproxy dies at its start", key, clip(p), err)
			}
			bad = true
			continue
		}
		out = append(out, r)
	}
	return out
}

// corrected rewrites a list into a form that Net::IP takes: blanks and semicolons become commas, host bits of a network
// are cleared, and what is no address at all is left out.
func corrected(value string) string {
	var out []string
	fields := strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' || r == ';' || r == '\t' })
	for _, f := range fields {
		if f == "ALL" || f == "any" || f == "::/0" {
			f = "all"
		}
		if p, err := netip.ParsePrefix(f); err == nil {
			f = p.Masked().String()
		}
		if _, err := ParseRange(f); f == "all" || err == nil {
			out = append(out, f)
		}
	}
	return strings.Join(out, ",")
}

func (c *Config) check() {
	if s, ok := c.Get("POLICY"); ok && s.Value != "allow" && s.Value != "deny" {
		c.problem(s.Line, true, `write POLICY="allow" or POLICY="deny"`, "POLICY is %q; pveproxy dies at its start", clip(s.Value))
	}
	for _, k := range []string{"HONOR_CIPHER_ORDER", "COMPRESSION", "DISABLE_TLS_1_2", "DISABLE_TLS_1_3"} {
		if s, ok := c.Get(k); ok && s.Value != "0" && s.Value != "1" {
			c.problem(s.Line, true, "write "+k+`="0" or "1"`, "%s is %q; pveproxy dies at its start", k, clip(s.Value))
		}
	}
	if c.flag("DISABLE_TLS_1_2", false) && c.flag("DISABLE_TLS_1_3", false) {
		s := c.Settings["DISABLE_TLS_1_3"]
		c.problem(s.Line, true, "leave one of them on", "TLS 1.2 and TLS 1.3 are both switched off; pveproxy does not start")
	}
	if s, ok := c.Get("LISTEN_IP"); ok {
		if _, err := netip.ParseAddr(s.Value); err != nil {
			c.problem(s.Line, true, "write one address", "LISTEN_IP is %q, which is no address", clip(s.Value))
		}
	}
	if s, ok := c.Get("PROXY_REAL_IP_ALLOW_FROM"); ok {
		c.list("PROXY_REAL_IP_ALLOW_FROM")
		if _, set := c.Get("PROXY_REAL_IP_HEADER"); !set {
			c.problem(s.Line, false, "", "PROXY_REAL_IP_ALLOW_FROM has no effect without PROXY_REAL_IP_HEADER")
		}
	}
	for k, s := range c.Settings {
		if !contains(knownKeys(), k) && !strings.HasPrefix(k, "_") {
			c.problem(s.Line, false, "", "pveproxy does not know the key %s and ignores it", clip(k))
		}
	}
	sort.SliceStable(c.Problems, func(i, j int) bool {
		return c.Problems[i].Line < c.Problems[j].Line || c.Problems[i].Line == c.Problems[j].Line && c.Problems[i].Text < c.Problems[j].Text
	})
}

// flag returns a boolean setting.
func (c *Config) flag(key string, unset bool) bool {
	if s, ok := c.Get(key); ok {
		return s.Value == "1"
	}
	return unset
}

// HonorCipherOrder is true when the server's order of suites counts.
func (c *Config) HonorCipherOrder() bool { return c.flag("HONOR_CIPHER_ORDER", true) }

// Compression is true when answers are compressed.
func (c *Config) Compression() bool { return c.flag("COMPRESSION", true) }

// TLS12 is true when TLS 1.2 is offered.
func (c *Config) TLS12() bool { return !c.flag("DISABLE_TLS_1_2", false) }

// TLS13 is true when TLS 1.3 is offered.
func (c *Config) TLS13() bool { return !c.flag("DISABLE_TLS_1_3", false) }

// Policy is what happens to an address that is in both lists or in none: allow or deny.
func (c *Config) Policy() string {
	if s, ok := c.Get("POLICY"); ok {
		return s.Value
	}
	return "allow"
}

// CipherString is the OpenSSL cipher list for TLS 1.2.
func (c *Config) CipherString() string {
	if s, ok := c.Get("CIPHERS"); ok {
		return s.Value
	}
	return DefaultCiphers
}

// Starts reports whether pveproxy gets as far as listening with this file.
func (c *Config) Starts() bool {
	for _, p := range c.Problems {
		if p.Fatal {
			return false
		}
	}
	return true
}

// Allowed decides as check_host_access of pveproxy does: an address in one list only follows that list, one in both
// or in none follows the policy. IPv4 addresses written as IPv6 are unmapped first.
func (c *Config) Allowed(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	allow, deny := inAny(c.Allow, a), inAny(c.Deny, a)
	if allow == deny {
		return c.Policy() == "allow"
	}
	return allow
}

// Restricted reports whether an address that is not in ALLOW_FROM is refused, for every such address of IPv4 and of
// IPv6. ALLOW_FROM alone restricts nothing: all others follow the policy, which is allow.
func (c *Config) Restricted() bool {
	if c.Policy() == "deny" {
		return true
	}
	return covers(c.Deny, netip.MustParseAddr("0.0.0.0")) && covers(c.Deny, netip.MustParseAddr("::"))
}

// Nobody reports whether every address is refused, as POLICY="deny" with an address in both lists does.
func (c *Config) Nobody() bool {
	if !c.Restricted() {
		return false
	}
	for _, r := range c.Allow {
		if c.Allowed(r.From) || c.Allowed(r.To) {
			return false
		}
	}
	return true
}

func contains(list []string, s string) bool {
	for _, v := range list {
		if v == s {
			return true
		}
	}
	return false
}

// clip bounds what of a hostile file goes into a message, in bytes.
func clip(s string) string {
	if len(s) > 80 {
		s = strings.ToValidUTF8(s[:80], "") + "..."
	}
	return s
}
