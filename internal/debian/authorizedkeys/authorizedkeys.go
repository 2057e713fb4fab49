// Package authorizedkeys reads the key files of SSH: authorized_keys (sshd(8), AUTHORIZED_KEYS FILE FORMAT), public
// host keys, and the outside of private keys. It gives types, sizes, options and fingerprints; the key itself never
// leaves the package, neither the public nor the private one.
package authorizedkeys

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"strings"
)

// Key is a public key.
type Key struct {
	Line int
	// Type is the name in the key: "ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256" ...
	Type string
	// Bits is the size of the key: of the modulus for RSA and DSA, of the curve for the others; 0 when unknown.
	Bits    int
	Comment string
	Options []Option
	// Fingerprint is "SHA256:" and the hash in base64, as ssh-keygen -l prints it.
	Fingerprint string
}

// Option is a restriction or permission in front of a key.
type Option struct {
	Name  string // lower case
	Value string // without its quotes; empty for a flag
}

// Option returns the values of all options of a name.
func (k Key) Option(name string) []string {
	var out []string
	for _, o := range k.Options {
		if o.Name == name {
			out = append(out, o.Value)
		}
	}
	return out
}

// From returns the patterns of the from option: where the key may be used. Empty means anywhere.
func (k Key) From() []string {
	var out []string
	for _, v := range k.Option("from") {
		for _, p := range strings.Split(v, ",") {
			if p = strings.TrimSpace(p); p != "" {
				out = append(out, p)
			}
		}
	}
	return out
}

// Problem is a line that sshd skips.
type Problem struct {
	Line int
	Text string
}

// maxKeys bounds how many keys of one file are read.
const maxKeys = 10_000

// Parse reads an authorized_keys file. Lines that sshd would skip with a complaint come back as problems.
func Parse(content []byte) (keys []Key, problems []Problem) {
	n := 0
	for len(content) > 0 && len(keys) < maxKeys && len(problems) < maxKeys {
		line, after, _ := bytes.Cut(content, []byte("\n"))
		content = after
		n++
		text := strings.Trim(string(line), " \t\r")
		if text == "" || text[0] == '#' {
			continue
		}
		k, err := ParseLine(text)
		if err != nil {
			problems = append(problems, Problem{n, err.Error()})
			continue
		}
		k.Line = n
		keys = append(keys, k)
	}
	return keys, problems
}

// ParseLine reads one line: [options] type base64 [comment]. It also reads public key files.
func ParseLine(text string) (Key, error) {
	var k Key
	typ, rest := word(text)
	if !isType(typ) {
		options, after, err := splitOptions(text)
		if err != nil {
			return Key{}, err
		}
		k.Options = options
		typ, rest = word(after)
		if !isType(typ) {
			return Key{}, errors.New("the line has no key type that SSH knows")
		}
	}
	blob64, comment := word(rest)
	blob, err := base64.StdEncoding.DecodeString(blob64)
	if err != nil {
		return Key{}, fmt.Errorf("the key is not valid base64: %w", err)
	}
	inner, _, ok := field(blob)
	if !ok || string(inner) != typ {
		return Key{}, errors.New("the key is damaged: it does not hold the type that the line names")
	}
	sum := sha256.Sum256(blob)
	k.Type, k.Comment = typ, strings.TrimSpace(strings.ToValidUTF8(comment, "?"))
	k.Fingerprint = "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
	k.Bits = size(typ, blob)
	return k, nil
}

func word(s string) (first, rest string) {
	s = strings.TrimLeft(s, " \t")
	i := strings.IndexAny(s, " \t")
	if i < 0 {
		return s, ""
	}
	return s[:i], s[i+1:]
}

// isType reports whether a word is the name of a key algorithm (sshd(8), AUTHORIZED_KEYS FILE FORMAT, and PROTOCOL.certkeys).
func isType(s string) bool {
	s, _ = strings.CutSuffix(s, "-cert-v01@openssh.com")
	switch strings.TrimSuffix(s, "@openssh.com") {
	case "ssh-ed25519", "ssh-rsa", "ssh-dss", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521",
		"sk-ssh-ed25519", "sk-ecdsa-sha2-nistp256", "ssh-xmss":
		return true
	}
	return false
}

