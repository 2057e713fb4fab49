package lockout

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/pve/proxycfg"
)

// proxyGuard judges whether pveproxy, which serves the web interface and the API, still talks to operators and nodes.
type proxyGuard struct{}

// Judge implements [change.Guard].
func (proxyGuard) Judge(c change.Case) []change.Verdict {
	if x, ok := stops(c, []string{"pveproxy"}, []string{"pve-manager"}); ok {
		return everybody(c, "pveproxy", refuse("%s takes the web interface and the API away (%s)", x.Control, or(x.Unit, strings.Join(x.Purge, ", "))))
	}
	if !touches(c, proxycfg.Path) {
		return nil
	}
	after, err := readProxy(c.After)
	if err != nil {
		return everybody(c, "pveproxy", refuse("what pveproxy does cannot be told: %v", err).in(proxycfg.Path))
	}
	before, beforeErr := readProxy(c.Before)
	var out []change.Verdict
	for _, o := range c.Operators {
		out = append(out, proxyOperator(c, before, after, beforeErr, o).verdict("pveproxy", o.Words()))
	}
	nodes, own, err := otherNodes(c.After)
	if err != nil {
		return append(out, refuse("the other nodes of the cluster cannot be told: %v", err).verdict("pveproxy", "root@cluster"))
	}
	for _, n := range nodes {
		j := nodeListens(c, before, after, n, own)
		if j.ok {
			j = proxyNode(before, after, beforeErr, n)
		}
		out = append(out, j.verdict("pveproxy", "root@"+n.name))
	}
	return out
}

// readProxy reads the configuration; shell code in it, or something that keeps pveproxy from starting, is an error.
func readProxy(r host.Reader) (*proxycfg.Config, error) {
	b, err := r.ReadFile(proxycfg.Path)
	if err != nil && !host.NotExist(err) {
		return nil, err
	}
	cfg := proxycfg.Parse(b)
	if cfg.Shell {
		return nil, fmt.Errorf("%s holds shell code, and what it sets is not known before it runs", proxycfg.Path)
	}
	for _, p := range cfg.Problems {
		if p.Fatal {
			return nil, fmt.Errorf("pveproxy would not start: %s:%d: %s", proxycfg.Path, p.Line, p.Text)
		}
	}
	if !cfg.TLS12() && !cfg.TLS13() {
		return nil, fmt.Errorf("%s turns TLS 1.2 and TLS 1.3 off, and no browser could connect", proxycfg.Path)
	}
	return cfg, nil
}

func proxyOperator(c change.Case, before, after *proxycfg.Config, beforeErr error, o change.Operator) judgement {
	f, err := parseFrom(o.Address)
	if err != nil {
		return refuse("it is not known where %s comes from: %v", o.User, err).adding("--admin %s@ADDRESS", o.User)
	}
	addrs, err := f.samples(proxyBorders(before, after))
	if err != nil {
		return refuse("%v", err)
	}
	for _, a := range addrs {
		if j := listens(c, before, after, o, a); !j.ok {
			return j
		}
		if after.Allowed(a) {
			continue
		}
		if beforeErr == nil && !before.Allowed(a) {
			return admit("%s had no access to the web interface before this plan, and has none after it (%s)", a, proxyWhy(after)).in(proxycfg.Path)
		}
		return refuse("pveproxy refuses %s (%s)", a, proxyWhy(after)).in(proxycfg.Path).adding("%s to ALLOW_FROM in %s", o.Address, proxycfg.Path)
	}
	return admit("%s reaches the web interface (%s)", o.Address, proxyWhy(after)).in(proxycfg.Path)
}

// proxyBorders are the ends of the ranges in both configurations, as networks of one address.
func proxyBorders(configs ...*proxycfg.Config) []netip.Prefix {
	var out []netip.Prefix
	for _, c := range configs {
		if c == nil {
			continue
		}
		for _, list := range [][]proxycfg.Range{c.Allow, c.Deny} {
			for _, r := range list {
				out = append(out, netip.PrefixFrom(r.From, r.From.BitLen()), netip.PrefixFrom(r.To, r.To.BitLen()))
			}
		}
	}
	return out
}

// proxyWhy names what decides: the lists and the policy with their lines.
func proxyWhy(c *proxycfg.Config) string {
	var out []string
	for _, key := range []string{"ALLOW_FROM", "DENY_FROM", "POLICY"} {
		if s, ok := c.Get(key); ok {
			out = append(out, fmt.Sprintf("%s=%q, %s:%d", key, s.Value, proxycfg.Path, s.Line))
		}
	}
	if len(out) == 0 {
		return "no list in " + proxycfg.Path
	}
	return strings.Join(out, "; ")
}

// listens asks LISTEN_IP, when it changes: the address that pveproxy is bound to, all of them when it is not set.
func listens(c change.Case, before, after *proxycfg.Config, o change.Operator, a netip.Addr) judgement {
	now, ok := after.Get("LISTEN_IP")
	if !ok {
		return judgement{ok: true}
	}
	if before != nil {
		if was, ok := before.Get("LISTEN_IP"); ok && was.Value == now.Value {
			return judgement{ok: true}
		}
	}
	where := fmt.Sprintf("%s:%d", proxycfg.Path, now.Line)
	ip, err := netip.ParseAddr(now.Value)
	own, ownErr := netip.ParseAddr(local(c, o, a))
	switch {
	case err != nil:
		return refuse("LISTEN_IP=%q (%s) is no address", now.Value, where).in(proxycfg.Path)
	case ip.IsUnspecified() && (ip.Is6() || a.Is4()):
		return judgement{ok: true}
	case ownErr != nil:
		return refuse("pveproxy would listen on %s only (%s), and it is not known which address %s connects to", ip, where, o.Words()).in(proxycfg.Path)
	case ip.Unmap() != own.Unmap():
		return refuse("pveproxy would listen on %s only (%s), and %s connects to %s", ip, where, o.Words(), own).in(proxycfg.Path).
			adding("LISTEN_IP=%q, or none", own)
	}
	return judgement{ok: true}
}

// nodeListens asks LISTEN_IP for another node, which connects to the address that this one's name stands for.
func nodeListens(c change.Case, before, after *proxycfg.Config, n netNode, own []netip.Addr) judgement {
	for _, a := range n.addrs {
		peer := change.Operator{User: "root", Address: n.name, Local: ofFamily(own, a)}
		if j := listens(c, before, after, peer, a); !j.ok {
			return j
		}
	}
	return judgement{ok: true}
}

// proxyNode judges whether another node still reaches the API: the web interface of each node asks the others.
func proxyNode(before, after *proxycfg.Config, beforeErr error, n netNode) judgement {
	if len(n.addrs) == 0 {
		return refuse("no address of the node %s is known", n.name).adding("its name to /etc/hosts")
	}
	for _, a := range n.addrs {
		if after.Allowed(a) {
			continue
		}
		if beforeErr == nil && !before.Allowed(a) {
			return admit("%s was refused before this plan already (%s)", a, proxyWhy(after)).in(proxycfg.Path)
		}
		return refuse("pveproxy refuses %s, an address of the node %s (%s)", a, n.name, proxyWhy(after)).in(proxycfg.Path).
			adding("%s to ALLOW_FROM in %s", a, proxycfg.Path)
	}
	return admit("the node reaches the API (%s)", proxyWhy(after)).in(proxycfg.Path)
}
