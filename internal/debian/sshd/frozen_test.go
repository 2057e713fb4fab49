package sshd_test

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/castellan-project/castellan/internal/debian/sshd"
)

// memory serves files by full path.
func memory(files map[string]string) sshd.Files {
	return sshd.Files{
		Read: func(name string) ([]byte, error) {
			if c, ok := files[name]; ok {
				return []byte(c), nil
			}
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		},
		Glob: func(pattern string) ([]string, error) {
			var out []string
			for name := range files {
				ok, err := path.Match(pattern, name)
				if err != nil {
					return nil, err
				}
				if ok {
					out = append(out, name)
				}
			}
			return out, nil
		},
	}
}

// TestFrozenAnswers compares with answers of the servers of Debian 12 and 13, recorded by lab/sshd.
func TestFrozenAnswers(t *testing.T) {
	f, err := os.Open("testdata/answers.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	accepted, refused := map[string]int{}, map[string]int{}
	dec := json.NewDecoder(z)
	for n := 0; ; n++ {
		var a struct {
			Version string
			Files   map[string]string
			Conn    sshd.Connection
			OK      bool
			Lines   []string
			Message string
		}
		if err := dec.Decode(&a); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		files := map[string]string{}
		for name, content := range a.Files {
			files["/etc/ssh/"+name] = content
		}
		got, err := evaluate(a.Version, files, a.Conn)
		switch {
		case a.OK && err != nil:
			t.Errorf("answer %d (%s): sshd accepts, we say %v", n, a.Version, err)
		case !a.OK && err == nil:
			t.Errorf("answer %d (%s): we accept, sshd says %s", n, a.Version, a.Message)
		case a.OK:
			accepted[a.Version]++
			if d := cmp.Diff(a.Lines, got); d != "" {
				t.Errorf("answer %d (%s): sshd -, we +\n%s", n, a.Version, d)
			}
		default:
			refused[a.Version]++
		}
	}
	if len(accepted) != 2 || len(refused) != 2 {
		t.Errorf("answers of two releases expected, got %v accepted and %v refused", accepted, refused)
	}
	t.Log("accepted", accepted, "refused", refused)
}

func evaluate(version string, files map[string]string, conn sshd.Connection) ([]string, error) {
	rel, err := sshd.ParsePackageVersion(version)
	if err != nil {
		return nil, err
	}
	cfg, err := sshd.Load("/etc/ssh/lab_config", memory(files), rel)
	if err != nil {
		return nil, err
	}
	s, err := cfg.For(conn)
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(rel.String(), "9.") {
		delete(s, "debianbanner") // not printed by 9.2
	}
	l := s["listenaddress"]
	l.Values = slices.Sorted(slices.Values(l.Values))
	s["listenaddress"] = l
	return s.Lines(), nil
}
