package kinds

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/pve/firewall"
)

// TimedEnableName is the name of the trial of [TimedEnable].
const TimedEnableName = "pve-timed-enable"

// Trials are the trials by name, for the engine.
func Trials() map[string]change.Trial {
	return map[string]change.Trial{TimedEnableName: TimedEnable{}}
}

// TimedEnable puts the switch of the firewall of the cluster on trial: pve-firewall takes "enable: UNIXTIME" for on during the 60 seconds after
// that time, and for off before and later (PVE::Firewall, cluster options). Should everything of ours die, the rules end by themselves.
type TimedEnable struct{}

// Content is the file with the time in place of the 1.
func (TimedEnable) Content(after []byte, now time.Time) ([]byte, error) {
	f, _ := firewall.Parse(firewall.ClusterFile, after)
	if f.Value("enable", "0") != "1" {
		return nil, fmt.Errorf("cannot put %s on trial: it does not switch the firewall on", clusterFW)
	}
	e := firewall.NewEdit(firewall.ClusterFile, after)
	e.SetOption("enable", strconv.FormatInt(now.Unix(), 10))
	return e.Bytes(), nil
}

// Hold is long enough for pve-firewall, which looks every 10 seconds, to load the rules, and for an open connection to meet them, and ends
// well before the 60 seconds do.
func (TimedEnable) Hold() time.Duration { return 25 * time.Second }

// Alive wants the connection of the operator to be there still, and the firewall to have made something of the rules. Who sits at a console
// has no connection that could be cut.
func (TimedEnable) Alive(r host.Reader, by change.Actor) error {
	out, err := r.Run(host.Command{Name: "pve-firewall-status", Argv: []string{"pve-firewall", "status"}, Timeout: 30 * time.Second})
	if err != nil {
		return fmt.Errorf("the firewall does not tell its state: %w", err)
	}
	if out.Code != 0 || !strings.Contains(string(out.Stdout), "running") {
		return fmt.Errorf("the firewall does not run: pve-firewall status ended with code %d", out.Code)
	}
	if by.From == "" {
		return nil
	}
	from, err := netip.ParseAddr(by.From)
	if err != nil {
		return fmt.Errorf("the address %q of the operator is not understood", by.From)
	}
	for _, name := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		b, err := r.ReadFile(name)
		if err != nil && !host.NotExist(err) {
			return err
		}
		if slices.Contains(established(b), from.Unmap()) {
			return nil
		}
	}
	return fmt.Errorf("no connection from %s is left", by.From)
}

// established lists the far ends of open connections in /proc/net/tcp (proc_net_tcp, Documentation/networking of the kernel: the state 01 is
// ESTABLISHED, addresses are hexadecimal words in the order of the processor, which is little-endian wherever PVE runs).
func established(b []byte) []netip.Addr {
	var out []netip.Addr
	for _, l := range host.Lines(b) {
		f := strings.Fields(l)
		if len(f) < 4 || f[3] != "01" {
			continue
		}
		text, _, _ := strings.Cut(f[2], ":")
		raw, err := hex.DecodeString(text)
		if err != nil || len(raw) != 4 && len(raw) != 16 {
			continue
		}
		for i := 0; i < len(raw); i += 4 {
			slices.Reverse(raw[i : i+4])
		}
		if a, ok := netip.AddrFromSlice(raw); ok {
			out = append(out, a.Unmap())
		}
	}
	return out
}
