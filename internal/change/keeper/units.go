package keeper

import (
	"fmt"
	"strings"
	"time"
)

// units are the three units of one deadline.
type units struct {
	program, state, id string
	deadline           time.Time
	left               time.Duration
}

type unitFile struct{ name, content string }

// quoted writes a path for a unit file: in double quotes, because it may hold blanks, and with "%" doubled (systemd.unit(5),
// specifiers). Paths with quotes, backslashes and dollar signs are refused before.
func quoted(s string) string { return `"` + strings.ReplaceAll(s, "%", "%%") + `"` }

// files are the units. Whoever reads them on a host should understand what they are for.
//
// Nothing of the services may be put into name spaces: what a private /tmp or a protected /etc hides could not be taken back,
// and a file system that is mounted again in a name space of its own stays as it was for everybody else.
func (u units) files() []unitFile {
	begin := u.deadline.Add(time.Second - time.Nanosecond).Truncate(time.Second)
	return []unitFile{
		{revertService, fmt.Sprintf(`%s[Unit]
Description=Take back change %s of castellan, which nobody confirmed
RequiresMountsFor=%s
# A quorum may take its time to come back, and nobody else takes this back.
StartLimitIntervalSec=0

%s`, written, u.id, quoted(u.state), u.service(""))},
		{revertTimer, fmt.Sprintf(`%s[Unit]
Description=Deadline of change %s of castellan

[Timer]
# The clock of the wall may be set meanwhile; the one of the kernel is not.
OnCalendar=%s
OnActiveSec=%ds
AccuracySec=1s
RemainAfterElapse=no
Persistent=yes
Unit=%s

[Install]
WantedBy=timers.target
`, written, u.id, begin.UTC().Format("2006-01-02 15:04:05 UTC"), int64(u.left/time.Second)+2, revertService)},
		{recoverService, fmt.Sprintf(`%s[Unit]
Description=Take back change %s of castellan after a restart
RequiresMountsFor=%s
# /etc/pve is empty until pve-cluster has mounted it. All is as before when the first connection can come.
After=local-fs.target pve-cluster.service
Before=ssh.service sshd.service pveproxy.service pvedaemon.service pve-firewall.service proxmox-firewall.service
# A quorum may take its time to come back, and nobody else takes this back.
StartLimitIntervalSec=0

%s
[Install]
WantedBy=multi-user.target
`, written, u.id, quoted(u.state), u.service(" --boot"))},
	}
}

// written heads the files.
const written = "# Written by castellan; it is removed when the change is confirmed or taken back.\n"

// service is what both services do.
func (u units) service(more string) string {
	return fmt.Sprintf(`[Service]
Type=oneshot
ExecStart=%s revert --recover%s --state %s --yes
# Another castellan may be at work, and /etc/pve may have no quorum yet.
Restart=on-failure
RestartSec=10s
TimeoutStartSec=infinity
# What generators write gets the modes that it has when an administrator runs them.
UMask=0022
OOMScoreAdjust=-900
LockPersonality=yes
RestrictRealtime=yes
`, quoted(u.program), more, quoted(u.state))
}
