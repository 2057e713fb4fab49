package cli

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/signal"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/change/keeper"
	"github.com/castellan-project/castellan/internal/change/kinds"
	"github.com/castellan-project/castellan/internal/change/lockout"
	"github.com/castellan-project/castellan/internal/change/session"
	"github.com/castellan-project/castellan/internal/host"
)

// operatorFlags say who must still get in after a change, beside the operator of the present session.
type operatorFlags struct {
	admins []string
	// parsed are the admins once they are checked.
	parsed []change.Operator
	// as is the name that this host has for whoever sent us there: a plan made over SSH is for that target.
	as string
	// begun is set when something was changed already that is confirmed or taken back.
	begun bool
	// vsphere says how a target vsphere:// is reached.
	vsphere vsphereFlags
}

func addOperatorFlags(cmd *cobra.Command, f *operatorFlags) {
	cmd.Flags().StringArrayVar(&f.admins, "admin", nil,
		"`user@address` or user@network who must still get in by SSH afterwards, beside you; repeatable")
	cmd.Flags().StringVar(&f.as, "as", "", "the target as the sender names it")
	_ = cmd.Flags().MarkHidden("as") // it was declared in the line above
	addVSphereFlags(cmd.Flags(), &f.vsphere)
}

// check reads the flags.
func (f *operatorFlags) check() error {
	f.parsed = nil
	for _, s := range f.admins {
		o, err := parseOperator(s)
		if err != nil {
			return usage("--admin %s: %w", s, err)
		}
		f.parsed = append(f.parsed, o)
	}
	return nil
}

// parseOperator reads user@address or user@network.
func parseOperator(s string) (change.Operator, error) {
	i := strings.LastIndexByte(s, '@')
	if i <= 0 {
		return change.Operator{}, fmt.Errorf("write user@address or user@network, as in root@192.0.2.0/24")
	}
	user, from := s[:i], s[i+1:]
	// What login names look like everywhere (useradd(8)), and those of directories with a domain.
	for _, r := range user {
		if r <= ' ' || r == 0x7f || strings.ContainsRune(`:/,*?"'`, r) {
			return change.Operator{}, fmt.Errorf("%q is no login name", user)
		}
	}
	o := change.Operator{User: user}
	if p, err := netip.ParsePrefix(from); err == nil {
		o.Address = p.Masked().String()
		return o, nil
	}
	addr, err := netip.ParseAddr(from)
	if err != nil || addr.Zone() != "" {
		return change.Operator{}, fmt.Errorf("%q is no address and no network; write 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32", from)
	}
	o.Address = addr.Unmap().String()
	return o, nil
}

// planner opens a target that can be changed and returns what makes plans for it. The second result closes the target.
func (a *app) planner(ctx context.Context, target string, f *operatorFlags) (*change.Planner, func() error, error) {
	if err := f.check(); err != nil {
		return nil, nil, err
	}
	o, err := a.openChanged(ctx, target, f)
	if err != nil {
		return nil, nil, changeExit(err)
	}
	machine, ok := o.reader.(host.Machine)
	if !ok {
		o.close() //nolint:errcheck // it was only read
		return nil, nil, exit(ExitTarget, fmt.Errorf("%s can be read and not changed; a target that is changed is local or a directory", target))
	}
	h, err := hostOf(machine, o.desc)
	if err != nil {
		o.close() //nolint:errcheck // it was only read
		return nil, nil, exit(ExitTarget, err)
	}
	if f.as != "" {
		h.Target, h.Kind = f.as, "ssh"
	}
	operators := f.parsed
	scratch := host.Machine(nil)
	if o.desc.Kind == "local" {
		if op, ok := a.connection().Operator(); ok {
			operators = append([]change.Operator{op}, operators...)
		}
		if o.desc.Root {
			scratch = machine
		}
	}
	return &change.Planner{Machine: machine, Target: o.desc, Host: h, Kinds: kinds.All(), Operators: operators,
		Guards: lockout.All(lockout.Options{Scratch: scratch, Dir: lockoutScratch}), Tool: "castellan " + Version(), Now: a.now()}, o.close, nil
}

// openChanged opens a target that is changed. A directory of which a change was begun is opened without its own description: in
// the middle of the change the two need not agree.
func (a *app) openChanged(ctx context.Context, target string, f *operatorFlags) (*opened, error) {
	if isVSphere(target) {
		return a.openVSphere(ctx, target, &f.vsphere)
	}
	if st, err := os.Stat(target); !f.begun || err != nil || !st.IsDir() || target == "local" {
		return a.open(ctx, target, &targetFlags{})
	}
	d, err := host.OpenBare(target)
	if err != nil {
		return nil, err
	}
	desc := d.Describe()
	desc.Name = target
	return &opened{reader: d, desc: desc, close: d.Close}, nil
}

