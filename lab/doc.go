// Package lab holds real test hosts: Debian 12 and 13 in systemd-nspawn, as installed and hardened by hand, made to
// look like Proxmox VE nodes. Its tests (build tag lab, root only: make lab) scan them with the real binary from inside
// and over SSH, and compare with expectations in expect/ that were written by hand from the references.
//
//	setup.sh    installs the tools that are missing
//	roots.sh    builds and caches the root file systems (base, stock, hardened) under $CASTELLAN_LAB
//	pve.sh      makes a bare Debian look like a Proxmox VE node
//	harden.sh   hardens such a node as an administrator would
package lab
