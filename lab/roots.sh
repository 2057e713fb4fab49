#!/bin/bash
# Builds the root file systems of the lab: Debian 12 and 13 by mmdebstrap, and on each two hosts as overlay layers:
#   stock     as installed, plus the files that make it look like a Proxmox VE node (pve.sh)
#   hardened  the stock host, hardened by hand (harden.sh)
# Usage: roots.sh [RELEASE...]        RELEASE is 12 or 13; without one, both. Prints where each layer is.
#
# Everything lies under $CASTELLAN_LAB (default /var/tmp/castellan-lab) and is kept: a base is named by the hash of
# packages.txt and this machine's mirror lines, a layer by the hash of the scripts that made it and of what lies below,
# so nothing is built twice and a change is never missed.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
lab=${CASTELLAN_LAB:-/var/tmp/castellan-lab}
declare -A suite=([12]=bookworm [13]=trixie)

say() { echo "lab: $*" >&2; }
die() { echo "lab: $*" >&2; exit 3; }

[ "$(id -u)" = 0 ] || die "roots.sh needs root: run it with sudo"
for tool in mmdebstrap systemd-nspawn; do
	command -v "$tool" >/dev/null || die "$tool is missing: run lab/setup.sh first"
done

# mirrors SUITE prints deb822 sources for SUITE: the lines of this machine that name Debian's own archive, with the
# release exchanged. A machine without any uses the public mirrors.
mirrors() {
	local own
	own=$(cat /etc/apt/sources.list.d/debian.sources 2>/dev/null | grep -m1 '^URIs:.*/debian/*$' | awk '{print $2}' || true)
	[ -n "$own" ] || own=$(awk '$1 == "deb" && $0 !~ /security/ {for (i = 2; i <= NF; i++) if ($i ~ /^https?:.*\/debian\/?$/) {print $i; exit}}' \
		/etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null || true)
	local security
	security=$(grep -hEo 'https?://[^ ]*/debian-security/?' /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | grep -v snapshot | head -1 || true)
	cat <<-SOURCES
		Types: deb
		URIs: ${own:-http://ftp.debian.org/debian}
		Suites: $1 $1-updates
		Components: main
		Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

		Types: deb
		URIs: ${security:-http://ftp.debian.org/debian-security}
		Suites: $1-security
		Components: main
		Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
	SOURCES
}

short() { sha256sum | cut -c1-12; }

# base RELEASE builds the bare Debian, unless it is there, and prints its directory.
base() {
	local rel=$1 name=${suite[$1]} dir tmp
	dir=$lab/base-$rel-$({ mirrors "$name"; cat "$here/packages.txt"; } | short)
	if [ ! -e "$dir.done" ]; then
		say "building Debian $rel with mmdebstrap (a few minutes; kept in $dir)"
		tmp=$(mktemp -d "$lab/build.XXXXXX")
		mirrors "$name" >"$tmp/debian.sources"
		timeout 1200 mmdebstrap --quiet --variant=minbase --format=directory \
			--include="$(grep -v '^#' "$here/packages.txt" | paste -sd,)" \
			--aptopt='Acquire::Retries "3"' --aptopt='APT::Install-Recommends "false"' \
			--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
			--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
			--skip=cleanup/apt/lists \
			"$name" "$tmp/root" "$tmp/debian.sources" >&2 || { rm -rf "$tmp"; die "mmdebstrap failed for Debian $rel"; }
		rm -rf "$dir"
		mv "$tmp/root" "$dir"
		rm -rf "$tmp"
		touch "$dir.done"
	fi
	echo "$dir"
}

# layer NAME LOWER SCRIPT runs SCRIPT in an overlay over LOWER (colon-separated, topmost first), unless its result is
# there, and prints the directory of the new upper layer.
layer() {
	local name=$1 lower=$2 script=$3 dir work
	dir=$lab/$name-$({ echo "$lower"; cat "$here/$script" "$here"/pve/*; } | short)
	if [ ! -e "$dir.done" ]; then
		say "making $name"
		rm -rf "$dir"
		mkdir -p "$dir"
		work=$(mktemp -d "$lab/build.XXXXXX")
		mkdir "$work/work" "$work/root"
		mount -t overlay overlay -o "lowerdir=$lower,upperdir=$dir,workdir=$work/work" "$work/root"
		local rc=0
		timeout 300 systemd-nspawn --quiet --register=no --keep-unit --directory="$work/root" --bind-ro="$here:/mnt" \
			--setenv=DEBIAN_FRONTEND=noninteractive /bin/bash "/mnt/$script" </dev/null >"$dir.log" 2>&1 || rc=$?
		umount "$work/root"
		rm -rf "$work"
		if [ "$rc" != 0 ]; then
			cat "$dir.log" >&2
			die "$script failed for $name (code $rc)"
		fi
		touch "$dir.done"
	fi
	echo "$dir"
}

mkdir -p "$lab"
exec 9>"$lab/lock"
flock -w 1500 9 || die "another roots.sh holds $lab/lock"
releases=("$@")
[ $# -gt 0 ] || releases=(12 13)
for rel in "${releases[@]}"; do
	[ -n "${suite[$rel]:-}" ] || die "unknown release $rel: want 12 or 13"
	b=$(base "$rel")
	s=$(layer "stock-$rel" "$b" pve.sh)
	h=$(layer "hardened-$rel" "$s:$b" harden.sh)
	# One line per host: its name and its layers, topmost first.
	echo "debian$rel-stock $s:$b"
	echo "debian$rel-hardened $h:$s:$b"
done
