package change

import (
	"fmt"
	"strings"
	"time"
)

// Step is one thing that is done to a host: a path that is put so, or an action. Its JSON is what a plan file holds and
// what its digest is made of; contents are not in it, because they may be secret: apply drafts them again.
type Step struct {
	// Controls are the controls that ask for it, sorted.
	Controls []string `json:"controls"`
	// Path is the path that is put; empty for an action.
	Path string `json:"path,omitempty"`
	// What says what happens in words: "write", "create", "remove", "give mode 0600", "restart ssh.service".
	What string `json:"what"`
	// Before and After are the digests of the node at Path (host.Node.Digest).
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
	// Diff is the change of the content in unified form, secrets masked.
	Diff string `json:"diff,omitempty"`
	// Action is what is done when Path is empty.
	Action *Action `json:"action,omitempty"`
	// Trial names how the file is put on trial before it is put for good; see Trial.
	Trial string `json:"trial,omitempty"`
	// Candidate names the check (see candidates) that the content has to pass before it is put; empty for none.
	Candidate string `json:"candidate,omitempty"`
}

// lasts reports whether a step leaves something by which it can be told later that it was made.
func (s Step) lasts() bool {
	if s.Action == nil {
		return true
	}
	switch s.Action.Verb {
	case Check, DaemonReload, Refresh, Reload, Restart:
		return false
	}
	return true
}

// Verb is what an action does. The list is closed: a plan cannot name a program.
type Verb string

// The verbs, in the order in which a window performs them.
const (
	// Install and Purge add and remove packages; Object is a list parted by blanks.
	Install Verb = "install"
	Purge   Verb = "purge"
	// Check runs a validator (see Checks) after the files are in place and before anything uses them.
	Check Verb = "check"
	// DaemonReload lets systemd read its units again.
	DaemonReload Verb = "daemon-reload"
	// Refresh runs a generator (see Refreshes): update-grub, postmap and the like.
	Refresh Verb = "refresh"
	// Remount gives a mounted file system other options; Object is the mount point, Argument the options.
	Remount Verb = "remount"
	// Reload, Restart, Start and Stop a unit.
	Reload  Verb = "reload"
	Restart Verb = "restart"
	Start   Verb = "start"
	Stop    Verb = "stop"
)

// verbs in the order in which they are performed.
func verbs() []Verb {
	return []Verb{Install, Purge, Check, DaemonReload, Refresh, Remount, Stop, Reload, Restart, Start}
}

// Action is something that is done beside putting files.
type Action struct {
	Verb     Verb   `json:"verb"`
	Object   string `json:"object,omitempty"`
	Argument string `json:"argument,omitempty"`
	// Was is the state before, as the inverse needs it: of a unit "active" or "inactive", of a mount point its options.
	Was string `json:"was,omitempty"`
}

// Words says the action.
func (a Action) Words() string {
	switch a.Verb {
	case DaemonReload:
		return "let systemd read its units again"
	case Check:
		return "check with " + a.Object
	case Refresh:
		return "run " + a.Object
	case Remount:
		return "mount " + a.Object + " again with " + a.Argument
	case Install:
		return "install the packages " + strings.Join(strings.Fields(a.Object), ", ")
	case Purge:
		return "remove the packages " + strings.Join(strings.Fields(a.Object), ", ")
	default:
		return string(a.Verb) + " " + a.Object
	}
}

// program is a program of the closed lists below, with how long it may take.
type program struct {
	argv    []string
	timeout time.Duration
}

// Checks are the validators that a check action may name. Each fails with another exit code than 0.
//
// table: the validators of the daemons' own packages
func checks() map[string]program {
	return map[string]program{
		"sshd -t":              {argv: []string{"sshd", "-t"}},
		"visudo -c":            {argv: []string{"visudo", "-c", "-q"}},
		"nft -c":               {argv: []string{"nft", "-c", "-f", "/etc/nftables.conf"}},
		"postfix check":        {argv: []string{"postfix", "check"}},
		"fail2ban-client -t":   {argv: []string{"fail2ban-client", "-t"}, timeout: 60 * time.Second},
		"grub-script-check":    {argv: []string{"grub-script-check", "/boot/grub/grub.cfg"}},
		"rsyslogd -N1":         {argv: []string{"rsyslogd", "-N1"}},
		"augenrules --check":   {argv: []string{"augenrules", "--check"}},
		"apt-config dump":      {argv: []string{"apt-config", "dump"}},
		"chronyd -p":           {argv: []string{"chronyd", "-p"}},
		"pve-firewall compile": {argv: []string{"pve-firewall", "compile"}, timeout: 60 * time.Second},
	}
}

// refreshes are the generators that a refresh action may name; the inverse of one is to run it again on the old files.
//
// table: the generators of Debian and Proxmox VE
func refreshes() map[string]program {
	return map[string]program{
		"update-grub":               {argv: []string{"update-grub"}, timeout: 5 * time.Minute},
		"proxmox-boot-tool refresh": {argv: []string{"proxmox-boot-tool", "refresh"}, timeout: 5 * time.Minute},
		"update-initramfs -u":       {argv: []string{"update-initramfs", "-u", "-k", "all"}, timeout: 20 * time.Minute},
		"newaliases":                {argv: []string{"newaliases"}, timeout: time.Minute},
		"augenrules --load":         {argv: []string{"augenrules", "--load"}, timeout: time.Minute},
		"apt-get update":            {argv: []string{"apt-get", "update", "-q"}, timeout: 10 * time.Minute},
	}
}

// Valid reports what is wrong with an action: a verb or program that is not in the lists.
func (a Action) Valid() error {
	switch a.Verb {
	case Check:
		if _, ok := checks()[a.Object]; !ok {
			return fmt.Errorf("there is no check %q", a.Object)
		}
	case Refresh:
		if _, ok := refreshes()[a.Object]; !ok {
			return fmt.Errorf("there is no refresh %q", a.Object)
		}
	case DaemonReload:
	case Install, Purge, Remount, Reload, Restart, Start, Stop:
		if a.Object == "" || strings.HasPrefix(a.Object, "-") {
			return fmt.Errorf("%s needs an object", a.Verb)
		}
	default:
		return fmt.Errorf("there is no action %q", a.Verb)
	}
	return nil
}
