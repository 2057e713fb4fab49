package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/castellan-project/castellan/catalogue"
	"github.com/castellan-project/castellan/internal/expr"
	"github.com/castellan-project/castellan/internal/posture"
)

// rules are what a scan applies: the controls of a profile, waivers and attestations.
type rules struct {
	profile      string
	controlsDir  string
	waiversFile  string
	stateDir     string
	env          *expr.Env
	all, chosen  []posture.Control
	waivers      []posture.Waiver
	attestations []posture.Attestation
}

// load reads everything; errors name the file and place.
func (r *rules) load() error {
	env, err := posture.NewEnv()
	if err != nil {
		return err
	}
	if err := env.Preload(catalogue.Checks); err != nil {
		return fmt.Errorf("the built-in catalogue is damaged: %w", err)
	}
	r.env = env
	if r.all, err = builtinControls(); err != nil {
		return exit(ExitUsage, err)
	}
	if r.controlsDir != "" {
		own, err := controlsOf(r.controlsDir, env)
		if err != nil {
			return exit(ExitUsage, err)
		}
		if r.all, err = join(r.all, own); err != nil {
			return exit(ExitUsage, err)
		}
	}
	p, err := posture.LoadProfile(r.profile, openProfile)
	if err != nil {
		return exit(ExitUsage, err)
	}
	if r.chosen, err = p.Apply(r.all); err != nil {
		return exit(ExitUsage, err)
	}
	return r.loadExceptions()
}

func (r *rules) loadExceptions() error {
	if r.waiversFile != "" {
		src, err := os.ReadFile(r.waiversFile)
		if err != nil {
			return usage("cannot read the waivers: %w", err)
		}
		if r.waivers, err = posture.ParseWaivers(r.waiversFile, src); err != nil {
			return exit(ExitUsage, err)
		}
	}
	file := attestationsFile(r.stateDir)
	src, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil
	}
	if err != nil {
		return usage("cannot read the attestations: %w", err)
	}
	if r.attestations, err = posture.ParseAttestations(file, src); err != nil {
		return exit(ExitUsage, err)
	}
	return nil
}

// join adds a user's controls to ours; a user's own selection of the same id is an error, so that nobody weakens a
// control unseen: that is what profiles are for.
func join(all, own []posture.Control) ([]posture.Control, error) {
	seen := map[string]bool{}
	for _, c := range all {
		seen[c.ID] = true
	}
	for _, c := range own {
		if seen[c.ID] {
			return nil, &posture.SourceError{File: c.File, Line: 1, Column: 1, Text: "the id " + c.ID + " belongs to a control of castellan",
				Hint: "use ids of your own; to change parameters or severity write a profile"}
		}
	}
	all = append(all, own...)
	posture.SortControls(all)
	return all, nil
}

func builtinControls() ([]posture.Control, error) { return posture.ReadIndex(catalogue.Index) }

// controlsOf reads the YAML files of a user's directory, its sub-directories included, testdata left out.
func controlsOf(dir string, env *expr.Env) ([]posture.Control, error) {
	if st, err := os.Stat(dir); err != nil || !st.IsDir() {
		return nil, fmt.Errorf("%s is not a directory of controls", dir)
	}
	files, err := readTree(os.DirFS(dir))
	if err != nil {
		return nil, err
	}
	for i := range files {
		files[i].Name = filepath.Join(dir, files[i].Name)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s holds no control: no *.yaml file", dir)
	}
	return posture.ParseControls(files, env)
}

func readTree(tree fs.FS) ([]posture.File, error) {
	var files []posture.File
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || d.Name() == "profiles") {
			return fs.SkipDir
		}
		if d.IsDir() || path.Ext(name) != ".yaml" {
			return nil
		}
		b, err := fs.ReadFile(tree, name)
		files = append(files, posture.File{Name: name, Content: b})
		return err
	})
	return files, err
}

// openProfile finds a profile: a file when the name looks like one, else one of ours.
func openProfile(name string) (string, []byte, error) {
	if strings.ContainsAny(name, `/\`) || strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".yml") {
		b, err := os.ReadFile(name)
		if err != nil {
			return name, nil, fmt.Errorf("cannot read the profile: %w", err)
		}
		return name, b, nil
	}
	file := "profiles/" + name + ".yaml"
	b, err := fs.ReadFile(catalogue.Profiles, file)
	if err != nil {
		return file, nil, fmt.Errorf("there is no profile %q; known are %s, or give the path of a file", name, strings.Join(profileNames(), ", "))
	}
	return file, b, nil
}

func profileNames() []string {
	entries, err := fs.ReadDir(catalogue.Profiles, "profiles")
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	return names
}
