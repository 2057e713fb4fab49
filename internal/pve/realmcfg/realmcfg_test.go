package realmcfg

import (
	"fmt"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	const file = `pam: pam
	comment Linux%3A PAM
	tfa type=oath,digits=8,step=60

ldap: corp
	server1 192.0.2.10
	server2 192.0.2.11
	bind_dn cn=x
	default 1

LDAP: sec
	mode ldap+starttls
	verify 1
	secure 1
	mode ldap
	default 1

ad: old
	secure 1
	verify maybe
	mode smb

openid: sso
	issuer-url http://idp.example.org
	client-key VerySecret
	autocreate 1

openid: 1x
	autocreate 1

kerberos: krb
	x y
`
	c, problems := Parse([]byte(file))
	for what, ok := range map[string]bool{
		"six realms":                       len(c.Realms) == 6 && len(c.Sorted()) == 6,
		"pve exists":                       c.Realms["pve"] != nil && c.Realms["pve"].Line == 0,
		"pam demands oath":                 c.Realms["pam"].TFA == "oath" && c.Realms["pam"].TFADigits == 8 && c.Realms["pam"].TFAStep == 60,
		"comments are decoded":             c.Realms["pam"].Comment == "Linux: PAM",
		"LDAP is in the clear by default":  c.Realms["corp"].Mode == "ldap" && !c.Realms["corp"].Verify && len(c.Realms["corp"].Servers) == 2 && c.Realms["corp"].BindDN,
		"only one default":                 c.Realms["corp"].Default && !c.Realms["sec"].Default,
		"mode goes before secure":          c.Realms["sec"].Mode == "ldap+starttls" && c.Realms["sec"].Verify && c.Realms["sec"].Type == "ldap",
		"a bad mode is as none":            c.Realms["old"].Mode == "ldaps" && !c.Realms["old"].Verify,
		"lines":                            c.Realms["sec"].LineOf("verify") == 13 && c.Realms["sec"].LineOf("nothing") == 11,
		"openid":                           c.Realms["sso"].Autocreate && c.Realms["sso"].ClientKey && c.Realms["sso"].IssuerURL == "http://idp.example.org",
		"case matters unless said":         c.Realms["corp"].CaseSensitive,
		"the key of the client stays away": !strings.Contains(fmt.Sprintf("%+v %v", *c.Realms["sso"], problems), "VerySecret"),
		// second default, repeated mode, verify maybe, mode smb, 1x, kerberos
		"six problems": len(problems) == 6,
	} {
		if !ok {
			t.Errorf("not so: %s", what)
		}
	}
	if len(problems) != 6 {
		t.Errorf("problems: %v", problems)
	}
	if c, problems := Parse(nil); len(c.Realms) != 2 || len(problems) > 0 {
		t.Errorf("without a file: %v, %v", c.Realms, problems)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "pam: pam\n\ttfa type=oath\n", "ldap: a\n mode x\n", "openid: xx\n\tclient-key\n", "\x00\xff: \n\t\x00", strings.Repeat("ldap: ab\n\tmode ldaps\n", 200)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, _ := Parse(b)
		if c.Realms["pam"].Type != "pam" || c.Realms["pve"].Type != "pve" {
			t.Error("pam and pve are forced")
		}
		for id, r := range c.Realms {
			if r.ID != id || (r.Mode == "") != (r.Type != "ldap" && r.Type != "ad") && id != "pam" && id != "pve" {
				t.Errorf("%q: %+v", id, r)
			}
		}
	})
}
