package change

import (
	"testing"
	"time"
)

// The time to confirm ends on the clock of the kernel too: somebody may set that of the wall back.
func TestWaited(t *testing.T) {
	applied := time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)
	txn := Transaction{Applied: applied, Deadline: applied.Add(10 * time.Minute), Ticks: 5000}
	for ticks, want := range map[uint64]bool{0: false, 4999: false, 5000: false, 64_999: false, 65_000: true, 1 << 63: true} {
		if got := txn.waited(ticks); got != want {
			t.Errorf("at %d: %t", ticks, got)
		}
	}
	for _, open := range []Transaction{{}, {Ticks: 1}, {Deadline: applied, Ticks: 1}, {Applied: applied}} {
		if open.waited(1 << 40) {
			t.Errorf("%+v has no time to confirm, and it is over", open)
		}
	}
}