// lockoutScratch is where sshd is asked about a configuration that is not in force: below a directory of root's that is
// emptied at every start.
const lockoutScratch = "/run/castellan-lockout"

// connection is the one over which this process is used.
func (a *app) connection() session.Connection {
	return session.Find(session.Source{Reader: host.NewLocal(), PID: os.Getpid(), Env: a.env})
}

// actor says who uses this process.
func (a *app) actor(c session.Connection) change.Actor {
	name := strconv.Itoa(os.Geteuid())
	if u, err := user.LookupId(name); err == nil {
		name = u.Username
	}
	return c.Actor(name)
}

// addStateFlag adds the directory of the record of transactions.
func addStateFlag(cmd *cobra.Command, state *string) {
	cmd.Flags().StringVar(state, "state", defaultState, "`directory` of castellan's own state, where what was before is kept")
}

// keeper returns what holds the deadlines of a target; nil for a directory, which has none.
func (a *app) keeper(p *change.Planner, state string) (change.Keeper, error) {
	if p.Target.Kind == "dir" {
		return nil, nil
	}
	state, err := filepath.Abs(state)
	if err != nil {
		return nil, usage("--state: %w", err)
	}
	k, err := keeper.New(keeper.Options{Machine: p.Machine, State: state, Binary: ownProgram, Now: a.now})
	if err != nil {
		return nil, exit(ExitRefused, err)
	}
	return k, nil
}

// engine returns what changes a target and takes it back; without a planner it only tells what it did. The state directory
// may be given relative to the present one.
func (a *app) engine(p *change.Planner, k change.Keeper, state string, progress func(n, of int, words string)) (*change.Engine, error) {
	state, err := filepath.Abs(state)
	if err != nil {
		return nil, usage("--state: %w", err)
	}
	o := change.EngineOptions{Store: host.NewLocal(), State: state, Now: a.now, Sleep: time.Sleep, Trials: kinds.Trials(), Progress: progress}
	if p != nil {
		o.Machine, o.Host = p.Machine, p.Host
	}
	if p != nil && p.Target.Kind != "dir" {
		o.Keeper, o.Stamp, o.Second = k, kernelClock, a.second(p)
	}
	e, err := change.NewEngine(o)
	if err != nil {
		return nil, exit(ExitTarget, err)
	}
	return e, nil
}

// ownProgram is the program that runs.
func ownProgram() ([]byte, error) { return os.ReadFile("/proc/self/exe") }

// ticksPerSecond is the unit of start times in /proc: USER_HZ, which is 100 on every architecture that we build for.
const ticksPerSecond = 100

// kernelClock gives the present start of the kernel and how long ago it was, in the unit of proc(5)'s start times. Those are
// counted on the clock that goes on while the machine sleeps.
func kernelClock() (string, uint64) {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	var ts unix.Timespec
	if err != nil || unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) != nil {
		return "", 0
	}
	return strings.TrimSpace(string(id)), uint64(ts.Sec)*ticksPerSecond + uint64(ts.Nsec)/(1e9/ticksPerSecond)
}

// needRoot refuses to change this machine as somebody else.
func needRoot(p *change.Planner, doing string) error {
	if p.Target.Root {
		return nil
	}
	return exit(ExitRefused, fmt.Errorf("%s on this machine needs root: run it with sudo", doing))
}

// changeExit gives an error of the engine its exit code.
func changeExit(err error) error {
	var known *exitError
	var refused *change.RefusedError
	var stale *change.StaleError
	var plan *change.PlanError
	var record *change.RecordError
	var damage *change.DamageError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return err
	case errors.As(err, &stale):
		return exit(ExitRefused, lines("the host is not as it was when the plan was made", stale.Reasons, "make the plan again; nothing was changed"))
	case errors.As(err, &refused) && len(refused.Details) > 0:
		return exit(ExitRefused, lines(refused.Reason, refused.Details, refused.Hint))
	case errors.As(err, &refused), errors.As(err, &record), errors.As(err, &damage):
		return exit(ExitRefused, err)
	case errors.As(err, &plan):
		return exit(ExitUsage, err)
	}
	return exit(ExitTarget, err)
}

// lines is an error of several lines: what, one line for each detail, and how to go on.
func lines(what string, details []string, hint string) error {
	s := what + ":"
	for _, d := range details {
		s += "\n  " + harmless(d)
	}
	if hint != "" {
		s += "\n" + hint
	}
	return errors.New(s)
}

