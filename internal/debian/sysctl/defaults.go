package sysctl

import (
	"strings"
)

// Kernel says which kernel a default is asked for.
type Kernel struct {
	// Release is as uname -r prints it: "6.1.0-28-amd64", "6.8.12-4-pve".
	Release string
	// Config holds what /boot/config-<release> says, by name without CONFIG_; nil when it is not known.
	Config map[string]string
}

// Flavour is "debian" for Debian's own kernels, "pve" for those of Proxmox VE, "" for others.
func (k Kernel) Flavour() string {
	switch {
	case strings.HasSuffix(k.Release, "-pve"):
		return "pve"
	case strings.HasSuffix(k.Release, "-amd64") || strings.HasSuffix(k.Release, "-arm64"):
		return "debian"
	}
	return ""
}

// ParseConfig reads a kernel's build configuration (/boot/config-*): "CONFIG_X=y" and "# CONFIG_X is not set".
func ParseConfig(b []byte) map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutSuffix(line, " is not set"); ok {
			if name, ok = strings.CutPrefix(name, "# CONFIG_"); ok {
				out[name] = "n"
			}
			continue
		}
		if name, value, ok := strings.Cut(line, "="); ok && strings.HasPrefix(name, "CONFIG_") {
			out[strings.TrimPrefix(name, "CONFIG_")] = strings.Trim(value, `"`)
		}
	}
	return out
}

// Default returns the value that a key has when nothing sets it, and where that is known from. It answers only where
// the default is the same in every configuration of the kernels of Debian 12 and 13 and Proxmox VE 8 and 9, or where
// the build configuration tells it.
func Default(key string, k Kernel) (value, source string, ok bool) {
	if v, ok := builtDefault(key, k); ok {
		return v, "default of the kernel, by its build configuration", true
	}
	if v, ok := everyKernel()[key]; ok {
		return v, "default of the kernel", true
	}
	if v, ok := flavourDefaults()[k.Flavour()][key]; ok {
		return v, "default of the kernel " + k.Release, true
	}
	return "", "", false
}

// builtDefault derives a default from the build configuration: lib/Kconfig.debug (MAGIC_SYSRQ_DEFAULT_ENABLE),
// security/Kconfig (SECURITY_DMESG_RESTRICT), kernel/bpf/Kconfig (BPF_UNPRIV_DEFAULT_OFF), drivers/tty/Kconfig
// (LDISC_AUTOLOAD), and Debian's patch behind SECURITY_PERF_EVENTS_RESTRICT.
func builtDefault(key string, k Kernel) (string, bool) {
	choose := func(name, yes, no string) (string, bool) {
		switch k.Config[name] {
		case "y":
			return yes, true
		case "n":
			return no, true
		}
		return "", false
	}
	switch key {
	case "kernel.sysrq":
		if k.Config["MAGIC_SYSRQ_DEFAULT_ENABLE"] == "0x01b6" {
			return "438", true
		}
		if k.Config["MAGIC_SYSRQ_DEFAULT_ENABLE"] == "0x1" {
			return "1", true
		}
	case "kernel.dmesg_restrict":
		return choose("SECURITY_DMESG_RESTRICT", "1", "0")
	case "kernel.unprivileged_bpf_disabled":
		return choose("BPF_UNPRIV_DEFAULT_OFF", "2", "0")
	case "dev.tty.ldisc_autoload":
		return choose("LDISC_AUTOLOAD", "1", "0")
	}
	return "", false
}

