package collect

import (
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/debian/modprobe"
	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/posture"
	"github.com/castellan-project/castellan/internal/pve/guestcfg"
)

// modprobeConfig reads modprobe.d.
func modprobeConfig(c *Context) (modprobe.Config, error) {
	var found []string
	for _, p := range krnModprobePatterns() {
		list, err := c.Host.List(p)
		if err != nil {
			return modprobe.Config{}, err
		}
		for _, i := range list {
			found = append(found, i.Path)
		}
	}
	var rules []modprobe.Rule
	for _, p := range modprobe.Order(found) {
		b, err := c.Host.ReadFile(p)
		if host.NotExist(err) {
			continue
		}
		if err != nil {
			return modprobe.Config{}, err
		}
		rules = append(rules, modprobe.Parse(p, b)...)
	}
	return modprobe.NewConfig(rules), nil
}

func krnModuleFacts(c *Context, f *posture.Kernel) {
	f.Modules = liveOnly(c, krnModules, func() ([]string, error) {
		b, err := c.Host.ReadFile(krnModules)
		return modprobe.ParseLoaded(b), err
	})
	f.NeededModules = neededModules(c)
	conf, err := modprobeConfig(c)
	f.ModuleStates = map[string]posture.KernelModule{}
	if err != nil {
		for _, m := range krnWanted() {
			f.ModuleStates[m] = posture.KernelModule{State: posture.Unknown[string](err, "modprobe.d")}
		}
		f.ModuleOptions = posture.Unknown[[]string](err, "modprobe.d")
		f.NeededBlocked = posture.Unknown[[]string](err, "modprobe.d")
		return
	}
	options := []string{}
	for _, o := range conf.Options() {
		options = append(options, o.Module+" "+o.Rest)
	}
	f.ModuleOptions = posture.Known(options, posture.Configured, "modprobe.d")
	shipped, builtin, err := shippedModules(c, f)
	for _, m := range krnWanted() {
		f.ModuleStates[m] = posture.KernelModule{State: moduleState(c, m, f.Modules, conf, shipped, builtin, err)}
	}
	f.NeededBlocked = posture.Fact[[]string]{Problem: f.NeededModules.Problem, Source: f.NeededModules.Source}
	if f.NeededModules.IsKnown() {
		blocked := []string{}
		for m, why := range f.NeededModules.Value {
			if r, ok := conf.Blocked(m); ok {
				blocked = append(blocked, m+" ("+why+"; "+source(r.File, r.Line)+")")
			}
		}
		slices.Sort(blocked)
		f.NeededBlocked = posture.Known(blocked, posture.Configured, "modprobe.d")
	}
}

// shippedModules names the modules of the newest installed and of the running kernel, and which are built in.
func shippedModules(c *Context, f *posture.Kernel) (shipped, builtin map[string]bool, err error) {
	shipped, builtin = map[string]bool{}, map[string]bool{}
	releases := map[string]bool{}
	if f.Release.IsKnown() {
		releases[f.Release.Value] = true
	}
	if f.Installed.IsKnown() && len(f.Installed.Value) > 0 {
		releases[f.Installed.Value[0]] = true
	}
	found := false
	for r := range releases {
		for file, into := range map[string]map[string]bool{"modules.dep": shipped, "modules.builtin": builtin} {
			b, err := c.Host.ReadFile("/lib/modules/" + path.Base(r) + "/" + file)
			if host.NotExist(err) {
				continue
			}
			if err != nil {
				return nil, nil, err
			}
			found = found || file == "modules.dep"
			maps.Copy(into, modprobe.ParseIndex(b))
		}
	}
	if !found {
		return nil, nil, notCopied("/lib/modules")
	}
	return shipped, builtin, nil
}

func moduleState(c *Context, m string, loaded posture.Fact[[]string], conf modprobe.Config, shipped, builtin map[string]bool, err error) posture.Fact[string] {
	r, blocked := conf.Blocked(m)
	switch {
	case loaded.IsKnown() && slices.Contains(loaded.Value, m):
		return posture.Known("loaded", posture.Effective, krnModules)
	case builtin[m]:
		return posture.Known("builtin", posture.Effective, "modules.builtin")
	case c.Live && !loaded.IsKnown():
		return posture.Fact[string]{Problem: loaded.Problem, Source: loaded.Source}
	case blocked:
		return posture.Known("blocked", posture.Configured, source(r.File, r.Line))
	case err != nil:
		return posture.Unknown[string](err, "/lib/modules")
	case !shipped[m]:
		return posture.Known("absent", posture.Effective, "modules.dep")
	}
	if r, ok := conf.Blacklisted(m); ok {
		return posture.Known("blacklisted", posture.Configured, source(r.File, r.Line))
	}
	return posture.Known("loadable", posture.Default, "modprobe.d")
}

