package collect_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/host/hosttest"
	"github.com/castellan-project/castellan/internal/posture/bundle"
	"github.com/castellan-project/castellan/internal/posture/collect"
)

// files that may hold a secret, each with a recognizable one: %s is replaced by a word of its own. Whoever teaches a
// collector to read another file adds it here.
func filesWithSecrets() map[string]string {
	return map[string]string{
		"etc/shadow":                                          "root:$y$j9T$%s$abcdefghijklmnopqrstuvwxyz0123456789./ABCDEFG:19000:0:99999:7:::\nann:$6$%s$xxxxxxxx:19000::::::\n",
		"etc/gshadow":                                         "sudo:$6$%s$x::ann\n",
		"etc/passwd":                                          "root:x:0:0:root:/root:/bin/bash\nann:x:1000:1000:Ann:/home/ann:/bin/bash\nold:$1$%s$x:1001:1001::/home/old:/bin/sh\n",
		"etc/group":                                           "root:x:0:\nsudo:x:27:ann\n",
		"etc/ssh/ssh_host_ed25519_key":                        "-----BEGIN OPENSSH PRIVATE KEY-----\n%s\n-----END OPENSSH PRIVATE KEY-----\n",
		"root/.ssh/id_rsa":                                    "-----BEGIN RSA PRIVATE KEY-----\n%s\n-----END RSA PRIVATE KEY-----\n",
		"root/.ssh/authorized_keys":                           "command=\"/bin/backup --token %s\",environment=\"TOKEN=%s\" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl ann@laptop\n",
		"root/.bash_history":                                  "pveum useradd a@pve --password %s\napt upgrade\nexport PVEAPIToken=root@pam!x=%s\n",
		"home/ann/.bash_history":                              "mysql -p%s\n",
		"etc/pve/priv/token.cfg":                              "root@pam!x %s\n",
		"etc/pve/priv/shadow.cfg":                             "ann:$5$%s$x:\n",
		"etc/pve/priv/tfa.cfg":                                "{\"users\":{\"ann@pve\":{\"totp\":[{\"entry\":\"otpauth://totp/x?secret=%s\"}]}}}",
		"etc/pve/priv/authkey.key":                            "-----BEGIN RSA PRIVATE KEY-----\n%s\n-----END RSA PRIVATE KEY-----\n",
		"etc/pve/priv/storage/pbs.pw":                         "%s\n",
		"etc/pve/priv/pve-root-ca.key":                        "%s\n",
		"etc/pve/priv/notifications.cfg":                      "smtp: x\n\tpassword %s\n",
		"etc/pve/nodes/pve1/pve-ssl.key":                      "-----BEGIN PRIVATE KEY-----\n%s\n-----END PRIVATE KEY-----\n",
		"etc/pve/nodes/pve1/pveproxy-ssl.key":                 "-----BEGIN PRIVATE KEY-----\n%s\n-----END PRIVATE KEY-----\n",
		"etc/pve/storage.cfg":                                 "cifs: share\n\tpath /mnt\n\tserver 10.0.0.1\n\tpassword %s\nnfs: n\n\tserver 10.0.0.2\n\texport /x\n\toptions vers=3\n",
		"etc/pve/domains.cfg":                                 "openid: o\n\tclient-key %s\n",
		"etc/pve/status.cfg":                                  "influxdb: i\n\tserver 10.0.0.9\n\tport 8089\n\ttoken %s\n",
		"etc/pve/datacenter.cfg":                              "u2f: appid=x,secret=%s\n",
		"etc/pve/qemu-server/100.conf":                        "cipassword: %s\n",
		"etc/default/pveproxy":                                "ALLOW_FROM=\"10.0.0.0/8\"\nSECRET_TOKEN=\"%s\"\nTLS_KEY_FILE=/x/%s.key\n",
		"etc/subscription":                                    "pve2p-%s\nhash\neyJrZXkiOiJ4In0=\n",
		"etc/wireguard/wg0.conf":                              "[Interface]\nPrivateKey = %s\nAddress = 10.9.0.1/24\n[Peer]\nPublicKey = x\nPresharedKey = %s\nAllowedIPs = 10.9.0.2/32\n",
		"etc/network/interfaces":                              "auto vmbr0\niface vmbr0 inet static\n address 10.0.0.5/24\n bridge-ports eno1\n post-up /usr/local/bin/dyn --token %s\n wpa-psk %s\n",
		"etc/apt/sources.list":                                "deb https://user:%s@repo.example.org/debian bookworm main\n",
		"etc/apt/auth.conf":                                   "machine enterprise.proxmox.com login x password %s\n",
		"etc/apt/auth.conf.d/x.conf":                          "machine x login y password %s\n",
		"etc/apt/apt.conf.d/95proxy":                          "Acquire::http::Proxy \"http://user:%s@proxy:3128\";\n",
		"etc/environment":                                     "http_proxy=http://user:%s@proxy:3128\n",
		"etc/fstab":                                           "//10.0.0.1/x /mnt/x cifs username=a,password=%s 0 0\n",
		"etc/postfix/main.cf":                                 "relayhost = [smtp.example.org]:587\nsmtp_sasl_password_maps = static:user:%s\n",
		"etc/postfix/sasl_passwd":                             "smtp user:%s\n",
		"etc/aliases":                                         "root: |\"/bin/x --key %s\"\n",
		"etc/rsyslog.d/90.conf":                               "action(type=\"omhttp\" server=\"x\" uid=\"u\" pwd=\"%s\")\n*.* @@10.0.0.9:6514\n",
		"etc/fail2ban/jail.local":                             "[DEFAULT]\ncftoken = %s\naction = cloudflare[cftoken=\"%s\"]\n[sshd]\nenabled = true\n",
		"etc/fail2ban/jail.conf":                              "[DEFAULT]\nmaxretry = 5\n[sshd]\nlogpath = /var/log/auth.log\n",
		"etc/fail2ban/action.d/mail.local":                    "[Init]\npassword = %s\n",
		"etc/chrony/chrony.keys":                              "1 MD5 HEX:%s\n",
		"etc/chrony/chrony.conf":                              "server 10.0.0.1 iburst key 1\n# %s\n",
		"boot/grub/grub.cfg":                                  "set superusers=\"admin\"\npassword_pbkdf2 admin grub.pbkdf2.sha512.10000.%s.ABCDEF\nmenuentry 'x' {\n linux /vmlinuz root=/dev/sda\n}\n",
		"etc/grub.d/00_header":                                "cat << EOF\nset superusers=\"admin\"\npassword admin %s\nEOF\n",
		"etc/grub.d/01_castellan":                             "cat << EOF\npassword_pbkdf2 a grub.pbkdf2.sha512.1.%s.B\nEOF\n",
		"etc/kernel/cmdline":                                  "root=ZFS=rpool/ROOT quiet luks.key=%s\n",
		"etc/default/grub":                                    "GRUB_CMDLINE_LINUX=\"quiet ip=dhcp rd.password=%s\"\n",
		"proc/cmdline":                                        "BOOT_IMAGE=/vmlinuz quiet secret=%s\n",
		"proc/100/cmdline":                                    "backup\x00--password\x00%s\x00",
		"proc/100/environ":                                    "TOKEN=%s\x00",
		"proc/100/status":                                     "Name:\tbackup\nUid:\t0\t0\t0\t0\n",
		"proc/100/comm":                                       "backup\n",
		"etc/crypttab":                                        "data UUID=1 /root/%s.key luks\n",
		"etc/sudoers":                                         "Defaults env_keep += \"%s\"\nann ALL=(ALL) NOPASSWD: /bin/x --token %s\n",
		"etc/cron.d/backup":                                   "0 1 * * * root backup --password %s\n",
		"var/spool/cron/crontabs/root":                        "0 1 * * * curl -H 'PVEAPIToken=%s'\n",
		"etc/systemd/system/x.service":                        "[Service]\nEnvironment=TOKEN=%s\nExecStart=/bin/x --token %s\n[Install]\nWantedBy=multi-user.target\n",
		"etc/pam.d/common-auth":                               "auth required pam_unix.so\nauth required pam_radius.so secret=%s\n",
		"etc/ppp/chap-secrets":                                "x * %s *\n",
		"etc/letsencrypt/accounts/x/private.json":             "{\"d\":\"%s\"}",
		"var/log/pve/tasks/index":                             "UPID:pve1:00000001:00000001:65000000:vzdump:%s:root@pam: 65000001 OK\n",
		"var/log/unattended-upgrades/unattended-upgrades.log": "2026-11-19 06:00:00 ERROR http://user:%s@proxy failed\n",
		"var/log/apt/history.log":                             "Start-Date: 2026-11-19  06:00:00\nCommandline: apt upgrade -o Acquire::http::Proxy=http://u:%s@p\nEnd-Date: 2026-11-19  06:00:01\n",
		"etc/exports":                                         "/srv 10.0.0.0/8(ro)\n# %s\n",
		"etc/ssh/sshd_config":                                 "AuthorizedKeysCommand /usr/bin/x --token %s %%u\nAuthorizedKeysCommandUser nobody\nSetEnv TOKEN=%s\nPermitRootLogin no\n",
		".castellan/run/journal-sshd":                         "Failed password for invalid user %s from 192.0.2.1 port 1 ssh2\n",
	}
}

