package lint

import (
	"fmt"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/inventory"
	"github.com/castellan-project/castellan/internal/inventory/filter"
	"github.com/castellan-project/castellan/internal/pve"
	"github.com/castellan-project/castellan/internal/pve/firewall"
)

// used are the names that something refers to, by file and lower-case name.
type used struct {
	groups, sets, aliases map[*firewall.File]map[string]bool
}

func mark(m map[*firewall.File]map[string]bool, f *firewall.File, name string) {
	if m[f] == nil {
		m[f] = map[string]bool{}
	}
	m[f][strings.ToLower(name)] = true
}

// names reports names that nothing answers to and names that nothing asks for.
func (k *checker) names() {
	u := used{map[*firewall.File]map[string]bool{}, map[*firewall.File]map[string]bool{}, map[*firewall.File]map[string]bool{}}
	for _, s := range k.sources {
		for _, r := range allRules(s.file) {
			if r.Type == "group" {
				mark(u.groups, k.cluster.file, r.Action)
				if r.Enabled && len(r.Errors) == 0 {
					k.groupReference(s, r)
				}
				continue
			}
			k.reference(&u, s, r.Source)
			k.reference(&u, s, r.Dest)
		}
		for i := range s.file.IPSets {
			k.entries(&u, s, &s.file.IPSets[i])
		}
	}
	for _, s := range k.sources {
		k.unused(&u, s)
	}
	k.groupKills()
}

// reference marks what a source or destination names: in the file of the guest first, then in cluster.fw. A group may be
// used by any guest, so its names count in cluster.fw, and those of guests that have them.
func (k *checker) reference(u *used, s *source, ref string) {
	switch {
	case firewall.IsSet(ref):
		scope, name := firewall.SetName(ref)
		if _, ok := s.file.IPSet(strings.ToLower(name)); ok && scope != "dc/" {
			mark(u.sets, s.file, name)
			return
		}
		mark(u.sets, k.cluster.file, name)
		if scope == "guest/" {
			k.everywhere(u.sets, name)
		}
	case firewall.IsAlias(ref):
		scope, name := firewall.AliasName(ref)
		if _, ok := s.file.Alias(name); ok && scope != "dc/" {
			mark(u.aliases, s.file, name)
			return
		}
		mark(u.aliases, k.cluster.file, name)
		if scope == "guest/" {
			k.everywhere(u.aliases, name)
		}
	}
}

func (k *checker) everywhere(m map[*firewall.File]map[string]bool, name string) {
	for _, s := range k.sources {
		if s.guest != nil {
			mark(m, s.file, name)
		}
	}
}

// entries marks the aliases that an ipset names, and reports those that do not exist.
func (k *checker) entries(u *used, s *source, set *firewall.IPSet) {
	for i := range set.Entries {
		e := &set.Entries[i]
		if !e.Alias || e.Error != "" {
			continue
		}
		scope, name := firewall.AliasName(e.CIDR)
		_, local := s.file.Alias(name)
		_, cluster := k.cluster.file.Alias(name)
		k.reference(u, s, e.CIDR)
		if local && scope != "dc/" || cluster && (scope != "guest/" || s == k.cluster) {
			continue
		}
		f := s.at(e.Line, UnknownName, Medium)
		f.Text = fmt.Sprintf("the ipset %s names the alias %s, which does not exist: the entry is left out", set.Name, quote(e.CIDR))
		f.Effect = Effect{FailClosed, FailClosed}
		f.Severity = k.ranked(s, f.Effect)
		k.add(f)
	}
}

// groupReference reports a GROUP line that finds no group: its chain is empty, and the packets go on to the next rule.
func (k *checker) groupReference(s *source, r ruleIn) {
	if _, ok := k.cluster.file.Group(r.Action); ok {
		return
	}
	f := s.at(r.Line, UnknownName, Medium)
	f.Text = fmt.Sprintf("there is no security group %s; %s does nothing", quote(r.Action), quote(s.file.Text(r.Line)))
	f.Hint = "define the group in cluster.fw, or take the rule out"
	out, strict := FailClosed, FailClosed
	if g, ok := k.cluster.file.Group(strings.ToLower(r.Action)); ok {
		f.Code = CaseMismatch
		f.Text = fmt.Sprintf("%s finds no group: [group %s] is read as %s", quote(s.file.Text(r.Line)), g.Written, g.Name)
		f.Hint = "write both in lower case: [group " + g.Name + "] and GROUP " + g.Name
		if slices.ContainsFunc(g.Rules, func(x firewall.Rule) bool { return x.Enabled && x.Action != "ACCEPT" }) {
			out, strict = FailOpen, FailOpen
		}
		if g.Written == r.Action {
			strict = None // proxmox-firewall compares the names as they are written
		}
	}
	if p, ok := s.strict[r.Line]; ok && p.Effect == pve.Aborted {
		strict = NodeAbort
	}
	f.Effect = Effect{out, strict}
	f.Severity = k.ranked(s, f.Effect)
	k.add(f)
}

