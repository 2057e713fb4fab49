package kinds

import (
	"cmp"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/debian/limits"
)

const (
	limitsMain = "/etc/security/limits.conf"
	limitsFile = "/etc/security/limits.d/castellan.conf"
)

var limitWord = regexp.MustCompile(`^[A-Za-z0-9_.@%*:/+-]+$`)

// limitSettings sets limits of pam_limits: the key is "DOMAIN TYPE ITEM", such as "* hard core". pam_limits reads limits.conf and
// then limits.d in the order of the C locale, and of two lines for one domain the last one counts (limits.conf(5)). A
// later line that an administrator wrote is rewritten.
func limitSettings(d *change.Draft, c change.Change) error {
	for _, key := range slices.Sorted(maps.Keys(c.Set)) {
		f, value := strings.Fields(key), c.Set[key]
		if len(f) != 3 || !limitWord.MatchString(f[0]) || !slices.Contains([]string{"hard", "soft", "-"}, f[1]) || !limitWord.MatchString(f[2]) ||
			!limitWord.MatchString(value) {
			return change.Cannot("%q with the value %q is no line of limits.conf", key, value)
		}
		if err := setLimit(d, limits.Limit{Domain: f[0], Type: f[1], Item: f[2], Value: value}); err != nil {
			return err
		}
		if err := limitExceptions(d, f[0], f[2]); err != nil {
			return err
		}
	}
	return nil
}

// readLimits reads the files of the draft in the order of pam_limits.
func readLimits(d *change.Draft) ([]limits.Limit, error) {
	names := []string{limitsMain}
	found, err := d.List("/etc/security/limits.d/*.conf")
	if err != nil {
		return nil, err
	}
	for _, f := range found {
		names = append(names, f.Path)
	}
	slices.SortFunc(names[1:], cmp.Compare[string])
	var out []limits.Limit
	for _, n := range names {
		b, _, err := d.Content(n)
		if err != nil {
			return nil, err
		}
		out = append(out, limits.Parse(n, b)...)
	}
	return out, nil
}

// setLimit writes a limit where it counts.
func setLimit(d *change.Draft, want limits.Limit) error {
	for range maxLimitRewrites {
		list, err := readLimits(d)
		if err != nil {
			return err
		}
		var last *limits.Limit
		for i, l := range list {
			if l.Domain == want.Domain && l.Item == want.Item && (l.Type == want.Type || l.Type == "-") {
				last = &list[i]
			}
		}
		switch {
		case last != nil && last.Value == want.Value:
			d.Effect("limits hold for sessions that begin later; open ones keep theirs")
			return nil
		case last == nil || last.Type != want.Type || last.File < limitsFile && last.File != limitsMain || last.File == limitsMain:
			err = appendLines(d, limitsFile, []string{want.Domain + " " + want.Type + " " + want.Item + " " + want.Value}, 0o644)
		default:
			err = rewriteLimit(d, *last, want.Value)
		}
		if err != nil {
			return err
		}
	}
	return change.Cannot("the files of /etc/security/limits.d contradict each other about %s %s %s; leave it in one file", want.Domain, want.Type, want.Item)
}

// maxLimitRewrites bounds how many lines are rewritten for one limit.
const maxLimitRewrites = 20

// rewriteLimit gives one line another value; the blanks and the comment of the line stay.
func rewriteLimit(d *change.Draft, l limits.Limit, value string) error {
	b, _, err := d.Content(l.File)
	if err != nil {
		return err
	}
	lines := strings.SplitAfter(string(b), "\n")
	text := lines[l.Line-1]
	body, comment, marked := strings.Cut(text, "#")
	if marked {
		comment = "#" + comment
	}
	trimmed := strings.TrimRight(body, " \t\r\n")
	i := strings.LastIndexAny(trimmed, " \t") + 1
	lines[l.Line-1] = trimmed[:i] + value + body[len(trimmed):] + comment
	return d.Write(l.File, []byte(strings.Join(lines, "")), 0o644)
}

// limitExceptions refuses when a limit for everybody has exceptions: who needs them, only the administrator knows.
func limitExceptions(d *change.Draft, domain, item string) error {
	if domain != "*" {
		return nil
	}
	list, err := readLimits(d)
	if err != nil {
		return err
	}
	all, others := limits.Hard(list, item)
	for _, o := range others {
		if all != nil && o.Value != all.Value {
			return change.Cannot("%s:%d gives %s another limit of %s (%s); remove the line if nobody needs it", o.File, o.Line, o.Domain, item, o.Value)
		}
	}
	return nil
}
