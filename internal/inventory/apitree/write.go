package apitree

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/pve/client"
)

// flags decodes an object of booleans; what is none counts as false.
func flags(raw json.RawMessage) map[string]bool {
	var o client.Object
	out := map[string]bool{}
	if json.Unmarshal(raw, &o) == nil {
		for _, k := range o.Keys() {
			out[k] = o.On(k)
		}
	}
	return out
}

// line makes one line of a value: whatever the API sends cannot begin a line of its own.
func line(s string) string {
	return strings.Map(func(r rune) rune {
		switch r {
		case '\n', '\r', 0:
			return ' '
		}
		return r
	}, s)
}

// word removes everything that would end a word of a file.
func word(s string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r == 0x7f {
			return -1
		}
		return r
	}, s)
}

// bookkeeping are keys that the API adds to a configuration.
func bookkeeping() []string {
	return []string{"digest", "type", "state", "pending", "next-run", "origin"}
}

// concealed stands for a secret in a file.
const concealed = "********"

// secret reports whether the value of a key must not be put into a file.
func secret(key string) bool {
	switch key {
	case "password", "client-key", "token", "secret", "header", "cipassword":
		return true
	}
	return false
}

// putSection writes a section of a section configuration file. Lists become repeated keys when repeat is set, else one value
// joined with ";".
func putSection(b *strings.Builder, kind, id string, o client.Object, repeat bool, skip ...string) {
	b.WriteString(word(kind) + ": " + word(id) + "\n")
	for _, k := range o.Keys() {
		if slices.Contains(skip, k) || slices.Contains(bookkeeping(), k) || !o.Has(k) || word(k) != k {
			continue
		}
		values := []string{o.Text(k)}
		if repeat && strings.HasPrefix(strings.TrimSpace(string(o[k])), "[") {
			values = o.Texts(k)
		}
		for _, v := range values {
			if secret(k) {
				v = concealed
			}
			b.WriteString("\t" + k + " " + line(v) + "\n")
		}
	}
	b.WriteString("\n")
}

// bytesOf gives the file, nil when nothing was written.
func bytesOf(b *strings.Builder) []byte {
	if b.Len() == 0 {
		return nil
	}
	return []byte(b.String())
}

func bit(v bool) string {
	if v {
		return "1"
	}
	return "0"
}
