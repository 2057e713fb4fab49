package tfacfg

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	const file = `{"webauthn":{"rp":"pve.example.org","id":"x","origin":"y"},"users":{
 "a@pve":{"totp":[{"id":"1","description":"phone","created":1700000000,"entry":"otpauth://totp/x?secret=JBSWY3DP"},
   {"id":"2","description":"old","created":1600000000,"enable":false,"entry":"otpauth://totp/x?secret=JBSWY3DP"}],
  "recovery":{"secret":"s3cr3t","entries":["hash1",null,"hash2"],"created":1700000000},"totp-locked":true,"tfa-locked-until":1800000000},
 "b@pve":{"webauthn":[{"info":{"id":"1","description":"key","created":1,"enable":true},"entry":{"credID":"c"}}],"yubico":[{"id":"1","enable":true,"entry":"cccc"}]},
 "c@pve":{"totp":[{"id":"1","enable":false,"entry":"otpauth://"}]},
 "d@pve":{"totp":"nonsense"}}}`
	c, problems := Parse([]byte(file))
	want := map[string]*User{
		"a@pve": {ID: "a@pve", Factors: []Factor{{TOTP, true, 1700000000}, {TOTP, false, 1600000000}}, RecoveryKeys: 2, TOTPLocked: true, LockedUntil: 1800000000},
		"b@pve": {ID: "b@pve", Factors: []Factor{{WebAuthn, true, 1}, {Yubico, true, 0}}},
		"c@pve": {ID: "c@pve", Factors: []Factor{{TOTP, false, 0}}},
		"d@pve": {ID: "d@pve", Broken: true},
	}
	if diff := cmp.Diff(want, c.Users); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if len(problems) != 1 {
		t.Errorf("problems: %v", problems)
	}
	if text := fmt.Sprintf("%+v %v", c.Users["a@pve"], problems); strings.Contains(text, "JBSWY") || strings.Contains(text, "s3cr3t") || strings.Contains(text, "hash1") {
		t.Errorf("a secret got through: %s", text)
	}
	if diff := cmp.Diff([]Kind{TOTP}, c.Users["a@pve"].Active()); diff != "" {
		t.Error(diff)
	}
	if got := c.Users["c@pve"].Active(); len(got) != 0 {
		t.Errorf("a user whose factors are all disabled has %v", got)
	}
	if got := (*User)(nil).Active(); len(got) != 0 {
		t.Error("nobody has a factor")
	}
}

func TestOldAndBroken(t *testing.T) {
	c, problems := Parse([]byte("a@pve:oath:eyJrZXlzIjoi\nnonsense\nb@pam:u2f:e30=\n"))
	if got := c.Users["a@pve"].Active(); len(got) != 1 || got[0] != TOTP || len(c.Users) != 2 || len(problems) != 1 || c.Unreadable != "" {
		t.Errorf("%+v, %v", c, problems)
	}
	for _, text := range []string{`{"users":`, "garbage", `{"users":[1]}`} {
		if c, problems := Parse([]byte(text)); c.Unreadable == "" || len(problems) == 0 {
			t.Errorf("%q: %+v, %v", text, c, problems)
		}
	}
	for _, text := range []string{"", "\n", "{}"} {
		if c, problems := Parse([]byte(text)); c.Unreadable != "" || len(problems) > 0 || len(c.Users) > 0 {
			t.Errorf("%q: %+v, %v", text, c, problems)
		}
	}
}

func TestParseAPI(t *testing.T) {
	c, problems := ParseAPI([]byte(`[{"userid":"a@pve","entries":[{"id":"1","type":"totp","enable":0,"created":5,"description":"x"},{"type":"webauthn","enable":true},{"type":"recovery"}],
 "totp-locked":1,"tfa-locked-until":7},{"userid":"b@pve","entries":[{"type":"yubico"}]}]`))
	want := map[string]*User{
		"a@pve": {ID: "a@pve", Factors: []Factor{{TOTP, false, 5}, {WebAuthn, true, 0}}, RecoveryKeys: -1, TOTPLocked: true, LockedUntil: 7},
		"b@pve": {ID: "b@pve", Factors: []Factor{{Yubico, true, 0}}},
	}
	if diff := cmp.Diff(want, c.Users); diff != "" || len(problems) > 0 {
		t.Errorf("%v -want +got:\n%s", problems, diff)
	}
	if c, problems := ParseAPI([]byte("{}")); c.Unreadable == "" || len(problems) != 1 {
		t.Errorf("%+v %v", c, problems)
	}
}

func FuzzParseAPI(f *testing.F) {
	f.Add([]byte(`[{"userid":"a","entries":[{"type":"totp","enable":"0"}]}]`))
	f.Add([]byte(`[null,{"tfa-locked-until":1e99}]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, _ := ParseAPI(b)
		for _, u := range c.Users {
			u.Active()
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "{}", `{"users":{"a@pve":{"totp":[{"enable":true}]}}}`, `{"users":{"a":null}}`, "a@pve:oath:x", "\x00", strings.Repeat("[", 20000),
		`{"users":` + strings.Repeat(`{"a":`, 5000), `{"users":{"a":{"recovery":{"entries":[null,1,{}]}}}}`, `{"users":{"a":{"tfa-locked-until":1e300}}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, _ := Parse(b)
		for id, u := range c.Users {
			if u == nil || u.ID != id {
				t.Errorf("user %q is %+v", id, u)
			}
			u.Active()
		}
	})
}
