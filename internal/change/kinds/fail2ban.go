package kinds

import "github.com/castellan-project/castellan/internal/change"

// fail2ban is not written yet.
func fail2ban(*change.Draft, change.Change) error {
	return change.Cannot("changes of this kind are not made yet")
}
