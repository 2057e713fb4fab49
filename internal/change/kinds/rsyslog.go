package kinds

import (
	"fmt"
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/change"
	parser "github.com/castellan-project/castellan/internal/debian/rsyslog"
	"github.com/castellan-project/castellan/internal/host"
)

// Files of rsyslog in Debian's layout.
const (
	rsyslogMain = "/etc/rsyslog.conf"
	rsyslogFile = "/etc/rsyslog.d/castellan.conf"
	rsyslogCA   = "/etc/ssl/certs/ca-certificates.crt"
	rsyslogTLS  = "/usr/lib/*/rsyslog/lmnsd_gtls.so"
)

// rsyslog forwards messages to a log server, always over TLS with the server's name checked, and lets files be followed.
//
// Keys: target (name or address), port (6514 as RFC 5425 says), peer (the name in the server's certificate; that of target), ca
// (file of the authorities; Debian's own list), and follow (paths divided by commas). Messages wait in a queue on the disk while the
// server does not answer.
func rsyslog(d *change.Draft, c change.Change) error {
	for key := range c.Set {
		if !slices.Contains([]string{"target", "port", "peer", "ca", "follow"}, key) {
			return change.Cannot("changes of the kind rsyslog do not know the key %q", key)
		}
	}
	if _, exists, err := d.Content(rsyslogMain); err != nil || !exists {
		if err != nil {
			return fmt.Errorf("cannot read %s: %w", rsyslogMain, err)
		}
		return change.Cannot("rsyslog is not installed: there is no %s", rsyslogMain)
	}
	old, _, err := d.Content(rsyslogFile)
	if err != nil {
		return fmt.Errorf("cannot read %s: %w", rsyslogFile, err)
	}
	text := string(old)
	if c.Set["target"] != "" {
		block, err := rsyslogForward(d, c.Set)
		if err != nil {
			return err
		}
		text = setBlock(text, "forward", block)
	}
	if c.Set["follow"] != "" {
		block, err := rsyslogFollow(d, c.Set["follow"])
		if err != nil {
			return err
		}
		if block != "" {
			text = setBlock(text, "follow", block)
		}
	}
	if text != string(old) {
		if set := c.Set; set["target"] != "" {
			d.Effect("every message of this host, with names, addresses and commands in it, goes to %s; while it does not answer, up to 1 GB waits on this disk",
				set["target"])
		}
		if err := d.Write(rsyslogFile, []byte(text), 0o644); err != nil {
			return err
		}
		if err := d.Do(change.Action{Verb: change.Check, Object: "rsyslogd -N1"}); err != nil {
			return err
		}
		if err := d.Do(change.Action{Verb: change.Restart, Object: "rsyslog.service"}); err != nil {
			return err
		}
	}
	return rsyslogHolds(d, c.Set)
}

// rsyslogForward writes the action. The parameters are those of omfwd; StreamDriver.CAFile is known from rsyslog 8.2108 on, so that the
// global settings of the host stay as they are.
func rsyslogForward(d *change.Draft, set map[string]string) (string, error) {
	target, port, peer, ca := set["target"], set["port"], set["peer"], set["ca"]
	if port == "" {
		port = "6514"
	}
	if peer == "" {
		peer = target
	}
	if ca == "" {
		ca = rsyslogCA
	}
	if !hostOrAddress(target) || !hostOrAddress(peer) {
		return "", change.Cannot("%q is no name or address of a log server", target)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return "", change.Cannot("%q is no port", port)
	}
	if !plainPath(ca) {
		return "", change.Cannot("%q is no absolute path of a file with certificates", ca)
	}
	if _, err := d.Stat(ca); err != nil {
		return "", change.Cannot("the certificates of the log server's authority cannot be read: %v; put them there, or install ca-certificates", err)
	}
	if found, err := d.List(rsyslogTLS); err != nil || len(found) == 0 {
		return "", change.Cannot("rsyslog cannot speak TLS yet: install the package rsyslog-gnutls")
	}
	return fmt.Sprintf(`action(type="omfwd" target="%s" port="%s" protocol="tcp"
       StreamDriver="gtls" StreamDriverMode="1" StreamDriverAuthMode="x509/name"
       StreamDriverPermittedPeers="%s" StreamDriver.CAFile="%s"
       queue.type="LinkedList" queue.filename="castellan" queue.maxDiskSpace="1g"
       queue.saveOnShutdown="on" action.resumeRetryCount="-1")
`, target, port, peer, ca), nil
}

