package hosttest

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// Lacks skips a test that cannot be made here, and says what was not checked for want of what. In CI (the variable CI is set, as .ci/run
// does, which installs what is needed) it fails instead: there nothing may go unchecked.
func Lacks(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf("NOT CHECKED: "+format, args...)
	}
	t.Skipf("NOT CHECKED: "+format, args...)
}

// nobody is the user without rights of Debian (base-passwd).
const nobody = 65534

// AsNobody makes a test that root would pass by being root: run by root, it runs the test again as a user without rights, in a process of its
// own, and reports true. Then the caller has nothing left to do.
func AsNobody(t *testing.T) bool {
	t.Helper()
	if os.Geteuid() != 0 {
		return false
	}
	// The program of the test lies in a directory that only root may enter.
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(own)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "nobody-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	program := filepath.Join(dir, "test")
	if err := os.WriteFile(program, b, 0o755); err != nil { //nolint:gosec // somebody else runs it
		t.Fatal(err)
	}
	if err := os.Chown(dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Dir = dir
	cmd.Env = []string{"HOME=" + dir, "TMPDIR=" + dir, "PATH=" + os.Getenv("PATH")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("as a user without rights: %v\n%s", err, out)
	}
	t.Logf("as a user without rights:\n%s", out)
	return true
}
