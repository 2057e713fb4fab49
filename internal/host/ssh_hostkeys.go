package host

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"
)

// hostKeyError says that the host cannot be trusted, and what to do about it.
type hostKeyError struct{ text string }

func (e *hostKeyError) Error() string { return e.text }

// hostKeys returns the check of the host's key and the algorithms to be offered: those of the keys that are known,
// so that the host shows one that can be checked.
func (r resolved) hostKeys() (ssh.HostKeyCallback, []string, error) {
	files := r.KnownHosts
	if len(files) == 0 {
		files = []string{filepath.Join(r.home, ".ssh", "known_hosts"), "/etc/ssh/ssh_known_hosts"}
	}
	var present []string
	for _, f := range files {
		switch _, err := os.Stat(f); {
		case err == nil:
			present = append(present, f)
		case !errors.Is(err, fs.ErrNotExist):
			return nil, nil, fmt.Errorf("cannot read known host keys: %w", err)
		}
	}
	db, err := knownhosts.NewDB(present...)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot read known host keys: %w", err)
	}
	check := db.HostKeyCallback()
	return func(name string, remote net.Addr, key ssh.PublicKey) error {
		err := check(name, remote, key)
		switch {
		case err == nil:
			return nil
		case knownhosts.IsHostKeyChanged(err):
			return r.changed(key, files[0])
		case knownhosts.IsHostUnknown(err):
			return r.unknown(key, files[0])
		}
		return &hostKeyError{fmt.Sprintf("the key of %s is not accepted: %v", r.known, err)}
	}, db.HostKeyAlgorithms(r.known), nil
}

// unknown explains how to accept a key that was never seen.
func (r resolved) unknown(key ssh.PublicKey, file string) error {
	return &hostKeyError{fmt.Sprintf(
		"the host key of %s is not known (%s %s). Compare this fingerprint with the one that the host itself shows "+
			"(on its console: ssh-keygen -lf /etc/ssh/ssh_host_%s_key.pub); if they agree, accept it with: %s",
		r.known, key.Type(), ssh.FingerprintSHA256(key), keyName(key.Type()), r.acceptCommand(key, file))}
}

// changed warns of a key that differs from the one that is known.
func (r resolved) changed(key ssh.PublicKey, file string) error {
	return &hostKeyError{fmt.Sprintf(
		"THE HOST KEY OF %s HAS CHANGED: it shows %s %s, and known_hosts has another. Somebody may be listening in "+
			"between. Nothing was sent. Only if you know why the key changed, remove the old one with: "+
			"ssh-keygen -f %s -R '%s'",
		r.known, key.Type(), ssh.FingerprintSHA256(key), file, knownhosts.Normalize(r.known))}
}

// acceptCommand is a shell command that adds the host's key to the known ones.
func (r resolved) acceptCommand(key ssh.PublicKey, file string) string {
	name, port, err := net.SplitHostPort(r.address)
	if err != nil {
		return "ssh " + r.address
	}
	if r.jump != nil || r.known != r.address {
		// ssh-keyscan knows neither jump hosts nor aliases; ssh itself asks.
		return "ssh -p " + port + " " + r.user + "@" + r.Host
	}
	return fmt.Sprintf("ssh-keyscan -t %s -p %s %s >>%s", keyName(key.Type()), port, name, file)
}

// keyName is the short name of a key type that ssh-keyscan and the files of sshd use.
func keyName(t string) string {
	switch {
	case t == ssh.KeyAlgoED25519:
		return "ed25519"
	case strings.HasPrefix(t, "ecdsa-"):
		return "ecdsa"
	}
	return "rsa"
}
