package collect

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/castellan-project/castellan/internal/posture"
)

// parseCertificates reads the certificates of a PEM file or of the output of openssl s_client; the first is the
// server's. Private keys that share the file are passed over.
func parseCertificates(b []byte) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for len(b) > 0 && len(out) < 16 {
		block, rest := pem.Decode(b)
		if block == nil {
			break
		}
		b = rest
		if block.Type != "CERTIFICATE" && block.Type != "TRUSTED CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, posture.Problemf("malformed", "cannot parse certificate: %v", err)
		}
		out = append(out, c)
	}
	if len(out) == 0 {
		return nil, posture.Problemf("malformed", "the file holds no PEM certificate")
	}
	return out, nil
}

// describeCertificate states what a chain's first certificate says. ca is the cluster's own CA, or nil.
func describeCertificate(file string, chain []*x509.Certificate, ca *x509.Certificate, now time.Time) posture.Certificate {
	c := chain[0]
	d := posture.Certificate{
		File: file, Subject: c.Subject.String(), Issuer: c.Issuer.String(), Names: []string{}, Kind: certificateKind(c, ca),
		NotBefore: c.NotBefore.UTC(), NotAfter: c.NotAfter.UTC(), Signature: c.SignatureAlgorithm.String(),
		Fingerprint: fingerprint(c), ChainLength: len(chain),
	}
	d.Names = append(d.Names, c.DNSNames...)
	for _, ip := range c.IPAddresses {
		d.Names = append(d.Names, ip.String())
	}
	left := c.NotAfter.Sub(now)
	d.DaysLeft = int(left / (24 * time.Hour))
	if left < 0 {
		d.DaysLeft-- // yesterday is -1, not 0
	}
	switch k := c.PublicKey.(type) {
	case *rsa.PublicKey:
		d.KeyType, d.KeyBits = "RSA", k.N.BitLen()
	case *ecdsa.PublicKey:
		d.KeyType, d.KeyBits = "ECDSA", k.Params().BitSize
	case ed25519.PublicKey:
		d.KeyType, d.KeyBits = "Ed25519", 256
	default:
		d.KeyType = "other"
	}
	switch c.SignatureAlgorithm {
	case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1:
		d.WeakSignature = true
	}
	return d
}

// certificateKind tells the cluster's own certificates from others. PVE's CA is named "Proxmox Virtual Environment"
// (pve-cluster, PVE/Cluster/Setup.pm), which also serves where the CA's file is not in a copy.
func certificateKind(c, ca *x509.Certificate) string {
	switch {
	case ca != nil && c.CheckSignatureFrom(ca) == nil:
		return "cluster-ca"
	case c.Issuer.CommonName == "Proxmox Virtual Environment":
		return "cluster-ca"
	case c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil, c.Subject.String() == c.Issuer.String():
		return "self-signed"
	}
	return "issued"
}

func fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	parts := make([]string, len(sum))
	for i, b := range sum {
		parts[i] = fmt.Sprintf("%02X", b)
	}
	return strings.Join(parts, ":")
}

// dhBits returns the size of the prime in a PEM file of Diffie-Hellman parameters (PKCS #3: p, g; or X9.42: p, g, q),
// which comes first in both.
func dhBits(b []byte) (int, error) {
	for len(b) > 0 {
		block, rest := pem.Decode(b)
		if block == nil {
			break
		}
		b = rest
		if block.Type != "DH PARAMETERS" && block.Type != "X9.42 DH PARAMETERS" {
			continue
		}
		var list []asn1.RawValue
		if _, err := asn1.Unmarshal(block.Bytes, &list); err != nil || len(list) < 2 {
			return 0, posture.Problemf("malformed", "cannot parse Diffie-Hellman parameters: %v", err)
		}
		var prime *big.Int
		if _, err := asn1.Unmarshal(list[0].FullBytes, &prime); err != nil {
			return 0, posture.Problemf("malformed", "cannot parse the prime of Diffie-Hellman parameters: %v", err)
		}
		return prime.BitLen(), nil
	}
	return 0, posture.Problemf("malformed", "the file holds no Diffie-Hellman parameters")
}
