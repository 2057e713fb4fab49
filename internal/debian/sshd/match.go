package sshd

import (
	"errors"
	"fmt"
	"strings"
)

// Connection is what Match criteria are compared with: who logs in, from where, to where.
type Connection struct {
	User string
	// Groups are all groups of the user; KnownUser says that the account exists (no group matches otherwise).
	Groups    []string
	KnownUser bool
	// Host is the client's name: its address, unless UseDNS is on.
	Host    string
	Address string
	// LocalAddress and LocalPort are where the client connected to. A configuration that asks for them and gets
	// none cannot be evaluated.
	LocalAddress string
	LocalPort    int
	// Domain is the routing domain, which is empty on Linux.
	Domain string
	// InvalidUser asks what applies to a user who does not exist (Match invalid-user, OpenSSH 9.9).
	InvalidUser bool
}

// errNeeds means that a criterion asks for something that the connection does not tell.
func errNeeds(criterion string) error {
	return fmt.Errorf("'Match %s' in configuration, but the connection to be evaluated does not tell it", criterion)
}

// evaluate decides a Match line. Without a connection only its syntax counts, and Match all is true.
func (c *call) evaluate(conn *Connection) (bool, error) {
	next := c.next
	r := rest{text: c.raw}
	if !c.pass.modern() {
		// OpenSSH 9.2 splits this line itself, at blanks and equals signs.
		next = r.next
		c.args = nil
	}
	result, attributes, comment := true, 0, false
	for {
		word, ok := next()
		if !ok || word == "" && !c.pass.modern() {
			break
		}
		if strings.HasPrefix(word, "#") {
			c.args, comment = nil, true
			break
		}
		attributes++
		if strings.EqualFold(word, "all") {
			arg, ok := next()
			if attributes > 1 || ok && arg != "" && arg[0] != '#' {
				return false, errors.New("'all' cannot be combined with other Match attributes")
			}
			if ok && arg != "" {
				c.args, comment = nil, true
			}
			result = true
			break
		}
		if c.pass.modern() && strings.EqualFold(word, "invalid-user") {
			result = result && conn != nil && conn.InvalidUser
			continue
		}
		name, arg, ok := criterion(word, next, c.pass.modern())
		if !ok || arg == "" || arg[0] == '#' {
			return false, fmt.Errorf("missing Match criteria for %s", name)
		}
		hit, err := c.criterion(lowerASCII(name), arg, conn)
		if err != nil {
			return false, err
		}
		result = result && hit
	}
	if attributes == 0 {
		return false, errors.New("one or more attributes required for Match")
	}
	if !c.pass.modern() && !comment && !r.done && r.text != "" {
		return false, soft("Match: extra arguments at end of line")
	}
	return result, nil
}

// criterion takes the argument of a criterion: OpenSSH 10 allows name=value in one word.
func criterion(word string, next func() (string, bool), modern bool) (name, arg string, ok bool) {
	if modern {
		for _, n := range []string{"user", "group", "host", "address", "localaddress", "localport", "rdomain", "version"} {
			if len(word) > len(n) && strings.EqualFold(word[:len(n)+1], n+"=") {
				return word[:len(n)], word[len(n)+1:], true
			}
		}
	}
	arg, ok = next()
	return word, arg, ok
}

// criterion decides one criterion. Without a connection its argument is only checked.
func (c *call) criterion(name, arg string, conn *Connection) (bool, error) {
	switch name {
	case "user":
		return conn != nil && conn.User != "" && matchList(conn.User, arg, false) == 1, nil
	case "group":
		return conn != nil && conn.KnownUser && matchGroups(conn.Groups, arg), nil
	case "host":
		return conn != nil && conn.Host != "" && matchList(lowerASCII(conn.Host), arg, true) == 1, nil
	case "address":
		addr := ""
		if conn != nil {
			addr = conn.Address
		}
		hit, err := matchAddresses(addr, arg)
		return hit == 1, err
	case "localaddress":
		addr := ""
		if conn != nil {
			addr = conn.LocalAddress
		}
		hit, err := matchAddresses(addr, arg)
		return hit == 1, err
	case "localport":
		n, err := c.port(arg)
		if err != nil || conn == nil {
			return false, err
		}
		if conn.LocalPort == 0 {
			return false, errNeeds("LocalPort")
		}
		return n == conn.LocalPort, nil
	case "rdomain":
		return conn != nil && conn.Domain != "" && matchList(conn.Domain, arg, false) == 1, nil
	case "version":
		if c.pass.modern() {
			return matchList(c.pass.config.release.Banner, arg, false) == 1, nil
		}
	}
	return false, fmt.Errorf("unsupported Match attribute %s", name)
}

// matchGroups reports whether one of the groups matches the list and none is negated in it.
func matchGroups(groups []string, list string) bool {
	found := false
	for _, g := range groups {
		switch matchList(g, list, false) {
		case -1:
			return false
		case 1:
			found = true
		}
	}
	return found
}
