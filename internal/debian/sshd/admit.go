package sshd

// Admits reports whether the lists of users and groups (DenyUsers, AllowUsers, DenyGroups, AllowGroups, in this
// order: sshd_config(5)) and RefuseConnection let the connection try to log in at all, and if not, which keyword
// stands against it. It says nothing about keys and passwords.
func (c *Config) Admits(s Settings, conn Connection) (ok bool, because string) {
	modern := c.release.modern()
	if r := s["refuseconnection"]; len(r.Values) == 1 && r.Values[0] == "yes" {
		return false, "refuseconnection"
	}
	user := func(key string) bool {
		for _, p := range s[key].Values {
			if hit, err := matchUserPattern(conn.User, conn.Host, conn.Address, p, modern); err != nil || hit {
				return hit || key == "denyusers" // a pattern that cannot be read never lets in
			}
		}
		return false
	}
	group := func(key string) bool {
		for _, g := range conn.Groups {
			for _, p := range s[key].Values {
				if matchPattern(g, p) {
					return true
				}
			}
		}
		return false
	}
	switch {
	case user("denyusers"):
		return false, "denyusers"
	case len(s["allowusers"].Values) > 0 && !user("allowusers"):
		return false, "allowusers"
	case group("denygroups"):
		return false, "denygroups"
	case len(s["allowgroups"].Values) > 0 && !group("allowgroups"):
		return false, "allowgroups"
	}
	return true, ""
}
