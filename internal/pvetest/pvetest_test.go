package pvetest_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/pve/client"
	"github.com/castellan-project/castellan/internal/pvetest"
)

// buffer is a log that is written and read at the same time.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// clock is a clock that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

const conf = `user:root@pam:1:0:::::
user:alice@pve:1:0:Alice::::
token:alice@pve!ci:0:1::
token:alice@pve!all:0:0::
user:bob@pve:1:0:::::
user:gone@pve:0:0:::::
user:late@pve:1:1000:::::
acl:1:/:alice@pve:PVEAdmin:
acl:1:/vms/100:alice@pve!ci:PVEVMUser:
acl:1:/vms/100:bob@pve:PVEAuditor:
`

func files() map[string][]byte {
	return map[string][]byte{
		"/etc/pve/user.cfg":                        []byte(conf),
		"/etc/pve/nodes/pve1/qemu-server/100.conf": []byte("name: web\nmemory: 512\nnet0: virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1\n[PENDING]\nmemory: 1024\n"),
		"/etc/pve/nodes/pve1/qemu-server/101.conf": []byte("name: db\n"),
		"/etc/pve/nodes/pve1/lxc/200.conf":         []byte("hostname: dns\nlxc.apparmor.profile: unconfined\n"),
		"/etc/pve/storage.cfg":                     []byte("dir: local\n\tpath /var/lib/vz\n\tcontent backup,iso\n"),
		"/etc/hostname":                            []byte("pve1\n"),
	}
}

type fixture struct {
	*pvetest.Server
	clock       *clock
	access, sys *buffer
}

func start(t *testing.T, change func(*pvetest.Options)) *fixture {
	t.Helper()
	f := &fixture{clock: &clock{now: time.Date(2026, 11, 20, 23, 28, 34, 0, time.UTC)}, access: &buffer{}, sys: &buffer{}}
	o := pvetest.Options{Tree: &host.Memory{Files: files()}, Now: f.clock.Now, AccessLog: f.access, Syslog: f.sys,
		Passwords: map[string]string{"root@pam": "toor", "alice@pve": "wonder", "gone@pve": "x", "late@pve": "x"},
		Tokens:    map[string]string{"alice@pve!ci": "c1", "alice@pve!all": "a11"}, TOTP: map[string][]byte{}}
	if change != nil {
		change(&o)
	}
	s, err := pvetest.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	f.Server = s
	t.Cleanup(func() { _ = s.Close() })
	return f
}

