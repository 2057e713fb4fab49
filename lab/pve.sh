#!/bin/bash
# Runs inside a fresh Debian root of the lab and makes it look like a standalone Proxmox VE node "pve1" as its installer
# leaves it: packages, daemons, the tree of /etc/pve, repositories, logs. Nothing is hardened here.
set -euo pipefail
. /etc/os-release
case $VERSION_ID in
12) pve=8.4.14 kernel=6.8.12-15-pve codename=bookworm ;;
13) pve=9.1.1 kernel=6.17.2-1-pve codename=trixie ;;
*) echo "unknown Debian $VERSION_ID" >&2; exit 1 ;;
esac

echo pve1 >/etc/hostname
cat >/etc/hosts <<-END
	127.0.0.1 localhost.localdomain localhost
	10.99.0.2 pve1.example.org pve1
	::1 ip6-localhost ip6-loopback
END
: >/etc/machine-id
# The installer asks for root's password.
echo 'root:lab-only-8Xq2' | chpasswd

# package NAME VERSION puts an empty package of that name into dpkg's books.
package() {
	local d
	d=$(mktemp -d)
	mkdir "$d/DEBIAN"
	printf 'Package: %s\nVersion: %s\nArchitecture: all\nSection: admin\nPriority: optional\nMaintainer: Proxmox Support Team <support@proxmox.com>\nDescription: stand-in of the lab\n' \
		"$1" "$2" >"$d/DEBIAN/control"
	chmod 755 "$d" "$d/DEBIAN"
	dpkg-deb --root-owner-group --build "$d" "$d.deb" >/dev/null
	dpkg -i "$d.deb" >/dev/null
	rm -rf "$d" "$d.deb"
}
package pve-manager "$pve"
package proxmox-ve "${pve%.*}.0"
package pve-cluster "${pve%.*}.1"
package pve-firewall "5.1.2"
package "proxmox-kernel-$kernel-signed" "${kernel%-pve}"

# The modules that the kernel package would bring and that the guides want blocked, as names.
modules=/lib/modules/$kernel
for m in fs/cramfs/cramfs fs/freevxfs/freevxfs fs/hfs/hfs fs/hfsplus/hfsplus fs/jffs2/jffs2 fs/udf/udf \
	drivers/usb/storage/usb-storage net/tipc/tipc net/rds/rds net/sctp/sctp; do
	install -D -m 644 /dev/null "$modules/kernel/$m.ko"
	echo "kernel/$m.ko:" >>"$modules/modules.dep"
done
: >"$modules/modules.builtin"
: >"/boot/vmlinuz-$kernel"
: >"/boot/initrd.img-$kernel"

cat >/usr/bin/pveversion <<-END
	#!/bin/sh
	echo "pve-manager/$pve/b8ce1ffa11 (running kernel: \$(uname -r))"
END
for tool in pvesh pveum qm pct; do
	printf '#!/bin/sh\necho "[]"\n' >/usr/bin/$tool
	chmod 755 /usr/bin/$tool
done
chmod 755 /usr/bin/pveversion

# The cluster file system, with the owners and modes of pmxcfs.
node=/etc/pve/nodes/pve1
mkdir -p $node/{qemu-server,lxc,openvz,priv} /etc/pve/{priv,ha,sdn,mapping,firewall,virtual-guest} /etc/pve/priv/{lock,acme}
ln -s nodes/pve1 /etc/pve/local
ln -s nodes/pve1/qemu-server /etc/pve/qemu-server
ln -s nodes/pve1/lxc /etc/pve/lxc
ln -s nodes/pve1/openvz /etc/pve/openvz
printf '{\n"nodename": "pve1",\n"version": 0\n}\n' >/etc/pve/.members
printf '{\n"starttime": 1763600000,\n"clinfo": 0,\n"vmlist": 2,\n"user.cfg": 1,\n"storage.cfg": 1\n}\n' >/etc/pve/.version
printf '{\n"version": 2,\n"ids": {\n"100": { "node": "pve1", "type": "qemu", "version": 1 }}\n}\n' >/etc/pve/.vmlist
echo 'keyboard: en-us' >/etc/pve/datacenter.cfg
printf 'user:root@pam:1:0:::root@example.org::\n' >/etc/pve/user.cfg
printf 'dir: local\n\tpath /var/lib/vz\n\tcontent iso,vztmpl,backup\n' >/etc/pve/storage.cfg
printf 'name: web\nmemory: 2048\ncores: 2\nnet0: virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1\nscsi0: local:100/vm-100-disk-0.qcow2,size=32G\n' \
	>$node/qemu-server/100.conf
openssl req -x509 -newkey rsa:4096 -nodes -days 3650 -sha256 -subj '/CN=Proxmox Virtual Environment/O=PVE Cluster Manager CA' \
	-keyout /etc/pve/priv/pve-root-ca.key -out /etc/pve/pve-root-ca.pem 2>/dev/null
openssl req -newkey rsa:2048 -nodes -subj '/OU=PVE Cluster Node/O=Proxmox Virtual Environment/CN=pve1.example.org' \
	-keyout $node/pve-ssl.key -out /tmp/node.csr 2>/dev/null
