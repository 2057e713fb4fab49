// Package deputy reaches another node of a Proxmox VE cluster, which holds the deadline of what the whole cluster shares
// (change.Second): should this node die, that one takes the files back.
//
// It goes the way that the nodes use among themselves: root over SSH, with the key of this node and the host keys that the
// cluster keeps. It puts this program there and runs it, with the document on its standard input; what the document holds, and
// whether it may be believed, is the engine's matter on both sides.
package deputy

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/pve/corosync"
)

// Remote is a connection on which programs run as root: *host.Shell.
type Remote interface {
	Run(argv []string, in io.Reader, out, errw io.Writer) (int, error)
	Put(name string, mode uint32, content io.Reader) error
	Close()
}

// Options are what Nodes work with; all are needed.
type Options struct {
	// Reader reads this node.
	Reader host.Reader
	// Dial connects to another one.
	Dial func(ctx context.Context, t host.SSHTarget) (Remote, error)
	// Binary gives the program that the other node runs: this one.
	Binary func() ([]byte, error)
	// State is the state directory there, absolute.
	State string
}

// Nodes are the other nodes of the cluster. It is a change.Second.
type Nodes struct{ o Options }

// New returns the other nodes. It reads nothing yet.
func New(o Options) *Nodes { return &Nodes{o} }

// How long things may take. A node that is well answers in a fraction of a second; the program has some 30 MB.
const (
	connectTime = 5 * time.Second
	nodeTime    = 20 * time.Second
	holdTime    = 30 * time.Second // for all nodes that are tried
	forgetTime  = 5 * time.Second
)

const membersFile = "/etc/pve/.members"

// members reads what the cluster file system knows of the nodes; a host without it is in no cluster.
func (n *Nodes) members() (*corosync.Members, error) {
	b, err := n.o.Reader.ReadFile(membersFile)
	if host.NotExist(err) {
		return &corosync.Members{}, nil
	}
	if err != nil {
		return nil, err
	}
	return corosync.ParseMembers(b)
}

// others are the other members, the one with the next number first, so that not one node of the cluster holds everything.
func others(m *corosync.Members) []corosync.Member {
	own := 0
	var out []corosync.Member
	for _, x := range m.Nodes {
		if x.Name == m.NodeName {
			own = x.ID
			continue
		}
		out = append(out, x)
	}
	after := func(x corosync.Member) int {
		if x.ID > own {
			return 0
		}
		return 1
	}
	slices.SortFunc(out, func(a, b corosync.Member) int {
		return cmp.Or(cmp.Compare(after(a), after(b)), cmp.Compare(a.ID, b.ID), cmp.Compare(a.Name, b.Name))
	})
	return out
}

// Cluster implements change.Second.
func (n *Nodes) Cluster() (here string, names []string, err error) {
	m, err := n.members()
	if err != nil {
		return "", nil, fmt.Errorf("the nodes of the cluster are not known: %w", err)
	}
	for _, x := range others(m) {
		names = append(names, x.Name)
	}
	return m.NodeName, names, nil
}

