package change

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/castellan-project/castellan/internal/host"
)

// Files below /etc/pve are those of the whole cluster: when the node that changed them dies while it awaits confirmation, nobody
// takes them back, and what they lock shut stays shut on every node. So a second node holds the deadline of these files too.
//
// A lease, a small file of the cluster beside them, says that the transaction is open. The first node writes it before anybody
// else is told, and whoever ends the transaction removes it first: confirm before the transaction is committed, and taking
// back, on either node, once the files are back. The rule of the second node is: without the lease it touches nothing. So
// it cannot take back what was confirmed, however late it looks, nor a later change of the same content; and a node that
// was told of nothing, or forgets nothing, does no harm. Without a quorum the lease cannot be removed, and nothing is confirmed.

// Second lets another node of the cluster hold the deadline of what the whole cluster shares.
type Second interface {
	// Cluster gives the name of this node and those of the other members, the best choice first; of a host in no cluster none.
	Cluster() (here string, others []string, err error)
	// Hold hands a document to one of the others, which keeps it ([Engine.Hold]), and returns its name.
	Hold(document []byte) (node string, err error)
	// Forget lets a node look whether what it holds is open still. It takes seconds at most, whatever the other node does.
	Forget(node string) error
}

// HeldFor says of a transaction that it is held for another node, which has it under an id of its own.
type HeldFor struct {
	Node string `json:"node"`
	ID   string `json:"id"`
}

// The second node acts a grace later than the first, which is alone at it when it lives. What is left of the grace when the
// steps are made is never less than the margin: the time to confirm is shortened instead.
const (
	secondGrace  = time.Minute
	secondMargin = 30 * time.Second
)

const (
	clusterDir     = "/etc/pve"
	clusterMembers = clusterDir + "/.members" // pmxcfs itself makes this file: it is there when the file system is mounted
)

// clusterWide reports whether a path is a file of the whole cluster. What lies below nodes is one node's, and the links beside it
// (local, qemu-server, lxc, openvz) lead there (pmxcfs, status.c and cfs-plug-link.c).
func clusterWide(name string) bool {
	rest, ok := strings.CutPrefix(name, clusterDir+"/")
	first, _, _ := strings.Cut(rest, "/")
	return ok && !slices.Contains([]string{"", "nodes", "local", "qemu-server", "lxc", "openvz"}, first) && !strings.HasPrefix(path.Base(name), leasePrefix)
}

// leasePrefix begins the names of leases, in the private directory of the cluster.
const leasePrefix = "castellan-open-"

func leaseName(node, id string) string { return path.Join(clusterDir, "priv", leasePrefix+node+"-"+id) }

// leaseDoc is what a lease holds.
type leaseDoc struct {
	Node string `json:"node"`
	ID   string `json:"id"`
	// Trials are the SHA-256 of what was put on trial, by path: it is ours as what is put for good is.
	Trials map[string]string `json:"trials,omitempty"`
}

// writeLease says that the transaction is open, and what is on trial.
func (w *work) writeLease() error {
	doc := leaseDoc{Node: w.node, ID: w.t().ID}
	for i, r := range w.state.Trials {
		if name := w.undo.Steps[i].Path; clusterWide(name) {
			if doc.Trials == nil {
				doc.Trials = map[string]string{}
			}
			doc.Trials[name] = r.Sum
		}
	}
	b, err := seal("lease", doc)
	if err != nil {
		return err
	}
	return w.o.Machine.Put(w.t().Lease, host.Node{Type: host.Regular, Mode: 0o600, UID: -1, GID: -1, Content: b})
}

// renewLease writes the lease again because something is about to be put on trial.
func (w *work) renewLease(i int) error {
	if w.t().Second == "" || !clusterWide(w.undo.Steps[i].Path) {
		return nil
	}
	if err := w.writeLease(); err != nil {
		return fmt.Errorf("cannot tell the cluster of the trial: %w", err)
	}
	return nil
}

// leaseOpen reports whether the lease of a transaction is there. When the cluster's files are not mounted it cannot be told.
func (e *Engine) leaseOpen(t Transaction) (bool, error) {
	members, err := e.o.Machine.Look(clusterMembers)
	if err == nil && members.Type == host.Absent {
		err = errors.New("the files of the cluster are not there: systemctl start pve-cluster mounts them")
	}
	if err != nil {
		return false, fmt.Errorf("cannot tell whether %s is open: %w", t.ID, err)
	}
	n, err := e.o.Machine.Look(t.Lease)
	return n.Type != host.Absent, err
}

