package apitree

import (
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// rights are the permissions of whoever asks, from GET /access/permissions.
type rights struct {
	err error
	// privs by path, then by privilege: whether it counts below the path too.
	privs map[string]map[string]bool
	// entries are the paths of the access control list; on those that privs lacks there are no privileges at all.
	entries map[string]bool
}

// readRights asks what the caller may. The list of ACL entries shows the paths on which it may nothing.
func (t *Tree) readRights() {
	t.rights = rights{privs: map[string]map[string]bool{}, entries: map[string]bool{}}
	o, err := t.object("/access/permissions")
	if err != nil {
		t.rights.err = err
		return
	}
	a, err := t.objects("/access/acl")
	if err != nil {
		t.rights.err = err
		return
	}
	for _, p := range o.Keys() {
		set := map[string]bool{}
		for priv, propagate := range flags(o[p]) {
			set[priv] = propagate
		}
		t.rights.privs[p] = set
	}
	for _, e := range a {
		t.rights.entries[e.Text("path")] = true
	}
}

// have reports whether a privilege is held on a path. Paths that the answer does not name have what propagates from above.
func (r *rights) have(p string, privs ...string) bool {
	for first := true; ; first = false {
		if set, ok := r.privs[p]; ok {
			for _, priv := range privs {
				if propagate, ok := set[priv]; ok && (first || propagate) {
					return true
				}
			}
			return false
		}
		if r.entries[p] || p == "/" || p == "." {
			return false
		}
		p = path.Dir(p)
	}
}

// everywhere returns a path at or below p on which none of the privileges is held, "" when there is none.
func (r *rights) everywhere(p string, privs ...string) string {
	if !r.have(p, privs...) {
		return p
	}
	missing := ""
	look := func(q string) {
		if strings.HasPrefix(q, strings.TrimSuffix(p, "/")+"/") && !r.have(q, privs...) && (missing == "" || q < missing) {
			missing = q
		}
	}
	for q := range r.privs {
		look(q)
	}
	for q := range r.entries {
		look(q)
	}
	return missing
}

// cutError says that the API shows a part of a list only.
type cutError struct {
	resource, path string
	privs          []string
}

// Error names the privilege that is missing.
func (e *cutError) Error() string {
	return fmt.Sprintf("cannot read the whole of %s: the privilege %s on %s is missing, so the API shows a part at most", e.resource, strings.Join(e.privs, " or "), e.path)
}

// Unwrap makes it a matter of rights.
func (e *cutError) Unwrap() error { return fs.ErrPermission }

// needs returns an error, and notes a fault, when none of the privileges is held on a path: then a list is cut.
func (t *Tree) needs(resource, p string, privs ...string) error {
	if t.rights.err == nil && t.rights.have(p, privs...) {
		return nil
	}
	return t.short(resource, p, privs)
}

// whole does the same for lists of things that have paths of their own: the privilege is needed on all of them.
func (t *Tree) whole(resource, p string, privs ...string) error {
	missing := t.rights.everywhere(p, privs...)
	if t.rights.err == nil && missing == "" {
		return nil
	}
	return t.short(resource, missing, privs)
}

func (t *Tree) short(resource, p string, privs []string) error {
	if t.rights.err != nil {
		return fmt.Errorf("cannot tell whether %s is whole: %w", resource, t.rights.err)
	}
	err := &cutError{resource: resource, path: p, privs: privs}
	t.fault(err)
	return err
}
