// Package grub reads the configuration of GRUB 2: the generated grub.cfg (who may edit or start which entry, what the
// kernels are given), /etc/default/grub, and the scripts of /etc/grub.d as far as passwords stand in them.
//
// grub.cfg is a script; this package does not run it. It reads its statements in order, whatever conditions stand
// around them, which is what can be said about authentication: GRUB's own generator writes superusers and passwords
// at top level (GRUB manual, "Security").
package grub

import (
	"slices"
	"strings"
)

// Config is what a grub.cfg says.
type Config struct {
	// Superusers is the last value of the variable, split as GRUB does (space, comma, semicolon, pipe, ampersand).
	Superusers     []string
	SuperusersLine int
	// Hashed and Plain are the users with password_pbkdf2 and with password lines. Passwords are not kept.
	Hashed, Plain []User
	// Default is the last literal value of the variable default; empty when it comes from the environment block.
	Default string
	Entries []Entry
	// Sources are the files that source commands name, variables unexpanded.
	Sources []string
}

// User is an account of GRUB.
type User struct {
	Name string
	Line int
}

// Entry is a menu entry or submenu.
type Entry struct {
	Title, ID string
	Submenu   bool
	// Path is GRUB's name for the entry as the variable default takes it: "0", "1>2".
	Path string
	// Unrestricted is true with --unrestricted: everybody may start it.
	Unrestricted bool
	// Users are those named by --users besides the superusers.
	Users []string
	// Recovery is true for entries that start a single-user or recovery system.
	Recovery bool
	// Args is what the linux command gives the kernel.
	Args []string
	Line int
}

// open is a block that was begun and not yet ended.
type open struct {
	entry int // index of the entry, -1 for a function
	count int // entries seen directly in it
}

// Parse reads a grub.cfg.
func Parse(b []byte) *Config {
	c := &Config{}
	stack := []open{{entry: -1}}
	for n, words := range statements(string(b)) {
		if len(words) == 0 {
			continue
		}
		if words[0] == "}" {
			if len(stack) > 1 {
				stack = stack[:len(stack)-1]
			}
			words = words[1:]
			if len(words) == 0 {
				continue
			}
		}
		opens := words[len(words)-1] == "{"
		switch words[0] {
		case "menuentry", "submenu":
			top := &stack[len(stack)-1]
			e := entry(words, n)
			e.Path = itoa(top.count)
			if top.entry >= 0 {
				e.Path = c.Entries[top.entry].Path + ">" + e.Path
			}
			top.count++
			c.Entries = append(c.Entries, e)
			if opens && len(stack) < maxDepth {
				stack = append(stack, open{entry: len(c.Entries) - 1})
			}
			continue
		}
		c.statement(words, n, stack[len(stack)-1].entry)
		if opens && len(stack) < maxDepth {
			stack = append(stack, open{entry: stack[len(stack)-1].entry, count: stack[len(stack)-1].count})
		}
	}
	return c
}

// maxDepth bounds nesting; GRUB's generator goes two deep.
const maxDepth = 64

func (c *Config) statement(words []string, n, entry int) {
	switch words[0] {
	case "set":
		if len(words) < 2 {
			return
		}
		name, value, _ := strings.Cut(words[1], "=")
		switch name {
		case "superusers":
			c.Superusers, c.SuperusersLine = strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune(" ,;|&\t", r) }), n
		case "default":
			if !strings.Contains(value, "$") {
				c.Default = value
			}
		}
	case "password_pbkdf2":
		if len(words) >= 3 && strings.HasPrefix(words[2], "grub.pbkdf2.") {
			c.Hashed = append(c.Hashed, User{words[1], n})
		}
	case "password":
		if len(words) >= 3 {
			c.Plain = append(c.Plain, User{words[1], n})
		}
	case "source", ".":
		if len(words) > 1 {
			c.Sources = append(c.Sources, words[1])
		}
	case "linux", "linuxefi", "linux16", "kernel":
		if entry >= 0 && len(words) > 2 {
			e := &c.Entries[entry]
			e.Args = slices.Clone(words[2:])
			e.Recovery = e.Recovery || slices.Contains(e.Args, "single") || slices.Contains(e.Args, "recovery")
		}
	}
}

func entry(words []string, n int) Entry {
	e := Entry{Submenu: words[0] == "submenu", Line: n}
	titled := false
	for i := 1; i < len(words); i++ {
		w := words[i]
		name, value, given := strings.Cut(w, "=")
		takes := func() string {
			if given {
				return value
			}
			if i+1 < len(words) {
				i++
				return words[i]
			}
			return ""
		}
		switch {
		case w == "{":
		case w == "--unrestricted":
			e.Unrestricted = true
		case name == "--users":
			e.Users = strings.FieldsFunc(takes(), func(r rune) bool { return strings.ContainsRune(" ,;|&\t", r) })
		case name == "--id" || w == "$menuentry_id_option":
			e.ID = takes()
		case name == "--class" || name == "--hotkey" || name == "--source":
			takes()
		case !titled && !strings.HasPrefix(w, "--"):
			e.Title, titled = w, true
		}
	}
	e.Recovery = strings.Contains(strings.ToLower(e.Title), "recovery")
	return e
}

// Merge adds what another file says that the first one sources.
func (c *Config) Merge(o *Config) {
	if o.Superusers != nil {
		c.Superusers, c.SuperusersLine = o.Superusers, o.SuperusersLine
	}
	c.Hashed, c.Plain = append(c.Hashed, o.Hashed...), append(c.Plain, o.Plain...)
	c.Entries = append(c.Entries, o.Entries...)
}

// DefaultEntry finds the entry that is started when nobody touches the keyboard: by number, path of numbers, title or
// id, each level of a path separately, else the first.
func (c *Config) DefaultEntry() (index int, ok bool) {
	if len(c.Entries) == 0 {
		return 0, false
	}
	prefix, want := "", c.Default
	for {
		part, rest, deeper := strings.Cut(want, ">")
		i := slices.IndexFunc(c.Entries, func(e Entry) bool {
			return parent(e.Path) == prefix && (own(e.Path) == part || e.Title == part || e.ID == part)
		})
		if i < 0 {
			// GRUB falls back to the first entry of the menu that it is in.
			if i = slices.IndexFunc(c.Entries, func(e Entry) bool { return parent(e.Path) == prefix }); i < 0 {
				return 0, true
			}
			deeper, rest = c.Entries[i].Submenu, ""
		}
		if !deeper || !c.Entries[i].Submenu {
			return i, true
		}
		prefix, want = c.Entries[i].Path, rest
	}
}

func parent(p string) string {
	i := strings.LastIndexByte(p, '>')
	if i < 0 {
		return ""
	}
	return p[:i]
}

func own(p string) string { return p[strings.LastIndexByte(p, '>')+1:] }
