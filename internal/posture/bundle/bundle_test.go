package bundle_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/castellan-project/castellan/internal/posture"
	"github.com/castellan-project/castellan/internal/posture/bundle"
)

func facts() *posture.Facts {
	f := &posture.Facts{Version: posture.FactsVersion, Target: posture.Target{Name: "ssh://ann@pve1.corp.example.com", Kind: "ssh", Hostname: "pve1",
		CollectedAt: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)}}
	f.OS.Hostname = posture.Known("pve1", posture.Configured, "/etc/hostname")
	f.OS.Nodes = posture.Known([]posture.ClusterNode{{Name: "pve1", ID: 1, Addresses: []string{"10.20.30.41"}}, {Name: "pve2", ID: 2, Addresses: []string{"10.20.30.42"}}},
		posture.Configured, "/etc/pve/corosync.conf")
	f.OS.NodeAddresses = posture.Known([]string{"10.20.30.41", "10.20.30.42", "203.0.113.9", "2a01:db8:1::5", "127.0.0.1", "::1"}, posture.Configured, "x")
	f.OS.Version = posture.Unknown[string](posture.Problemf("malformed", "pve1: ann.smith@corp.example.com wrote 10.20.30.41 into /etc/os-release"), "/etc/os-release")
	f.Accounts.Users = posture.Known([]posture.Account{{Name: "ann", UID: 1000, Home: "/home/ann", Person: true}, {Name: "sshd", UID: 100}}, posture.Configured, "/etc/passwd")
	return f
}

func encode(t *testing.T, f *posture.Facts) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := bundle.Write(&b, f); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestRoundTrip(t *testing.T) {
	want := facts()
	b := encode(t, want)
	if !bytes.Equal(b, encode(t, want)) {
		t.Error("the same facts gave other bytes")
	}
	got, err := bundle.Read(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func packed(t testing.TB, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z, err := zstd.NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestBadBundles(t *testing.T) {
	good := encode(t, facts())
	cases := []struct {
		name string
		b    []byte
		want string
	}{
		{"nothing", nil, "empty"},
		{"text", []byte("id: SSH-06\n"), "not a bundle"},
		{"cut short", good[:len(good)/2], "cut short"},
		{"flipped bit", append(append([]byte{}, good[:20]...), append([]byte{good[20] ^ 0x40}, good[21:]...)...), ""},
		{"other JSON", packed(t, `{"facts":{}}`), "not a bundle of castellan"},
		{"newer", packed(t, `{"format":"castellan-facts","version":99,"facts":{}}`), "use a newer castellan"},
		{"newer with other types", packed(t, `{"format":"castellan-facts","version":99,"facts":[1]}`), "use a newer castellan"},
		{"no facts", packed(t, `{"format":"castellan-facts","version":1}`), "holds no facts"},
		{"bomb", packed(t, strings.Repeat(" ", bundle.MaxSize+100)), ""},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			f, err := bundle.Read(bytes.NewReader(tc.b))
			if err == nil || f != nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func TestRedaction(t *testing.T) {
	r := bundle.Redact(facts())
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"pve1", "pve2", "\"ann\"", "ann.smith", "corp", "10.20.30", "203.0.113.9", "2a01"} {
		if strings.Contains(string(b), name) {
			t.Errorf("%q is still there: %s", name, b)
		}
	}
	addrs := r.OS.NodeAddresses.Value
	if addrs[0] != r.OS.Nodes.Value[0].Addresses[0] || addrs[0] == addrs[1] {
		t.Errorf("replacements are not consistent: %v %v", addrs, r.OS.Nodes.Value)
	}
	if !strings.HasPrefix(addrs[0], "10.") || !strings.HasPrefix(addrs[2], "198.1") || addrs[4] != "127.0.0.1" || addrs[5] != "::1" {
		t.Errorf("replacements are of another kind: %v", addrs)
	}
	if r.Accounts.Users.Value[1].Name != "sshd" || r.OS.Hostname.Source != "/etc/hostname" {
		t.Error("names of programs and files were replaced")
	}
	if !bytes.Equal(encode(t, r), encode(t, bundle.Redact(facts()))) {
		t.Error("redacting twice gives different bundles")
	}
}

// A node called pve, as most are, keeps the paths that every node has.
func TestRedactionKeepsPaths(t *testing.T) {
	f := facts()
	f.Target.Hostname = "pve"
	f.OS.Hostname.Value = "pve"
	r := bundle.Redact(f)
	if r.OS.Nodes.Source != "/etc/pve/corosync.conf" {
		t.Errorf("the source became %s", r.OS.Nodes.Source)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("x"))
	f.Add(packed(f, `{"format":"castellan-facts","version":1,"facts":{"os":{"id":{"value":3}}}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		facts, err := bundle.Read(bytes.NewReader(b))
		if (facts == nil) == (err == nil) {
			t.Fatal("neither facts nor an error, or both")
		}
	})
}
