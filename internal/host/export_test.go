package host

import "io"

// NewRemoteForTest starts the far side over a stream where a Perl waits.
func NewRemoteForTest(stream io.ReadWriter, abort func() error) (*Remote, error) {
	return newRemote(stream, abort, func(err error) error { return err })
}

// BootCommandForTest is the shell command that starts the far side.
func BootCommandForTest(sudo bool) string { return bootCommand(sudo) }

// PerlRegexForTest translates an element of a pattern.
func PerlRegexForTest(elem string) string { return perlRegex(elem) }

// WithoutOpenat2ForTest makes a tree resolve links as on kernels that lack openat2.
func WithoutOpenat2ForTest(d *Tree) { d.view.open = joined(d.fd.Name()) }

// SetUserspace lets a tree take its file system for one in user space, as the cluster file system is, or not.
func SetUserspace(d *Tree, yes bool) { d.fuse = func(int) bool { return yes } }

// TryDirLock takes a lock that is a directory as if its file system were shared with other machines.
func TryDirLock(name string) (func() error, error) {
	return lockDir(name, func(int) bool { return true })
}
