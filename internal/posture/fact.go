// Package posture judges how well a host is secured. Its nouns are the [Fact] (one observation, with where it came
// from or why it could not be made), the [Control] (what is wanted, as data), the [Finding] (the judgement), the
// [Waiver], the [Attestation] and the [Score].
//
// Evaluation is pure: the same facts, controls and date give the same findings, whether the facts were read a second
// ago or come from a bundle saved last year. Nothing here reads a machine (internal/posture/collect does) or prints
// (internal/posture/report does).
package posture

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/castellan-project/castellan/internal/host"
)

// Origin says what kind of statement a fact's value is. The zero Origin means that the fact was not collected.
type Origin string

// The origins of a value.
const (
	// Effective is what the program or kernel itself says it uses now.
	Effective Origin = "effective"
	// Configured is what a file says.
	Configured Origin = "configured"
	// Default is what applies because nothing is configured.
	Default Origin = "default"
)

// Problem says why a fact is not known.
type Problem struct {
	// Code is one of permission, not-found, malformed, unavailable, timeout, too-large, encrypted, not-collected, error.
	Code string `json:"code"`
	// Text says it in words.
	Text string `json:"text"`
}

func (p *Problem) Error() string { return p.Text }

// Fact is one observation about a host. The zero Fact is unknown ("not collected"), never a value.
type Fact[T any] struct {
	Value T `json:"value,omitzero"`
	// Source says where the value stands: "/etc/ssh/sshd_config:12", "sshd -T", "default of OpenSSH 9.2".
	Source  string   `json:"source,omitempty"`
	Origin  Origin   `json:"origin,omitempty"`
	Problem *Problem `json:"problem,omitempty"`
}

// Known returns a fact with a value.
func Known[T any](v T, origin Origin, source string) Fact[T] {
	return Fact[T]{Value: v, Origin: origin, Source: source}
}

// Unknown returns a fact that could not be observed, because of err. The source says what was tried.
func Unknown[T any](err error, source string) Fact[T] {
	return Fact[T]{Problem: ProblemOf(err), Source: source}
}

// IsKnown reports whether the fact has a value.
func (f Fact[T]) IsKnown() bool { return f.Problem == nil && f.Origin != "" }

// Get returns the value, or the problem that kept it from being known. It is the door for internal/expr.
func (f Fact[T]) Get() (any, error) {
	if f.Problem != nil {
		return nil, f.Problem
	}
	if f.Origin == "" {
		return nil, &Problem{Code: "not-collected", Text: "this fact was not collected"}
	}
	return f.Value, nil
}

// Where returns the origin and source, for evidence.
func (f Fact[T]) Where() (origin, source string) { return string(f.Origin), f.Source }

// Problemf makes a problem with a code of the list at [Problem].
func Problemf(code, format string, args ...any) *Problem {
	return &Problem{Code: code, Text: fmt.Sprintf(format, args...)}
}

// ProblemOf classifies an error of a host.Reader or of a parser.
func ProblemOf(err error) *Problem {
	if err == nil {
		return &Problem{Code: "not-collected", Text: "this fact was not collected"}
	}
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	code := "error"
	switch {
	case errors.Is(err, fs.ErrPermission):
		code = "permission"
	case errors.Is(err, fs.ErrNotExist):
		code = "not-found"
	case errors.Is(err, host.ErrUnavailable):
		code = "unavailable"
	case errors.Is(err, host.ErrTimeout):
		code = "timeout"
	case errors.Is(err, host.ErrTooLarge):
		code = "too-large"
	case errors.Is(err, host.ErrNotRegular):
		code = "malformed"
	}
	return &Problem{Code: code, Text: err.Error()}
}