// hostOrAddress accepts what may stand between quotes for a name or address.
func hostOrAddress(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	return len(s) <= 253 && regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$`).MatchString(s)
}

// plainPath accepts absolute paths without anything that has a meaning to rsyslog.
func plainPath(s string) bool {
	return path.Clean(s) == s && regexp.MustCompile(`^/[A-Za-z0-9/._@+-]+$`).MatchString(s)
}

// rsyslogFollow writes the inputs of files that nothing follows yet. A module may be loaded once only.
func rsyslogFollow(d *change.Draft, list string) (string, error) {
	files, conf, err := rsyslogRead(d)
	if err != nil {
		return "", err
	}
	followed := map[string]bool{}
	loaded := false
	for _, in := range conf.Inputs {
		if in.Type == "imfile" && !strings.HasPrefix(in.Source, rsyslogFile+":") {
			followed[in.File] = true
		}
	}
	for _, f := range files {
		if f.Path == rsyslogFile {
			continue
		}
		loaded = loaded || regexp.MustCompile(`(?im)^\s*(module\s*\(\s*load\s*=\s*"imfile|\$ModLoad\s+imfile)`).Match(f.Content)
	}
	var b strings.Builder
	for name := range strings.SplitSeq(list, ",") {
		if !plainPath(name) {
			return "", change.Cannot("%q is no absolute path of a log file", name)
		}
		if followed[name] {
			continue
		}
		tag := regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(strings.TrimPrefix(name, "/var/log/")), "-")
		fmt.Fprintf(&b, "input(type=\"imfile\" File=\"%s\" Tag=\"%s:\" Severity=\"info\")\n", name, tag)
	}
	if b.Len() == 0 || loaded {
		return b.String(), nil
	}
	return "module(load=\"imfile\")\n" + b.String(), nil
}

// rsyslogRead reads the configuration with all that it includes.
func rsyslogRead(d *change.Draft) ([]parser.File, *parser.Config, error) {
	var files []parser.File
	var failed error
	read := func(name string) (parser.File, bool) {
		b, exists, err := d.Content(name)
		if err != nil && failed == nil {
			failed = fmt.Errorf("cannot read %s: %w", name, err)
		}
		f := parser.File{Path: name, Content: b}
		if exists {
			files = append(files, f)
		}
		return f, exists
	}
	main, _ := read(rsyslogMain)
	conf := parser.Parse(main, func(pattern string) []parser.File {
		if strings.HasSuffix(pattern, "/") {
			pattern += "*"
		}
		found, err := d.List(pattern)
		if err != nil && !host.NotExist(err) && failed == nil {
			failed = fmt.Errorf("cannot list %s: %w", pattern, err)
		}
		var out []parser.File
		for _, f := range found {
			if f.Type == host.Dir {
				continue
			}
			if file, ok := read(f.Path); ok {
				out = append(out, file)
			}
		}
		return out
	})
	return files, conf, failed
}

// rsyslogHolds reads the configuration back: what was written must be read, and nothing beside it may leave in clear.
func rsyslogHolds(d *change.Draft, set map[string]string) error {
	_, conf, err := rsyslogRead(d)
	if err != nil {
		return err
	}
	if set["target"] != "" {
		ours := slices.ContainsFunc(conf.Forwards, func(f parser.Forward) bool {
			return strings.HasPrefix(f.Source, rsyslogFile+":") && f.Target == set["target"] && f.TLS && f.Verified && !f.Conditional
		})
		if !ours {
			return change.Cannot("%s does not read %s; add the line: include(file=\"/etc/rsyslog.d/*.conf\" mode=\"optional\")", rsyslogMain, rsyslogFile)
		}
		for _, f := range conf.Forwards {
			if !f.TLS && !strings.HasPrefix(f.Target, "/") && !loopbackHost(f.Target) {
				return change.Cannot("%s sends messages to %s in clear; take that line out first, when the log server takes TLS", f.Source, f.Target)
			}
		}
	}
	if set["follow"] == "" {
		return nil
	}
	for name := range strings.SplitSeq(set["follow"], ",") {
		if !slices.ContainsFunc(conf.Inputs, func(in parser.Input) bool { return in.Type == "imfile" && in.File == name }) {
			return change.Cannot("%s does not read %s; add the line: include(file=\"/etc/rsyslog.d/*.conf\" mode=\"optional\")", rsyslogMain, rsyslogFile)
		}
	}
	return nil
}

func loopbackHost(s string) bool {
	a, err := netip.ParseAddr(strings.Trim(s, "[]"))
	return s == "localhost" || err == nil && a.IsLoopback()
}

// setBlock puts a block between two comment lines of ours, in the place of the one that is there; the rest of the file stays.
func setBlock(text, name, block string) string {
	begin, end := "# begin castellan "+name+"\n", "# end castellan "+name+"\n"
	block = begin + block + end
	lines := slices.Collect(strings.Lines(text))
	from := -1
	for i, l := range lines {
		switch {
		case l == begin:
			from = i
		case l == end && from >= 0:
			return strings.Join(lines[:from], "") + block + strings.Join(lines[i+1:], "")
		}
	}
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return text + block
}
