package pve

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Calendar is a calendar event, the form of schedules in jobs.cfg and replication.cfg: "sat 03:00", "mon..fri 22:30",
// "*/15", "*-*-01 02:00", "daily" (Proxmox VE administration guide, appendix "Calendar Events"). The zero Calendar
// never happens.
type Calendar struct {
	weekdays uint8  // bit 0 is Sunday
	days     uint32 // bit 1 to 31
	months   uint16 // bit 1 to 12
	hours    uint32
	minutes  uint64
	seconds  uint64
	years    []span // none: every year
}

type span struct{ first, last, step int }

// shortcuts are the names of common events.
func shortcuts() map[string]string {
	return map[string]string{"minutely": "*:*", "hourly": "*:00", "daily": "00:00", "weekly": "mon 00:00", "monthly": "*-*-01 00:00",
		"yearly": "*-01-01 00:00", "annually": "*-01-01 00:00", "quarterly": "*-01,04,07,10-01 00:00",
		"semiannually": "*-01,07-01 00:00", "semi-annually": "*-01,07-01 00:00"}
}

// maxCalendar bounds the text of an event; PVE allows 128 characters (schema of schedule).
const maxCalendar = 128

// ParseCalendar reads a calendar event.
func ParseCalendar(text string) (Calendar, error) {
	s := strings.ToLower(strings.TrimSpace(text))
	if len(s) > maxCalendar {
		return Calendar{}, fmt.Errorf("a calendar event of %d characters; at most %d are allowed", len(s), maxCalendar)
	}
	if long, ok := shortcuts()[s]; ok {
		s = long
	}
	parts := strings.Fields(s)
	if n := len(parts); n > 0 && parts[n-1] == "utc" {
		parts = parts[:n-1]
	}
	if len(parts) == 0 {
		return Calendar{}, fmt.Errorf("an empty calendar event")
	}
	c := Calendar{weekdays: 0x7f, days: 0xfffffffe, months: 0x1ffe, hours: 1, minutes: 1, seconds: 1}
	var err error
	if first := parts[0]; first[0] >= 'a' && first[0] <= 'z' {
		if c.weekdays, err = weekdays(first); err != nil {
			return Calendar{}, err
		}
		parts = parts[1:]
	}
	if len(parts) > 0 && strings.ContainsRune(parts[0], '-') {
		if err := c.date(parts[0]); err != nil {
			return Calendar{}, err
		}
		parts = parts[1:]
	}
	if len(parts) > 0 {
		if err := c.clock(parts[0]); err != nil {
			return Calendar{}, err
		}
		parts = parts[1:]
	}
	if len(parts) > 0 {
		return Calendar{}, fmt.Errorf("cannot read the calendar event %q at %q: the form is [WEEKDAYS] [[YEARS-]MONTHS-DAYS] [HOURS:MINUTES[:SECONDS]]", clip(text), clip(parts[0]))
	}
	return c, nil
}

func weekdays(s string) (uint8, error) {
	var set uint8
	for part := range strings.SplitSeq(s, ",") {
		from, to, isRange := strings.Cut(part, "..")
		if !isRange {
			from, to, isRange = strings.Cut(part, "-") // the older form of ranges
		}
		a, ok := weekday(from)
		b := a
		if isRange && ok {
			b, ok = weekday(to)
		}
		if !ok {
			return 0, fmt.Errorf("%q is no day of the week", clip(part))
		}
		for d := a; ; d = (d + 1) % 7 {
			set |= 1 << d
			if d == b {
				break
			}
		}
	}
	return set, nil
}

// weekday reads the name of a day, of which at least three letters are given.
func weekday(s string) (int, bool) {
	if len(s) < 3 {
		return 0, false
	}
	for d := time.Sunday; d <= time.Saturday; d++ {
		if strings.HasPrefix(strings.ToLower(d.String()), s) {
			return int(d), true
		}
	}
	return 0, false
}

func (c *Calendar) date(s string) error {
	parts := strings.Split(s, "-")
	if len(parts) > 3 {
		return fmt.Errorf("%q is no date: [YEARS-]MONTHS-DAYS", clip(s))
	}
	day, month := parts[len(parts)-1], parts[len(parts)-2]
	days, err := numbers(day, 1, 31)
	if err != nil {
		return err
	}
	months, err := numbers(month, 1, 12)
	if err != nil {
		return err
	}
	c.days, c.months = uint32(days), uint16(months)
	if len(parts) == 3 && parts[0] != "*" {
		for part := range strings.SplitSeq(parts[0], ",") {
			y, err := parseSpan(part, 1970, 9999)
			if err != nil {
				return err
			}
			c.years = append(c.years, y)
		}
	}
	return nil
}

// clock reads HOURS:MINUTES[:SECONDS], or MINUTES of every hour.
func (c *Calendar) clock(s string) error {
	parts := strings.Split(s, ":")
	hours, minutes, seconds := "*", parts[0], "0"
	switch len(parts) {
	case 1:
	case 2:
		hours, minutes = parts[0], parts[1]
	case 3:
		hours, minutes, seconds = parts[0], parts[1], parts[2]
	default:
		return fmt.Errorf("%q is no time of day", clip(s))
	}
	h, err := numbers(hours, 0, 23)
	if err != nil {
		return err
	}
	c.hours = uint32(h)
	if c.minutes, err = numbers(minutes, 0, 59); err != nil {
		return err
	}
	c.seconds, err = numbers(seconds, 0, 59)
	return err
}

