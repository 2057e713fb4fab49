package collect

import (
	"errors"
	"path"
	"regexp"
	"strings"
	"sync"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/posture"
)

// maxEstate is how many bytes of configuration a bundle keeps. A cluster of 1,000 guests has about 1 MiB; pmxcfs holds
// 128 MiB at most.
const maxEstate = 16 << 20

// recorder is a Reader that remembers what was read through it.
type recorder struct {
	host.Reader
	mu     sync.Mutex
	estate posture.Estate
	size   int
}

func newRecorder(r host.Reader) *recorder {
	return &recorder{Reader: r, estate: posture.Estate{Files: map[string]string{}, Answers: map[string]string{}, Unread: map[string]string{}}}
}

// keeps reports whether a file may be kept: below priv/ there is nothing but secrets.
func keeps(name string) bool {
	return strings.HasPrefix(name, "/etc/") && !strings.HasPrefix(name, "/etc/pve/priv/")
}

// ReadFile implements host.Reader.
func (r *recorder) ReadFile(name string) ([]byte, error) {
	b, err := r.Reader.ReadFile(name)
	if !keeps(name) {
		return b, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case err == nil && r.size+len(b) <= maxEstate:
		r.size += len(b)
		r.estate.Files[name] = withoutSecrets(name, string(b))
	case err == nil:
		r.estate.Unread[name] = "too-large"
	case !host.NotExist(err):
		r.estate.Unread[name] = posture.ProblemOf(err).Code
	}
	return b, err
}

// List implements host.Reader. The directories of nodes are kept, because a node may have no file that was read.
func (r *recorder) List(pattern string) ([]host.File, error) {
	files, err := r.Reader.List(pattern)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil && !host.NotExist(err) {
		r.estate.Unread[pattern] = posture.ProblemOf(err).Code
	}
	if path.Dir(pattern) == "/etc/pve/nodes" {
		r.estate.Dirs = nil
		for _, f := range files {
			if f.Type == host.Dir {
				r.estate.Dirs = append(r.estate.Dirs, f.Path)
			}
		}
	}
	return files, err
}

// Run implements host.Reader.
func (r *recorder) Run(cmd host.Command) (host.Output, error) {
	out, err := r.Reader.Run(cmd)
	if err == nil && out.Code == 0 && strings.HasPrefix(cmd.Name, "pvesh-") {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.size+len(out.Stdout) <= maxEstate {
			r.size += len(out.Stdout)
			r.estate.Answers[cmd.Name] = secretJSON.ReplaceAllString(string(out.Stdout), `"$1":"`+hidden+`"`)
		}
	}
	return out, err
}

var (
	// secretLine finds settings whose value is a secret, in any of the formats: "key value", "key: value", "key = value".
	secretLine = regexp.MustCompile(`(?im)^([#\s]*(?:cipassword|(?:[\w.-]*[_.-])?(?:password|passwd|passphrase|secret|psk|client-key|api[_-]?key)|env|lxc\.environment[\w.]*)\s*[\s:=]\s*)\S.*$`)
	// secretWord finds the same in the middle of a line, as people write it into notes.
	secretWord = regexp.MustCompile(`(?i)((?:password|passwd|passphrase|secret|token|psk|api[_-]?key)\s*(?:=|:|%3A)\s*)[^\s,;"']+`)
	// legacyKeys finds second factors of the old form in the last field of a user in user.cfg; "x" stands for none.
	legacyKeys = regexp.MustCompile(`(?m)^([ \t]*user[ \t]*:(?:[^:\n]*:){7}[ \t]*)(?:[^x:\s][^:\n]*|x[^:!\s][^:\n]*)`)
	secretJSON = regexp.MustCompile(`(?i)"((?:[\w-]*[_-])?(?:password|passwd|secret|token-value|client-key|cipassword|ticket|value-secret))"\s*:\s*"(?:[^"\\]|\\.)*"`)
)

// withoutSecrets replaces the values of settings that hold secrets. Lines keep their numbers.
func withoutSecrets(name, text string) string {
	text = secretLine.ReplaceAllString(text, "${1}"+hidden)
	if path.Base(name) == "user.cfg" { // lines begin with "token:" and hold no secret; keys of the old form stand in lines of users
		return legacyKeys.ReplaceAllString(text, "${1}"+hidden)
	}
	return secretWord.ReplaceAllString(text, "${1}"+hidden)
}

// estateReaderOf serves the configuration that was kept as if it were the target.
func estateReaderOf(e posture.Estate) *host.Memory {
	m := &host.Memory{Files: map[string][]byte{}, Dirs: append([]string{"/etc/pve"}, e.Dirs...), Errs: map[string]error{}, Answers: map[string][]byte{}}
	for name, text := range e.Files {
		m.Files[name] = []byte(text)
	}
	for name, text := range e.Answers {
		m.Answers[name] = []byte(text)
	}
	for name, code := range e.Unread {
		m.Errs[name] = &posture.Problem{Code: code, Text: "not read when the bundle was made (" + code + ")"}
	}
	return m
}

// errNoEstate says that a bundle holds no cluster.
var errNoEstate = errors.New("the bundle holds no Proxmox VE configuration: it was made on another kind of host, or was redacted, which leaves these files out")

// OpenEstate returns a Reader over the cluster configuration that facts hold.
func OpenEstate(f *posture.Facts) (host.Reader, error) {
	if len(f.Estate.Files) == 0 {
		return nil, errNoEstate
	}
	return estateReaderOf(f.Estate), nil
}
