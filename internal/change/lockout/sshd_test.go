package lockout

import (
	"testing"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/host"
)

func TestSSHD(t *testing.T) {
	tests := map[string]struct {
		before  files // beside debian()
		changed files
		op      change.Operator
		want    wanted
	}{
		"root by key under prohibit-password": {changed: drop("PermitRootLogin prohibit-password"), op: rootByKey(),
			want: yes("root@192.0.2.10 by key "+edPrint, "/root/.ssh/authorized_keys:1", "through PermitRootLogin prohibit-password, /etc/ssh/sshd_config.d/00-castellan.conf:1")},
		"root by key, no root login": {changed: drop("", "PermitRootLogin no"), op: rootByKey(),
			want: no("PermitRootLogin no (/etc/ssh/sshd_config.d/00-castellan.conf:2)", "prohibit-password")},
		"root by forced commands": {changed: drop("PermitRootLogin forced-commands-only"), op: rootByKey(), want: no("forced-commands-only")},
		"root by password under prohibit-password": {changed: drop("PermitRootLogin prohibit-password"), op: byWord("root"),
			want: no("PermitRootLogin prohibit-password", "by password")},
		"a match for the address keeps root": {changed: drop("PermitRootLogin no", "Match Address 192.0.2.0/24", "PermitRootLogin prohibit-password"), op: rootByKey(),
			want: yes("00-castellan.conf:3")},
		"a match for another address":    {changed: drop("PermitRootLogin no", "Match Address 198.51.100.0/24", "PermitRootLogin prohibit-password"), op: rootByKey(), want: no("PermitRootLogin no")},
		"passwords go, came by password": {changed: drop("PasswordAuthentication no"), op: byWord("ann"), want: no("PasswordAuthentication no", "a key of yours")},
		"passwords go, came by key":      {changed: drop("PasswordAuthentication no"), op: rootByKey(), want: yes("by key")},
		"passwords go, unknown method":   {changed: drop("PasswordAuthentication no"), op: named("ann", "192.0.2.10"), want: yes("by key")},
		"passwords go, no key":           {changed: drop("PasswordAuthentication no"), op: named("bob", "192.0.2.10"), want: no("bob has no key in /home/bob/.ssh/authorized_keys", "no way of logging in works")},
		"a password stays":               {changed: drop("X11Forwarding no"), op: named("bob", "192.0.2.10"), want: yes("by password")},
		"keyboard-interactive instead":   {changed: drop("PasswordAuthentication no", "KbdInteractiveAuthentication yes"), op: byWord("ann"), want: yes("by password")},
		"AllowUsers without him":         {changed: drop("AllowUsers ann"), op: rootByKey(), want: no("AllowUsers ann", "root to AllowUsers")},
		"AllowUsers from elsewhere":      {changed: drop("AllowUsers root@198.51.100.0/24"), op: rootByKey(), want: no("AllowUsers")},
		"AllowUsers with him":            {changed: drop("AllowUsers root@192.0.2.0/24"), op: rootByKey(), want: yes("by key")},
		"AllowGroups":                    {changed: drop("AllowGroups ssh-admins"), op: named("ann", "192.0.2.10"), want: no("AllowGroups", "ann to one of the groups ssh-admins")},
		"AllowGroups with the group":     {changed: drop("AllowGroups sudo"), op: named("ann", "192.0.2.10"), want: yes()},
		"a group that the draft makes": {changed: drop("AllowGroups ssh-admins").with(files{"/etc/group": debian()["/etc/group"] + "ssh-admins:x:900:ann\n"}),
			op: named("ann", "192.0.2.10"), want: yes()},
		"DenyUsers":                 {changed: drop("DenyUsers root"), op: rootByKey(), want: no("DenyUsers root")},
		"DenyGroups":                {changed: drop("DenyGroups staff"), op: named("ann", "192.0.2.10"), want: no("DenyGroups")},
		"another port":              {changed: drop("Port 2222"), op: rootByKey(), want: no("no longer listens on port 22", "Port 22")},
		"a port more":               {changed: drop("Port 22", "Port 2222"), op: rootByKey(), want: yes()},
		"another address":           {changed: drop("ListenAddress 10.0.0.1"), op: rootByKey(), want: no("listens on 10.0.0.1:22 only")},
		"his address":               {changed: drop("ListenAddress 192.0.2.1"), op: rootByKey(), want: yes()},
		"IPv6 only":                 {changed: drop("AddressFamily inet6"), op: rootByKey(), want: no("listens on")},
		"his address, not known":    {changed: drop("ListenAddress 192.0.2.1"), op: named("root", "192.0.2.10"), want: no("listens on")},
		"the keys elsewhere":        {changed: drop("AuthorizedKeysFile /etc/ssh/keys/%u"), op: rootByKey(), want: no("is not in /etc/ssh/keys/root", "that key to /etc/ssh/keys/root")},
		"the keys elsewhere, moved": {changed: drop("AuthorizedKeysFile /etc/ssh/keys/%u").with(files{"/etc/ssh/keys/root": edKey + "\n"}), op: rootByKey(), want: yes("/etc/ssh/keys/root:1")},
		"the key removed":           {changed: files{"/root/.ssh/authorized_keys": "# none\n"}, op: rootByKey(), want: no("is not in /root/.ssh/authorized_keys")},
		"the key from elsewhere":    {changed: files{"/root/.ssh/authorized_keys": `from="198.51.100.0/24" ` + edKey}, op: rootByKey(), want: no(`from="198.51.100.0/24"`)},
		"the key from here":         {changed: files{"/root/.ssh/authorized_keys": `from="192.0.2.0/24,!192.0.2.9" ` + edKey}, op: rootByKey(), want: yes()},
		"the key from all but here": {changed: files{"/root/.ssh/authorized_keys": `from="192.0.2.0/24,!192.0.2.10" ` + edKey}, op: rootByKey(), want: no("from=")},
		"from given twice":          {changed: files{"/root/.ssh/authorized_keys": `from="192.0.2.0/24",from="192.0.2.0/24" ` + edKey}, op: rootByKey(), want: no("from=")},
		"an expired key":            {changed: files{"/root/.ssh/authorized_keys": `expiry-time="20261120Z" ` + edKey}, op: rootByKey(), want: no("expired")},
		"a key for later":           {changed: files{"/root/.ssh/authorized_keys": `expiry-time="20271120" ` + edKey}, op: rootByKey(), want: yes()},
		"an unknown option":         {changed: files{"/root/.ssh/authorized_keys": `no-ptty ` + edKey}, op: rootByKey(), want: no("no-ptty")},
		"a forced command, named":   {changed: files{"/home/ann/.ssh/authorized_keys": `command="id" ` + edKey, "/etc/shadow": "ann:!:20000::::::\n"}, op: named("ann", "192.0.2.10"), want: no("forced command")},
		"a certificate authority":   {changed: files{"/root/.ssh/authorized_keys": `cert-authority ` + edKey}, op: rootByKey(), want: no("certificate authority")},
		"no keys at all":            {changed: drop("PubkeyAuthentication no"), op: rootByKey(), want: no("PubkeyAuthentication no")},
		"the type is not taken":     {changed: drop("PubkeyAcceptedAlgorithms rsa-sha2-512"), op: rootByKey(), want: no("PubkeyAcceptedAlgorithms", "ssh-ed25519")},
		"a small RSA key":           {changed: drop("RequiredRSASize 3072"), op: change.Operator{User: "ann", Address: "192.0.2.10", Key: rsaPrint}, want: no("2048 bits", "3072")},
		"RSA by sha2":               {changed: drop("PubkeyAcceptedAlgorithms rsa-sha2-256"), op: change.Operator{User: "ann", Address: "192.0.2.10", Key: rsaPrint}, want: yes(rsaPrint)},
		"two factors":               {changed: drop("AuthenticationMethods publickey,password"), op: rootByKey(), want: yes("by key", "by password")},
		"two factors, one missing":  {changed: drop("AuthenticationMethods publickey,password", "PasswordAuthentication no"), op: rootByKey(), want: no("sshd would not start")},
		"two keys":                  {changed: drop("AuthenticationMethods publickey,publickey"), op: rootByKey(), want: no("2 different keys")},
		"two keys, has two":         {changed: drop("AuthenticationMethods publickey,publickey"), op: named("ann", "192.0.2.10"), want: yes()},
		"a list without his method": {changed: drop("AuthenticationMethods publickey"), op: byWord("ann"), want: no("AuthenticationMethods")},
		"hostbased":                 {changed: drop("HostbasedAuthentication yes", "AuthenticationMethods hostbased"), op: named("ann", "192.0.2.10"), want: no("hostbased")},
		"old key exchange only":     {changed: drop("KexAlgorithms diffie-hellman-group14-sha1"), op: rootByKey(), want: no("KexAlgorithms", "cannot be known")},
		"new key exchange only":     {changed: drop("KexAlgorithms mlkem768x25519-sha256,sntrup761x25519-sha512@openssh.com"), op: rootByKey(), want: no("KexAlgorithms")},
		"good algorithms": {changed: drop("KexAlgorithms curve25519-sha256", "Ciphers aes256-gcm@openssh.com", "MACs hmac-sha2-512-etm@openssh.com", "HostKeyAlgorithms ssh-ed25519"),
			op: rootByKey(), want: yes()},
		"no MAC in common":         {changed: drop("Ciphers aes256-ctr", "MACs hmac-md5"), op: rootByKey(), want: no("MACs")},
		"no MAC needed":            {changed: drop("Ciphers aes256-gcm@openssh.com", "MACs hmac-md5"), op: rootByKey(), want: yes()},
		"cbc only":                 {changed: drop("Ciphers aes256-cbc"), op: rootByKey(), want: no("Ciphers")},
		"no host key of the kind":  {before: files{"/etc/ssh/ssh_host_rsa_key": "x"}, changed: drop("HostKeyAlgorithms ssh-ed25519"), op: rootByKey(), want: no("none of the host keys")},
		"will not start":           {changed: drop("PermitRootLogin maybe"), op: rootByKey(), want: no("sshd would not start", "00-castellan.conf:1")},
		"a forced command for all": {changed: drop("ForceCommand /bin/secret --token=x"), op: rootByKey(), want: no("ForceCommand ...")},
		"a changed root":           {changed: drop("ChrootDirectory /srv"), op: rootByKey(), want: no("ChrootDirectory")},
		"no account":               {changed: drop("X11Forwarding no"), op: named("zoe", "192.0.2.10"), want: no("no account zoe", "also before this plan")},
		"never got in":             {changed: drop("X11Forwarding no"), op: named("cleo", "192.0.2.10"), want: no("nologin", "also before this plan")},
		"no address":               {changed: drop("X11Forwarding no"), op: change.Operator{User: "root"}, want: no("--admin root@ADDRESS")},
		"UsePAM off, locked": {before: files{"/etc/shadow": "root:!:20000::::::\n"}, changed: drop("UsePAM no"), op: rootByKey(),
			want: no("UsePAM no")},
		"a locked password does not stop keys": {before: files{"/etc/shadow": "root:!$y$x:20000::::::\n"}, changed: drop("X11Forwarding no"), op: rootByKey(), want: yes()},
		"expired account stops keys":           {before: files{"/etc/shadow": "root:*:20000:::::20400:\n"}, changed: drop("X11Forwarding no"), op: rootByKey(), want: no("expired", "also before")},
		"an unreadable key file":               {before: files{"/root/.ssh/authorized_keys": "unreadable"}, changed: drop("X11Forwarding no"), op: rootByKey(), want: no("/root/.ssh/authorized_keys")},
		"an unreadable shadow":                 {before: files{"/etc/shadow": "unreadable"}, changed: drop("X11Forwarding no"), op: rootByKey(), want: no("/etc/shadow")},
		"an unreadable passwd":                 {before: files{"/etc/passwd": "unreadable"}, changed: drop("X11Forwarding no"), op: rootByKey(), want: no("/etc/passwd")},
		"an unreadable configuration":          {before: files{"/etc/ssh/sshd_config": "unreadable"}, changed: drop("X11Forwarding no"), op: rootByKey(), want: no("/etc/ssh/sshd_config")},
		"revoked":                              {changed: drop("RevokedKeys /etc/ssh/revoked").with(files{"/etc/ssh/revoked": edKey + "\n"}), op: rootByKey(), want: no("revoked")},
		"revoked others":                       {changed: drop("RevokedKeys /etc/ssh/revoked").with(files{"/etc/ssh/revoked": rsaKey + "\n"}), op: rootByKey(), want: yes()},
		"a missing list of revoked keys":       {changed: drop("RevokedKeys /etc/ssh/revoked"), op: rootByKey(), want: no("RevokedKeys")},
		"a binary list of revoked keys":        {changed: drop("RevokedKeys /etc/ssh/revoked").with(files{"/etc/ssh/revoked": "SSHKRL\n\x00"}), op: rootByKey(), want: no("binary")},
		"a certificate, unchanged": {before: files{"/root/.ssh/authorized_keys": "-", "/etc/ssh/ca.pub": edKey, "/etc/ssh/sshd_config.d/50-ca.conf": "TrustedUserCAKeys /etc/ssh/ca.pub\n"},
			changed: drop("X11Forwarding no"), op: rootByKey(), want: yes("certificate")},
		"a certificate, authority gone": {before: files{"/root/.ssh/authorized_keys": "-", "/etc/ssh/ca.pub": edKey, "/etc/ssh/sshd_config.d/50-ca.conf": "TrustedUserCAKeys /etc/ssh/ca.pub\n"},
			changed: drop("TrustedUserCAKeys none"), op: rootByKey(), want: no("is not in")},
		"a network whole":         {changed: drop("PermitRootLogin no", "Match Address 192.0.2.0/24", "PermitRootLogin yes"), op: named("root", "192.0.2.0/25"), want: yes("every address of 192.0.2.0/25")},
		"a network split":         {changed: drop("PermitRootLogin no", "Match Address 192.0.2.0/25", "PermitRootLogin yes"), op: named("root", "192.0.2.0/24"), want: no("from 192.0.2.128")},
		"a hole in a network":     {changed: drop("Match Address 192.0.2.77", "PermitRootLogin no"), op: named("root", "192.0.2.0/24"), want: no("from 192.0.2.77")},
		"a hole by pattern":       {changed: drop("Match Address 192.0.2.7?", "PermitRootLogin no"), op: named("root", "192.0.2.0/24"), want: no("pattern")},
		"a hole by a key's from":  {changed: drop("PasswordAuthentication no").with(files{"/root/.ssh/authorized_keys": `from="192.0.2.0/24,!192.0.2.66" ` + edKey}), op: named("root", "192.0.2.0/24"), want: no("from 192.0.2.66")},
		"names decide":            {changed: drop("UseDNS yes", "AllowUsers root@*.example.org"), op: rootByKey(), want: no("UseDNS yes")},
		"a local port is matched": {changed: drop("Match LocalPort 22", "PermitRootLogin no"), op: rootByKey(), want: no("PermitRootLogin no")},
		"Debian 12": {before: files{"/etc/os-release": "VERSION_CODENAME=bookworm\n"}, changed: drop("PermitRootLogin prohibit-password"), op: rootByKey(),
			want: yes("by key")},
		"an unknown release": {before: files{"/etc/os-release": "-"}, changed: drop("PermitRootLogin prohibit-password"), op: rootByKey(), want: yes("by key")},
		"a shell that goes":  {changed: files{"/etc/passwd": "root:x:0:0:root:/root:/usr/sbin/nologin\n"}, op: rootByKey(), want: no("nologin")},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := caseOf(debian().with(tt.before), tt.changed, tt.op)
			tt.want.check(t, sshdGuard{}.Judge(c))
		})
	}
}

