package pvetest

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// task is a worker that was started; it ends after workLife of the server's clock.
type task struct {
	serial                 int
	upid, node, kind, vmid string
	user, result           string
	start                  time.Time
}

// Lifetimes: a console's ticket is valid for 40 seconds, a worker of this server takes one.
const (
	consoleLife = 40 * time.Second
	workLife    = time.Second
	firstPort   = 5900
)

// console is a terminal or display that waits for its WebSocket.
type console struct {
	kind, path, user string
}

// work starts a task and returns its UPID: UPID:node:pid:pstart:starttime:type:id:user:
func (s *Server) work(c *call, kind, id, result string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serial++
	now := s.opts.Now()
	t := &task{serial: s.serial, node: c.params["node"], kind: kind, vmid: id, user: c.user, result: result, start: now}
	t.upid = fmt.Sprintf("UPID:%s:%08X:%08X:%08X:%s:%s:%s:", t.node, 1000+s.serial, s.serial, now.Unix(), kind, id, c.user)
	s.tasks[t.upid] = t
	return t.upid
}

// startTask starts, stops or reboots a guest: nothing runs, but the status says so afterwards.
func startTask(verb string) func(*Server, *call, *guest) (any, *failure) {
	return func(s *Server, c *call, g *guest) (any, *failure) {
		prefix := map[string]string{"qemu": "qm", "lxc": "vz"}[g.kind]
		result := "running"
		if verb == "stop" || verb == "shutdown" {
			result = "stopped"
		}
		return s.work(c, prefix+verb, strconv.Itoa(g.id), result), nil
	}
}

// found returns a task that the caller may see: its own, or any with Sys.Audit on the node.
func (s *Server) found(c *call) (*task, *failure) {
	s.mu.Lock()
	t := s.tasks[c.params["upid"]]
	s.mu.Unlock()
	if t == nil || t.node != c.params["node"] {
		return nil, fail(http.StatusBadRequest, "unable to parse worker upid '%s'", c.params["upid"])
	}
	if t.user != c.user && !s.can(c.user, "/nodes/"+t.node, []string{"Sys.Audit"}, false) {
		return nil, fail(http.StatusForbidden, "Permission check failed (/nodes/%s, Sys.Audit)", t.node)
	}
	return t, nil
}

func (s *Server) taskObject(t *task) object {
	f := strings.Split(t.upid, ":")
	pid, _ := strconv.ParseInt(f[2], 16, 64)
	o := object{"upid": t.upid, "node": t.node, "pid": pid, "pstart": t.serial, "starttime": t.start.Unix(), "type": t.kind, "id": t.vmid, "user": t.user}
	if s.opts.Now().Sub(t.start) >= workLife {
		o["status"], o["exitstatus"] = "stopped", "OK"
	} else {
		o["status"] = "running"
	}
	return o
}

func taskStatus(s *Server, c *call) (any, *failure) {
	t, f := s.found(c)
	if f != nil {
		return nil, f
	}
	return s.taskObject(t), nil
}

func taskLog(s *Server, c *call) (any, *failure) {
	if _, f := s.found(c); f != nil {
		return nil, f
	}
	return []any{object{"n": 1, "t": "TASK OK"}}, nil
}

// tasks lists the newest first, in pages of start and limit.
func tasks(s *Server, c *call) (any, *failure) {
	audit := s.can(c.user, "/nodes/"+c.params["node"], []string{"Sys.Audit"}, false)
	s.mu.Lock()
	all := make([]*task, s.serial+1)
	for _, t := range s.tasks {
		all[t.serial] = t
	}
	s.mu.Unlock()
	out := []any{}
	skip, limit := atoi(c.params["start"]), 50
	if n, ok := c.params["limit"]; ok {
		limit = atoi(n)
	}
	for i := len(all) - 1; i >= 0 && len(out) < limit; i-- {
		t := all[i]
		if t == nil || t.node != c.params["node"] || t.user != c.user && !audit {
			continue
		}
		if skip > 0 {
			skip--
			continue
		}
		out = append(out, s.taskObject(t))
	}
	return out, nil
}

// consoleOf prepares a console and gives out its port and ticket.
func consoleOf(kind, prefix string) handler {
	return func(s *Server, c *call) (any, *failure) {
		where := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(c.path.String(), "/termproxy"), "/vncproxy"), "/vncshell")
		upid := s.work(c, prefix, c.params["vmid"], "")
		s.mu.Lock()
		port := firstPort + len(s.consoles)%100
		s.consoles[strconv.Itoa(port)] = console{kind: kind, path: where, user: c.user}
		s.mu.Unlock()
		o := object{"port": strconv.Itoa(port), "ticket": s.ticket("PVEVNC", strconv.Itoa(port), c.user+":"+where), "user": c.user, "upid": upid}
		if kind == "vncproxy" {
			o["cert"] = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate()}))
		}
		return o, nil
	}
}

