package kinds

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/debian/sshd"
	"github.com/castellan-project/castellan/internal/host"
)

const (
	sshdDir = "/etc/ssh/sshd_config.d"
	// sshdFile sorts before the drop-ins that packages and tools write; the first value that sshd reads is the one that counts.
	sshdFile = sshdDir + "/00-castellan.conf"
	// sshdFirst sorts before names that begin with two digits. It is used where another drop-in would come before sshdFile.
	sshdFirst = sshdDir + "/0-castellan.conf"
)

var (
	sshdKeyword  = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]*$`)
	sshdCriteria = regexp.MustCompile(`^[A-Za-z0-9 *?.,:/@!{}_-]+$`)
)

// sshdSettings sets keywords of the SSH server, for everybody or inside a Match block, in a drop-in of ours that is read first. What
// sshd makes of it is computed before and after with internal/debian/sshd; when another line wins it says which one.
func sshdSettings(d *change.Draft, c change.Change) error {
	s, err := newServer(d)
	if err != nil {
		return err
	}
	set, err := s.known(c.Set)
	if err != nil {
		return err
	}
	if err := s.subsystem(set); err != nil {
		return err
	}
	if len(set) == 0 {
		return s.apply(sshd.MainFile)
	}
	match, err := s.criteria(c.Match)
	if err != nil {
		return err
	}
	before, err := s.load()
	if err != nil {
		return err
	}
	file, err := s.write(before, match, set)
	if err != nil {
		return err
	}
	if err := s.settle(file, match, set); err != nil {
		return err
	}
	if err := s.nodesKeep(before, set); err != nil {
		return err
	}
	return s.apply(file)
}

// server is the SSH server of a draft.
type server struct {
	*change.Draft
	release sshd.Release
	sure    bool // the release is known
	people  people
	cluster cluster
	changed bool
}

func newServer(d *change.Draft) (*server, error) {
	if _, err := d.Stat(sshd.MainFile); host.NotExist(err) {
		return nil, change.Cannot("there is no %s: no SSH server is installed here", sshd.MainFile)
	} else if err != nil {
		return nil, err
	}
	s := &server{Draft: d}
	var err error
	if s.release, s.sure, err = sshdRelease(d); err != nil {
		return nil, err
	}
	if s.people, err = readPeople(d); err != nil {
		return nil, err
	}
	s.cluster, err = readCluster(d)
	return s, err
}

// known checks the keywords and leaves those out that only a newer sshd knows.
func (s *server) known(set map[string]string) (map[string]string, error) {
	out := map[string]string{}
	for _, k := range slices.Sorted(maps.Keys(set)) {
		v := set[k]
		if !sshdKeyword.MatchString(k) || v == "" || strings.TrimSpace(v) != v || strings.ContainsFunc(v, isControl) {
			return nil, change.Cannot("%q with the value %q cannot be written into the configuration of sshd", k, v)
		}
		name := strings.ToLower(k)
		switch name {
		case "acceptenv", "allowgroups", "allowusers", "denyusers", "denygroups":
			v = strings.Join(strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' }), " ")
		case "match", "include", "port", "listenaddress", "hostkey":
			return nil, change.Cannot("%s lines add up or may stand only once, so a drop-in cannot change %s; edit the line that is there", k, k)
		}
		if problem := s.refuses(k, v, s.release); problem != "" {
			if s.refuses(k, v, sshd.Release{}) == "" {
				s.Effect("OpenSSH %s does not know %s %s yet; it is left out", s.release, k, v)
				continue
			}
			return nil, change.Cannot("sshd would refuse %s %s: %s", k, v, problem)
		}
		out[k] = v
	}
	return out, nil
}

// refuses says why sshd does not take a line, or "".
func (s *server) refuses(key, value string, r sshd.Release) string {
	conf, err := alone(map[string]string{key: value}, r)
	switch {
	case err != nil:
		return err.Error()
	case len(conf.Problems) > 0:
		return conf.Problems[0].Text
	}
	return ""
}

// alone is a configuration of the given lines and nothing else.
func alone(set map[string]string, r sshd.Release) (*sshd.Config, error) {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(set)) {
		fmt.Fprintf(&b, "%s %s\n", k, set[k])
	}
	return sshd.Load(sshd.MainFile, sshd.Files{
		Read: func(string) ([]byte, error) { return []byte(b.String()), nil },
		Glob: func(string) ([]string, error) { return nil, nil },
	}, r)
}

// subsystem changes the line of a subsystem where it stands, and takes it out of the set: a second line for one name keeps OpenSSH 9.2
// from starting. Without such a line nothing is written, because there is nothing that runs.
func (s *server) subsystem(set map[string]string) error {
	value := ""
	maps.DeleteFunc(set, func(k, v string) bool {
		if strings.EqualFold(k, "subsystem") {
			value = v
			return true
		}
		return false
	})
	if value == "" {
		return nil
	}
	name := strings.Fields(value)[0]
	conf, err := s.load()
	if err != nil {
		return err
	}
	for _, x := range conf.Directives {
		if f := strings.Fields(x.Value); x.Name != "subsystem" || len(f) == 0 || f[0] != name || strings.TrimSpace(x.Value) == value {
			continue
		}
		if x.Match != "" {
			return change.Cannot("%s:%d sets the subsystem %s for \"Match %s\"; change it there by hand", x.File, x.Line, name, oneWord(x.Match))
		}
		if err := s.rewriteLine(x, value); err != nil {
			return err
		}
	}
	return nil
}

// criteria fills {cluster} in.
func (s *server) criteria(match string) (string, error) {
	if match == "" {
		return "", nil
	}
	if !sshdCriteria.MatchString(match) {
		return "", change.Cannot("%q cannot be written behind Match", match)
	}
	if !strings.Contains(match, "{cluster}") {
		return match, nil
	}
	if !s.cluster.member {
		return "", change.Cannot("this host is in no cluster, so there are no nodes to make an exception for")
	}
	if s.cluster.problem != "" {
		return "", change.Cannot("the addresses of the nodes are not known: %s", s.cluster.problem)
	}
	return strings.ReplaceAll(match, "{cluster}", strings.Join(s.cluster.addresses, ",")), nil
}

// load reads the configuration of the draft; one that sshd refuses is not changed.
func (s *server) load() (*sshd.Config, error) {
	conf, err := sshd.Load(sshd.MainFile, sshdReader(s.Draft), s.release)
	if err != nil {
		return nil, err
	}
	if !conf.Valid() {
		return nil, change.Cannot("sshd refuses its files (%s); correct that line first", conf.Problems[0])
	}
	return conf, nil
}

// write puts the settings into the drop-in and sees to it that sshd reads it before anything else.
func (s *server) write(before *sshd.Config, match string, set map[string]string) (string, error) {
	file, err := s.dropIn(before, set)
	if err != nil {
		return "", err
	}
	old, there, err := s.Content(file)
	if err != nil {
		return "", err
	}
	text := editDropIn(string(old), match, s.cluster.member && strings.Contains(match, "ddress "), set)
	if text != string(old) {
		if err := s.put(file, text, 0o600); err != nil {
			return "", err
		}
	}
	if st, err := s.Stat(file); there && err == nil && !st.OwnerUnknown && st.Mode&0o077 != 0 {
		mode := uint32(0o600)
		if err := s.Attr(file, &mode, ""); err != nil {
			return "", err
		}
	}
	return file, s.readFirst(file)
}

func (s *server) put(file, text string, mode uint32) error {
	s.changed = true
	return s.Write(file, []byte(text), mode)
}

// dropIn chooses the name: where another drop-in comes before the usual one and sets the same keyword, one that comes before both.
func (s *server) dropIn(before *sshd.Config, set map[string]string) (string, error) {
	if _, there, err := s.Content(sshdFirst); there || err != nil {
		return sshdFirst, err
	}
	for _, x := range before.Directives {
		if path.Dir(x.File) != sshdDir || x.File >= sshdFile || x.Match != "" || addsUp(x.Name) || lastCounts(x.Name) {
			continue
		}
		for k := range set {
			if strings.EqualFold(k, x.Name) {
				if x.File <= sshdFirst {
					return "", change.Cannot("%s:%d sets %s and is read before any file of castellan; remove that line", x.File, x.Line, x.Keyword)
				}
				s.Effect("%s is read before %s, so the settings stand in %s", x.File, path.Base(sshdFile), sshdFirst)
				return sshdFirst, nil
			}
		}
	}
	return sshdFile, nil
}

// readFirst makes the first line of the main file an Include when the drop-in is not read before the settings of the main file. It
// names our drop-in alone where others exist: reading those earlier than now would change what they decide.
func (s *server) readFirst(file string) error {
	conf, err := s.load()
	if err != nil {
		return err
	}
	for _, x := range conf.Directives {
		if x.File == file && x.Match == "" {
			return nil
		}
		if x.Name != "include" && path.Dir(x.File) != sshdDir {
			break
		}
	}
	what := file
	list, err := s.List(sshdDir + "/*.conf")
	if err != nil {
		return err
	}
	mentions := slices.ContainsFunc(conf.Directives, func(x sshd.Directive) bool {
		return x.Name == "include" && strings.Contains(x.Value, "sshd_config.d")
	})
	if len(list) == 1 && !mentions {
		what = sshdDir + "/*.conf"
	}
	old, _, err := s.Content(sshd.MainFile)
	if err != nil {
		return err
	}
	end := "\n"
	if first, _, ok := strings.Cut(string(old), "\n"); ok && strings.HasSuffix(first, "\r") {
		end = "\r\n"
	}
	s.Effect("%s gets the first line Include %s, so that what stands there is read first", sshd.MainFile, what)
	return s.put(sshd.MainFile, "Include "+what+end+string(old), 0o644)
}

// apply lets the running server take the files over.
func (s *server) apply(file string) error {
	if !s.changed {
		return nil
	}
	if _, err := s.load(); err != nil {
		return err
	}
	if err := s.Do(change.Action{Verb: change.Check, Object: "sshd -t"}); err != nil {
		return err
	}
	if err := s.Do(change.Action{Verb: change.Reload, Object: "ssh.service"}); err != nil {
		return err
	}
	s.Effect("open SSH sessions stay open; new logins follow %s", file)
	return nil
}
