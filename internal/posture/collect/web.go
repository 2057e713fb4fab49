package collect

import (
	"crypto/x509"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/posture"
	"github.com/castellan-project/castellan/internal/pve/proxycfg"
)

// Files of pveproxy. /etc/pve/local is a link to the node's directory, which copies may lack; see webFile.
const (
	webCustomPEM  = "pveproxy-ssl.pem"
	webCustomKey  = "pveproxy-ssl.key"
	webClusterPEM = "pve-ssl.pem"
	webClusterKey = "pve-ssl.key"
	webRootCA     = "/etc/pve/pve-root-ca.pem"
	webOpenSSL    = "/etc/ssl/openssl.cnf"
	webTimer      = "/etc/systemd/system/timers.target.wants/pve-daily-update.timer"
	webClusterFW  = "/etc/pve/firewall/cluster.fw"
)

// webHandshake shows the certificate that is served now. Standard input is empty, so that it ends at once.
func webHandshake() host.Command {
	return host.Command{Name: "pveproxy-certificate", Timeout: 5 * time.Second,
		Argv: []string{"openssl", "s_client", "-connect", "localhost:8006", "-showcerts"}}
}

// Web returns the collector of the subject web.
func Web() Collector {
	c := Collector{Name: "web", Collect: collectWeb}
	for _, f := range []string{proxycfg.Path, webRootCA, webOpenSSL, webClusterFW, osFileHostname, osFileProcHostname, osFileHosts, dpkgStatus,
		osFileCorosyncPVE, osFileCorosync, osFileMembers, "/proc/net/tcp", "/proc/net/tcp6", netNftables, netIptables,
		"/etc/pve/nodes/*/config", "/etc/pve/nodes/*/pve*-ssl.pem", "/etc/pve/local/pve*-ssl.pem"} {
		c.Needs = append(c.Needs, host.Need{Read: f})
	}
	for _, f := range []string{webTimer, "/etc/pve/local/" + webCustomPEM, "/etc/pve/local/" + webCustomKey, "/etc/pve/local/" + webClusterKey} {
		c.Needs = append(c.Needs, host.Need{Stat: f})
	}
	c.Needs = append(c.Needs, host.Need{List: "/etc/pve/nodes/*/pve*-ssl.*"}, host.Need{List: webFilterUnits}, host.Need{Run: webHandshake()})
	return c
}

func collectWeb(c *Context) {
	var f posture.WebFacts
	b, err := c.Host.ReadFile(proxycfg.Path)
	name := osHostname(c)
	hosts, _ := c.Host.ReadFile(osFileHosts)
	webConfig(c, &f, b, err)
	webTLS(c, &f, b, err)
	webCertificate(c, &f, name, hosts, b)
	f.PacketFilter = webPacketFilter(c)
	f.PlainHTTP = webPlainHTTP(c)
	c.Facts.Web = f
}

// webSetting makes a fact of one value of the configuration: unknown when the file cannot be read or holds shell code,
// a default when the key is not set.
func webSetting[T any](cfg *proxycfg.Config, err error, key string, value T) posture.Fact[T] {
	switch {
	case err != nil && !host.NotExist(err):
		return posture.Unknown[T](err, proxycfg.Path)
	case cfg.Shell:
		return posture.Unknown[T](posture.Problemf("malformed",
			"%s holds shell code, so its values are not known before bash runs it", proxycfg.Path), proxycfg.Path)
	}
	if s, ok := cfg.Get(key); ok {
		return posture.Known(value, posture.Configured, sourceLine(proxycfg.Path, s.Line))
	}
	return posture.Known(value, posture.Default, "default of pveproxy")
}

