package posture

import "time"

// IdentityFacts holds the facts of the subject identity: users, tokens, groups, roles and permissions of the cluster. Permissions
// are computed as PVE computes them (internal/inventory/rbac): through groups, pools and propagation, tokens cut to their users.
// Who is disabled or expired keeps computed permissions; "usable" tells who can act now.
type IdentityFacts struct {
	// Users are those of user.cfg, root@pam always among them, by name.
	Users Fact[[]IdentityUser] `json:"users"`
	// SecondFactors says of each user who can log in what is asked for, as "alice@pve: webauthn, 8 recovery keys".
	SecondFactors Fact[[]string] `json:"second_factors"`
	// Tokens are the API tokens by name, in whatever state.
	Tokens Fact[[]IdentityToken] `json:"tokens"`
	Groups Fact[[]IdentityGroup] `json:"groups"`
	// Roles are the roles that do not come with PVE.
	Roles Fact[[]IdentityRole] `json:"roles"`
	// Entries is the access control list, one entry for each member and role at a path.
	Entries Fact[[]IdentityEntry] `json:"entries"`

	// Administrators are the usable identities other than root@pam that hold Permissions.Modify on /, and so can give themselves everything.
	Administrators Fact[[]IdentityHolder] `json:"administrators"`
	// Holders are the usable identities that hold a far-reaching privilege anywhere, one element for each identity and privilege.
	// root@pam and the administrators are left out, and tokens without privilege separation, which are their users.
	Holders Fact[[]IdentityHolder] `json:"holders"`
	// Escalations are usable identities that are no administrators and can become one, with how.
	Escalations Fact[[]IdentityHolder] `json:"escalations"`

	// ChangedRoles are built-in roles that a line of user.cfg changes, as "PVEAuditor +Sys.Modify (user.cfg:12)".
	ChangedRoles Fact[[]string] `json:"changed_roles"`
	// Dangling are entries and memberships of users and groups that do not exist, as "ghost@pve: PVEAdmin on / (user.cfg:7)".
	Dangling Fact[[]string] `json:"dangling"`
	// Repeated are users that user.cfg defines more than once.
	Repeated Fact[[]string] `json:"repeated"`
	// Rejected are lines of user.cfg that PVE warns about, other than the dangling ones, as "user.cfg:3: what".
	Rejected Fact[[]string] `json:"rejected"`

	Realms Fact[[]IdentityRealm] `json:"realms"`
	// Consent is true when datacenter.cfg sets a text that users have to accept before they log in.
	Consent Fact[bool] `json:"consent"`
	// Exposed are files below /etc/pve that more people can read than PVE intends, as "/etc/pve/priv/token.cfg 0644".
	Exposed Fact[[]string] `json:"exposed"`
	// Mounted is true when /etc/pve is the cluster file system, and not a plain directory; unknown on a copy.
	Mounted Fact[bool] `json:"mounted"`
	// PlainTokens are places of scripts and settings on this node that hold the secret of an API token, as "/root/x.sh:3".
	PlainTokens Fact[[]string] `json:"plain_tokens"`
	// TypedPasswords are lines of shell histories with a password on the command line, as "/root/.bash_history:7 (pveum)".
	TypedPasswords Fact[[]string] `json:"typed_passwords"`
}

// IdentityUser is a user of the cluster.
type IdentityUser struct {
	ID    string `json:"id"`
	Realm string `json:"realm"`
	// RealmType is pam, pve, ldap, ad, openid, or "" when there is no such realm, so that nobody can log in.
	RealmType Fact[string] `json:"realm_type"`
	Enabled   bool         `json:"enabled"`
	Expired   bool         `json:"expired"`
	// Expires is the end of the account; the zero time means never.
	Expires      time.Time `json:"expires"`
	NeverExpires bool      `json:"never_expires"`
	// Usable is true when the user is enabled and not expired.
	Usable bool `json:"usable"`
	// Interactive is true when the user can log in with a password or through a provider: realm pve needs a password in
	// shadow.cfg, other realms decide themselves.
	Interactive Fact[bool] `json:"interactive"`
	Groups      []string   `json:"groups"`
	// Administrator is true when the user holds Permissions.Modify on /.
	Administrator bool `json:"administrator"`
	// Permissions is true when the user holds any privilege anywhere, also by groups.
	Permissions bool `json:"permissions"`
	// Factors are the kinds of the second factors that are asked for: totp, webauthn, u2f, yubico; oath for keys of the old form in a
	// realm that demands them. Disabled factors are left out, recovery keys are no factor.
	Factors Fact[[]string] `json:"factors"`
	// DisabledFactors is how many factors are set up and switched off.
	DisabledFactors Fact[int] `json:"disabled_factors"`
	// RealmFactor is the kind of factor that the realm demands: oath, yubico or "". Who lacks it cannot log in.
	RealmFactor Fact[string] `json:"realm_factor"`
	// RecoveryKeys is how many recovery keys are left.
	RecoveryKeys Fact[int] `json:"recovery_keys"`
	// TOTPLocked is true after eight wrong codes, Locked while all factors are locked after a hundred.
	TOTPLocked Fact[bool] `json:"totp_locked"`
	Locked     Fact[bool] `json:"locked"`
	// Source is the line of user.cfg.
	Source string `json:"source"`
}

