package host

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestWalkFindsWhatIsWantedAndSkips(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a/open", "a/closed", "cache/open", "b/c/d/open"} {
		f := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(f), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(f, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "open") {
			if err := os.Chmod(f, 0o666); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.Symlink("a/open", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	skip := func(path, name string) bool { return name == "cache" || path == dir+"/nothing" }
	got, err := NewLocal().walkFrom(dir, skip, func(t FileType, mode uint32, _, _ int) bool { return t == Regular && mode&0o002 != 0 })
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, f := range got {
		paths = append(paths, strings.TrimPrefix(f.Path, dir))
	}
	slices.Sort(paths)
	if want := []string{"/a/open", "/b/c/d/open"}; !slices.Equal(paths, want) {
		t.Errorf("found %v, want %v", paths, want)
	}
}
