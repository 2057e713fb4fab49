#!/bin/bash
# Hardens a stock lab host by hand, following the five source documents in the form that is right today and the
# catalogue's references. Written as an administrator would type it; no tool of ours takes part.
set -euo pipefail
. /etc/os-release
export DEBIAN_FRONTEND=noninteractive

# --- A personal administrator: key, sudo with password and log, before root is restricted.
groupadd --system ssh-admins
useradd --create-home --shell /bin/bash --groups sudo,ssh-admins anna
echo 'anna:lab-only-7Kw9.zeta' | chpasswd
usermod --append --groups ssh-admins root
install -d -m 700 -o anna -g anna /home/anna/.ssh
ssh-keygen -q -t ed25519 -N '' -C anna@laptop -f /tmp/anna
{ printf 'from="10.99.0.0/24" '; cat /tmp/anna.pub; } >/home/anna/.ssh/authorized_keys
rm -f /tmp/anna /tmp/anna.pub
chown anna:anna /home/anna/.ssh/authorized_keys
chmod 600 /home/anna/.ssh/authorized_keys
printf 'Defaults use_pty\nDefaults logfile="/var/log/sudo.log"\nDefaults timestamp_timeout=15\n' >/etc/sudoers.d/hardening
chmod 440 /etc/sudoers.d/hardening

# --- SSH: a drop-in that sorts first; pve-cluster rewrites only the main file.
rm -f /etc/ssh/ssh_host_ecdsa_key* /etc/ssh/ssh_host_rsa_key*
ssh-keygen -q -t rsa -b 4096 -N '' -f /etc/ssh/ssh_host_rsa_key
kex=sntrup761x25519-sha512@openssh.com,curve25519-sha256,curve25519-sha256@libssh.org
[ "$VERSION_ID" = 12 ] || kex=mlkem768x25519-sha256,$kex
cat >/etc/ssh/sshd_config.d/00-hardening.conf <<-END
	PermitRootLogin prohibit-password
	PasswordAuthentication no
	KbdInteractiveAuthentication no
	PubkeyAuthentication yes
	PermitEmptyPasswords no
	MaxAuthTries 4
	LoginGraceTime 60
	StrictModes yes
	X11Forwarding no
	AllowTcpForwarding no
	AllowAgentForwarding no
	AllowStreamLocalForwarding no
	PermitTunnel no
	DisableForwarding yes
	UsePAM yes
	PrintMotd no
	HostKey /etc/ssh/ssh_host_ed25519_key
	HostKey /etc/ssh/ssh_host_rsa_key
	Ciphers chacha20-poly1305@openssh.com,aes256-gcm@openssh.com,aes128-gcm@openssh.com,aes256-ctr,aes192-ctr,aes128-ctr
	KexAlgorithms $kex
	MACs hmac-sha2-512-etm@openssh.com,hmac-sha2-256-etm@openssh.com,umac-128-etm@openssh.com
	AllowGroups ssh-admins
	AllowUsers root@10.99.0.0/24 anna@10.99.0.0/24
	ClientAliveInterval 300
	ClientAliveCountMax 3
	LogLevel VERBOSE
	MaxStartups 10:30:60
	MaxSessions 10
	Banner /etc/issue.net
	DebianBanner no
	HostbasedAuthentication no
	IgnoreRhosts yes
	GSSAPIAuthentication no
	PermitUserEnvironment no
END
sed -i 's/^AcceptEnv.*/AcceptEnv LANG LC_*/; s/^X11Forwarding.*/X11Forwarding no/' /etc/ssh/sshd_config
chmod 600 /etc/ssh/sshd_config /etc/ssh/sshd_config.d/00-hardening.conf
echo 'Authorized users only. All activity is recorded.' | tee /etc/issue.net >/etc/issue
# The cluster's own key pair stays; no other private key lies about.

