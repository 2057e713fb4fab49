package collect

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/castellan-project/castellan/internal/host/hosttest"
	"github.com/castellan-project/castellan/internal/posture"
)

// identityOf collects the subject identity of a copy with the files given.
func identityOf(t *testing.T, files map[string]string) posture.IdentityFacts {
	t.Helper()
	if files["etc/pve/user.cfg"] == "" {
		files["etc/pve/user.cfg"] = "user:root@pam:1:0::::::\n"
	}
	d := hosttest.Open(t, hosttest.Write(t, files))
	desc := d.Describe()
	desc.Now = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	f, err := Run(d, desc, []Collector{Estate()})
	if err != nil {
		t.Fatal(err)
	}
	return f.Identity
}

func user(t *testing.T, f posture.IdentityFacts, id string) posture.IdentityUser {
	t.Helper()
	i := slices.IndexFunc(f.Users.Value, func(u posture.IdentityUser) bool { return u.ID == id })
	if i < 0 {
		t.Fatalf("no user %s in %+v", id, f.Users)
	}
	return f.Users.Value[i]
}

func TestIdentityWithoutPrivIsUnknown(t *testing.T) {
	f := identityOf(t, map[string]string{"etc/pve/user.cfg": "user:a@pve:1:0::::::\nuser:b@gone:1:0::::::\n"})
	a := user(t, f, "a@pve")
	if a.Factors.IsKnown() || a.RecoveryKeys.IsKnown() || a.TOTPLocked.IsKnown() || a.Interactive.IsKnown() || f.SecondFactors.IsKnown() {
		t.Errorf("without priv/: %+v", a)
	}
	if root := user(t, f, "root@pam"); !root.Interactive.Value || !root.Administrator || root.Source != "default of Proxmox VE" {
		t.Errorf("root@pam: %+v", root)
	}
	if b := user(t, f, "b@gone"); b.RealmType.Value != "" || b.Interactive.Value || !b.Interactive.IsKnown() {
		t.Errorf("a user of a realm that does not exist: %+v", b)
	}
	if f.Exposed.IsKnown() || f.PlainTokens.IsKnown() || f.TypedPasswords.IsKnown() || f.Mounted.IsKnown() {
		t.Error("a copy of one file knows what it cannot know")
	}
	if !f.Consent.IsKnown() || f.Consent.Value || f.Consent.Origin != posture.Default {
		t.Errorf("consent: %+v", f.Consent)
	}
}

func TestIdentityFactors(t *testing.T) {
	f := identityOf(t, map[string]string{
		"etc/pve/user.cfg":    "user:a@pve:1:0:::::x:\nuser:b@pve:1:0::::::\nuser:old@ldap1:1:0:::::JBSWY3DPEHPK3PXP:\nuser:svc@pve:1:0::::::\n",
		"etc/pve/domains.cfg": "ldap: ldap1\n\tmode ldaps\n\tverify 1\n\ttfa type=oath\n",
		"etc/pve/priv/tfa.cfg": `{"users":{"a@pve":{"totp":[{"enable":true,"entry":"otpauth://totp/x?secret=SECRETSECRET"},{"enable":false}],
 "recovery":{"entries":["h",null]},"totp-locked":true,"tfa-locked-until":1795176060},"b@pve":{"totp":7}}}`,
		"etc/pve/priv/shadow.cfg": "a:$5$secretsalt$secrethash:\nb:$5$x$y:\nbroken\n",
	})
	a := user(t, f, "a@pve")
	if !slices.Equal(a.Factors.Value, []string{"totp"}) || a.DisabledFactors.Value != 1 || a.RecoveryKeys.Value != 1 || !a.TOTPLocked.Value || !a.Locked.Value || !a.Interactive.Value {
		t.Errorf("a: %+v", a)
	}
	if b := user(t, f, "b@pve"); b.Factors.IsKnown() || b.Factors.Problem.Code != "malformed" {
		t.Errorf("b: %+v", b)
	}
	if old := user(t, f, "old@ldap1"); !slices.Equal(old.Factors.Value, []string{"oath"}) || old.RealmFactor.Value != "oath" {
		t.Errorf("old: %+v", old)
	}
	if svc := user(t, f, "svc@pve"); svc.Interactive.Value || !svc.Interactive.IsKnown() {
		t.Errorf("svc: %+v", svc)
	}
	b, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"SECRETSECRET", "JBSWY", "secrethash", "secretsalt"} {
		if strings.Contains(string(b), secret) {
			t.Errorf("the facts hold %s", secret)
		}
	}
}

// TestIdentityAsksTheAPI: without the file, a recorded answer of the API tells the factors, and leaves the number of recovery keys open.
func TestIdentityAsksTheAPI(t *testing.T) {
	f := identityOf(t, map[string]string{
		"etc/pve/user.cfg":                   "user:a@pam:1:0::::::\n",
		".castellan/run/pvesh-access-tfa":    `[{"userid":"a@pam","entries":[{"type":"totp","enable":1},{"type":"recovery"}]}]`,
		".castellan/run/pvesh-access-tfa.rc": "0\n",
	})
	a := user(t, f, "a@pam")
	if !slices.Equal(a.Factors.Value, []string{"totp"}) || a.RecoveryKeys.IsKnown() {
		t.Errorf("a: %+v", a)
	}
}

