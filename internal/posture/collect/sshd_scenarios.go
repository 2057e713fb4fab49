package collect

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/debian/passwd"
	"github.com/castellan-project/castellan/internal/debian/sshd"
	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/posture"
)

// Addresses that belong to nobody (RFC 5737 and 3849): a login from there is one from anywhere.
const (
	sshdElsewhere = "192.0.2.1"
	sshdOwn       = "192.0.2.2"
)

// sshdOutside are addresses from all quarters of the internet: a limit that lets one of them in is none.
var sshdOutside = []string{sshdElsewhere, "9.9.9.9", "93.184.215.14", "151.101.1.1", "203.0.113.1", "2001:db8::1", "2a00:1450::1"}

// sshdScenarios evaluates the three logins, with the server's own answer where it can be had.
func sshdScenarios(c *Context, f *posture.SSHD, v sshdView) {
	admin := v.admin()
	own := sshdOwnAddress(c)
	differences := []string{}
	for _, s := range []struct {
		name string
		into *posture.SSHDScenario
		conn func() (sshd.Connection, error)
	}{
		{"admin", &f.Admin, func() (sshd.Connection, error) { return v.connection(admin, sshdElsewhere, own), nil }},
		{"root-elsewhere", &f.RootElsewhere, func() (sshd.Connection, error) { return v.connection("root", sshdElsewhere, own), nil }},
		{"root-cluster", &f.RootCluster, func() (sshd.Connection, error) {
			peer, err := sshdPeer(c)
			return v.connection("root", peer, own), err
		}},
	} {
		conn, err := s.conn()
		if err != nil {
			sshdUnknown(s.into, err, "corosync.conf")
			continue
		}
		conn.LocalPort = v.port()
		for _, d := range sshdScenario(c, s.into, v, s.name, conn) {
			differences = append(differences, s.name+": "+d)
		}
	}
	if v.err != nil {
		f.Disagreements = posture.Unknown[[]string](v.err, sshd.MainFile)
		return
	}
	if !c.Live || !c.Root {
		f.Disagreements = posture.Unknown[[]string](host.ErrUnavailable, "the server can be asked on a live host as root only")
		return
	}
	f.Disagreements = posture.Known(differences, posture.Effective, "sshd -T")
}

// port is the first port that the server listens on.
func (v sshdView) port() int {
	if v.config != nil {
		for _, d := range v.config.Directives {
			if n, err := strconv.Atoi(strings.TrimSpace(d.Value)); d.Name == "port" && err == nil && n > 0 {
				return n
			}
		}
	}
	return 22
}

// admin is the account whose login stands for that of people.
func (v sshdView) admin() string {
	for _, u := range v.users {
		if sshdPerson(u) && slices.Contains(v.groupsOf(u.Name), "sudo") {
			return u.Name
		}
	}
	return "admin"
}

// sshdPerson reports whether an account is one of a human being who can work: UID in the range of login.defs's
// defaults, and a shell.
func sshdPerson(u passwd.User) bool {
	return u.UID >= 1000 && u.UID < 60000 && sshdShell(u.Shell)
}

func sshdShell(shell string) bool {
	for _, no := range []string{"nologin", "false", "sync", "shutdown", "halt"} {
		if strings.HasSuffix(shell, "/"+no) {
			return false
		}
	}
	return true
}

// groupsOf lists the groups of an account, the primary one first.
func (v sshdView) groupsOf(name string) []string {
	var out []string
	gid := -1
	for _, u := range v.users {
		if u.Name == name {
			gid = u.GID
		}
	}
	for _, g := range v.groups {
		if g.GID == gid {
			out = append(out, g.Name)
		}
	}
	for _, g := range v.groups {
		if g.GID != gid && slices.Contains(g.Members, name) {
			out = append(out, g.Name)
		}
	}
	return out
}

func (v sshdView) connection(user, addr, own string) sshd.Connection {
	known := v.userErr != nil && user == "root" || slices.ContainsFunc(v.users, func(u passwd.User) bool { return u.Name == user })
	groups := v.groupsOf(user)
	if len(groups) == 0 && user == "root" {
		groups = []string{"root"}
	}
	return sshd.Connection{User: user, Groups: groups, KnownUser: known, Host: addr, Address: addr, LocalAddress: own, LocalPort: v.port()}
}

// sshdOwnAddress is an address of this host, for Match LocalAddress.
func sshdOwnAddress(c *Context) string {
	hosts, err := c.Host.ReadFile(osFileHosts)
	if name := osHostname(c); err == nil && name.IsKnown() {
		if a := hostTable(hosts)[strings.ToLower(name.Value)]; len(a) > 0 {
			return a[0].String()
		}
	}
	return sshdOwn
}

