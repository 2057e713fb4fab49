package authorizedkeys_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/castellan-project/castellan/internal/debian/authorizedkeys"
)

// Keys made for this test by ssh-keygen; the fingerprints are its own.
const (
	ed25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExZNr2W80QWLYaKGvjOqwW3+ol6XIA/wKf9Ne10gPpI ann@desk"
	rsa2048 = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQCmbrL2AbOWY777QwzYo4rpqp7phTg39h18eaFDeCPZzpVly1gMfQib3/0bgvrWyQp3WViotKXGscI37nnmmG/iVNQKMnfEPQZr3p0IkBFTF/E1xoQsGZcN5NnnHLMWnYvQSW6qf+xDA26sPc6viwMGrWEmINCxL2+YUH/74gUxIy8CfDKsfYaIe6JIa6ND7r8rv8gdDFKDaoCdSK+fvs+DBtGNN1GNNkv1z+RhFxfpvM2+NUtMD04QGHbg3ZjKEO8Bc4Y8i4QNIRcBejM+VBSy+1HCpu2u8KHr5lsuP11WG6O9r8/9meS+oxTqXum16mSk5Ed7htaHxvuUyoPewg3L root@pve1"
	ecdsa   = "ecdsa-sha2-nistp384 AAAAE2VjZHNhLXNoYTItbmlzdHAzODQAAAAIbmlzdHAzODQAAABhBM72WFmXm7+jbbaQF+ghjIpfus/Y2+iYo6CH5whAJaiK0HEp0hHCwtyxAj8JU6LPZpdH2GKb4Ebe1EIbp/aQe7yYFR80wHX+bXEcgyapVpUtZ/vwdCoASlmRJo8lbYWz8w== x"
	dsa     = "ssh-dss AAAAB3NzaC1kc3MAAACBAKC5b2khK0R0vsdJSSft0dbPuBdcOWqEKyv3/bXvra3iDvA9Zkp4undjEpn8kMGw63kEMirdg++a/0G4aQUr2S2XY7cy1Xrli+lfLefQMndfudTrC6qeO1p+lvHs9KzTbVoUfcjfbWrfvnf/MGrpPmULN8OF5hGKwmjDria/PAbNAAAAFQD8DxCE4jzGuekkQzI1EwD27yGv0QAAAIBc6mjrOCkc/VR7uerjh329Njn/hThOTAnZxcdV/URO50NSVuM8B/DEMpcrDOIUfqg113Gi2Uh6q+d05DEuS6bDZVhRZ13NgBmsJ4XbNzBKnv3KhTgB1oyLVE5Rvl4SGvAlYhbZmelWFtIWFfgMKJGUVuQZcpljCWWTf0uAqAJtHQAAAIAo5INYfIwV/2QxBkt+YaWJtBbE8Ia76mrfZNUsaotfcivvdqAK5ZglmJ28kBGVq9qquQvYVfQU1GSEh52+svmpqgngLXEhjW2GNbvW29Waz936Q0kGoYxeMA/gufhU7qfktJDbim5X1kl0fYtfn7zrbw89D1rLP27GdnBvKrY0eA== old"
)

// head of an OpenSSH private key: the part before the secret.
const openHead, lockedHead = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZWQyNTUxOQAAACBMWTa9lvNEFi2Gihr4zqsFt/qJelyAP8Cn/TXtdID6SA==", "b3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHIAAAAGYmNyeXB0AAAAFHh4eHh4eHh4eHh4eHh4eHh4eHh4AAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAgTFk2vZbzRBYthooa+M6rBbf6iXpcgD/Ap/017XSA+kg="

