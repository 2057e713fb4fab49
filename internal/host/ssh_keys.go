package host

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// credentials are the keys that may open a door: those in files first, then those of the agent.
type credentials struct {
	agent  net.Conn
	keys   []ssh.Signer
	notes  []string // why a key was not used
	prompt func(string) ([]byte, error)
}

// credentials gathers the keys for a target. A key file that was asked for and is not there is an error; a default
// one is not.
func (r resolved) credentials() (*credentials, error) {
	c := &credentials{prompt: r.Passphrase}
	var held []ssh.Signer
	if r.AgentSocket != "" {
		held = c.askAgent(r.AgentSocket)
	}
	explicit := map[string]bool{}
	for _, f := range r.Identities {
		explicit[f] = true
	}
	for _, f := range r.files {
		s, err := c.load(f, held)
		switch {
		case err == nil:
			c.keys = append(c.keys, s...)
		case errors.Is(err, fs.ErrNotExist) && !explicit[f]:
		case explicit[f]:
			return nil, err
		default:
			c.notes = append(c.notes, err.Error())
		}
	}
	if !r.only {
		c.keys = append(c.keys, held...)
	}
	return c, nil
}

func (c *credentials) askAgent(socket string) []ssh.Signer {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		c.notes = append(c.notes, fmt.Sprintf("the agent does not answer (%v)", err))
		return nil
	}
	c.agent = conn
	held, err := agent.NewClient(conn).Signers()
	if err != nil {
		c.notes = append(c.notes, fmt.Sprintf("the agent gives no keys (%v)", err))
	}
	return held
}

// load reads a key file, and the certificate beside it if there is one. A key with a passphrase is unlocked by the
// agent when that holds the key, and else on first use.
func (c *credentials) load(file string, held []ssh.Signer) ([]ssh.Signer, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("cannot read the key: %w", err)
	}
	s, err := ssh.ParsePrivateKey(b)
	var locked *ssh.PassphraseMissingError
	if errors.As(err, &locked) {
		if s, err = c.locked(file, b, locked.PublicKey, held); err != nil {
			return nil, err
		}
	} else if err != nil {
		return nil, fmt.Errorf("cannot use the key %s: %w", file, err)
	}
	if s == nil {
		return nil, nil
	}
	signers := []ssh.Signer{s}
	if cert := certificate(file+"-cert.pub", s); cert != nil {
		signers = []ssh.Signer{cert, s}
	}
	return signers, nil
}

// locked finds a way to use a key with a passphrase. It returns no signer when the agent will offer the key anyway.
func (c *credentials) locked(file string, content []byte, public ssh.PublicKey, held []ssh.Signer) (ssh.Signer, error) {
	if public == nil {
		if b, err := os.ReadFile(file + ".pub"); err == nil {
			public, _, _, _, _ = ssh.ParseAuthorizedKey(b)
		}
	}
	for _, h := range held {
		if public != nil && bytes.Equal(h.PublicKey().Marshal(), public.Marshal()) {
			return h, nil
		}
	}
	if c.prompt == nil || public == nil {
		return nil, fmt.Errorf("the key %s has a passphrase: add it to the agent (ssh-add %s)", file, file)
	}
	return &lockedKey{public: public, unlock: sync.OnceValues(func() (ssh.AlgorithmSigner, error) {
		pass, err := c.prompt(file)
		if err != nil {
			return nil, fmt.Errorf("no passphrase for %s: %w", file, err)
		}
		s, err := ssh.ParsePrivateKeyWithPassphrase(content, pass)
		if err != nil {
			return nil, fmt.Errorf("cannot unlock %s: %w", file, err)
		}
		as, ok := s.(ssh.AlgorithmSigner)
		if !ok {
			return nil, fmt.Errorf("the key %s cannot sign with a chosen algorithm", file)
		}
		return as, nil
	})}, nil
}

func certificate(file string, s ssh.Signer) ssh.Signer {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	public, _, _, _, err := ssh.ParseAuthorizedKey(b)
	cert, ok := public.(*ssh.Certificate)
	if err != nil || !ok {
		return nil
	}
	signer, err := ssh.NewCertSigner(cert, s)
	if err != nil {
		return nil
	}
	return signer
}

// signers is what the SSH client calls when the server wants a key.
func (c *credentials) signers() ([]ssh.Signer, error) { return c.keys, nil }

// tried says in words which keys were offered, for a user who was refused.
func (c *credentials) tried() string {
	var names []string
	for _, k := range c.keys {
		names = append(names, k.PublicKey().Type()+" "+ssh.FingerprintSHA256(k.PublicKey()))
	}
	text := "none of the keys is accepted (" + strings.Join(names, ", ") + ")"
	if len(names) == 0 {
		text = "there is no key to offer: name one with -i, or start an agent"
	}
	return strings.Join(append([]string{text}, c.notes...), "; ")
}

// Close ends the conversation with the agent.
func (c *credentials) Close() error {
	if c.agent == nil {
		return nil
	}
	return c.agent.Close()
}

// lockedKey is a key whose passphrase is asked for when it is needed.
type lockedKey struct {
	public ssh.PublicKey
	unlock func() (ssh.AlgorithmSigner, error)
}

// PublicKey implements ssh.Signer.
func (k *lockedKey) PublicKey() ssh.PublicKey { return k.public }

// Sign implements ssh.Signer.
func (k *lockedKey) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	return k.SignWithAlgorithm(rand, data, "")
}

// SignWithAlgorithm implements ssh.AlgorithmSigner.
func (k *lockedKey) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	s, err := k.unlock()
	if err != nil {
		return nil, err
	}
	return s.SignWithAlgorithm(rand, data, algorithm)
}
