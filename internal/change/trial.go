package change

import (
	"time"

	"github.com/castellan-project/castellan/internal/host"
)

// Trial puts a file on trial before it is put for good: a content that ends by itself comes first, and only when the host still
// lives under it the real one follows. The firewall of Proxmox VE knows such a content: an "enable" that holds until a moment
// (PVE/Firewall.pm). A step names its trial ([Step.Trial], [Draft.OnTrial]); the engine is given the trials by name
// ([EngineOptions]). A directory puts nothing on trial.
type Trial interface {
	// Content is what is put on trial at the moment now, made of what is to be put for good.
	Content(after []byte, now time.Time) ([]byte, error)
	// Hold is how long the trial lasts before Alive is asked.
	Hold() time.Duration
	// Alive reports by a nil error that the host is well under the trial, for the one who applies it.
	Alive(r host.Reader, by Actor) error
}
