package posture

import "time"

// SSHKeys holds the facts of the subject sshkeys: who may log in with which key, and which private keys lie on this
// host. Neither public nor private keys enter it, only what describes them.
type SSHKeys struct {
	// Authorized are the keys of all accounts. When the file of one account cannot be read, the list is unknown.
	Authorized Fact[[]AuthorizedKey] `json:"authorized"`
	// BadLines are lines of authorized_keys files that sshd skips, as "file:line: why".
	BadLines Fact[[]string] `json:"bad_lines"`
	// Private are the private keys in the .ssh directories of root and of people.
	Private Fact[[]PrivateKey] `json:"private"`
	// RootLink is where /root/.ssh/authorized_keys points; empty when it is a file of its own or missing. On a PVE
	// node it leads to /etc/pve/priv/authorized_keys, which all nodes share.
	RootLink Fact[string] `json:"root_link"`
	// AdminPaths are the accounts besides root by which an administrator can become root.
	AdminPaths Fact[[]AdminPath] `json:"admin_paths"`
}

// AuthorizedKey is a key that lets somebody in.
type AuthorizedKey struct {
	Account     string `json:"account"`
	UID         int    `json:"uid"`
	File        string `json:"file"`
	Line        int    `json:"line"`
	Type        string `json:"type"`
	Bits        int    `json:"bits"`
	Comment     string `json:"comment"`
	Fingerprint string `json:"fingerprint"`
	// Options are the names of the options in front of the key; From are the patterns of from=, where it may be used.
	Options []string `json:"options"`
	From    []string `json:"from"`
	// Modified is when the file last changed, AgeDays how many days ago: no key in it is newer.
	Modified time.Time `json:"modified"`
	AgeDays  int       `json:"age_days"`
	// Authority is true for a certificate authority (cert-authority).
	Authority bool `json:"authority"`
	// Node is the name in a comment root@NAME in a file of root: the key of a node of the cluster, or outside of a cluster
	// this host's own; empty for other keys. Member is true when that node is a member today.
	Node   string `json:"node"`
	Member bool   `json:"member"`
	// Weak is true for DSA and for RSA below 3072 bits (BSI TR-02102-4 and NIST SP 800-57 ask for that strength).
	Weak bool `json:"weak"`
}

// PrivateKey is a private key on this host.
type PrivateKey struct {
	Account   string    `json:"account"`
	Path      string    `json:"path"`
	Format    string    `json:"format"` // openssh or pem
	Type      string    `json:"type"`   // empty when the format does not tell
	Encrypted bool      `json:"encrypted"`
	Mode      string    `json:"mode"`
	OnlyOwner bool      `json:"only_owner"` // nobody but the owner may read or write it
	Modified  time.Time `json:"modified"`
	// Cluster is true for root's own key on a PVE node, which the cluster uses without a passphrase.
	Cluster bool `json:"cluster"`
}

// AdminPath is an account besides root that can become root.
type AdminPath struct {
	Account string `json:"account"`
	UID     int    `json:"uid"`
	// Via is sudo, when sudo lets the account run anything as root, or su, when root has a password and su is open to it.
	Via string `json:"via"`
	// Key is true when an authorized_keys file of the account holds a key that sshd accepts.
	Key Fact[bool] `json:"key"`
	// Admitted is true when sshd's lists of users and groups let the account in from outside.
	Admitted Fact[bool] `json:"admitted"`
	// LastLogin is the last login that lastlog, wtmp or the journal of the last 25 hours records, the zero time when they
	// record none; HoursAgo is how long ago that is, very large for never.
	LastLogin Fact[time.Time] `json:"last_login"`
	HoursAgo  Fact[int]       `json:"hours_ago"`
}