func TestSSHDIsSilent(t *testing.T) {
	c := caseOf(debian(), files{"/etc/sysctl.d/x.conf": "a=1\n"}, rootByKey())
	if v := (sshdGuard{}).Judge(c); v != nil {
		t.Errorf("a change that cannot touch SSH: %+v", v)
	}
	gone := debian().with(files{dpkgStatus: "Package: bash\nStatus: install ok installed\nVersion: 5\n\n"})
	if v := (sshdGuard{}).Judge(caseOf(gone, drop("PermitRootLogin no"), rootByKey())); v != nil {
		t.Errorf("a host without server: %+v", v)
	}
}

func TestSSHDStopped(t *testing.T) {
	for _, x := range []change.Change{
		{Control: "X", Kind: "unit", Unit: "ssh.service", State: "masked"}, {Control: "X", Kind: "package", Purge: []string{"openssh-server"}},
		{Control: "X", Kind: "unit", Unit: "ssh.socket", State: "enabled"},
	} {
		c := caseOf(debian(), nil, rootByKey())
		c.Changes = []change.Change{x}
		no("X").check(t, sshdGuard{}.Judge(c))
	}
}

// TestStrictModes needs owners and modes, which a host in memory has not: an overlay gives them.
func TestStrictModes(t *testing.T) {
	for name, tt := range map[string]struct {
		path string
		node host.Node
		want wanted
	}{
		"good":                {"/home/ann/.ssh/authorized_keys", host.Node{Type: host.Regular, Mode: 0o600, UID: 1000, GID: 1000, Content: []byte(edKey)}, yes()},
		"root's":              {"/home/ann/.ssh/authorized_keys", host.Node{Type: host.Regular, Mode: 0o644, Content: []byte(edKey)}, yes()},
		"everybody writes":    {"/home/ann/.ssh/authorized_keys", host.Node{Type: host.Regular, Mode: 0o666, UID: 1000, GID: 1000, Content: []byte(edKey)}, no("written by others")},
		"somebody else's":     {"/home/ann/.ssh/authorized_keys", host.Node{Type: host.Regular, Mode: 0o600, UID: 1001, GID: 1000, Content: []byte(edKey)}, no("belongs to the user 1001")},
		"her own group":       {"/home/ann/.ssh/authorized_keys", host.Node{Type: host.Regular, Mode: 0o660, UID: 1000, GID: 1000, Content: []byte(edKey)}, yes()},
		"a group of others":   {"/home/ann/.ssh/authorized_keys", host.Node{Type: host.Regular, Mode: 0o660, UID: 1000, GID: 50, Content: []byte(edKey)}, no("written by others")},
		"an open home":        {"/home/ann", host.Node{Type: host.Dir, Mode: 0o777, UID: 1000, GID: 1000}, no("/home/ann can be written")},
		"above home is moot":  {"/home", host.Node{Type: host.Dir, Mode: 0o777}, yes()},
		"a dangling link":     {"/home/ann/.ssh/authorized_keys", host.Node{Type: host.Link, Link: "/nowhere"}, no("is not in")},
		"a link to the right": {"/home/ann/.ssh/authorized_keys", host.Node{Type: host.Link, Link: "/root/.ssh/authorized_keys"}, yes()},
	} {
		t.Run(name, func(t *testing.T) {
			base := debian().memory()
			after := host.NewOverlay(base)
			if err := after.Set(tt.path, tt.node); err != nil {
				t.Fatal(err)
			}
			c := caseOf(debian(), nil, change.Operator{User: "ann", Address: "192.0.2.10", Key: edPrint})
			c.After, c.Paths = after, []string{tt.path}
			tt.want.check(t, sshdGuard{}.Judge(c))
		})
	}
}