func TestIdentitySecretsOnTheNode(t *testing.T) {
	const secret = "0f0f0f0f-1111-2222-3333-444444444444"
	f := identityOf(t, map[string]string{
		"root/a.sh":                 "x\ncurl -H 'Authorization: PVEAPIToken=job@pve!ci=" + secret + "' https://x\n",
		"root/b.env":                "PM_API_TOKEN_SECRET=" + secret + "\n",
		"opt/app/c.yml":             "  user: job@pve!ci\n  id: \"job@pve!ci\": \"" + secret + "\"\n",
		"root/fine.sh":              "mount UUID=" + secret + " /mnt\ncurl -H \"Authorization: PVEAPIToken=$T\"\n",
		"root/big.bin":              strings.Repeat("x", maxScript+1) + "PVEAPIToken=job@pve!ci=" + secret,
		"etc/cron.d/job":            "* * * * * root PROXMOX_TOKEN='" + secret + "' /opt/x\n",
		"root/.bash_history":        "pveum user add a@pve --password hunter2\npveum user add b@pve -password=hunter2\npveum passwd c@pve\nqm set 1 --cipassword x\npveum user add d@pve --password $P\n",
		"home/ann/.zsh_history":     ": 1:0;sshpass -p hunter2 ssh root@pve1\n",
		"usr/local/bin/nothing.txt": "\x00\xff",
	})
	want := []string{"/etc/cron.d/job:1", "/opt/app/c.yml:2", "/root/a.sh:2", "/root/b.env:1"}
	if !slices.Equal(f.PlainTokens.Value, want) {
		t.Errorf("tokens: %v, want %v (%v)", f.PlainTokens.Value, want, f.PlainTokens.Problem)
	}
	want = []string{"/home/ann/.zsh_history:1 (sshpass)", "/root/.bash_history:1 (pveum)", "/root/.bash_history:2 (pveum)"}
	if !slices.Equal(f.TypedPasswords.Value, want) {
		t.Errorf("passwords: %v, want %v", f.TypedPasswords.Value, want)
	}
	if b, _ := json.Marshal(f); strings.Contains(string(b), secret) || strings.Contains(string(b), "hunter2") {
		t.Error("a secret became a fact")
	}
}

func TestIdentityHolders(t *testing.T) {
	f := identityOf(t, map[string]string{"etc/pve/user.cfg": `user:a@pve:1:0::::::
token:a@pve!all:0:0::
user:b@pve:1:0::::::
user:off@pve:0:0::::::
user:adm@pve:1:0::::::
group:ops:b@pve,off@pve::
acl:1:/:adm@pve:Administrator:
acl:1:/:@ops:PVEAdmin:
acl:1:/vms/100:a@pve:PVEVMAdmin:
`})
	if len(f.Administrators.Value) != 1 || f.Administrators.Value[0].ID != "adm@pve" {
		t.Errorf("administrators: %+v", f.Administrators.Value)
	}
	var got []string
	for _, h := range f.Holders.Value {
		got = append(got, h.ID+" "+h.Privilege+" "+h.Where)
	}
	for _, want := range []string{"a@pve VM.GuestAgent.Unrestricted /vms/100", "b@pve User.Modify /", "b@pve Sys.Console /"} {
		if !slices.Contains(got, want) {
			t.Errorf("%s is missing in %v", want, got)
		}
	}
	if slices.ContainsFunc(got, func(s string) bool {
		return strings.HasPrefix(s, "off@pve") || strings.HasPrefix(s, "a@pve!all") || strings.HasPrefix(s, "root@pam")
	}) {
		t.Errorf("holders: %v", got)
	}
	if len(f.Escalations.Value) != 1 || f.Escalations.Value[0].ID != "b@pve" || f.Escalations.Value[0].Privilege != "User.Modify" {
		t.Errorf("escalations: %+v", f.Escalations.Value)
	}
}

// TestIdentityOfTooMuch: a file whose lists multiply makes everything unknown, and nothing pass.
func TestIdentityOfTooMuch(t *testing.T) {
	var members, roles, b strings.Builder
	for i := range 3000 {
		s := string(rune('a'+i%26)) + strings.Repeat("x", 1+i/1000) + string(rune('0'+i/26%10)) + string(rune('0'+i/260%10))
		b.WriteString("role:" + s + "::\n")
		roles.WriteString(s + ",")
		members.WriteString(s + "@pve,")
	}
	b.WriteString("acl:1:/:" + members.String() + ":" + roles.String() + ":\n")
	f := identityOf(t, map[string]string{"etc/pve/user.cfg": b.String()})
	if f.Users.IsKnown() || f.Administrators.IsKnown() || f.Dangling.IsKnown() || f.Tokens.IsKnown() {
		t.Error("known, although the file was not read to its end")
	}
}

// TestBundlesHoldNoLegacyKeys: user.cfg goes into bundles, the keys of second factors in it do not.
func TestBundlesHoldNoLegacyKeys(t *testing.T) {
	const text = "user:a@pve:1:0:::::JBSWY3DPEHPK3PXP:\nuser:b@pve:1:0:::m@x:c:x:\nuser:c@pve:1:0:::::x!yubico:\nuser:d@pve:1:0:::::xJBSWY3DP:\n user : e@pve:1:0:::::v2-0xabc\ntoken:a@pve!tt:0:1:token=1:\n"
	got := withoutSecrets("/etc/pve/user.cfg", text)
	if strings.Contains(got, "JBSWY") || strings.Contains(got, "0xabc") || !strings.Contains(got, "m@x:c:x:\n") || !strings.Contains(got, "x!yubico") || !strings.Contains(got, "token:a@pve!tt:0:1:") {
		t.Error(got)
	}
	if strings.Count(got, "\n") != strings.Count(text, "\n") {
		t.Error("lines are lost")
	}
}
