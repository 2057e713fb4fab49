package host_test

import (
	"io"
	"os"
	"os/exec"
	"testing"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/host/hosttest"
)

func TestLocal(t *testing.T) {
	hosttest.Suite(t, func(_ *testing.T, tree string) hosttest.Target {
		return hosttest.Target{Reader: host.NewLocal(), Prefix: tree, Runs: true}
	})
}

func openTree(t *testing.T, tree string) *host.Tree {
	t.Helper()
	d, err := host.OpenDir(tree)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func TestTree(t *testing.T) {
	hosttest.Suite(t, func(t *testing.T, tree string) hosttest.Target {
		return hosttest.Target{Reader: openTree(t, tree), Rooted: true}
	})
}

func TestTreeWithoutOpenat2(t *testing.T) {
	hosttest.Suite(t, func(t *testing.T, tree string) hosttest.Target {
		d := openTree(t, tree)
		host.WithoutOpenat2ForTest(d)
		return hosttest.Target{Reader: d, Rooted: true}
	})
}

// pipe is the stream to a process.
type pipe struct {
	io.Reader
	io.Writer
}

// startRemote runs the far side as sshd would: the boot command in a shell.
func startRemote(t *testing.T, shell ...string) *host.Remote {
	t.Helper()
	return startCommand(t, host.BootCommandForTest(false), shell...)
}

// startCommand runs a boot command, in sh unless another shell is given.
func startCommand(t *testing.T, boot string, shell ...string) *host.Remote {
	t.Helper()
	if len(shell) == 0 {
		shell = []string{"sh", "-c"}
	}
	cmd := exec.Command(shell[0], append(shell[1:], boot)...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	abort := func() error { in.Close(); return cmd.Process.Kill() }
	t.Cleanup(func() { _ = abort(); _ = cmd.Wait() })
	r, err := host.NewRemoteForTest(pipe{out, in}, abort)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRemote(t *testing.T) {
	hosttest.Suite(t, func(t *testing.T, tree string) hosttest.Target {
		return hosttest.Target{Reader: startRemote(t, "sh", "-c"), Prefix: tree, Runs: true}
	})
}
