package collect

import (
	"strings"

	"github.com/castellan-project/castellan/internal/debian/exports"
	"github.com/castellan-project/castellan/internal/debian/mounts"
	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/posture"
)

const svcExports = "/etc/exports"

func nfsNeeds() []host.Need {
	needs := reads(svcStorageCfg, svcFstab, svcMounts, svcExports, "/etc/exports.d/*.exports")
	return append(needs, lists("/etc/exports.d/*.exports", "/etc/pve/*")...)
}

func collectNFS(c *Context, f *posture.ServiceFacts) {
	f.NFS.Storages = nfsStorages(c)
	f.NFS.V3Needed = posture.Unknown[bool](posture.ProblemOf(notCopied(svcStorageCfg)), svcStorageCfg)
	if f.NFS.Storages.IsKnown() {
		needed := false
		for _, s := range f.NFS.Storages.Value {
			needed = needed || !strings.HasPrefix(s.Version, "4")
		}
		f.NFS.V3Needed = posture.Known(needed, f.NFS.Storages.Origin, f.NFS.Storages.Source)
	} else {
		f.NFS.V3Needed.Problem = f.NFS.Storages.Problem
	}
	f.NFS.Exports = nfsExports(c)
}

// nfsStorages joins storage.cfg, fstab and the present mounts; a mount tells which version a storage really uses.
func nfsStorages(c *Context) posture.Fact[[]posture.NFSStorage] {
	out := []posture.NFSStorage{}
	cfg, err := c.Host.ReadFile(svcStorageCfg)
	if err != nil && !absent(c, err) {
		return posture.Unknown[[]posture.NFSStorage](err, svcStorageCfg)
	}
	out = append(out, storageNFS(cfg)...)
	fstab, err := c.Host.ReadFile(svcFstab)
	if err != nil && !absent(c, err) {
		return posture.Unknown[[]posture.NFSStorage](err, svcFstab)
	}
	table, err := mounts.Parse(fstab)
	if err != nil {
		return posture.Unknown[[]posture.NFSStorage](posture.Problemf("malformed", "%s: %v", svcFstab, err), svcFstab)
	}
	for _, m := range table {
		if m.Type == "nfs" || m.Type == "nfs4" {
			out = append(out, posture.NFSStorage{Name: m.Path, Version: nfsVersion(m), Source: source(svcFstab, m.Line)})
		}
	}
	if c.Live {
		out = negotiated(c, out)
	}
	return posture.Known(out, posture.Configured, svcStorageCfg)
}

// negotiated fills in the versions that the kernel uses, and adds mounts that nothing configures.
func negotiated(c *Context, list []posture.NFSStorage) []posture.NFSStorage {
	b, err := c.Host.ReadFile(svcMounts)
	if err != nil {
		return list
	}
	table, err := mounts.Parse(b)
	if err != nil {
		return list
	}
	for _, m := range table {
		if m.Type != "nfs" && m.Type != "nfs4" {
			continue
		}
		v, found := nfsVersion(m), false
		for i, s := range list {
			if m.Path == s.Name || m.Path == "/mnt/pve/"+s.Name {
				found = true
				if s.Version == "" {
					list[i].Version = v
				}
			}
		}
		if !found {
			list = append(list, posture.NFSStorage{Name: m.Path, Version: v, Source: svcMounts})
		}
	}
	return list
}

func nfsVersion(m mounts.Mount) string {
	for _, key := range []string{"vers", "nfsvers"} {
		if v, ok := m.Value(key); ok {
			return v
		}
	}
	if m.Type == "nfs4" {
		return "4"
	}
	return ""
}

// storageNFS reads the NFS storages of storage.cfg: sections "nfs: NAME" with indented "options vers=4.2".
func storageNFS(b []byte) []posture.NFSStorage {
	var out []posture.NFSStorage
	in, disabled := false, false
	drop := func() {
		if in && disabled {
			out = out[:len(out)-1]
		}
		in, disabled = false, false
	}
	for n, l := range host.Lines(b) {
		if l == "" || strings.HasPrefix(strings.TrimSpace(l), "#") {
			continue
		}
		if l[0] != ' ' && l[0] != '\t' {
			drop()
			if kind, id, ok := strings.Cut(l, ":"); ok && strings.TrimSpace(kind) == "nfs" {
				in = true
				out = append(out, posture.NFSStorage{Name: strings.TrimSpace(id), Source: source(svcStorageCfg, n+1)})
			}
			continue
		}
		if !in {
			continue
		}
		key, value, _ := strings.Cut(strings.TrimSpace(l), " ")
		switch key {
		case "disable":
			disabled = strings.TrimSpace(value) != "0"
		case "options":
			out[len(out)-1].Version = nfsVersion(mounts.Mount{Options: strings.Split(strings.TrimSpace(value), ",")})
		}
	}
	drop()
	return out
}

func nfsExports(c *Context) posture.Fact[[]posture.NFSExport] {
	out := []posture.NFSExport{}
	add := func(file string, b []byte) error {
		list, err := exports.Parse(b)
		if err != nil {
			return posture.Problemf("malformed", "%s: %v", file, err)
		}
		for _, e := range list {
			options := e.Options
			if options == nil {
				options = []string{}
			}
			out = append(out, posture.NFSExport{Path: e.Path, Client: e.Client, Options: options, Everyone: e.Everyone(),
				NoRootSquash: e.NoRootSquash(), Writable: e.Writable(), Insecure: e.Insecure(), Source: source(file, e.Line)})
		}
		return nil
	}
	b, err := c.Host.ReadFile(svcExports)
	if err != nil && !absent(c, err) {
		return posture.Unknown[[]posture.NFSExport](err, svcExports)
	}
	if err := add(svcExports, b); err != nil {
		return posture.Unknown[[]posture.NFSExport](err, svcExports)
	}
	paths, contents, err := readAll(c, "/etc/exports.d/*.exports")
	if err != nil {
		return posture.Unknown[[]posture.NFSExport](err, "/etc/exports.d")
	}
	for i, p := range paths {
		if err := add(p, contents[i]); err != nil {
			return posture.Unknown[[]posture.NFSExport](err, p)
		}
	}
	return posture.Known(out, posture.Configured, svcExports)
}
