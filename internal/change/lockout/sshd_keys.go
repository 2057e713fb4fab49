package lockout

import (
	"bytes"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/castellan-project/castellan/internal/debian/authorizedkeys"
	"github.com/castellan-project/castellan/internal/debian/passwd"
	"github.com/castellan-project/castellan/internal/debian/sshd"
	"github.com/castellan-project/castellan/internal/host"
)

// keyFiles are the files of AuthorizedKeysFile for an account: %h, %u, %U and %% replaced, relative names below the home
// directory (sshd_config(5)).
func keyFiles(s sshd.Settings, u passwd.User) []string {
	var out []string
	for _, name := range strings.Fields(strings.Join(s["authorizedkeysfile"].Values, " ")) {
		if strings.EqualFold(name, "none") {
			continue
		}
		name = strings.NewReplacer("%%", "%", "%h", u.Home, "%u", u.Name, "%U", fmt.Sprint(u.UID)).Replace(name)
		if !strings.HasPrefix(name, "/") {
			name = path.Join(u.Home, name)
		}
		out = append(out, path.Clean(name))
	}
	return out
}

// byKey judges the public keys: that of the operator when it is known, those of the node, or any.
func (l *login) byKey() way {
	if v, where := one(l.s, "pubkeyauthentication"); v != "yes" {
		return way{j: refuse("PubkeyAuthentication no (%s), and %s comes by key", where, l.op.Words()).in(l.s["pubkeyauthentication"].Source).
			adding("PubkeyAuthentication yes")}
	}
	if j, no := l.rootRefusal("publickey"); no {
		return way{j: j}
	}
	files := keyFiles(l.s, l.user)
	w := way{}
	seen := []string{}
	none := l.notFound(files)
	for _, name := range files {
		content, err := l.st.r.ReadFile(name)
		if err != nil {
			if !host.NotExist(err) {
				none = refuse("whether the key is still there cannot be told: %v", err).in(name)
			}
			continue
		}
		keys, _ := authorizedkeys.Parse(content)
		for _, k := range keys {
			if !l.meant(k) || slices.Contains(seen, k.Fingerprint) {
				continue
			}
			j := l.key(name, k)
			if !j.ok {
				none = j.in(name)
				continue
			}
			seen = append(seen, k.Fingerprint)
			if w.keys++; w.keys == 1 {
				w.works, w.text = true, fmt.Sprintf("by key %s (%s:%d)", k.Fingerprint, name, k.Line)
			}
		}
	}
	if w.j = none; !w.works && l.provenOtherwise() {
		w.works, w.keys = true, 1
		w.text = "by a certificate or a key that a command tells sshd, of which this changes nothing"
	}
	return w
}

// meant reports whether a key is one that the operator, or the node, logs in with.
func (l *login) meant(k authorizedkeys.Key) bool {
	switch {
	case l.node != "":
		return strings.EqualFold(k.Comment, "root@"+l.node)
	case l.op.Key != "":
		return k.Fingerprint == l.op.Key
	}
	return true
}

func (l *login) notFound(files []string) judgement {
	_, where := one(l.s, "authorizedkeysfile")
	if len(files) == 0 {
		return refuse("AuthorizedKeysFile none (%s): sshd looks for no keys", where).in(l.s["authorizedkeysfile"].Source)
	}
	where = strings.Join(files, ", ") + " (AuthorizedKeysFile, " + where + ")"
	switch {
	case l.node != "":
		return refuse("no key root@%s is in %s", l.node, where).in(files[0]).adding("the node's keys: pvecm updatecerts")
	case l.op.Key != "":
		return refuse("the key %s is not in %s", l.op.Key, where).in(files[0]).adding("that key to %s", files[0])
	}
	return refuse("%s has no key in %s", l.op.User, where).in(files[0]).adding("a key of theirs to %s", files[0])
}

// knownOptions are the options of a key that OpenSSH knows (sshd(8), AUTHORIZED_KEYS FILE FORMAT); a line with any other is
// no key to it.
func knownOptions() []string {
	return []string{"agent-forwarding", "cert-authority", "command", "environment", "expiry-time", "from", "no-agent-forwarding",
		"no-port-forwarding", "no-pty", "no-touch-required", "no-user-rc", "no-x11-forwarding", "permitlisten", "permitopen",
		"port-forwarding", "principals", "pty", "restrict", "tunnel", "user-rc", "verify-required", "x11-forwarding"}
}

