// Package pve holds what the configuration files of Proxmox VE have in common: section configuration ("type: id" with
// indented keys), property strings ("key=value,key=value"), lists, booleans and the encoding of comments. Each file
// format has a package of its own below; they know nothing of castellan and nothing of each other.
//
// Proxmox's parsers are lenient: a line that they do not understand is warned about, skipped, and lost when the file
// is next written. A [Problem] says which of these happened, because what a daemon skips is what an administrator
// believes to be in force.
package pve

import "fmt"

// Effect is what PVE does about a line that it does not accept.
type Effect string

// The effects of a malformed line.
const (
	// Warned means that the line counts, with a warning.
	Warned Effect = "warned"
	// Skipped means that the line, or the part of it that is named, is ignored and lost at the next write.
	Skipped Effect = "skipped"
	// Aborted means that the whole file is refused.
	Aborted Effect = "aborted"
)

// Problem is one thing that a parser did not accept.
type Problem struct {
	// Line counts from 1; 0 means the whole file.
	Line int `json:"line,omitempty"`
	// Column counts bytes from 1; 0 means the whole line.
	Column int    `json:"column,omitempty"`
	Text   string `json:"text"`
	Effect Effect `json:"effect"`
}

func (p Problem) String() string { return fmt.Sprintf("%d: %s (%s)", p.Line, p.Text, p.Effect) }

// Warnf says that PVE warns about a line and keeps it.
func Warnf(line int, format string, args ...any) Problem {
	return Problem{Line: line, Text: fmt.Sprintf(format, args...), Effect: Warned}
}

// Skipf says that PVE ignores a line.
func Skipf(line int, format string, args ...any) Problem {
	return Problem{Line: line, Text: fmt.Sprintf(format, args...), Effect: Skipped}
}

// Abortf says that PVE refuses the file because of a line.
func Abortf(line int, format string, args ...any) Problem {
	return Problem{Line: line, Text: fmt.Sprintf(format, args...), Effect: Aborted}
}
