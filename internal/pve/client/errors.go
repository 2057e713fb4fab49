package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
)

// Error is a request that failed. It unwraps to fs.ErrPermission for 401 and 403, so that whoever treats the API as files
// sees what a file would say.
type Error struct {
	Method, Path, Host string
	// Status is the code of the answer; 0 when there was none.
	Status int
	// Reason is the API's own word: "Permission check failed (/vms/100, VM.Audit)".
	Reason string
	// Err is what went wrong without an answer.
	Err error
}

// Error names the resource and what the API said.
func (e *Error) Error() string {
	what := "cannot get " + e.Path
	if e.Method != http.MethodGet {
		what = "cannot " + e.Method + " " + e.Path
	}
	what += " from " + e.Host + ": "
	switch {
	case e.Err != nil:
		return what + e.Err.Error()
	case e.Status == http.StatusUnauthorized:
		return what + fmt.Sprintf("the token or ticket is refused (401 %s)", e.Reason)
	case e.Status == http.StatusForbidden && e.Missing() != "":
		return what + fmt.Sprintf("the privilege %s is missing (403)", e.Missing())
	case e.Status == 595 || e.Status == 596:
		return what + fmt.Sprintf("the node behind the API does not answer (%d %s)", e.Status, e.Reason)
	}
	return what + strings.TrimSpace(fmt.Sprintf("%d %s", e.Status, e.Reason))
}

// Missing is the path and the privilege that a 403 names, "VM.Audit on /vms/100"; "" when it names none.
func (e *Error) Missing() string {
	_, rest, ok := strings.Cut(e.Reason, "Permission check failed (")
	if !ok || e.Status != http.StatusForbidden {
		return ""
	}
	rest, _, _ = strings.Cut(rest, ")")
	path, privs, ok := strings.Cut(rest, ", ")
	if !ok {
		return ""
	}
	return strings.ReplaceAll(privs, "|", " or ") + " on " + path
}

// Unwrap lets callers test for fs.ErrPermission and for the cause.
func (e *Error) Unwrap() error {
	if e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden {
		return fs.ErrPermission
	}
	return e.Err
}

// maxReason bounds what is shown of a server's words.
const maxReason = 200

// refused makes the error of an answer of 400 and above. PVE puts its reason into the status line, and newer versions
// into the body as well.
func (c *Client) refused(method, resource string, resp *http.Response, body []byte) error {
	_, reason, _ := strings.Cut(resp.Status, " ")
	var answer struct {
		Message string            `json:"message"`
		Errors  map[string]string `json:"errors"`
	}
	if json.Unmarshal(body, &answer) == nil && answer.Message != "" {
		reason = answer.Message
	}
	return &Error{Method: method, Path: resource, Host: c.host, Status: resp.StatusCode, Reason: c.hide(clean(reason))}
}

// hide takes secrets out of a server's words, should it repeat them.
func (c *Client) hide(s string) string {
	secrets := c.login.secrets()
	if _, secret, ok := strings.Cut(c.token, "="); ok {
		secrets = append(secrets, secret)
	}
	for _, x := range secrets {
		if x != "" {
			s = strings.ReplaceAll(s, x, "***")
		}
	}
	if len(s) > maxReason {
		s = strings.ToValidUTF8(s[:maxReason], "") + "..."
	}
	return s
}

// clean makes one line of a server's words.
func clean(s string) string {
	s = strings.ToValidUTF8(s, "?")
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' }), " ")
}

// passing reports whether the same request may succeed a moment later.
func passing(err error) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Status {
	case 0:
	case http.StatusBadGateway, http.StatusServiceUnavailable, 595, 596:
		return true
	default:
		return false
	}
	var cert *CertificateError
	if errors.As(err, &cert) {
		return false
	}
	var timeout net.Error
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}

// plain takes the method and the URL out of an error of net/http: our errors name the resource themselves.
func plain(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	var cert *CertificateError
	if errors.As(err, &cert) {
		return cert
	}
	return err
}

// shape says that an answer is of another type than it should be.
func shape(resource, want string, got []byte) error {
	kind := "null"
	switch b := strings.TrimSpace(string(got)); {
	case b == "" || b == "null":
	case b[0] == '[':
		kind = "a list"
	case b[0] == '{':
		kind = "an object"
	case b[0] == '"':
		kind = "a text"
	default:
		kind = "a number or boolean"
	}
	return fmt.Errorf("cannot understand the answer of %s: it is %s where %s is expected", resource, kind, want)
}
