package posture

import "time"

// WebFacts holds the facts of the subject web: how pveproxy, the web interface and API of a node, is configured and
// which certificate it serves. On a host that is no node they describe what pveproxy would do.
type WebFacts struct {
	// ConfigProblems are lines of /etc/default/pveproxy that do not do what they seem to, as "file:line: what; how it
	// is right".
	ConfigProblems Fact[[]string] `json:"config_problems"`
	// FatalProblems are those of them with which pveproxy does not start.
	FatalProblems Fact[[]string] `json:"fatal_problems"`
	// Shell is true when /etc/default/pveproxy holds shell code, which root's bash runs; all values that depend on the
	// file are unknown then.
	Shell Fact[bool] `json:"shell"`

	// AllowFrom and DenyFrom are the address lists as written, entry by entry.
	AllowFrom Fact[[]string] `json:"allow_from"`
	DenyFrom  Fact[[]string] `json:"deny_from"`
	// Policy is allow or deny, for addresses in both lists or in none.
	Policy Fact[string] `json:"policy"`
	// Restricted is true when every address outside of ALLOW_FROM is refused, in IPv4 and IPv6.
	Restricted Fact[bool] `json:"restricted"`
	// RefusesEverybody is true when no address at all may connect.
	RefusesEverybody Fact[bool] `json:"refuses_everybody"`
	// AllowsEverybody is true when ALLOW_FROM holds all addresses of a family.
	AllowsEverybody Fact[bool] `json:"allows_everybody"`
	// RefusedNodes are addresses of cluster members that pveproxy on this node would refuse. Nodes forward requests to
	// each other on port 8006.
	RefusedNodes Fact[[]string] `json:"refused_nodes"`
	// ListenIP is the address that pveproxy binds to, empty when it is all of them.
	ListenIP Fact[string] `json:"listen_ip"`
	// PacketFilter is false when no packet filter is configured on this host, so that each open port is reachable from
	// where its addresses are. It is unknown, never true, when there is one: what its rules let through is for the
	// firewall model to say.
	PacketFilter Fact[bool] `json:"packet_filter"`
	// PlainHTTP are the addresses on which something listens on port 80, loopback left out.
	PlainHTTP Fact[[]string] `json:"plain_http"`

	// Ciphers is the OpenSSL cipher string for TLS 1.2 and CipherSuites the list for TLS 1.3 ("" means OpenSSL's own).
	Ciphers      Fact[string] `json:"ciphers"`
	CipherSuites Fact[string] `json:"ciphersuites"`
	// WeakSuites are the suites that the cipher string admits and that lack forward secrecy by elliptic curves or
	// authenticated encryption, as "NAME: why", CBC with ECDHE left out: those are in CBCSuites.
	WeakSuites Fact[[]string] `json:"weak_suites"`
	CBCSuites  Fact[[]string] `json:"cbc_suites"`
	// TLSVersions are the versions offered, oldest first: "1.2", "1.3".
	TLSVersions Fact[[]string] `json:"tls_versions"`
	// HonorCipherOrder is true when the server chooses the suite, Compression when answers are compressed.
	HonorCipherOrder Fact[bool] `json:"honor_cipher_order"`
	Compression      Fact[bool] `json:"compression"`
	// DHParams is the file of Diffie-Hellman parameters, empty when pveproxy's built-in ones are used; DHBits is the
	// size of its prime (2048 for the built-in ones).
	DHParams Fact[string] `json:"dhparams"`
	DHBits   Fact[int]    `json:"dh_bits"`

	// RealIPHeader is the header from which access.log takes the client's address, RealIPAllowFrom who may set it.
	RealIPHeader    Fact[string]   `json:"real_ip_header"`
	RealIPAllowFrom Fact[[]string] `json:"real_ip_allow_from"`
	// RealIPFromAnyone is true when the header is believed whoever sends it.
	RealIPFromAnyone Fact[bool] `json:"real_ip_from_anyone"`

	// Certificate is the certificate that pveproxy serves: what a handshake gave on a live host, else the file that it
	// would load.
	Certificate Fact[Certificate] `json:"certificate"`
	// ServedIsConfigured is true when the handshake gave the certificate of the file; unknown without a handshake.
	ServedIsConfigured Fact[bool] `json:"served_is_configured"`
	// HostNames are the names by which this host is called: its name, with domain where /etc/hosts has one.
	HostNames Fact[[]string] `json:"host_names"`
	// UncoveredNames are those of HostNames for which the certificate is not valid.
	UncoveredNames Fact[[]string] `json:"uncovered_names"`
	// RenewedAutomatically is true for certificates of PVE's ACME client and of the cluster's own CA, while the daily
	// update timer is on. For any other certificate it is unknown who renews it.
	RenewedAutomatically Fact[bool] `json:"renewed_automatically"`
	// KeyMode is the mode of the private key's file; the key itself is never read.
	KeyMode Fact[int] `json:"key_mode"`
}

// Certificate is what a certificate says.
type Certificate struct {
	File    string   `json:"file"`
	Subject string   `json:"subject"`
	Issuer  string   `json:"issuer"`
	Names   []string `json:"names"` // DNS names and addresses
	// Kind is cluster-ca (issued by PVE's own CA), self-signed or issued.
	Kind      string    `json:"kind"`
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	// DaysLeft are whole days until NotAfter, negative after it.
	DaysLeft int `json:"days_left"`
	// KeyType is RSA, ECDSA, Ed25519 or other; KeyBits the size of the modulus or of the curve.
	KeyType string `json:"key_type"`
	KeyBits int    `json:"key_bits"`
	// Signature is the algorithm as crypto/x509 calls it: SHA256-RSA, ECDSA-SHA384.
	Signature string `json:"signature"`
	// WeakSignature is true for MD5 and SHA-1.
	WeakSignature bool `json:"weak_signature"`
	// Fingerprint is the SHA-256 digest of the certificate, in upper-case hex with colons, as PVE shows it.
	Fingerprint string `json:"fingerprint"`
	// ChainLength counts the certificates in the file.
	ChainLength int `json:"chain_length"`
}
