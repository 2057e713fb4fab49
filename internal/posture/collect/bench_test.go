package collect

import (
	"testing"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/posture"
)

// BenchmarkCollectors shows what each collector costs on this machine.
func BenchmarkCollectors(b *testing.B) {
	l := host.NewLocal()
	d := l.Describe()
	for _, c := range All() {
		b.Run(c.Name, func(b *testing.B) {
			for b.Loop() {
				c.Collect(&Context{Host: l, Facts: &posture.Facts{}, Live: d.Live, Root: d.Root, Now: d.Now})
			}
		})
	}
}
