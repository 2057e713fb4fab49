// Package wireguard reads the configuration of WireGuard interfaces: the files of wg-quick(8) and wg(8), and the
// .netdev files of systemd-networkd (systemd.netdev(5)), which share sections and keys but for a few names. Key
// material never leaves the parser: of a key only its presence is told.
package wireguard

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Config is one interface.
type Config struct {
	// Name is set for .netdev files only; the name of a wg-quick interface is that of its file.
	Name string
	// WireGuard is false for a .netdev file of another kind.
	WireGuard  bool
	Addresses  []string
	ListenPort int
	// PrivateKey is true when the file itself holds the private key; PrivateKeyFile names a separate file.
	PrivateKey     bool
	PrivateKeyFile string
	// Hooks are commands that wg-quick runs (PreUp, PostUp, PreDown, PostDown).
	Hooks []string
	Peers []Peer
	// Problems are lines that were not understood, as "line N: why"; they never quote a value.
	Problems []string
}

// Peer is one peer.
type Peer struct {
	// Name is the comment line directly before or after the section header, where there is one.
	Name         string
	AllowedIPs   []string
	Endpoint     string
	PresharedKey bool
	Keepalive    int
}

// Everything reports whether the peer may use, and receive, any address of IPv4 or of IPv6.
func (p Peer) Everything() bool {
	halves := map[string]bool{}
	for _, a := range p.AllowedIPs {
		n, err := netip.ParsePrefix(a)
		if err != nil {
			continue
		}
		if n.Bits() == 0 {
			return true
		}
		if n.Bits() == 1 {
			halves[n.Masked().String()] = true
		}
	}
	return halves["0.0.0.0/1"] && halves["128.0.0.0/1"] || halves["::/1"] && halves["8000::/1"]
}

// Parse reads a configuration file of either form.
func Parse(b []byte) *Config {
	c := &Config{}
	section, comment := "", ""
	for i, l := range strings.Split(string(b), "\n") {
		l = strings.TrimSpace(l)
		switch {
		case l == "":
			comment = ""
			continue
		case l[0] == '#' || l[0] == ';':
			comment = strings.TrimSpace(strings.TrimLeft(l, "#; "))
			if strings.ContainsRune(comment, '=') {
				comment = "" // a setting put out of use; it may be a key
			}
			c.name(section, comment)
			continue
		case l[0] == '[':
			section = strings.ToLower(strings.Trim(strings.TrimSpace(strings.Split(l, "#")[0]), "[] "))
			c.open(section, comment)
			comment = ""
			continue
		}
		comment = ""
		k, v, ok := strings.Cut(l, "=")
		if !ok || section == "" {
			c.Problems = append(c.Problems, fmt.Sprintf("line %d: not a setting within a section", i+1))
			continue
		}
		if h := strings.IndexByte(v, '#'); h >= 0 {
			v = v[:h]
		}
		c.set(section, strings.ToLower(strings.TrimSpace(k)), strings.TrimSpace(v), i+1)
	}
	return c
}

func (c *Config) open(section, comment string) {
	switch section {
	case "peer", "wireguardpeer":
		c.Peers = append(c.Peers, Peer{Name: comment})
		c.WireGuard = true
	case "interface", "wireguard":
		c.WireGuard = true
	}
}

// name takes a comment directly below a section header as the peer's name, when no setting came before it.
func (c *Config) name(section, comment string) {
	if (section == "peer" || section == "wireguardpeer") && len(c.Peers) > 0 {
		p := &c.Peers[len(c.Peers)-1]
		if p.Name == "" && len(p.AllowedIPs) == 0 && p.Endpoint == "" && !p.PresharedKey {
			p.Name = comment
		}
	}
}

func (c *Config) set(section, key, value string, line int) {
	switch section {
	case "netdev":
		if key == "name" {
			c.Name = value
		}
		if key == "kind" && strings.EqualFold(value, "wireguard") {
			c.WireGuard = true
		}
	case "interface", "wireguard":
		c.setInterface(key, value, line)
	case "peer", "wireguardpeer":
		c.setPeer(&c.Peers[len(c.Peers)-1], key, value, line)
	}
}

func (c *Config) setInterface(key, value string, line int) {
	switch key {
	case "address":
		c.Addresses = append(c.Addresses, list(value)...)
	case "listenport":
		n, err := strconv.Atoi(value)
		if err != nil || n < 0 || n > 65535 {
			if value != "auto" {
				c.Problems = append(c.Problems, fmt.Sprintf("line %d: ListenPort is not a port number", line))
			}
			return
		}
		c.ListenPort = n
	case "privatekey":
		c.PrivateKey = value != ""
	case "privatekeyfile":
		c.PrivateKeyFile = value
	case "preup", "postup", "predown", "postdown":
		c.Hooks = append(c.Hooks, value)
	}
}

func (c *Config) setPeer(p *Peer, key, value string, line int) {
	switch key {
	case "allowedips":
		for _, a := range list(value) {
			n, ok := prefix(a)
			if !ok {
				c.Problems = append(c.Problems, fmt.Sprintf("line %d: AllowedIPs holds something that is no address", line))
				continue
			}
			p.AllowedIPs = append(p.AllowedIPs, n)
		}
	case "endpoint":
		p.Endpoint = value
	case "presharedkey", "presharedkeyfile":
		p.PresharedKey = value != ""
	case "persistentkeepalive":
		p.Keepalive, _ = strconv.Atoi(value)
	}
}

// prefix completes an address without length, as wg(8) does, and clears host bits.
func prefix(s string) (string, bool) {
	if n, err := netip.ParsePrefix(s); err == nil {
		return n.Masked().String(), true
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return "", false
	}
	return netip.PrefixFrom(a, a.BitLen()).String(), true
}

func list(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' })
}
