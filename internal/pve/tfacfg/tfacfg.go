// Package tfacfg reads priv/tfa.cfg, the second factors of users: kinds and states only. Secrets, credentials and
// descriptions are decoded into nothing and cannot leave this room. Whether a user needs a factor is not decided here.
//
// The file is JSON since Proxmox VE 7 (the crate proxmox-tfa); before, it held lines "user:kind:base64". Both are read. The
// reading is more tolerant than that of PVE, which refuses fields that it does not know.
package tfacfg

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/pve"
)

// Config is what the file says.
type Config struct {
	// Users by full name; only those with an entry.
	Users map[string]*User
	// Unreadable says why the file could not be understood; then Users means nothing. PVE refuses logins with a second
	// factor in that case.
	Unreadable string
}

// Kind is a kind of second factor, in PVE's words.
type Kind string

// The kinds of factors.
const (
	TOTP     Kind = "totp"
	U2F      Kind = "u2f"
	WebAuthn Kind = "webauthn"
	Yubico   Kind = "yubico"
	// Recovery keys help when another factor is lost or locked; they are none of their own.
	Recovery Kind = "recovery"
)

// Factor is one second factor of a user.
type Factor struct {
	Kind Kind
	// Enabled is false for a factor that is kept but not asked for.
	Enabled bool
	// Created is when it was set up, in seconds since 1970; 0 when the file does not say.
	Created int64
}

// User is what one user has set up.
type User struct {
	ID string
	// Factors without recovery keys.
	Factors []Factor
	// RecoveryKeys is how many recovery keys are not used up; -1 when there are some and the API, which does not count them, was
	// asked.
	RecoveryKeys int
	// TOTPLocked is true after eight wrong codes: TOTP is refused until a recovery key is used or an administrator unlocks it.
	TOTPLocked bool
	// LockedUntil is the end of a lock of all factors in seconds since 1970; 0 when there is none.
	LockedUntil int64
	// Broken is true when the entry of this user was not understood.
	Broken bool
}

// Active returns the kinds of the factors that are asked for, sorted, each once. Where it is empty, PVE asks for no second
// factor, also when disabled ones exist.
func (u *User) Active() []Kind {
	kinds := []Kind{}
	if u == nil {
		return kinds
	}
	for _, f := range u.Factors {
		if f.Enabled {
			kinds = append(kinds, f.Kind)
		}
	}
	slices.Sort(kinds)
	return slices.Compact(kinds)
}

// entry is one factor in the file. Its secret part is not declared, so that it is never decoded.
type entry struct {
	info
	Info *info `json:"info"`
}

type info struct {
	Created float64 `json:"created"`
	Enable  *bool   `json:"enable"`
}

type userEntry struct {
	TOTP     []entry `json:"totp"`
	U2F      []entry `json:"u2f"`
	WebAuthn []entry `json:"webauthn"`
	Yubico   []entry `json:"yubico"`
	Recovery *struct {
		// Entries are salted hashes, null when used; only whether they are there is kept.
		Entries []*present `json:"entries"`
	} `json:"recovery"`
	TOTPLocked  bool    `json:"totp-locked"`
	LockedUntil float64 `json:"tfa-locked-until"`
}

// present swallows any value.
type present struct{}

// UnmarshalJSON keeps nothing.
func (*present) UnmarshalJSON([]byte) error { return nil }

// Parse reads the file. An empty file is no factors.
func Parse(b []byte) (*Config, []pve.Problem) {
	c := &Config{Users: map[string]*User{}}
	b = bytes.TrimSpace(b)
	switch {
	case len(b) == 0:
		return c, nil
	case b[0] != '{':
		return c, c.legacy(string(b))
	}
	var file struct {
		Users map[string]json.RawMessage `json:"users"`
	}
	if err := json.Unmarshal(b, &file); err != nil {
		// The message of the decoder could quote what it stumbled over.
		c.Unreadable = "it is no valid JSON"
		return c, []pve.Problem{pve.Abortf(0, "%s; logins with a second factor are refused", c.Unreadable)}
	}
	var problems []pve.Problem
	for id, raw := range file.Users {
		u := &User{ID: id}
		c.Users[id] = u
		var e userEntry
		if json.Unmarshal(raw, &e) != nil {
			u.Broken = true
			problems = append(problems, pve.Abortf(0, "the entry of %q has an unknown form", clip(id)))
			continue
		}
		u.fill(e)
	}
	slices.SortFunc(problems, func(a, b pve.Problem) int { return strings.Compare(a.Text, b.Text) })
	return c, problems
}