func (f *fixture) client(t *testing.T, token string) *client.Client {
	t.Helper()
	c, err := client.New(client.Options{Host: f.Addr(), Token: token, Fingerprint: client.Fingerprint(f.Certificate()),
		Sleep: func(context.Context, time.Duration) error { return nil }, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// raw sends a request as it is and returns the status line and the body.
func (f *fixture) raw(t *testing.T, request string) (status, body string) {
	t.Helper()
	conn, err := tls.Dial("tcp", f.Addr(), &tls.Config{RootCAs: f.Pool(), ServerName: "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, strings.ReplaceAll(request, "\n", "\r\n")); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	line, err := r.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	rest, _ := io.ReadAll(io.LimitReader(r, 1<<16))
	_, b, _ := strings.Cut(string(rest), "\r\n\r\n")
	return strings.TrimSpace(line), b
}

const get = " HTTP/1.1\nHost: x\nConnection: close\n"

func TestStatusLines(t *testing.T) {
	f := start(t, nil)
	token := "Authorization: PVEAPIToken=alice@pve!ci=c1\n\n"
	cases := []struct{ name, request, want string }{
		{"no ticket", "GET /api2/json/version" + get + "\n", "HTTP/1.1 401 No ticket"},
		{"extjs is always 200", "GET /api2/extjs/version" + get + "\n", "HTTP/1.1 200 OK"},
		{"world", "GET /api2/json/access/domains" + get + "\n", "HTTP/1.1 200 OK"},
		{"token", "GET /api2/json/version" + get + token, "HTTP/1.1 200 OK"},
		{"token after a blank", "GET /api2/json/version" + get + "Authorization: PVEAPIToken alice@pve!ci=c1\n\n", "HTTP/1.1 200 OK"},
		{"bad token", "GET /api2/json/version" + get + "Authorization: PVEAPIToken=alice@pve!ci=no\n\n", "HTTP/1.1 401 Authentication failed!"},
		{"bad ticket", "GET /api2/json/version" + get + "Cookie: PVEAuthCookie=PVE:root@pam:00000000::AAAA\n\n", "HTTP/1.1 401 permission denied - invalid PVE ticket"},
		{"the cookie comes first", "GET /api2/json/version" + get + "Cookie: PVEAuthCookie=x\n" + token, "HTTP/1.1 401 permission denied - invalid PVE ticket"},
		{"no such method", "GET /api2/json/nope" + get + token, "HTTP/1.1 501 Method 'GET /nope' not implemented"},
		{"missing privilege", "GET /api2/json/nodes/pve1/qemu/101/config" + get + token, "HTTP/1.1 403 Permission check failed (/vms/101, VM.Audit)"},
		{"token on a ticket method", "PUT /api2/json/access/password" + get + "Content-Length: 0\n" + token, "HTTP/1.1 403 URI '/access/password' not available with API token, need proper ticket."},
		{"HEAD", "HEAD /api2/json/version" + get + token, "HTTP/1.1 501 method 'HEAD' not available"},
		{"OPTIONS", "OPTIONS /api2/json/version" + get + token, "HTTP/1.1 501 method 'OPTIONS' not available"},
		{"chunked", "POST /api2/json/access/ticket HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n\n0\n\n", "HTTP/1.1 501 chunked transfer encoding not supported"},
		{"64 header lines", "GET /api2/json/version" + get + strings.Repeat("X-A: 1\n", 64) + "\n", "HTTP/1.1 400 too many http header lines (> 64)"},
		{"dots", "GET /api2/json/nodes/../version" + get + token, "HTTP/1.1 404 no such file '/api2/json/nodes/../version'"},
		{"the path is contradicted", "GET /api2/json/nodes/pve1/qemu/100/config?vmid=101" + get + token, "HTTP/1.1 400 Parameter verification failed."},
		{"unknown node", "GET /api2/json/nodes/nope/qemu/100/config" + get + token, "HTTP/1.1 500 hostname lookup 'nope' failed - failed to get address info for: nope: Name or service not known"},
		{"no parameters", "POST /api2/json/access/ticket" + get + "Content-Length: 0\n\n", "HTTP/1.1 400 Parameter verification failed."},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got, _ := f.raw(t, c.request); got != c.want {
				t.Errorf("%s\nwant %s", got, c.want)
			}
		})
	}
	_, body := f.raw(t, "GET /api2/extjs/version"+get+"\n")
	var o struct {
		Success, Status int
		Message         string
	}
	if err := json.Unmarshal([]byte(body), &o); err != nil || o.Success != 0 || o.Status != 401 || o.Message != "No ticket\n" {
		t.Errorf("extjs: %s %v", body, err)
	}
}

func TestLogs(t *testing.T) {
	f := start(t, nil)
	form := "username=bob@pve&password=x"
	post := func(form string) {
		f.raw(t, fmt.Sprintf("POST /api2/json/access/ticket HTTP/1.1\nHost: x\nConnection: close\nContent-Type: application/x-www-form-urlencoded\nContent-Length: %d\n\n%s", len(form), form))
	}
	post(form)
	post("username=nobody@pve&password=x")
	post("username=gone@pve&password=x")
	post("username=late@pve&password=x")
	post("username=root@pam&password=wrong")
	post("username=root@pam&password=toor")
	f.raw(t, "GET /api2/json/version"+get+"Authorization: PVEAPIToken=alice@pve!ci=c1\n\n")
	wantSys := []string{
		"pvedaemon[189]: authentication failure; rhost=::ffff:127.0.0.1 user=bob@pve msg=no password set",
		"pvedaemon[189]: authentication failure; rhost=::ffff:127.0.0.1 user=nobody@pve msg=no such user ('nobody@pve')",
		"pvedaemon[189]: authentication failure; rhost=::ffff:127.0.0.1 user=gone@pve msg=user 'gone@pve' is disabled",
		"pvedaemon[189]: authentication failure; rhost=::ffff:127.0.0.1 user=late@pve msg=user 'late@pve' access expired",
		"pvedaemon[189]: authentication failure; rhost=::ffff:127.0.0.1 user=root@pam msg=invalid credentials",
		"pvedaemon[189]: <root@pam> successful auth for user 'root@pam'",
	}
	if got := strings.Split(strings.TrimSpace(f.sys.String()), "\n"); strings.Join(got, "\n") != strings.Join(wantSys, "\n") {
		t.Errorf("syslog:\n%s", strings.Join(got, "\n"))
	}
	lines := strings.Split(strings.TrimSpace(f.access.String()), "\n")
	if want := `::ffff:127.0.0.1 - - [20/11/2026:23:28:34 +0000] "POST /api2/json/access/ticket HTTP/1.1" 401 50`; lines[0] != want {
		t.Errorf("%s\nwant %s", lines[0], want)
	}
	if re := regexp.MustCompile(`^::ffff:127\.0\.0\.1 - root@pam \[.*\] "POST /api2/json/access/ticket HTTP/1\.1" 200 \d+$`); !re.MatchString(lines[5]) {
		t.Error(lines[5])
	}
	if re := regexp.MustCompile(`^::ffff:127\.0\.0\.1 - alice@pve!ci \[`); !re.MatchString(lines[6]) {
		t.Error(lines[6])
	}
}

func TestTickets(t *testing.T) {
	f := start(t, nil)
	ctx := context.Background()
	c := f.client(t, "")
	if err := c.Login(ctx, "alice@pve", "wrong", nil); !errors.Is(err, fs.ErrPermission) || strings.Contains(err.Error(), "wrong") {
		t.Errorf("a wrong password gives %v", err)
	}
	if err := c.Login(ctx, "alice@pve", "wonder", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Get(ctx, "/version", nil); err != nil {
		t.Error(err)
	}
	f.clock.Add(90 * time.Minute)
	if err := c.Renew(ctx); err != nil {
		t.Fatal(err)
	}
	f.clock.Add(90 * time.Minute)
	if _, err := c.Get(ctx, "/version", nil); err != nil {
		t.Errorf("the renewed ticket does not count: %v", err)
	}
	f.clock.Add(31 * time.Minute)
	var e *client.Error
	if _, err := c.Get(ctx, "/version", nil); !errors.As(err, &e) || e.Status != 401 {
		t.Errorf("a ticket of more than two hours gives %v", err)
	}
	if err := c.Renew(ctx); err == nil {
		t.Error("an expired ticket can be renewed")
	}
}

// do sends a request with a ticket by hand.
func (f *fixture) do(t *testing.T, method, path, ticket, csrf string, form url.Values) (int, string) {
	t.Helper()
	h := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: f.Pool()}}}
	r, _ := http.NewRequest(method, f.URL()+path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if ticket != "" {
		r.AddCookie(&http.Cookie{Name: "PVEAuthCookie", Value: url.QueryEscape(ticket)})
	}
	if csrf != "" {
		r.Header.Set("CSRFPreventionToken", csrf)
	}
	resp, err := h.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b)
}

type session struct {
	Data struct {
		Ticket, CSRFPreventionToken string
		NeedTFA                     int
	}
}

func (f *fixture) login(t *testing.T, form url.Values) session {
	t.Helper()
	code, body := f.do(t, "POST", "/access/ticket", "", "", form)
	var s session
	if err := json.Unmarshal([]byte(body), &s); err != nil || code != 200 {
		t.Fatalf("%d %s", code, body)
	}
	return s
}

func TestCSRF(t *testing.T) {
	f := start(t, nil)
	s := f.login(t, url.Values{"username": {"alice"}, "realm": {"pve"}, "password": {"wonder"}})
	if !regexp.MustCompile(`^PVE:alice@pve:[0-9A-F]{8}::[A-Za-z0-9+/=]{344}$`).MatchString(s.Data.Ticket) {
		t.Errorf("the ticket is %s", s.Data.Ticket)
	}
	const path = "/nodes/pve1/qemu/100/status/start"
	if code, body := f.do(t, "POST", path, s.Data.Ticket, "", nil); code != 401 || !strings.Contains(body, "invalid csrf token") {
		t.Errorf("without a CSRF token: %d %s", code, body)
	}
	other := f.login(t, url.Values{"username": {"root@pam"}, "password": {"toor"}})
	if code, _ := f.do(t, "POST", path, s.Data.Ticket, other.Data.CSRFPreventionToken, nil); code != 401 {
		t.Errorf("with the CSRF token of somebody else: %d", code)
	}
	code, body := f.do(t, "POST", path, s.Data.Ticket, s.Data.CSRFPreventionToken, nil)
	if code != 200 || !regexp.MustCompile(`"UPID:pve1:[0-9A-F]{8}:[0-9A-F]{8}:[0-9A-F]{8}:qmstart:100:alice@pve:"`).MatchString(body) {
		t.Errorf("%d %s", code, body)
	}
}

// TestRootMints holds that a ticket of root@pam gets tickets for others, and nobody else's does.
func TestRootMints(t *testing.T) {
	f := start(t, nil)
	root := f.login(t, url.Values{"username": {"root@pam"}, "password": {"toor"}})
	f.login(t, url.Values{"username": {"bob@pve"}, "password": {root.Data.Ticket}})
	alice := f.login(t, url.Values{"username": {"alice@pve"}, "password": {"wonder"}})
	if code, _ := f.do(t, "POST", "/access/ticket", "", "", url.Values{"username": {"bob@pve"}, "password": {alice.Data.Ticket}}); code != 401 {
		t.Errorf("alice's ticket is a password of bob: %d", code)
	}
}

func TestSecondFactor(t *testing.T) {
	secret := []byte("12345678901234567890")
	// The test vectors of RFC 6238, appendix B, cut to six digits.
	for at, want := range map[int64]string{59: "287082", 1111111109: "081804", 20000000000: "353130"} {
		if got := pvetest.TOTP(secret, time.Unix(at, 0)); got != want {
			t.Errorf("TOTP at %d is %s, want %s", at, got, want)
		}
	}
	f := start(t, func(o *pvetest.Options) { o.TOTP["alice@pve"] = secret })
	ctx := context.Background()
	c := f.client(t, "")
	if err := c.Login(ctx, "alice@pve", "wonder", nil); err == nil || !strings.Contains(err.Error(), "second factor") {
		t.Errorf("without a second factor: %v", err)
	}
	if err := c.Login(ctx, "alice@pve", "wonder", func() (string, error) { return "totp:000000", nil }); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("a wrong code: %v", err)
	}
	if !strings.Contains(f.sys.String(), "msg=failed 2nd factor") {
		t.Error("the failure is not logged")
	}
	code := func() (string, error) { return "totp:" + pvetest.TOTP(secret, f.clock.Now()), nil }
	if err := c.Login(ctx, "alice@pve", "wonder", code); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Get(ctx, "/version", nil); err != nil {
		t.Error(err)
	}
	half := f.login(t, url.Values{"username": {"alice@pve"}, "password": {"wonder"}})
	if half.Data.NeedTFA != 1 {
		t.Error("no second factor is asked for")
	}
	if code, _ := f.do(t, "GET", "/version", half.Data.Ticket, "", nil); code != 401 {
		t.Errorf("the challenge counts as a ticket: %d", code)
	}
	if code, _ := f.do(t, "POST", "/access/ticket", "", "", url.Values{"username": {"root@pam"}, "tfa-challenge": {half.Data.Ticket},
		"password": {"totp:" + pvetest.TOTP(secret, f.clock.Now())}}); code != 401 {
		t.Errorf("the challenge of alice counts for root: %d", code)
	}
}

