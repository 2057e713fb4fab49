package change

import (
	"fmt"
	"strings"

	udiff "github.com/aymanbagabas/go-udiff"

	"github.com/castellan-project/castellan/internal/host"
)

// diff shows the change of a file in unified form (as diff -u prints it). Of secret files it tells how many lines change.
func diff(name string, before, after host.Node, secret bool) string {
	old, now := text(before), text(after)
	if old == now || before.Type == host.Dir || after.Type == host.Dir {
		return ""
	}
	from, to := "a"+name, "b"+name
	if before.Type == host.Absent {
		from = "/dev/null"
	}
	if after.Type == host.Absent {
		to = "/dev/null"
	}
	d := udiff.Unified(from, to, old, now)
	if secret {
		plus, minus := count(d)
		return fmt.Sprintf("--- %s\n+++ %s\n(the content is secret: %d lines added, %d removed)\n", from, to, plus, minus)
	}
	return masked(d)
}

// text is what of a node a person compares.
func text(n host.Node) string {
	switch n.Type {
	case host.Regular:
		if strings.ContainsRune(string(n.Content), 0) {
			return fmt.Sprintf("(binary, %d bytes, %.12s)\n", len(n.Content), n.Digest())
		}
		// A plan is JSON, which holds no other bytes than UTF-8.
		return strings.ToValidUTF8(string(n.Content), "\uFFFD")
	case host.Link:
		return "-> " + n.Link + "\n"
	}
	return ""
}

func count(d string) (plus, minus int) {
	for l := range strings.Lines(d) {
		switch {
		case strings.HasPrefix(l, "+++"), strings.HasPrefix(l, "---"):
		case strings.HasPrefix(l, "+"):
			plus++
		case strings.HasPrefix(l, "-"):
			minus++
		}
	}
	return plus, minus
}

// attributes says which mode and owner a path gets.
func attributes(before, after host.Node) string {
	var s []string
	if before.Mode != after.Mode {
		s = append(s, fmt.Sprintf("mode %04o (now %04o)", after.Mode, before.Mode))
	}
	if before.UID != after.UID || before.GID != after.GID {
		s = append(s, fmt.Sprintf("owner %d:%d (now %d:%d)", after.UID, after.GID, before.UID, before.GID))
	}
	return strings.Join(s, " and ")
}
