package passwd

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseUsers(t *testing.T) {
	got, err := ParseUsers([]byte("root:x:0:0:root:/root:/bin/bash\n\n+::::::\nbad::1000:1000::/home/bad:\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []User{
		{Name: "root", Shadowed: true, Home: "/root", Shell: "/bin/bash", Line: 1},
		{Name: "bad", NoField: true, UID: 1000, GID: 1000, Home: "/home/bad", Line: 4},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{"root:x:0:0:root:/root\n", "a:x:zero:0:::\n", ":x:0:0:::\n", "a:x:-1:0:::\n"} {
		if _, err := ParseUsers([]byte(bad)); err == nil || !strings.Contains(err.Error(), "passwd:1") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestParseShadow(t *testing.T) {
	day := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	line := func(field string) string { return fmt.Sprintf("u:%s:%d:1:365:7:45::\n", field, day.Unix()/86400) }
	for field, want := range map[string]struct {
		state  PasswordState
		scheme string
	}{
		"":                  {Empty, ""},
		"*":                 {None, ""},
		"!":                 {None, ""},
		"!*":                {None, ""},
		"!!":                {None, ""},
		"$y$j9T$ab$cd":      {Set, "yescrypt"},
		"!$y$j9T$ab$cd":     {Locked, "yescrypt"},
		"$6$salt$hash":      {Set, "sha512"},
		"$5$salt$hash":      {Set, "sha256"},
		"$1$salt$hash":      {Set, "md5"},
		"$2b$10$saltsalt":   {Set, "bcrypt"},
		"abJnggxhB/yWI":     {Set, "des"},
		"$argon2id$v=19$xx": {Set, "unknown"},
	} {
		got, err := ParseShadow([]byte(line(field)))
		if err != nil {
			t.Errorf("%q: %v", field, err)
			continue
		}
		w := Shadow{Name: "u", State: want.state, Scheme: want.scheme, LastChange: day, Min: 1, Max: 365, Warn: 7, Inactive: 45, Line: 1}
		if diff := cmp.Diff([]Shadow{w}, got); diff != "" {
			t.Errorf("%q: %s", field, diff)
		}
	}
	got, err := ParseShadow([]byte("u:*:0::::: 1:\n"))
	if err == nil {
		t.Errorf("a blank in a number was accepted: %+v", got)
	}
	if _, err := ParseShadow([]byte("u:$y$SECRETHASH:x::::::\n")); err == nil || strings.Contains(err.Error(), "SECRET") {
		t.Errorf("the error must exist and not repeat the hash: %v", err)
	}
	got, err = ParseShadow([]byte("u:*:16000000:0:99999:7::16000000:\n"))
	if err != nil || !got[0].LastChange.IsZero() || !got[0].Expire.IsZero() {
		t.Errorf("a day after the year 9999 is no day: %+v %v", got, err)
	}
	got, _ = ParseShadow([]byte("u:*:0::::::\n"))
	if len(got) != 1 || !got[0].MustChange || got[0].Max != -1 || !got[0].Expire.IsZero() {
		t.Errorf("%+v", got)
	}
}

func TestParseGroups(t *testing.T) {
	got, err := ParseGroups([]byte("sudo:x:27:ann,bob\nusers:x:100:\n"))
	want := []Group{{Name: "sudo", GID: 27, Members: []string{"ann", "bob"}, Line: 1}, {Name: "users", GID: 100, Line: 2}}
	if err != nil || !cmp.Equal(want, got) {
		t.Error(err, cmp.Diff(want, got))
	}
	open, err := ParseGroupPasswords([]byte("sudo:*::\nopen:$6$a$b:root:\nnone:!::\n"))
	if err != nil || !cmp.Equal(open, []string{"open"}) {
		t.Error(err, open)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("root:x:0:0:root:/root:/bin/bash\n"))
	f.Add([]byte("root:$y$CANARYHASH$:1:2:3:4:5:6:\n"))
	f.Add([]byte("sudo:x:27:ann\n\x00\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		us, _ := ParseUsers(b)
		for _, u := range us {
			if u.Name == "" || u.UID < 0 {
				t.Fatalf("%+v", u)
			}
		}
		ss, _ := ParseShadow(b)
		for _, s := range ss {
			if strings.Contains(s.Scheme, "$") {
				t.Fatalf("a hash leaked: %+v", s)
			}
		}
		_, _ = ParseGroups(b)
		_, _ = ParseGroupPasswords(b)
	})
}
