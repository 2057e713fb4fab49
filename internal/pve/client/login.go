package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
)

// ticket is the session of a login.
type ticket struct {
	mu         sync.RWMutex
	name       string
	value      string
	csrf       string
	passphrase string
}

func (t *ticket) user() string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.name
}

func (t *ticket) secrets() []string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return []string{t.value, t.csrf, t.passphrase}
}

func (t *ticket) authorize(req *http.Request) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.value == "" {
		return
	}
	req.AddCookie(&http.Cookie{Name: "PVEAuthCookie", Value: url.QueryEscape(t.value)})
	if req.Method != http.MethodGet {
		req.Header.Set("CSRFPreventionToken", t.csrf)
	}
}

// Factor answers the challenge of a second factor: it returns "totp:123456" or "recovery:...".
type Factor func() (string, error)

// Login gets a ticket, which lives for two hours; [Client.Renew] gets the next one with it. Factor is asked when the user has
// a second factor; nil refuses then.
func (c *Client) Login(ctx context.Context, user, password string, factor Factor) error {
	c.login.mu.Lock()
	c.login.name, c.login.passphrase, c.login.value = user, password, ""
	c.login.mu.Unlock()
	t, err := c.access(ctx, url.Values{"username": {user}, "password": {password}})
	if err != nil {
		return err
	}
	if t.NeedTFA {
		if factor == nil {
			return fmt.Errorf("cannot log in as %s: the user has a second factor; use an API token instead", user)
		}
		code, err := factor()
		if err != nil {
			return fmt.Errorf("cannot log in as %s: %w", user, err)
		}
		t, err = c.access(ctx, url.Values{"username": {user}, "password": {code}, "tfa-challenge": {t.Ticket}})
		if err != nil {
			return err
		}
	}
	c.keep(t)
	return nil
}

// Renew replaces the ticket by a fresh one.
func (c *Client) Renew(ctx context.Context) error {
	c.login.mu.RLock()
	user, old := c.login.name, c.login.value
	c.login.mu.RUnlock()
	if old == "" {
		return errors.New("cannot renew a ticket: nobody is logged in")
	}
	t, err := c.access(ctx, url.Values{"username": {user}, "password": {old}})
	if err != nil {
		return err
	}
	c.keep(t)
	return nil
}

type session struct {
	Ticket  string `json:"ticket"`
	CSRF    string `json:"CSRFPreventionToken"`
	NeedTFA Flag   `json:"NeedTFA"`
}

func (c *Client) access(ctx context.Context, form url.Values) (session, error) {
	var s session
	data, err := c.once(ctx, http.MethodPost, "/access/ticket", form)
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(data, &s); err != nil || s.Ticket == "" {
		return s, errors.New("cannot log in: the answer holds no ticket")
	}
	return s, nil
}

func (c *Client) keep(s session) {
	c.login.mu.Lock()
	defer c.login.mu.Unlock()
	c.login.value, c.login.csrf = s.Ticket, s.CSRF
}
