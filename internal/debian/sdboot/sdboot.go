// Package sdboot reads the configuration of systemd-boot: loader.conf(5) on the EFI system partition.
package sdboot

import (
	"strings"
)

// Conf is a loader.conf as far as security is concerned.
type Conf struct {
	// Editor is true when anybody at the console may edit the kernel command line, which is the default.
	Editor bool
	// EditorLine is the line that decided, 0 for the default.
	EditorLine int
	// Timeout is the value of timeout as written, empty when not given.
	Timeout string
}

// Parse reads a loader.conf: a key and a value on each line, the last line of a key winning. A value of editor that is
// no boolean (1, yes, y, true, t, on and their opposites) leaves it as it was.
func Parse(b []byte) Conf {
	c := Conf{Editor: true}
	n := 0
	for line := range strings.Lines(string(b)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		i := strings.IndexAny(line, " \t")
		if i < 0 {
			continue
		}
		key, value := line[:i], strings.Trim(line[i:], " \t\"'")
		switch key {
		case "editor":
			switch strings.ToLower(value) {
			case "1", "yes", "y", "true", "t", "on":
				c.Editor, c.EditorLine = true, n
			case "0", "no", "n", "false", "f", "off":
				c.Editor, c.EditorLine = false, n
			}
		case "timeout":
			c.Timeout = value
		}
	}
	return c
}