func TestPrivilegeSeparation(t *testing.T) {
	f := start(t, nil)
	ctx := context.Background()
	cut, all := f.client(t, "alice@pve!ci=c1"), f.client(t, "alice@pve!all=a11")
	for _, c := range []struct {
		client *client.Client
		path   string
		ok     bool
	}{{cut, "/nodes/pve1/qemu/100/config", true}, {cut, "/nodes/pve1/qemu/101/config", false}, {cut, "/nodes/pve1/lxc/200/config", false},
		{all, "/nodes/pve1/qemu/101/config", true}, {all, "/nodes/pve1/lxc/200/config", true}, {all, "/cluster/firewall/rules", true}, {cut, "/cluster/firewall/rules", false}} {
		_, err := c.client.Get(ctx, c.path, nil)
		if (err == nil) != c.ok {
			t.Errorf("%s asks %s: %v", c.client.User(), c.path, err)
		}
	}
	a, err := cut.Get(ctx, "/cluster/resources", url.Values{"type": {"vm"}})
	if err != nil {
		t.Fatal(err)
	}
	if list, err := a.Objects(); err != nil || len(list) != 1 || list[0].Text("vmid") != "100" {
		t.Errorf("%s sees %s", cut.User(), a.Data)
	}
}

// TestConsole goes through the handshake of xterm.js: create, connect, log in, type.
func TestConsole(t *testing.T) {
	f := start(t, nil)
	auth := "Authorization: PVEAPIToken=alice@pve!ci=c1\n"
	_, body := f.raw(t, "POST /api2/json/nodes/pve1/qemu/100/termproxy"+get+"Content-Length: 0\n"+auth+"\n")
	var o struct {
		Data struct{ Port, Ticket, User, Upid string }
	}
	if err := json.Unmarshal([]byte(body), &o); err != nil || o.Data.Port == "" || !strings.HasPrefix(o.Data.Ticket, "PVEVNC:") || o.Data.Upid == "" {
		t.Fatalf("%s %v", body, err)
	}
	connect := func(path, ticket string) (*tls.Conn, *bufio.Reader, string) {
		conn, err := tls.Dial("tcp", f.Addr(), &tls.Config{RootCAs: f.Pool(), ServerName: "127.0.0.1"})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "GET /api2/json%s/vncwebsocket?port=%s&vncticket=%s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"+
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: binary\r\n%s\r\n", path, o.Data.Port, url.QueryEscape(ticket), strings.ReplaceAll(auth, "\n", "\r\n"))
		r := bufio.NewReader(conn)
		head := ""
		for {
			l, err := r.ReadString('\n')
			if err != nil || l == "\r\n" {
				return conn, r, head
			}
			head += l
		}
	}
	if _, _, head := connect("/nodes/pve1/qemu/100", o.Data.Ticket+"x"); !strings.HasPrefix(head, "HTTP/1.1 401") {
		t.Errorf("a wrong ticket: %s", head)
	}
	if _, _, head := connect("/nodes/pve1", o.Data.Ticket); strings.HasPrefix(head, "HTTP/1.1 101") {
		t.Errorf("the ticket of a guest opens the node: %s", head)
	}
	conn, r, head := connect("/nodes/pve1/qemu/100", o.Data.Ticket)
	defer conn.Close()
	// The accept value is that of RFC 6455, section 1.3.
	if !strings.HasPrefix(head, "HTTP/1.1 101") || !strings.Contains(head, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") {
		t.Fatal(head)
	}
	send := func(s string) {
		frame := []byte{0x82, 0x80 | 126, byte(len(s) >> 8), byte(len(s)), 1, 2, 3, 4}
		for i := range len(s) {
			frame = append(frame, s[i]^byte(i%4+1))
		}
		if _, err := conn.Write(frame); err != nil {
			t.Fatal(err)
		}
	}
	receive := func() string {
		head := make([]byte, 2)
		if _, err := io.ReadFull(r, head); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, head[1]&127)
		if _, err := io.ReadFull(r, b); err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	send(o.Data.User + ":" + o.Data.Ticket + "\n")
	if got := receive(); got != "OK" {
		t.Fatalf("the login answers %q", got)
	}
	send("1:80:25:0:3:ls\n2")
	if got := receive(); got != "ls\n" {
		t.Errorf("the terminal echoes %q", got)
	}
	f.clock.Add(time.Minute)
	if _, _, head := connect("/nodes/pve1/qemu/100", o.Data.Ticket); !strings.HasPrefix(head, "HTTP/1.1 401") {
		t.Errorf("an old ticket: %s", head)
	}
}

