package kinds

import (
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/pve/proxycfg"
)

// pveproxyLists are the keys that hold addresses; a part that Net::IP does not accept makes pveproxy die at its start
// (pve-http-server, PVE/APIServer/Utils.pm).
func pveproxyLists() []string {
	return []string{"ALLOW_FROM", "DENY_FROM", "PROXY_REAL_IP_ALLOW_FROM"}
}

// pveproxy sets keys of /etc/default/pveproxy; an empty value takes a key back to its default. What is written is read back
// with the parser that reads the file as PVE does, because pveproxy, and with it the web interface, does not start with a value
// that it does not accept.
func pveproxy(d *change.Draft, c change.Change) error {
	old, _, err := d.Content(proxycfg.Path)
	if err != nil {
		return fmt.Errorf("cannot read %s: %w", proxycfg.Path, err)
	}
	want, err := pveproxyWanted(d, c.Set)
	if err != nil {
		return err
	}
	text := string(old)
	for _, key := range slices.Sorted(maps.Keys(want)) {
		text = pveproxySet(text, key, want[key])
	}
	if text == string(old) {
		return nil
	}
	if err := pveproxyAccepts(text, want); err != nil {
		return err
	}
	if err := d.Write(proxycfg.Path, []byte(text), 0o644); err != nil {
		return err
	}
	pveproxyLoses(d, proxycfg.Parse(old), proxycfg.Parse([]byte(text)), want)
	return pveproxyRestart(d, want)
}

// pveproxyWanted checks the values and adds to ALLOW_FROM those without whom the node or its cluster does not work.
func pveproxyWanted(d *change.Draft, set map[string]string) (map[string]string, error) {
	want := maps.Clone(set)
	for key, value := range want {
		if !proxyName().MatchString(key) {
			return nil, change.Cannot("%q is no key of %s", key, proxycfg.Path)
		}
		if i := strings.IndexFunc(value, func(r rune) bool { return r < ' ' || r > '~' || strings.ContainsRune("\"'$`\\", r) }); i >= 0 {
			return nil, change.Cannot("the value of %s holds a character that %s cannot keep: %q", key, proxycfg.Path, value[i:i+1])
		}
		if slices.Contains(pveproxyLists(), key) && value != "" {
			if err := pveproxyList(key, value); err != nil {
				return nil, err
			}
		}
	}
	if allow := want["ALLOW_FROM"]; allow != "" && allow != "all" {
		nodes, err := nodeAddresses(d)
		if err != nil {
			return nil, err
		}
		want["ALLOW_FROM"] = allowAlso(allow, append([]string{"127.0.0.1", "::1"}, nodes...))
	}
	return want, nil
}

func proxyName() *regexp.Regexp { return regexp.MustCompile(`^[A-Z][A-Z0-9_]*$`) }

// pveproxyList says which part of a list pveproxy would not accept.
func pveproxyList(key, value string) error {
	for part := range strings.SplitSeq(value, ",") {
		if part == "all" {
			continue
		}
		if p, err := netip.ParsePrefix(part); err == nil && p != p.Masked() {
			return change.Cannot("%s: %s has bits set behind its network, and pveproxy does not start with it; write %s", key, part, p.Masked())
		}
		if _, err := proxycfg.ParseRange(part); err != nil {
			return change.Cannot("%s: pveproxy does not start with %q (%v); write addresses and networks divided by commas, without blanks", key, part, err)
		}
	}
	return nil
}

// allowAlso adds the addresses that no part of the list holds.
func allowAlso(list string, addresses []string) string {
	parts := strings.Split(list, ",")
	for _, a := range addresses {
		addr, err := netip.ParseAddr(a)
		held := slices.ContainsFunc(parts, func(p string) bool {
			r, rangeErr := proxycfg.ParseRange(p)
			return p == "all" || err == nil && rangeErr == nil && r.Contains(addr.Unmap())
		})
		if !held {
			parts = append(parts, a)
		}
	}
	return strings.Join(parts, ",")
}

