// Package corosync reads the cluster configuration of Proxmox VE: corosync.conf (corosync.conf(5)), which names the
// members and the addresses of their links, and .members, the JSON file in which pmxcfs tells who is there now.
package corosync

import (
	"encoding/json"
	"fmt"
	"sort"
	"strconv"
	"strings"
)

// maxDepth bounds the nesting of sections; corosync.conf uses three levels.
const maxDepth = 16

// Config is a corosync.conf.
type Config struct {
	// Totem holds the plain settings of the totem section: cluster_name, version, secauth, crypto_cipher, transport.
	Totem map[string]string
	// Interfaces are the interface sections within totem.
	Interfaces []map[string]string
	// Quorum holds the plain settings of the quorum section.
	Quorum map[string]string
	// Device holds the plain settings of quorum/device, an arbiter outside of the cluster; nil when there is none.
	Device map[string]string
	Nodes  []Node
	// Problems are lines that were not understood, as "line N: why".
	Problems []string
}

// Node is a member.
type Node struct {
	Name string
	ID   int
	// Addresses are those of ring0_addr, ring1_addr ... in order of the rings: IP addresses or host names.
	Addresses []string
	// Votes is quorum_votes, 1 when not given.
	Votes int
}

// Parse reads a corosync.conf.
func Parse(b []byte) *Config {
	c := &Config{Totem: map[string]string{}, Quorum: map[string]string{}}
	var stack []string
	var values []map[string]string
	for i, l := range strings.Split(string(b), "\n") {
		l = strings.TrimSpace(l)
		switch {
		case l == "" || l[0] == '#':
		case strings.HasSuffix(l, "{"):
			if len(stack) >= maxDepth {
				c.problem(i, "sections are nested too deeply")
				return c
			}
			stack = append(stack, strings.TrimSpace(strings.TrimSuffix(l, "{")))
			values = append(values, map[string]string{})
		case l == "}":
			if len(stack) == 0 {
				c.problem(i, "closing brace without a section")
				continue
			}
			c.section(stack, values[len(values)-1])
			stack, values = stack[:len(stack)-1], values[:len(values)-1]
		default:
			k, v, ok := strings.Cut(l, ":")
			if !ok || len(stack) == 0 {
				c.problem(i, "not a setting within a section")
				continue
			}
			values[len(values)-1][strings.TrimSpace(k)] = strings.TrimSpace(v)
		}
	}
	if len(stack) > 0 {
		c.Problems = append(c.Problems, "end of file: a section is not closed")
	}
	return c
}

func (c *Config) problem(line int, why string) {
	c.Problems = append(c.Problems, fmt.Sprintf("line %d: %s", line+1, why))
}

func (c *Config) section(path []string, kv map[string]string) {
	switch strings.Join(path, "/") {
	case "totem":
		c.Totem = kv
	case "totem/interface":
		c.Interfaces = append(c.Interfaces, kv)
	case "quorum":
		c.Quorum = kv
	case "quorum/device":
		c.Device = kv
	case "nodelist/node":
		c.Nodes = append(c.Nodes, node(kv))
	}
}

func node(kv map[string]string) Node {
	n := Node{Name: kv["name"], Votes: 1}
	n.ID, _ = strconv.Atoi(kv["nodeid"])
	if v, err := strconv.Atoi(kv["quorum_votes"]); err == nil {
		n.Votes = v
	}
	// corosync(8) knows up to eight links, 0 to 7.
	for r := range 8 {
		if a := kv["ring"+strconv.Itoa(r)+"_addr"]; a != "" {
			n.Addresses = append(n.Addresses, a)
		}
	}
	if n.Name == "" && len(n.Addresses) > 0 {
		n.Name = n.Addresses[0]
	}
	return n
}

// Members is what pmxcfs says about the cluster now.
type Members struct {
	NodeName string
	// Cluster is false on a standalone node, whose file holds the node's name only.
	Cluster bool
	Name    string
	Quorate bool
	// Nodes are sorted by name.
	Nodes []Member
}

// Member is a node as pmxcfs sees it.
type Member struct {
	Name    string
	ID      int
	Online  bool
	Address string
}

// ParseMembers reads .members.
func ParseMembers(b []byte) (*Members, error) {
	var raw struct {
		NodeName string `json:"nodename"`
		Cluster  *struct {
			Name    string `json:"name"`
			Quorate int    `json:"quorate"`
		} `json:"cluster"`
		NodeList map[string]struct {
			ID     int    `json:"id"`
			Online int    `json:"online"`
			IP     string `json:"ip"`
		} `json:"nodelist"`
	}
	if err := json.Unmarshal(b, &raw); err != nil {
		return nil, fmt.Errorf("cannot read .members as JSON: %w", err)
	}
	m := &Members{NodeName: raw.NodeName}
	if raw.Cluster != nil {
		m.Cluster, m.Name, m.Quorate = true, raw.Cluster.Name, raw.Cluster.Quorate != 0
	}
	for name, n := range raw.NodeList {
		m.Nodes = append(m.Nodes, Member{Name: name, ID: n.ID, Online: n.Online != 0, Address: n.IP})
	}
	sort.Slice(m.Nodes, func(i, j int) bool { return m.Nodes[i].Name < m.Nodes[j].Name })
	return m, nil
}