// unused reports definitions that nothing refers to.
func (k *checker) unused(u *used, s *source) {
	for i := range s.file.Groups {
		g := &s.file.Groups[i]
		if last, _ := s.file.Group(g.Name); last == g && !u.groups[s.file][g.Name] {
			f := s.at(g.Line, UnusedGroup, Low)
			f.Text, f.Effect = "no rule uses the group "+g.Name, Effect{NoEffect, NoEffect}
			k.add(f)
		}
	}
	for i := range s.file.IPSets {
		x := &s.file.IPSets[i]
		if last, _ := s.file.IPSet(x.Name); last != x || special(x.Name, s) || u.sets[s.file][strings.ToLower(x.Name)] {
			continue
		}
		f := s.at(x.Line, UnusedIPSet, Low)
		f.Text, f.Effect = "no rule uses the ipset "+x.Name, Effect{NoEffect, NoEffect}
		k.add(f)
	}
	for i := range s.file.Aliases {
		a := &s.file.Aliases[i]
		name := strings.ToLower(a.Name)
		if last, _ := s.file.Alias(name); last != a || name == "local_network" && s == k.cluster || u.aliases[s.file][name] {
			continue
		}
		f := s.at(a.Line, UnusedAlias, Info)
		f.Text, f.Effect = "nothing uses the alias "+a.Name, Effect{NoEffect, NoEffect}
		k.add(f)
	}
}

// special reports whether the firewall uses an ipset by itself.
func special(name string, s *source) bool {
	if s.guest == nil {
		return name == "management" || name == "blacklist"
	}
	return strings.HasPrefix(name, "ipfilter-net")
}

// groupKills reports guests that a group leaves without any filter. A rule of a group passes the check when a name exists
// in any file, and dies when the chain is made, because a group has no names of a guest; the chains of every guest that uses the
// group are then not plugged in.
func (k *checker) groupKills() {
	deadly := map[string]*firewall.Rule{}
	for _, r := range allRules(k.cluster.file) {
		if r.group == nil || !r.Enabled || r.Type == "forward" || deadly[r.group.Name] != nil || len(k.scope(k.cluster, r.group).Check(r.Rule).Errors) > 0 {
			continue
		}
		for _, ref := range []string{r.Source, r.Dest} {
			if strings.HasPrefix(ref, "guest/") && firewall.IsAlias(ref) || strings.HasPrefix(ref, "+guest/") {
				deadly[r.group.Name] = r.Rule
			}
		}
	}
	if len(deadly) == 0 {
		return
	}
	for _, s := range k.sources {
		if s.guest == nil || !s.file.On("enable", false) {
			continue
		}
		for i := range s.file.Rules {
			r := &s.file.Rules[i]
			d := deadly[r.Action]
			if r.Type != "group" || !r.Enabled || len(r.Errors) > 0 || d == nil {
				continue
			}
			f := s.at(r.Line, GroupKillsGuest, Critical)
			f.Text = fmt.Sprintf("the group %s leaves %s without any filter: %s of it (%s:%d) cannot be generated", r.Action, s.owner,
				quote(k.cluster.file.Text(d.Line)), k.cluster.base(), d.Line)
			f.Effect = Effect{IPTables: FailOpen, NFTables: None}
			if f.Hint = "name the alias or ipset of the cluster (dc/...) in the group"; !k.uses(s, filter.IPTables) {
				f.Severity = Low
			}
			k.add(f)
			break
		}
	}
}

// hasVNet reports whether SDN has a vnet; when that is not known, every name may be one.
func (k *checker) hasVNet(name string) bool {
	if !k.c.SDN.Known() || k.c.SDN.Value == nil {
		return true
	}
	for i := range k.c.SDN.Value.VNets {
		if k.c.SDN.Value.VNets[i].ID == name {
			return true
		}
	}
	return false
}

// template reports whether a guest is a template, which never runs.
func template(g *inventory.Guest) bool {
	return g.Config.Known() && g.Config.Value != nil && g.Config.Value.On("template")
}