// sshdPeer is the address of another node of the cluster, or of this one when it is alone in it.
func sshdPeer(c *Context) (string, error) {
	conf, src, err := osCorosync(c)
	if err != nil {
		if host.NotExist(err) {
			return "", posture.Problemf("unavailable", "this host is in no cluster")
		}
		return "", err
	}
	hosts, _ := c.Host.ReadFile(osFileHosts)
	nodes := sshdNodes(c, conf, hosts)
	name := osHostname(c).Value
	fallback := ""
	for _, n := range nodes {
		if len(n.Addresses) == 0 {
			continue
		}
		if !strings.EqualFold(n.Name, name) {
			return n.Addresses[0], nil
		}
		fallback = n.Addresses[0]
	}
	if fallback == "" {
		return "", posture.Problemf("not-found", "no address of a cluster node is known from %s", src)
	}
	return fallback, nil
}

// sshdScenario evaluates one login and returns the keywords for which the server says something else than we do.
func sshdScenario(c *Context, into *posture.SSHDScenario, v sshdView, name string, conn sshd.Connection) []string {
	if v.err != nil {
		sshdUnknown(into, v.err, sshd.MainFile)
		return nil
	}
	if v.userErr != nil && v.asksGroups() {
		sshdUnknown(into, v.userErr, sshdFileGroup)
		return nil
	}
	ours, err := v.config.For(conn)
	if err != nil {
		sshdUnknown(into, posture.Problemf("malformed", "%v", err), sshd.MainFile)
		return nil
	}
	if v.other != nil {
		theirs, err := v.other.For(conn)
		if err != nil {
			sshdUnknown(into, posture.Problemf("malformed", "%v", err), sshd.MainFile)
			return nil
		}
		sshdMarkRelease(ours, theirs)
	}
	real, failed := sshdAsk(c, name, conn)
	if failed != nil {
		sshdUnknown(into, failed, "sshd -T")
		return nil
	}
	source := "default of OpenSSH " + v.release.String()
	if v.other != nil {
		source = "default of OpenSSH"
	}
	sshdFill(into, ours, real, source)
	v.describe(into, ours, conn)
	return sshdDifferences(ours, real)
}

// asksGroups reports whether a Match block depends on groups.
func (v sshdView) asksGroups() bool {
	return slices.ContainsFunc(v.config.Directives, func(d sshd.Directive) bool {
		return d.Name == "match" && strings.Contains(strings.ToLower(d.Value), "group")
	})
}

// sshdMarkRelease makes defaults unknown that depend on the release when the release is not known.
func sshdMarkRelease(ours, theirs sshd.Settings) {
	for key, s := range ours {
		if !slices.Equal(s.Values, theirs[key].Values) {
			s.Err = posture.Problemf("not-found", "this depends on the release of OpenSSH, which is not known")
			ours[key] = s
		}
	}
}

// sshdAsk asks the server. Both results are nil where it cannot be asked.
func sshdAsk(c *Context, name string, conn sshd.Connection) (sshd.Settings, error) {
	if !c.Live || !c.Root {
		return nil, nil
	}
	spec := fmt.Sprintf("user=%s,host=%s,addr=%s,laddr=%s,lport=%d", conn.User, conn.Host, conn.Address, conn.LocalAddress, conn.LocalPort)
	out, err := c.Host.Run(host.Command{Name: "sshd-t-" + name, Argv: []string{"sshd", "-T", "-C", spec}})
	if err != nil {
		return nil, nil
	}
	if out.Code != 0 {
		return nil, posture.Problemf("malformed", "sshd -T refuses: %s", sshdComplaint(out))
	}
	return sshd.ParseOutput(string(out.Stdout)), nil
}

// sshdDifferences compares our values with the server's own.
func sshdDifferences(ours, real sshd.Settings) []string {
	var out []string
	for key, r := range real {
		o := ours[key]
		if key == "listenaddress" || o.Err != nil || slices.Equal(o.Values, r.Values) {
			continue
		}
		out = append(out, fmt.Sprintf("%s: sshd %q, files %q", key, sshdPublic(key, strings.Join(r.Values, " | ")),
			sshdPublic(key, strings.Join(o.Values, " | "))))
	}
	slices.Sort(out)
	return out
}

