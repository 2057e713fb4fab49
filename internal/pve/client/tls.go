package client

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"net"
	"strings"
)

// CertificateError is a server whose certificate is not the one that was expected. Nothing was sent to it.
type CertificateError struct {
	Host string
	// Expected says what was pinned: a fingerprint, the name of a file with authorities, or "" for those of the system.
	Expected string
	// Seen is the SHA-256 fingerprint of the certificate that the server showed.
	Seen string
	// Err is why it does not fit; nil when a fingerprint differs.
	Err error
}

// Error shows what was expected and what was seen, and what to do.
func (e *CertificateError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("the certificate of %s is not the pinned one: expected SHA-256 %s, seen %s; nothing was sent. If the certificate was renewed, "+
			"compare with `pvenode cert info` on the node and pass --pve-fingerprint %s", e.Host, e.Expected, e.Seen, e.Seen)
	}
	expected := "an authority of the system"
	if e.Expected != "" {
		expected = "an authority in " + e.Expected
	}
	return fmt.Sprintf("the certificate of %s is not trusted: %v; expected one of %s, seen SHA-256 %s; nothing was sent. Pass the cluster's "+
		"authority with --pve-ca (a copy of /etc/pve/pve-root-ca.pem), or compare with `pvenode cert info` on the node and pass --pve-fingerprint %s",
		e.Host, e.Err, expected, e.Seen, e.Seen)
}

func (e *CertificateError) Unwrap() error { return e.Err }

// Fingerprint writes the SHA-256 of a certificate as PVE does: AA:BB:...
func Fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return colons(sum[:])
}

func colons(sum []byte) string {
	var b strings.Builder
	for i, x := range sum {
		if i > 0 {
			b.WriteByte(':')
		}
		fmt.Fprintf(&b, "%02X", x)
	}
	return b.String()
}

// parseFingerprint reads 32 bytes of hex with or without colons.
func parseFingerprint(s string) ([]byte, error) {
	b, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(s), ":", ""))
	if err != nil || len(b) != sha256.Size {
		return nil, fmt.Errorf("%q is no SHA-256 fingerprint: it has 64 hexadecimal digits, as `pvenode cert info` shows it", s)
	}
	return b, nil
}

// tlsConfig verifies the server by fingerprint, by the given authorities, or by those of the system. The verification is
// our own in all three cases, so that a refusal can show the fingerprint.
func tlsConfig(o Options, host string) (*tls.Config, error) {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		return nil, err
	}
	var pinned []byte
	if o.Fingerprint != "" {
		if pinned, err = parseFingerprint(o.Fingerprint); err != nil {
			return nil, err
		}
	}
	verify := func(s tls.ConnectionState) error {
		if len(s.PeerCertificates) == 0 {
			return fmt.Errorf("%s shows no certificate", host)
		}
		leaf := s.PeerCertificates[0]
		seen := sha256.Sum256(leaf.Raw)
		if pinned != nil {
			if bytes.Equal(pinned, seen[:]) {
				return nil
			}
			return &CertificateError{Host: host, Expected: colons(pinned), Seen: colons(seen[:])}
		}
		between := x509.NewCertPool()
		for _, c := range s.PeerCertificates[1:] {
			between.AddCert(c)
		}
		if _, err := leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: o.CA, Intermediates: between}); err != nil {
			return &CertificateError{Host: host, Expected: o.CAName, Seen: colons(seen[:]), Err: err}
		}
		return nil
	}
	// InsecureSkipVerify turns off the standard library's verification only; VerifyConnection runs for every connection.
	return &tls.Config{MinVersion: tls.VersionTLS12, ServerName: name, InsecureSkipVerify: true, VerifyConnection: verify}, nil
}
