package host

import (
	"bufio"
	"bytes"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Limits of one round trip.
const (
	// roundBudget is how many bytes of file content and output one round may bring, so that a host with huge files
	// fills neither the line nor the memory.
	roundBudget = 64 << 20
	// roundTimeout is how long the reading part of a round may take; commands add their own times.
	roundTimeout = 90 * time.Second
	// parallelCommands is how many commands the far side runs at a time.
	parallelCommands = 4
)

// remoteProgram is the far side of the protocol, in Perl; its head describes the frames.
//
//go:embed remote.pl
var remoteProgram string

// Remote reads a machine over a byte stream, at the end of which a Perl interpreter runs a program of ours. It is a
// [Batcher]: what is asked for is noted and fetched, all at once, by Flush; the answers stay.
type Remote struct {
	stream io.ReadWriter
	in     *bufio.Reader
	// abort ends the stream when a round takes too long; dead explains why a stream ended, in words for the user.
	abort func() error
	dead  func(err error) error

	desc  Description
	since time.Time

	mu      sync.Mutex
	asked   map[string]bool
	pending []question
	reads   map[string]answer[[]byte]
	stats   map[string]answer[File]
	lists   map[string]answer[[]File]
	runs    map[string]answer[Output]
	dirs    directories
	rounds  int
	bytes   int64
}

// answer is what came back for a question: a value, an error, or (of a list) both.
type answer[T any] struct {
	value T
	err   error
}

// question is one request of a round.
type question struct {
	kind byte // R, L, S, X as in remote.pl
	key  string
	pat  pattern
	cmd  Command
}

// newRemote starts the program at the far end of stream, where a Perl as made by bootCommand waits, and learns who
// and when it is there.
func newRemote(stream io.ReadWriter, abort func() error, dead func(error) error) (*Remote, error) {
	r := &Remote{
		stream: stream, in: bufio.NewReaderSize(stream, 1<<16), abort: abort, dead: dead,
		asked: map[string]bool{}, reads: map[string]answer[[]byte]{}, stats: map[string]answer[File]{},
		lists: map[string]answer[[]File]{}, runs: map[string]answer[Output]{}, dirs: directories{},
	}
	_, writeErr := io.WriteString(stream, programText())
	// A host that refuses often hangs up before it has read the program; what it says about it is still to be read.
	hello, err := r.greeting()
	if err == nil {
		err = writeErr
	}
	if err != nil {
		return nil, dead(err)
	}
	f := frame{hello}
	uid, now := f.number(), f.number64()
	r.desc = Description{Kind: "ssh", Live: true, Root: uid == 0, Now: time.Unix(now, 0).UTC()}
	r.since = time.Now()
	return r, nil
}

// programText is what is sent to the waiting Perl: the limits and the program.
func programText() string {
	return fmt.Sprintf("$main::LIMITS = [%d, %d, %d, %d, %d];\n%s",
		MaxFile, MaxList, maxStderr, roundBudget, parallelCommands, remoteProgram)
}

// bootCommand is the shell command that starts the far side: a Perl that reads exactly the program from its standard
// input and runs it. With sudo it first becomes root when that needs no password. It holds no quote, backslash or
// exclamation mark inside its single quotes, so every login shell passes it on unchanged.
func bootCommand(sudo bool) string {
	boot := fmt.Sprintf(
		`for($p="";length($p)<%[1]d;){sysread(STDIN,$p,%[1]d-length($p),length($p))||exit 96}eval($p);print STDERR $@;exit 97`,
		len(programText()))
	if !sudo {
		return "perl -e '" + boot + "'"
	}
	return `perl -e '$ENV{PATH}="` + commandPath + `";$b=q{` + boot + `};` +
		`exec("sudo","-n","perl","-e",$b)if$>&&0==system("sudo -n perl -e 1 </dev/null >/dev/null 2>&1");eval($b)'`
}

// greeting finds the first frame. A login script may have printed something before it.
func (r *Remote) greeting() ([]byte, error) {
	const magic = "castellan-host-1\n"
	var seen bytes.Buffer
	for {
		c, err := r.in.ReadByte()
		if err != nil {
			if noise := strings.TrimSpace(seen.String()); noise != "" {
				err = fmt.Errorf("%w after %q", err, clip(noise))
			}
			return nil, err
		}
		seen.WriteByte(c)
		if bytes.HasSuffix(seen.Bytes(), []byte(magic)) {
			rest := make([]byte, 12)
			_, err := io.ReadFull(r.in, rest)
			return rest, err
		}
		if seen.Len() > 1<<16 {
			return nil, fmt.Errorf("the host prints %q ... instead of starting perl", clip(seen.String()))
		}
	}
}

func clip(s string) string { return s[:min(len(s), 200)] }

// Describe tells what is known of the machine as a target.
func (r *Remote) Describe() Description {
	d := r.desc
	d.Now = d.Now.Add(time.Since(r.since))
	return d
}

// Rounds returns how many round trips were made.
func (r *Remote) Rounds() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rounds
}