// IdentityToken is an API token.
type IdentityToken struct {
	ID   string `json:"id"`
	User string `json:"user"`
	// State is enabled, expired, or "owner unusable".
	State  string `json:"state"`
	Usable bool   `json:"usable"`
	// Separated is true when the token has permissions of its own.
	Separated    bool      `json:"separated"`
	Expires      time.Time `json:"expires"` // the zero time means never
	NeverExpires bool      `json:"never_expires"`
	// Abilities are the classes of what it can do, as `castellan pve access` names them.
	Abilities []string `json:"abilities"`
	// Escalates is true when one of them leads to permissions beyond those given.
	Escalates bool   `json:"escalates"`
	Source    string `json:"source"`
}

// IdentityGroup is a group of users.
type IdentityGroup struct {
	ID string `json:"id"`
	// Members are the users that exist.
	Members []string `json:"members"`
	// Duty is what the group's roles amount to: admin (Permissions.Modify or Sys.Modify), operation (starts, stops or changes guests), backup,
	// audit (sees and changes nothing), other, or "" without roles.
	Duty   string `json:"duty"`
	Source string `json:"source"`
}

// IdentityRole is a role that somebody made.
type IdentityRole struct {
	ID    string   `json:"id"`
	Privs []string `json:"privs"`
	// BeyondAdmin are privileges that even the built-in PVEAdmin lacks.
	BeyondAdmin []string `json:"beyond_admin"`
	// CoversAdmin is true when the role holds all of PVEAdmin.
	CoversAdmin bool `json:"covers_admin"`
	// Used is true when an entry gives the role to somebody.
	Used   bool   `json:"used"`
	Source string `json:"source"`
}

// IdentityEntry is one role of one member at one path.
type IdentityEntry struct {
	Path string `json:"path"`
	// Kind is user, group or token.
	Kind   string `json:"kind"`
	Member string `json:"member"`
	Role   string `json:"role"`
	// Propagate is true when the role counts for everything below as well.
	Propagate bool `json:"propagate"`
	// Exists is false when there is no such member.
	Exists bool `json:"exists"`
	// ReadOnly is true when the role changes nothing: its privileges are all named Audit, or it has none.
	ReadOnly bool   `json:"read_only"`
	Source   string `json:"source"`
}

// IdentityHolder is an identity that holds something, with what gives it.
type IdentityHolder struct {
	ID string `json:"id"`
	// Kind is user or token.
	Kind string `json:"kind"`
	// Privilege is what it holds, for escalations the privilege behind them.
	Privilege string `json:"privilege"`
	// Where is where, shortened.
	Where string `json:"where"`
	// Through says what gives it, in words.
	Through string `json:"through"`
	// Person is true for a user, false for a token.
	Person bool `json:"person"`
}

// IdentityRealm is an authentication realm.
type IdentityRealm struct {
	ID   string `json:"id"`
	Type string `json:"type"` // pam, pve, ldap, ad, openid
	// Factor is the kind of second factor that the realm demands: oath, yubico or "".
	Factor string `json:"factor"`
	// Mode is how an LDAP or AD server is reached: ldap (in the clear), ldap+starttls, ldaps; "" for other realms.
	Mode string `json:"mode"`
	// Verified is true when the server's certificate is checked.
	Verified bool `json:"verified"`
	// IssuerHTTPS is true when the address of an OpenID provider begins with https.
	IssuerHTTPS bool `json:"issuer_https"`
	// Autocreate is true when whoever the provider knows becomes a user.
	Autocreate bool `json:"autocreate"`
	// ClientKey is true when domains.cfg, which every user in group www-data may read, holds the client's secret.
	ClientKey bool   `json:"client_key"`
	Source    string `json:"source"`
}
