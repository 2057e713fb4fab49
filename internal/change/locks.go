package change

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/castellan-project/castellan/internal/host"
)

// How long a lock of somebody else's is waited for, and how often it is tried: as PVE's own writers do (PVE::Cluster, cfs_lock).
const (
	foreignWait  = 10 * time.Second
	foreignPause = time.Second
	// deadlineWait is what a host that takes back by itself waits for all locks together: it is to be as before five seconds after
	// its deadline, whoever holds what.
	deadlineWait = 3 * time.Second
)

// pveLocks is where the cluster file system keeps its locks.
const pveLocks = "/etc/pve/priv/lock/"

// lockedFiles are the files of the cluster, below /etc/pve, that PVE writes under a lock named after the file (PVE::Cluster, the
// observed files and cfs_lock_file).
func lockedFiles() []string {
	return []string{
		"ceph.conf", "corosync.conf", "datacenter.cfg", "domains.cfg", "jobs.cfg", "mapping/dir.cfg", "mapping/pci.cfg", "mapping/usb.cfg",
		"notifications.cfg", "priv/acme/plugins.cfg", "priv/notifications.cfg", "priv/shadow.cfg", "priv/tfa.cfg", "priv/token.cfg",
		"replication.cfg", "status.cfg", "storage.cfg", "user.cfg", "virtual-guest/cpu-models.conf", "vzdump.cron",
	}
}

// lockOf is the lock under which the programs of a host write a file; there is none for most. Names are those without links.
func lockOf(name string) (l host.SharedLock, found bool) {
	switch name {
	case "/etc/passwd", "/etc/shadow", "/etc/group", "/etc/gshadow": // lckpwdf(3)
		return host.SharedLock{Kind: host.LockRecord, Path: "/etc/.pwd.lock"}, true
	}
	rel, ok := strings.CutPrefix(name, "/etc/pve/")
	if !ok {
		return l, false
	}
	if id := clusterLock(rel); id != "" {
		return host.SharedLock{Kind: host.LockDir, Path: pveLocks + id}, true
	}
	// The lock of a guest is one of its node: it keeps out who works here, and nobody when the guest is another node's.
	dir, id := path.Base(path.Dir(rel)), strings.TrimSuffix(path.Base(rel), ".conf")
	switch ok, _ := path.Match("nodes/*/*/*.conf", rel); {
	case !ok || !digits(id):
	case dir == "qemu-server": // PVE::QemuConfig, config_file_lock
		return host.SharedLock{Kind: host.LockFlock, Path: "/var/lock/qemu-server/lock-" + id + ".conf"}, true
	case dir == "lxc": // PVE::LXC::Config, config_file_lock
		return host.SharedLock{Kind: host.LockFlock, Path: "/run/lock/lxc/pve-config-" + id + ".lock"}, true
	}
	return l, false
}

// clusterLock is the id of the lock of a file of the cluster file system, by its name below /etc/pve.
func clusterLock(rel string) string {
	if slices.Contains(lockedFiles(), rel) {
		return "file-" + strings.NewReplacer(".", "_", "/", "_").Replace(rel)
	}
	dir, base := path.Split(rel)
	id, fw := strings.CutSuffix(base, ".fw")
	node, below := strings.CutPrefix(dir, "nodes/")
	switch {
	case strings.HasSuffix(rel, ".cfg") && dir == "ha/": // PVE::HA::Config, lock_ha_domain
		return "domain-ha"
	case strings.HasSuffix(rel, ".cfg") && dir == "sdn/": // PVE::Network::SDN, lock_sdn_domain
		return "domain-sdn"
	case !fw || id == "": // PVE::Firewall and PVE::Firewall::Helpers, lock_*fw_conf
	case rel == "firewall/cluster.fw":
		return "firewall-cluster"
	case dir == "firewall/" && digits(id):
		return "firewall-vm-" + id
	case dir == "sdn/firewall/":
		return "firewall-vnet-" + id
	case below && id == "host" && strings.Count(node, "/") == 1 && len(node) > 1:
		return "firewall-host-" + strings.TrimSuffix(node, "/")
	}
	return ""
}

func digits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// lockFor takes the lock of a path, if it has one on this machine, and gives it back when it is told. It waits for somebody
// else's, and takes what it waited off the patience. A cluster file system that cannot be written has no locks either; what is
// put there says so better.
func (w *work) lockFor(name string, patience *time.Duration) (release func(), err error) {
	l, found := lockOf(name)
	m, ok := w.o.Machine.(host.Locker)
	if !found || !ok {
		return func() {}, nil
	}
	for {
		give, err := m.TryLock(l)
		switch {
		case err == nil:
			return func() {
				if err := give(); err != nil {
					w.note(nil, "%v; whoever waits for it gets it within two minutes", err)
				}
			}, nil
		case host.Denied(err), errors.Is(err, unix.EROFS):
			return func() {}, nil
		case !errors.Is(err, host.ErrLocked):
			return nil, err
		case *patience <= 0:
			return nil, fmt.Errorf("%w, which is changing %s", err, name)
		}
		w.o.Sleep(foreignPause)
		*patience -= foreignPause
	}
}

// exchange puts a path that still is as it was, under the lock of those who may change it at the same time. First is done before
// it is put, with the lock held, so it does not wait for anything.
func (w *work) exchange(name string, was record, n host.Node, first func() error) error {
	patience := foreignWait
	release, err := w.lockFor(name, &patience)
	if errors.Is(err, host.ErrLocked) {
		return fmt.Errorf("%w: Proxmox VE or another task did not finish within %s; wait until it has, and apply the plan again", err, words(foreignWait))
	}
	if err != nil {
		return err
	}
	defer release()
	// Somebody else may have changed the path since it was drafted. What is not ours is not replaced.
	if err := w.holds(name, was); err != nil {
		return err
	}
	if err := first(); err != nil {
		return err
	}
	return w.o.Machine.Put(name, n)
}

// stands says whose a path is that may have been put.
type stands int

const (
	isForeign stands = iota // somebody else's
	isBefore
	isPut
)

// standing looks at the path of a step.
func (w *work) standing(i int) (stands, host.Node, error) {
	s := w.undo.Steps[i]
	now, err := w.o.Machine.Look(s.Path)
	trial, tried := w.state.Trials[i]
	switch {
	case errors.Is(err, host.ErrTooLarge):
		return isForeign, now, nil
	case err != nil:
		return isForeign, now, err
	case same(s.Path, *s.Old, now, w.live):
		return isBefore, now, nil
	case same(s.Path, *s.New, now, w.live) || between(*s.Old, *s.New, now) || tried && same(s.Path, trial, now, w.live):
		return isPut, now, nil
	}
	return isForeign, now, nil
}

// restore puts back what the path of a step held before, under its lock. To get the host back matters more than the lock: it is
// not waited for beyond the patience. A path that somebody else changed since it was compared is a conflict.
func (w *work) restore(i int, before host.Node, patience *time.Duration) (*conflict, error) {
	s := w.undo.Steps[i]
	release, err := w.lockFor(s.Path, patience)
	if err != nil {
		w.note(nil, "%s is put back all the same: %v", s.Path, err)
	} else {
		defer release()
	}
	is, now, err := w.standing(i)
	switch {
	case err != nil:
		return nil, err
	case is == isBefore:
		return nil, w.sweep(s)
	case is == isForeign:
		return &conflict{s.Path, describe(now, *s.New), i}, nil
	}
	return nil, w.o.Machine.Put(s.Path, before)
}
