package pvetest

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/castellan-project/castellan/internal/pve/apischema"
)

// Limits of pveproxy (pve-http-server, PVE::APIServer::AnyEvent).
const (
	maxHeader      = 8 << 10
	maxHeaderLines = 64
	maxBody        = 512 << 10
)

// object is a JSON object of an answer.
type object = map[string]any

// failure is an answer of 400 and above.
type failure struct {
	status int
	reason string
	errors map[string]string
}

func fail(status int, format string, args ...any) *failure {
	return &failure{status: status, reason: fmt.Sprintf(format, args...)}
}

func missingParam(names ...string) *failure {
	f := &failure{status: http.StatusBadRequest, reason: "Parameter verification failed.", errors: map[string]string{}}
	for _, n := range names {
		f.errors[n] = "property is missing and it is not optional"
	}
	return f
}

// call is one request on its way.
type call struct {
	user   string // who asks, "" for nobody
	path   apischema.Path
	params map[string]string
	rhost  string
	// logUser is the name in access.log when it differs from user: a login has none before it.
	logUser string
	w       http.ResponseWriter
	r       *http.Request
	// done is set by a handler that answered by itself (a WebSocket).
	done bool
}

// serve answers one request as pveproxy does.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests++
	s.mu.Unlock()
	c := &call{w: w, r: r, rhost: rhost(r), params: map[string]string{}}
	var fault Fault
	if s.opts.Fault != nil {
		fault = s.opts.Fault(r)
	}
	if fault.Wait > 0 {
		select {
		case <-time.After(fault.Wait):
		case <-r.Context().Done():
			return
		}
	}
	if fault.Reset {
		reset(w)
		return
	}
	data, f := s.answer(c)
	if c.done {
		return
	}
	if fault.Status != 0 {
		data, f = nil, fail(fault.Status, "%s", fault.Reason)
	}
	if f != nil && f.status == http.StatusUnauthorized && s.opts.Delay > 0 {
		time.Sleep(s.opts.Delay)
	}
	s.reply(c, data, f, fault)
}

// rhost is the client as PVE sees it: its socket is dual-stack, so that IPv4 is mapped.
func rhost(r *http.Request) string {
	a, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return netip.AddrFrom16(a.Addr().As16()).String()
}

func reset(w http.ResponseWriter) {
	if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
		_ = conn.Close()
	}
}

// answer finds the method, the caller and the parameters, checks permissions and calls the handler.
func (s *Server) answer(c *call) (any, *failure) {
	r := c.r
	lines := 0
	for _, v := range r.Header {
		lines += len(v)
	}
	switch {
	case !slices.Contains([]string{"GET", "POST", "PUT", "DELETE"}, r.Method):
		return nil, fail(http.StatusNotImplemented, "method '%s' not available", r.Method)
	case lines >= maxHeaderLines:
		return nil, fail(http.StatusBadRequest, "too many http header lines (> %d)", maxHeaderLines)
	case len(r.TransferEncoding) > 0:
		return nil, fail(http.StatusNotImplemented, "chunked transfer encoding not supported")
	case r.ContentLength > maxBody:
		return nil, fail(http.StatusRequestEntityTooLarge, "for data too large")
	}
	path, err := apischema.Canonical(r.URL.EscapedPath())
	if err != nil {
		return nil, fail(http.StatusNotFound, "no such file '%s'", r.URL.Path)
	}
	c.path = path
	if path.Format != "json" && path.Format != "extjs" {
		return nil, fail(http.StatusNotImplemented, "no such uri")
	}
	m, params := s.schema.Lookup(r.Method, path)
	user, f := s.identity(r, m)
	if f != nil {
		return nil, f
	}
	c.user = user
	if m == nil {
		return nil, fail(http.StatusNotImplemented, "Method '%s %s' not implemented", r.Method, path)
	}
	if f := c.collect(params); f != nil {
		return nil, f
	}
	if ok, missing := m.Allowed(s.oracle(user), c.params); !ok {
		return nil, denied(m, user, path, missing)
	}
	if node := c.params["node"]; m.ProxyTo == "node" && !slices.Contains(s.tree.nodes, node) {
		return nil, fail(http.StatusInternalServerError, "hostname lookup '%s' failed - failed to get address info for: %s: Name or service not known", node, node)
	}
	h, ok := handlers()[r.Method+" "+m.Path]
	if !ok {
		return nil, fail(http.StatusNotImplemented, "Method '%s %s' is not part of this test server", r.Method, m.Path)
	}
	return h(s, c)
}

func denied(m *apischema.Method, user string, path apischema.Path, missing string) *failure {
	switch {
	case user == "":
		return fail(http.StatusUnauthorized, "No ticket")
	case m.NoToken && strings.Contains(user, "!"):
		return fail(http.StatusForbidden, "URI '%s' not available with API token, need proper ticket.", path)
	case missing == "":
		return fail(http.StatusForbidden, "Permission check failed")
	}
	return fail(http.StatusForbidden, "Permission check failed (%s)", missing)
}