// cluster makes the host of debian() the first of two nodes.
func cluster(changed files) files {
	return debian().with(files{
		"/etc/hostname": "pve1\n", "/etc/hosts": "10.0.0.1 pve1\n10.0.0.2 pve2\n",
		"/etc/pve/corosync.conf": "totem {\n cluster_name: c\n}\nnodelist {\n node {\n name: pve1\n nodeid: 1\n ring0_addr: 10.0.0.1\n }\n" +
			" node {\n name: pve2\n nodeid: 2\n ring0_addr: 10.0.0.2\n ring1_addr: 10.1.0.2\n }\n}\n",
		"/etc/pve/nodes/pve1/x": "", "/etc/pve/nodes/pve2/x": "",
		"/root/.ssh/authorized_keys": edKey + "\n" + rsaKey + " root@pve2\n",
	}).with(changed)
}

func TestClusterNodes(t *testing.T) {
	for name, tt := range map[string]struct {
		before, changed files
		want            wanted
	}{
		"stays":                {nil, drop("X11Forwarding no"), yes("root from 10.0.0.2, 10.1.0.2 by the key")},
		"no root":              {nil, drop("PermitRootLogin no"), no("PermitRootLogin no", "Match Address")},
		"one link forgotten":   {nil, drop("PermitRootLogin no", "Match Address 10.0.0.0/24", "PermitRootLogin prohibit-password"), no("from 10.1.0.2")},
		"both links":           {nil, drop("PermitRootLogin no", "Match Address 10.0.0.0/24,10.1.0.0/24", "PermitRootLogin prohibit-password"), yes()},
		"no forwarding":        {nil, drop("AllowTcpForwarding no"), no("stops migrations")},
		"no sockets":           {nil, drop("AllowStreamLocalForwarding no"), no("stops migrations")},
		"DisableForwarding":    {nil, drop("DisableForwarding yes"), no("stops migrations")},
		"forwarding for nodes": {nil, drop("DisableForwarding yes", "Match Address 10.0.0.0/8", "DisableForwarding no"), yes()},
		"RSA is shut out":      {nil, drop("PubkeyAcceptedAlgorithms ssh-ed25519"), no("PubkeyAcceptedAlgorithms")},
		"RSA host key":         {nil, drop("HostKeyAlgorithms ssh-ed25519"), no("RSA host keys")},
		"long keys wanted":     {nil, drop("RequiredRSASize 4096"), no("2048 bits")},
		"AllowGroups":          {nil, drop("AllowGroups sudo"), no("AllowGroups")},
		"no key before":        {files{"/root/.ssh/authorized_keys": edKey}, drop("PermitRootLogin no"), yes("before this plan either")},
		"address not known":    {files{"/etc/pve/corosync.conf": "nodelist {\n node {\n name: pve2\n nodeid: 2\n ring0_addr: pve2x\n }\n}\n", "/etc/hosts": "10.0.0.1 pve1\n"}, drop("X11Forwarding no"), no("no address")},
	} {
		t.Run(name, func(t *testing.T) {
			v := sshdGuard{}.Judge(caseOf(cluster(tt.before), tt.changed))
			tt.want.check(t, v)
			if v[0].Operator != "root@pve2" {
				t.Errorf("operator is %q", v[0].Operator)
			}
		})
	}
}
