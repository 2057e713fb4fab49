package collect

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/posture"
	"github.com/castellan-project/castellan/internal/pve/corosync"
	"github.com/castellan-project/castellan/internal/pve/datacenter"
	"github.com/castellan-project/castellan/internal/pve/storagecfg"
)

// wire says what protects the traffic of the cluster itself.
func (v *topoView) wire() {
	v.corosync()
	dc := v.cl.Datacenter
	cfg, err := dc.Get()
	if err != nil || cfg == nil {
		unknown := posture.Unknown[string](err, dc.Path)
		v.f.MigrationType, v.f.MigrationNetwork, v.f.ReplicationType, v.f.ReplicationNetwork = unknown, unknown, unknown, unknown
		v.f.Proxy, v.f.ProxyHost, v.f.ProxyCredentials = unknown, unknown, posture.Unknown[bool](err, dc.Path)
	} else {
		v.f.MigrationType, v.f.MigrationNetwork = movement(cfg.Migration(), dc.Path)
		v.f.ReplicationType, v.f.ReplicationNetwork = movement(cfg.Replication(), dc.Path)
		v.f.Proxy, v.f.ProxyHost = configured(cfg.Proxy(), dc.Path), configured(proxyHost(cfg.Proxy()), dc.Path)
		v.f.ProxyCredentials = configured(cfg.ProxyCredentials(), dc.Path)
	}
	ceph, err := v.cl.Ceph.Get()
	switch {
	case err != nil:
		v.f.CephPlain = posture.Unknown[[]string](err, v.cl.Ceph.Path)
	case ceph == nil || v.cl.Ceph.Absent:
		v.f.CephPlain = configured([]string{}, "there is no ceph.conf")
	default:
		plain := []string{}
		for _, side := range []string{"cluster", "service", "client"} {
			if strings.TrimSpace(ceph.MessengerMode(side)) != "secure" {
				plain = append(plain, side)
			}
		}
		v.f.CephPlain = configured(plain, v.cl.Ceph.Path)
	}
}

// movement is how guests or disks move between nodes.
func movement(m datacenter.Migration, file string) (kind, network posture.Fact[string]) {
	if m.Line == 0 {
		return posture.Known(m.Type, posture.Default, "default of PVE"), posture.Known(m.Network, posture.Default, "default of PVE")
	}
	source := fmt.Sprintf("%s:%d", file, m.Line)
	return configured(m.Type, source), configured(m.Network, source)
}

