package collect

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/inventory"
	"github.com/castellan-project/castellan/internal/inventory/rbac"
	"github.com/castellan-project/castellan/internal/posture"
	"github.com/castellan-project/castellan/internal/pve"
	"github.com/castellan-project/castellan/internal/pve/realmcfg"
	"github.com/castellan-project/castellan/internal/pve/tfacfg"
	"github.com/castellan-project/castellan/internal/pve/usercfg"
)

const (
	userFile  = "/etc/pve/user.cfg"
	realmFile = "/etc/pve/domains.cfg"
	tfaFile   = "/etc/pve/priv/tfa.cfg"
)

// identityState is what the facts of the subject identity are made from.
type identityState struct {
	c      *Context
	host   host.Reader
	engine *rbac.Engine
	cfg    *usercfg.Config
	realms map[string]*realmcfg.Realm // nil when unknown
	rErr   error
	tfa    *tfacfg.Config // nil when unknown
	tfaErr error
	shadow map[string]bool // users of the realm pve with a password; nil when unknown
	shErr  error
	access map[string]rbac.Access
	facts  posture.IdentityFacts
}

// identityFacts fills the subject identity.
func identityFacts(c *Context, cl *inventory.Cluster) posture.IdentityFacts {
	s := &identityState{c: c, host: c.Host, access: map[string]rbac.Access{}}
	if rec, ok := c.Host.(*recorder); ok {
		s.host = rec.Reader // nothing of what is read here belongs into a bundle: scripts, histories, files below priv/
	}
	s.realmFacts(cl)
	s.secondFactors(cl)
	s.passwords()
	s.files()
	cfg, err := cl.Users.Get()
	if err == nil && cl.Users.Absent && c.API {
		err = posture.Problemf("not-found", "the API did not tell the users")
	}
	if err == nil {
		s.engine, err = rbac.New(cfg)
	}
	if err != nil {
		s.unknownUsers(err)
		return s.facts
	}
	s.cfg = cfg
	s.users()
	s.tokens()
	s.groups()
	s.roles()
	s.entries()
	s.holders()
	s.oddities(cl.Users.Problems)
	return s.facts
}

// unknownUsers says of everything that comes from user.cfg why it is not known.
func (s *identityState) unknownUsers(err error) {
	f := &s.facts
	f.Users = posture.Unknown[[]posture.IdentityUser](err, userFile)
	f.SecondFactors = posture.Unknown[[]string](err, userFile)
	f.Tokens = posture.Unknown[[]posture.IdentityToken](err, userFile)
	f.Groups = posture.Unknown[[]posture.IdentityGroup](err, userFile)
	f.Roles = posture.Unknown[[]posture.IdentityRole](err, userFile)
	f.Entries = posture.Unknown[[]posture.IdentityEntry](err, userFile)
	for _, h := range []*posture.Fact[[]posture.IdentityHolder]{&f.Administrators, &f.Holders, &f.Escalations} {
		*h = posture.Unknown[[]posture.IdentityHolder](err, userFile)
	}
	for _, l := range []*posture.Fact[[]string]{&f.ChangedRoles, &f.Dangling, &f.Repeated, &f.Rejected} {
		*l = posture.Unknown[[]string](err, userFile)
	}
}

func at(line int) string {
	if line == 0 {
		return "default of Proxmox VE"
	}
	return fmt.Sprintf("%s:%d", userFile, line)
}

func (s *identityState) realmFacts(cl *inventory.Cluster) {
	cfg, err := cl.Realms.Get()
	if err != nil {
		s.rErr = err
		s.facts.Realms = posture.Unknown[[]posture.IdentityRealm](err, realmFile)
		return
	}
	s.realms = cfg.Realms
	list := []posture.IdentityRealm{}
	for _, r := range cfg.Sorted() {
		source := fmt.Sprintf("%s:%d", realmFile, r.Line)
		if r.Line == 0 {
			source = "default of Proxmox VE"
		}
		x := posture.IdentityRealm{ID: r.ID, Type: r.Type, Factor: r.TFA, Source: source}
		switch r.Type {
		case "ldap", "ad":
			x.Mode, x.Verified = r.Mode, r.Verify && r.Mode != "ldap"
		case "openid":
			x.IssuerHTTPS = strings.HasPrefix(strings.ToLower(r.IssuerURL), "https://")
			x.Verified, x.Autocreate, x.ClientKey = x.IssuerHTTPS, r.Autocreate, r.ClientKey
		}
		list = append(list, x)
	}
	s.facts.Realms = posture.Known(list, posture.Configured, realmFile)
}