// everyKernel holds defaults that upstream fixes and that neither Debian nor Proxmox change. Networking values:
// net/ipv4/devinet.c (ipv4_devconf, ipv4_devconf_dflt), net/ipv6/addrconf.c (ipv6_devconf, ipv6_devconf_dflt), both of
// which give "default" its own values, and Documentation/networking/ip-sysctl.rst.
func everyKernel() map[string]string {
	return map[string]string{
		"net.ipv4.ip_forward":                        "0",
		"net.ipv4.conf.all.forwarding":               "0",
		"net.ipv4.conf.default.forwarding":           "0",
		"net.ipv6.conf.all.forwarding":               "0",
		"net.ipv6.conf.default.forwarding":           "0",
		"net.ipv4.conf.all.send_redirects":           "1",
		"net.ipv4.conf.default.send_redirects":       "1",
		"net.ipv4.conf.all.accept_source_route":      "0",
		"net.ipv4.conf.default.accept_source_route":  "1",
		"net.ipv6.conf.all.accept_source_route":      "0",
		"net.ipv6.conf.default.accept_source_route":  "0",
		"net.ipv4.conf.all.accept_redirects":         "1",
		"net.ipv4.conf.default.accept_redirects":     "1",
		"net.ipv6.conf.all.accept_redirects":         "1",
		"net.ipv6.conf.default.accept_redirects":     "1",
		"net.ipv4.conf.all.secure_redirects":         "1",
		"net.ipv4.conf.default.secure_redirects":     "1",
		"net.ipv4.conf.all.log_martians":             "0",
		"net.ipv4.conf.default.log_martians":         "0",
		"net.ipv4.conf.all.rp_filter":                "0",
		"net.ipv4.conf.default.rp_filter":            "0",
		"net.ipv4.conf.all.proxy_arp":                "0",
		"net.ipv4.conf.default.proxy_arp":            "0",
		"net.ipv4.icmp_echo_ignore_broadcasts":       "1",
		"net.ipv4.icmp_ignore_bogus_error_responses": "1",
		"net.ipv4.tcp_syncookies":                    "1",
		"net.ipv4.tcp_rfc1337":                       "0",
		"net.ipv6.conf.all.accept_ra":                "1",
		"net.ipv6.conf.default.accept_ra":            "1",
		"net.ipv6.conf.all.disable_ipv6":             "0",
		"net.ipv6.conf.default.disable_ipv6":         "0",
		"net.bridge.bridge-nf-call-iptables":         "1",
		"net.bridge.bridge-nf-call-ip6tables":        "1",
		"net.bridge.bridge-nf-call-arptables":        "1",
		"kernel.randomize_va_space":                  "2",
		"kernel.kptr_restrict":                       "0",
		"kernel.kexec_load_disabled":                 "0",
		"fs.suid_dumpable":                           "0",
		"fs.protected_fifos":                         "0",
		"fs.protected_regular":                       "0",
	}
}

// flavourDefaults holds what a distribution's patches and build configuration decide. Debian: config.amd64 of the
// linux-config packages 6.1.192-2 and 6.12.107-1, and the patches "Add link security restrictions by default",
// "Allow further restriction of perf_event_open" and "Add sysctl to disallow unprivileged CLONE_NEWUSER by default"
// (on since Debian 11). Proxmox kernels are built from Ubuntu's, whose perf patch defaults to 4 and whose
// CLONE_NEWUSER switch defaults to 1. kernel.yama.ptrace_scope is 0 by a Debian patch and 1 upstream, which Proxmox
// kernels follow.
func flavourDefaults() map[string]map[string]string {
	return map[string]map[string]string{
		"debian": {
			"kernel.dmesg_restrict":            "1",
			"kernel.unprivileged_bpf_disabled": "2",
			"kernel.perf_event_paranoid":       "3",
			"dev.tty.ldisc_autoload":           "1",
			"kernel.sysrq":                     "438",
			"kernel.unprivileged_userns_clone": "1",
			"kernel.yama.ptrace_scope":         "0",
			"fs.protected_hardlinks":           "1",
			"fs.protected_symlinks":            "1",
		},
		"pve": {
			"kernel.unprivileged_bpf_disabled": "2",
			"kernel.perf_event_paranoid":       "4",
			"kernel.unprivileged_userns_clone": "1",
			"kernel.yama.ptrace_scope":         "1",
		},
	}
}
