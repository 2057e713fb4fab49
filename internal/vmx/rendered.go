package vmx

import (
	"bytes"
	"slices"
	"strings"
)

// mark is the first line of settings that do not come from a file but from the API of vSphere: they have no order of their
// own, so they are always written sorted.
const mark = "# settings in vSphere\n"

// Render writes settings of vSphere in the form of a .vmx file.
func Render(settings map[string]string) []byte {
	keys := make([]string, 0, len(settings))
	for k := range settings {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) })
	var b bytes.Buffer
	b.WriteString(mark)
	for _, k := range keys {
		b.WriteString(k + " = " + Quote(settings[k]) + "\n")
	}
	return b.Bytes()
}

// Rendered reports whether [Render] wrote the file: its settings are those of a machine of vSphere.
func (f *File) Rendered() bool { return len(f.lines) > 0 && f.lines[0].raw == mark }

// Sorted writes the file: one that Render wrote in its order, every other as [File.Bytes].
func (f *File) Sorted() []byte {
	if !f.Rendered() {
		return f.Bytes()
	}
	settings := make(map[string]string, len(f.byKey))
	for _, s := range f.Settings() {
		settings[s.Key] = s.Value
	}
	return Render(settings)
}
