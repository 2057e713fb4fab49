package sshd

import (
	"errors"
	"fmt"
	"strings"
)

// algorithms are the names that a release supports (in the order in which it lists them) and those that it offers
// when nothing is configured (in order of preference).
type algorithms struct {
	ciphers, macs, kex, keys                                                []string
	defaultCiphers, defaultMACs, defaultKex, defaultKeys, defaultSignatures []string
}

const (
	defaultKex = "sntrup761x25519-sha512,sntrup761x25519-sha512@openssh.com,curve25519-sha256," +
		"curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384,ecdh-sha2-nistp521"
	defaultMACs = "umac-64-etm@openssh.com,umac-128-etm@openssh.com,hmac-sha2-256-etm@openssh.com," +
		"hmac-sha2-512-etm@openssh.com,hmac-sha1-etm@openssh.com,umac-64@openssh.com,umac-128@openssh.com," +
		"hmac-sha2-256,hmac-sha2-512,hmac-sha1"
	defaultSignatures = "ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521," +
		"sk-ssh-ed25519@openssh.com,sk-ecdsa-sha2-nistp256@openssh.com,rsa-sha2-512,rsa-sha2-256"
	defaultKeys = "ssh-ed25519-cert-v01@openssh.com,ecdsa-sha2-nistp256-cert-v01@openssh.com," +
		"ecdsa-sha2-nistp384-cert-v01@openssh.com,ecdsa-sha2-nistp521-cert-v01@openssh.com," +
		"sk-ssh-ed25519-cert-v01@openssh.com,sk-ecdsa-sha2-nistp256-cert-v01@openssh.com," +
		"rsa-sha2-512-cert-v01@openssh.com,rsa-sha2-256-cert-v01@openssh.com," + defaultSignatures
	defaultGSSKex = "gss-group14-sha256-,gss-group16-sha512-,gss-nistp256-sha256-,gss-curve25519-sha256-," +
		"gss-group14-sha1-,gss-gex-sha1-"
)

var (
	supportedCiphers = []string{
		"3des-cbc", "aes128-cbc", "aes192-cbc", "aes256-cbc", "aes128-ctr", "aes192-ctr", "aes256-ctr",
		"aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com",
	}
	supportedMACs = []string{
		"hmac-sha1", "hmac-sha1-96", "hmac-sha2-256", "hmac-sha2-512", "hmac-md5", "hmac-md5-96",
		"umac-64@openssh.com", "umac-128@openssh.com", "hmac-sha1-etm@openssh.com", "hmac-sha1-96-etm@openssh.com",
		"hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-md5-etm@openssh.com",
		"hmac-md5-96-etm@openssh.com", "umac-64-etm@openssh.com", "umac-128-etm@openssh.com",
	}
	supportedKex = []string{
		"diffie-hellman-group1-sha1", "diffie-hellman-group14-sha1", "diffie-hellman-group14-sha256",
		"diffie-hellman-group16-sha512", "diffie-hellman-group18-sha512", "diffie-hellman-group-exchange-sha1",
		"diffie-hellman-group-exchange-sha256", "ecdh-sha2-nistp256", "ecdh-sha2-nistp384", "ecdh-sha2-nistp521",
		"curve25519-sha256", "curve25519-sha256@libssh.org", "sntrup761x25519-sha512",
		"sntrup761x25519-sha512@openssh.com", "mlkem768x25519-sha256",
	}
	supportedGSSKex = []string{
		"gss-gex-sha1-", "gss-group1-sha1-", "gss-group14-sha1-", "gss-group14-sha256-", "gss-group16-sha512-",
		"gss-nistp256-sha256-", "gss-curve25519-sha256-",
	}
	supportedKeys = []string{
		"ssh-ed25519", "ssh-ed25519-cert-v01@openssh.com",
		"sk-ssh-ed25519@openssh.com", "sk-ssh-ed25519-cert-v01@openssh.com",
		"ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256-cert-v01@openssh.com",
		"ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384-cert-v01@openssh.com",
		"ecdsa-sha2-nistp521", "ecdsa-sha2-nistp521-cert-v01@openssh.com",
		"sk-ecdsa-sha2-nistp256@openssh.com", "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
		"webauthn-sk-ecdsa-sha2-nistp256@openssh.com", "ssh-dss", "ssh-dss-cert-v01@openssh.com",
		"ssh-rsa", "ssh-rsa-cert-v01@openssh.com", "rsa-sha2-256", "rsa-sha2-256-cert-v01@openssh.com",
		"rsa-sha2-512", "rsa-sha2-512-cert-v01@openssh.com",
	}
)

