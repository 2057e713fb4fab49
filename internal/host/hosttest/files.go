package hosttest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/castellan-project/castellan/internal/host"
)

// Write writes files below a new directory and gives the directory: their contents by their paths, with or without a "/" before
// them. A content "->TARGET" makes a link. Whatever the umask of who runs the test, files have the mode 0644.
func Write(t testing.TB, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		full := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if target, ok := strings.CutPrefix(content, "->"); ok {
			if err := os.Symlink(target, full); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.WriteFile(full, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(full, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// Open opens a directory as a target, until the test ends.
func Open(t testing.TB, root string) *host.Tree {
	t.Helper()
	tree, err := host.OpenDir(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tree.Close() })
	return tree
}
