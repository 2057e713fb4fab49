package host

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// commandPath is where programs are looked up, on every kind of target.
const commandPath = "/usr/sbin:/usr/bin:/sbin:/bin"

// defaultTimeout bounds a Command that sets no time of its own.
const defaultTimeout = 20 * time.Second

// maxStderr is how much of the standard error of a command is kept, in bytes.
const maxStderr = 4 << 10

// Local reads this machine.
type Local struct {
	view
	fault Fault
}

// NewLocal returns a Reader of this machine, with the rights of the present process.
func NewLocal() *Local {
	return &Local{view: view{open: func(name string, flags int) (int, error) {
		return retry(func() (int, error) { return unix.Open(name, flags|unix.O_CLOEXEC, 0) })
	}}}
}

// Describe tells what is known of this machine as a target.
func (l *Local) Describe() Description {
	return Description{Name: "local", Kind: "local", Live: true, Root: os.Geteuid() == 0, Now: time.Now()}
}

// ReadFile implements [Reader].
func (l *Local) ReadFile(name string) ([]byte, error) { return readFile(&l.view, name) }

// Stat implements [Reader].
func (l *Local) Stat(name string) (File, error) { return statFile(&l.view, name) }

// List implements [Reader].
func (l *Local) List(pattern string) ([]File, error) { return listFiles(&l.view, pattern) }

func readFile(v *view, name string) ([]byte, error) {
	if err := checkPath(name); err != nil {
		return nil, &Error{"read", name, err}
	}
	b, err := v.readFile(path.Clean(name), MaxFile)
	if err != nil {
		return nil, &Error{"read", name, err}
	}
	return b, nil
}

func statFile(v *view, name string) (File, error) {
	if err := checkPath(name); err != nil {
		return File{}, &Error{"stat", name, err}
	}
	fi, err := v.stat(path.Clean(name))
	if err != nil {
		return File{}, &Error{"stat", name, err}
	}
	return fi, nil
}

func listFiles(v *view, pattern string) ([]File, error) {
	found, err := v.list(pattern)
	if err != nil {
		return found, &Error{"list", pattern, err}
	}
	return found, nil
}

func checkPath(name string) error {
	if !strings.HasPrefix(name, "/") || strings.ContainsRune(name, 0) {
		return fs.ErrInvalid
	}
	return nil
}

// Run implements [Reader]. The program runs in a process group of its own, with a fixed environment and nothing on
// its standard input; when the time is up, or when it has ended and left children behind that hold its output, the
// whole group is killed.
func (l *Local) Run(c Command) (Output, error) {
	if err := checkCommand(c); err != nil {
		return Output{}, &Error{"run", c.Name, err}
	}
	program, err := lookPath(c.Argv[0])
	if err != nil {
		return Output{}, &Error{"run", c.Name, err}
	}
	if l.fault != nil {
		if err := l.fault("run", c.Name); err != nil {
			return Output{}, &Error{"run", c.Name, err}
		}
	}
	timeout := c.Timeout
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	stdout := &bounded{limit: MaxOutput, full: cancel}
	stderr := &bounded{limit: maxStderr}
	cmd := exec.CommandContext(ctx, program)
	cmd.Args = c.Argv
	cmd.Env = append([]string{"PATH=" + commandPath, "LC_ALL=C", "HOME=/"}, c.Env...)
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }
	cmd.WaitDelay = time.Second
	err = cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) {
		// Children outlived the program and hold its output: their group still exists, so the number is theirs.
		_ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
	}
	switch {
	case stdout.overflow:
		return Output{}, &Error{"run", c.Name, ErrTooLarge}
	case ctx.Err() != nil:
		return Output{}, &Error{"run", c.Name, ErrTimeout}
	}
	out := Output{Stdout: stdout.buf.Bytes(), Stderr: stderr.buf.Bytes()}
	var exit *exec.ExitError
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay):
		return out, nil
	case errors.As(err, &exit):
		out.Code = exitCode(exit)
		return out, nil
	}
	return Output{}, &Error{"run", c.Name, err}
}

// exitCode gives 128 plus the signal's number for a program that a signal ended, as shells do.
func exitCode(e *exec.ExitError) int {
	if ws, ok := e.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return e.ExitCode()
}

// checkCommand refuses commands that reviewed code would not spell out.
func checkCommand(c Command) error {
	if c.Name == "" || strings.Trim(c.Name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return errors.New("a command's name consists of lower-case letters, digits and dashes")
	}
	if len(c.Argv) == 0 || c.Argv[0] == "" {
		return errors.New("the command has no program")
	}
	for _, a := range c.Argv {
		if strings.ContainsRune(a, 0) {
			return errors.New("an argument holds a NUL byte")
		}
	}
	for _, v := range c.Env {
		if strings.ContainsRune(v, 0) || strings.Index(v, "=") < 1 {
			return errors.New("a variable is not NAME=value")
		}
	}
	return nil
}

// lookPath finds a program in the fixed path.
func lookPath(program string) (string, error) {
	if strings.HasPrefix(program, "/") {
		return program, unix.Access(program, unix.X_OK)
	}
	if strings.Contains(program, "/") {
		return "", fs.ErrInvalid
	}
	var denied error
	for _, dir := range strings.Split(commandPath, ":") {
		full := dir + "/" + program
		st, err := os.Stat(full)
		if err != nil || !st.Mode().IsRegular() {
			continue
		}
		if denied = unix.Access(full, unix.X_OK); denied == nil {
			return full, nil
		}
	}
	if denied != nil {
		return "", denied
	}
	return "", fs.ErrNotExist
}

// bounded collects output up to a limit. What comes after it is swallowed, and full is called.
type bounded struct {
	buf      bytes.Buffer
	limit    int
	overflow bool
	full     func()
}

func (b *bounded) Write(p []byte) (int, error) {
	room := b.limit - b.buf.Len()
	if len(p) > room {
		b.buf.Write(p[:room])
		if b.overflow = true; b.full != nil {
			b.full()
		}
		return len(p), nil
	}
	return b.buf.Write(p)
}

// retry repeats a system call that a signal interrupted.
func retry(f func() (int, error)) (int, error) {
	for {
		fd, err := f()
		if !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
}