func TestParse(t *testing.T) {
	content := "# people\n\n" + ed25519 + "\n" +
		`from="10.0.0.0/8,!10.9.0.0/16",no-pty,command="echo \"a, b\" c" ` + rsa2048 + "\r\n" +
		"\trestrict " + ecdsa + "\n" + dsa + "\n" + "ssh-rsa AAAA broken\n" + "hello world\n" + `command="open ` + ed25519 + "\n"
	keys, problems := authorizedkeys.Parse([]byte(content))
	want := []authorizedkeys.Key{
		{Line: 3, Type: "ssh-ed25519", Bits: 256, Comment: "ann@desk", Fingerprint: "SHA256:IuvscMyPNFe+TaNefJ+w5TvJu4tFNVN28Hc5moP74DU"},
		{Line: 4, Type: "ssh-rsa", Bits: 2048, Comment: "root@pve1", Fingerprint: "SHA256:THOKybiRX+DWl7dXcIdPnYoRKqftAfM03cPpdBzGFXc",
			Options: []authorizedkeys.Option{{Name: "from", Value: "10.0.0.0/8,!10.9.0.0/16"}, {Name: "no-pty"}, {Name: "command", Value: `echo "a, b" c`}}},
		{Line: 5, Type: "ecdsa-sha2-nistp384", Bits: 384, Comment: "x", Fingerprint: "SHA256:M2S0786K3udZTIPSeQlGl3JN6Fm16KfjQZqO/NUHzVc",
			Options: []authorizedkeys.Option{{Name: "restrict"}}},
		{Line: 6, Type: "ssh-dss", Bits: 1024, Comment: "old", Fingerprint: "SHA256:PMvVkOXmTLNVyRIsu/f9Uzix2zWepoFdy2sTYE9jPsw"},
	}
	if d := cmp.Diff(want, keys); d != "" {
		t.Error(d)
	}
	var lines []int
	for _, p := range problems {
		lines = append(lines, p.Line)
	}
	if d := cmp.Diff([]int{7, 8, 9}, lines); d != "" {
		t.Errorf("lines with problems: %s", d)
	}
	if d := cmp.Diff([]string{"10.0.0.0/8", "!10.9.0.0/16"}, keys[1].From()); d != "" {
		t.Error(d)
	}
}

func TestInspectPrivate(t *testing.T) {
	pem := func(kind, body string) string {
		return "-----BEGIN " + kind + "-----\n" + body + "\n-----END " + kind + "-----\n"
	}
	for name, tt := range map[string]struct {
		content string
		want    authorizedkeys.Private
		ok      bool
	}{
		"openssh open":    {pem("OPENSSH PRIVATE KEY", openHead), authorizedkeys.Private{Format: "openssh", Type: "ssh-ed25519"}, true},
		"openssh locked":  {pem("OPENSSH PRIVATE KEY", lockedHead), authorizedkeys.Private{Format: "openssh", Encrypted: true, Type: "ssh-ed25519"}, true},
		"openssh damaged": {pem("OPENSSH PRIVATE KEY", "!!!"), authorizedkeys.Private{Format: "openssh", Encrypted: true}, true},
		"pem open":        {pem("RSA PRIVATE KEY", "MIIE"), authorizedkeys.Private{Format: "pem", Type: "ssh-rsa"}, true},
		"pem locked": {pem("RSA PRIVATE KEY", "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nMIIE"),
			authorizedkeys.Private{Format: "pem", Encrypted: true, Type: "ssh-rsa"}, true},
		"pkcs8 locked": {pem("ENCRYPTED PRIVATE KEY", "MIIE"), authorizedkeys.Private{Format: "pem", Encrypted: true}, true},
		"pkcs8 open":   {pem("PRIVATE KEY", "MIIE"), authorizedkeys.Private{Format: "pem"}, true},
		"certificate":  {pem("CERTIFICATE", "MIIE"), authorizedkeys.Private{}, false},
		"public key":   {ed25519, authorizedkeys.Private{}, false},
		"nothing":      {"", authorizedkeys.Private{}, false},
	} {
		got, ok := authorizedkeys.InspectPrivate([]byte(tt.content))
		if ok != tt.ok || got != tt.want {
			t.Errorf("%s: %+v %v, want %+v %v", name, got, ok, tt.want, tt.ok)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{ed25519, "from=\"a,b\",restrict " + rsa2048, "ssh-rsa AAAAB3NzaC1yc2E=", "\x00\xff,\"", "command=\"\\\"", dsa + "\n" + ecdsa} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		keys, _ := authorizedkeys.Parse(b)
		for _, k := range keys {
			if k.Type == "" || k.Bits < 0 || !strings.HasPrefix(k.Fingerprint, "SHA256:") {
				t.Errorf("incomplete key %+v", k)
			}
		}
	})
}

func FuzzInspectPrivate(f *testing.F) {
	f.Add([]byte("-----BEGIN OPENSSH PRIVATE KEY-----\n" + openHead + "\n-----END OPENSSH PRIVATE KEY-----\n"))
	f.Add([]byte("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n"))
	f.Add([]byte("-----BEGIN -----BEGIN "))
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, ok := authorizedkeys.InspectPrivate(b); ok && p.Format == "" {
			t.Errorf("a key without a format: %+v", p)
		}
	})
}
