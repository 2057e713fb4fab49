package storagecfg

import "slices"

// table: the types of storages with their settings, what they can hold, and what they hold when the file does not say
// (pve-storage 8 and 9, plugindata and options of the plugins). Types that PVE 9 dropped are known, because a cluster in
// the middle of an upgrade has them.

func keysByType() map[string][]string {
	common := []string{"nodes", "disable", "content"}
	with := func(more ...string) []string { return slices.Concat(common, more) }
	files := []string{"shared", "prune-backups", "maxfiles", "max-protected-backups", "format", "preallocation", "content-dirs", "mkdir",
		"create-base-path", "create-subdirs", "bwlimit", "snapshot-as-volume-chain"}
	dir := func(more ...string) []string { return slices.Concat(common, files, more) }
	return map[string][]string{
		"dir":       dir("path", "is_mountpoint"),
		"btrfs":     dir("path", "is_mountpoint", "nocow"),
		"nfs":       dir("path", "server", "export", "options"),
		"cifs":      dir("path", "server", "share", "subdir", "username", "password", "domain", "smbversion", "options"),
		"glusterfs": dir("path", "server", "server2", "volume", "transport"),
		"cephfs":    dir("path", "monhost", "fuse", "subdir", "username", "keyring", "fs-name", "options"),
		"rbd": with("monhost", "pool", "data-pool", "namespace", "username", "krbd", "bwlimit", "keyring", "shared",
			"snapshot-as-volume-chain"),
		"pbs": with("server", "datastore", "namespace", "port", "username", "password", "fingerprint", "encryption-key", "master-pubkey",
			"prune-backups", "maxfiles", "max-protected-backups"),
		"esxi":        with("server", "port", "username", "password", "skip-cert-verification"),
		"zfspool":     with("pool", "blocksize", "sparse", "mountpoint", "bwlimit"),
		"lvm":         with("vgname", "base", "saferemove", "saferemove_throughput", "saferemove-stepsize", "tagged_only", "shared", "bwlimit", "snapshot-as-volume-chain"),
		"lvmthin":     with("vgname", "thinpool", "bwlimit"),
		"iscsi":       with("portal", "target", "bwlimit"),
		"iscsidirect": with("portal", "target", "bwlimit"),
		"zfs": with("portal", "target", "pool", "blocksize", "iscsiprovider", "nowritecache", "sparse", "comstar_hg", "comstar_tg", "lio_tpg",
			"zfs-base-path", "bwlimit"),
		"drbd": with("redundancy"),
	}
}

// contents returns what a type of storage can hold and what it holds by default.
func contents(kind string) (able, usual []string) {
	files := []string{"images", "rootdir", "vztmpl", "iso", "backup", "snippets", "import", "none"}
	switch kind {
	case "dir", "btrfs":
		return files, []string{"images", "rootdir"}
	case "nfs", "cifs", "glusterfs":
		return files, []string{"images"}
	case "cephfs":
		return []string{"vztmpl", "iso", "backup", "snippets", "import", "none"}, []string{"backup"}
	case "pbs":
		return []string{"backup", "none"}, []string{"backup"}
	case "esxi":
		return []string{"import"}, []string{"import"}
	case "rbd", "zfspool", "lvm", "lvmthin", "drbd":
		usual = []string{"images", "rootdir"}
		if kind == "rbd" || kind == "lvm" {
			usual = []string{"images"}
		}
		return []string{"images", "rootdir", "none"}, usual
	case "iscsi":
		return []string{"images", "none"}, []string{"images"}
	default:
		return []string{"images", "none"}, []string{"images"}
	}
}

// sharedType reports whether every node sees the same content in storages of a type, whatever the file says.
func sharedType(kind string) bool {
	switch kind {
	case "iscsi", "nfs", "cifs", "rbd", "cephfs", "iscsidirect", "glusterfs", "zfs", "drbd", "pbs":
		return true
	}
	return false
}