// splitOptions reads the options in front of a key: names with optional quoted values, separated by commas, up to the
// first blank outside of quotes. A backslash keeps a quote inside a value.
func splitOptions(s string) (options []Option, rest string, err error) {
	quoted, start := false, 0
	add := func(text string) {
		name, value, _ := strings.Cut(text, "=")
		if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
			value = strings.ReplaceAll(value[1:len(value)-1], `\"`, `"`)
		}
		if name = strings.ToLower(strings.TrimSpace(name)); name != "" {
			options = append(options, Option{strings.ToValidUTF8(name, "?"), strings.ToValidUTF8(value, "?")})
		}
	}
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s) && s[i+1] == '"':
			i++
		case s[i] == '"':
			quoted = !quoted
		case quoted:
		case s[i] == ',':
			add(s[start:i])
			start = i + 1
		case s[i] == ' ' || s[i] == '\t':
			add(s[start:i])
			return options, s[i+1:], nil
		}
	}
	if quoted {
		return nil, "", errors.New("a quote in the options is not closed")
	}
	return nil, "", errors.New("the line has no key type that SSH knows")
}

// field takes a length-prefixed string off the front of a key in wire format (RFC 4251 section 5).
func field(b []byte) (value, rest []byte, ok bool) {
	if len(b) < 4 {
		return nil, nil, false
	}
	n := binary.BigEndian.Uint32(b)
	if uint64(n) > uint64(len(b)-4) {
		return nil, nil, false
	}
	return b[4 : 4+n], b[4+n:], true
}

// size gives the bits of a key in wire format (RFC 4253 section 6.6, RFC 5656 section 3.1).
func size(typ string, blob []byte) int {
	if strings.Contains(typ, "-cert-") {
		return 0
	}
	_, rest, _ := field(blob)
	switch {
	case strings.Contains(typ, "ed25519"):
		return 256
	case strings.Contains(typ, "nistp256"):
		return 256
	case strings.Contains(typ, "nistp384"):
		return 384
	case strings.Contains(typ, "nistp521"):
		return 521
	case typ == "ssh-rsa":
		_, rest, _ = field(rest) // the public exponent comes first
		n, _, _ := field(rest)
		return bitLen(n)
	case typ == "ssh-dss":
		p, _, _ := field(rest)
		return bitLen(p)
	}
	return 0
}

func bitLen(n []byte) int {
	n = bytes.TrimLeft(n, "\x00")
	if len(n) == 0 {
		return 0
	}
	return (len(n)-1)*8 + bits.Len8(n[0])
}

// Private is what can be told of a private key without its secret.
type Private struct {
	// Format is openssh or pem.
	Format string
	// Encrypted is true when a passphrase protects the key.
	Encrypted bool
	// Type is the type of the key, empty when the format does not tell.
	Type string
}

// InspectPrivate tells whether a file is a private key. ok is false for anything else.
func InspectPrivate(content []byte) (p Private, ok bool) {
	begin := bytes.Index(content, []byte("-----BEGIN "))
	if begin < 0 {
		return Private{}, false
	}
	head, body, found := bytes.Cut(content[begin+len("-----BEGIN "):], []byte("-----"))
	if !found || !bytes.HasSuffix(head, []byte("PRIVATE KEY")) || len(head) > 40 {
		return Private{}, false
	}
	kind := strings.TrimSpace(strings.TrimSuffix(string(head), "PRIVATE KEY"))
	if end := bytes.Index(body, []byte("-----END ")); end >= 0 {
		body = body[:end]
	}
	if kind == "OPENSSH" {
		return inspectOpenSSH(body)
	}
	p = Private{Format: "pem", Type: map[string]string{"RSA": "ssh-rsa", "DSA": "ssh-dss", "EC": "ecdsa"}[kind]}
	p.Encrypted = kind == "ENCRYPTED" || bytes.Contains(body, []byte("Proc-Type: 4,ENCRYPTED"))
	return p, true
}

// inspectOpenSSH reads the head of OpenSSH's own format (PROTOCOL.key): a magic word, the cipher, the key derivation
// and its options, the number of keys and the first public key.
func inspectOpenSSH(body []byte) (Private, bool) {
	p := Private{Format: "openssh", Encrypted: true} // a key that cannot be read further is not claimed to be open
	text := bytes.Map(func(r rune) rune {
		if r == '\n' || r == '\r' || r == ' ' || r == '\t' {
			return -1
		}
		return r
	}, body)
	blob, err := base64.StdEncoding.DecodeString(string(text))
	rest, found := bytes.CutPrefix(blob, []byte("openssh-key-v1\x00"))
	if err != nil || !found {
		return p, true
	}
	cipher, rest, ok := field(rest)
	if !ok {
		return p, true
	}
	kdf, rest, ok := field(rest)
	if !ok {
		return p, true
	}
	p.Encrypted = string(cipher) != "none" || string(kdf) != "none"
	if _, rest, ok = field(rest); !ok || len(rest) < 4 {
		return p, true
	}
	if public, _, ok := field(rest[4:]); ok {
		if typ, _, ok := field(public); ok && isType(string(typ)) {
			p.Type = string(typ)
		}
	}
	return p, true
}
