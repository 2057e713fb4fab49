// Package client asks the API of Proxmox VE: GET requests with a token or a ticket, over TLS that is pinned by a
// certificate authority or by a fingerprint, with retries, limits and errors that name the resource. It returns the raw
// JSON of each answer, because a judgement needs evidence, and decodes it tolerantly: the Perl behind the API sends
// numbers as strings and booleans as 0, 1, "1" or true.
//
// It knows no resource by name and changes nothing: apart from the login it sends GET only. It must never show a
// secret: no error holds the token, the password or the ticket. The network, the clock and waiting are given by the caller.
package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Limits of one request.
const (
	// DefaultTimeout bounds one attempt, from the dial to the last byte. PVE itself gives up on a peer node after 30 s.
	DefaultTimeout = 30 * time.Second
	// MaxBody is the largest answer that is read, in bytes; 10,000 guests in /cluster/resources are 5 MB.
	MaxBody = 32 << 20
	// DefaultAttempts is how often a request is tried in all.
	DefaultAttempts = 4
	// firstWait is the pause before the second attempt; each further one is twice as long.
	firstWait = 250 * time.Millisecond
)

// Options say how the API is reached.
type Options struct {
	// Host is "pve1" or "pve1:8006"; the port is 8006 when left out.
	Host string
	// Token is an API token, "user@realm!name=secret". Without it [Client.Login] has to be called.
	Token string
	// Fingerprint is the SHA-256 of the server's certificate in hex, with or without colons. It replaces all other checks
	// of the certificate.
	Fingerprint string
	// CA holds the authorities to trust; nil means those of the system. CAName is what it came from, for errors.
	CA     *x509.CertPool
	CAName string
	// Transport replaces the connection, for tests; the options about certificates then have no effect.
	Transport http.RoundTripper
	// Sleep waits between attempts; nil waits by the clock.
	Sleep func(ctx context.Context, d time.Duration) error
	// Timeout bounds one attempt, and Attempts is how many there are; 0 means the defaults.
	Timeout  time.Duration
	Attempts int
	// Parallel is how many connections are kept open; 0 means 8.
	Parallel int
}

// Client asks one cluster. It is safe for concurrent use.
type Client struct {
	base  string
	host  string
	http  *http.Client
	opts  Options
	token string
	login ticket
}

// New checks the options and returns a client; nothing is sent yet.
func New(o Options) (*Client, error) {
	if o.Attempts <= 0 {
		o.Attempts = DefaultAttempts
	}
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Parallel <= 0 {
		o.Parallel = 8
	}
	if o.Sleep == nil {
		o.Sleep = sleep
	}
	host, err := hostPort(o.Host)
	if err != nil {
		return nil, err
	}
	if o.Token != "" && !ValidToken(o.Token) {
		return nil, errors.New("the API token is malformed: it is user@realm!name=secret, as Proxmox VE shows it once when the token is made")
	}
	c := &Client{base: "https://" + host + "/api2/json", host: host, opts: o, token: o.Token}
	transport := o.Transport
	if transport == nil {
		conf, err := tlsConfig(o, host)
		if err != nil {
			return nil, err
		}
		transport = &http.Transport{
			DialContext:           (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			TLSClientConfig:       conf,
			TLSHandshakeTimeout:   10 * time.Second,
			MaxIdleConnsPerHost:   o.Parallel,
			MaxConnsPerHost:       o.Parallel,
			IdleConnTimeout:       30 * time.Second,
			ResponseHeaderTimeout: o.Timeout,
			TLSNextProto:          map[string]func(string, *tls.Conn) http.RoundTripper{}, // pveproxy speaks HTTP/1.1 only
		}
	}
	c.http = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return errors.New("the API redirects, which Proxmox VE never does; is this a Proxmox VE node?")
	}}
	return c, nil
}

// Host is the address that is asked, with its port.
func (c *Client) Host() string { return c.host }

// User is who asks: the id of the token without its secret, or the user who logged in.
func (c *Client) User() string {
	if c.token != "" {
		id, _, _ := strings.Cut(c.token, "=")
		return id
	}
	return c.login.user()
}

// ValidToken reports whether s has the form user@realm!name=secret.
func ValidToken(s string) bool {
	id, secret, ok := strings.Cut(s, "=")
	user, name, ok2 := strings.Cut(id, "!")
	return ok && ok2 && secret != "" && name != "" && strings.Contains(user, "@") && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == ';' })
}