func TestTasks(t *testing.T) {
	f := start(t, nil)
	ctx := context.Background()
	c := f.client(t, "alice@pve!all=a11")
	s := f.login(t, url.Values{"username": {"root@pam"}, "password": {"toor"}})
	for range 60 {
		f.do(t, "POST", "/nodes/pve1/qemu/100/status/start", s.Data.Ticket, s.Data.CSRFPreventionToken, nil)
	}
	a, err := c.Get(ctx, "/nodes/pve1/tasks", nil)
	if list, err2 := a.Objects(); err != nil || err2 != nil || len(list) != 50 || list[0].Text("status") != "running" {
		t.Errorf("one page: %d, %v %v", len(list), err, err2)
	}
	a, err = c.Pages(ctx, "/nodes/pve1/tasks", nil, 1000)
	if list, err2 := a.Objects(); err != nil || err2 != nil || len(list) != 60 {
		t.Errorf("all pages: %d, %v %v", len(list), err, err2)
	}
	a, _ = c.Get(ctx, "/nodes/pve1/qemu/100/status/current", nil)
	if o, err := a.Object(); err != nil || o.Text("status") != "running" {
		t.Errorf("after the start: %s", a.Data)
	}
	f.clock.Add(time.Second)
	a, _ = c.Pages(ctx, "/nodes/pve1/tasks", nil, 1)
	if list, err := a.Objects(); err != nil || len(list) != 1 || list[0].Text("exitstatus") != "OK" {
		t.Errorf("a task that ended: %s", a.Data)
	}
}