// endLease says to the cluster that the transaction has ended. One that had no lease, or has it no more, needs nothing.
func (w *work) endLease() error {
	if w.t().Lease == "" {
		return nil
	}
	if _, err := w.leaseOpen(*w.t()); err != nil {
		return err
	}
	// Also where there is none: a process that was killed may have left a part of it.
	return w.o.Machine.Put(w.t().Lease, host.Node{Type: host.Absent})
}

// handOver lets a second node hold the deadline of the paths of the cluster, before the first of them is changed. When nobody can,
// apply goes on, and says so.
func (w *work) handOver(d *Drafted) {
	if !w.live || w.o.Second == nil || !slices.ContainsFunc(w.undo.Steps, func(s undoStep) bool { return clusterWide(s.Path) }) {
		return
	}
	here, others, err := w.o.Second.Cluster()
	if err == nil && len(others) == 0 {
		return
	}
	if err == nil {
		w.node = here
		err = w.hold(d)
	}
	if err != nil {
		w.t().Alone = err.Error()
		w.note(nil, "only this node holds the deadline: %v", err)
	}
}

// hold writes the lease and hands over. When it fails nobody holds anything: who was told all the same finds no lease.
func (w *work) hold(d *Drafted) error {
	if !nodeForm.MatchString(w.node) {
		return fmt.Errorf("%q is no name of a node", w.node)
	}
	began := w.o.Now()
	until := w.t().Deadline.Add(secondGrace)
	document, err := w.share(d, until.Sub(began))
	if err != nil {
		return err
	}
	w.t().Lease = leaseName(w.node, w.t().ID)
	if err := w.save(); err != nil {
		w.t().Lease = ""
		return err
	}
	node := ""
	if err = w.writeLease(); err == nil {
		node, err = w.o.Second.Hold(document)
	}
	// What it took is not taken from the steps.
	w.t().Deadline = w.t().Deadline.Add(w.o.Now().Sub(began))
	if err != nil {
		if w.endLease() == nil {
			w.t().Lease = ""
		}
		return err
	}
	w.t().Second, w.until = node, until
	w.note(nil, "%s holds the deadline of the files of the cluster too", node)
	return nil
}

// confirmBy is when the time to confirm ends that begins now: the second node is never earlier.
func (w *work) confirmBy(now time.Time, within time.Duration) time.Time {
	end := now.Add(within)
	if last := w.until.Add(-secondMargin); !w.until.IsZero() && last.Before(end) {
		return last
	}
	return end
}

// release ends the lease of a transaction that is about to be confirmed. It refuses when another node has taken its files back
// already, and when there is no quorum: then nobody could tell that node that they stay.
func (w *work) release() error {
	t := *w.t()
	if t.Lease == "" {
		return nil
	}
	if _, err := w.leaseOpen(t); err != nil {
		return &RefusedError{Reason: err.Error(), Hint: "confirm again then"}
	}
	whole, err := w.resume(&w.state)
	if err != nil {
		return err
	}
	for i, s := range whole.undo.Steps {
		if !clusterWide(s.Path) {
			continue
		}
		is, _, err := whole.standing(i)
		if err != nil {
			return err
		}
		if is == isBefore {
			return &RefusedError{Reason: fmt.Sprintf("%s is as it was before %s: somebody took it back, on this node or another", s.Path, t.ID),
				Hint: "castellan revert " + t.ID + " takes back the rest; make a new plan"}
		}
	}
	if err := w.endLease(); err != nil {
		return &RefusedError{Reason: fmt.Sprintf("the other nodes cannot be told that %s stays, because /etc/pve cannot be written: %v", t.ID, err),
			Hint: "confirm again when the cluster has a quorum (pvecm status)"}
	}
	return nil
}

// tellSecond lets the second node look, now that the lease is gone. It does at its deadline anyway. While the host starts it waits for
// nothing.
func (w *work) tellSecond(boot bool) {
	if w.t().Second == "" || w.o.Second == nil || boot || w.o.Now().After(w.t().Deadline.Add(secondGrace)) {
		return
	}
	_ = w.o.Second.Forget(w.t().Second) // what it does not hear it sees
}