func webConfig(c *Context, f *posture.WebFacts, b []byte, err error) {
	cfg := proxycfg.Parse(b)
	problems, fatal := []string{}, []string{}
	for _, p := range cfg.Problems {
		problems = append(problems, p.String())
		if p.Fatal {
			fatal = append(fatal, p.String())
		}
	}
	if err != nil && !host.NotExist(err) {
		f.ConfigProblems, f.FatalProblems = posture.Unknown[[]string](err, proxycfg.Path), posture.Unknown[[]string](err, proxycfg.Path)
		f.Shell = posture.Unknown[bool](err, proxycfg.Path)
	} else {
		f.ConfigProblems = posture.Known(problems, posture.Configured, proxycfg.Path)
		f.FatalProblems = posture.Known(fatal, posture.Configured, proxycfg.Path)
		f.Shell = posture.Known(cfg.Shell, posture.Configured, proxycfg.Path)
	}
	f.AllowFrom = webSetting(cfg, err, "ALLOW_FROM", commaList(cfg, "ALLOW_FROM"))
	f.DenyFrom = webSetting(cfg, err, "DENY_FROM", commaList(cfg, "DENY_FROM"))
	f.Policy = webSetting(cfg, err, "POLICY", cfg.Policy())
	f.Restricted = webSetting(cfg, err, "DENY_FROM", cfg.Restricted())
	f.RefusesEverybody = webSetting(cfg, err, "DENY_FROM", cfg.Nobody())
	f.AllowsEverybody = webSetting(cfg, err, "ALLOW_FROM", wholeFamily(cfg.Allow))
	listen, _ := cfg.Get("LISTEN_IP")
	f.ListenIP = webSetting(cfg, err, "LISTEN_IP", listen.Value)
	f.RefusedNodes = webRefusedNodes(c, cfg, err)

	header, _ := cfg.Get("PROXY_REAL_IP_HEADER")
	from := commaList(cfg, "PROXY_REAL_IP_ALLOW_FROM")
	anyone := header.Value != "" && len(from) == 0
	for _, e := range from {
		r, rangeErr := proxycfg.ParseRange(e)
		anyone = anyone || e == "all" || rangeErr == nil && wholeFamily([]proxycfg.Range{r})
	}
	f.RealIPHeader = webSetting(cfg, err, "PROXY_REAL_IP_HEADER", header.Value)
	f.RealIPAllowFrom = webSetting(cfg, err, "PROXY_REAL_IP_ALLOW_FROM", from)
	f.RealIPFromAnyone = webSetting(cfg, err, "PROXY_REAL_IP_HEADER", anyone)
}

func commaList(cfg *proxycfg.Config, key string) []string {
	s, ok := cfg.Get(key)
	if !ok {
		return []string{}
	}
	return strings.Split(s.Value, ",")
}

// wholeFamily reports whether the ranges hold every IPv4 or every IPv6 address in one piece.
func wholeFamily(ranges []proxycfg.Range) bool {
	for _, r := range ranges {
		if r.From.IsUnspecified() && !r.To.Next().IsValid() {
			return true
		}
	}
	return false
}

// webRefusedNodes asks for each address of the cluster whether pveproxy would talk to it.
func webRefusedNodes(c *Context, cfg *proxycfg.Config, err error) posture.Fact[[]string] {
	var os posture.OS
	osCluster(c, &os)
	f := webSetting(cfg, err, "ALLOW_FROM", []string{})
	if !f.IsKnown() {
		return f
	}
	if !os.NodeAddresses.IsKnown() {
		return posture.Unknown[[]string](os.NodeAddresses.Problem, os.NodeAddresses.Source)
	}
	for _, a := range os.NodeAddresses.Value {
		if p, parseErr := netip.ParseAddr(a); parseErr == nil && !cfg.Allowed(p) {
			f.Value = append(f.Value, a)
		}
	}
	return f
}

func webTLS(c *Context, f *posture.WebFacts, b []byte, err error) {
	cfg := proxycfg.Parse(b)
	f.Ciphers = webSetting(cfg, err, "CIPHERS", cfg.CipherString())
	suites13, _ := cfg.Get("CIPHERSUITES")
	f.CipherSuites = webSetting(cfg, err, "CIPHERSUITES", suites13.Value)
	f.HonorCipherOrder = webSetting(cfg, err, "HONOR_CIPHER_ORDER", cfg.HonorCipherOrder())
	f.Compression = webSetting(cfg, err, "COMPRESSION", cfg.Compression())
	webSuites(f, cfg, err)

	conf, confErr := c.Host.ReadFile(webOpenSSL)
	versions := []string{}
	if legacyTLS(conf) {
		versions = append(versions, "1.0", "1.1")
	}
	if cfg.TLS12() {
		versions = append(versions, "1.2")
	}
	if cfg.TLS13() {
		versions = append(versions, "1.3")
	}
	f.TLSVersions = webSetting(cfg, err, "DISABLE_TLS_1_2", versions)
	if confErr != nil && !host.NotExist(confErr) {
		f.TLSVersions = posture.Unknown[[]string](confErr, webOpenSSL)
	}

	dh, ok := cfg.Get("DHPARAMS")
	f.DHParams = webSetting(cfg, err, "DHPARAMS", dh.Value)
	f.DHBits = webSetting(cfg, err, "DHPARAMS", 2048) // "skip2048" of AnyEvent::TLS
	if ok && f.DHParams.IsKnown() {
		f.DHBits = webDHBits(c, dh.Value)
	}
}

