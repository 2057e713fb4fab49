package posture_test

import (
	"os"
	"testing"

	"github.com/castellan-project/castellan/internal/posture"
)

func index(b *testing.B) []posture.Control {
	b.Helper()
	src, err := os.ReadFile(catalogueDir + "/index.json")
	if err != nil {
		b.Fatal(err)
	}
	cs, err := posture.ReadIndex(src)
	if err != nil {
		b.Fatal(err)
	}
	return cs
}

// BenchmarkReadIndex is the cost of the catalogue at every start.
func BenchmarkReadIndex(b *testing.B) {
	for b.Loop() {
		index(b)
	}
}

// BenchmarkPrepare is the cost of preparing every check of the catalogue.
func BenchmarkPrepare(b *testing.B) {
	cs := index(b)
	checks, err := os.ReadFile(catalogueDir + "/checks.bin")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		env, err := posture.NewEnv()
		if err != nil {
			b.Fatal(err)
		}
		if err := env.Preload(checks); err != nil {
			b.Fatal(err)
		}
		posture.NewJudge(env, cs, nil, nil).Prepare(1)
	}
}

// BenchmarkEvaluate is the cost of judging one host once everything is compiled.
func BenchmarkEvaluate(b *testing.B) {
	env, err := posture.NewEnv()
	if err != nil {
		b.Fatal(err)
	}
	j := posture.NewJudge(env, index(b), nil, nil)
	f := debian("12", false)
	j.Evaluate(f)
	for b.Loop() {
		j.Evaluate(f)
	}
}

// BenchmarkNewEnv is the cost of the expression environment at every start.
func BenchmarkNewEnv(b *testing.B) {
	for b.Loop() {
		if _, err := posture.NewEnv(); err != nil {
			b.Fatal(err)
		}
	}
}
