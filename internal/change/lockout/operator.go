package lockout

import "github.com/castellan-project/castellan/internal/change"

// operatorGuard refuses what may cut people off while nobody is named for whom the other guards could answer.
type operatorGuard struct{}

// Judge implements [change.Guard].
func (operatorGuard) Judge(c change.Case) []change.Verdict {
	if !c.Target.Live || len(c.Operators) > 0 {
		return nil
	}
	for _, x := range c.Changes {
		if x.Lockout == "session" || x.Lockout == "cluster" {
			j := refuse("nobody is named who must still get in, and %s can cut people off: run it in the SSH session that you administer from, or name somebody",
				x.Control)
			j.add = "--admin user@cidr"
			return []change.Verdict{j.verdict("operator", "")}
		}
	}
	return nil
}
