package lockout

import (
	"path"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/debian/sshd"
	"github.com/castellan-project/castellan/internal/host"
)

// offered is what every OpenSSH client from 8.4 to 10.0 offers when nothing is configured (myproposal.h of these releases:
// KEX_CLIENT, KEX_CLIENT_ENCRYPT, KEX_CLIENT_MAC, KEX_DEFAULT_PK_ALG), in the client's order. Which client an operator uses
// cannot be known; one that is newer or set up for more finds more in common, not less.
//
// table: names of algorithms
func offered() map[string][]string {
	return map[string][]string{
		"kexalgorithms": {"curve25519-sha256", "curve25519-sha256@libssh.org", "ecdh-sha2-nistp256", "ecdh-sha2-nistp384", "ecdh-sha2-nistp521",
			"diffie-hellman-group-exchange-sha256", "diffie-hellman-group16-sha512", "diffie-hellman-group18-sha512", "diffie-hellman-group14-sha256"},
		"ciphers": {"chacha20-poly1305@openssh.com", "aes128-ctr", "aes192-ctr", "aes256-ctr", "aes128-gcm@openssh.com", "aes256-gcm@openssh.com"},
		"macs": {"umac-64-etm@openssh.com", "umac-128-etm@openssh.com", "hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com",
			"hmac-sha1-etm@openssh.com", "umac-64@openssh.com", "umac-128@openssh.com", "hmac-sha2-256", "hmac-sha2-512", "hmac-sha1"},
		"hostkeyalgorithms": {"ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "rsa-sha2-512", "rsa-sha2-256"},
	}
}

// common are the algorithms of a keyword that server and every client have.
func common(s sshd.Settings, key string) []string {
	have := strings.Split(strings.Join(s[key].Values, ","), ",")
	var out []string
	for _, o := range offered()[key] {
		if slices.Contains(have, o) {
			out = append(out, o)
		}
	}
	return out
}

// crypto asks whether server and client find a common language.
func (l *login) crypto() judgement {
	for _, x := range []struct{ key, word string }{
		{"kexalgorithms", "KexAlgorithms"}, {"ciphers", "Ciphers"}, {"hostkeyalgorithms", "HostKeyAlgorithms"}, {"macs", "MACs"},
	} {
		if x.key == "macs" && l.sealed() && strings.Join(l.s[x.key].Values, "") != "" {
			continue
		}
		if len(common(l.s, x.key)) > 0 {
			continue
		}
		v := l.s[x.key]
		return refuse("%s %s (%s) holds nothing that every OpenSSH client since 8.4 offers, and which client %s uses cannot be known", x.word,
			strings.Join(v.Values, ","), source(v.Source), l.op.Words()).in(v.Source).adding("%s to %s", offered()[x.key][0], x.word)
	}
	if l.node != "" && !slices.ContainsFunc(common(l.s, "hostkeyalgorithms"), func(a string) bool { return strings.HasPrefix(a, "rsa-sha2") }) {
		v := l.s["hostkeyalgorithms"]
		return refuse("HostKeyAlgorithms (%s) leaves out RSA, and the nodes know each other by their RSA host keys (pve-cluster, PVE/SSHInfo.pm)",
			source(v.Source)).in(v.Source).adding("rsa-sha2-512 to HostKeyAlgorithms")
	}
	return l.hostKeys()
}

// sealed reports whether the cipher that such a client and this server agree on, the client's first that the server has,
// authenticates by itself, so that no MAC is needed (PROTOCOL of OpenSSH, sections 1.6 and 1.7).
func (l *login) sealed() bool {
	c := common(l.s, "ciphers")
	return len(c) > 0 && (strings.Contains(c[0], "poly1305") || strings.Contains(c[0], "gcm"))
}

// hostKeys asks whether one of the server's keys is of a kind that its algorithms allow. A copy without host keys (they are
// secret, and made anew for an image) tells nothing.
func (l *login) hostKeys() judgement {
	files := l.s["hostkey"].Values
	if len(files) == 0 {
		files = []string{"/etc/ssh/ssh_host_rsa_key", "/etc/ssh/ssh_host_ecdsa_key", "/etc/ssh/ssh_host_ed25519_key"}
	}
	var there []string
	for _, f := range files {
		_, err := l.st.r.Stat(f)
		switch {
		case err == nil:
			there = append(there, f)
		case !host.NotExist(err):
			return refuse("whether the server has its host key cannot be told: %v", err).in(f)
		}
	}
	if len(there) == 0 {
		// No key at all, before and after: a copy. A server whose HostKey names only what is missing is caught by sshd -t.
		return judgement{ok: true}
	}
	algorithms := common(l.s, "hostkeyalgorithms")
	for _, f := range there {
		kind := ""
		base := path.Base(f)
		for _, k := range []string{"ed25519", "ecdsa", "rsa"} {
			if strings.Contains(base, k) {
				kind = k
				break
			}
		}
		if kind == "" {
			return judgement{ok: true} // a name of the administrator's own; sshd -t tells
		}
		if slices.ContainsFunc(algorithms, func(a string) bool { return strings.Contains(a, kind) }) {
			return judgement{ok: true}
		}
	}
	v := l.s["hostkeyalgorithms"]
	return refuse("none of the host keys %s fits HostKeyAlgorithms (%s)", strings.Join(there, ", "), source(v.Source)).in(v.Source)
}
