package pvetest

import (
	"crypto"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/castellan-project/castellan/internal/pve/apischema"
)

// Lifetimes of PVE (PVE::AccessControl): a ticket lives two hours, clocks may differ by five minutes.
const (
	ticketLife = 2 * time.Hour
	slack      = 5 * time.Minute
	// challengeLife bounds the time between the two steps of a login with a second factor.
	challengeLife = 10 * time.Minute
)

// ticket signs data: PREFIX:data:HEXTIME::signature. Secret data is signed but not shown.
func (s *Server) ticket(prefix, data, hidden string) string {
	plain := fmt.Sprintf("%s:%s:%08X", prefix, data, s.opts.Now().Unix())
	sum := sha256.Sum256([]byte(plain + ":" + hidden))
	sig, err := rsa.SignPKCS1v15(nil, s.key, crypto.SHA256, sum[:])
	if err != nil {
		return "" // a key of 2048 bits signs 32 bytes
	}
	return plain + "::" + base64.StdEncoding.EncodeToString(sig)
}

// open checks a ticket and returns its data.
func (s *Server) open(prefix, t, hidden string, life time.Duration) (data string, ok bool) {
	plain, sig, found := strings.Cut(t, "::")
	raw, err := base64.StdEncoding.DecodeString(sig)
	rest, found2 := strings.CutPrefix(plain, prefix+":")
	i := strings.LastIndexByte(rest, ':')
	if !found || !found2 || err != nil || i < 0 {
		return "", false
	}
	sum := sha256.Sum256([]byte(plain + ":" + hidden))
	if rsa.VerifyPKCS1v15(&s.key.PublicKey, crypto.SHA256, sum[:], raw) != nil {
		return "", false
	}
	sec, err := strconv.ParseInt(rest[i+1:], 16, 64)
	age := s.opts.Now().Sub(time.Unix(sec, 0))
	return rest[:i], err == nil && age > -slack && age < life
}

func (s *Server) csrfToken(user string, at time.Time) string {
	stamp := fmt.Sprintf("%08X", at.Unix())
	mac := hmac.New(sha256.New, s.csrf)
	mac.Write([]byte(stamp + ":" + user))
	return stamp + ":" + base64.RawStdEncoding.EncodeToString(mac.Sum(nil))
}

func (s *Server) csrfValid(user, token string) bool {
	stamp, _, _ := strings.Cut(token, ":")
	sec, err := strconv.ParseInt(stamp, 16, 64)
	if err != nil {
		return false
	}
	at := time.Unix(sec, 0)
	age := s.opts.Now().Sub(at)
	return age > -slack && age < ticketLife && subtle.ConstantTimeCompare([]byte(token), []byte(s.csrfToken(user, at))) == 1
}

// identity finds out who asks. PVE's order: the cookie, a ticket in Authorization, then a token.
func (s *Server) identity(r *http.Request, m *apischema.Method) (string, *failure) {
	if c, err := r.Cookie("PVEAuthCookie"); err == nil {
		return s.byTicket(r, m, c.Value)
	}
	auth := r.Header.Get("Authorization")
	if v, ok := strings.CutPrefix(auth, "PVEAuthCookie="); ok {
		return s.byTicket(r, m, v)
	}
	for _, sep := range []string{"=", " "} {
		if v, ok := strings.CutPrefix(auth, "PVEAPIToken"+sep); ok {
			return s.byToken(v)
		}
	}
	if m != nil && m.User == "world" {
		return "", nil
	}
	return "", fail(http.StatusUnauthorized, "No ticket")
}

func (s *Server) byTicket(r *http.Request, m *apischema.Method, value string) (string, *failure) {
	if v, err := url.PathUnescape(value); err == nil {
		value = v
	}
	user, ok := s.open("PVE", value, "", ticketLife)
	if !ok || strings.HasPrefix(user, "!tfa!") || s.disabled(user) != "" {
		s.syslog("pveproxy", "authentication failure: invalid ticket")
		return "", fail(http.StatusUnauthorized, "permission denied - invalid PVE ticket")
	}
	// Renewal posts the old ticket as the password; the login itself needs no CSRF token.
	if r.Method != http.MethodGet && (m == nil || m.User != "world") && !s.csrfValid(user, r.Header.Get("CSRFPreventionToken")) {
		return "", fail(http.StatusUnauthorized, "Permission denied - invalid csrf token")
	}
	return user, nil
}