# --- Kernel parameters, in sysctl.d: Debian 13 does not read /etc/sysctl.conf.
cat >/etc/sysctl.d/60-hardening.conf <<-END
	net.ipv4.ip_forward = 0
	net.ipv6.conf.all.forwarding = 0
	net.ipv6.conf.default.forwarding = 0
	net.ipv4.conf.all.send_redirects = 0
	net.ipv4.conf.default.send_redirects = 0
	# "all" and "default" say nothing about interfaces that exist already: the kernel adds "all" and the interface.
	net.ipv4.conf.*.send_redirects = 0
	net.ipv4.conf.*.accept_redirects = 0
	net.ipv4.conf.*.secure_redirects = 0
	net.ipv4.conf.all.accept_source_route = 0
	net.ipv4.conf.default.accept_source_route = 0
	net.ipv6.conf.all.accept_source_route = 0
	net.ipv6.conf.default.accept_source_route = 0
	net.ipv4.conf.all.accept_redirects = 0
	net.ipv4.conf.default.accept_redirects = 0
	net.ipv6.conf.all.accept_redirects = 0
	net.ipv6.conf.default.accept_redirects = 0
	net.ipv4.conf.all.secure_redirects = 0
	net.ipv4.conf.default.secure_redirects = 0
	net.ipv4.conf.all.log_martians = 1
	net.ipv4.conf.default.log_martians = 1
	net.ipv4.icmp_echo_ignore_broadcasts = 1
	net.ipv4.icmp_ignore_bogus_error_responses = 1
	net.ipv4.conf.all.rp_filter = 2
	net.ipv4.conf.default.rp_filter = 2
	net.ipv4.tcp_syncookies = 1
	net.ipv4.tcp_rfc1337 = 1
	net.ipv6.conf.all.accept_ra = 0
	net.ipv6.conf.default.accept_ra = 0
	net.ipv6.conf.all.disable_ipv6 = 1
	net.ipv6.conf.default.disable_ipv6 = 1
END
for m in cramfs freevxfs hfs hfsplus jffs2 udf usb-storage dccp tipc rds sctp; do
	printf 'install %s /bin/false\nblacklist %s\n' "$m" "$m"
done >/etc/modprobe.d/hardening.conf

# --- Boot loader: superuser with a PBKDF2 hash in a file of its own, the default entry unrestricted, the rest not.
hash=$(printf 'lab-only-grub\nlab-only-grub\n' | grub-mkpasswd-pbkdf2 | grep -o 'grub\.pbkdf2\.[^ ]*')
printf '#!/bin/sh\ncat <<END\nset superusers="admin"\npassword_pbkdf2 admin %s\nEND\n' "$hash" >/etc/grub.d/01_password
chmod 700 /etc/grub.d/01_password
{
	printf 'set superusers="admin"\npassword_pbkdf2 admin %s\n' "$hash"
	sed "0,/^menuentry 'Proxmox VE GNU\/Linux'/s//menuentry 'Proxmox VE GNU\/Linux' --unrestricted/" /boot/grub/grub.cfg
} >/tmp/grub.cfg
mv /tmp/grub.cfg /boot/grub/grub.cfg
chown root:root /boot/grub/grub.cfg
chmod 600 /boot/grub/grub.cfg
systemctl mask -q ctrl-alt-del.target

# --- Repositories: no subscription, chosen on purpose; the enterprise one is off.
rm -f /etc/apt/sources.list.d/pve-enterprise.*
printf 'Types: deb\nURIs: http://download.proxmox.com/debian/pve\nSuites: %s\nComponents: pve-no-subscription\nSigned-By: /usr/share/keyrings/proxmox-archive-keyring.gpg\n' \
	"$VERSION_CODENAME" >/etc/apt/sources.list.d/proxmox.sources

# --- Security updates by themselves, and only those.
printf 'APT::Periodic::Update-Package-Lists "1";\nAPT::Periodic::Unattended-Upgrade "1";\n' >/etc/apt/apt.conf.d/20auto-upgrades
cat >/etc/apt/apt.conf.d/52hardening <<-'END'
	#clear Unattended-Upgrade::Origins-Pattern;
	Unattended-Upgrade::Origins-Pattern { "origin=Debian,codename=${distro_codename},label=Debian-Security"; "origin=Debian,codename=${distro_codename}-security,label=Debian-Security"; };
	Unattended-Upgrade::Automatic-Reboot "false";
	Unattended-Upgrade::Mail "root";
	Unattended-Upgrade::MailReport "on-change";
END
systemctl enable -q apt-daily.timer apt-daily-upgrade.timer

# --- fail2ban: journal, ssh and the PVE web interface, with a filter that matches what PVE writes.
cat >/etc/fail2ban/filter.d/proxmox.conf <<-'END'
	[INCLUDES]
	before = common.conf
	[Definition]
	_daemon = pvedaemon
	# Anchored at the start: a user name that imitates the rest of the line must not choose who is banned.
	failregex = ^%(__prefix_line)sauthentication failure; rhost=<HOST> user=.* msg=.*$
	ignoreregex =
	journalmatch = _SYSTEMD_UNIT=pvedaemon.service
END
cat >/etc/fail2ban/jail.d/hardening.local <<-'END'
	[DEFAULT]
	ignoreip = 127.0.0.1/8 ::1 10.99.0.0/24
	banaction = nftables-multiport
	banaction_allports = nftables-allports

	[sshd]
	enabled = true
	port = ssh
	backend = systemd
	maxretry = 3
	findtime = 300
	bantime = 86400

	[proxmox]
	enabled = true
	port = https,http,8006
	filter = proxmox
	backend = systemd
	maxretry = 3
	findtime = 2d
	bantime = 3600
END

