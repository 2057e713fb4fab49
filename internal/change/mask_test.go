package change

import (
	"strings"
	"testing"

	"github.com/castellan-project/castellan/internal/host"
)

func TestMaskLine(t *testing.T) {
	for in, want := range map[string]string{
		"cipassword: $5$FAKESALT$FAKEhash":                           "cipassword: [hidden]",
		"cipassword: clear, with a comma":                            "cipassword: [hidden]",
		"http_proxy: http://pve:FAKE@word@192.0.2.8:3128":            "http_proxy: http://[hidden]@192.0.2.8:3128",
		"args: -object secret,id=s0,data=FAKE -smp 2":                "args: [hidden]",
		"args: -cpu host,kvm=off":                                    "args: -cpu host,kvm=off",
		"password_pbkdf2 root grub.pbkdf2.sha512.10000.AB.CD":        "password_pbkdf2 root [hidden]",
		"PrivateKey = FAKE+key=":                                     "PrivateKey = [hidden]",
		"bind_password=FAKE":                                         "bind_password=[hidden]",
		"client_secret: FAKE":                                        "client_secret: [hidden]",
		"\tpassword FAKE":                                            "\tpassword [hidden]",
		"destemail = x, token=FAKE, y":                               "destemail = x, token=[hidden], y",
		"env: A=1\x00B=FAKE":                                         "env: [hidden]",
		"lxc.environment = TOKEN=FAKE":                               "lxc.environment = [hidden]",
		"key = AQD0FAKEFAKEFAKEFAKEFAKEFAKE==":                       "key = [hidden]",
		"user:a@pve:1:0:::::FAKEKEYS:":                               "user:a@pve:1:0:::::[hidden]:",
		"root:$y$j9T$FAKE$FAKE:1:":                                   "root:[hidden]:1:",
		strings.Repeat("QUJD", 16):                                   "[hidden]",
		"user:a@pve:1:0:::::x:":                                      "user:a@pve:1:0:::::x:",
		"token:a@pve!backup:0:1:nightly:":                            "token:a@pve!backup:0:1:nightly:",
		"PasswordAuthentication no":                                  "PasswordAuthentication no",
		"password  requisite  pam_pwquality.so retry=3":              "password  requisite  pam_pwquality.so retry=3",
		"  password  requisite  pam_pwquality.so retry=3":            "  password  requisite  pam_pwquality.so retry=3",
		"smtp_sasl_password_maps = hash:/etc/postfix/sasl_passwd":    "smtp_sasl_password_maps = hash:/etc/postfix/sasl_passwd",
		"PASS_MAX_DAYS 365":                                          "PASS_MAX_DAYS 365",
		"encryption-key 6e:1f":                                       "encryption-key 6e:1f",
		"net0: virtio=BC:24:11:01:02:00,bridge=vmbr1,firewall=1":     "net0: virtio=BC:24:11:01:02:00,bridge=vmbr1,firewall=1",
		"IN ACCEPT -source +dc/management -p tcp -dport 22 # secret": "IN ACCEPT -source +dc/management -p tcp -dport 22 # secret",
	} {
		if got := maskLine(in); got != want {
			t.Errorf("%q\n got %q\nwant %q", in, got, want)
		}
	}
}

// A secret stands neither in the changed lines of a diff nor in those around them.
func TestDiffHidesSecrets(t *testing.T) {
	node := func(s string) host.Node { return host.Node{Type: host.Regular, Content: []byte(s)} }
	before := node("ciuser: admin\ncipassword: FAKEone\nnet0: virtio\nonboot: 1\n")
	for _, after := range []string{"ciuser: admin\ncipassword: FAKEtwo\nnet0: virtio\nonboot: 1\n", "ciuser: admin\ncipassword: FAKEone\nnet0: e1000\nonboot: 1\n",
		"ciuser: admin\nonboot: 1\n"} {
		d := diff("/etc/pve/nodes/a/qemu-server/100.conf", before, node(after), false)
		if strings.Contains(d, "FAKE") || !strings.Contains(d, "cipassword: [hidden]") || !strings.Contains(d, "\n-") {
			t.Errorf("%s", d)
		}
	}
}

func FuzzMasked(f *testing.F) {
	f.Add("--- a\n+++ b\n@@ -1 +1 @@\n-password: x\n+password: y\n")
	f.Add("+\x00\xff:user:::::::::\r\n")
	f.Fuzz(func(t *testing.T, s string) {
		if once := masked(s); strings.Count(once, "\n") != strings.Count(s, "\n") {
			t.Errorf("%q became %q", s, once)
		}
	})
}
