package datacenter

import (
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/pve"
)

// Known reports whether datacenter.cfg has a setting.
func Known(key string) bool { return slices.Contains(keys(), key) }

// Raw is the value of a setting as the file has it, credentials of the proxy and all, and whether it is set. It must not leave
// this process.
func Raw(b []byte, key string) (string, bool) {
	for _, l := range pve.SplitLines(b) {
		if k, v, ok := setting(l); ok && k == key {
			return v, true
		}
	}
	return "", false
}

// Set gives a setting a value, or takes it away when the value is empty. All other lines stay byte for byte. The value has to
// be in the form of the file: texts are encoded (pve.EncodeText).
func Set(b []byte, key, value string) []byte {
	if old, ok := Raw(b, key); ok == (value != "") && old == value {
		return b
	}
	var out []string
	done := value == ""
	for _, l := range pve.SplitLines(b) {
		k, _, ok := setting(l)
		switch {
		case !ok || k != key:
			out = append(out, l)
		case !done:
			done = true
			out = append(out, key+": "+value+pve.LineEnd(l))
		}
	}
	if !done {
		end := "\n"
		if len(out) > 0 {
			end = pve.LineEnd(out[0])
		}
		out = append(pve.Terminate(out), key+": "+value+end)
	}
	return []byte(strings.Join(out, ""))
}

func setting(line string) (key, value string, ok bool) {
	if line == "" || line[0] == '#' {
		return "", "", false
	}
	key, value, ok = strings.Cut(line, ":")
	value = strings.TrimSpace(value)
	return key, value, ok && value != ""
}
