package exposure

import (
	"regexp"
	"strings"
)

// arguments judges what is handed to QEMU past PVE: everything PVE would forbid can stand there.
func (c *scan) arguments() {
	text, ok := c.s.Get("args")
	if !ok {
		return
	}
	line := c.s.LineOf("args")
	c.add("args", "args", line, MaskArguments(text))
	words := splitArguments(text)
	for i, w := range words {
		value := ""
		if i+1 < len(words) {
			value = words[i+1]
		}
		switch strings.TrimPrefix(strings.TrimPrefix(w, "-"), "-") {
		case "fda", "fdb":
			c.add("floppy", "args", line, "floppy drive "+w)
		case "drive":
			if strings.Contains(value, "if=floppy") {
				c.add("floppy", "args", line, "floppy drive")
			}
		case "device":
			c.device(value, line)
		case "global":
			if strings.HasPrefix(value, "isa-fdc") {
				c.add("floppy", "args", line, "floppy controller")
			}
		case "fsdev", "virtfs":
			c.add("host_dir", "args", line, "a directory of the node over 9p")
		case "vnc":
			if remote(value) {
				c.add("vnc", "args", line, "VNC on "+strings.SplitN(value, ",", 2)[0])
			}
		case "monitor", "qmp", "mon":
			if strings.Contains(value, "tcp:") || strings.Contains(value, "telnet:") || strings.Contains(value, "udp:") {
				c.add("monitor", "args", line, "QEMU's monitor on the network")
			}
		}
	}
}

func (c *scan) device(value string, line int) {
	name, _, _ := strings.Cut(value, ",")
	switch {
	case name == "floppy" || name == "isa-fdc":
		c.add("floppy", "args", line, "device "+name)
	case strings.HasPrefix(name, "vfio-"):
		c.add("pci_raw", "args", line, "device "+name)
	case name == "usb-host":
		c.add("usb_host", "args", line, "device "+name)
	case strings.HasPrefix(name, "ivshmem"):
		c.add("shared_memory", "args", line, "device "+name)
	case strings.HasPrefix(name, "virtio-9p") || strings.HasPrefix(name, "vhost-user-fs"):
		c.add("host_dir", "args", line, "device "+name)
	}
}

// remote reports whether a VNC address listens beyond the node itself.
func remote(v string) bool {
	addr, _, _ := strings.Cut(v, ",")
	return addr != "" && addr != "none" && !strings.HasPrefix(addr, "unix:") && !strings.HasPrefix(addr, "127.") &&
		!strings.HasPrefix(addr, "localhost") && !strings.HasPrefix(addr, "[::1]")
}

// splitArguments splits words as a shell does, as far as quotes go.
func splitArguments(s string) []string {
	var words []string
	var b strings.Builder
	quote, in := byte(0), false
	for i := 0; i < len(s); i++ {
		ch := s[i]
		switch {
		case quote != 0 && ch == quote:
			quote = 0
		case quote == 0 && (ch == '\'' || ch == '"'):
			quote, in = ch, true
		case quote != '\'' && ch == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
			in = true
		case quote == 0 && (ch == ' ' || ch == '\t'):
			if in {
				words = append(words, b.String())
				b.Reset()
				in = false
			}
		default:
			b.WriteByte(ch)
			in = true
		}
	}
	if in {
		words = append(words, b.String())
	}
	return words
}

// secretArgument finds values that are secrets in QEMU's options: "-object secret,id=a,data=...", "password=...", keys that
// start with "pass", and the key of a Mac ("osk").
var secretArgument = regexp.MustCompile(`(?i)\b((?:pass\w*|secret|data|key|osk|token|auth)\s*=)("[^"]*"|'[^']*'|[^\s,'"]+)`)

// MaskArguments returns raw arguments without their secrets, cut to a size that fits a report.
func MaskArguments(s string) string {
	if len(s) > 4*maxText {
		s = s[:4*maxText]
	}
	return Clip(secretArgument.ReplaceAllString(s, "${1}***"))
}
