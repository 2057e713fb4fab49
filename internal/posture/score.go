package posture

// Weight is what a control of a severity counts in the score. Info controls inform and do not count.
func (s Severity) Weight() int {
	switch s {
	case Critical:
		return 10
	case High:
		return 6
	case Medium:
		return 3
	case Low:
		return 1
	default:
		return 0
	}
}

// Score is the published formula (docs/reports.md): 100 * earned / possible, rounded down, where every control that
// passes, fails, is unknown or waits for a person is possible with the weight of its severity, and only those that
// pass earn. So unknown and manual never raise it. Waived and not-applicable controls are left out. A host on which
// nothing is possible scores 0: nothing was proved.
//
// The grade is A from 90, B from 75, C from 60, D from 40, else F; at most C while a critical control is not proved to
// pass, at most B while a high one is not.
func Score(fs []Finding) (score int, grade string) {
	earned, possible := 0, 0
	worst := Info
	for _, f := range fs {
		w := f.Severity.Weight()
		switch f.Status {
		case Pass:
			earned += w
			possible += w
		case Waived, NotApplicable:
		default:
			possible += w
			if f.Severity.Rank() < worst.Rank() {
				worst = f.Severity
			}
		}
	}
	if possible > 0 {
		score = 100 * earned / possible
	}
	return score, gradeOf(score, worst)
}

func gradeOf(score int, worst Severity) string {
	grades := []struct {
		from  int
		grade string
	}{{90, "A"}, {75, "B"}, {60, "C"}, {40, "D"}, {0, "F"}}
	best := "A"
	switch worst {
	case Critical:
		best = "C"
	case High:
		best = "B"
	}
	for _, g := range grades {
		if score >= g.from {
			return max(g.grade, best)
		}
	}
	return "F"
}

// Count counts findings by status.
func Count(fs []Finding) Counts {
	var c Counts
	for _, f := range fs {
		switch f.Status {
		case Pass:
			c.Pass++
		case Fail:
			c.Fail++
		case Manual:
			c.Manual++
		case Waived:
			c.Waived++
		case NotApplicable:
			c.NotApplicable++
		default:
			c.Unknown++
		}
	}
	return c
}
