// Package chrony reads the configuration of time daemons: chrony.conf(5) with its includes, the machine-readable output
// of chronyc(1), ntp.conf and timesyncd.conf(5).
package chrony

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// poolSources is how many servers a pool counts for: the default of maxsources in chrony.conf(5).
const poolSources = 4

// Conf is what a time daemon's configuration says about sources.
type Conf struct {
	Servers  []string // server and peer lines
	Pools    []string
	Includes []string // patterns of confdir, sourcedir, include, as globs over files
	NTS      int      // sources that use Network Time Security
	max      int      // sum of maxsources of the pools
}

// Sources returns how many servers the configuration leads to at most.
func (c Conf) Sources() int { return len(c.Servers) + c.max }

// Add puts another file's sources to this one.
func (c *Conf) Add(o Conf) {
	c.Servers = append(c.Servers, o.Servers...)
	c.Pools = append(c.Pools, o.Pools...)
	c.NTS += o.NTS
	c.max += o.max
}

// Parse reads chrony.conf or ntp.conf (whose server, peer and pool lines have the same form) or a file of a sourcedir.
func Parse(b []byte) Conf {
	var c Conf
	for raw := range bytes.Lines(b) {
		line := strings.TrimSpace(string(raw))
		if line == "" || strings.ContainsAny(line[:1], "#!%;") {
			continue
		}
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		switch strings.ToLower(f[0]) {
		case "server", "peer":
			c.Servers = append(c.Servers, f[1])
		case "pool":
			c.Pools = append(c.Pools, f[1])
			c.max += maxSources(f[2:])
		case "confdir":
			c.Includes = append(c.Includes, globs(f[1:], "/*.conf")...)
		case "sourcedir":
			c.Includes = append(c.Includes, globs(f[1:], "/*.sources")...)
		case "include":
			c.Includes = append(c.Includes, f[1])
		default:
			continue
		}
		for _, o := range f[2:] {
			if strings.EqualFold(o, "nts") {
				c.NTS++
			}
		}
	}
	return c
}

func globs(dirs []string, suffix string) []string {
	var out []string
	for _, d := range dirs {
		out = append(out, strings.TrimSuffix(d, "/")+suffix)
	}
	return out
}

func maxSources(options []string) int {
	for i, o := range options {
		if strings.EqualFold(o, "maxsources") && i+1 < len(options) {
			if n, err := strconv.Atoi(options[i+1]); err == nil && n > 0 && n <= 16 {
				return n
			}
		}
	}
	return poolSources
}

// ParseTimesyncd reads timesyncd.conf: the servers of NTP=, and of FallbackNTP= which serve when there are no others.
// systemd-timesyncd asks one server at a time.
func ParseTimesyncd(b []byte) (servers, fallback []string) {
	for raw := range bytes.Lines(b) {
		key, value, ok := strings.Cut(strings.TrimSpace(string(raw)), "=")
		if !ok {
			continue
		}
		switch strings.TrimSpace(key) {
		case "NTP":
			servers = list(servers, value)
		case "FallbackNTP":
			fallback = list(fallback, value)
		}
	}
	return servers, fallback
}

func list(have []string, value string) []string {
	f := strings.Fields(value)
	if len(f) == 0 {
		return nil
	}
	return append(have, f...)
}

// Tracking is the present state of chronyd.
type Tracking struct {
	Synchronized bool
	OffsetMS     int // absolute difference of the system clock from NTP time, milliseconds, rounded up
	Stratum      int
	Reachable    int // sources that answered at least once of the last eight times
}

// ParseTracking reads the output of `chronyc -n -c -m tracking sources`: a line of 14 columns, then one line of ten for
// each source (chronyc(1)).
func ParseTracking(b []byte) (Tracking, error) {
	var t Tracking
	seen := false
	for raw := range bytes.Lines(b) {
		f := strings.Split(strings.TrimSpace(string(raw)), ",")
		switch {
		case len(f) == 14 && !seen:
			seen = true
			offset, err := strconv.ParseFloat(f[4], 64)
			if err != nil || math.IsNaN(offset) || math.Abs(offset) > 1e9 {
				return t, fmt.Errorf("cannot read chronyc: system time %.30q is no number of seconds", f[4])
			}
			t.OffsetMS = int(math.Ceil(math.Abs(offset) * 1000))
			t.Stratum, _ = strconv.Atoi(f[2])
			t.Synchronized = f[13] != "Not synchronised"
		case len(f) == 10:
			if reach, err := strconv.ParseUint(f[5], 8, 16); err == nil && reach != 0 {
				t.Reachable++
			}
		}
	}
	if !seen {
		return t, fmt.Errorf("cannot read chronyc: no line of tracking; is chronyd running?")
	}
	return t, nil
}

// ParseTimesync reads the offset of `timedatectl timesync-status`, a line "Offset: +1.234ms".
func ParseTimesync(b []byte) (offsetMS int, err error) {
	for raw := range bytes.Lines(b) {
		key, value, ok := strings.Cut(strings.TrimSpace(string(raw)), ":")
		if !ok || key != "Offset" {
			continue
		}
		return span(strings.TrimSpace(value))
	}
	return 0, fmt.Errorf("cannot read timedatectl timesync-status: no offset; has systemd-timesyncd an answer yet?")
}

// span turns systemd's notation of time ("+1min 2.5s", "-120us") into milliseconds, rounded up, without its sign.
func span(s string) (int, error) {
	total := 0.0
	for f := range strings.FieldsSeq(strings.TrimLeft(s, "+-")) {
		unit := strings.TrimLeft(f, "0123456789.")
		scale, ok := map[string]float64{"us": 1e-3, "µs": 1e-3, "μs": 1e-3, "ms": 1, "s": 1e3, "min": 6e4, "h": 36e5, "d": 864e5}[unit]
		n, err := strconv.ParseFloat(strings.TrimSuffix(f, unit), 64)
		if !ok || err != nil || n > 1e9 {
			return 0, fmt.Errorf("cannot read timedatectl timesync-status: offset %.40q is no time", s)
		}
		total += n * scale
	}
	return int(math.Ceil(math.Min(total, 1e12))), nil
}