// transactionsJSON is what apply, confirm, revert and history print with --json.
type transactionsJSON struct {
	Version      string               `json:"version"`
	Transactions []change.Transaction `json:"transactions"`
	// Damaged are records that cannot be used, with what is known of them.
	Damaged []change.Damage `json:"damaged,omitempty"`
}

func (a *app) printTransactions(list []change.Transaction, damaged []change.Damage) error {
	b, err := json.MarshalIndent(transactionsJSON{Version: "1", Transactions: append([]change.Transaction{}, list...), Damaged: damaged}, "", "  ")
	if err == nil {
		_, err = a.out.Write(append(b, '\n'))
	}
	if err != nil {
		return exit(ExitTarget, fmt.Errorf("cannot print the transactions: %w", err))
	}
	return nil
}

// asksOn reports whether there is a terminal to ask on.
func (a *app) asksOn() bool {
	in, ok := a.in.(*os.File)
	return ok && term.IsTerminal(int(in.Fd()))
}

// agree asks a question; without a terminal only --yes agrees.
func (a *app) agree(question string, yes bool) error {
	if yes {
		return nil
	}
	if !a.asksOn() {
		return usage("there is no terminal to ask on; --yes does it without asking")
	}
	fmt.Fprintf(a.err, "%s [y/N] ", question)
	answer, err := a.readLine(10 * time.Minute)
	if err != nil {
		return exit(ExitRefused, err)
	}
	if w := strings.ToLower(strings.TrimSpace(answer)); w != "y" && w != "yes" {
		return exit(ExitRefused, errors.New("not agreed; nothing was changed"))
	}
	return nil
}

// readLine reads a line that a person types within a time.
func (a *app) readLine(within time.Duration) (string, error) {
	type line struct {
		text string
		err  error
	}
	typed := make(chan line, 1)
	go func() {
		text, err := bufio.NewReader(io.LimitReader(a.in, 1<<10)).ReadString('\n')
		typed <- line{text, err}
	}()
	select {
	case l := <-typed:
		if l.err != nil && l.text == "" {
			return "", errors.New("nothing was typed; nothing was changed")
		}
		return l.text, nil
	case <-time.After(within):
		fmt.Fprintln(a.err)
		return "", fmt.Errorf("nothing was typed within %s; nothing was changed", within)
	}
}

// steady keeps signals from stopping a change halfway: a session that hangs up, an operator's Ctrl-C, a pipe that nobody
// reads any more. The first result ends it and tells whether somebody wanted to stop.
func (a *app) steady() (end func() bool) {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	done, wanted := make(chan struct{}), make(chan bool)
	go func() {
		stop := false
		for {
			select {
			case s := <-signals:
				if !stop && (s == os.Interrupt || s == syscall.SIGTERM) {
					stop = true
					fmt.Fprintln(a.err, "castellan: stopping is safe only when the step is whole; please wait")
				}
			case <-done:
				wanted <- stop
				return
			}
		}
	}()
	return func() bool {
		signal.Stop(signals)
		close(done)
		return <-wanted
	}
}

// hostOf says which host a plan is for.
func hostOf(r host.Reader, desc host.Description) (change.Host, error) {
	h := change.Host{Target: desc.Name, Kind: desc.Kind}
	if desc.Kind == "dir" && !isVSphere(desc.Name) {
		abs, err := filepath.Abs(desc.Name)
		if err != nil {
			return h, fmt.Errorf("cannot tell the place of %s: %w", desc.Name, err)
		}
		h.Target = abs
	}
	var err error
	if h.Hostname, err = firstWord(r, "/etc/hostname"); err != nil {
		return h, err
	}
	id, err := firstWord(r, "/etc/machine-id")
	if err != nil {
		return h, err
	}
	if id != "" && id != "uninitialized" {
		// machine-id(5): the id must not be shown; a keyed hash of it may.
		mac := hmac.New(sha256.New, []byte(id))
		mac.Write([]byte("castellan plan"))
		h.MachineID = hex.EncodeToString(mac.Sum(nil)[:16])
	}
	return h, nil
}

// firstWord is the first word of a file that holds one; empty when there is no such file.
func firstWord(r host.Reader, name string) (string, error) {
	b, err := r.ReadFile(name)
	if host.NotExist(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if f := strings.Fields(string(b[:min(len(b), 1<<10)])); len(f) > 0 {
		return strings.ToValidUTF8(f[0], "?"), nil
	}
	return "", nil
}
