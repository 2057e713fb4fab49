package fail2ban

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// secondsPerYear is fail2ban's mean year: three of 365 days and one of 366.
const secondsPerYear = (365*3 + 366) * 24 * 60 * 60 / 4

// Seconds translates a time as fail2ban does: a number of seconds, abbreviations (30s, 10m, 1h, 1d, 1w, 6mo, 1y, also
// spelled out and strung together), or an arithmetic expression of them. -1 stands for ever.
//
// fail2ban hands the value to Python's eval, so that a "#" and what follows it happens to be ignored here although it
// is part of the value; see [Jail.Problems] for where that goes wrong.
func Seconds(s string) (int, error) {
	if i := strings.IndexByte(s, '#'); i >= 0 {
		s = s[:i]
	}
	s = strings.TrimSpace(s)
	if s == "" {
		return 0, fmt.Errorf("empty time")
	}
	if len(s) > 200 {
		return 0, fmt.Errorf("time is too long")
	}
	e := &evaluator{tokens: regexp.MustCompile(`\d+(?:\.\d+)?|[A-Za-z]+|\S`).FindAllString(s, -1)}
	v, err := e.sum(0)
	if err == nil && e.pos < len(e.tokens) {
		err = fmt.Errorf("unexpected %q", clip(e.tokens[e.pos]))
	}
	if err != nil {
		return 0, fmt.Errorf("%q is not a time: %w", clip(s), err)
	}
	if math.IsNaN(v) || math.Abs(v) > 1e12 {
		return 0, fmt.Errorf("%q is not a time: out of range", clip(s))
	}
	return int(v), nil
}

// unit returns the seconds of an abbreviation, longest first as in server/mytime.py of fail2ban.
func unit(word string) (float64, bool) {
	switch strings.ToLower(word) {
	case "days", "day", "da", "dd", "d":
		return 24 * 60 * 60, true
	case "weeks", "week", "wee", "we", "ww", "w":
		return 7 * 24 * 60 * 60, true
	case "months", "month", "mon", "mo":
		return secondsPerYear / 12, true
	case "years", "year", "yea", "ye", "yy", "y":
		return secondsPerYear, true
	case "seconds", "second", "sec", "se", "ss", "s":
		return 1, true
	case "minutes", "minute", "min", "mi", "mm", "m":
		return 60, true
	case "hours", "hour", "hou", "ho", "hh", "h":
		return 60 * 60, true
	}
	return 0, false
}

// evaluator computes sums and products with parentheses; terms that stand side by side are added.
type evaluator struct {
	tokens []string
	pos    int
}

func (e *evaluator) peek() string {
	if e.pos < len(e.tokens) {
		return e.tokens[e.pos]
	}
	return ""
}

func (e *evaluator) sum(depth int) (float64, error) {
	v, err := e.product(depth)
	for err == nil && e.peek() != "" && e.peek() != ")" {
		sign := 1.0
		switch e.peek() {
		case "+":
			e.pos++
		case "-":
			e.pos++
			sign = -1
		}
		var w float64
		w, err = e.product(depth)
		v += sign * w
	}
	return v, err
}

func (e *evaluator) product(depth int) (float64, error) {
	v, err := e.factor(depth)
	for err == nil && (e.peek() == "*" || e.peek() == "/") {
		op := e.peek()
		e.pos++
		var w float64
		w, err = e.factor(depth)
		if op == "*" {
			v *= w
		} else {
			v /= w
		}
	}
	return v, err
}

func (e *evaluator) factor(depth int) (float64, error) {
	t := e.peek()
	e.pos++
	switch {
	case depth > 20:
		return 0, fmt.Errorf("nested too deeply")
	case t == "-":
		v, err := e.factor(depth + 1)
		return -v, err
	case t == "(":
		v, err := e.sum(depth + 1)
		if err == nil && e.peek() != ")" {
			err = fmt.Errorf("parenthesis is not closed")
		}
		e.pos++
		return v, err
	}
	v, err := strconv.ParseFloat(t, 64)
	if err != nil || t[0] < '0' || t[0] > '9' {
		return 0, fmt.Errorf("unexpected %q", clip(t))
	}
	if u, ok := unit(e.peek()); ok {
		e.pos++
		v *= u
	}
	return v, nil
}
