package pvetest

import (
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"time"
)

// keyBits is the size of PVE's own ticket key and certificates (PVE::AccessControl, PVE::Cluster::Setup).
const keyBits = 2048

func silent() *log.Logger { return log.New(io.Discard, "", 0) }

// secrets makes the ticket key, the CSRF secret, and a certificate of an authority of our own.
func (s *Server) secrets() error {
	var err error
	if s.key, err = rsa.GenerateKey(s.opts.Rand, keyBits); err != nil {
		return err
	}
	s.csrf = make([]byte, 32)
	if _, err = io.ReadFull(s.opts.Rand, s.csrf); err != nil {
		return err
	}
	now := s.opts.Now()
	caKey, err := rsa.GenerateKey(s.opts.Rand, keyBits)
	if err != nil {
		return err
	}
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Proxmox Virtual Environment", Organization: []string{"PVE Cluster Manager CA"}},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(10, 0, 0), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	caDER, err := x509.CreateCertificate(s.opts.Rand, ca, ca, &caKey.PublicKey, caKey)
	if err != nil {
		return err
	}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: s.opts.Node, Organization: []string{"Proxmox Virtual Environment"}},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(2, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, DNSNames: []string{"localhost", s.opts.Node},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}}
	der, err := x509.CreateCertificate(s.opts.Rand, leaf, ca, &s.key.PublicKey, caKey)
	if err != nil {
		return err
	}
	s.ca = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER})
	s.cert = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: s.key}
	return nil
}
