package hosttest

import (
	"runtime"
	"testing"
)

// maxCost is how many bytes of memory may be allocated for each byte of a hostile text. Parsers here need a few dozen; one that
// copies what it has read for each line of a file of a megabyte needs half a million.
const maxCost = 1000

// Hostile calls read, which reads a text of that many bytes that is made to hurt, and fails the test when it allocates out of
// proportion. Time is not measured, because a loaded machine is no fault: work without memory that grows with the square of such a
// text does not end within the time that go test has.
func Hostile(t testing.TB, name string, size int, read func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	read()
	runtime.ReadMemStats(&after)
	if cost := (after.TotalAlloc - before.TotalAlloc) / uint64(max(size, 1)); cost > maxCost {
		t.Errorf("%.40q: %d bytes are allocated for each byte of %d", name, cost, size)
	} else {
		t.Logf("%.40q: %d bytes are allocated for each byte of %d", name, cost, size)
	}
}