// key judges one line of a key file.
func (l *login) key(name string, k authorizedkeys.Key) judgement {
	where := fmt.Sprintf("%s:%d", name, k.Line)
	for _, o := range k.Options {
		if !slices.Contains(knownOptions(), o.Name) {
			return refuse("the key has the option %q, which sshd does not know (%s)", o.Name, where)
		}
	}
	if len(k.Option("cert-authority")) > 0 {
		return refuse("the line %s is a certificate authority, and what it signed cannot be told", where)
	}
	if from := k.Option("from"); len(from) > 0 && (len(from) > 1 || !l.matches(from[0])) {
		return refuse("the key is not for %s: from=\"%s\" (%s)", l.addr, strings.Join(from, `" from="`), where).
			adding("%s to the from option", l.addr)
	}
	for _, v := range k.Option("expiry-time") {
		end, ok := expiry(v)
		if !ok || !l.st.now.Before(end) {
			return refuse("the key expired: expiry-time=\"%s\" (%s)", v, where)
		}
	}
	// A key that is known to have brought the operator in does for him what it did before, also with a forced command.
	if len(k.Option("command")) > 0 && (l.op.Key == "" || !l.op.Session) {
		return refuse("the key runs its forced command only (%s)", where)
	}
	for _, check := range []func(authorizedkeys.Key, string) judgement{l.algorithm, l.revoked} {
		if j := check(k, where); !j.ok {
			return j
		}
	}
	if v, at := one(l.s, "strictmodes"); v != "no" {
		if why := l.st.unsafe(name, l.user); why != "" {
			return refuse("sshd ignores %s: %s (StrictModes yes, %s)", name, why, at).adding("chmod go-w and the owner %s", l.op.User)
		}
	}
	return judgement{ok: true}
}

// matches asks whether the address fits a from option: the same rule as that of user@hosts in AllowUsers (match_host_and_ip
// in OpenSSH's match.c).
func (l *login) matches(list string) bool {
	ok, _ := l.config.Admits(sshd.Settings{"allowusers": {Values: []string{"*@" + list}}},
		sshd.Connection{User: "x", Host: l.addr.String(), Address: l.addr.String()})
	return ok && !strings.Contains(list, "@")
}

// expiry reads YYYYMMDD[HHMM[SS]][Z] (sshd(8)). Without Z the time is the host's own, whose zone is not known here: the
// earliest moment that it can mean counts, 14 hours before the same time in UTC.
func expiry(v string) (time.Time, bool) {
	text, utc := strings.CutSuffix(v, "Z")
	for _, layout := range []string{"20060102", "200601021504", "20060102150405"} {
		if t, err := time.Parse(layout, text); err == nil {
			if !utc {
				t = t.Add(-14 * time.Hour)
			}
			return t, true
		}
	}
	return time.Time{}, false
}

// algorithm asks whether sshd takes signatures of the key's type and size.
func (l *login) algorithm(k authorizedkeys.Key, where string) judgement {
	v := l.s["pubkeyacceptedalgorithms"]
	accepted := strings.Split(strings.Join(v.Values, ","), ",")
	want := []string{k.Type}
	if k.Type == "ssh-rsa" {
		want = []string{"rsa-sha2-512", "rsa-sha2-256"} // clients since OpenSSH 8.8 sign in no other way
	}
	if !slices.ContainsFunc(want, func(w string) bool { return slices.Contains(accepted, w) }) {
		return refuse("PubkeyAcceptedAlgorithms (%s) does not take the %s key of %s", source(v.Source), k.Type, where).in(v.Source).
			adding("%s to PubkeyAcceptedAlgorithms", want[0])
	}
	size, at := one(l.s, "requiredrsasize")
	least := 0
	if _, err := fmt.Sscan(size, &least); size != "" && err != nil {
		return refuse("RequiredRSASize %s (%s) is no number", size, at)
	}
	if k.Type == "ssh-rsa" && k.Bits < max(least, 1024) {
		return refuse("the RSA key of %s has %d bits; RequiredRSASize asks for %d (%s)", where, k.Bits, max(least, 1024), at).
			in(l.s["requiredrsasize"].Source).adding("a key of %d bits or more, or of the type ed25519", max(least, 1024))
	}
	if o, at := one(l.s, "pubkeyauthoptions"); strings.Contains(o, "verify-required") && strings.HasPrefix(k.Type, "sk-") {
		return refuse("PubkeyAuthOptions verify-required (%s): whether the key of %s asks for a PIN cannot be told", at, where)
	}
	return judgement{ok: true}
}

