package exposure

import (
	"strings"

	"github.com/castellan-project/castellan/internal/pve"
	"github.com/castellan-project/castellan/internal/pve/guestcfg"
)

// container finds the exposures of a container (settings: pve-container src/PVE/LXC/Config.pm). Left out, unprivileged
// is 0: only creating a container makes it 1.
func (c *scan) container() {
	s := c.s
	if !s.On("unprivileged") {
		text := "unprivileged: 0"
		if _, ok := s.Get("unprivileged"); !ok {
			text = "unprivileged is not set, which means 0"
		}
		c.add("privileged", "unprivileged", s.LineOf("unprivileged"), text+": root of the container is root of the node")
	}
	c.features()
	for _, e := range s.Numbered("dev") {
		c.add("device", e.Key, e.Line, devText(e))
	}
	for _, v := range s.Volumes() {
		switch {
		case v.Bind && v.ReadOnly:
			c.add("host_dir_ro", v.Key, v.Line, v.Path+" of the node at "+v.Mount+", read-only")
		case v.Bind:
			c.add("host_dir", v.Key, v.Line, v.Path+" of the node at "+v.Mount+", writable")
		case v.Device:
			c.add("raw_disk", v.Key, v.Line, v.Path)
		}
		if v.Options.Value("idmap") == "passthrough" {
			c.add("idmap_passthrough", v.Key, v.Line, "idmap=passthrough: users of the node own the files")
		}
	}
	if v, ok := s.Get("hookscript"); ok {
		c.add("hookscript", "hookscript", s.LineOf("hookscript"), v+" runs as root on the node")
	}
	if s.Value("cmode") == "shell" {
		c.add("shell_console", "cmode", s.LineOf("cmode"), "the console is a root shell without a login")
	}
	if _, ok := s.Get("env"); ok {
		c.add("environment", "env", s.LineOf("env"), "environment variables stand in the configuration")
	}
	for _, e := range s.Entries {
		if e.Raw && !e.Refused {
			c.raw(e)
		}
	}
}

func devText(e guestcfg.Entry) string {
	ps := pve.ParseProperties(e.Value, "path")
	text := ps.Value("path")
	if m := ps.Value("mode"); m != "" {
		text += " mode " + m
	}
	if ps.On("deny-write") {
		text += ", read-only"
	}
	return text
}

func (c *scan) features() {
	ps, line := c.properties("features", "")
	for _, f := range []struct{ key, text string }{
		{"nesting", "nesting=1: sees procfs and sysfs of the node"},
		{"keyctl", "keyctl=1: the kernel's keyrings"},
		{"fuse", "fuse=1: file systems in user space"},
		{"mknod", "mknod=1: device nodes"},
		{"force_rw_sys", "force_rw_sys=1: /sys is writable"},
	} {
		if ps.On(f.key) {
			c.add(f.key, "features", line, f.text)
		}
	}
	if m := ps.Value("mount"); m != "" {
		c.add("mount", "features", line, "mount="+m+": the container mounts file systems of the kernel")
	}
}

// raw judges what is handed to LXC past PVE (lxc.container.conf(5)).
func (c *scan) raw(e guestcfg.Entry) {
	key, v := e.Key, e.Value
	add := func(kind, text string) { c.add(kind, key, e.Line, text) }
	switch {
	case (key == "lxc.apparmor.profile" || key == "lxc.aa_profile") && strings.Contains(v, "unconfined"):
		add("apparmor", key+" unconfined")
	case key == "lxc.apparmor.raw":
		add("apparmor", "rules added to the AppArmor profile")
	case (key == "lxc.apparmor.allow_incomplete" || key == "lxc.aa_allow_incomplete" || key == "lxc.apparmor.allow_nesting") && v != "0" && v != "":
		add("apparmor", key+" "+v)
	case key == "lxc.selinux.context" && strings.Contains(v, "unconfined"):
		add("apparmor", key+" "+v)
	case key == "lxc.cap.drop" && v == "":
		add("capabilities", "no capability is dropped")
	case key == "lxc.cap.keep":
		add("capabilities", "keeps "+v)
	case key == "lxc.seccomp.profile" || key == "lxc.seccomp":
		add("seccomp", "system calls filtered by "+orNone(v))
	case (key == "lxc.idmap" || key == "lxc.id_map") && mapsRoot(v):
		add("idmap", "root of the node is in the container: "+v)
	case (strings.HasPrefix(key, "lxc.cgroup2.devices.allow") || strings.HasPrefix(key, "lxc.cgroup.devices.allow")) && v != "":
		add("cgroup_devices", "devices "+v)
	case (key == "lxc.cgroup.devices.deny" || key == "lxc.cgroup2.devices.deny" || key == "lxc.cgroup2.devices.allow" || key == "lxc.cgroup.devices.allow") && v == "":
		add("cgroup_devices", "the list of devices is emptied")
	case key == "lxc.mount.entry" || key == "lxc.mount.fstab" || key == "lxc.mount":
		c.mountEntry(e)
	case key == "lxc.mount.auto":
		if strings.Contains(v, "rw") {
			add("mount_auto", v)
		}
	case strings.HasPrefix(key, "lxc.hook."):
		if key != "lxc.hook.version" {
			add("host_code", key+" "+v)
		}
	case key == "lxc.include":
		add("host_code", "includes "+v+", which PVE does not look at")
	case strings.HasPrefix(key, "lxc.net.") || strings.HasPrefix(key, "lxc.network."):
		if strings.HasSuffix(key, ".type") {
			add("raw_net", key+" "+v+", past PVE's firewall")
		}
	case strings.HasPrefix(key, "lxc.environment"):
		add("environment", "environment variables stand in the configuration")
	}
}

func orNone(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}

// mountEntry judges a line of fstab(5) whose source is of the node.
func (c *scan) mountEntry(e guestcfg.Entry) {
	f := strings.Fields(e.Value)
	if e.Key != "lxc.mount.entry" {
		c.add("host_dir", e.Key, e.Line, "a table of mounts on the node: "+e.Value)
		return
	}
	if len(f) < 2 || !strings.HasPrefix(f[0], "/") {
		return // proc, tmpfs and the like
	}
	options := ""
	if len(f) > 3 {
		options = f[3]
	}
	for o := range strings.SplitSeq(options, ",") {
		if o == "ro" {
			c.add("host_dir_ro", e.Key, e.Line, f[0]+" of the node, read-only")
			return
		}
	}
	c.add("host_dir", e.Key, e.Line, f[0]+" of the node, writable")
}

// mapsRoot reports whether a mapping "u 0 100000 65536" has the node's id 0 in its range.
func mapsRoot(v string) bool {
	f := strings.Fields(v)
	return len(f) == 4 && strings.TrimLeft(f[2], "0") == "" && strings.TrimLeft(f[3], "0") != ""
}