// pveproxyAccepts reads the new file as PVE does.
func pveproxyAccepts(text string, want map[string]string) error {
	n := 0
	for l := range strings.Lines(text) {
		n++
		if t := strings.TrimSpace(l); strings.HasSuffix(l, "\r\n") && t != "" && t[0] != '#' {
			return change.Cannot("%s:%d ends in a carriage return, which bash takes as part of the value; remove them with: sed -i 's/\\r$//' %s",
				proxycfg.Path, n, proxycfg.Path)
		}
	}
	cfg := proxycfg.Parse([]byte(text))
	if cfg.Shell {
		return change.Cannot("%s holds shell code, so what it means is not known; keep only KEY=\"value\" lines%s", proxycfg.Path, firstProblem(cfg.Problems))
	}
	for _, p := range cfg.Problems {
		if p.Fatal {
			return change.Cannot("pveproxy would not start: %s", p)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if got := cfg.Settings[key].Value; got != want[key] {
			return change.Cannot("%s cannot be set in %s: it stays %q", key, proxycfg.Path, got)
		}
	}
	if cfg.Nobody() {
		return change.Cannot("pveproxy would refuse everybody: set ALLOW_FROM, and POLICY to \"allow\" where DENY_FROM is \"all\"")
	}
	return nil
}

func firstProblem(list []proxycfg.Problem) string {
	if len(list) == 0 {
		return ""
	}
	return ": " + list[0].String()
}

// pveproxyLoses says whom a new list cuts off.
func pveproxyLoses(d *change.Draft, before, after *proxycfg.Config, want map[string]string) {
	if _, ok := want["ALLOW_FROM"]; !ok {
		return
	}
	var lost []string
	for _, r := range before.Allow {
		if before.Allowed(r.From) && before.Allowed(r.To) && !(after.Allowed(r.From) && after.Allowed(r.To)) {
			lost = append(lost, r.String())
		}
	}
	if len(lost) > 0 {
		d.Effect("the web interface no longer talks to %s, which ALLOW_FROM names until now", strings.Join(lost, ", "))
	}
	s, _ := after.Get("ALLOW_FROM")
	d.Effect("the web interface and the API talk to these addresses only: %s", strings.ReplaceAll(s.Value, ",", ", "))
}

// pveproxyRestart lets the daemons read the file: spiceproxy takes its address and its lists from it as well
// (pve-manager, PVE/Service/spiceproxy.pm). A reload keeps the listening socket, so LISTEN_IP needs a restart.
func pveproxyRestart(d *change.Draft, want map[string]string) error {
	units := []string{"pveproxy.service"}
	for _, key := range []string{"ALLOW_FROM", "DENY_FROM", "POLICY", "LISTEN_IP"} {
		if _, ok := want[key]; ok && len(units) == 1 {
			units = append(units, "spiceproxy.service")
		}
	}
	for _, u := range units {
		if err := d.Do(change.Action{Verb: change.Restart, Object: u}); err != nil {
			return err
		}
	}
	d.Effect("pveproxy starts again: open sessions of the web interface reload, consoles and uploads that run through this node are cut")
	return nil
}

// pveproxySet gives a key its value in the text: in the last line that sets it when the line sets nothing else, or else in a line of its
// own at the end, for bash lets the last assignment count. All other lines stay as they are.
func pveproxySet(text, key, value string) string {
	cfg := proxycfg.Parse([]byte(text))
	if s, set := cfg.Settings[key]; s.Value == value && (set || value == "") && !brokenLine(text, key) {
		return text
	}
	lines := slices.Collect(strings.Lines(text))
	at := lastAssignment(lines, key)
	if at >= 0 {
		m := assignment(key).FindStringSubmatch(strings.TrimRight(lines[at], "\r\n"))
		if tail, alone := aloneOn(lines[at], key); alone && (at == 0 || !strings.HasSuffix(strings.TrimRight(lines[at-1], "\r\n"), `\`)) {
			changed := slices.Clone(lines)
			// The line ends as Unix lines do: a carriage return would be part of what bash reads.
			changed[at] = m[1] + key + `="` + value + `"` + tail + "\n"
			out := strings.Join(changed, "")
			if proxycfg.Parse([]byte(out)).Settings[key].Value == value {
				return out
			}
		}
	}
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return text + key + `="` + value + "\"\n"
}

// assignment matches a line that begins by setting a key.
func assignment(key string) *regexp.Regexp {
	return regexp.MustCompile(`^([ \t]*(?:export[ \t]+)?)` + regexp.QuoteMeta(key) + `=(.*)$`)
}

func lastAssignment(lines []string, key string) int {
	re := assignment(key)
	for i, l := range slices.Backward(lines) {
		if re.MatchString(strings.TrimRight(l, "\r\n")) {
			return i
		}
	}
	return -1
}

// aloneOn reports whether a line sets the key and nothing else, and gives the comment behind the value. A line that bash takes as
// a command (KEY=a, b) sets nothing, and is to be replaced as a whole.
func aloneOn(line, key string) (tail string, alone bool) {
	line = strings.TrimRight(line, "\r\n")
	// A line longer than any setting is left alone: looking for its comment takes time that grows with the square of its length.
	if strings.HasSuffix(line, `\`) || len(line) > 8<<10 {
		return "", false
	}
	cfg := proxycfg.Parse([]byte(line))
	for k := range cfg.Settings {
		if k != key {
			return "", false
		}
	}
	if _, set := cfg.Settings[key]; !set {
		return "", !cfg.Shell && !strings.Contains(line, ";")
	}
	// The comment begins at the last blank and # behind which nothing belongs to the value.
	for i := len(line) - 1; i > 0; i-- {
		if line[i] != '#' || line[i-1] != ' ' && line[i-1] != '\t' {
			continue
		}
		head := proxycfg.Parse([]byte(line[:i]))
		if !head.Shell && head.Settings[key] == cfg.Settings[key] && len(strings.TrimRight(line[:i], " \t")) < i {
			tail = line[len(strings.TrimRight(line[:i], " \t")):]
		}
	}
	return tail, !cfg.Shell && strings.Count(line, ";") == strings.Count(tail, ";")
}

// brokenLine reports whether the last line of a key is none that bash understands as an assignment.
func brokenLine(text, key string) bool {
	lines := slices.Collect(strings.Lines(text))
	at := lastAssignment(lines, key)
	if at < 0 {
		return false
	}
	_, set := proxycfg.Parse([]byte(strings.TrimRight(lines[at], "\r\n"))).Settings[key]
	_, alone := aloneOn(lines[at], key)
	return !set && alone
}