// neededModules names modules that hardening guides block and this host needs, with the reason.
func neededModules(c *Context) posture.Fact[map[string]string] {
	out := map[string]string{}
	pve, err := hasPVE(c)
	if err != nil {
		return posture.Unknown[map[string]string](err, dpkgStatus)
	}
	if pve {
		out["fuse"] = "/etc/pve is a FUSE file system"
		all := guestsOfNode(c, guestcfg.LXC, func(*guestcfg.Section) bool { return true })
		if !all.IsKnown() {
			return posture.Fact[map[string]string]{Problem: all.Problem, Source: all.Source}
		}
		if len(all.Value) > 0 {
			out["overlay"] = "containers use it"
			out["squashfs"] = "containers use it"
		}
	}
	b, err := c.Host.ReadFile(krnStorage)
	if err != nil && !host.NotExist(err) {
		return posture.Unknown[map[string]string](err, krnStorage)
	}
	for line := range strings.Lines(string(b)) {
		kind, name, ok := strings.Cut(line, ":")
		if !ok || strings.ContainsAny(kind, " \t#") {
			continue
		}
		module := map[string]string{"nfs": "nfs", "cephfs": "ceph", "rbd": "rbd", "cifs": "cifs"}[kind]
		if module != "" {
			out[module] = "the storage " + strings.TrimSpace(name) + " uses it"
		}
	}
	return posture.Known(out, posture.Configured, krnStorage)
}

// krnMicrocode fills which package carries the processor's microcode and whether it is there.
func krnMicrocode(c *Context, f *posture.Kernel) {
	vendor := f.CPUVendor
	if !vendor.IsKnown() {
		f.MicrocodePackage = posture.Fact[string]{Problem: vendor.Problem, Source: vendor.Source}
		f.MicrocodeInstalled = f.MicrocodePackage
	} else {
		name := map[string]string{"GenuineIntel": "intel-microcode", "AuthenticAMD": "amd64-microcode", "HygonGenuine": "amd64-microcode"}[vendor.Value]
		f.MicrocodePackage = posture.Known(name, posture.Effective, krnCPUInfo)
		b, err := c.Host.ReadFile(dpkgStatus)
		if err != nil {
			f.MicrocodeInstalled = posture.Unknown[string](err, dpkgStatus)
		} else {
			pkg, _ := osPackage(b, name)
			f.MicrocodeInstalled = posture.Known(pkg["Version"], posture.Effective, dpkgStatus)
		}
	}
	f.MicrocodeSource = firmwareSource(c)
}

// firmwareSource reports whether an enabled package source has the component that carries firmware: non-free-firmware
// since Debian 12.
func firmwareSource(c *Context) posture.Fact[bool] {
	const where = "/etc/apt/sources.list.d/*"
	paths, contents, err := readAll(c, where)
	if err != nil {
		return posture.Unknown[bool](err, where)
	}
	main, err := c.Host.ReadFile("/etc/apt/sources.list")
	switch {
	case err == nil:
		paths, contents = append(paths, "/etc/apt/sources.list"), append(contents, main)
	case !host.NotExist(err):
		return posture.Unknown[bool](err, "/etc/apt/sources.list")
	case len(paths) == 0:
		return posture.Unknown[bool](err, where)
	}
	const component = "non-free-firmware"
	for i, p := range paths {
		var on bool
		switch path.Ext(p) {
		case ".list":
			on = listHas(contents[i], component)
		case ".sources":
			on = sourcesHave(contents[i], component)
		}
		if on {
			return posture.Known(true, posture.Configured, p)
		}
	}
	return posture.Known(false, posture.Configured, where)
}

func listHas(b []byte, component string) bool {
	for line := range strings.Lines(string(b)) {
		w := strings.Fields(line)
		if len(w) > 3 && w[0] == "deb" && slices.Contains(w[3:], component) {
			return true
		}
	}
	return false
}

func sourcesHave(b []byte, component string) bool {
	enabled, has := true, false
	for _, line := range append(host.Lines(b), "") {
		if strings.TrimSpace(line) == "" {
			if enabled && has {
				return true
			}
			enabled, has = true, false
			continue
		}
		key, value, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		switch strings.ToLower(key) {
		case "enabled":
			enabled = !slices.Contains([]string{"no", "false", "0", "off", "without", "disable"}, strings.ToLower(strings.TrimSpace(value)))
		case "components":
			has = slices.Contains(strings.Fields(value), component)
		}
	}
	return false
}
