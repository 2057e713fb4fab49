#!/bin/bash
# Installs what the lab needs and is missing: systemd-nspawn, mmdebstrap, OpenSSH, nftables, iproute2. Debian only; root.
set -euo pipefail
declare -A from=(
	[systemd-nspawn]=systemd-container [mmdebstrap]=mmdebstrap [ssh]=openssh-client [ssh-keygen]=openssh-client
	[nft]=nftables [ip]=iproute2 [nsenter]=util-linux [setpriv]=util-linux [perl]=perl-base [flock]=util-linux
)
missing=()
for tool in "${!from[@]}"; do
	command -v "$tool" >/dev/null || missing+=("${from[$tool]}")
done
# The keys of both releases' archives.
[ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || missing+=(debian-archive-keyring)
[ ${#missing[@]} -gt 0 ] || exit 0
if [ "$(id -u)" != 0 ]; then
	echo "lab: missing ${missing[*]}: run this as root to install them" >&2
	exit 3
fi
export DEBIAN_FRONTEND=noninteractive
echo "lab: installing ${missing[*]}" >&2
apt-get -q update
# systemd-container must not take this machine's init over, nor mmdebstrap bring what only other formats need.
apt-get -q -y --no-install-recommends install $(printf '%s\n' "${missing[@]}" | sort -u)
