package report

import (
	"fmt"
	"strings"

	"github.com/castellan-project/castellan/internal/posture"
)

// channels prints for each way between guests and hypervisor how many guests of either world have it open.
func (t *textReport) channels(list []posture.GuestChannel) {
	if len(list) == 0 {
		return
	}
	t.blank()
	t.put(strongSpan("Guests of both worlds"), faintSpan("  open of all: which ways lead out of them"))
	t.put(faintSpan("  " + pad("channel", 16) + pad("Proxmox VE", 14) + pad("VMware", 14) + "for example"))
	for _, c := range list {
		line := "  " + pad(cut(oneLine(c.Channel), 15), 16) + pad(channelCount(c.PVE), 14) + pad(channelCount(c.VMware), 14)
		t.put(plainSpan(line + cut(channelNames(c), max(t.width-len(line), 10))))
	}
}

// channelNames are examples of guests for which a channel is open.
func channelNames(c posture.GuestChannel) string {
	return oneLine(strings.Join(append(append([]string{}, c.PVE.Names...), c.VMware.Names...), ", "))
}

func channelCount(c posture.ChannelCount) string {
	if c.NotThere {
		return "-"
	}
	return fmt.Sprintf("%d of %d", c.Open, c.Guests)
}
