package sshd

import (
	"fmt"
	"net/netip"
	"sort"
	"strings"
)

// Setting is the effective value of one keyword.
type Setting struct {
	// Values are the words after the keyword as sshd -T prints them: one string per printed line.
	Values []string
	// Source is "file:line" (several, separated by ", ", for lists that add up), and empty for a default.
	Source string
	// Err is set when the value cannot be known off-line.
	Err error
}

// Settings are the effective values for one connection, by the names that sshd -T prints. A keyword of which
// nothing is set and that has no default (AllowUsers ...) is missing, as it is from the output of sshd -T.
type Settings map[string]Setting

// For evaluates the configuration for a connection. It gives an error when sshd would refuse the configuration, or
// when the connection does not tell something that a Match line asks for.
func (c *Config) For(conn Connection) (Settings, error) {
	if !c.Valid() {
		return nil, &refusal{c.Problems[0]}
	}
	p := &pass{config: c, names: c.release.names(), conn: &conn, opts: options{}}
	if err := p.file(c.cache[""][0], matchOnly, 0); err != nil {
		return nil, err
	}
	merged := options{}
	for key, o := range c.global {
		merged[key] = o
	}
	for _, key := range clearedByNone {
		if o, ok := merged[key]; ok && strings.EqualFold(o.vals[0], "none") {
			merged[key] = option{[]string{"none"}, o.source}
		}
	}
	if o, ok := merged["channeltimeout"]; ok && len(o.vals) == 1 && strings.EqualFold(o.vals[0], "none") {
		if merged["channeltimeout"] = (option{[]string{"none"}, o.source}); !c.release.modern() {
			delete(merged, "channeltimeout")
		}
	}
	for key, o := range p.opts {
		if !carried(key, c.release) {
			continue
		}
		if (key == "forcecommand" || key == "chrootdirectory") && strings.EqualFold(o.vals[0], "none") {
			o.vals = []string{"none"}
		}
		merged[key] = o
	}
	return c.settings(merged)
}

// carried reports whether a value of a Match block replaces the global one.
func carried(key string, r Release) bool {
	switch key {
	case "rekeylimit data", "rekeylimit time", "permituserenvironment list":
		return true
	}
	k, ok := lookup(key, r)
	return ok && k.carried
}

// oneLine are list keywords that sshd -T prints on one line; other lists get a line per value.
var oneLine = map[string]bool{
	"authorizedkeysfile": true, "authenticationmethods": true, "logverbose": true, "channeltimeout": true,
	"permitopen": true, "permitlisten": true,
}

// settings turns options into what sshd -T prints.
func (c *Config) settings(opts options) (Settings, error) {
	out := Settings{}
	for key, vals := range c.release.defaults() {
		out[key] = Setting{Values: vals}
	}
	names := c.release.names()
	for key, k := range keywords {
		if k.kind != kAlgorithms {
			continue
		}
		o := opts[key]
		list := ""
		if len(o.vals) > 0 {
			list = o.vals[0]
		}
		// sshd resolves the lists twice, for the global values and again for the connection.
		for range 2 {
			var err error
			if list, err = names.assemble(list, k.list); err != nil {
				return nil, &refusal{Problem{File: c.main, Text: key + " (" + o.source + "): " + err.Error()}}
			}
		}
		opts[key] = option{[]string{list}, o.source}
	}
	for key, o := range opts {
		if strings.Contains(key, " ") || key == "listenaddress" {
			continue
		}
		vals := o.vals
		if oneLine[key] {
			vals = []string{strings.Join(o.vals, " ")}
		}
		if key == "subsystem" {
			vals = nil
			for _, v := range o.vals {
				vals = append(vals, strings.Replace(v, "\x00", " ", 1))
			}
		}
		out[key] = Setting{Values: vals, Source: o.source}
	}
	combine(out, opts, c.release.modern())
	c.listeners(out, opts)
	return out, nil
}

// combine builds the settings that are kept in parts.
func combine(out Settings, opts options, modern bool) {
	if o, ok := opts["permituserenvironment list"]; ok {
		out["permituserenvironment"] = Setting{Values: o.vals, Source: o.source}
	}
	data, time := "0", "0"
	var sources []string
	for _, part := range []struct {
		key  string
		into *string
	}{{"rekeylimit data", &data}, {"rekeylimit time", &time}} {
		if o, ok := opts[part.key]; ok {
			*part.into = o.vals[0]
			if len(sources) == 0 || sources[0] != o.source {
				sources = append(sources, o.source)
			}
		}
	}
	out["rekeylimit"] = Setting{Values: []string{data + " " + time}, Source: strings.Join(sources, ", ")}
	if modern {
		out["persourcepenalties"] = penaltySetting(opts)
	}
}

func penaltySetting(opts options) Setting {
	o, ok := opts["persourcepenalties"]
	if ok && o.vals[0] == "no" {
		return Setting{Values: []string{"no"}, Source: o.source}
	}
	get := func(name, def string) string {
		if o, ok := opts["persourcepenalties "+name]; ok {
			return o.vals[0]
		}
		return def
	}
	var parts []string
	for _, p := range penaltyDefaults {
		parts = append(parts, p.name+":"+get(p.name, p.def))
	}
	overflow := get("overflow", "permissive")
	parts = append(parts, "overflow:"+overflow, "overflow6:"+get("overflow6", overflow))
	return Setting{Values: []string{strings.Join(parts, " ")}, Source: o.source}
}

// listeners computes Port and ListenAddress, which depend on each other and on AddressFamily.
func (c *Config) listeners(out Settings, opts options) {
	ports := opts["port"].vals
	if len(ports) == 0 {
		ports = []string{"22"}
	}
	out["port"] = Setting{Values: ports, Source: opts["port"].source}
	family := out["addressfamily"].Values[0]
	o, configured := opts["listenaddress"]
	entries := o.vals
	if !configured {
		if family != "inet" {
			entries = append(entries, ":: ")
		}
		if family != "inet6" {
			entries = append(entries, "0.0.0.0 ")
		}
	}
	var vals []string
	for _, e := range entries {
		host, port, _ := strings.Cut(e, " ")
		addr, err := parseAddress(host)
		if err != nil {
			out["listenaddress"] = Setting{Source: o.source,
				Err: fmt.Errorf("ListenAddress %s is a name, which only the host's resolver can translate", host)}
			return
		}
		if family == "inet" {
			addr = addr.Unmap()
		}
		for _, p := range ports {
			if port != "" {
				p = port
			}
			vals = append(vals, listenText(addr, p))
			if port != "" {
				break
			}
		}
	}
	out["listenaddress"] = Setting{Values: vals, Source: o.source}
}

func listenText(a netip.Addr, port string) string {
	if a.Is6() {
		return "[" + a.String() + "]:" + port
	}
	return a.String() + ":" + port
}

// Lines gives the settings as sshd -T prints them, sorted by keyword; values keep their order.
func (s Settings) Lines() []string {
	keys := make([]string, 0, len(s))
	for k := range s {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	var out []string
	for _, k := range keys {
		for _, v := range s[k].Values {
			out = append(out, k+" "+v)
		}
	}
	return out
}

// ParseOutput reads what sshd -T printed.
func ParseOutput(text string) Settings {
	out := Settings{}
	for _, line := range strings.Split(text, "\n") {
		key, value, ok := strings.Cut(strings.TrimSuffix(line, "\r"), " ")
		if !ok || key == "" {
			continue
		}
		s := out[key]
		s.Values = append(s.Values, value)
		out[key] = s
	}
	return out
}
