package firewall

// Scope is where the names of a rule are looked up: in the file of the guest first, then in cluster.fw, then among the
// ipsets that SDN makes.
type Scope struct {
	// Cluster is cluster.fw.
	Cluster *File
	// Local is the file that the rule is in, when that is the file of a guest; nil in groups and in host.fw.
	Local *File
	// Own is true for the rules and groups of cluster.fw itself. What they name has to stand above them.
	Own bool
	// SDN tells whether SDN makes an ipset of a name; nil means that it makes none.
	SDN func(name string) bool
}

// Checked is what pve-firewall makes of a rule when it reads it.
type Checked struct {
	// Family is 4 or 6 when the rule is for one of them only, else 0.
	Family int
	// Errors are all errors; the rule counts when there are none.
	Errors []RuleError
}

// Check judges a rule with everything that it names. That a name exists is enough for PVE here, in whichever place: that
// "guest/x" names an alias of cluster.fw comes out later, when the rule is generated.
func (s Scope) Check(r *Rule) Checked {
	c := Checked{Errors: r.Errors}
	switch r.Proto {
	case "icmp":
		c.Family = 4
	case "icmpv6", "ipv6-icmp":
		c.Family = 6
	}
	for _, a := range []struct{ property, value string }{{"source", r.Source}, {"dest", r.Dest}} {
		if !perlTrue(a.value) {
			continue
		}
		fam, why := s.address(a.value, r.Line)
		switch {
		case why != "":
			c.fail(a.property, why)
		case fam != 0 && c.Family != 0 && fam != c.Family:
			c.fail(a.property, "IPv4 and IPv6 are mixed")
		case fam != 0:
			c.Family = fam
		}
	}
	if r.Macro != "" && len(c.Errors) == 0 {
		if m, ok := MacroByName(r.Macro); ok {
			if property := m.Contradicts(r, c.Family); property != "" {
				c.fail(property, "the macro "+m.Name+" sets it already")
			}
		}
	}
	return c
}

func (c *Checked) fail(property, text string) {
	for _, e := range c.Errors {
		if e.Property == property {
			return
		}
	}
	c.Errors = append(c.Errors[:len(c.Errors):len(c.Errors)], RuleError{property, text})
}

// Contradicts names the property of a rule that differs from what a macro sets; empty when none does.
func (m *Macro) Contradicts(r *Rule, family int) string {
	for _, t := range m.Rules(family) {
		for _, p := range []struct{ name, template, given string }{
			{"proto", t.Proto, r.Proto}, {"dport", t.DPort, r.DPort}, {"sport", t.SPort, r.SPort},
		} {
			if p.template != "" && p.given != "" && p.template != p.given {
				return p.name
			}
		}
	}
	return ""
}

// address returns the family of a source or destination, 0 when it has both or none.
// A name of the same file has to stand above the line.
func (s Scope) address(value string, line int) (family int, why string) {
	above := 0
	if s.Own {
		above = line
	}
	switch {
	case IsSet(value):
		_, name := cutScope(value[1:], "guest/", "dc/", "sdn/")
		if validName(name) && !s.Cluster.known(ipsetName, name, above) && !s.Local.known(ipsetName, name, line) && (s.SDN == nil || !s.SDN(name)) {
			return 0, "no such ipset " + clip(name)
		}
		return 0, ""
	case IsAlias(value):
		scope, name := cutScope(value, "guest/", "dc/")
		local, inLocal := s.Local.Alias(name)
		cluster, inCluster := s.Cluster.Alias(name)
		inLocal = inLocal && s.Local.known(aliasName, lowerASCII(name), line)
		inCluster = inCluster && s.Cluster.known(aliasName, lowerASCII(name), above)
		switch {
		case !inLocal && !inCluster:
			return 0, "no such alias " + clip(value)
		case inLocal && scope != "dc/":
			return FamilyOf(local.CIDR), ""
		case inCluster && (scope != "guest/" || s.Own):
			return FamilyOf(cluster.CIDR), ""
		}
		return 0, ""
	}
	if ranges, why := AddressList(value); why == "" && len(ranges) > 0 {
		return familyOf(ranges[0].From), ""
	}
	return 0, "" // an error of the rule itself
}

func lowerASCII(s string) string {
	for i := range len(s) {
		if s[i] >= 'A' && s[i] <= 'Z' {
			b := []byte(s)
			for j := range b {
				b[j] = lower(b[j])
			}
			return string(b)
		}
	}
	return s
}

// SetName takes a reference to an ipset apart: "+dc/name" is "dc/" and "name".
func SetName(ref string) (scope, name string) {
	if !IsSet(ref) {
		return "", ref
	}
	return cutScope(ref[1:], "guest/", "dc/", "sdn/")
}

// AliasName takes a reference to an alias apart: "guest/name" is "guest/" and "name".
func AliasName(ref string) (scope, name string) { return cutScope(ref, "guest/", "dc/") }