func (s *Server) byToken(value string) (string, *failure) {
	value, _, _ = strings.Cut(value, ";")
	if v, err := url.PathUnescape(value); err == nil {
		value = v
	}
	refuse := func(why string) (string, *failure) {
		s.syslog("pveproxy", "authentication failure: "+why)
		return "", fail(http.StatusUnauthorized, "Authentication failed!")
	}
	id, secret, _ := strings.Cut(value, "=")
	user, name, ok := strings.Cut(id, "!")
	if !ok {
		return refuse("no tokenid specified")
	}
	t, _, ok := s.users.Token(id)
	if !ok {
		return refuse(fmt.Sprintf("no such token '%s' for user '%s'", name, user))
	}
	if why := s.disabled(user); why != "" {
		return refuse(why)
	}
	if t.Expire != 0 && t.Expire < s.opts.Now().Unix() {
		return refuse(fmt.Sprintf("token '%s' access expired", name))
	}
	want, ok := s.opts.Tokens[id]
	if !ok || subtle.ConstantTimeCompare([]byte(want), []byte(secret)) != 1 {
		return refuse("invalid token value!")
	}
	return id, nil
}

// disabled says why a user may not log in, "" when it may.
func (s *Server) disabled(user string) string {
	u, ok := s.users.Users[user]
	switch {
	case !ok:
		return fmt.Sprintf("no such user ('%s')", user)
	case !u.Enabled:
		return fmt.Sprintf("user '%s' is disabled", user)
	case u.Expire != 0 && u.Expire < s.opts.Now().Unix():
		return fmt.Sprintf("user '%s' access expired", user)
	}
	return ""
}

// logIn is POST /access/ticket.
func (s *Server) logIn(c *call) (any, *failure) {
	user, password := c.params["username"], c.params["password"]
	if realm := c.params["realm"]; realm != "" && !strings.Contains(user, "@") {
		user += "@" + realm
	}
	refuse := func(why string) (any, *failure) {
		s.syslog("pvedaemon", fmt.Sprintf("authentication failure; rhost=%s user=%s msg=%s", c.rhost, user, why))
		return nil, fail(http.StatusUnauthorized, "authentication failure")
	}
	if user == "" || password == "" {
		return nil, missingParam("username", "password")
	}
	if why := s.disabled(user); why != "" {
		return refuse(why)
	}
	if challenge := c.params["tfa-challenge"]; challenge != "" {
		if _, ok := s.open("PVE", challenge, user, challengeLife); !ok {
			return refuse("invalid challenge")
		}
		code, ok := strings.CutPrefix(password, "totp:")
		if !ok || !s.totp(user, code) {
			return refuse("failed 2nd factor")
		}
		return s.session(c, user), nil
	}
	if renewed, ok := s.open("PVE", password, "", ticketLife); ok && (renewed == user || renewed == apischema.Root) {
		return s.session(c, user), nil
	}
	want, ok := s.opts.Passwords[user]
	if !ok {
		return refuse("no password set")
	}
	if subtle.ConstantTimeCompare([]byte(want), []byte(password)) != 1 {
		return refuse("invalid credentials")
	}
	// PVE logs the success after the first factor already.
	s.syslog("pvedaemon", fmt.Sprintf("<root@pam> successful auth for user '%s'", user))
	if _, ok := s.opts.TOTP[user]; ok {
		c.logUser = user
		challenge := url.PathEscape(`{"totp":true,"recovery":"unavailable"}`)
		return object{"NeedTFA": 1, "username": user, "ticket": s.ticket("PVE", "!tfa!"+challenge, user)}, nil
	}
	return s.session(c, user), nil
}

func (s *Server) session(c *call, user string) object {
	c.logUser = user
	return object{"username": user, "ticket": s.ticket("PVE", user, ""), "CSRFPreventionToken": s.csrfToken(user, s.opts.Now()),
		"clustername": s.tree.cluster, "cap": s.capabilities(user)}
}

// capabilities are what the web interface shows or hides menus by.
func (s *Server) capabilities(user string) object {
	out := object{}
	for name, path := range map[string]string{"vms": "/vms", "storage": "/storage", "access": "/access", "nodes": "/nodes", "dc": "/", "sdn": "/sdn"} {
		privs := object{}
		for _, p := range s.engine.Permissions(user, path).Set.Names() {
			privs[p] = 1
		}
		out[name] = privs
	}
	return out
}

// totpStep is the time step of RFC 6238.
const totpStep = 30

// TOTP is the code of RFC 6238 (SHA-1, six digits) for a shared secret at a time.
func TOTP(secret []byte, at time.Time) string {
	var counter [8]byte
	binary.BigEndian.PutUint64(counter[:], uint64(at.Unix()/totpStep))
	mac := hmac.New(sha1.New, secret)
	mac.Write(counter[:])
	sum := mac.Sum(nil)
	offset := sum[len(sum)-1] & 15
	return fmt.Sprintf("%06d", (binary.BigEndian.Uint32(sum[offset:])&0x7fffffff)%1_000_000)
}

// totp accepts the present code and those beside it.
func (s *Server) totp(user, code string) bool {
	for _, d := range []time.Duration{0, -totpStep * time.Second, totpStep * time.Second} {
		if subtle.ConstantTimeCompare([]byte(TOTP(s.opts.TOTP[user], s.opts.Now().Add(d))), []byte(code)) == 1 {
			return true
		}
	}
	return false
}
