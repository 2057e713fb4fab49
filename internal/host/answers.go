package host

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"syscall"
	"time"
)

// errLoop is what resolving a circle of links gives on every kind of target.
const errLoop = syscall.ELOOP

// errGarbled means that the far side does not keep to the protocol.
var errGarbled = errors.New("the host's answer is garbled")

// frame is the body of an answer, eaten from the front. Its methods give zero values past the end; bad tells.
type frame struct{ rest []byte }

func (f *frame) take(n int) []byte {
	if n < 0 || n > len(f.rest) {
		f.rest = nil
		return nil
	}
	b := f.rest[:n]
	f.rest = f.rest[n:]
	return b
}

func (f *frame) byte() byte {
	if b := f.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (f *frame) number() uint32 {
	if b := f.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (f *frame) number64() int64 {
	if b := f.take(8); b != nil {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

func (f *frame) bytes() []byte { return f.take(int(f.number())) }

func (f *frame) word() string { return string(f.bytes()) }

// receive reads answers until the end of the round and files them.
func (r *Remote) receive(asked []question) error {
	found := make([][]File, len(asked))
	received := 0
	for {
		var head [4]byte
		if _, err := io.ReadFull(r.in, head[:]); err != nil {
			return err
		}
		n := int(binary.BigEndian.Uint32(head[:]))
		received += n
		r.bytes += int64(n)
		// Twice the budget leaves room for paths and listings; a host that sends more does not keep to the rules.
		if n > MaxFile+1<<16 || received > 2*roundBudget {
			return fmt.Errorf("%w: it is too long", errGarbled)
		}
		body := make([]byte, n)
		if _, err := io.ReadFull(r.in, body); err != nil {
			return err
		}
		f := &frame{body}
		kind := f.byte()
		if kind == 'z' {
			return nil
		}
		id := int(f.number())
		if id >= len(asked) {
			return errGarbled
		}
		if err := r.file(kind, asked[id], f, &found[id]); err != nil {
			return err
		}
	}
}

// file puts one answer where it will be looked up.
func (r *Remote) file(kind byte, q question, f *frame, found *[]File) error {
	switch kind {
	case 'i':
		fi := entry(f)
		if q.kind == 'S' {
			r.stats[q.key] = answer[File]{value: fi}
			return nil
		}
		if len(*found) >= MaxList {
			return errGarbled
		}
		*found = append(*found, fi)
	case 'd':
		name, problem, content := f.word(), f.word(), f.bytes()
		r.reads[name] = answer[[]byte]{content, remoteError(problem)}
	case 'o':
		problem := f.word()
		code := int(f.number())
		out := Output{Stdout: f.bytes(), Stderr: f.bytes(), Code: code}
		r.runs[q.key] = answer[Output]{out, remoteError(problem)}
	case 'e':
		r.finish(q, *found, remoteError(f.word()))
	default:
		return errGarbled
	}
	return nil
}

// entry decodes what lstat said of one entry.
func entry(f *frame) File {
	fi := File{
		Type: FileType(f.number()), Mode: f.number(), UID: int(f.number()), GID: int(f.number()),
		Size: f.number64(), ModTime: time.Unix(f.number64(), 0).UTC(),
	}
	fi.Link, fi.Path = f.word(), f.word()
	return fi
}

// finish draws the conclusions at the end of a request: what did not come back is not there.
func (r *Remote) finish(q question, found []File, err error) {
	for _, fi := range found {
		if fi.Type != Link {
			r.stats[fi.Path] = answer[File]{value: fi}
		}
		if _, sent := r.reads[fi.Path]; q.kind == 'R' && fi.Type == Dir && !sent {
			r.reads[fi.Path] = answer[[]byte]{err: ErrNotRegular}
		}
	}
	switch {
	case q.kind == 'S':
		if err != nil {
			r.stats[q.key] = answer[File]{err: err}
		}
		return
	case q.kind == 'R' && q.pat.plain:
		if _, sent := r.reads[q.key]; !sent {
			if err == nil {
				err = fs.ErrNotExist
			}
			r.reads[q.key] = answer[[]byte]{err: err}
		}
		return
	}
	if errors.Is(err, ErrTooLarge) {
		found = nil
	}
	sortByPath(found)
	r.lists[q.key] = answer[[]File]{found, err}
	if err == nil {
		r.dirs.learn(q.pat, found)
	}
}