// Bytes returns how many bytes of answers arrived.
func (r *Remote) Bytes() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.bytes
}

// Close ends the connection.
func (r *Remote) Close() error { return r.abort() }

// ReadFile implements [Reader].
func (r *Remote) ReadFile(name string) ([]byte, error) {
	if err := checkPath(name); err != nil {
		return nil, &Error{"read", name, err}
	}
	clean := path.Clean(name)
	a, ok := lookup(r, r.reads, clean, question{kind: 'R', key: clean, pat: literal(clean)})
	switch {
	case clean == "/":
		return nil, &Error{"read", name, ErrNotRegular}
	case !ok:
		return nil, &Error{"read", name, ErrPending}
	case a.err != nil:
		return nil, &Error{"read", name, a.err}
	}
	return bytes.Clone(a.value), nil
}

// Stat implements [Reader].
func (r *Remote) Stat(name string) (File, error) {
	if err := checkPath(name); err != nil {
		return File{}, &Error{"stat", name, err}
	}
	clean := path.Clean(name)
	a, ok := lookup(r, r.stats, clean, question{kind: 'S', key: clean})
	switch {
	case !ok:
		return File{}, &Error{"stat", name, ErrPending}
	case a.err != nil:
		return File{}, &Error{"stat", name, a.err}
	}
	return a.value, nil
}

// List implements [Reader].
func (r *Remote) List(text string) ([]File, error) {
	p, err := parsePattern(text)
	if err != nil {
		return nil, &Error{"list", text, err}
	}
	a, ok := lookup(r, r.lists, text, question{kind: 'L', key: text, pat: p})
	switch {
	case !ok:
		return nil, &Error{"list", text, ErrPending}
	case a.err != nil:
		return append([]File(nil), a.value...), &Error{"list", text, a.err}
	}
	return append([]File(nil), a.value...), nil
}

// Run implements [Reader].
func (r *Remote) Run(c Command) (Output, error) {
	if err := checkCommand(c); err != nil {
		return Output{}, &Error{"run", c.Name, err}
	}
	if len(c.Env) > 0 {
		return Output{}, &Error{"run", c.Name, ErrUnavailable}
	}
	a, ok := lookup(r, r.runs, commandKey(c), question{kind: 'X', key: commandKey(c), cmd: c})
	switch {
	case !ok:
		return Output{}, &Error{"run", c.Name, ErrPending}
	case a.err != nil:
		return Output{}, &Error{"run", c.Name, a.err}
	}
	return a.value, nil
}

func commandKey(c Command) string { return strings.Join(c.Argv, "\x00") }

// literal makes a pattern of a path, in which nothing is a wildcard.
func literal(clean string) pattern {
	return pattern{text: clean, elems: strings.Split(clean[1:], "/"), plain: true}
}

// lookup returns a cached answer, or notes the question.
func lookup[T any](r *Remote, cache map[string]answer[T], key string, q question) (answer[T], bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if a, ok := cache[key]; ok {
		return a, true
	}
	if r.infer(q) {
		return cache[key], true
	}
	r.note(q)
	return answer[T]{}, false
}

