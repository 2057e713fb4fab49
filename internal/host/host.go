// Package host is the only door to a machine. Everything castellan learns about a target comes through a
// [Reader], and everything that it runs there is a [Command] that reviewed Go code spelled out: no other package
// opens files of a target or imports os/exec.
//
// The same Reader serves this machine ([NewLocal]), a directory that holds a root file system or a copy of parts of
// one ([OpenDir]) and a machine over SSH ([DialSSH]). The room reads, lists and runs; it does not interpret: formats
// live in internal/debian and internal/pve, judgements in internal/posture.
package host

import (
	"errors"
	"io/fs"
	"strings"
	"time"
)

// Limits that keep hostile or broken targets from exhausting memory. A file or an output that is larger is an error
// ([ErrTooLarge]), never a truncated value: half a configuration file must not be judged as a whole one.
const (
	// MaxFile is the largest file, in bytes, that ReadFile returns.
	MaxFile = 16 << 20
	// MaxOutput is the largest standard output, in bytes, that Run returns.
	MaxOutput = 16 << 20
	// MaxList is the largest number of entries that List returns.
	MaxList = 200_000
)

// Errors that a Reader returns, wrapped in an [Error]. A missing file is fs.ErrNotExist and a refused one
// fs.ErrPermission, as everywhere in Go.
var (
	// ErrTooLarge means that a file, an output or a listing exceeds its limit.
	ErrTooLarge = errors.New("too large to be read")
	// ErrNotRegular means that the path is a directory, FIFO, socket or device where a file was expected.
	ErrNotRegular = errors.New("not a regular file")
	// ErrUnavailable means that this kind of target cannot answer: a directory runs no commands and has no processes.
	ErrUnavailable = errors.New("not available on this kind of target")
	// ErrPending means that a batching Reader has noted the question and will have the answer in its next round.
	ErrPending = errors.New("not fetched yet")
	// ErrTimeout means that a command did not end in time.
	ErrTimeout = errors.New("timed out")
)

// Error tells which operation failed on which path or command.
type Error struct {
	Op   string // read, stat, list, run
	Path string // the path, pattern or command name asked for
	Err  error
}

// Error says the same of the same mishap on every kind of target, so that snapshots can be compared.
func (e *Error) Error() string {
	text := e.Err.Error()
	switch {
	case errors.Is(e.Err, fs.ErrNotExist):
		text = "no such file or directory"
	case errors.Is(e.Err, fs.ErrPermission):
		text = "permission denied"
	}
	return "cannot " + e.Op + " " + e.Path + ": " + text
}

// Unwrap lets callers test for fs.ErrNotExist and the errors of this package.
func (e *Error) Unwrap() error { return e.Err }

// A Reader reads one target. Paths are absolute and slash-separated, as on the target. Implementations are safe for
// concurrent use, never follow a link out of the target, and never block on a FIFO or device.
type Reader interface {
	// ReadFile returns the whole content of a regular file, following links.
	ReadFile(path string) ([]byte, error)
	// Stat describes the file that path leads to, following links.
	Stat(path string) (File, error)
	// List returns what matches the pattern (the syntax of path.Match per element, and a last element "**" for
	// everything below), sorted by path, links not followed but their targets given. No match is an empty list.
	List(pattern string) ([]File, error)
	// Run executes a command and returns its output. A command that ends with another code than zero is not an
	// error; one that cannot be started is.
	Run(cmd Command) (Output, error)
}

// File describes one file of a target.
type File struct {
	Path string
	Type FileType
	// Mode holds the permission bits with set-user-ID (04000), set-group-ID (02000) and sticky (01000), as chmod
	// writes them.
	Mode    uint32
	UID     int
	GID     int
	Size    int64
	ModTime time.Time
	Link    string // where a symbolic link points, as written in it
	// OwnerUnknown is set when the target is a copy that did not keep modes and owners; Mode, UID and GID say
	// nothing then.
	OwnerUnknown bool
}

// FileType says what a file is.
type FileType byte

// The types of files.
const (
	Other   FileType = iota // device, FIFO, socket
	Regular                 // a regular file
	Dir                     // a directory
	Link                    // a symbolic link
)

// Command is a program to run on the target. It never passes through a shell unless Argv says so.
type Command struct {
	// Name identifies the command in errors and in the files of a directory target that hold recorded output
	// (.castellan/run/NAME): lower-case letters, digits and dashes, unique among all collectors.
	Name string
	// Argv is the program and its arguments; the program is looked up in /usr/sbin:/usr/bin:/sbin:/bin only.
	Argv []string
	// Timeout bounds the run; zero means 20 seconds.
	Timeout time.Duration
	// Env are variables (NAME=value) beside PATH, LC_ALL and HOME. Only [Local] can set them; a machine over SSH refuses.
	Env []string
}

// Output is what a command printed and how it ended.
type Output struct {
	Stdout []byte
	Stderr []byte // at most 4 KiB
	Code   int
}

// Need is something that a collector knows beforehand that it will ask for; a batching Reader fetches all needs of
// all collectors in its first round.
type Need struct {
	Read string  // a pattern: every regular file that matches is read
	List string  // a pattern to list
	Stat string  // a path to stat
	Run  Command // a command, when Argv is set
}

// Description says what a target is, for reports and for collectors that behave differently off-line.
type Description struct {
	// Name is the target as the user wrote it.
	Name string
	// Kind is local, ssh, dir, or pve for the API of a cluster.
	Kind string
	// Live is true when the target is a running machine: it has processes and can run commands.
	Live bool
	// Root is true when everything is read with the rights of root (of a directory: always).
	Root bool
	// Now is the present time on the target, or for a copy the time when it was made if the copy says so.
	Now time.Time
}

// Batcher is a Reader that collects questions (answering ErrPending) and gets all answers in one round trip.
type Batcher interface {
	Reader
	// Prefetch notes needs for the next round.
	Prefetch(needs []Need)
	// Flush performs one round trip for everything asked since the last one. It reports whether anything was
	// pending.
	Flush() (bool, error)
}

// NotExist reports whether err says that the file is not there.
func NotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// Denied reports whether err says that the rights of the present user do not suffice.
func Denied(err error) bool { return errors.Is(err, fs.ErrPermission) }

// Lines splits the content of a text file into lines without their endings (LF or CRLF).
func Lines(b []byte) []string {
	s := strings.TrimSuffix(string(b), "\n")
	if s == "" {
		return nil
	}
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = strings.TrimSuffix(l, "\r")
	}
	return lines
}
