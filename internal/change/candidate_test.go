package change

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/castellan-project/castellan/internal/host"
)

// checker is a machine whose validator refuses every file that holds the word bad.
type checker struct {
	*host.Tree
	root string
	ran  []string
}

func (c *checker) Run(cmd host.Command) (host.Output, error) {
	c.ran = append(c.ran, strings.Join(cmd.Argv, " "))
	b, err := os.ReadFile(filepath.Join(c.root, cmd.Argv[len(cmd.Argv)-1]))
	if err != nil {
		return host.Output{Code: 1, Stderr: []byte(err.Error())}, nil
	}
	if strings.Contains(string(b), "bad") {
		return host.Output{Code: 1, Stderr: []byte(cmd.Argv[len(cmd.Argv)-1] + ":1: syntax error\nbad line of a secret\n")}, nil
	}
	return host.Output{}, nil
}

func TestCheckCandidate(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "run"), 0o755); err != nil {
		t.Fatal(err)
	}
	tree, err := host.OpenDir(root)
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	m := &checker{Tree: tree, root: root}
	step := Step{Path: "/etc/sudoers.d/castellan", Candidate: "visudo -c -f"}
	if err := checkCandidate(m, step, []byte("Defaults use_pty\n")); err != nil {
		t.Error(err)
	}
	if len(m.ran) != 1 || m.ran[0] != "visudo -c -q -f /run/castellan-candidate/castellan" {
		t.Errorf("ran %q", m.ran)
	}
	err = checkCandidate(m, step, []byte("bad\n"))
	if err == nil || !strings.Contains(err.Error(), "/etc/sudoers.d/castellan:1: syntax error") || strings.Contains(err.Error(), "secret") {
		t.Errorf("a refused file gives %v", err)
	}
	if _, err := os.Lstat(filepath.Join(root, scratch)); !os.IsNotExist(err) {
		t.Errorf("the copy stays: %v", err)
	}
	if err := checkCandidate(m, Step{Path: "/etc/x"}, []byte("bad")); err != nil {
		t.Errorf("a step without a candidate: %v", err)
	}
	if err := checkCandidate(m, Step{Path: "/etc/x", Candidate: "sh"}, nil); err == nil {
		t.Error("an unknown check passes")
	}
}
