// Package procnet reads the socket tables of the kernel: /proc/net/tcp, tcp6, udp, udp6, raw and raw6, as described in
// the kernel's Documentation/networking/proc_net_tcp. Addresses are printed by the kernel as 32-bit words in the byte
// order of the machine; all architectures that Debian ships PVE for (amd64, arm64) are little-endian.
package procnet

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Socket states of the column st (include/net/tcp_states.h).
const (
	stateListen = 0x0A // TCP_LISTEN
	stateClose  = 0x07 // TCP_CLOSE: an unconnected datagram or raw socket
)

// Socket is one line of a socket table.
type Socket struct {
	Protocol string // tcp, udp, raw, without the 6
	Local    netip.Addr
	Port     int // for raw sockets: the protocol number
	Remote   netip.Addr
	Listens  bool // it accepts connections, or is a datagram socket without a peer
	UID      int
	Inode    uint64
}

// Parse reads one table; name is its file name (tcp6). Lines that are cut short are an error, with their number.
func Parse(name string, b []byte) ([]Socket, error) {
	proto := strings.TrimSuffix(name, "6")
	var out []Socket
	n := 0
	for raw := range bytes.Lines(b) {
		n++
		f := strings.Fields(string(raw))
		if len(f) == 0 || f[0] == "sl" {
			continue
		}
		if len(f) < 10 {
			return nil, fmt.Errorf("cannot read /proc/net/%s:%d: %d columns, expected at least 10", name, n, len(f))
		}
		s, err := parseLine(proto, f)
		if err != nil {
			return nil, fmt.Errorf("cannot read /proc/net/%s:%d: %w", name, n, err)
		}
		out = append(out, s)
	}
	return out, nil
}

func parseLine(proto string, f []string) (Socket, error) {
	s := Socket{Protocol: proto}
	var err error
	if s.Local, s.Port, err = endpoint(f[1]); err != nil {
		return s, err
	}
	var peer int
	if s.Remote, peer, err = endpoint(f[2]); err != nil {
		return s, err
	}
	state, err := strconv.ParseUint(f[3], 16, 8)
	if err != nil {
		return s, fmt.Errorf("state %.20q is no hexadecimal number", f[3])
	}
	if s.UID, err = strconv.Atoi(f[7]); err != nil {
		return s, fmt.Errorf("user %.20q is no number", f[7])
	}
	if s.Inode, err = strconv.ParseUint(f[9], 10, 64); err != nil {
		return s, fmt.Errorf("inode %.20q is no number", f[9])
	}
	if proto == "tcp" {
		s.Listens = state == stateListen
	} else {
		s.Listens = state == stateClose && peer == 0 && s.Remote.IsUnspecified()
	}
	return s, nil
}

func endpoint(text string) (netip.Addr, int, error) {
	host, port, ok := strings.Cut(text, ":")
	if !ok || (len(host) != 8 && len(host) != 32) {
		return netip.Addr{}, 0, fmt.Errorf("%.50q is no address and port", text)
	}
	words, err := hex.DecodeString(host)
	if err != nil {
		return netip.Addr{}, 0, fmt.Errorf("%.50q is no hexadecimal address", text)
	}
	for i := 0; i < len(words); i += 4 {
		binary.BigEndian.PutUint32(words[i:], binary.LittleEndian.Uint32(words[i:]))
	}
	p, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		return netip.Addr{}, 0, fmt.Errorf("%.50q has no hexadecimal port", text)
	}
	a, _ := netip.AddrFromSlice(words)
	return a.Unmap(), int(p), nil
}

// SocketInode returns the inode that a link of /proc/PID/fd names ("socket:[123]").
func SocketInode(link string) (uint64, bool) {
	s, ok := strings.CutPrefix(link, "socket:[")
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(strings.TrimSuffix(s, "]"), 10, 64)
	return n, err == nil
}

// CgroupUnit returns the systemd unit of a process from /proc/PID/cgroup: the last path element that is a service,
// socket or scope of the unified hierarchy ("0::"), or of the hierarchy name=systemd. It is empty when there is none.
func CgroupUnit(b []byte) string {
	for raw := range bytes.Lines(b) {
		parts := strings.SplitN(strings.TrimRight(string(raw), "\r\n"), ":", 3)
		if len(parts) != 3 || parts[0] != "0" && parts[1] != "name=systemd" {
			continue
		}
		elems := strings.Split(parts[2], "/")
		for i := len(elems) - 1; i >= 0; i-- {
			for _, kind := range []string{".service", ".socket", ".scope"} {
				if strings.HasSuffix(elems[i], kind) {
					return elems[i]
				}
			}
		}
	}
	return ""
}
