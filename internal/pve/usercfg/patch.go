package usercfg

import (
	"bytes"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/pve"
)

// Patch writes a changed Config into the text that it was read from, so that only the lines that change do. before is what Write gave for
// the text before the change. The second result is false when that cannot be done, because a line that changes is written in a form
// of its own: then the result is what Write gives, in which lines that PVE does not understand are gone and others sorted.
func (c *Config) Patch(text, before []byte) ([]byte, bool) {
	after := c.Write()
	if bytes.Equal(text, before) {
		return after, true
	}
	now, was := pve.SplitLines(after), pve.SplitLines(before)
	out := pve.Terminate(pve.SplitLines(text))
	had := map[string]bool{}
	for _, l := range was {
		had[l] = true
	}
	stays := map[string]bool{"\n": true}
	for _, l := range now {
		stays[l] = true
	}
	gone := map[string]string{} // lines that go, by what they are about
	for _, l := range was {
		if !stays[l] {
			gone[about(l)] = l
		}
	}
	for i, l := range now {
		if had[l] || l == "\n" {
			continue
		}
		out = slices.Insert(out, place(out, now, i, gone), l)
	}
	for _, l := range was {
		if stays[l] {
			continue
		}
		i := slices.Index(out, l)
		if i < 0 {
			return after, false
		}
		out = slices.Delete(out, i, i+1)
	}
	patched := []byte(strings.Join(out, ""))
	again, _ := Parse(patched, c.Release)
	if again.Incomplete != "" || !bytes.Equal(again.Write(), after) {
		return after, false
	}
	return patched, true
}

// about is what a line is of: its kind with the name of the user, group, role or pool, or the path of the entry.
func about(l string) string {
	f := strings.SplitN(l, ":", 4)
	if f[0] == "acl" && len(f) == 4 {
		return "acl:" + f[2]
	}
	return strings.Join(f[:min(len(f), 2)], ":")
}

// place is where the line i of the new text goes: to the line that it replaces, else behind or before its nearest neighbour of
// the same kind, else behind what stands before it.
func place(out, now []string, i int, gone map[string]string) int {
	if old, ok := gone[about(now[i])]; ok {
		if at := slices.Index(out, old); at >= 0 {
			return at
		}
	}
	kind, _, _ := strings.Cut(now[i], ":")
	for j := i - 1; j >= 0 && strings.HasPrefix(now[j], kind+":"); j-- {
		if at := slices.Index(out, now[j]); at >= 0 {
			return at + 1
		}
	}
	for j := i + 1; j < len(now) && strings.HasPrefix(now[j], kind+":"); j++ {
		if at := slices.Index(out, now[j]); at >= 0 {
			return at
		}
	}
	for j := i - 1; j >= 0; j-- {
		at := -1
		if now[j] != "\n" {
			at = slices.Index(out, now[j])
		}
		if at < 0 {
			continue
		}
		if at++; at < len(out) && out[at] == "\n" {
			at++
		}
		return at
	}
	return 0
}