func webDHBits(c *Context, file string) posture.Fact[int] {
	if !strings.HasPrefix(file, "/") {
		return posture.Unknown[int](posture.Problemf("malformed", "DHPARAMS is %q, which is no absolute path", file), proxycfg.Path)
	}
	b, err := c.Host.ReadFile(file)
	if err != nil {
		return posture.Unknown[int](err, file)
	}
	n, err := dhBits(b)
	if err != nil {
		return posture.Unknown[int](err, file)
	}
	return posture.Known(n, posture.Configured, file)
}

func webSuites(f *posture.WebFacts, cfg *proxycfg.Config, err error) {
	weak, cbc := []string{}, []string{}
	suites, cipherErr := proxycfg.Ciphers(cfg.CipherString())
	if !cfg.TLS12() {
		suites, cipherErr = nil, nil
	}
	if s, ok := cfg.Get("CIPHERSUITES"); ok && cipherErr == nil {
		_, cipherErr = proxycfg.CipherSuites(s.Value)
	}
	for _, s := range suites {
		switch w := s.Weakness(); w {
		case "":
		case "CBC mode":
			cbc = append(cbc, s.Name+": "+w)
		default:
			weak = append(weak, s.Name+": "+w)
		}
	}
	f.WeakSuites = webSetting(cfg, err, "CIPHERS", weak)
	f.CBCSuites = webSetting(cfg, err, "CIPHERS", cbc)
	if cipherErr != nil && f.WeakSuites.IsKnown() {
		p := posture.Problemf("malformed", "%v", cipherErr)
		f.WeakSuites, f.CBCSuites = posture.Unknown[[]string](p, proxycfg.Path), posture.Unknown[[]string](p, proxycfg.Path)
	}
}

// legacyTLS reports whether the system's OpenSSL configuration lowers the minimum to TLS 1.0 or 1.1 and the security
// level to 0, which these versions need (SSL_CTX_set_security_level(3)). Debian's defaults are TLS 1.2 and level 2.
func legacyTLS(conf []byte) bool {
	low, level0 := false, false
	for _, l := range host.Lines(conf) {
		k, v, ok := strings.Cut(l, "=")
		k, v = strings.TrimSpace(k), strings.TrimSpace(strings.Split(v, "#")[0])
		if !ok || strings.HasPrefix(k, "#") {
			continue
		}
		switch k {
		case "MinProtocol":
			low = v == "None" || v == "TLSv1" || v == "TLSv1.0" || v == "TLSv1.1" || v == "SSLv3"
		case "CipherString":
			level0 = strings.Contains(l, "SECLEVEL=0")
		}
	}
	return low && level0
}

// webFile finds a file of this node: below /etc/pve/local, or where that link is missing below the node's directory.
func webFile(c *Context, node posture.Fact[string], name string) string {
	local := "/etc/pve/local/" + name
	if _, err := c.Host.Stat(local); err == nil || !node.IsKnown() || node.Value == "" {
		return local
	}
	return "/etc/pve/nodes/" + node.Value + "/" + name
}

func webCertificate(c *Context, f *posture.WebFacts, node posture.Fact[string], hosts, config []byte) {
	key := webFile(c, node, webClusterKey)
	file := webFile(c, node, webClusterPEM)
	// Both files must be there for the custom certificate to count (pve-manager, PVE/Service/pveproxy.pm).
	custom, customKey := webFile(c, node, webCustomPEM), webFile(c, node, webCustomKey)
	_, pemErr := c.Host.Stat(custom)
	_, keyErr := c.Host.Stat(customKey)
	own := pemErr == nil && keyErr == nil
	if own {
		file, key = custom, customKey
	}
	cfg := proxycfg.Parse(config)
	if s, ok := cfg.Get("TLS_KEY_FILE"); ok && own {
		key = s.Value
	}
	f.KeyMode = webKeyMode(c, key)
	f.HostNames = webHostNames(node, hosts)

	var ca *x509.Certificate
	if b, err := c.Host.ReadFile(webRootCA); err == nil {
		if list, err := parseCertificates(b); err == nil {
			ca = list[0]
		}
	}
	chain, err := webChain(c, file)
	served, servedErr := webServed(c)
	f.ServedIsConfigured = posture.Unknown[bool](servedErr, "openssl s_client")
	if servedErr == nil && err == nil {
		f.ServedIsConfigured = posture.Known(fingerprint(served[0]) == fingerprint(chain[0]), posture.Effective, "openssl s_client")
	}
	switch {
	case servedErr == nil:
		f.Certificate = posture.Known(describeCertificate(file, served, ca, c.Now), posture.Effective, "openssl s_client localhost:8006")
	case err == nil:
		f.Certificate = posture.Known(describeCertificate(file, chain, ca, c.Now), posture.Configured, file)
	default:
		f.Certificate = posture.Unknown[posture.Certificate](err, file)
	}
	if (pemErr != nil && !host.NotExist(pemErr)) || (keyErr != nil && !host.NotExist(keyErr)) {
		if servedErr != nil {
			f.Certificate = posture.Unknown[posture.Certificate](firstHardError(pemErr, keyErr), custom)
		}
	}
	webNames(f)
	f.RenewedAutomatically = webRenewal(c, f.Certificate, node)
}

