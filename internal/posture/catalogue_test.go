package posture_test

import (
	"bytes"
	"flag"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"testing"

	"github.com/castellan-project/castellan/internal/posture"
)

var update = flag.Bool("update", false, "write generated files anew")

const catalogueDir = "../../catalogue"

// controls reads the YAML files of the catalogue.
func controls(t *testing.T) []posture.Control {
	t.Helper()
	env, err := posture.NewEnv()
	if err != nil {
		t.Fatal(err)
	}
	var files []posture.File
	err = filepath.WalkDir(catalogueDir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || d.Name() == "profiles") {
			return fs.SkipDir
		}
		if path.Ext(name) == ".yaml" {
			b, err := os.ReadFile(name)
			files = append(files, posture.File{Name: filepath.ToSlash(name), Content: b})
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	cs, err := posture.ParseControls(files, env)
	if err != nil {
		t.Fatal(err)
	}
	return cs
}

func TestIndexIsFresh(t *testing.T) {
	env, err := posture.NewEnv()
	if err != nil {
		t.Fatal(err)
	}
	cs := controls(t)
	index, err := posture.WriteIndex(cs)
	if err != nil {
		t.Fatal(err)
	}
	checks, err := posture.WriteChecks(env, cs)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]byte{"index.json": index, "checks.bin": checks} {
		file := filepath.Join(catalogueDir, name)
		if *update {
			if err := os.WriteFile(file, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("catalogue/%s differs from what the YAML files give; run make generate", name)
		}
	}
}

// A group has its place in listings and a name for people.
func TestGroupsOfTheCatalogueAreNamed(t *testing.T) {
	for _, c := range controls(t) {
		if !slices.Contains(posture.Groups(), c.Group) || posture.GroupTitle(c.Group) == c.Group {
			t.Errorf("the group %s of %s has no place in Groups or no title", c.Group, c.ID)
		}
	}
}

// Each control stands in a file of its id, in the directory of its group, so that it can be found.
func TestControlsAreWhereTheyBelong(t *testing.T) {
	for _, c := range controls(t) {
		if want := catalogueDir + "/" + c.Group + "/" + c.ID + ".yaml"; c.File != want {
			t.Errorf("%s stands in %s, not in %s", c.ID, c.File, want)
		}
	}
}
