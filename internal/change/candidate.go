package change

import (
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/castellan-project/castellan/internal/host"
)

// candidates are the checks of a file that has not been put yet. They are for files that count the moment they are in
// place, so that a check afterwards comes too late: sudo refuses everybody while one of its files is broken. Each is
// given the path of a copy of the content and fails with another exit code than 0.
//
// table: the validators of the daemons' own packages
func candidates() map[string]program {
	return map[string]program{
		"visudo -c -f":           {argv: []string{"visudo", "-c", "-q", "-f"}},
		"systemd-analyze verify": {argv: []string{"systemd-analyze", "verify", "--man=no", "--recursive-errors=no"}, timeout: time.Minute},
		"nft -c -f":              {argv: []string{"nft", "-c", "-f"}},
		"grub-script-check":      {argv: []string{"grub-script-check"}},
		"logrotate -d":           {argv: []string{"logrotate", "-d"}},
	}
}

// with gives the command that runs a program on a file.
func (p program) with(file string) host.Command {
	name := strings.ReplaceAll(strings.ReplaceAll(p.argv[0], "_", "-"), ".", "-")
	return host.Command{Name: "candidate-" + name, Argv: append(append([]string{}, p.argv...), file), Timeout: p.timeout}
}

// Candidate lets the content of a file pass a check before it is put; check is a name of the list of candidates. A
// target that runs nothing checks nothing.
func (d *Draft) Candidate(name, check string) error {
	if _, ok := candidates()[check]; !ok {
		return fmt.Errorf("there is no check of candidates %q", check)
	}
	if !d.Live() {
		return nil
	}
	real, err := d.real(name)
	if err == nil {
		d.noteOf(real).candidate = check
	}
	return err
}

// checkCandidate lets the content of a step pass its check: it writes a private copy below [scratch], a directory of
// castellan's own that it makes when it is missing, and takes the copy away again. The copy has the name of the file,
// because some programs tell from the name what a file is. A step without a candidate passes.
func checkCandidate(m host.Machine, step Step, content []byte) (err error) {
	if step.Candidate == "" {
		return nil
	}
	p, ok := candidates()[step.Candidate]
	if !ok {
		return fmt.Errorf("there is no check of candidates %q", step.Candidate)
	}
	if err := m.Put(scratch, host.Node{Type: host.Dir, Mode: 0o700, UID: -1, GID: -1}); err != nil {
		return fmt.Errorf("cannot check %s before it is put: %w", step.Path, err)
	}
	copied := path.Join(scratch, path.Base(step.Path))
	defer func() {
		if gone := m.Put(copied, host.Node{Type: host.Absent}); gone != nil && err == nil {
			err = fmt.Errorf("cannot remove the copy of %s that was checked: %w", step.Path, gone)
		}
		_ = m.Put(scratch, host.Node{Type: host.Absent}) // an empty private directory harms nobody
	}()
	if err := m.Put(copied, host.Node{Type: host.Regular, Mode: 0o600, UID: -1, GID: -1, Content: content}); err != nil {
		return fmt.Errorf("cannot check %s before it is put: %w", step.Path, err)
	}
	out, err := m.Run(p.with(copied))
	if err != nil {
		return fmt.Errorf("cannot check %s with %s before it is put: %w", step.Path, step.Candidate, err)
	}
	if out.Code != 0 {
		// What the program says may quote the file; its first line is enough to find the place.
		said, _, _ := strings.Cut(strings.TrimSpace(string(out.Stderr)+"\n"+string(out.Stdout)), "\n")
		return fmt.Errorf("%s refuses the new %s: %.200q; nothing of it was put", step.Candidate, step.Path, strings.ReplaceAll(said, copied, step.Path))
	}
	return nil
}