func (u *User) fill(e userEntry) {
	for _, k := range []struct {
		kind    Kind
		entries []entry
	}{{TOTP, e.TOTP}, {U2F, e.U2F}, {WebAuthn, e.WebAuthn}, {Yubico, e.Yubico}} {
		for _, f := range k.entries {
			i := f.info
			if f.Info != nil {
				i = *f.Info
			}
			u.Factors = append(u.Factors, Factor{Kind: k.kind, Enabled: i.Enable == nil || *i.Enable, Created: int64(i.Created)})
		}
	}
	if e.Recovery != nil {
		for _, r := range e.Recovery.Entries {
			if r != nil {
				u.RecoveryKeys++
			}
		}
	}
	u.TOTPLocked, u.LockedUntil = e.TOTPLocked, int64(e.LockedUntil)
}

// ParseAPI reads the answer to GET /access/tfa, which says the same of the users that the asker may see.
func ParseAPI(b []byte) (*Config, []pve.Problem) {
	c := &Config{Users: map[string]*User{}}
	var answer []struct {
		UserID  string `json:"userid"`
		Entries []struct {
			Type    Kind    `json:"type"`
			Created float64 `json:"created"`
			// Enable is a boolean or a number.
			Enable any `json:"enable"`
		} `json:"entries"`
		TOTPLocked  any     `json:"totp-locked"`
		LockedUntil float64 `json:"tfa-locked-until"`
	}
	if json.Unmarshal(b, &answer) != nil {
		c.Unreadable = "the answer of the API has an unknown form"
		return c, []pve.Problem{pve.Abortf(0, "%s", c.Unreadable)}
	}
	for _, a := range answer {
		u := &User{ID: a.UserID, TOTPLocked: on(a.TOTPLocked, false), LockedUntil: int64(a.LockedUntil)}
		for _, e := range a.Entries {
			switch {
			case e.Type != Recovery:
				u.Factors = append(u.Factors, Factor{Kind: e.Type, Enabled: on(e.Enable, true), Created: int64(e.Created)})
			case on(e.Enable, true):
				u.RecoveryKeys = -1
			}
		}
		c.Users[u.ID] = u
	}
	return c, nil
}

// on reads a boolean of the API: true, 1, "1".
func on(v any, missing bool) bool {
	switch v := v.(type) {
	case nil:
		return missing
	case bool:
		return v
	case float64:
		return v != 0
	case string:
		return pve.Truth(v)
	}
	return missing
}

// legacy reads lines "user:kind:base64" of Proxmox VE 6 and before; oath is the old name of totp.
func (c *Config) legacy(text string) []pve.Problem {
	var problems []pve.Problem
	n := 0
	for line := range strings.SplitSeq(text, "\n") {
		n++
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		id, rest, ok := strings.Cut(line, ":")
		kind, _, ok2 := strings.Cut(rest, ":")
		kinds := map[string]Kind{"oath": TOTP, "totp": TOTP, "u2f": U2F, "yubico": Yubico, "webauthn": WebAuthn}
		if !ok || !ok2 || kinds[kind] == "" || !strings.Contains(id, "@") {
			problems = append(problems, pve.Skipf(n, "a line that is neither JSON nor \"user:kind:data\""))
			continue
		}
		u := c.Users[id]
		if u == nil {
			u = &User{ID: id}
			c.Users[id] = u
		}
		u.Factors = append(u.Factors, Factor{Kind: kinds[kind], Enabled: true})
	}
	if len(c.Users) == 0 {
		c.Unreadable = "it is neither JSON nor lines of the old form"
	}
	return problems
}

func clip(s string) string {
	const most = 60
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}
