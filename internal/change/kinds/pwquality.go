package kinds

import "github.com/castellan-project/castellan/internal/change"

// pwquality is not written yet.
func pwquality(*change.Draft, change.Change) error {
	return change.Cannot("changes of this kind are not made yet")
}
