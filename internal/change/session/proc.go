package session

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/castellan-project/castellan/internal/host"
)

// maxAncestors bounds the way up from a process; a login is about ten steps away.
const maxAncestors = 128

// process is what is known of one process.
type process struct {
	pid, ppid int
	// comm is the name of its program, at most 15 bytes (proc(5)).
	comm string
	// ttyNumber is the device number of its terminal, 0 for none.
	ttyNumber uint64
	// ticks is when it began (proc(5), field 22 of stat).
	ticks uint64
	// title is its command line, which sshd writes over with what it does.
	title string
	// uid is its real user; -1 when not known.
	uid int
}

// ancestors lists a process and those that it descends from, up to the first one of the name space.
func ancestors(r host.Reader, pid int) []process {
	var line []process
	for seen := map[int]bool{}; pid > 0 && !seen[pid] && len(line) < maxAncestors; {
		seen[pid] = true
		b, err := r.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			break
		}
		p, err := parseStat(b)
		if err != nil || p.pid != pid {
			break
		}
		if b, err = r.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil {
			p.title = printable(strings.TrimRight(strings.ReplaceAll(string(b[:min(len(b), 4<<10)]), "\x00", " "), " "))
		}
		p.uid = -1
		if b, err = r.ReadFile(fmt.Sprintf("/proc/%d/status", pid)); err == nil {
			p.uid = statusUID(b)
		}
		line = append(line, p)
		pid = p.ppid
	}
	return line
}

// parseStat reads /proc/PID/stat (proc(5)). The name may hold blanks and parentheses; the last one ends it.
func parseStat(b []byte) (process, error) {
	s := string(b)
	open, end := strings.IndexByte(s, '('), strings.LastIndexByte(s, ')')
	if open < 0 || end < open {
		return process{}, errors.New("cannot read the state of a process: no name in parentheses")
	}
	pid, err := strconv.Atoi(strings.TrimSpace(s[:open]))
	if err != nil {
		return process{}, fmt.Errorf("cannot read the state of a process: %w", err)
	}
	f := strings.Fields(s[end+1:]) // f[0] is field 3, the state
	if len(f) < 20 {
		return process{}, fmt.Errorf("cannot read the state of process %d: it has %d fields", pid, len(f)+2)
	}
	ppid, err1 := strconv.Atoi(f[1])
	tty, err2 := strconv.ParseInt(f[4], 10, 64)
	ticks, err3 := strconv.ParseUint(f[19], 10, 64)
	if err := errors.Join(err1, err2, err3); err != nil {
		return process{}, fmt.Errorf("cannot read the state of process %d: %w", pid, err)
	}
	return process{pid: pid, ppid: ppid, comm: printable(s[open+1 : end]), ttyNumber: uint64(uint32(tty)), ticks: ticks, uid: -1}, nil
}

// statusUID is the real user of a process as /proc/PID/status tells it, -1 when it does not.
func statusUID(b []byte) int {
	for _, l := range host.Lines(b) {
		if v, ok := strings.CutPrefix(l, "Uid:"); ok {
			f := strings.Fields(v)
			if len(f) == 4 {
				if uid, err := strconv.Atoi(f[0]); err == nil && uid >= 0 {
					return uid
				}
			}
			return -1
		}
	}
	return -1
}

// isSSHD reports whether the program is one of sshd's: one program up to OpenSSH 9.7, a listener and sshd-session since 9.8,
// and sshd-auth beside them since 10.0 (OpenSSH's release notes).
func (p process) isSSHD() bool {
	return p.comm == "sshd" || p.comm == "sshd-session" || p.comm == "sshd-auth"
}

// servesSSH reports whether the process serves one connection of SSH. It belongs to root: what a user names so is not
// sshd's. A sshd below another one is not the listener; the title tells those apart that are started by systemd, which
// keeps the listener of ssh.service and the servers of ssh@.service directly below itself.
func (p process) servesSSH(parent process) bool {
	switch {
	case p.uid != 0:
		return false
	case p.comm == "sshd-session":
		return true
	case p.comm != "sshd" || strings.Contains(p.title, "[listener]"):
		return false
	}
	return parent.comm == "sshd" || strings.HasPrefix(p.title, "sshd: ")
}

// servesWeb reports whether the process serves a shell of PVE's web interface: termproxy for xterm.js, vncterm and spiceterm
// for the others, all below a task of pvedaemon.
func (p process) servesWeb() bool {
	return p.uid == 0 && (p.comm == "termproxy" || p.comm == "vncterm" || p.comm == "spiceterm")
}

// tty names the terminal by its device number, as the kernel's list of devices has them (devices.txt).
func (p process) tty() string {
	major, minor := p.ttyNumber>>8&0xfff, p.ttyNumber&0xff|p.ttyNumber>>12&0xfff00
	switch {
	case p.ttyNumber == 0:
		return ""
	case major >= 136 && major <= 143:
		return fmt.Sprintf("pts/%d", (major-136)<<20+minor)
	case major == 4 && minor < 64:
		return fmt.Sprintf("tty%d", minor)
	case major == 4:
		return fmt.Sprintf("ttyS%d", minor-64)
	case major == 5 && minor == 1:
		return "console"
	case major == 204 && minor >= 64:
		return fmt.Sprintf("ttyAMA%d", minor-64)
	case major == 229:
		return fmt.Sprintf("hvc%d", minor)
	}
	return fmt.Sprintf("%d:%d", major, minor)
}

// consoleTTY reports whether a terminal is the machine's own.
func consoleTTY(name string) bool {
	for _, p := range []string{"ttyS", "ttyAMA", "hvc", "tty", "console"} {
		if rest, ok := strings.CutPrefix(name, p); ok {
			return strings.Trim(rest, "0123456789") == ""
		}
	}
	return false
}

// bootID names the present start of the kernel.
func bootID(r host.Reader) string {
	b, err := r.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return printable(strings.TrimSpace(string(b)))
}

// shellUID is the user of the first program that a connection started, -1 when not known.
func shellUID(line []process, serving int) int {
	uid := -1
	for _, p := range line {
		if p.pid == serving {
			break
		}
		if !p.isSSHD() {
			uid = p.uid
		}
	}
	return uid
}

// loginName is who logged in, as the audit subsystem remembers it over su and sudo (proc_pid_loginuid(5)).
func loginName(r host.Reader, pid int) string {
	b, err := r.ReadFile(fmt.Sprintf("/proc/%d/loginuid", pid))
	if err != nil {
		return ""
	}
	uid, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 32)
	if err != nil || uid == 1<<32-1 { // -1: nobody logged in
		return ""
	}
	return userName(r, int(uid))
}

// userName is the name of a user in /etc/passwd.
func userName(r host.Reader, uid int) string {
	b, err := r.ReadFile("/etc/passwd")
	if err != nil || uid < 0 {
		return ""
	}
	for _, l := range host.Lines(b) {
		if f := strings.Split(l, ":"); len(f) > 2 && f[2] == strconv.Itoa(uid) {
			return printable(f[0])
		}
	}
	return ""
}

// address reads an address and drops the zone and the disguise of an IPv4 address.
func address(s string) (string, error) {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return "", err
	}
	return a.Unmap().WithZone("").String(), nil
}

// printable makes text from a host fit for one line: at most 256 bytes, what is not printable replaced.
func printable(s string) string {
	s = strings.ToValidUTF8(s[:min(len(s), 256)], "?")
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return '?'
		}
		return r
	}, s)
}