func hostPort(s string) (string, error) {
	if s == "" || strings.ContainsAny(s, "/?#@ ") {
		return "", fmt.Errorf("%q is no address of a node; it is a host name or an address, with :8006 or another port", s)
	}
	if host, port, err := net.SplitHostPort(s); err == nil && host != "" && port != "" {
		return net.JoinHostPort(host, port), nil
	}
	return net.JoinHostPort(strings.Trim(s, "[]"), "8006"), nil
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Answer is what the API said to one GET.
type Answer struct {
	// Resource is the path that was asked, with its query: "/access/users?full=1".
	Resource string
	// Data is the JSON below "data", as it came.
	Data json.RawMessage
}

// Get asks a resource, "/cluster/resources", and tries again when the failure may pass: 502, 503, 595, 596 and connections that
// break. The error is an [*Error] when the API answered.
func (c *Client) Get(ctx context.Context, path string, query url.Values) (Answer, error) {
	resource := path
	if len(query) > 0 {
		resource += "?" + query.Encode()
	}
	wait := firstWait
	for attempt := 1; ; attempt++ {
		data, err := c.once(ctx, http.MethodGet, resource, nil)
		if err == nil {
			return Answer{Resource: resource, Data: data}, nil
		}
		if attempt >= c.opts.Attempts || !passing(err) || ctx.Err() != nil {
			return Answer{}, err
		}
		if err := c.opts.Sleep(ctx, wait); err != nil {
			return Answer{}, &Error{Method: http.MethodGet, Path: resource, Host: c.host, Err: err}
		}
		wait *= 2
	}
}

// pageSize is how many entries one page asks for; PVE's own default is 50.
const pageSize = 500

// Pages asks a list that PVE gives out in pages (task lists and logs take start and limit) until it ends or there are atMost
// entries.
func (c *Client) Pages(ctx context.Context, path string, query url.Values, atMost int) (Answer, error) {
	var all []json.RawMessage
	for len(all) < atMost {
		q := url.Values{"start": {fmt.Sprint(len(all))}, "limit": {fmt.Sprint(min(pageSize, atMost-len(all)))}}
		for k, v := range query {
			q[k] = v
		}
		a, err := c.Get(ctx, path, q)
		if err != nil {
			return Answer{}, err
		}
		var page []json.RawMessage
		if err := json.Unmarshal(a.Data, &page); err != nil {
			return Answer{}, shape(path, "a list", a.Data)
		}
		all = append(all, page...)
		if len(page) < min(pageSize, atMost-len(all)+len(page)) {
			break
		}
	}
	data, err := json.Marshal(all)
	if all == nil {
		data = []byte("[]")
	}
	return Answer{Resource: path, Data: data}, err
}

// once sends one request and returns what is below "data".
func (c *Client) once(ctx context.Context, method, resource string, form url.Values) (json.RawMessage, error) {
	ctx, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	fail := func(err error) error { return &Error{Method: method, Path: resource, Host: c.host, Err: err} }
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode()) // with a length: pveproxy refuses chunked bodies
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+resource, body)
	if err != nil {
		return nil, fail(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	c.authorize(req)
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fail(plain(err))
	}
	defer resp.Body.Close() //nolint:errcheck // it was only read
	text, err := io.ReadAll(io.LimitReader(resp.Body, MaxBody+1))
	switch {
	case resp.StatusCode >= 400:
		return nil, c.refused(method, resource, resp, text)
	case err != nil:
		return nil, fail(fmt.Errorf("the answer ends early: %w", plain(err)))
	case len(text) > MaxBody:
		return nil, fail(fmt.Errorf("the answer has more than %d MB", MaxBody>>20))
	case resp.StatusCode != http.StatusOK:
		return nil, fail(fmt.Errorf("the answer has the status %d; is this a Proxmox VE node?", resp.StatusCode))
	}
	var envelope struct {
		Data json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(text, &envelope); err != nil {
		return nil, fail(fmt.Errorf("the answer is no JSON (%d bytes): %w", len(text), err))
	}
	if envelope.Data == nil {
		envelope.Data = json.RawMessage("null")
	}
	return envelope.Data, nil
}

// authorize adds the credentials.
func (c *Client) authorize(req *http.Request) {
	if c.token != "" {
		req.Header.Set("Authorization", "PVEAPIToken="+c.token)
		return
	}
	c.login.authorize(req)
}
