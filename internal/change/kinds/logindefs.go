package kinds

import "github.com/castellan-project/castellan/internal/change"

// loginDefs is not written yet.
func loginDefs(*change.Draft, change.Change) error {
	return change.Cannot("changes of this kind are not made yet")
}
