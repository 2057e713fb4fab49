// Package pvetest is an API server of Proxmox VE for tests and demos. It serves a directory tree (etc/pve/..., as on a
// node or in examples/estate) over TLS and behaves: tickets are signed and expire, a ticket needs a CSRF token to
// change something, API tokens are cut to their privileges, a second factor is asked for, and every method demands the
// permissions of the published schema, judged by internal/inventory/rbac. Its status lines, delays, limits and log
// lines are those of pveproxy, so that what works here works there. Faults can be injected.
//
// It is no Proxmox VE: it changes nothing in the tree, runs no guests, and answers the methods that castellan reads and the gate
// proxies; others end with 501. Not for production: keys live in memory and whoever starts it chooses the secrets.
package pvetest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/inventory/rbac"
	"github.com/castellan-project/castellan/internal/pve/apischema"
	"github.com/castellan-project/castellan/internal/pve/usercfg"
)

// Options say what is served.
type Options struct {
	// Tree holds etc/pve and what else of a node there is; recorded answers in .castellan/run are served as they are.
	Tree host.Reader
	// Release is 8 or 9; 0 means 9.
	Release int
	// Node is the node that answers, which matters for error texts only; empty means the first.
	Node string
	// Now is the clock of tickets and logs.
	Now func() time.Time
	// Rand makes keys and serial numbers; nil is the system's.
	Rand io.Reader
	// Passwords by user, Tokens ("user@realm!name") to their secrets, TOTP by user to the shared secret: users in TOTP are asked for a
	// second factor.
	Passwords map[string]string
	Tokens    map[string]string
	TOTP      map[string][]byte
	// Delay is how long an answer to somebody unauthorised waits; on a real node 3 s.
	Delay time.Duration
	// AccessLog and Syslog get the lines that pveproxy and pvedaemon write; nil discards them.
	AccessLog, Syslog io.Writer
	// Fault is asked for each request; the zero Fault is none.
	Fault func(*http.Request) Fault
}

// Fault is something that goes wrong with one answer.
type Fault struct {
	// Status answers with this code and Reason instead: 401, 403, 500, 596 ...
	Status int
	Reason string
	// Wait delays the answer.
	Wait time.Duration
	// Truncate ends the connection after half of the body.
	Truncate bool
	// Reset ends the connection without an answer.
	Reset bool
	// Data replaces what is below "data", as raw JSON.
	Data string
}

// Server is a running server. It is safe for concurrent use.
type Server struct {
	opts   Options
	schema *apischema.Schema
	users  *usercfg.Config
	engine *rbac.Engine
	tree   *tree
	key    *rsa.PrivateKey
	csrf   []byte
	ca     []byte // PEM
	cert   tls.Certificate
	http   *http.Server
	addr   string
	logs   sync.Mutex

	mu       sync.Mutex
	tasks    map[string]*task
	consoles map[string]console
	serial   int
	requests int
}

// Start reads the tree and serves it on a free port of the loopback interface.
func Start(o Options) (*Server, error) {
	if o.Now == nil || o.Tree == nil {
		return nil, fmt.Errorf("cannot start the API server: it needs a tree and a clock")
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Release == 0 {
		o.Release = 9
	}
	schema, err := apischema.Load(o.Release)
	if err != nil {
		return nil, err
	}
	t, err := readTree(o.Tree)
	if err != nil {
		return nil, fmt.Errorf("cannot serve the tree: %w", err)
	}
	if o.Node == "" {
		o.Node = t.nodes[0]
	}
	users, _ := usercfg.Parse(t.raw("/etc/pve/user.cfg"), o.Release)
	engine, err := rbac.New(users)
	if err != nil {
		return nil, err
	}
	s := &Server{opts: o, schema: schema, users: users, engine: engine, tree: t, tasks: map[string]*task{}, consoles: map[string]console{}}
	if err := s.secrets(); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s.addr = l.Addr().String()
	s.http = &http.Server{Handler: http.HandlerFunc(s.serve), ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: maxHeader, ErrorLog: silent(),
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){}}
	conf := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{s.cert}, NextProtos: []string{"http/1.1"}}
	go func() { _ = s.http.Serve(tls.NewListener(l, conf)) }() // ends with Close
	return s, nil
}

// Close ends the server and its connections.
func (s *Server) Close() error { return s.http.Close() }

// Addr is the address with the port: "127.0.0.1:41234".
func (s *Server) Addr() string { return s.addr }

// URL is where the API is: "https://127.0.0.1:41234/api2/json".
func (s *Server) URL() string { return "https://" + s.addr + "/api2/json" }

// CA is the certificate of the authority that signed the server's, in PEM: what a node has in /etc/pve/pve-root-ca.pem.
func (s *Server) CA() []byte { return s.ca }

// Pool holds the authority alone.
func (s *Server) Pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AppendCertsFromPEM(s.ca)
	return p
}

// Certificate is the server's certificate, as DER.
func (s *Server) Certificate() []byte { return s.cert.Certificate[0] }

// Requests is how many requests came in so far.
func (s *Server) Requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

// can reports whether an identity holds all privileges, or any of them, on a path.
func (s *Server) can(id, path string, privs []string, anyOf bool) bool {
	if id == apischema.Root {
		return true
	}
	have := s.engine.Permissions(id, path).Set
	for _, p := range privs {
		bit, ok := usercfg.PrivOf(p)
		if (ok && have.Has(bit)) == anyOf {
			return anyOf
		}
	}
	return !anyOf
}
