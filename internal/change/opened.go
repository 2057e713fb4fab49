package change

import (
	"path"
	"slices"
	"strings"
	"time"

	"github.com/castellan-project/castellan/internal/host"
)

// firewallUnits are the services whose stop takes the rules of PVE's firewall out of the kernel of this node.
func firewallUnits() []string { return []string{"pve-firewall.service", "proxmox-firewall.service"} }

// firewallFile reports whether a path is one that PVE's firewall is made from.
func firewallFile(name string) bool {
	return strings.HasPrefix(name, "/etc/pve/firewall/") || strings.HasPrefix(name, "/etc/pve/sdn/firewall/") ||
		strings.HasPrefix(name, "/etc/pve/nodes/") && path.Base(name) == "host.fw"
}

// openDoor is the last resort of a host that takes a firewall back by itself and cannot write its files: without a quorum
// /etc/pve is read-only, and the rules that may have locked everybody out would stay. It takes the rules of this node out of
// the kernel; the files are put back when they can be written (Revert goes on).
func (w *work) openDoor(b takeBack, todo []int) {
	if !w.live || !b.auto || !slices.ContainsFunc(todo, func(i int) bool { return firewallFile(w.undo.Steps[i].Path) }) {
		return
	}
	for _, unit := range firewallUnits() {
		out, err := w.o.Machine.Run(UnitState(unit))
		if err == nil && !strings.Contains(string(out.Stdout), "ActiveState=active") {
			continue
		}
		if err := w.unit("stop", unit); err != nil {
			w.note(nil, "%s cannot be stopped: %v", unit, err)
			continue
		}
		w.t().Stopped = with(w.t().Stopped, unit)
		w.note(nil, "%s was stopped, because the files of the firewall cannot be put back: this node filters nothing until they are", unit)
	}
	_ = w.save() // what was done is worth more than its record
}

// closeDoor starts again what openDoor stopped, once the files are back.
func (w *work) closeDoor() error {
	for _, unit := range slices.Clone(w.t().Stopped) {
		if err := w.unit("start", unit); err != nil {
			return err
		}
		w.t().Stopped = slices.DeleteFunc(slices.Clone(w.t().Stopped), func(s string) bool { return s == unit })
		w.note(nil, "%s was started again", unit)
	}
	return nil
}

func (w *work) unit(verb, unit string) error {
	return w.run(host.Command{Name: "door-" + verb, Argv: []string{"systemctl", verb, "--", unit}, Timeout: time.Minute})
}
