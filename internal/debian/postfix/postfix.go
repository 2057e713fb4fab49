// Package postfix reads the configuration of Postfix: main.cf and master.cf (postconf(5), master(5)) and aliases(5).
// Parameters are expanded and defaults resolved as Postfix 3.7 (Debian 12) and 3.10 (Debian 13) do.
package postfix

import (
	"bytes"
	"strings"
)

// Value is a parameter as written and the line of its last definition; line 0 is the default of Postfix.
type Value struct {
	Text string
	Line int
}

// Main is the content of main.cf.
type Main map[string]Value

// defaults are the defaults of the parameters that say who may reach Postfix and where mail goes (postconf -d).
func defaults(name string) (string, bool) {
	v, ok := map[string]string{
		"inet_interfaces": "all", "inet_protocols": "all", "relayhost": "", "mynetworks_style": "${{$compatibility_level} <level {2} ? {subnet} : {host}}",
		"alias_maps": "hash:/etc/aliases", "smtpd_relay_restrictions": "permit_mynetworks, permit_sasl_authenticated, defer_unauth_destination",
		"default_transport": "smtp", "local_transport": "local:$myhostname", "smtp_tls_security_level": "", "smtpd_tls_security_level": "",
		"disable_vrfy_command": "no", "smtpd_banner": "$myhostname ESMTP $mail_name", "mail_name": "Postfix", "proxy_interfaces": "",
		"master_service_disable": "", "mydestination": "$myhostname, localhost.$mydomain, localhost", "myorigin": "$myhostname",
		"config_directory": "/etc/postfix", "smtpd_recipient_restrictions": "", "mydomain": "localdomain", "compatibility_level": "0",
	}[name]
	return v, ok
}

// ParseMain reads main.cf. A line that starts with white space continues the one before; comments and empty lines in
// between do not end it. The last definition of a name wins. Lines without "=" are skipped, as Postfix does with a warning.
func ParseMain(b []byte) Main {
	m := Main{}
	name, n, at := "", 0, 0
	var value []byte // of the parameter that is being read
	end := func() {
		if name != "" {
			m[name] = Value{Text: string(bytes.TrimSpace(value)), Line: at}
		}
		name, value = "", value[:0]
	}
	for raw := range bytes.Lines(b) {
		n++
		line := strings.TrimRight(string(raw), "\r\n\t ")
		trimmed := strings.TrimSpace(line)
		switch {
		case trimmed == "" || trimmed[0] == '#':
		case line[0] == ' ' || line[0] == '\t':
			value = append(append(value, ' '), trimmed...)
		default:
			end()
			if key, text, ok := strings.Cut(line, "="); ok {
				name, at, value = strings.TrimSpace(key), n, append(value, text...)
			}
		}
	}
	end()
	return m
}

// Get returns a parameter with its references expanded. Known is false for a name that is neither set nor has a default
// here.
func (m Main) Get(name string) (v Value, known bool) {
	raw, ok := m[name]
	if !ok {
		text, has := defaults(name)
		if !has {
			return Value{}, false
		}
		raw = Value{Text: text}
	}
	e := expansion{main: m, left: maxSteps}
	return Value{Text: strings.TrimSpace(e.expand(raw.Text, 0)), Line: raw.Line}, true
}

// Limits of the expansion, so that references in a circle and doubling definitions end.
const (
	maxDepth    = 16
	maxExpanded = 64 << 10 // bytes
	maxSteps    = 4096     // references followed for one parameter
	// maxReference bounds ${...}, so that many of them that never close are not each searched to the end.
	maxReference = 4096 // bytes
)

// expansion is the work on one parameter; left keeps definitions that fan out from taking for ever.
type expansion struct {
	main Main
	left int
}

// expand replaces $name, ${name}, $(name), ${name?text} and ${name:text} (postconf(5)). $$ is a dollar.
func (e *expansion) expand(s string, depth int) string {
	if depth > maxDepth || e.left <= 0 || !strings.Contains(s, "$") {
		return s
	}
	var out strings.Builder
	for i := 0; i < len(s) && out.Len() < maxExpanded && e.left > 0; {
		if s[i] != '$' || i+1 == len(s) {
			out.WriteByte(s[i])
			i++
			continue
		}
		ref, length := reference(s[i+1:])
		i += 1 + length
		switch {
		case length == 0:
			out.WriteByte('$')
		case ref == "$":
			out.WriteByte('$')
		default:
			e.left--
			out.WriteString(e.value(ref, depth))
		}
	}
	if out.Len() > maxExpanded {
		return out.String()[:maxExpanded]
	}
	return out.String()
}

// reference returns what follows a dollar and how many bytes it takes.
func reference(s string) (string, int) {
	if s == "" {
		return "", 0
	}
	if s[0] == '$' {
		return "$", 1
	}
	if s[0] == '{' || s[0] == '(' {
		depth := 0
		for i := 0; i < len(s) && i < maxReference; i++ {
			switch s[i] {
			case '{', '(':
				depth++
			case '}', ')':
				if depth--; depth == 0 {
					return s[1:i], i + 1
				}
			}
		}
		return "", 0
	}
	i := 0
	for i < len(s) && (s[i] == '_' || s[i] >= '0' && s[i] <= '9' || s[i] >= 'a' && s[i] <= 'z' || s[i] >= 'A' && s[i] <= 'Z') {
		i++
	}
	return s[:i], i
}

func (e *expansion) value(ref string, depth int) string {
	if at := strings.IndexAny(ref, "?:"); at > 0 && isName(ref[:at]) {
		text, set := e.lookup(ref[:at], depth)
		if (ref[at] == '?') == (set && text != "") {
			return e.expand(strings.Trim(ref[at+1:], "{}"), depth+1)
		}
		return ""
	}
	text, _ := e.lookup(ref, depth)
	return text
}

func (e *expansion) lookup(name string, depth int) (string, bool) {
	if v, ok := e.main[name]; ok {
		return e.expand(v.Text, depth+1), true
	}
	if d, ok := defaults(name); ok {
		return e.expand(d, depth+1), true
	}
	return "", false
}

func isName(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == ""
}

// List cuts a parameter's text at commas and blanks.
func List(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\n' })
}

// LoopbackOnly reports whether a value of inet_interfaces keeps Postfix on the loopback addresses. An empty value means
// that Postfix does not listen at all.
func LoopbackOnly(interfaces string) bool {
	for _, s := range List(interfaces) {
		switch host := strings.ToLower(strings.Trim(s, "[]")); {
		case host == "loopback-only", host == "localhost", host == "::1", strings.HasPrefix(host, "127."):
		default:
			return false
		}
	}
	return true
}