// listKind names the family of an algorithm list.
type listKind byte

const (
	cipherList listKind = iota
	macList
	kexList
	keyList
	signatureList
)

func (a algorithms) supported(k listKind) []string {
	switch k {
	case cipherList:
		return a.ciphers
	case macList:
		return a.macs
	case kexList:
		return a.kex
	case signatureList:
		var plain []string
		for _, n := range a.keys {
			if !isCert(n) {
				plain = append(plain, n)
			}
		}
		return plain
	}
	return a.keys
}

func (a algorithms) defaults(k listKind) []string {
	switch k {
	case cipherList:
		return a.defaultCiphers
	case macList:
		return a.defaultMACs
	case kexList:
		return a.defaultKex
	case signatureList:
		return a.defaultSignatures
	}
	return a.defaultKeys
}

func isCert(name string) bool { return strings.Contains(name, "-cert-v01@") }

// check validates an algorithm list as sshd does when it reads the line. A list to remove ("-...") is never checked.
func (a algorithms) check(arg string, k listKind, modern bool) error {
	if strings.HasPrefix(arg, "-") {
		return nil
	}
	arg = strings.TrimPrefix(arg, "+")
	if !strings.HasPrefix(arg, "+") {
		arg = strings.TrimPrefix(arg, "^")
	}
	if arg == "" {
		return errors.New("empty list of algorithms")
	}
	for _, name := range strings.Split(arg, ",") {
		if name == "" {
			break // sshd stops at an empty name and takes what came before
		}
		if !a.known(name, k, modern) {
			return fmt.Errorf("unknown algorithm %q", name)
		}
	}
	return nil
}

func (a algorithms) known(name string, k listKind, modern bool) bool {
	for _, n := range a.supported(map[bool]listKind{true: keyList, false: k}[k == signatureList]) {
		if n == name {
			return k != signatureList || !modern || !isCert(name)
		}
	}
	switch k {
	case kexList:
		return gssKexKnown(name)
	case keyList, signatureList:
		for _, n := range a.keys {
			if matchList(n, name, false) != 0 {
				return true
			}
		}
	}
	return false
}

func gssKexKnown(name string) bool {
	for _, g := range supportedGSSKex {
		if strings.HasPrefix(name, g) {
			return true
		}
	}
	return false
}

// assemble resolves a configured list against the defaults: + appends, - removes (patterns allowed), ^ puts first,
// anything else replaces. Names may be patterns; what the release does not know is dropped.
func (a algorithms) assemble(list string, k listKind) (string, error) {
	def, all := a.defaults(k), a.supported(k)
	if list == "" {
		return strings.Join(def, ","), nil
	}
	names := split(list)
	switch list[0] {
	case '-':
		var keep []string
		for _, n := range def {
			if matchList(n, list[1:], false) != 1 {
				keep = append(keep, n)
			}
		}
		return strings.Join(keep, ","), nil
	case '+':
		names = union(def, split(list[1:]))
	case '^':
		names = union(split(list[1:]), def)
	}
	var out []string
	for _, pattern := range names {
		if strings.HasPrefix(pattern, "!") {
			return "", errors.New("negated names are not allowed in a list of algorithms")
		}
		var matching []string
		for _, n := range all {
			if matchList(n, pattern, false) == 1 {
				matching = append(matching, n)
			}
		}
		out = union(out, matching)
	}
	if len(out) == 0 {
		return "", errors.New("the list names no supported algorithm")
	}
	return strings.Join(out, ","), nil
}

// union appends the names of b that a does not have.
func union(a, b []string) []string {
	out := append([]string(nil), a...)
	for _, n := range b {
		known := false
		for _, o := range out {
			known = known || o == n
		}
		if !known {
			out = append(out, n)
		}
	}
	return out
}
