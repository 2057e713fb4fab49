package cli

import (
	"bytes"
	"io"
	"testing"

	"github.com/castellan-project/castellan/catalogue"
	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/posture"
	"github.com/castellan-project/castellan/internal/posture/bundle"
	"github.com/castellan-project/castellan/internal/posture/collect"
	"github.com/castellan-project/castellan/internal/posture/report"
)

// BenchmarkBundle is the cost of one more bundle in a scan of many: read, judge, write.
func BenchmarkBundle(b *testing.B) {
	env, err := posture.NewEnv()
	if err != nil {
		b.Fatal(err)
	}
	if err := env.Preload(catalogue.Checks); err != nil {
		b.Fatal(err)
	}
	cs, err := builtinControls()
	if err != nil {
		b.Fatal(err)
	}
	l := host.NewLocal()
	facts, err := collect.Run(l, l.Describe(), collect.All())
	if err != nil {
		b.Fatal(err)
	}
	var saved bytes.Buffer
	if err := bundle.Write(&saved, facts); err != nil {
		b.Fatal(err)
	}
	judge := posture.NewJudge(env, cs, nil, nil)
	judge.Prepare(1)
	out, err := report.NewJSONStream(io.Discard, &posture.Report{})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := bundle.Read(bytes.NewReader(saved.Bytes())); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("judge", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			judge.Evaluate(facts)
		}
	})
	r := judge.Evaluate(facts)
	b.Run("write", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := out.Target(r); err != nil {
				b.Fatal(err)
			}
		}
	})
}
