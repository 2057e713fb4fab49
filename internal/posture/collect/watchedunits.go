package collect

import (
	"errors"
	"path"
	"strings"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/posture"
)

// showCommand asks systemd for a few units at once; units that do not exist are answered too. It costs 10 ms.
func showCommand(name string, units []string) host.Command {
	return host.Command{Name: name, Argv: append([]string{
		"systemctl", "show", "--property=Id,Names,LoadState,ActiveState,UnitFileState", "--",
	}, units...)}
}

// watchedUnits resolves the state of units: from systemd itself on a live target, from the unit files and links
// otherwise (what boot would start counts as active then).
func watchedUnits(c *Context, name string, units []string) (map[string]posture.WatchedUnit, error) {
	out, err := c.Host.Run(showCommand(name, units))
	if err == nil && out.Code == 0 {
		return parseShow(out.Stdout), nil
	}
	if errors.Is(err, host.ErrPending) {
		return nil, err
	}
	if err == nil {
		err = posture.Problemf("error", "systemctl show ended with %d: %s", out.Code, firstLine(out.Stderr))
	}
	if c.Live && !errors.Is(err, host.ErrUnavailable) {
		return nil, err
	}
	view := readUnits(c)
	if view.treeErr != nil {
		return nil, view.treeErr
	}
	states := map[string]posture.WatchedUnit{}
	for _, u := range units {
		s := view.unit(u)
		for _, p := range []*posture.Problem{s.Exists.Problem, s.Enabled.Problem} {
			// A unit whose file was not copied and that nothing in /etc enables does not start.
			if p != nil && p.Code != "not-found" {
				return nil, p
			}
		}
		on := s.Exists.Value && strings.HasPrefix(s.Enabled.Value, "enabled")
		states[u] = posture.WatchedUnit{Name: u, Installed: s.Exists.Value, Enabled: on, Active: on}
	}
	return states, nil
}

// parseShow reads the answer of systemctl show: properties as lines, an empty line between units.
func parseShow(b []byte) map[string]posture.WatchedUnit {
	states := map[string]posture.WatchedUnit{}
	for block := range strings.SplitSeq(strings.TrimSpace(string(b)), "\n\n") {
		p := map[string]string{}
		for line := range strings.SplitSeq(block, "\n") {
			key, value, _ := strings.Cut(line, "=")
			p[key] = strings.TrimSpace(value)
		}
		u := posture.WatchedUnit{
			Installed: p["LoadState"] == "loaded" || p["LoadState"] == "masked",
			Enabled:   strings.HasPrefix(p["UnitFileState"], "enabled") || p["UnitFileState"] == "alias",
			Active:    p["ActiveState"] == "active" || p["ActiveState"] == "activating" || p["ActiveState"] == "reloading",
		}
		for name := range strings.FieldsSeq(p["Id"] + " " + p["Names"]) {
			u.Name = path.Base(name)
			states[u.Name] = u
		}
	}
	return states
}

func unitFact(units map[string]posture.WatchedUnit, err error, name string) posture.Fact[posture.WatchedUnit] {
	if err != nil {
		return posture.Unknown[posture.WatchedUnit](err, "systemctl show "+name)
	}
	u, ok := units[name]
	if !ok {
		u.Name = name
	}
	return posture.Known(u, posture.Effective, "state of "+name)
}
