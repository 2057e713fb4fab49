package change

import "time"

// State is where a transaction stands. The zero State is none.
type State string

// The states of a transaction (DESIGN, words).
const (
	Applying        State = "applying"         // steps are being made
	AwaitingConfirm State = "awaiting-confirm" // all are made; the host takes them back at the deadline
	Committed       State = "committed"        // confirmed: they stay
	Reverting       State = "reverting"        // they are being taken back
	Reverted        State = "reverted"         // the host is as before
	Failed          State = "failed"           // taking back left something that a person has to look at
)

// Open reports whether a transaction is unfinished: another one has to wait.
func (s State) Open() bool { return s == Applying || s == AwaitingConfirm || s == Reverting }

// Actor is who did something, as far as the host can tell.
type Actor struct {
	User string `json:"user"`
	// Login is who logged in before sudo and su, when known.
	Login string `json:"login,omitempty"`
	// From is the address that he came from, Session how: ssh, console, web, none.
	From    string `json:"from,omitempty"`
	Session string `json:"session,omitempty"`
	// Key is the fingerprint of the key that authenticated the connection, when known.
	Key string `json:"key,omitempty"`
	TTY string `json:"tty,omitempty"`
}

// Event is one line of the story of a transaction.
type Event struct {
	At   time.Time `json:"at"`
	Text string    `json:"text"`
	By   *Actor    `json:"by,omitempty"`
}

// Transaction is one window of a plan as it is, or was, applied to a host.
type Transaction struct {
	ID     string `json:"id"`
	State  State  `json:"state"`
	Plan   string `json:"plan"` // the digest of the plan
	Window string `json:"window"`
	// Place is the number of the window in its plan, from 1, and Windows how many there are.
	Place   int  `json:"place"`
	Windows int  `json:"windows"`
	Host    Host `json:"host"`
	// By is who applied it, Why what he gave as the reason.
	By       Actor    `json:"by"`
	Why      string   `json:"why,omitempty"`
	Controls []string `json:"controls"`
	// Paths are the paths that it puts, sorted, without links.
	Paths []string  `json:"paths,omitempty"`
	Began time.Time `json:"began"`
	// Applied is when the last step was made, Deadline when the host takes everything back unless it is confirmed; zero
	// for directories, which wait for ever.
	Applied  time.Time `json:"applied,omitzero"`
	Deadline time.Time `json:"deadline,omitzero"`
	Ended    time.Time `json:"ended,omitzero"`
	// BootID and Ticks are when it was applied on the clock of the kernel: a connection is newer when its process began
	// after them (proc(5), starttime).
	BootID string `json:"boot_id,omitempty"`
	Ticks  uint64 `json:"ticks,omitempty"`
	// Override is set when the lock-out guard was overridden, with what it had refused.
	Override []string `json:"override,omitempty"`
	Events   []Event  `json:"events"`
	// Conflicts are the paths that somebody else changed since, and that were left alone.
	Conflicts []string `json:"conflicts,omitempty"`
	// Stopped are the units of the firewall that were stopped as a last resort, until its files can be put back.
	Stopped []string `json:"stopped,omitempty"`
	// Restart are the settings of the running kernel that it does not let be taken back: the next start does.
	Restart []string `json:"restart,omitempty"`
	// Lease is the file of the cluster that says that the transaction is open, Second the node that holds its deadline too, and
	// Alone why no other node does although there are some.
	Lease  string `json:"lease,omitempty"`
	Second string `json:"second,omitempty"`
	Alone  string `json:"alone,omitempty"`
	// HeldFor is set when it is another node's, which died if this host takes it back by itself.
	HeldFor *HeldFor `json:"held_for,omitempty"`
}