func TestNoSecretBecomesAFact(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	secrets := map[string]string{} // secret -> file
	n := 0
	for name, text := range filesWithSecrets() {
		for strings.Contains(text, "%s") {
			n++
			s := fmt.Sprintf("S3CRET%04dx", n)
			secrets[s] = name
			text = strings.Replace(text, "%s", s, 1)
		}
		write(name, strings.ReplaceAll(text, "%%", "%"))
	}
	write(".castellan/meta", "now 2026-11-20T12:00:00Z\nlive yes\n")
	write("etc/os-release", "ID=debian\nVERSION_ID=\"12\"\n")
	write("etc/hostname", "pve1\n")
	d, err := host.OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	facts, err := collect.Run(d, d.Describe(), collect.All())
	if err != nil {
		t.Fatal(err)
	}
	if len(facts.Target.Faults) > 0 {
		t.Error(facts.Target.Faults)
	}
	var b bytes.Buffer
	if err := bundle.Write(&b, facts); err != nil {
		t.Fatal(err)
	}
	back, err := bundle.Read(&b)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.MarshalIndent(back, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if len(secrets) < 70 {
		t.Fatalf("only %d secrets were planted", len(secrets))
	}
	for _, line := range strings.Split(string(text), "\n") {
		for _, s := range regexp.MustCompile(`S3CRET\d{4}x`).FindAllString(line, -1) {
			t.Errorf("the secret of %s is in the facts: %s", secrets[s], strings.TrimSpace(line))
		}
	}
}

// Words that only look like secrets stay, so that sources of facts can be found again.
func TestSourcesStayReadable(t *testing.T) {
	d := hosttest.Open(t, hosttest.Write(t, map[string]string{"etc/pam.d/common-password": "password required pam_unix.so obscure yescrypt\n", "etc/pam.d/sshd": "@include common-password\n"}))
	facts, err := collect.Run(d, d.Describe(), collect.All())
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(facts)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "/etc/pam.d/common-password:1") {
		t.Error("the source of a PAM line was taken for a secret")
	}
}

// The same host gives the same bytes, however often it is read.
func TestCollectingIsDeterministic(t *testing.T) {
	for _, dir := range []string{"../../../examples/pve8-blog-recipe", "../../../examples/pve9-cluster-node"} {
		var first []byte
		for range 5 {
			d, err := host.OpenDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			facts, err := collect.Run(d, d.Describe(), collect.All())
			d.Close()
			if err != nil {
				t.Fatal(err)
			}
			b, err := json.MarshalIndent(facts, "", " ")
			if err != nil {
				t.Fatal(err)
			}
			if first == nil {
				first = b
			}
			if !bytes.Equal(first, b) {
				t.Fatalf("%s: two readings differ", dir)
			}
		}
	}
}
