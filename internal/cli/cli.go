// Package cli is the command line: one file per verb, which turns flags into one call of a pillar and the result into
// output and an exit code. It decides nothing itself. It is also the edge where the clock, the terminal and the
// environment are read and handed down.
package cli

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// The exit codes, the same for every command (docs/exit-codes.md).
const (
	ExitOK       = 0 // fine
	ExitFindings = 1 // findings at or above --fail-on, or differences
	ExitUsage    = 2 // wrong usage or configuration
	ExitTarget   = 3 // the target could not be read or changed
	ExitRefused  = 4 // refused by a guard
	ExitPartial  = 5 // some targets failed
)

// gcPercent is how much the heap may grow between collections, in percent; Go's default is 100. With 80 a scan with the whole
// catalogue stays under the 60 MB of its budget.
const gcPercent = 80

// firstGC is how many bytes of memory the Go runtime may hold before garbage is collected for the first time. A saved
// bundle is judged with less, which takes a fifth off its time.
const firstGC = 32 << 20

// exitError is an error with the exit code that it leads to. An empty text prints nothing: the output said it.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

func exit(code int, err error) error { return &exitError{code: code, err: err} }

func usage(format string, args ...any) error { return exit(ExitUsage, fmt.Errorf(format, args...)) }

// app holds what the outside world gives a command.
type app struct {
	in       io.Reader
	out, err io.Writer
	now      func() time.Time
	env      func(string) string
	// asking keeps questions of targets that are read side by side apart.
	asking sync.Mutex
}

// Main runs castellan with the arguments after the program's name and returns the exit code.
func Main(args []string, in io.Reader, out, errw io.Writer) int {
	a := &app{in: in, out: out, err: errw, now: time.Now, env: os.Getenv}
	if a.env("GOGC") == "" {
		collectLate()
	}
	root := a.root()
	root.SetArgs(args)
	err := root.Execute()
	if err == nil {
		return ExitOK
	}
	var e *exitError
	if !errors.As(err, &e) {
		e = &exitError{code: ExitUsage, err: err} // cobra's own errors are about usage
	}
	if text := e.Error(); text != "" {
		fmt.Fprintln(errw, "castellan: "+text)
	}
	return e.code
}

// collectLate puts the first garbage collection off until the program holds firstGC bytes: most questions are answered
// with less. From then on the heap may grow by gcPercent, because a scan lives for a second and holds little.
func collectLate() {
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(firstGC)
	runtime.AddCleanup(new([16]byte), func(struct{}) { // runs after the first collection
		debug.SetGCPercent(gcPercent)
		debug.SetMemoryLimit(math.MaxInt64)
	}, struct{}{})
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "castellan",
		Short: "Inspect and harden Proxmox VE and Debian hosts",
		Long: `castellan inspects and repairs the walls of virtualization hosts: Proxmox VE 8 and 9, plain Debian, and the guests
of VMware.

  castellan scan                      judge this machine
  castellan scan ssh://root@pve1      judge a host over SSH; nothing is installed there
  castellan scan ./rootfs             judge a directory that holds a root file system or parts of one
  castellan plan -o plan.json         say exactly what would repair it, and whether you would still get in
  castellan apply plan.json           do it; the host takes it back unless you confirm over a new connection
  castellan revert                    take back what was done
  castellan pve who-can VM.Console /vms/100
                                      ask about the cluster: permissions, firewall, guests, backups, network
  castellan controls list             what is judged`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       Version(),
	}
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.SetVersionTemplate("castellan {{.Version}}\n")
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(a.scanCommand(), a.collectCommand(), a.diffCommand(), a.controlsCommand(), a.attestCommand(), a.planCommand(), a.applyCommand(), a.confirmCommand(), a.revertCommand(),
		a.historyCommand(), a.holdCommand(), a.pveCommand(), a.vmxCommand())
	return root
}

// version is set by the build (-ldflags -X).
var version = ""

// Version is castellan's version: that of the build, else that of the module, else "devel".
func Version() string {
	if version != "" {
		return version
	}
	if b, ok := debug.ReadBuildInfo(); ok && b.Main.Version != "" && b.Main.Version != "(devel)" {
		return b.Main.Version
	}
	return "devel"
}

// terminal reports whether w is a terminal, and its width in columns.
func terminal(w io.Writer) (bool, int) {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return false, 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return true, 0
	}
	return true, width
}

// color reports whether w may be coloured: a terminal, and no NO_COLOR (https://no-color.org).
func (a *app) color(w io.Writer) bool {
	tty, _ := terminal(w)
	return tty && a.env("NO_COLOR") == "" && a.env("TERM") != "dumb"
}