// describe fills what is not a keyword.
func (v sshdView) describe(into *posture.SSHDScenario, s sshd.Settings, conn sshd.Connection) {
	into.User = posture.Known(conn.User, posture.Configured, "scenario")
	into.Address = posture.Known(conn.Address, posture.Configured, "scenario")
	groups := conn.Groups
	if groups == nil {
		groups = []string{}
	}
	into.Groups = posture.Known(groups, posture.Configured, sshdFileGroup)
	byGroup := len(s["allowgroups"].Values)+len(s["denygroups"].Values) > 0
	if v.userErr != nil {
		into.Groups = posture.Unknown[[]string](v.userErr, sshdFileGroup)
		if byGroup {
			into.Admitted, into.AdmittedBy = posture.Unknown[bool](v.userErr, sshdFileGroup), posture.Unknown[string](v.userErr, sshdFileGroup)
			return
		}
	}
	ok, because := v.config.Admits(s, conn)
	into.Admitted = posture.Known(ok, posture.Configured, sshd.MainFile)
	into.AdmittedBy = posture.Known(because, posture.Configured, sshd.MainFile)
}

// sshdFields calls do for each field of a scenario with its JSON name.
func sshdFields(into *posture.SSHDScenario, do func(name string, field any)) {
	s := reflect.ValueOf(into).Elem()
	for i := range s.NumField() {
		do(s.Type().Field(i).Tag.Get("json"), s.Field(i).Addr().Interface())
	}
}

// sshdUnknown makes all facts of a scenario unknown.
func sshdUnknown(into *posture.SSHDScenario, err error, source string) {
	sshdFields(into, func(_ string, field any) {
		switch p := field.(type) {
		case *posture.Fact[string]:
			*p = posture.Unknown[string](err, source)
		case *posture.Fact[int]:
			*p = posture.Unknown[int](err, source)
		case *posture.Fact[bool]:
			*p = posture.Unknown[bool](err, source)
		case *posture.Fact[[]string]:
			*p = posture.Unknown[[]string](err, source)
		}
	})
}

// sshdFill copies the settings into the fields of their names.
func sshdFill(into *posture.SSHDScenario, ours, real sshd.Settings, defaultSource string) {
	full := scanStartups(ours, real)
	sshdFields(into, func(name string, field any) {
		key, part, split := strings.Cut(name, "_")
		s, origin, source := ours[key], posture.Default, defaultSource
		if s.Source != "" {
			origin, source = posture.Configured, s.Source
		}
		// OpenSSH 9.2 does not print DebianBanner.
		if r, ok := real[key]; ok || real != nil && key != "debianbanner" {
			if s.Source == "" || !slices.Equal(r.Values, s.Values) {
				source = "sshd -T"
			}
			origin, s.Values, s.Err = posture.Effective, r.Values, nil
		}
		if split {
			s.Values = []string{full[part]}
		}
		sshdSet(field, key, s, origin, source)
	})
}

// scanStartups gives the parts of MaxStartups by name.
func scanStartups(ours, real sshd.Settings) map[string]string {
	s := ours["maxstartups"]
	if r, ok := real["maxstartups"]; ok {
		s = r
	}
	parts := strings.Split(strings.Join(s.Values, ""), ":")
	if len(parts) != 3 {
		return nil
	}
	return map[string]string{"start": parts[0], "rate": parts[1], "full": parts[2]}
}

func sshdSet(field any, key string, s sshd.Setting, origin posture.Origin, source string) {
	values := make([]string, len(s.Values))
	for i, v := range s.Values {
		values[i] = sshdPublic(key, v)
	}
	text := strings.Join(values, " ")
	switch p := field.(type) {
	case *posture.Fact[string]:
		*p = posture.Known(text, origin, source)
		if s.Err != nil {
			*p = posture.Unknown[string](s.Err, source)
		}
	case *posture.Fact[int]:
		n, err := strconv.Atoi(text)
		if s.Err != nil {
			err = s.Err
		}
		*p = posture.Known(n, origin, source)
		if err != nil {
			*p = posture.Unknown[int](posture.Problemf("malformed", "%s is %q, no number", key, text), source)
		}
	case *posture.Fact[[]string]:
		*p = posture.Known(sshdList(key, values), origin, source)
		if s.Err != nil {
			*p = posture.Unknown[[]string](s.Err, source)
		}
	}
}

// sshdList splits a value as the keyword separates its words.
func sshdList(key string, values []string) []string {
	out := []string{}
	for _, v := range values {
		switch key {
		case "ciphers", "macs", "kexalgorithms", "hostkeyalgorithms", "pubkeyacceptedalgorithms", "casignaturealgorithms",
			"hostbasedacceptedalgorithms":
			out = append(out, strings.Split(v, ",")...)
		case "persourcepenaltyexemptlist":
			if v != "none" {
				out = append(out, strings.Split(v, ",")...)
			}
		case "authorizedkeysfile", "authenticationmethods", "permitopen", "permitlisten":
			out = append(out, strings.Fields(v)...)
		default:
			out = append(out, v)
		}
	}
	return out
}