openssl x509 -req -in /tmp/node.csr -CA /etc/pve/pve-root-ca.pem -CAkey /etc/pve/priv/pve-root-ca.key -CAcreateserial -days 730 -sha256 \
	-extfile <(echo 'subjectAltName=IP:127.0.0.1,IP:::1,DNS:localhost,IP:10.99.0.2,DNS:pve1,DNS:pve1.example.org') \
	-out $node/pve-ssl.pem 2>/dev/null
rm -f /tmp/node.csr /etc/pve/*.srl
ssh-keygen -q -t rsa -b 4096 -N '' -C root@pve1 -f /root/.ssh/id_rsa 2>/dev/null || { mkdir -m 700 -p /root/.ssh; ssh-keygen -q -t rsa -b 4096 -N '' -C root@pve1 -f /root/.ssh/id_rsa; }
cp /root/.ssh/id_rsa.pub /etc/pve/priv/authorized_keys
ln -sf /etc/pve/priv/authorized_keys /root/.ssh/authorized_keys
chown -R root:www-data /etc/pve
find /etc/pve -type d -exec chmod 755 {} + -o -type f -exec chmod 640 {} +
find /etc/pve/priv $node/priv -type d -exec chmod 700 {} + -o -type f -exec chmod 600 {} +

# What pve-cluster does to sshd_config when it is set up: root may log in.
sed -i '0,/^#\?PermitRootLogin.*/s//PermitRootLogin yes/' /etc/ssh/sshd_config

# Daemons.
install -D -m 755 /mnt/pve/daemon.py /usr/libexec/pve-lab/daemon.py
unit() {
	cat >"/lib/systemd/system/$1.service" <<-END
		[Unit]
		Description=$2
		[Service]
		ExecStart=/usr/libexec/pve-lab/daemon.py $3
		[Install]
		WantedBy=multi-user.target
	END
	systemctl enable -q "$1.service"
}
unit pvedaemon 'PVE API Daemon' '127.0.0.1 85'
unit pveproxy 'PVE API Proxy Server' ':: 8006 /etc/pve/local/pve-ssl.pem /etc/pve/local/pve-ssl.key'
unit spiceproxy 'PVE SPICE Proxy Server' ':: 3128'
mkdir -p /var/log/pveproxy /var/lib/vz
printf '10.99.0.1 - root@pam [20/11/2026:10:00:00 +0000] "GET /api2/json/nodes HTTP/1.1" 200 812\n::ffff:203.0.113.9 - - [20/11/2026:10:00:05 +0000] "POST /api2/json/access/ticket HTTP/1.1" 401 50\n' \
	>/var/log/pveproxy/access.log
chown -R www-data:www-data /var/log/pveproxy

# Repositories as the installer leaves them: enterprise, in the syntax of the release.
mkdir -p /usr/share/keyrings
openssl rand 64 >/usr/share/keyrings/proxmox-archive-keyring.gpg
if [ "$VERSION_ID" = 12 ]; then
	echo "deb https://enterprise.proxmox.com/debian/pve $codename pve-enterprise" >/etc/apt/sources.list.d/pve-enterprise.list
else
	printf 'Types: deb\nURIs: https://enterprise.proxmox.com/debian/pve\nSuites: %s\nComponents: pve-enterprise\nSigned-By: /usr/share/keyrings/proxmox-archive-keyring.gpg\n' \
		"$codename" >/etc/apt/sources.list.d/pve-enterprise.sources
fi

cat >/etc/network/interfaces <<-END
	auto lo
	iface lo inet loopback

	iface host0 inet manual

	auto vmbr0
	iface vmbr0 inet static
	        address 10.99.0.2/24
	        bridge-ports host0
	        bridge-stp off
	        bridge-fd 0
END
# In the lab the address is set from outside, and nothing here may try to.
systemctl mask -q networking.service systemd-networkd-wait-online.service
# A boot loader's files, as on a disk that boots with GRUB; update-grub finds no kernel unless there is one.
mkdir -p /boot/grub
printf 'GRUB_DEFAULT=0\nGRUB_TIMEOUT=5\nGRUB_DISTRIBUTOR="Proxmox VE"\nGRUB_CMDLINE_LINUX_DEFAULT="quiet"\nGRUB_CMDLINE_LINUX=""\n' >/etc/default/grub
cat >/boot/grub/grub.cfg <<-'END'
	set default="0"
	menuentry 'Proxmox VE GNU/Linux' --class gnu-linux $menuentry_id_option 'gnulinux-simple-pve' {
	        linux /boot/vmlinuz root=/dev/mapper/pve-root ro quiet
	        initrd /boot/initrd.img
	}
	submenu 'Advanced options for Proxmox VE GNU/Linux' $menuentry_id_option 'gnulinux-advanced-pve' {
	        menuentry 'Proxmox VE GNU/Linux, recovery mode' $menuentry_id_option 'gnulinux-recovery-pve' {
	                linux /boot/vmlinuz root=/dev/mapper/pve-root ro single
	        }
	}
END
chmod 644 /boot/grub/grub.cfg
: >/var/log/auth.log