// proxyHost is the host of a proxy, which may be written without a scheme.
func proxyHost(proxy string) string {
	if proxy == "" {
		return ""
	}
	if !strings.Contains(proxy, "://") {
		proxy = "http://" + proxy
	}
	_, rest, _ := strings.Cut(proxy, "://")
	if i := strings.LastIndex(rest, "@"); i >= 0 {
		rest = rest[i+1:]
	}
	u, err := url.Parse("http://" + rest)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

func (v *topoView) corosync() {
	cfg, err := v.cl.Corosync.Get()
	if err == nil && v.cl.Corosync.Absent && v.c.API {
		err = posture.Problemf("unavailable", "the API did not tell corosync.conf")
	}
	if err == nil && cfg != nil && !v.cl.Corosync.Absent && len(cfg.Totem) == 0 {
		err = posture.Problemf("malformed", "corosync.conf has no totem section")
	}
	if err != nil || cfg == nil {
		v.f.CorosyncEncrypted, v.f.CorosyncCrypto = posture.Unknown[bool](err, corosyncFile), posture.Unknown[string](err, corosyncFile)
		return
	}
	on, words := corosyncCrypto(cfg.Totem)
	v.f.CorosyncEncrypted, v.f.CorosyncCrypto = configured(on, corosyncFile), configured(words, corosyncFile)
}

// corosyncCrypto says whether a totem section encrypts. secauth on stands for aes256 and sha256; crypto_cipher and crypto_hash change them one by
// one, and without any of the three there is nothing (corosync.conf(5)). Only the transport knet, which is the default, can encrypt.
func corosyncCrypto(totem map[string]string) (bool, string) {
	if t := totem["transport"]; t != "" && t != "knet" {
		return false, "transport " + short(t) + ", which cannot encrypt"
	}
	cipher, hash := "none", "none"
	if totem["secauth"] == "on" {
		cipher, hash = "aes256", "sha256"
	}
	if s := totem["crypto_cipher"]; s != "" {
		cipher = s
	}
	if s := totem["crypto_hash"]; s != "" {
		hash = s
	}
	switch {
	case cipher != "none" && hash != "none":
		return true, short(cipher) + " with " + short(hash)
	case hash != "none":
		return false, "no cipher, only " + short(hash)
	case cipher != "none":
		return false, short(cipher) + " without crypto_hash, which corosync refuses"
	}
	return false, "nothing"
}

func short(s string) string { return s[:min(len(s), 40)] }

// corosyncLinks counts the links of each node and the networks that they are in.
func (v *topoView) corosyncLinks() {
	cfg, err := v.cl.Corosync.Get()
	if err != nil || cfg == nil {
		v.f.Members = posture.Unknown[[]posture.TopologyMember](err, corosyncFile)
		return
	}
	list := []posture.TopologyMember{}
	for _, n := range cfg.Nodes {
		list = append(list, posture.TopologyMember{Node: n.Name, Links: len(n.Addresses), Networks: v.linkNetworks(n)})
	}
	slices.SortFunc(list, func(a, b posture.TopologyMember) int { return strings.Compare(a.Node, b.Node) })
	v.f.Members = configured(list, corosyncFile)
}

// linkNetworks is in how many networks the links of a member are.
func (v *topoView) linkNetworks(n corosync.Node) posture.Fact[int] {
	networks := map[string]bool{}
	for _, a := range n.Addresses {
		ids := v.links[n.Name][a]
		if len(ids) == 0 {
			return posture.Unknown[int](posture.Problemf("unavailable", "the network of %s of %s is not known", short(a), n.Name), corosyncFile)
		}
		for _, id := range ids {
			networks[id] = true
		}
	}
	return configured(len(networks), corosyncFile)
}

// storages are those that are reached over the network.
func (v *topoView) storages() {
	cfg, err := v.cl.Storages.Get()
	if err != nil || cfg == nil {
		v.f.Storages = posture.Unknown[[]posture.TopologyStorage](err, v.cl.Storages.Path)
		return
	}
	list := []posture.TopologyStorage{}
	for i := range cfg.Storages {
		s := &cfg.Storages[i]
		if s.Disabled || s.Server == "" {
			continue
		}
		out := posture.TopologyStorage{ID: s.ID, Type: s.Type, Server: s.Server, Line: s.Line, Protected: protection(s)}
		out.Plain = out.Protected.IsKnown() && !out.Protected.Value
		out.Routed, out.SharesGuests = v.stored[s.ID].Routed, v.stored[s.ID].SharesGuests
		list = append(list, out)
	}
	v.f.Storages = configured(list, v.cl.Storages.Path)
}

// protection says whether a storage is reached with authentication or encryption. NFS does neither unless Kerberos does it (nfs(5), sec); CIFS
// logs in with a password and encrypts with seal (mount.cifs(8)); backup servers and ESXi hosts are reached over TLS.
func protection(s *storagecfg.Storage) posture.Fact[bool] {
	source := fmt.Sprintf("/etc/pve/storage.cfg:%d", s.Line)
	has := func(prefixes ...string) bool {
		return slices.ContainsFunc(s.Options, func(o string) bool {
			return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(strings.TrimSpace(o), p) })
		})
	}
	switch s.Type {
	case "nfs":
		return configured(has("sec=krb5"), source)
	case "cifs":
		return configured(has("seal", "sec=krb5"), source)
	case "pbs", "rbd", "cephfs": // what Ceph asks for is asked of ceph.conf
		return configured(true, source)
	case "esxi":
		return configured(!s.SkipCertCheck, source)
	}
	return posture.Unknown[bool](posture.Problemf("unavailable", "storage.cfg does not say how %s authenticates", short(s.Type)), source)
}
