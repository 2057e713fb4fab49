package kinds

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/conffile"
)

const openSSLFile = "/etc/ssl/openssl.cnf"

// line sets keys of a file whose lines are keys and values parted by the separator. Files of a grammar of their own have a kind
// of their own.
func line(d *change.Draft, c change.Change) error {
	if !strings.HasPrefix(c.Path, "/") || strings.ContainsAny(c.Path, "\x00\r\n") {
		return change.Cannot("the path %q is not absolute", c.Path)
	}
	if c.Path == openSSLFile {
		return openSSL(d, c)
	}
	split := strings.TrimSpace(c.Separator)
	if split == "" {
		split = " \t"
	}
	separator := c.Separator
	if separator == "" {
		separator = " "
	}
	_, err := rewrite(d, c.Path, 0o644, func(b []byte) ([]byte, error) {
		doc := conffile.Parse(b, conffile.Dialect{Separator: separator, Split: split})
		for _, key := range slices.Sorted(maps.Keys(c.Set)) {
			if strings.ContainsAny(key+c.Set[key], "\x00\r\n") || key == "" {
				return nil, change.Cannot("the setting %.40q cannot be written: it holds a line break", key)
			}
			if have, at := doc.Get("", key); at == 0 || !holds(key, have, c.Set[key]) {
				doc.Set("", key, c.Set[key])
			}
		}
		return doc.Bytes(), nil
	})
	return err
}

// openSSL strengthens what the system's configuration of OpenSSL says about protocols and ciphers, in whatever section it says so.
// What it does not say is left to the defaults of Debian's build, TLS 1.2 and security level 2.
func openSSL(d *change.Draft, c change.Change) error {
	changed, err := rewrite(d, c.Path, 0o644, func(b []byte) ([]byte, error) {
		lines, ending := pieces(b)
		for i, l := range lines {
			text, _ := lineAndEnd(l)
			key, value, ok := strings.Cut(text, "=")
			want, asked := c.Set[strings.TrimSpace(key)]
			if !ok || !asked || strings.HasPrefix(strings.TrimSpace(key), "#") {
				continue
			}
			value, _, _ = strings.Cut(value, "#")
			if !weakTLS(strings.TrimSpace(key), strings.TrimSpace(value)) {
				continue
			}
			lines[i] = strings.TrimRight(key, " \t") + " = " + want + lineEnd(l, ending)
		}
		if len(lines) == 0 {
			return b, nil
		}
		return joined(lines), nil
	})
	if err != nil || !changed {
		return err
	}
	d.Effect("clients that know TLS 1.0 and 1.1 only can no longer connect to programs of this host; each program takes it up when it starts again")
	return d.Do(change.Action{Verb: change.Restart, Object: "pveproxy.service"})
}

// weakTLS reports whether a value is below TLS 1.2 or below security level 2 (SSL_CONF_cmd(3), openssl-ciphers(1)).
func weakTLS(key, value string) bool {
	switch key {
	case "MinProtocol":
		return slices.Contains([]string{"None", "SSLv3", "TLSv1", "TLSv1.0", "TLSv1.1"}, value)
	case "CipherString":
		_, level, ok := strings.Cut(value, "@SECLEVEL=")
		n, err := strconv.Atoi(strings.TrimSpace(strings.SplitN(level, ":", 2)[0]))
		return ok && (err != nil || n < 2)
	}
	return true
}
