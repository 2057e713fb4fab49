package collect

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/debian/authorizedkeys"
	"github.com/castellan-project/castellan/internal/debian/passwd"
	"github.com/castellan-project/castellan/internal/debian/sshd"
	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/posture"
)

// sshKeysPVE is the directory of the cluster file system: it exists on a PVE node.
const sshKeysPVE = "/etc/pve"

// SSHKeys returns the collector of the subject sshkeys: authorized keys of all accounts, private keys in home
// directories, and the accounts by which an administrator becomes root.
func SSHKeys() Collector {
	c := Collector{Name: "sshkeys", Collect: collectSSHKeys}
	for _, f := range []string{sshdFilePasswd, sshdFileGroup, "/etc/shadow", "/etc/pam.d/su", "/etc/sudoers", "/etc/sudoers.d/*",
		"/root/.ssh/authorized_keys", "/root/.ssh/authorized_keys2", "/etc/pve/priv/authorized_keys", "/home/*/.ssh/authorized_keys",
		"/home/*/.ssh/authorized_keys2", sshKeysLastlog, sshKeysWtmp} {
		c.Needs = append(c.Needs, host.Need{Read: f})
	}
	for _, p := range []string{"/root/.ssh/*", "/home/*/.ssh/*"} {
		c.Needs = append(c.Needs, host.Need{List: p})
	}
	for _, p := range []string{sshKeysPVE, "/root/.ssh/authorized_keys"} {
		c.Needs = append(c.Needs, host.Need{Stat: p})
	}
	c.Needs = append(c.Needs, host.Need{Run: sshKeysJournal()})
	return c
}

func collectSSHKeys(c *Context) {
	var f posture.SSHKeys
	defer func() { c.Facts.SSHKeys = f }()
	v := sshdLoad(c)
	if v.config != nil {
		v.patterns = v.keyPatterns("root")
		v.patternsVary = slices.ContainsFunc(v.config.Directives, func(d sshd.Directive) bool {
			return d.Name == "authorizedkeysfile" && d.Match != ""
		})
	}
	f.RootLink = sshKeysRootLink(c)
	sshKeysAuthorized(c, &f, v)
	f.Private = sshKeysPrivate(c, v)
	f.AdminPaths = sshKeysAdminPaths(c, v)
}

// sshKeysRootLink tells where root's authorized_keys leads.
func sshKeysRootLink(c *Context) posture.Fact[string] {
	const dir, name = "/root/.ssh/*", "/root/.ssh/authorized_keys"
	list, err := c.Host.List(dir)
	if err != nil {
		return posture.Unknown[string](err, name)
	}
	for _, l := range list {
		if l.Path == name && l.Type == host.Link {
			return posture.Known(l.Link, posture.Configured, name)
		}
	}
	if _, err := c.Host.Stat("/root/.ssh"); err != nil && !host.NotExist(err) {
		return posture.Unknown[string](err, name)
	}
	return posture.Known("", posture.Configured, name)
}

// keyFiles are the files in which sshd looks for the keys of an account: AuthorizedKeysFile with %h, %u, %U and %%
// replaced, relative names below the home directory (sshd_config(5)).
func (v sshdView) keyFiles(u passwd.User) ([]string, error) {
	if v.config == nil {
		return nil, v.err
	}
	patterns := v.patterns
	if patterns == nil || v.patternsVary {
		patterns = v.keyPatterns(u.Name)
	}
	if patterns == nil {
		// A server that refuses its configuration still has keys in the usual places.
		return []string{path.Join(u.Home, ".ssh/authorized_keys"), path.Join(u.Home, ".ssh/authorized_keys2")}, nil
	}
	var out []string
	for _, name := range patterns {
		if name == "none" {
			continue
		}
		name = strings.NewReplacer("%%", "%", "%h", u.Home, "%u", u.Name, "%U", fmt.Sprint(u.UID)).Replace(name)
		if !strings.HasPrefix(name, "/") {
			name = path.Join(u.Home, name)
		}
		out = append(out, path.Clean(name))
	}
	return out, nil
}