// Hold implements change.Second: the first node that can has it.
func (n *Nodes) Hold(document []byte) (string, error) {
	m, err := n.members()
	if err != nil {
		return "", err
	}
	program, err := n.o.Binary()
	if err != nil {
		return "", fmt.Errorf("cannot read castellan's own program: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), holdTime)
	defer cancel()
	var failed []error
	for _, x := range others(m) {
		if err = offline(x); err == nil {
			err = n.on(ctx, nodeTime, x, func(r Remote) error { return n.hold(r, program, document) })
		}
		if err == nil {
			return x.Name, nil
		}
		failed = append(failed, fmt.Errorf("%s: %w", x.Name, err))
	}
	if len(failed) == 0 {
		return "", errors.New("there is no other node")
	}
	return "", errors.New(oneLine(errors.Join(failed...).Error()))
}

func offline(x corosync.Member) error {
	if !x.Online {
		return errors.New("it is offline")
	}
	if x.Address == "" {
		return errors.New("its address is not known")
	}
	return nil
}

// on does something on a node over a connection of its own.
func (n *Nodes) on(ctx context.Context, limit time.Duration, x corosync.Member, do func(Remote) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	// Since pve-cluster 8.0.6 each node has its own file of host keys, under its name; before that all were in one
	// (PVE/SSHInfo.pm, ssh_info_to_ssh_opts).
	known := "/etc/pve/nodes/" + x.Name + "/ssh_known_hosts"
	if _, err := n.o.Reader.Stat(known); err != nil {
		known = "/etc/ssh/ssh_known_hosts"
	}
	r, err := n.o.Dial(ctx, host.SSHTarget{Name: "root@" + x.Name, User: "root", Host: x.Address,
		SSHOptions: host.SSHOptions{Home: "/root", KnownHosts: []string{known}, HostKeyAlias: x.Name, Timeout: min(connectTime, limit)}})
	if err != nil {
		return err
	}
	defer r.Close()
	if err := do(r); err != nil {
		if ctx.Err() != nil {
			return errors.New("it took too long")
		}
		return err
	}
	return nil
}

// hold puts the program where the keeper of that node looks for it, unless it is there, and runs it.
func (n *Nodes) hold(r Remote, program, document []byte) error {
	there, digest := change.ProgramCopy(n.o.State, program)
	var out bytes.Buffer
	code, err := r.Run([]string{"sha256sum", "--", there}, nil, &out, io.Discard)
	if err != nil {
		return err
	}
	put := code != 0 || !strings.HasPrefix(out.String(), digest)
	if put {
		if err := r.Put(there, 0o700, bytes.NewReader(program)); err != nil {
			return err
		}
	}
	said := &tail{}
	code, err = r.Run([]string{there, "hold", "--state", n.o.State}, bytes.NewReader(document), io.Discard, said)
	if err == nil && code != 0 {
		err = fmt.Errorf("castellan there ended with %d: %s", code, said.last())
	}
	if err != nil && put {
		// Whoever holds nothing needs no program. Nothing depends on it.
		_, _ = r.Run([]string{"rm", "-f", "--", there}, nil, io.Discard, io.Discard)
	}
	return err
}

// Forget implements change.Second: it lets the unit of the deadline run there now, which sees that the transaction has ended.
func (n *Nodes) Forget(node string) error {
	m, err := n.members()
	if err != nil {
		return err
	}
	i := slices.IndexFunc(m.Nodes, func(x corosync.Member) bool { return x.Name == node })
	if i < 0 {
		return fmt.Errorf("%s is no node of the cluster", node)
	}
	if err := offline(m.Nodes[i]); err != nil {
		return fmt.Errorf("%s: %w", node, err)
	}
	return n.on(context.Background(), forgetTime, m.Nodes[i], func(r Remote) error {
		said := &tail{}
		code, err := r.Run([]string{"systemctl", "start", "castellan-revert.service"}, nil, io.Discard, said)
		if err == nil && code != 0 {
			err = fmt.Errorf("systemctl there ended with %d: %s", code, said.last())
		}
		return err
	})
}

// maxTail is how much of what a program says is kept, in bytes.
const maxTail = 2 << 10

// tail keeps the end of what is written to it.
type tail struct{ b []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	t.b = t.b[max(0, len(t.b)-maxTail):]
	return len(p), nil
}

// last is the last line, without what a terminal would obey.
func (t *tail) last() string {
	lines := host.Lines(bytes.TrimSpace(t.b))
	if len(lines) == 0 {
		return "it said nothing"
	}
	return oneLine(strings.TrimPrefix(lines[len(lines)-1], "castellan: "))
}

// oneLine makes text of another machine fit for a line of a report.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return ';'
		case r < ' ' || r == 0x7f:
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	s = strings.ReplaceAll(s, ";", "; ")
	if r := []rune(s); len(r) > 300 {
		s = string(r[:299]) + "…"
	}
	return strings.ReplaceAll(s, ";  ", "; ")
}
