package collect

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/castellan-project/castellan/internal/posture"
)

// testCertificate makes a self-signed certificate; the key comes from a fixed seed, so that runs are alike.
func testCertificate(t *testing.T, name string, until time.Time) string {
	t.Helper()
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32))
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		IPAddresses: []net.IP{net.IPv4(192, 0, 2, 1)}, NotBefore: until.AddDate(-1, 0, 0), NotAfter: until}
	der, err := x509.CreateCertificate(nil, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// nodeFiles are the least that a node has.
func nodeFiles() map[string]string {
	return map[string]string{
		"etc/hostname": "pve1\n", "etc/hosts": "192.0.2.1 pve1.example.org pve1\n",
		"var/lib/dpkg/status": "Package: pve-manager\nStatus: install ok installed\nVersion: 9.0.3\n",
	}
}

func with(files map[string]string, more ...string) map[string]string {
	for i := 0; i < len(more); i += 2 {
		files[more[i]] = more[i+1]
	}
	return files
}

func TestWebCertificate(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	disk := testCertificate(t, "pve1.example.org", now.Add(36*time.Hour))
	served := testCertificate(t, "old.example.org", now.Add(-time.Hour))
	files := with(nodeFiles(), "etc/pve/nodes/pve1/pveproxy-ssl.pem", disk, "etc/pve/nodes/pve1/pveproxy-ssl.key", "x",
		"etc/pve/nodes/pve1/pve-ssl.pem", served, ".castellan/meta", "now 2026-11-20T12:00:00Z\n0640 0:33 /etc/pve/nodes/pve1/pveproxy-ssl.key\n")
	f := collectTreeAt(t, Web(), files, now).Web
	c := f.Certificate.Value
	want := posture.Certificate{File: "/etc/pve/nodes/pve1/pveproxy-ssl.pem", Subject: "CN=pve1.example.org", Issuer: "CN=pve1.example.org",
		Names: []string{"pve1.example.org", "192.0.2.1"}, Kind: "self-signed", NotBefore: now.Add(36*time.Hour).AddDate(-1, 0, 0), NotAfter: now.Add(36 * time.Hour),
		DaysLeft: 1, KeyType: "Ed25519", KeyBits: 256, Signature: "Ed25519", Fingerprint: c.Fingerprint, ChainLength: 1}
	if d := cmp.Diff(want, c); d != "" || len(c.Fingerprint) != 95 {
		t.Error(d, c.Fingerprint)
	}
	if f.KeyMode.Value != 0o640 || len(f.UncoveredNames.Value) != 0 || f.ServedIsConfigured.IsKnown() || f.RenewedAutomatically.IsKnown() {
		t.Errorf("%+v", f)
	}
	// On a running node the handshake counts.
	files = with(files, ".castellan/meta", "now 2026-11-20T12:00:00Z\nlive yes\n", ".castellan/run/pveproxy-certificate", "CONNECTED\n"+served+"more\n")
	f = collectTreeAt(t, Web(), files, now).Web
	if f.Certificate.Value.Subject != "CN=old.example.org" || f.Certificate.Value.DaysLeft != -1 || f.ServedIsConfigured.Value ||
		!f.ServedIsConfigured.IsKnown() || len(f.UncoveredNames.Value) != 1 {
		t.Errorf("%+v", f)
	}
	// Without the key of the custom certificate PVE serves its own.
	delete(files, "etc/pve/nodes/pve1/pveproxy-ssl.key")
	f = collectTreeAt(t, Web(), with(files, ".castellan/meta", "now 2026-11-20T12:00:00Z\n"), now).Web
	if f.Certificate.Value.Subject != "CN=old.example.org" || f.Certificate.Source != "/etc/pve/nodes/pve1/pve-ssl.pem" {
		t.Errorf("%+v", f.Certificate)
	}
}

func TestWebDefaults(t *testing.T) {
	f := collectTree(t, Web(), nodeFiles()).Web
	if f.Restricted.Value || !f.Restricted.IsKnown() || f.Restricted.Origin != posture.Default || !f.Compression.Value ||
		!f.HonorCipherOrder.Value || f.Policy.Value != "allow" || f.DHBits.Value != 2048 || f.ListenIP.Value != "" || f.RealIPFromAnyone.Value {
		t.Errorf("%+v", f)
	}
	if d := cmp.Diff([]string{"1.2", "1.3"}, f.TLSVersions.Value); d != "" {
		t.Error(d)
	}
	if len(f.WeakSuites.Value) != 0 || len(f.CBCSuites.Value) != 4 {
		t.Errorf("%v %v", f.WeakSuites, f.CBCSuites)
	}
	if f.Certificate.IsKnown() || f.UncoveredNames.IsKnown() || f.KeyMode.IsKnown() || f.RenewedAutomatically.IsKnown() {
		t.Errorf("guessed: %+v", f)
	}
}

func TestWebRealIP(t *testing.T) {
	for text, anyone := range map[string]bool{
		"": false, "PROXY_REAL_IP_HEADER=X\n": true, "PROXY_REAL_IP_HEADER=X\nPROXY_REAL_IP_ALLOW_FROM=192.0.2.5\n": false,
		"PROXY_REAL_IP_HEADER=X\nPROXY_REAL_IP_ALLOW_FROM=0/0\n": true, "PROXY_REAL_IP_HEADER=X\nPROXY_REAL_IP_ALLOW_FROM=192.0.2.5,all\n": true,
	} {
		f := collectTree(t, Web(), with(nodeFiles(), "etc/default/pveproxy", text)).Web
		if f.RealIPFromAnyone.Value != anyone || !f.RealIPFromAnyone.IsKnown() {
			t.Errorf("%q: %+v", text, f.RealIPFromAnyone)
		}
	}
}

func TestPacketFilter(t *testing.T) {
	link := "etc/systemd/system/sysinit.target.wants/"
	for name, c := range map[string]struct {
		files map[string]string
		known bool
	}{
		"nothing":          {nodeFiles(), true},
		"pve off":          {with(nodeFiles(), "etc/pve/firewall/cluster.fw", "[OPTIONS]\n\nenable: 0\n[RULES]\nenable: 1\n"), true},
		"pve on":           {with(nodeFiles(), "etc/pve/firewall/cluster.fw", "[OPTIONS]\nenable: 1\n"), false},
		"nft without hook": {with(nodeFiles(), link+"nftables.service", "", "etc/nftables.conf", "flush ruleset\n"), true},
		"nft":              {with(nodeFiles(), link+"nftables.service", "", "etc/nftables.conf", "type filter hook input priority 0;\n"), false},
		"ufw":              {with(nodeFiles(), link+"ufw.service", ""), false},
	} {
		f := collectTree(t, Web(), c.files).Web.PacketFilter
		if f.IsKnown() != c.known || f.Value {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

func TestListenersOfPort(t *testing.T) {
	table := `  sl  local_address rem_address   st
   0: 00000000:0050 00000000:0000 0A 0
   1: 0100007F:0050 00000000:0000 0A 0
   2: 0A01A8C0:0050 00000000:0000 01 0
   3: 0A01A8C0:0050 00000000:0000 0A 0
   4: B80D0120000000000000000001000000:0050 0:0 0A 0
   5: 0000000000000000FFFF00000100007F:0050 0:0 0A 0
   6: zz:0050 x 0A 0
`
	want := []string{"0.0.0.0:80", "192.168.1.10:80", "[2001:db8::1]:80"}
	if d := cmp.Diff(want, plainListeners([]byte(table))); d != "" {
		t.Error(d)
	}
}

func TestLegacyTLS(t *testing.T) {
	for conf, want := range map[string]bool{
		"": false, "MinProtocol = TLSv1\n": false, "MinProtocol = TLSv1\nCipherString = DEFAULT@SECLEVEL=0\n": true,
		"MinProtocol = TLSv1.2\nCipherString = DEFAULT@SECLEVEL=0\n": false, "#MinProtocol = None\nCipherString=ALL:@SECLEVEL=0": false,
	} {
		if got := legacyTLS([]byte(conf)); got != want {
			t.Errorf("%q: %v", conf, got)
		}
	}
}

func TestNameCovered(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{{"a.b.c", "A.B.C", true}, {"*.b.c", "a.b.c", true}, {"*.b.c", "x.a.b.c", false}, {"*.b.c", "b.c", false}, {"a", "b", false}} {
		if nameCovered(c.pattern, c.name) != c.want {
			t.Errorf("%+v", c)
		}
	}
}

func TestDHBits(t *testing.T) {
	b, err := os.ReadFile("../../../catalogue/testdata/WEB-08/fail/etc/pve/dhparams.pem")
	if err != nil {
		t.Fatal(err)
	}
	if n, err := dhBits(b); n != 1024 || err != nil {
		t.Errorf("%d %v", n, err)
	}
	if _, err := dhBits([]byte("-----BEGIN DH PARAMETERS-----\nAAAA\n-----END DH PARAMETERS-----\n")); err == nil {
		t.Error("no error")
	}
}

func FuzzCertificates(f *testing.F) {
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	f.Add([]byte("-----BEGIN DH PARAMETERS-----\nMAA=\n-----END DH PARAMETERS-----\n"))
	if b, err := os.ReadFile("../../../catalogue/testdata/WEB-09/pass/etc/pve/nodes/pve1/pveproxy-ssl.pem"); err == nil {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if chain, err := parseCertificates(b); err == nil {
			if d := describeCertificate("f", chain, chain[len(chain)-1], time.Unix(0, 0)); d.Kind == "" {
				t.Fatal("no kind")
			}
		}
		if n, err := dhBits(b); err == nil && n < 0 {
			t.Fatal(n)
		}
		plainListeners(b)
		legacyTLS(b)
		pveFirewallEnabled(b)
		hostNftables(b)
		conffileSum(b, "fail2ban", "/etc/fail2ban/jail.conf")
	})
}

func TestSecretsStayOut(t *testing.T) {
	f := collectTree(t, Web(), with(nodeFiles(), "etc/pve/nodes/pve1/pveproxy-ssl.pem",
		testCertificate(t, "pve1", time.Unix(2e9, 0))+"-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n", "etc/pve/nodes/pve1/pveproxy-ssl.key", "c2VjcmV0"))
	if strings.Contains(dump(f), "c2VjcmV0") {
		t.Error("a key is among the facts")
	}
}
