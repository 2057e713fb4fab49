package kinds

import "github.com/castellan-project/castellan/internal/change"

// rsyslog is not written yet.
func rsyslog(*change.Draft, change.Change) error {
	return change.Cannot("changes of this kind are not made yet")
}
