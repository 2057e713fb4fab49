package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/castellan-project/castellan/internal/cli"
)

// TestOutputInDocsIsReal runs the commands that stand in ```console blocks of the README and the manual, in the root of
// the tree, and compares their output. A line "..." stands for any lines.
func TestOutputInDocsIsReal(t *testing.T) {
	t.Chdir("../..")
	files, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, f := range append(files, "README.md") {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range blocks(string(text)) {
			for _, c := range commands(block) {
				if strings.HasPrefix(c.line, "castellan ") {
					ran++
					checkCommand(t, f, c)
				}
			}
		}
	}
	if ran == 0 {
		t.Error("no command with output was found in the docs")
	}
}

func blocks(text string) []string {
	var out []string
	for i, part := range strings.Split(text, "```") {
		if body, ok := strings.CutPrefix(part, "console\n"); ok && i%2 == 1 {
			out = append(out, body)
		}
	}
	return out
}

type command struct {
	line string
	want []string
}

func commands(block string) []command {
	var out []command
	for _, l := range strings.Split(strings.TrimRight(block, "\n"), "\n") {
		if c, ok := strings.CutPrefix(l, "$ "); ok {
			out = append(out, command{line: c})
		} else if len(out) > 0 {
			last := &out[len(out)-1]
			last.want = append(last.want, strings.TrimRight(l, " "))
		}
	}
	return out
}

func checkCommand(t *testing.T, file string, c command) {
	t.Helper()
	if len(c.want) == 0 {
		return
	}
	var out, errw bytes.Buffer
	cli.Main(strings.Fields(c.line)[1:], strings.NewReader(""), &out, &errw)
	var got []string
	for _, l := range strings.Split(strings.TrimRight(out.String()+errw.String(), "\n"), "\n") {
		got = append(got, strings.TrimRight(l, " "))
	}
	if !matches(got, c.want) {
		t.Errorf("%s: the output of %s is not what castellan prints, which is:\n%s", file, c.line, strings.Join(got, "\n"))
	}
}

// matches compares lines; "..." matches any number of them.
func matches(got, want []string) bool {
	if len(want) == 0 {
		return len(got) == 0
	}
	if want[0] == "..." {
		for i := 0; i <= len(got); i++ {
			if matches(got[i:], want[1:]) {
				return true
			}
		}
		return false
	}
	return len(got) > 0 && got[0] == want[0] && matches(got[1:], want[1:])
}

// TestMapInDocsIsReal compares the drawing in the manual with what castellan draws of the sample estate.
func TestMapInDocsIsReal(t *testing.T) {
	t.Chdir("../..")
	want, err := os.ReadFile("docs/network-map.svg")
	if err != nil {
		t.Fatal(err)
	}
	var out, errw bytes.Buffer
	if code := cli.Main([]string{"pve", "map", "--root", "examples/estate", "--format", "svg", "-o", "-"}, strings.NewReader(""), &out, &errw); code != cli.ExitOK {
		t.Fatalf("exit code %d: %s", code, errw.String())
	}
	if !bytes.Equal(out.Bytes(), want) {
		t.Error("docs/network-map.svg is not what castellan pve map --root examples/estate -o docs/network-map.svg draws; draw it again")
	}
}