// keyPatterns is AuthorizedKeysFile as it applies to an account; nil when sshd refuses its configuration.
func (v sshdView) keyPatterns(user string) []string {
	if v.config == nil {
		return nil
	}
	s, err := v.config.For(v.connection(user, sshdElsewhere, sshdOwn))
	if err != nil {
		return nil
	}
	return strings.Fields(strings.Join(s["authorizedkeysfile"].Values, " "))
}

func sshKeysAuthorized(c *Context, f *posture.SSHKeys, v sshdView) {
	fail := func(err error, source string) {
		f.Authorized = posture.Unknown[[]posture.AuthorizedKey](err, source)
		f.BadLines = posture.Unknown[[]string](err, source)
	}
	if v.users == nil && v.userErr != nil {
		fail(v.userErr, sshdFilePasswd)
		return
	}
	members, cluster, err := sshKeysMembers(c)
	if err != nil {
		fail(err, "corosync.conf")
		return
	}
	keys, bad := []posture.AuthorizedKey{}, []string{}
	var failure error
	failed := ""
	for _, u := range v.users {
		files, err := v.keyFiles(u)
		if err != nil {
			fail(err, "AuthorizedKeysFile")
			return
		}
		for _, name := range files {
			found, problems, err := sshKeysFile(c, u, name)
			if err != nil && failure == nil {
				failure, failed = err, name
			}
			for _, k := range found {
				if m := sshKeysNode.FindStringSubmatch(k.Comment); m != nil && u.UID == 0 {
					name := strings.ToLower(m[1])
					k.Member = slices.Contains(members, name)
					if cluster || k.Member {
						k.Node = name
					}
				}
				keys = append(keys, k)
			}
			bad = append(bad, problems...)
		}
	}
	if failure != nil {
		fail(failure, failed)
		return
	}
	slices.Sort(bad)
	f.Authorized = posture.Known(keys, posture.Configured, "authorized_keys of all accounts")
	f.BadLines = posture.Known(slices.Compact(bad), posture.Configured, "authorized_keys of all accounts")
}

// sshKeysMembers are the names of the nodes of the cluster, in lower case; cluster is false when this host is in none,
// and its own name the only one then.
func sshKeysMembers(c *Context) (names []string, cluster bool, err error) {
	conf, _, err := osCorosync(c)
	if err != nil && !host.NotExist(err) {
		return nil, false, err
	}
	if err != nil {
		if name := osHostname(c); name.IsKnown() && name.Value != "" {
			names = append(names, strings.ToLower(name.Value))
		}
		return names, false, nil
	}
	for _, n := range sshdNodes(c, conf, nil) {
		names = append(names, strings.ToLower(n.Name))
	}
	return names, true, nil
}

var sshKeysNode = regexp.MustCompile(`^root@([A-Za-z0-9][A-Za-z0-9-]*)$`)

func sshKeysFile(c *Context, u passwd.User, name string) ([]posture.AuthorizedKey, []string, error) {
	content, err := c.Host.ReadFile(name)
	if err != nil {
		if host.NotExist(err) {
			return nil, nil, nil
		}
		return nil, nil, err
	}
	st, err := c.Host.Stat(name)
	if err != nil {
		return nil, nil, err
	}
	parsed, problems := authorizedkeys.Parse(content)
	var keys []posture.AuthorizedKey
	for _, k := range parsed {
		key := posture.AuthorizedKey{Account: u.Name, UID: u.UID, File: name, Line: k.Line, Type: k.Type, Bits: k.Bits, Comment: k.Comment,
			Fingerprint: k.Fingerprint, Options: []string{}, From: k.From(), Modified: st.ModTime.UTC(), AgeDays: ageDays(c.Now, st.ModTime)}
		if key.From == nil {
			key.From = []string{}
		}
		for _, o := range k.Options {
			key.Options = append(key.Options, o.Name)
		}
		key.Authority = slices.Contains(key.Options, "cert-authority")
		key.Weak = k.Type == "ssh-dss" || k.Type == "ssh-rsa" && k.Bits < 3072
		keys = append(keys, key)
	}
	var bad []string
	for _, p := range problems {
		bad = append(bad, fmt.Sprintf("%s:%d: %s", name, p.Line, p.Text))
	}
	return keys, bad, nil
}

