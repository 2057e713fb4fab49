package kinds

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/change"
)

// holds reports whether what a key has is at least as strict as what is wanted, so that a stricter setting of the
// administrator's is not loosened on the way. Keys that are not numbers, or that this function does not know, hold when they
// are equal.
func holds(key, have, want string) bool {
	if have == want {
		return true
	}
	if have == "never" { // faillock.conf(5): unlock_time may say so
		have = "0"
	}
	h, err1 := strconv.Atoi(have)
	w, err2 := strconv.Atoi(want)
	if err1 != nil || err2 != nil {
		return false
	}
	switch key {
	case "PASS_MAX_DAYS", "max_days", "deny", "root_unlock_time":
		return h >= 1 && h <= w
	case "INACTIVE", "inactive_days":
		return h >= 0 && h <= w
	case "PASS_MIN_DAYS", "PASS_WARN_AGE", "min_days", "warn_days", "minlen":
		return h >= w
	case "unlock_time":
		return h == 0 || h >= w
	case "dictcheck":
		return h != 0 && w != 0
	}
	return h == w
}

// plain refuses values that would break out of their line or their quotes.
func plain(key, value string) error {
	if strings.ContainsAny(key, "\x00\r\n\"\\ \t") || key == "" || strings.ContainsAny(value, "\x00\r\n\"\\") {
		return change.Cannot("the setting %.40q cannot be written: it holds a quote, a backslash or a line break", key)
	}
	return nil
}

// rewrite edits a file and reports whether that changed it. The function is given nil for a file that is not there; when it
// gives nothing for that, none is made.
func rewrite(d *change.Draft, name string, mode uint32, edit func(b []byte) ([]byte, error)) (bool, error) {
	old, exists, err := d.Content(name)
	if err != nil {
		return false, err
	}
	b, err := edit(old)
	if err != nil || bytes.Equal(old, b) && (exists || len(b) == 0) {
		return false, err
	}
	return true, d.Write(name, b, mode)
}

// pieces splits a text into its lines, each with its ending, and tells the ending that a new line gets.
func pieces(b []byte) (lines []string, ending string) {
	for l := range strings.Lines(string(b)) {
		lines = append(lines, l)
	}
	ending = "\n"
	if len(lines) > 0 && strings.HasSuffix(lines[0], "\r\n") {
		ending = "\r\n"
	}
	return lines, ending
}

// lineAndEnd parts a line from its ending.
func lineAndEnd(l string) (text, ending string) {
	text = strings.TrimRight(l, "\r\n")
	return text, l[len(text):]
}

// appendLine adds a line at the end; a last line without an ending gets one.
func appendLine(lines []string, text, ending string) []string {
	if n := len(lines); n > 0 && !strings.HasSuffix(lines[n-1], "\n") {
		lines[n-1] += ending
	}
	return append(lines, text+ending)
}

func joined(lines []string) []byte { return []byte(strings.Join(lines, "")) }
