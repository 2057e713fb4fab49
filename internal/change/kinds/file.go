package kinds

import (
	"path"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/host"
)

// file makes a file's content, mode and owner so, or removes it.
func file(d *change.Draft, c change.Change) error {
	if !strings.HasPrefix(c.Path, "/") || path.Clean(c.Path) != c.Path {
		return change.Cannot("the path %q is not absolute", c.Path)
	}
	if c.Ensure == "absent" {
		return d.Remove(c.Path)
	}
	mode, err := parseMode(c.Mode)
	if err != nil {
		return err
	}
	if c.Content != "" {
		fresh := uint32(0o644)
		if mode != nil {
			fresh = *mode
		}
		if err := d.Write(c.Path, []byte(c.Content), fresh); err != nil {
			return err
		}
	} else if _, err := d.Stat(c.Path); host.NotExist(err) {
		return nil // a file that is not there has no wrong mode
	}
	if mode == nil && c.Owner == "" {
		return nil
	}
	return d.Attr(c.Path, mode, c.Owner)
}

// parseMode reads an octal mode; "" is nil.
func parseMode(s string) (*uint32, error) {
	if s == "" {
		return nil, nil
	}
	n, err := strconv.ParseUint(s, 8, 32)
	if err != nil || n > 0o7777 {
		return nil, change.Cannot("the mode %q is not octal", s)
	}
	m := uint32(n)
	return &m, nil
}