// secondFactors takes what priv/tfa.cfg says, else what the API answers, of which a copy may hold a record.
func (s *identityState) secondFactors(cl *inventory.Cluster) {
	cfg, err := cl.TFA.Get()
	if err == nil && cl.TFA.Absent && !s.complete("/etc/pve/priv") {
		err = posture.Problemf("not-found", "%s is not part of what was read", tfaFile)
	}
	if err != nil {
		if answer, apiErr := inventory.API(s.c.Host, "/access/tfa"); apiErr == nil {
			cfg, _ = tfacfg.ParseAPI(answer)
			err = nil
		}
	}
	if err == nil && cfg.Unreadable != "" {
		err = posture.Problemf("malformed", "%s: %s", tfaFile, cfg.Unreadable)
	}
	if err != nil {
		s.tfaErr = err
		return
	}
	s.tfa = cfg
}

// complete reports whether a missing file below a directory is missing on the node too: pmxcfs shows priv/ to root alone, the API
// shows no files, and a copy may have left the directory out.
func (s *identityState) complete(dir string) bool {
	if s.c.API || s.c.Live && !s.c.Root {
		return false
	}
	_, err := s.host.Stat(dir)
	return err == nil
}

// passwords reads which users of the realm pve have a password. Only the names before the colon are kept.
func (s *identityState) passwords() {
	const file = "/etc/pve/priv/shadow.cfg"
	b, err := s.host.ReadFile(file)
	if host.NotExist(err) && s.complete("/etc/pve/priv") {
		b, err = nil, nil
	}
	if err != nil {
		s.shErr = err
		return
	}
	s.shadow = map[string]bool{}
	for _, l := range host.Lines(b) {
		name, hash, ok := strings.Cut(strings.TrimSpace(l), ":")
		if ok && name != "" && len(hash) > 1 {
			s.shadow[name] = true
		}
	}
}

// accessOf computes what an identity may do, once for all who may the same; the principal is that of one of them.
func (s *identityState) accessOf(id string) rbac.Access {
	kin := s.engine.Kin(id)
	a, ok := s.access[kin]
	if !ok {
		a, _ = s.engine.Access(id, s.c.Now)
		s.access[kin] = a
	}
	return a
}