// TestFaults holds what our client makes of an API that misbehaves.
func TestFaults(t *testing.T) {
	faults := func(list ...pvetest.Fault) func(*pvetest.Options) {
		var mu sync.Mutex
		return func(o *pvetest.Options) {
			o.Fault = func(*http.Request) pvetest.Fault {
				mu.Lock()
				defer mu.Unlock()
				if len(list) == 0 {
					return pvetest.Fault{}
				}
				next := list[0]
				list = list[1:]
				return next
			}
		}
	}
	s596 := pvetest.Fault{Status: 596, Reason: "Connection timed out"}
	cases := []struct {
		name     string
		faults   []pvetest.Fault
		want     string // in the error; "" for success
		requests int
	}{
		{"596 and then well", []pvetest.Fault{s596, {Status: 502, Reason: "Bad Gateway"}, {Status: 503}}, "", 4},
		{"596 for ever", []pvetest.Fault{s596, s596, s596, s596, s596}, "does not answer (596 Connection timed out)", 4},
		{"500 is not tried again", []pvetest.Fault{{Status: 500, Reason: "got no worker"}}, "500 got no worker", 1},
		{"403", []pvetest.Fault{{Status: 403, Reason: "Permission check failed (/vms/100, VM.Audit)"}}, "the privilege VM.Audit on /vms/100 is missing (403)", 1},
		{"401", []pvetest.Fault{{Status: 401, Reason: "No ticket"}}, "refused (401 No ticket)", 1},
		{"reset and then well", []pvetest.Fault{{Reset: true}, {Reset: true}}, "", 3},
		{"truncated and then well", []pvetest.Fault{{Truncate: true}}, "", 2},
		{"truncated for ever", []pvetest.Fault{{Truncate: true}, {Truncate: true}, {Truncate: true}, {Truncate: true}}, "ends early", 4},
		{"no JSON", []pvetest.Fault{{Data: `[1,`}}, "no JSON", 1},
		{"the reason repeats the secret", []pvetest.Fault{{Status: 500, Reason: "bad token a11 here"}}, "bad token *** here", 1},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := start(t, faults(c.faults...))
			_, err := f.client(t, "alice@pve!all=a11").Get(context.Background(), "/version", nil)
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "/version")):
				t.Errorf("%v; want %s", err, c.want)
			}
			// A connection that breaks before any byte of an answer is tried again by net/http too.
			if got := f.Requests(); got != c.requests && !strings.HasPrefix(c.name, "reset") {
				t.Errorf("%d requests, want %d", got, c.requests)
			}
		})
	}
}

