package change

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/castellan-project/castellan/internal/host"
)

// DefaultState is where the record of transactions lies unless the user says otherwise.
const DefaultState = "/var/lib/castellan"

// The bounds of the time to confirm, for hosts that run: less than half a minute lets nobody open a connection, and a host
// that has stood for a day under a change is used with it.
const (
	MinWithin = 30 * time.Second
	MaxWithin = 24 * time.Hour
)

// EngineOptions are what an Engine works with. Store, State and Now are needed by all of it.
type EngineOptions struct {
	// Machine is the target and Host says which one it is. Without them an engine only tells of [Engine.Transactions].
	Machine host.Machine
	Host    Host
	// Store is the machine that holds State, the directory of the record: host.NewLocal.
	Store host.Machine
	State string
	// Keeper holds the deadline; nil for directories, which have none.
	Keeper Keeper
	// Second lets another node of the cluster hold the deadline too; nil for none.
	Second Second
	Now    func() time.Time
	// Sleep waits; nil waits not at all.
	Sleep func(time.Duration)
	// Stamp gives the id of the present boot and the clock of the kernel in ticks; nil for directories.
	Stamp func() (bootID string, ticks uint64)
	// Trials are the trials by name.
	Trials map[string]Trial
	// Progress is told of every step before it is made: its number from 1, how many there are, and what it is. It may be nil.
	Progress func(n, of int, words string)
}

// Engine applies plans to one target, keeps the record of it, and takes it back.
type Engine struct{ o EngineOptions }

// NewEngine returns an engine. It touches nothing yet.
func NewEngine(o EngineOptions) (*Engine, error) {
	switch {
	case !strings.HasPrefix(o.State, "/") || strings.ContainsRune(o.State, 0):
		return nil, fmt.Errorf("the state directory %q is not an absolute path", o.State)
	case o.Store == nil || o.Now == nil:
		return nil, errors.New("an engine needs a store and a clock")
	}
	o.State = path.Clean(o.State)
	if o.Sleep == nil {
		o.Sleep = func(time.Duration) {}
	}
	if o.Stamp == nil {
		o.Stamp = func() (string, uint64) { return "", 0 }
	}
	if o.Progress == nil {
		o.Progress = func(int, int, string) {}
	}
	return &Engine{o}, nil
}

// live reports whether a host runs: actions have an effect there, and a deadline is kept.
func (h Host) live() bool { return h.Kind != "dir" }

// sameHost reports whether two descriptions mean one host. A host that runs is known by its machine-id, a directory by its path.
func sameHost(a, b Host) bool {
	if a.live() != b.live() || a.Kind == "" || b.Kind == "" {
		return false
	}
	if !a.live() {
		return a.Target == b.Target
	}
	if a.MachineID != "" || b.MachineID != "" {
		return a.MachineID == b.MachineID
	}
	// Not by the name of the target: it is "local" for who works on the host and ssh://... for who sent us there.
	return a.Hostname == b.Hostname
}

// lock keeps two processes from working on one state directory. The second is refused at once.
func (e *Engine) lock(by Actor, doing string) (func(), error) {
	if err := e.mkdir(e.o.State); err != nil {
		return nil, &RecordError{err}
	}
	release, err := host.Lock(path.Join(e.o.State, "lock"), fmt.Sprintf("%s, %s since %s", by.words(), doing, e.o.Now().UTC().Format(time.RFC3339)))
	var held *host.LockedError
	if errors.As(err, &held) {
		return nil, &RefusedError{Reason: "another castellan is at work: " + held.Error(), Hint: "wait until it has ended"}
	}
	return release, err
}

// words names an actor.
func (a Actor) words() string {
	who := a.User
	if who == "" {
		who = "somebody"
	}
	if a.Login != "" && a.Login != a.User {
		who = a.Login + " as " + who
	}
	if a.From != "" {
		who += " from " + a.From
	}
	return who
}

// mkdir makes a private directory of the state, and those above it.
func (e *Engine) mkdir(name string) error {
	n, err := e.o.Store.Look(name)
	if err != nil {
		return err
	}
	switch n.Type {
	case host.Dir:
		return nil
	case host.Absent:
	case host.Link:
		if f, err := e.o.Store.Stat(name); err == nil && f.Type == host.Dir {
			return nil
		}
		fallthrough
	default:
		return fmt.Errorf("%s is not a directory", name)
	}
	if parent := path.Dir(name); parent != name {
		if err := e.mkdir(parent); err != nil {
			return err
		}
	}
	return e.o.Store.Put(name, host.Node{Type: host.Dir, Mode: 0o700, UID: -1, GID: -1})
}

