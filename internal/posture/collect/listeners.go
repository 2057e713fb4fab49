package collect

import (
	"cmp"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/debian/procnet"
	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/posture"
)

// svcProcFDs is where processes show their open sockets.
const svcProcFDs = "/proc/[0-9]*/fd/*"

func socketTables() []string { return []string{"tcp", "tcp6", "udp", "udp6", "raw", "raw6"} }

func listenerNeeds() []host.Need {
	var needs []host.Need
	for _, t := range socketTables() {
		needs = append(needs, reads("/proc/net/"+t)...)
	}
	needs = append(needs, reads("/proc/[0-9]*/comm", "/proc/[0-9]*/cgroup")...)
	return append(needs, lists(svcProcFDs)...)
}

// listenerView is the list of sockets that wait for others, or why it is not known.
type listenerView struct {
	list []posture.ServiceListener
	err  error
}

func (l listenerView) fact() posture.Fact[[]posture.ServiceListener] {
	if l.err != nil {
		return posture.Unknown[[]posture.ServiceListener](l.err, "/proc/net")
	}
	return posture.Known(l.list, posture.Effective, "/proc/net")
}

func (l listenerView) exposedFact() posture.Fact[[]string] {
	if l.err != nil {
		return posture.Unknown[[]string](l.err, "/proc/net")
	}
	return posture.Known(l.exposed(func(posture.ServiceListener) bool { return true }), posture.Effective, "/proc/net")
}

// exposed returns the sockets of a kind that other hosts can reach, by name.
func (l listenerView) exposed(match func(posture.ServiceListener) bool) []string {
	out := []string{}
	for _, s := range l.list {
		if !s.Loopback && match(s) {
			out = append(out, s.Name)
		}
	}
	return out
}

func readListeners(c *Context) listenerView {
	if !c.Live {
		return listenerView{err: posture.Problemf("unavailable", "a copy has no sockets; scan the running host")}
	}
	var socks []procnet.Socket
	v6only := map[procnet.Socket]bool{}
	for _, t := range socketTables() {
		b, err := c.Host.ReadFile("/proc/net/" + t)
		if host.NotExist(err) && strings.HasSuffix(t, "6") || host.NotExist(err) && strings.HasPrefix(t, "raw") {
			continue // a kernel without IPv6 has no such table
		}
		if err != nil {
			return listenerView{err: err}
		}
		list, err := procnet.Parse(t, b)
		if err != nil {
			return listenerView{err: posture.Problemf("malformed", "%v", err)}
		}
		for _, s := range list {
			if s.Listens {
				socks = append(socks, s)
				v6only[s] = strings.HasSuffix(t, "6")
			}
		}
	}
	owners := socketOwners(c, socks)
	out := make([]posture.ServiceListener, 0, len(socks))
	seen := map[string]bool{}
	for _, s := range socks {
		l := listener(s, v6only[s], owners)
		key := l.Name + "/" + l.Unit.Value
		if !seen[key] { // SO_REUSEPORT shows one line per worker
			seen[key] = true
			out = append(out, l)
		}
	}
	slices.SortFunc(out, func(a, b posture.ServiceListener) int {
		return cmp.Or(strings.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Port, b.Port), strings.Compare(a.Address, b.Address),
			strings.Compare(a.Name, b.Name))
	})
	return listenerView{list: out}
}

func listener(s procnet.Socket, v6 bool, owners ownerTable) posture.ServiceListener {
	l := posture.ServiceListener{Protocol: s.Protocol, Port: s.Port, Loopback: s.Local.IsLoopback()}
	l.Address = s.Local.String()
	if s.Local == netip.IPv6Unspecified() && v6 {
		l.Address = "*" // an IPv6 socket on "::" takes IPv4 too unless IPV6_V6ONLY is set, which /proc does not show
	}
	l.Process, l.Unit = owners.of(s.Inode)
	l.Name = fmt.Sprintf("%s %s:%d", l.Protocol, l.Address, l.Port)
	if strings.Contains(l.Address, ":") {
		l.Name = fmt.Sprintf("%s [%s]:%d", l.Protocol, l.Address, l.Port)
	}
	if l.Process.IsKnown() {
		l.Name += " " + l.Process.Value
	}
	return l
}

// ownerTable finds the process that holds a socket.
type ownerTable struct {
	pids map[uint64]int // the lowest process id by inode: workers have higher ones than the process that opened it
	comm map[int]string
	unit map[int]string
	err  error // why a socket without a process here may still have one
}

func socketOwners(c *Context, socks []procnet.Socket) ownerTable {
	t := ownerTable{pids: map[uint64]int{}, comm: map[int]string{}, unit: map[int]string{}}
	wanted := map[uint64]bool{}
	for _, s := range socks {
		wanted[s.Inode] = true
	}
	infos, err := c.Host.List(svcProcFDs)
	if err != nil {
		t.err = err
	} else if !c.Root {
		t.err = posture.Problemf("permission", "only root sees the sockets of other users' processes")
	}
	holders := map[uint64][]int{}
	for _, i := range infos {
		inode, ok := procnet.SocketInode(i.Link)
		if !ok || !wanted[inode] {
			continue
		}
		pid, err := strconv.Atoi(path.Base(path.Dir(path.Dir(i.Path))))
		if err == nil {
			holders[inode] = append(holders[inode], pid)
		}
	}
	for inode, pids := range holders {
		slices.Sort(pids)
		pid := pids[0]
		if pid == 1 && len(pids) > 1 { // systemd keeps the socket of a service that it activated
			pid = pids[1]
		}
		t.pids[inode] = pid
		if _, done := t.comm[pid]; !done {
			t.read(c, pid)
		}
	}
	return t
}

// read notes a process's name and unit; a process that has ended meanwhile has none.
func (t *ownerTable) read(c *Context, pid int) {
	dir := "/proc/" + strconv.Itoa(pid)
	b, err := c.Host.ReadFile(dir + "/comm")
	if err != nil {
		return
	}
	t.comm[pid] = strings.ToValidUTF8(strings.TrimSpace(string(b)), "?")
	if b, err := c.Host.ReadFile(dir + "/cgroup"); err == nil {
		t.unit[pid] = procnet.CgroupUnit(b)
	}
}

func (t ownerTable) of(inode uint64) (process, unit posture.Fact[string]) {
	src := "/proc/PID/fd"
	pid, ok := t.pids[inode]
	if !ok {
		if t.err != nil {
			return posture.Unknown[string](t.err, src), posture.Unknown[string](t.err, src)
		}
		return posture.Known("kernel", posture.Effective, src), posture.Known("", posture.Effective, src)
	}
	name, ok := t.comm[pid]
	if !ok {
		p := posture.Problemf("not-found", "process %d ended during the scan", pid)
		return posture.Unknown[string](p, src), posture.Unknown[string](p, src)
	}
	src = "/proc/" + strconv.Itoa(pid)
	return posture.Known(name, posture.Effective, src), posture.Known(t.unit[pid], posture.Effective, src)
}