// sshKeysPrivate looks for private keys in the .ssh directories of root and of people. Of the files it keeps only
// whether they are keys and whether a passphrase protects them.
func sshKeysPrivate(c *Context, v sshdView) posture.Fact[[]posture.PrivateKey] {
	if v.users == nil && v.userErr != nil {
		return posture.Unknown[[]posture.PrivateKey](v.userErr, sshdFilePasswd)
	}
	_, pveErr := c.Host.Stat(sshKeysPVE)
	out := []posture.PrivateKey{}
	var failure error
	failed := ""
	for _, u := range v.users {
		if u.UID != 0 && (u.UID < 1000 || u.UID >= 60000) || u.Home == "" || u.Home == "/" {
			continue
		}
		keys, err := sshKeysPrivateOf(c, u)
		if err != nil && failure == nil {
			failure, failed = err, path.Join(u.Home, ".ssh")
		}
		for _, k := range keys {
			k.Cluster = u.UID == 0 && pveErr == nil && path.Base(k.Path) == "id_rsa"
			out = append(out, k)
		}
	}
	if failure != nil {
		return posture.Unknown[[]posture.PrivateKey](failure, failed)
	}
	return posture.Known(out, posture.Configured, "~/.ssh of root and of people")
}

// sshKeysPrivateOf looks through the .ssh directory of one account.
func sshKeysPrivateOf(c *Context, u passwd.User) ([]posture.PrivateKey, error) {
	dir := path.Join(u.Home, ".ssh")
	list, listErr := c.Host.List(dir + "/*")
	if st, err := c.Host.Stat(dir); err != nil || st.Type != host.Dir {
		if err != nil && !host.NotExist(err) {
			return nil, err
		}
		return nil, nil
	}
	var out []posture.PrivateKey
	failure := listErr
	for _, file := range list {
		k, ok, err := sshKeysPrivateFile(c, file)
		if err != nil && failure == nil {
			failure = err
		}
		if ok {
			k.Account = u.Name
			out = append(out, k)
		}
	}
	return out, failure
}

// sshKeysMaxPrivate is the largest file that is looked into; a 16384-bit RSA key has 13 KB.
const sshKeysMaxPrivate = 64 << 10

func sshKeysPrivateFile(c *Context, file host.File) (posture.PrivateKey, bool, error) {
	base := path.Base(file.Path)
	if file.Type != host.Regular || file.Size > sshKeysMaxPrivate || strings.HasSuffix(base, ".pub") ||
		strings.HasPrefix(base, "known_hosts") || strings.HasPrefix(base, "authorized_keys") || base == "config" {
		return posture.PrivateKey{}, false, nil
	}
	content, err := c.Host.ReadFile(file.Path)
	if err != nil {
		if host.NotExist(err) {
			err = nil
		}
		return posture.PrivateKey{}, false, err
	}
	p, ok := authorizedkeys.InspectPrivate(content)
	if !ok {
		return posture.PrivateKey{}, false, nil
	}
	return posture.PrivateKey{Path: file.Path, Format: p.Format, Type: p.Type, Encrypted: p.Encrypted, Mode: fmt.Sprintf("%04o", file.Mode),
		OnlyOwner: !file.OwnerUnknown && file.Mode&0o077 == 0, Modified: file.ModTime.UTC()}, true, nil
}
