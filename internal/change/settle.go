package change

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/castellan-project/castellan/internal/debian/procnet"
	"github.com/castellan-project/castellan/internal/host"
)

// sshUnit is the unit of the SSH server in Debian.
const sshUnit = "ssh.service"

// How long the SSH server may take to listen again, and how often it is looked at.
const (
	settleTime = 10 * time.Second
	settleStep = 20 * time.Millisecond
)

// settle runs a command of systemd on a unit. Told to read its configuration again, sshd closes its sockets, starts its own program anew and opens
// them again (sshd(8), SIGHUP), and "systemctl reload" does not wait for that: whoever connects in between is refused. So the end is waited for, or
// the way to the host would look cut when it is not.
func (w *work) settle(c host.Command, name string) error {
	if name != sshUnit || slices.Contains(c.Argv, "--no-block") {
		return w.run(c)
	}
	before := w.listeners()
	if err := w.run(c); err != nil {
		return err
	}
	return w.listensAgain(before)
}

// listensAgain waits until sshd has opened new sockets on its ports. Only ports that were served before count: sshd may have been stopped by the
// administrator. That a socket stays the same is no error, because a socket unit of systemd keeps its own.
func (w *work) listensAgain(before map[uint64]int) error {
	old := func(inode uint64) bool { _, ok := before[inode]; return ok }
	left := slices.DeleteFunc(w.sshPorts(), func(port int) bool { return !holds(before, port) })
	for waited := time.Duration(0); len(left) > 0 && waited < settleTime; waited += settleStep {
		fresh := w.listeners()
		maps.DeleteFunc(fresh, func(inode uint64, _ int) bool { return old(inode) })
		if left = slices.DeleteFunc(left, func(port int) bool { return holds(fresh, port) }); len(left) > 0 {
			w.o.Sleep(settleStep)
		}
	}
	now := w.listeners()
	for _, port := range left {
		if !holds(now, port) {
			return fmt.Errorf("sshd does not listen on port %d any more", port)
		}
	}
	return nil
}

func holds(sockets map[uint64]int, port int) bool {
	for _, p := range sockets {
		if p == port {
			return true
		}
	}
	return false
}

// listeners are the TCP sockets that accept connections, with their ports, by inode. What cannot be read is not there: this only decides how long is
// waited.
func (w *work) listeners() map[uint64]int {
	out := map[uint64]int{}
	for _, name := range []string{"tcp", "tcp6"} {
		b, err := w.o.Machine.ReadFile("/proc/net/" + name)
		if err != nil {
			continue
		}
		list, err := procnet.Parse(name, b)
		if err != nil {
			continue
		}
		for _, s := range list {
			if s.Listens {
				out[s.Inode] = s.Port
			}
		}
	}
	return out
}

// sshPorts are the ports of sshd's configuration as it is now (sshd(8), -T).
func (w *work) sshPorts() []int {
	out, err := w.o.Machine.Run(host.Command{Name: "sshd-ports", Argv: []string{"sshd", "-T"}, Timeout: plainTimeout})
	if err != nil || out.Code != 0 {
		return nil
	}
	var ports []int
	for line := range strings.Lines(string(out.Stdout)) {
		f := strings.Fields(line)
		if len(f) != 2 || f[0] != "port" {
			continue
		}
		if n, err := strconv.Atoi(f[1]); err == nil {
			ports = append(ports, n)
		}
	}
	return ports
}
