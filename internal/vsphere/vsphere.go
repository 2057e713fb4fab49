// Package vsphere reads and changes virtual machines through the API of vCenter or of one ESXi host, by govmomi. It turns the
// API's objects into plain values; what is safe, and what has to be changed, is not its matter. It never keeps a password longer
// than the login, and never puts one into an error.
package vsphere

import (
	"context"
	"crypto/sha1" //nolint:gosec // vSphere shows SHA-1 thumbprints up to version 7; they are compared, not trusted for more
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/session"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/soap"
)

// Options say where the API is and who asks.
type Options struct {
	// Host is host or host:port; User the whole name, as administrator@vsphere.local.
	Host, User string
	// Password is used for the login only.
	Password string
	// Thumbprint pins the certificate: SHA-256 (or SHA-1, as vSphere 7 shows it) in hexadecimal, with or without colons. Empty
	// means that the system's authorities must vouch for it.
	Thumbprint string
	// Timeout bounds one call, 0 for a minute.
	Timeout time.Duration
}

// Client is a session.
type Client struct {
	vim     *vim25.Client
	session *session.Manager
	timeout time.Duration
	host    string
}

// ErrLogin means that the user or password is wrong.
var ErrLogin = errors.New("the user name or password is wrong")

// CertificateError means that the certificate of the server is not the one that is wanted.
type CertificateError struct {
	Host string
	// Thumbprint is the SHA-256 of what the server showed.
	Thumbprint string
	Err        error
}

func (e *CertificateError) Error() string {
	return fmt.Sprintf("the certificate of %s is not trusted: %v; if this is its certificate, pin it with --vsphere-thumbprint %s", e.Host, e.Err, e.Thumbprint)
}

// Unwrap gives the reason.
func (e *CertificateError) Unwrap() error { return e.Err }

// Dial connects and logs in.
func Dial(ctx context.Context, o Options) (*Client, error) {
	if o.Timeout <= 0 {
		o.Timeout = time.Minute
	}
	if o.Host == "" || strings.ContainsAny(o.Host, "/@?# \t\r\n") {
		return nil, fmt.Errorf("%q is no address of a vCenter or ESXi host", o.Host)
	}
	config, err := tlsConfig(o)
	if err != nil {
		return nil, err
	}
	soapClient := soap.NewClient(&url.URL{Scheme: "https", Host: o.Host, Path: vim25.Path}, false)
	transport := soapClient.DefaultTransport()
	transport.TLSClientConfig = config
	soapClient.Client.Transport = drained{transport}
	soapClient.Timeout = o.Timeout
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	vim, err := vim25.NewClient(ctx, soapClient)
	if err != nil {
		return nil, explain(o.Host, err)
	}
	c := &Client{vim: vim, session: session.NewManager(vim), timeout: o.Timeout, host: o.Host}
	if err := c.session.Login(ctx, url.UserPassword(o.User, o.Password)); err != nil {
		return nil, explain(o.Host, err)
	}
	return c, nil
}

// drained reads answers to their end: the decoder stops at the last element, and a connection of which something is left unread
// is not used again. Thousands of calls would be thousands of TLS handshakes.
type drained struct{ http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (d drained) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := d.RoundTripper.RoundTrip(r)
	if err == nil {
		res.Body = drainedBody{res.Body}
	}
	return res, err
}

type drainedBody struct{ io.ReadCloser }

// maxRest bounds what is read of an answer that nobody wants any more, in bytes.
const maxRest = 64 << 10

// Close implements [io.Closer].
func (b drainedBody) Close() error {
	_, _ = io.CopyN(io.Discard, b.ReadCloser, maxRest) // what cannot be read any more costs a connection, and nothing else
	return b.ReadCloser.Close()
}

// Close ends the session.
func (c *Client) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return (&govmomi.Client{Client: c.vim, SessionManager: c.session}).Logout(ctx)
}

// About names the product and its version.
func (c *Client) About() string { return c.vim.ServiceContent.About.FullName }

// explain puts what went wrong into a user's words. The text of a fault may repeat what was sent, so it is not passed on.
func explain(host string, err error) error {
	var unsafe *CertificateError
	switch {
	case errors.As(err, &unsafe):
		return unsafe
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s does not answer in time", host)
	case soap.IsSoapFault(err):
		switch name := faultName(err); name {
		case "InvalidLogin":
			return fmt.Errorf("cannot log in to %s: %w", host, ErrLogin)
		default:
			return fmt.Errorf("%s refuses: %s", host, name)
		}
	}
	return fmt.Errorf("cannot reach the API of %s: %w", host, err)
}

// faultName is the name of a fault of the API: InvalidLogin, NoPermission, ...
func faultName(err error) string {
	if !soap.IsSoapFault(err) {
		return ""
	}
	name := fmt.Sprintf("%T", soap.ToSoapFault(err).VimFault())
	if i := strings.LastIndexByte(name, '.'); i >= 0 && name[i+1:] != "" {
		return name[i+1:]
	}
	if strings.Contains(soap.ToSoapFault(err).String, "Login failure") || strings.Contains(soap.ToSoapFault(err).String, "incorrect user name or password") {
		return "InvalidLogin"
	}
	return "the call failed"
}

// tlsConfig verifies the server by its thumbprint or by the authorities of the system. The check is ours in both cases, so that
// a refusal can show the thumbprint.
func tlsConfig(o Options) (*tls.Config, error) {
	var pinned []byte
	if o.Thumbprint != "" {
		b, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(o.Thumbprint), ":", ""))
		if err != nil || len(b) != sha256.Size && len(b) != sha1.Size {
			return nil, fmt.Errorf("%q is no thumbprint: it has 64 hexadecimal digits (SHA-256), or 40 (SHA-1)", o.Thumbprint)
		}
		pinned = b
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, //nolint:gosec // VerifyConnection verifies
		VerifyConnection: func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) == 0 {
				return &CertificateError{Host: o.Host, Err: errors.New("it shows none")}
			}
			return verify(o.Host, s, pinned)
		},
	}, nil
}

func verify(host string, s tls.ConnectionState, pinned []byte) error {
	leaf := s.PeerCertificates[0]
	sum := sha256.Sum256(leaf.Raw)
	fail := func(err error) error {
		return &CertificateError{Host: host, Thumbprint: strings.ToUpper(hex.EncodeToString(sum[:])), Err: err}
	}
	if pinned != nil {
		old := sha1.Sum(leaf.Raw) //nolint:gosec // see the import
		if string(pinned) == string(sum[:]) || string(pinned) == string(old[:]) {
			return nil
		}
		return fail(errors.New("it is another one than the pinned thumbprint says"))
	}
	between := x509.NewCertPool()
	for _, c := range s.PeerCertificates[1:] {
		between.AddCert(c)
	}
	if _, err := leaf.Verify(x509.VerifyOptions{DNSName: s.ServerName, Intermediates: between}); err != nil {
		return fail(err)
	}
	return nil
}
