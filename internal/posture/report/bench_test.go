package report

import (
	"io"
	"testing"
)

// A whole catalogue on one host; the budget of a scan is one second.
func BenchmarkWrite(b *testing.B) {
	r := many(184)
	for _, f := range Formats() {
		b.Run(f, func(b *testing.B) {
			for b.Loop() {
				if err := Write(io.Discard, f, r, Options{Verbose: true}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