// numbers reads a list of numbers, ranges "a..b" and repetitions "a/n" as a set of bits.
func numbers(s string, low, high int) (uint64, error) {
	var set uint64
	for part := range strings.SplitSeq(s, ",") {
		p, err := parseSpan(part, low, high)
		if err != nil {
			return 0, err
		}
		for n := p.first; n <= p.last; n += p.step {
			set |= 1 << n
		}
	}
	return set, nil
}

func parseSpan(s string, low, high int) (span, error) {
	bad := fmt.Errorf("%q is no number, range or repetition from %d to %d", clip(s), low, high)
	body, step, repeated := strings.Cut(s, "/")
	p := span{low, high, 1}
	var err error
	if body != "*" {
		from, to, isRange := strings.Cut(body, "..")
		if p.first, err = strconv.Atoi(from); err != nil {
			return p, bad
		}
		switch {
		case isRange:
			if p.last, err = strconv.Atoi(to); err != nil {
				return p, bad
			}
		case !repeated:
			p.last = p.first
		}
	}
	if repeated {
		if p.step, err = strconv.Atoi(step); err != nil || p.step < 1 {
			return p, bad
		}
	}
	if p.first < low || p.last > high || p.first > p.last {
		return p, bad
	}
	return p, nil
}

// maxSearch is how many days Next and Previous look: a 29th of February on a given day of the week comes within 40 years.
const maxSearch = 41 * 366

// Next returns the first time after t, in the time zone of t; false when there is none within about 40 years.
func (c Calendar) Next(t time.Time) (time.Time, bool) { return c.search(t, 1) }

// Previous returns the last time before t; false when there is none within about 40 years.
func (c Calendar) Previous(t time.Time) (time.Time, bool) { return c.search(t, -1) }

func (c Calendar) search(t time.Time, dir int) (time.Time, bool) {
	if c.hours == 0 || c.minutes == 0 || c.seconds == 0 {
		return time.Time{}, false
	}
	y, m, d := t.Date()
	for n := range maxSearch {
		// Noon exists on every day in every time zone.
		day := time.Date(y, m, d+dir*n, 12, 0, 0, 0, t.Location())
		if !c.onDay(day) {
			continue
		}
		if found, ok := c.within(day, t, dir); ok {
			return found, true
		}
	}
	return time.Time{}, false
}

func (c Calendar) onDay(day time.Time) bool {
	if c.weekdays&(1<<day.Weekday()) == 0 || c.days&(1<<day.Day()) == 0 || c.months&(1<<day.Month()) == 0 {
		return false
	}
	if len(c.years) == 0 {
		return true
	}
	for _, y := range c.years {
		if n := day.Year(); n >= y.first && n <= y.last && (n-y.first)%y.step == 0 {
			return true
		}
	}
	return false
}

// within finds the first (dir 1) or last (dir -1) time of a day that lies after (before) t.
func (c Calendar) within(day, t time.Time, dir int) (time.Time, bool) {
	sameDay := day.YearDay() == t.YearDay() && day.Year() == t.Year()
	for h := range 24 {
		hour := pick(h, 23, dir)
		// An hour of slack, for the days on which the clock is changed.
		passed := sameDay && (dir > 0 && hour < t.Hour()-1 || dir < 0 && hour > t.Hour()+1)
		if passed || c.hours&(1<<hour) == 0 {
			continue
		}
		for m := range 60 {
			minute := pick(m, 59, dir)
			if c.minutes&(1<<minute) == 0 {
				continue
			}
			for s := range 60 {
				second := pick(s, 59, dir)
				if c.seconds&(1<<second) == 0 {
					continue
				}
				at := time.Date(day.Year(), day.Month(), day.Day(), hour, minute, second, 0, t.Location())
				if dir > 0 && at.After(t) || dir < 0 && at.Before(t) {
					return at, true
				}
			}
		}
	}
	return time.Time{}, false
}

func pick(i, last, dir int) int {
	if dir > 0 {
		return i
	}
	return last - i
}

// Period returns the longest time between two events that follow each other within about a year after t: "mon..fri 01:00"
// has three days. It is how old a backup may become although every run succeeds. 0 means that the event happens once at
// most. Summer time is left out of account, so that "daily" is 24 hours.
func (c Calendar) Period(t time.Time) time.Duration {
	first, last, longest, ok := c.dayGaps()
	if !ok {
		return 0
	}
	y, m, d := t.UTC().Date()
	day := time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
	before, gaps := -1, 0
	for n := range maxSearch {
		if n > 400 && gaps > 0 {
			break
		}
		if c.onDay(day.AddDate(0, 0, n)) {
			if before >= 0 {
				gaps++
				longest = max(longest, time.Duration(n-before)*24*time.Hour-last+first)
			}
			before = n
		}
	}
	if before < 0 {
		return 0
	}
	return longest
}

// dayGaps returns the first and the last event of a day, and the longest time between two of one day.
func (c Calendar) dayGaps() (first, last, longest time.Duration, ok bool) {
	for h := range 24 {
		if c.hours&(1<<h) == 0 {
			continue
		}
		for m := range 60 {
			if c.minutes&(1<<m) == 0 {
				continue
			}
			for s := range 60 {
				if c.seconds&(1<<s) == 0 {
					continue
				}
				at := time.Duration(h)*time.Hour + time.Duration(m)*time.Minute + time.Duration(s)*time.Second
				if !ok {
					first, last, ok = at, at, true
				}
				longest = max(longest, at-last)
				last = at
			}
		}
	}
	return first, last, longest, ok
}