func moment(seconds int64) time.Time {
	if seconds == 0 || seconds == math.MaxInt64 || seconds > 1<<40 {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}

func (s *identityState) administrator(id string) bool {
	priv, _ := usercfg.PrivOf("Permissions.Modify")
	return s.engine.Permissions(id, "/").Set.Has(priv)
}

func (s *identityState) users() {
	list := []posture.IdentityUser{}
	for _, id := range slices.Sorted(maps.Keys(s.cfg.Users)) {
		u := s.cfg.Users[id]
		p, _ := s.engine.Principal(id, s.c.Now)
		x := posture.IdentityUser{ID: id, Realm: u.Realm(), Enabled: u.Enabled, Expired: p.State == rbac.Expired, Usable: p.State == rbac.Enabled,
			Expires: moment(u.Expire), NeverExpires: u.Expire == 0, Groups: append([]string{}, s.engine.Groups(id)...),
			Administrator: s.administrator(id), Source: at(u.Line)}
		x.Permissions = x.Administrator || len(s.accessOf(id).Paths) > 0
		s.realmOf(&x, u)
		s.factorsOf(&x, u)
		list = append(list, x)
	}
	s.facts.Users = posture.Known(list, posture.Configured, userFile)
	s.facts.SecondFactors = s.summary(list)
}

// summary says in words what each user who can log in is asked for.
func (s *identityState) summary(users []posture.IdentityUser) posture.Fact[[]string] {
	if s.tfaErr != nil {
		return posture.Unknown[[]string](s.tfaErr, tfaFile)
	}
	lines := []string{}
	for _, u := range users {
		if !u.Usable || u.Interactive.IsKnown() && !u.Interactive.Value {
			continue
		}
		line := u.ID + ": " + strings.Join(u.Factors.Value, ", ")
		if len(u.Factors.Value) == 0 {
			line += "none"
		}
		if n := u.DisabledFactors.Value; n > 0 {
			line += fmt.Sprintf(", %d switched off", n)
		}
		if n := u.RecoveryKeys.Value; n > 0 {
			line += fmt.Sprintf(", %d recovery keys", n)
		}
		if u.TOTPLocked.Value || u.Locked.Value {
			line += ", locked"
		}
		lines = append(lines, line)
	}
	return posture.Known(lines, posture.Configured, tfaFile)
}

// realmOf tells what follows from the realm of a user.
func (s *identityState) realmOf(x *posture.IdentityUser, u *usercfg.User) {
	if s.realms == nil {
		x.RealmType = posture.Unknown[string](s.rErr, realmFile)
		x.RealmFactor = posture.Unknown[string](s.rErr, realmFile)
		x.Interactive = posture.Unknown[bool](s.rErr, realmFile)
		return
	}
	r := s.realms[x.Realm]
	if r == nil {
		x.RealmType = posture.Known("", posture.Configured, realmFile)
		x.RealmFactor = posture.Known("", posture.Configured, realmFile)
		x.Interactive = posture.Known(false, posture.Configured, realmFile)
		return
	}
	x.RealmType = posture.Known(r.Type, posture.Configured, realmFile)
	x.RealmFactor = posture.Known(r.TFA, posture.Configured, realmFile)
	switch {
	case r.Type != "pve":
		x.Interactive = posture.Known(true, posture.Configured, realmFile)
	case s.shadow == nil:
		x.Interactive = posture.Unknown[bool](s.shErr, "/etc/pve/priv/shadow.cfg")
	default:
		x.Interactive = posture.Known(s.shadow[strings.TrimSuffix(u.ID, "@"+r.ID)], posture.Configured, "/etc/pve/priv/shadow.cfg")
	}
}

func (s *identityState) factorsOf(x *posture.IdentityUser, u *usercfg.User) {
	err := s.tfaErr
	var t *tfacfg.User
	if s.tfa != nil {
		if t = s.tfa.Users[u.ID]; t != nil && t.Broken {
			err = posture.Problemf("malformed", "%s: the entry of %s has an unknown form", tfaFile, u.ID)
		}
	}
	if err != nil {
		x.Factors = posture.Unknown[[]string](err, tfaFile)
		x.DisabledFactors, x.RecoveryKeys = posture.Unknown[int](err, tfaFile), posture.Unknown[int](err, tfaFile)
		x.TOTPLocked, x.Locked = posture.Unknown[bool](err, tfaFile), posture.Unknown[bool](err, tfaFile)
		return
	}
	kinds := []string{}
	for _, k := range t.Active() {
		kinds = append(kinds, string(k))
	}
	if u.Keys() == usercfg.KeysLegacy && x.RealmFactor.Value != "" {
		kinds = append(kinds, x.RealmFactor.Value)
		slices.Sort(kinds)
	}
	off, keys, totp, locked := 0, 0, false, false
	if t != nil {
		for _, f := range t.Factors {
			if !f.Enabled {
				off++
			}
		}
		keys, totp, locked = t.RecoveryKeys, t.TOTPLocked, t.LockedUntil > s.c.Now.Unix()
	}
	x.Factors = posture.Known(kinds, posture.Configured, tfaFile)
	x.DisabledFactors, x.RecoveryKeys = posture.Known(off, posture.Configured, tfaFile), posture.Known(keys, posture.Configured, tfaFile)
	if keys < 0 {
		x.RecoveryKeys = posture.Unknown[int](posture.Problemf("unavailable", "the API does not count recovery keys"), tfaFile)
	}
	x.TOTPLocked, x.Locked = posture.Known(totp, posture.Configured, tfaFile), posture.Known(locked, posture.Configured, tfaFile)
}

func (s *identityState) tokens() {
	list := []posture.IdentityToken{}
	for _, id := range s.engine.Principals() {
		t, _, ok := s.cfg.Token(id)
		if !ok {
			continue
		}
		p, _ := s.engine.Principal(id, s.c.Now)
		x := posture.IdentityToken{ID: id, User: t.User, State: string(p.State), Usable: p.State == rbac.Enabled, Separated: t.Separated,
			Expires: moment(t.Expire), NeverExpires: t.Expire == 0, Abilities: []string{}, Source: at(t.Line)}
		for _, a := range s.accessOf(id).Abilities {
			x.Abilities = append(x.Abilities, a.Class)
			x.Escalates = x.Escalates || a.Escalates
		}
		list = append(list, x)
	}
	s.facts.Tokens = posture.Known(list, posture.Configured, userFile)
}

// oddities are what is wrong with user.cfg itself.
func (s *identityState) oddities(problems []pve.Problem) {
	changed, repeated, rejected := []string{}, []string{}, []string{}
	for _, n := range s.cfg.Notes {
		switch n.Kind {
		case usercfg.BuiltinRole:
			gives := "no privilege"
			if added := s.cfg.Roles[n.Subject].Added.Names(); len(added) > 0 {
				gives = strings.Join(added, " +")
			}
			changed = append(changed, fmt.Sprintf("%s +%s (user.cfg:%d)", n.Subject, gives, n.Line))
		case usercfg.RepeatedUser:
			repeated = append(repeated, fmt.Sprintf("user.cfg:%d: %s", n.Line, n.Text))
		}
	}
	for _, p := range problems {
		if p.Effect != pve.Warned { // members that do not exist are among the dangling ones
			rejected = append(rejected, fmt.Sprintf("user.cfg:%d: %s", p.Line, p.Text))
		}
	}
	f := &s.facts
	f.ChangedRoles = posture.Known(changed, posture.Configured, userFile)
	f.Repeated = posture.Known(repeated, posture.Configured, userFile)
	f.Rejected = posture.Known(rejected, posture.Configured, userFile)
}