// revoked asks RevokedKeys: a list of keys, or a binary list (KRL) that is not read here. Keys are refused altogether while
// the file cannot be read (sshd_config(5)).
func (l *login) revoked(k authorizedkeys.Key, where string) judgement {
	name := ""
	if v := l.s["revokedkeys"].Values; len(v) > 0 {
		name = v[0]
	}
	if name == "" || strings.EqualFold(name, "none") {
		return judgement{ok: true}
	}
	b, err := l.st.r.ReadFile(name)
	switch {
	case err != nil:
		return refuse("RevokedKeys %s cannot be read, so sshd refuses every key: %v", name, err)
	case bytes.HasPrefix(b, []byte("SSHKRL\n")):
		return refuse("RevokedKeys %s is a binary list, and whether it holds the key of %s cannot be told", name, where)
	}
	for _, line := range host.Lines(b) {
		if r, err := authorizedkeys.ParseLine(strings.TrimSpace(line)); err == nil && r.Fingerprint == k.Fingerprint {
			return refuse("the key of %s is revoked by %s", where, name)
		}
	}
	if hashes.Match(b) {
		return refuse("RevokedKeys %s lists hashes, and whether it holds the key of %s cannot be told", name, where)
	}
	return judgement{ok: true}
}

// hashes are the lines of a revocation list that name keys by hash or serial number (ssh-keygen(1), KEY REVOCATION LISTS).
var hashes = regexp.MustCompile(`(?mi)^\s*(sha1|sha256|hash|serial|id|key):`)

// unsafe says why sshd would not trust a key file: it or a directory above it, up to the home directory, belongs to somebody
// else or can be written by somebody else (StrictModes in sshd_config(5), safe_path in OpenSSH's misc.c). As patched by
// Debian, a group may write when the owner is its only member.
func (st *state) unsafe(name string, u passwd.User) string {
	real, err := host.Resolve(st.r, name)
	if err != nil {
		return err.Error()
	}
	home, err := host.Resolve(st.r, path.Clean("/"+u.Home))
	if err != nil {
		return err.Error()
	}
	for at := real; ; at = path.Dir(at) {
		f, err := st.r.Stat(at)
		if at == "/" && err != nil {
			return ""
		}
		if err != nil {
			return err.Error()
		}
		switch {
		case f.OwnerUnknown: // a copy that does not tell; nothing in it can lock anybody out
		case f.UID > 0 && f.UID != u.UID:
			return fmt.Sprintf("%s belongs to the user %d", at, f.UID)
		case f.Mode&0o002 != 0, f.Mode&0o020 != 0 && !st.alone(f.GID, f.UID):
			return fmt.Sprintf("%s can be written by others (mode %04o)", at, f.Mode)
		}
		if at == "/" || at == home {
			return ""
		}
	}
}

// alone reports whether the owner of a file is the only member of its group.
func (st *state) alone(gid, uid int) bool {
	i := slices.IndexFunc(st.users, func(u passwd.User) bool { return u.UID == uid })
	j := slices.IndexFunc(st.groups, func(g passwd.Group) bool { return g.GID == gid })
	if i < 0 || j < 0 {
		return false
	}
	if m := st.groups[j].Members; len(m) > 0 && !slices.Equal(m, []string{st.users[i].Name}) {
		return false
	}
	for _, u := range st.users {
		if u.GID == gid && u.UID != uid {
			return false
		}
	}
	return st.users[i].GID == gid || len(st.groups[j].Members) == 1
}