// Transactions tells of all transactions in the state directory, of every target, oldest first, and of the records that are
// damaged. A state directory that does not exist holds none.
func (e *Engine) Transactions() ([]Transaction, []Damage, error) {
	states, damages, err := e.states()
	if err != nil {
		return nil, nil, err
	}
	out := make([]Transaction, len(states))
	for i, s := range states {
		out[i] = s.Transaction
	}
	return out, damages, nil
}

// Confirmed are the windows of a plan that were applied to this host and confirmed, for [Planner.Redraft].
func (e *Engine) Confirmed(plan *Plan) ([]string, error) {
	states, err := e.ours()
	if err != nil {
		return nil, err
	}
	var out []string
	for _, s := range states {
		if t := s.Transaction; t.Plan == plan.Digest && t.State == Committed {
			out = with(out, t.Window)
		}
	}
	return out, nil
}

// states reads the state of every transaction that has begun, oldest first.
func (e *Engine) states() ([]stateDoc, []Damage, error) {
	ids, err := e.ids()
	if err != nil {
		return nil, nil, err
	}
	var out []stateDoc
	var damages []Damage
	for _, id := range ids {
		s, err := e.readState(id)
		var damage *DamageError
		switch {
		case errors.Is(err, errNeverBegan):
		case errors.As(err, &damage):
			damages = append(damages, damage.Damage)
		case err != nil:
			return nil, nil, err
		default:
			out = append(out, *s)
		}
	}
	return out, damages, nil
}

// ids lists what is in the record, oldest first.
func (e *Engine) ids() ([]string, error) {
	dir := path.Join(e.o.State, "transactions")
	found, err := e.o.Store.List(host.Quote(dir) + "/*")
	if err != nil && !host.NotExist(err) {
		return nil, fmt.Errorf("cannot list the transactions: %w", err)
	}
	var ids []string
	for _, f := range found {
		if name := path.Base(f.Path); f.Type == host.Dir && validID(name) {
			ids = append(ids, name)
		}
	}
	slices.SortFunc(ids, compareIDs)
	return ids, nil
}

// ours gives the transactions of this engine's host, oldest first. A record that is damaged makes it an error: it might be one.
func (e *Engine) ours() ([]stateDoc, error) {
	if e.o.Machine == nil || e.o.Host.Kind == "" {
		return nil, errors.New("the engine was given no host to work on")
	}
	states, damages, err := e.states()
	if err != nil {
		return nil, err
	}
	if len(damages) > 0 {
		return nil, &DamageError{damages[0]}
	}
	return slices.DeleteFunc(states, func(s stateDoc) bool { return !sameHost(s.Transaction.Host, e.o.Host) }), nil
}

// find gives the transaction of an id, or with "" the newest of this host that fits.
func (e *Engine) find(id string, fits func(Transaction) bool, none string) (*stateDoc, error) {
	if e.o.Machine == nil || e.o.Host.Kind == "" {
		return nil, errors.New("the engine was given no host to work on")
	}
	if id == "" {
		states, err := e.ours()
		if err != nil {
			return nil, err
		}
		for _, s := range slices.Backward(states) {
			if fits(s.Transaction) {
				return &s, nil
			}
		}
		return nil, &RefusedError{Reason: none, Hint: "castellan history lists the transactions"}
	}
	if !validID(id) {
		return nil, &PlanError{fmt.Sprintf("%q is not the id of a transaction: castellan history lists them", id)}
	}
	s, err := e.readState(id)
	if errors.Is(err, errNeverBegan) {
		return nil, &PlanError{fmt.Sprintf("there is no transaction %s: castellan history lists them", id)}
	}
	if err != nil {
		return nil, err
	}
	if !sameHost(s.Transaction.Host, e.o.Host) {
		return nil, &PlanError{fmt.Sprintf("the transaction %s belongs to %s, and this is %s", id, s.Transaction.Host.words(), e.o.Host.words())}
	}
	return s, nil
}

// words names a host.
func (h Host) words() string {
	if h.Hostname != "" && h.Hostname != h.Target {
		return h.Target + " (" + h.Hostname + ")"
	}
	return h.Target
}
