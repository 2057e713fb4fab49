package change

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// shareDoc is what one node hands to another: what taking the files of the cluster back needs, and how long to wait. It comes
// over the standard input of a program, sealed as the documents of a record are.
type shareDoc struct {
	// Node is the node that applies, ID its transaction there.
	Node     string   `json:"node"`
	ID       string   `json:"id"`
	Plan     string   `json:"plan"`
	Window   string   `json:"window"`
	By       Actor    `json:"by"`
	Why      string   `json:"why,omitempty"`
	Controls []string `json:"controls"`
	// Seconds is the time from now on: clocks differ.
	Seconds int         `json:"seconds"`
	Steps   []shareStep `json:"steps"`
	// Blobs are the contents before, by their SHA-256.
	Blobs map[string][]byte `json:"blobs,omitempty"`
}

// shareStep is a path of the cluster with what was there before and what is put.
type shareStep struct {
	Path string `json:"path"`
	What string `json:"what"`
	Old  record `json:"old"`
	New  record `json:"new"`
}

// Bounds of what another node may send. The cluster file system takes files of up to 1 MiB (pmxcfs, memdb.h), and plans touch a
// handful of them.
const (
	maxShare      = 16 << 20
	maxShareSteps = 1_000
	maxShareFile  = 1 << 20
	maxShareTime  = MaxWithin + 2*time.Hour
)

// MaxShare is the largest document that [Engine.Hold] takes, in bytes.
const MaxShare = maxShare

// nodeForm are the names of nodes (PVE/JSONSchema.pm, pve-node).
var nodeForm = regexp.MustCompile(`^[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?$`)

// share makes the document of what the cluster shares.
func (w *work) share(d *Drafted, wait time.Duration) ([]byte, error) {
	doc := shareDoc{Node: w.node, ID: w.t().ID, Plan: w.undo.Plan, Window: w.undo.Window, By: w.undo.By, Why: w.t().Why,
		Controls: w.t().Controls, Seconds: int((wait + time.Second - 1) / time.Second), Blobs: map[string][]byte{}}
	for _, s := range w.undo.Steps {
		if !clusterWide(s.Path) {
			continue
		}
		step := shareStep{Path: s.Path, What: s.What, Old: *s.Old, New: *s.New}
		// This file system has no times to be put back and no attributes.
		step.Old.Xattrs, step.New.Xattrs = nil, nil
		doc.Steps = append(doc.Steps, step)
		if s.Old.Sum != "" {
			doc.Blobs[s.Old.Sum] = d.Before[s.Path].Content
		}
	}
	b, err := seal("share", doc)
	if err == nil && len(b) > maxShare {
		err = fmt.Errorf("what the cluster shares comes to %d MiB, and %d can be handed over", len(b)>>20, maxShare>>20)
	}
	return b, err
}

// readShare reads what another node sends, and believes nothing of it.
func readShare(b []byte) (*shareDoc, error) {
	if len(b) > maxShare {
		return nil, fmt.Errorf("it is longer than %d MiB", maxShare>>20)
	}
	doc := &shareDoc{}
	if err := unseal("share", b, doc); err != nil {
		return nil, err
	}
	switch {
	case !nodeForm.MatchString(doc.Node):
		return nil, fmt.Errorf("%.80q is no name of a node", doc.Node)
	case !validID(doc.ID) || !windowForm.MatchString(doc.Window):
		return nil, fmt.Errorf("%.80q is no transaction", doc.ID)
	case doc.Seconds < 1 || time.Duration(doc.Seconds) > maxShareTime/time.Second:
		return nil, fmt.Errorf("%d seconds to wait cannot be", doc.Seconds)
	case len(doc.Steps) == 0 || len(doc.Steps) > maxShareSteps:
		return nil, fmt.Errorf("%d paths cannot be", len(doc.Steps))
	}
	used := map[string]bool{}
	seen := map[string]bool{}
	for _, s := range doc.Steps {
		if err := s.wrong(doc.Blobs); err != nil {
			return nil, fmt.Errorf("%.200q: %w", s.Path, err)
		}
		if seen[s.Path] {
			return nil, fmt.Errorf("%.200q is there twice", s.Path)
		}
		seen[s.Path], used[s.Old.Sum] = true, true
	}
	for name := range doc.Blobs {
		if !used[name] {
			return nil, errors.New("it holds a content that belongs to no path")
		}
	}
	return doc, nil
}

// windowForm is the part of an id that names the window.
var windowForm = regexp.MustCompile(`^[a-z]{1,16}$`)

// wrong says why another node may not have this path held.
func (s shareStep) wrong(blobs map[string][]byte) error {
	hidden := func(element string) bool { return strings.HasPrefix(element, ".") }
	switch {
	case path.Clean(s.Path) != s.Path || !clusterWide(s.Path) || !utf8.ValidString(s.Path) || len(s.Path) > 1_000:
		return errors.New("it is no file of the whole cluster")
	case strings.ContainsFunc(s.Path, func(r rune) bool { return r < ' ' || r == 0x7f }) || slices.ContainsFunc(strings.Split(s.Path, "/"), hidden):
		return errors.New("it is a name that the cluster file system keeps for itself")
	}
	for _, r := range []record{s.Old, s.New} {
		if !r.valid() || r.Type == "link" || r.Link != "" || r.Knob != "" || len(r.Xattrs) > 0 || r.Size < 0 || r.Size > maxShareFile {
			return errors.New("the cluster file system holds nothing like this")
		}
	}
	if s.Old.Sum == "" {
		return nil
	}
	content, ok := blobs[s.Old.Sum]
	if !ok || len(content) != s.Old.Size || sum(content) != s.Old.Sum {
		return errors.New("what it held before is missing or damaged")
	}
	return nil
}