func TestSlow(t *testing.T) {
	f := start(t, func(o *pvetest.Options) {
		o.Fault = func(*http.Request) pvetest.Fault { return pvetest.Fault{Wait: time.Minute} }
	})
	c, err := client.New(client.Options{Host: f.Addr(), Token: "alice@pve!all=a11", CA: f.Pool(), Timeout: 50 * time.Millisecond, Attempts: 2,
		Sleep: func(context.Context, time.Duration) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Get(context.Background(), "/version", nil); err == nil {
		t.Error("the answer was waited for")
	}
}

func TestCertificates(t *testing.T) {
	f := start(t, nil)
	sum := sha256.Sum256([]byte("another"))
	other := client.Fingerprint([]byte("another"))
	_ = sum
	seen := client.Fingerprint(f.Certificate())
	ask := func(o client.Options) error {
		o.Host, o.Token = f.Addr(), "alice@pve!all=a11"
		c, err := client.New(o)
		if err != nil {
			return err
		}
		_, err = c.Get(context.Background(), "/version", nil)
		return err
	}
	if err := ask(client.Options{CA: f.Pool()}); err != nil {
		t.Error(err)
	}
	if err := ask(client.Options{Fingerprint: strings.ToLower(strings.ReplaceAll(seen, ":", ""))}); err != nil {
		t.Error(err)
	}
	before := f.Requests()
	err := ask(client.Options{Fingerprint: other})
	var cert *client.CertificateError
	if !errors.As(err, &cert) || cert.Expected != other || cert.Seen != seen || !strings.Contains(err.Error(), other) || !strings.Contains(err.Error(), seen) {
		t.Errorf("a wrong fingerprint: %v", err)
	}
	if err := ask(client.Options{}); !errors.As(err, &cert) || cert.Seen != seen || !strings.Contains(err.Error(), seen) {
		t.Errorf("an unknown authority: %v", err)
	}
	if f.Requests() != before {
		t.Error("something was sent to a server that is not the right one")
	}
	if err := ask(client.Options{Fingerprint: "12:34"}); err == nil {
		t.Error("a short fingerprint is accepted")
	}
}