# --- The web interface: only from the management network, only authenticated encryption. Commas, not blanks.
cat >/etc/default/pveproxy <<-'END'
	DENY_FROM="all"
	ALLOW_FROM="10.99.0.0/24,127.0.0.1"
	POLICY="allow"
	CIPHERS="ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256"
	CIPHERSUITES="TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256"
	HONOR_CIPHER_ORDER="1"
	COMPRESSION="0"
END
systemctl disable -q spiceproxy.service
systemctl mask -q spiceproxy.service

# --- Services.
systemctl disable -q rpcbind.service rpcbind.socket
systemctl mask -q rpcbind.service rpcbind.socket
postconf -e inet_interfaces=loopback-only inet_protocols=ipv4
grep -q '^root:' /etc/aliases 2>/dev/null || echo 'root: ops@example.org' >>/etc/aliases
newaliases
chmod 600 /etc/crontab
chmod 700 /etc/cron.d /etc/cron.hourly /etc/cron.daily /etc/cron.weekly /etc/cron.monthly
echo root >/etc/cron.allow
chmod 640 /etc/cron.allow
rm -f /etc/cron.deny

# --- Accounts and PAM.
sed -i 's/^PASS_MAX_DAYS.*/PASS_MAX_DAYS 365/; s/^PASS_MIN_DAYS.*/PASS_MIN_DAYS 1/; s/^PASS_WARN_AGE.*/PASS_WARN_AGE 7/' /etc/login.defs
useradd -D -f 45 >/dev/null
chage --maxdays 365 --mindays 1 --warndays 7 --inactive 45 anna
sed -i 's/ nullok//' /etc/pam.d/common-auth
printf 'minlen = 14\ndifok = 2\nmaxrepeat = 3\nenforce_for_root\n' >/etc/security/pwquality.conf
sed -i -E 's/^#? ?(deny|unlock_time) .*//; s/^# (even_deny_root).*//' /etc/security/faillock.conf
printf 'deny = 5\nunlock_time = 900\nroot_unlock_time = 60\n' >>/etc/security/faillock.conf
cat >/usr/share/pam-configs/faillock <<-'END'
	Name: Lock accounts after failures
	Default: yes
	Priority: 0
	Auth-Type: Primary
	Auth:
	        [default=die] pam_faillock.so authfail
END
cat >/usr/share/pam-configs/faillock_notify <<-'END'
	Name: Notify and reset failures
	Default: yes
	Priority: 1024
	Auth-Type: Primary
	Auth:
	        requisite pam_faillock.so preauth
	Account-Type: Primary
	Account:
	        required pam_faillock.so
END
pam-auth-update --enable faillock faillock_notify
groupadd --system sugroup
printf 'auth required pam_wheel.so use_uid group=sugroup\n' >/tmp/su
cat /etc/pam.d/su >>/tmp/su
cat /tmp/su >/etc/pam.d/su
rm /tmp/su
printf 'TMOUT=900\nreadonly TMOUT\nexport TMOUT\n' >/etc/profile.d/tmout.sh
printf '* hard core 0\n' >/etc/security/limits.d/hardening.conf

# --- Logs: kept, and forwarded over TLS.
mkdir -p /var/log/journal /etc/systemd/journald.conf.d
printf '[Journal]\nStorage=persistent\nSystemMaxUse=1G\nCompress=yes\nSeal=yes\nMaxRetentionSec=100day\n' >/etc/systemd/journald.conf.d/hardening.conf
openssl req -x509 -newkey rsa:3072 -nodes -days 3650 -sha256 -subj '/CN=log CA' -keyout /dev/null -out /etc/ssl/certs/log-ca.pem 2>/dev/null
cat >/etc/rsyslog.d/90-central.conf <<-'END'
	global(DefaultNetstreamDriver="gtls" DefaultNetstreamDriverCAFile="/etc/ssl/certs/log-ca.pem")
	module(load="imfile")
	input(type="imfile" File="/var/log/pveproxy/access.log" Tag="pveproxy-access" Severity="info" Facility="local6")
	input(type="imfile" File="/var/log/pve/tasks/index" Tag="pve-tasks" Severity="info" Facility="local6")
	input(type="imfile" File="/var/log/pve-firewall.log" Tag="pve-firewall" Severity="info" Facility="local6")
	*.* action(type="omfwd" target="logs.example.org" port="6514" protocol="tcp"
	    StreamDriver="gtls" StreamDriverMode="1" StreamDriverAuthMode="x509/name" StreamDriverPermittedPeers="logs.example.org"
	    queue.type="LinkedList" queue.size="10000" queue.filename="fwd" queue.saveOnShutdown="on" action.resumeRetryCount="-1")
END
rsyslogd -N1
mkdir -p /run/sshd
/usr/sbin/sshd -t