// websocketGUID is the constant of RFC 6455, section 1.3.
const websocketGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// websocket connects a console: a terminal that demands "user:ticket\n", answers OK and echoes.
func websocket(s *Server, c *call) (any, *failure) {
	port, r := c.params["port"], c.r
	s.mu.Lock()
	con, ok := s.consoles[port]
	s.mu.Unlock()
	data, valid := s.open("PVEVNC", c.params["vncticket"], con.user+":"+con.path, consoleLife)
	switch {
	case !ok || !valid || data != port || con.user != c.user || con.path+"/vncwebsocket" != c.path.String():
		s.syslog("pvedaemon", fmt.Sprintf("authentication failure; rhost=%s user=%s msg=invalid PVEVNC ticket", c.rhost, c.user))
		return nil, fail(http.StatusUnauthorized, "invalid PVEVNC ticket")
	case !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") || r.Header.Get("Sec-WebSocket-Version") != "13" || r.Header.Get("Sec-WebSocket-Key") == "":
		return nil, fail(http.StatusBadRequest, "unable to handshake websocket")
	}
	s.access(c, http.StatusSwitchingProtocols, 0)
	conn, rw, err := http.NewResponseController(c.w).Hijack()
	if err != nil {
		return nil, fail(http.StatusInternalServerError, "%v", err)
	}
	c.done = true
	defer conn.Close() //nolint:errcheck // the session is over
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + websocketGUID))
	fmt.Fprintf(rw, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: %s\r\n", base64.StdEncoding.EncodeToString(sum[:]))
	if strings.Contains(r.Header.Get("Sec-WebSocket-Protocol"), "binary") {
		fmt.Fprint(rw, "Sec-WebSocket-Protocol: binary\r\n")
	}
	fmt.Fprint(rw, "\r\n")
	_ = rw.Flush() // the loop ends when the connection is gone
	terminal(rw, con, c.user+":"+c.params["vncticket"]+"\n")
	return nil, nil
}

// maxFrame is the largest payload that pveproxy forwards.
const maxFrame = 128 << 10

// terminal speaks the protocol of xterm.js: a login line, then frames "0:LENGTH:DATA", "1:COLUMNS:ROWS:" and "2".
func terminal(rw *bufio.ReadWriter, con console, login string) {
	loggedIn := con.kind != "termproxy"
	if loggedIn && writeFrame(rw, []byte("RFB 003.008\n")) != nil {
		return
	}
	for {
		payload, op, err := readFrame(rw.Reader)
		if err != nil || op == 8 {
			return
		}
		switch {
		case op == 9:
			continue
		case !loggedIn:
			if string(payload) != login {
				return
			}
			loggedIn = true
			err = writeFrame(rw, []byte("OK"))
		case con.kind != "termproxy":
			err = writeFrame(rw, payload)
		default:
			for _, data := range terminalInput(string(payload)) {
				err = writeFrame(rw, []byte(data))
			}
		}
		if err != nil {
			return
		}
	}
}

// terminalInput takes the typed text out of messages; sizes and pings carry none.
func terminalInput(s string) []string {
	var out []string
	for s != "" {
		switch s[0] {
		case '0':
			_, rest, _ := strings.Cut(s, ":")
			length, data, ok := strings.Cut(rest, ":")
			n, err := strconv.Atoi(length)
			if !ok || err != nil || n < 0 || n > len(data) {
				return out
			}
			out = append(out, data[:n])
			s = data[n:]
		case '1':
			parts := strings.SplitN(s, ":", 4)
			if len(parts) < 4 {
				return out
			}
			s = parts[3]
		default:
			s = s[1:]
		}
	}
	return out
}

var errFrame = errors.New("a frame that pveproxy does not accept")

// readFrame reads one frame; like pveproxy it refuses fragments, extensions, unmasked and large frames.
func readFrame(r *bufio.Reader) (payload []byte, op byte, err error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, 0, err
	}
	op = head[0] & 15
	if head[0]&0xf0 != 0x80 || op == 0 || head[1]&0x80 == 0 {
		return nil, 0, errFrame
	}
	n := uint64(head[1] & 127)
	switch n {
	case 126:
		var b [2]byte
		_, err = io.ReadFull(r, b[:])
		n = uint64(binary.BigEndian.Uint16(b[:]))
	case 127:
		var b [8]byte
		_, err = io.ReadFull(r, b[:])
		n = binary.BigEndian.Uint64(b[:])
	}
	if err != nil || n > maxFrame {
		return nil, 0, errors.Join(err, errFrame)
	}
	mask := make([]byte, 4)
	payload = make([]byte, n)
	if _, err := io.ReadFull(r, mask); err != nil {
		return nil, 0, err
	}
	if _, err := io.ReadFull(r, payload); err != nil {
		return nil, 0, err
	}
	for i := range payload {
		payload[i] ^= mask[i%4]
	}
	return payload, op, nil
}

// writeFrame writes one binary frame.
func writeFrame(rw *bufio.ReadWriter, payload []byte) error {
	head := []byte{0x82, byte(len(payload))}
	if n := len(payload); n > 125 && n <= 0xffff {
		head = []byte{0x82, 126, byte(n >> 8), byte(n)}
	} else if n > 0xffff {
		head = binary.BigEndian.AppendUint64([]byte{0x82, 127}, uint64(n))
	}
	if _, err := rw.Write(head); err != nil {
		return err
	}
	if _, err := rw.Write(payload); err != nil {
		return err
	}
	return rw.Flush()
}
