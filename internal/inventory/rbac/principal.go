package rbac

import (
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/castellan-project/castellan/internal/pve/usercfg"
)

// State says whether an identity can be used at present. Permissions are computed for all of them: who is disabled today may
// be enabled tomorrow.
type State string

// The states of an identity.
const (
	Enabled  State = "enabled"
	Disabled State = "disabled"
	Expired  State = "expired"
	// Missing is an identity that an entry or a group names and that does not exist: whoever creates it gets the permissions.
	Missing State = "missing"
	// OwnerUnusable is a token whose user is disabled, expired or missing.
	OwnerUnusable State = "owner unusable"
)

// Principal is an identity: a user or a token.
type Principal struct {
	ID string `json:"id"`
	// Kind is user or token.
	Kind  string `json:"kind"`
	State State  `json:"state"`
	// Owner is the user of a token.
	Owner string `json:"owner,omitempty"`
	// Separated is true for a token with permissions of its own.
	Separated bool `json:"privilege_separated,omitempty"`
}

// Principal describes an identity at a time; false when nothing in user.cfg names it.
func (e *Engine) Principal(id string, now time.Time) (Principal, bool) {
	if owner, _, isToken := usercfg.SplitToken(id); isToken {
		t, u, ok := e.cfg.Token(id)
		if !ok {
			return Principal{ID: id, Kind: "token", State: Missing, Owner: owner}, false
		}
		p := Principal{ID: id, Kind: "token", State: Enabled, Owner: owner, Separated: t.Separated}
		switch {
		case past(t.Expire, now):
			p.State = Expired
		case userState(u, now) != Enabled:
			p.State = OwnerUnusable
		}
		return p, true
	}
	p := Principal{ID: id, Kind: "user", State: Missing}
	u := e.cfg.Users[id]
	if u == nil {
		return p, len(e.groups[id])+len(e.named[id]) > 0
	}
	p.State = userState(u, now)
	return p, true
}

func userState(u *usercfg.User, now time.Time) State {
	switch {
	case !u.Enabled:
		return Disabled
	case past(u.Expire, now):
		return Expired
	}
	return Enabled
}

// past reports whether a time of expiry is over; PVE lets the last second pass.
func past(expire int64, now time.Time) bool {
	return expire != 0 && expire != math.MaxInt64 && expire < now.Unix()
}

// Principals returns all identities that user.cfg names, sorted: users, tokens, and users that only entries or groups name.
func (e *Engine) Principals() []string {
	ids := map[string]bool{}
	for id, u := range e.cfg.Users {
		ids[id] = true
		for _, t := range u.Tokens {
			ids[t.ID] = true
		}
	}
	for id := range e.groups {
		ids[id] = true
	}
	for id := range e.named {
		if usercfg.ValidUser(id) {
			ids[id] = true
		}
	}
	return slices.Sorted(maps.Keys(ids))
}

// Holder is an identity that holds a privilege at a path, with what gives it.
type Holder struct {
	Principal
	// Propagates is true when the privilege counts for what is below the path as well.
	Propagates bool `json:"propagates"`
	// Roles are the roles that give it.
	Roles []string `json:"roles"`
	// Chain says through what, in words, from the identity to the entry.
	Chain []string `json:"chain"`
	// Via are the entries behind the chain; empty for root@pam.
	Via []Origin `json:"via,omitempty"`
}

// WhoCan returns the identities that hold a privilege at a path, sorted by name, in whatever state they are.
func (e *Engine) WhoCan(priv usercfg.Privs, path string, now time.Time) []Holder {
	path, ok := clean(path)
	if !ok {
		return nil
	}
	var holders []Holder
	kin := map[string]Perms{}
	for _, id := range e.Principals() {
		k := e.Kin(id)
		perms, known := kin[k]
		if !known {
			perms = e.permissions(id, path)
			kin[k] = perms
		}
		if perms.Set&priv == 0 {
			continue
		}
		p, _ := e.Principal(id, now)
		h := Holder{Principal: p, Propagates: perms.Propagate&priv != 0, Roles: []string{}}
		h.Via, h.Chain = e.chain(p, priv, path)
		for _, o := range h.Via {
			h.Roles = append(h.Roles, o.Role)
		}
		slices.Sort(h.Roles)
		h.Roles = slices.Compact(h.Roles)
		holders = append(holders, h)
	}
	return holders
}

// Chain says in words through what an identity holds a privilege at a path, from the identity to the entry.
func (e *Engine) Chain(p Principal, priv usercfg.Privs, path string) []string {
	_, chain := e.chain(p, priv, path)
	return chain
}

// chain says through which entries an identity holds a privilege at a path.
func (e *Engine) chain(p Principal, priv usercfg.Privs, path string) ([]Origin, []string) {
	switch {
	case p.ID == usercfg.RootUser:
		return []Origin{{Role: Administrator, Member: p.ID, Path: "/", Propagate: true}}, []string{"root@pam may do everything, whatever user.cfg says"}
	case p.Kind == "token" && !p.Separated:
		via, chain := e.chain(Principal{ID: p.Owner, Kind: "user"}, priv, path)
		return via, append([]string{"no privilege separation: all that " + p.Owner + " may"}, chain...)
	}
	var via []Origin
	var chain []string
	for _, o := range e.effective(p.ID, path) {
		if r := e.cfg.Roles[o.Role]; r != nil && r.Privs&priv != 0 {
			via = append(via, o)
			chain = append(chain, o.Words(path))
		}
	}
	switch {
	case p.Kind != "token":
	case p.Owner == usercfg.RootUser:
		chain = append(chain, "a token of root@pam is not cut to what its user may")
	default:
		chain = append(chain, "and "+p.Owner+" may as well")
	}
	return via, chain
}

// Words says an origin in words, seen from a path.
func (o Origin) Words(path string) string {
	var b strings.Builder
	if g, ok := strings.CutPrefix(o.Member, "@"); ok {
		b.WriteString("group " + g + ": ")
	}
	b.WriteString(o.Role + " on " + o.Path)
	switch {
	case o.Pool != "":
		b.WriteString(", and the pool " + o.Pool + " holds it")
	case o.Path != path:
		b.WriteString(", passed down")
	}
	return b.String()
}
