package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/castellan-project/castellan/internal/host/hosttest"
)

// In a directory that cannot be written nothing is changed, and nothing is left behind.
func TestVMXFixReadOnly(t *testing.T) {
	if hosttest.AsNobody(t) { // root writes everywhere
		return
	}
	dir, state := t.TempDir(), t.TempDir()
	file := filepath.Join(dir, "a.vmx")
	const text = "displayName = \"a\"\n"
	if err := os.WriteFile(file, []byte(text), 0o444); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o555); err != nil { //nolint:gosec // a directory that is read
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(dir, 0o755) }) //nolint:gosec // so that it can be removed
	_, stderr, code := run(t, "vmx", "fix", file, "--yes", "--state", state)
	if code != ExitTarget || !strings.Contains(stderr, "permission denied") || !strings.Contains(stderr, file) {
		t.Errorf("code %d: %s", code, stderr)
	}
	b, err := os.ReadFile(file)
	found, err2 := os.ReadDir(dir)
	if err != nil || err2 != nil || string(b) != text || len(found) != 1 {
		t.Errorf("%v %v %q %v", err, err2, b, found)
	}
}

// A link is repaired where it leads.
func TestVMXFixLink(t *testing.T) {
	dir, other, state := t.TempDir(), t.TempDir(), t.TempDir()
	file, link := filepath.Join(other, "a.vmx"), filepath.Join(dir, "link.vmx")
	if err := os.WriteFile(file, []byte("displayName = \"a\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	if _, stderr, code := run(t, "vmx", "fix", link, "--yes", "--state", state, "--control", "VMX-14"); code != 0 {
		t.Fatalf("code %d: %s", code, stderr)
	}
	b, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(b), "RemoteDisplay.maxConnections = \"1\"") {
		t.Errorf("%v %s", err, b)
	}
	if st, err := os.Lstat(link); err != nil || st.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link was replaced: %v", err)
	}
}