func (s *Server) oracle(user string) apischema.Oracle {
	return apischema.Oracle{
		Caller:     user,
		Check:      func(path string, privs []string, anyOf bool) bool { return s.can(user, path, privs, anyOf) },
		UserExists: func(u string) bool { _, ok := s.users.Users[u]; return ok },
		GroupsOf:   s.engine.Groups,
	}
}

// collect reads the parameters: the body, then the query, which overrides it; those of the path must not be contradicted.
func (c *call) collect(fromPath map[string]string) *failure {
	take := func(v url.Values) {
		for k, all := range v {
			if k != "_dc" {
				c.params[k] = strings.Join(all, "\x00")
			}
		}
	}
	body, err := io.ReadAll(io.LimitReader(c.r.Body, maxBody+1))
	if err != nil || len(body) > maxBody {
		return fail(http.StatusRequestEntityTooLarge, "for data too large")
	}
	if strings.HasPrefix(c.r.Header.Get("Content-Type"), "application/json") {
		var o map[string]any
		if len(body) > 0 && json.Unmarshal(body, &o) != nil {
			return fail(http.StatusBadRequest, "malformed JSON string")
		}
		for k, v := range o {
			c.params[k] = fmt.Sprint(v)
		}
	} else if v, err := url.ParseQuery(strings.ReplaceAll(string(body), ";", "&")); err == nil {
		take(v)
	}
	if v, err := url.ParseQuery(strings.ReplaceAll(c.r.URL.RawQuery, ";", "&")); err == nil {
		take(v)
	}
	for k, v := range fromPath {
		if old, ok := c.params[k]; ok && old != v {
			return &failure{status: http.StatusBadRequest, reason: "Parameter verification failed.",
				errors: map[string]string{k: "value does not match the one in the path"}}
		}
	}
	maps.Copy(c.params, fromPath)
	return nil
}

// reply writes the answer. Errors carry their reason in the status line and close the connection; below /api2/extjs/
// every answer is 200 and the body tells.
func (s *Server) reply(c *call, data any, f *failure, fault Fault) {
	body := object{"data": data}
	status, reason := http.StatusOK, "OK"
	if f != nil {
		status, reason = f.status, f.reason
		body = object{"data": nil, "message": f.reason + "\n"}
		if len(f.errors) > 0 {
			body["errors"] = f.errors
		}
	}
	if c.path.Format == "extjs" {
		body["success"] = 1
		if f != nil {
			body["success"], body["status"] = 0, f.status
		}
		status, reason = http.StatusOK, "OK"
	}
	text, err := json.Marshal(body)
	if err != nil {
		status, reason, text = http.StatusInternalServerError, err.Error(), []byte(`{"data":null}`)
	}
	if fault.Data != "" && f == nil {
		text = []byte(`{"data":` + fault.Data + `}`)
	}
	s.access(c, status, len(text))
	send(c, status, reason, text, fault.Truncate)
}

// send writes status line, headers and body by hand, because net/http has no words for PVE's reasons.
func send(c *call, status int, reason string, text []byte, truncate bool) {
	if status < 400 && !truncate {
		h := c.w.Header()
		h.Set("Content-Type", "application/json;charset=UTF-8")
		h.Set("Cache-Control", "max-age=0")
		h.Set("Pragma", "no-cache")
		h.Set("Server", "pve-api-daemon/3.0")
		c.w.WriteHeader(status)
		_, _ = c.w.Write(text) // a client that went away
		return
	}
	conn, rw, err := http.NewResponseController(c.w).Hijack()
	if err != nil {
		c.w.WriteHeader(status)
		return
	}
	defer conn.Close() //nolint:errcheck // the session is over
	reason = strings.Join(strings.Fields(reason), " ")
	fmt.Fprintf(rw, "HTTP/1.1 %d %s\r\nCache-Control: max-age=0\r\nConnection: close\r\nServer: pve-api-daemon/3.0\r\nContent-Length: %d\r\n"+
		"Content-Type: application/json;charset=UTF-8\r\nPragma: no-cache\r\n\r\n", status, reason, len(text))
	if truncate {
		text = text[:len(text)/2]
	}
	_, _ = rw.Write(text)
	_ = rw.Flush()
}

// access writes a line of access.log; the month is a number.
func (s *Server) access(c *call, status, bytes int) {
	if s.opts.AccessLog == nil {
		return
	}
	user := c.user
	if c.logUser != "" {
		user = c.logUser
	}
	if user == "" {
		user = "-"
	}
	s.logs.Lock()
	defer s.logs.Unlock()
	fmt.Fprintf(s.opts.AccessLog, "%s - %s [%s] \"%s %s %s\" %d %d\n", c.rhost, user, s.opts.Now().Format("02/01/2006:15:04:05 -0700"),
		c.r.Method, c.r.URL.RequestURI(), c.r.Proto, status, bytes)
}

// syslog writes a line as a daemon of PVE does.
func (s *Server) syslog(daemon, text string) {
	if s.opts.Syslog == nil {
		return
	}
	s.logs.Lock()
	defer s.logs.Unlock()
	fmt.Fprintf(s.opts.Syslog, "%s[%d]: %s\n", daemon, 189, text)
}