// note puts a question on the list of the next round, once.
func (r *Remote) note(q question) {
	if id := string(q.kind) + q.key; !r.asked[id] {
		r.asked[id] = true
		r.pending = append(r.pending, q)
	}
}

// Prefetch implements [Batcher]. A need that is malformed is not fetched; asking for it gives its error.
func (r *Remote) Prefetch(needs []Need) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range needs {
		if n.Read != "" {
			if !isWild(n.Read) && checkPath(n.Read) == nil && path.Clean(n.Read) != "/" {
				r.note(question{kind: 'R', key: path.Clean(n.Read), pat: literal(path.Clean(n.Read))})
			} else if p, err := parsePattern(n.Read); err == nil {
				r.note(question{kind: 'R', key: n.Read, pat: p})
				r.asked["L"+n.Read] = true // reading what matches lists it too
			}
		}
		if p, err := parsePattern(n.List); err == nil && n.List != "" {
			r.note(question{kind: 'L', key: n.List, pat: p})
		}
		if n.Stat != "" && checkPath(n.Stat) == nil {
			r.note(question{kind: 'S', key: path.Clean(n.Stat)})
		}
		if len(n.Run.Argv) > 0 && checkCommand(n.Run) == nil {
			r.note(question{kind: 'X', key: commandKey(n.Run), cmd: n.Run})
		}
	}
}

// Flush implements [Batcher].
func (r *Remote) Flush() (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.pending) == 0 {
		return false, nil
	}
	asked := r.pending
	r.pending = nil
	clear(r.asked)
	r.rounds++

	limit := roundLimit(asked)
	var late atomic.Bool
	timer := time.AfterFunc(limit, func() { late.Store(true); _ = r.abort() })
	defer timer.Stop()
	_, err := r.stream.Write(encode(asked))
	if err == nil {
		err = r.receive(asked)
	}
	if late.Load() {
		return true, fmt.Errorf("the host did not answer within %s: %w", limit, ErrTimeout)
	}
	if err != nil {
		return true, r.dead(err)
	}
	return true, nil
}

// roundLimit is how long a round may take: reading, and the commands as many at a time as the far side runs.
func roundLimit(asked []question) time.Duration {
	var all, longest time.Duration
	for _, q := range asked {
		if q.kind == 'X' {
			all += seconds(q.cmd)
			longest = max(longest, seconds(q.cmd))
		}
	}
	return roundTimeout + max(all/parallelCommands, longest)
}

// seconds is the time limit of a command in whole seconds, which is what the far side counts in.
func seconds(c Command) time.Duration {
	if c.Timeout <= 0 {
		return defaultTimeout
	}
	return (c.Timeout + time.Second - 1).Truncate(time.Second)
}

// encode makes the frame of a round.
func encode(asked []question) []byte {
	b := make([]byte, 4)
	word := func(s string) {
		b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
		b = append(b, s...)
	}
	for i, q := range asked {
		b = append(b, q.kind)
		b = binary.BigEndian.AppendUint32(b, uint32(i))
		switch q.kind {
		case 'S':
			word(q.key)
		case 'X':
			b = binary.BigEndian.AppendUint32(b, uint32(seconds(q.cmd)/time.Second))
			b = binary.BigEndian.AppendUint32(b, uint32(len(q.cmd.Argv)))
			for _, a := range q.cmd.Argv {
				word(a)
			}
		default:
			kinds, words := q.pat.wire()
			b = binary.BigEndian.AppendUint32(b, uint32(len(words)))
			for j, w := range words {
				b = append(b, kinds[j])
				word(w)
			}
		}
	}
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

// remoteError gives an error of the far side its meaning.
func remoteError(s string) error {
	switch s {
	case "":
		return nil
	case "noent":
		return fs.ErrNotExist
	case "perm":
		return fs.ErrPermission
	case "notreg":
		return ErrNotRegular
	case "big":
		return ErrTooLarge
	case "budget":
		return fmt.Errorf("the answers of one round exceed %d MiB: %w", roundBudget>>20, ErrTooLarge)
	case "loop":
		return errLoop
	case "time":
		return ErrTimeout
	}
	return errors.New(s)
}
