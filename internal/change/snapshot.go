package change

import (
	"slices"

	"github.com/castellan-project/castellan/internal/host"
)

// undo holds what was at the paths that one change touched. It is not a copy of the draft: a directory with thousands of machines is
// drafted in time that grows with them, not with their square.
type undo struct {
	nodes map[string]host.Node // of the zero type where nothing was drafted
	had   map[string]bool
	notes map[string]*note // nil where there was none
}

// rememberNode remembers what is drafted at a path before it is drafted anew.
func (u *undo) rememberNode(d *Draft, real string) {
	if u == nil {
		return
	}
	if _, twice := u.had[real]; !twice {
		u.nodes[real], u.had[real] = d.Node(real)
	}
}

// rememberNote remembers what is noted of a path, nil for nothing, before it is noted anew.
func (u *undo) rememberNote(real string, n *note) {
	if u == nil {
		return
	}
	if _, twice := u.notes[real]; !twice {
		u.notes[real] = n.clone()
	}
}

// clone copies a note; that of nothing is nothing.
func (n *note) clone() *note {
	if n == nil {
		return nil
	}
	c := *n
	c.controls = slices.Clone(n.controls)
	return &c
}

// snapshot remembers the draft from now on, so that a change that cannot be made leaves nothing behind.
func (d *Draft) snapshot() func() {
	u := &undo{nodes: map[string]host.Node{}, had: map[string]bool{}, notes: map[string]*note{}}
	d.undo = u
	meta, actions := d.meta.clone(), slices.Clone(d.actions)
	effects, reboots := slices.Clip(d.effects), slices.Clip(d.reboots)
	return func() {
		d.undo = nil
		for name, had := range u.had {
			if had {
				d.Restore(name, u.nodes[name])
			} else {
				d.Unset(name)
			}
		}
		for name, n := range u.notes {
			if n == nil {
				delete(d.notes, name)
			} else {
				d.notes[name] = n
			}
		}
		d.meta, d.actions, d.effects, d.reboots = meta, actions, effects, reboots
	}
}