func webChain(c *Context, file string) ([]*x509.Certificate, error) {
	b, err := c.Host.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return parseCertificates(b)
}

func webServed(c *Context) ([]*x509.Certificate, error) {
	out, err := c.Host.Run(webHandshake())
	if err != nil {
		return nil, err
	}
	if !c.Live {
		return nil, host.ErrUnavailable
	}
	chain, err := parseCertificates(out.Stdout)
	if err != nil {
		return nil, posture.Problemf("unavailable", "openssl s_client could not get a certificate from localhost:8006")
	}
	return chain, nil
}

func webKeyMode(c *Context, key string) posture.Fact[int] {
	st, err := c.Host.Stat(key)
	switch {
	case err != nil:
		return posture.Unknown[int](err, key)
	case st.OwnerUnknown:
		return posture.Unknown[int](posture.Problemf("unavailable", "the copy did not keep modes"), key)
	}
	return posture.Known(int(st.Mode), posture.Effective, key)
}

// webHostNames are the node's name and the names with a domain that /etc/hosts gives it. It asks which names stand in one line,
// also a line of the loopback interface, as Debian writes it; debian/hosts answers which addresses a name has.
func webHostNames(node posture.Fact[string], hosts []byte) posture.Fact[[]string] {
	if !node.IsKnown() || node.Value == "" {
		return posture.Unknown[[]string](posture.ProblemOf(posture.Problemf("not-found", "the host's name is not known")), node.Source)
	}
	names := []string{}
	for _, l := range host.Lines(hosts) {
		l, _, _ = strings.Cut(l, "#")
		words := strings.Fields(l)
		if len(words) < 2 || !slices.Contains(words[1:], node.Value) {
			continue
		}
		for _, w := range words[1:] {
			if strings.HasPrefix(w, node.Value+".") {
				names = append(names, w)
			}
		}
	}
	if len(names) == 0 {
		names = append(names, node.Value)
	}
	return posture.Known(uniqStrings(names), posture.Configured, osFileHosts)
}

func webNames(f *posture.WebFacts) {
	if !f.Certificate.IsKnown() || !f.HostNames.IsKnown() {
		p := f.Certificate.Problem
		if p == nil {
			p = f.HostNames.Problem
		}
		f.UncoveredNames = posture.Unknown[[]string](p, f.Certificate.Source)
		return
	}
	out := []string{}
	for _, n := range f.HostNames.Value {
		if !slices.ContainsFunc(f.Certificate.Value.Names, func(pattern string) bool { return nameCovered(pattern, n) }) {
			out = append(out, n)
		}
	}
	f.UncoveredNames = posture.Known(out, f.Certificate.Origin, f.Certificate.Source)
}

// nameCovered matches a name with one of a certificate; a wildcard stands for the leftmost label (RFC 6125, 6.4.3).
func nameCovered(pattern, name string) bool {
	pattern, name = strings.ToLower(pattern), strings.ToLower(name)
	if rest, ok := strings.CutPrefix(pattern, "*."); ok {
		_, domain, found := strings.Cut(name, ".")
		return found && domain == rest
	}
	return pattern == name
}

// webRenewal finds out who renews the certificate. PVE's daily update renews those of its own CA and of its ACME
// client, whose domains stand in the node's configuration.
func webRenewal(c *Context, cert posture.Fact[posture.Certificate], node posture.Fact[string]) posture.Fact[bool] {
	config := "/etc/pve/nodes/" + node.Value + "/config"
	b, err := c.Host.ReadFile(config)
	_, timerErr := c.Host.Stat(webTimer)
	if !cert.IsKnown() {
		return posture.Unknown[bool](cert.Problem, cert.Source)
	}
	acme := slices.ContainsFunc(host.Lines(b), func(l string) bool { return strings.HasPrefix(l, "acme") })
	switch {
	case cert.Value.Kind == "cluster-ca" || acme && err == nil:
		if timerErr != nil && !host.NotExist(timerErr) {
			return posture.Unknown[bool](timerErr, webTimer)
		}
		return posture.Known(timerErr == nil, posture.Configured, webTimer)
	case err != nil && !host.NotExist(err):
		return posture.Unknown[bool](err, config)
	}
	return posture.Unknown[bool](posture.Problemf("unavailable", "the certificate was uploaded; who renews it cannot be seen on the host"), config)
}
