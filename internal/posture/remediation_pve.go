package posture

// firewallSetting is a change of the firewall: options of the cluster, a host or a guest, or entries of its lists.
func firewallSetting() kindRule {
	options := estateSetting("the firewall options of ")
	return kindRule{needs: []string{"set"}, allows: []string{"section", "each", "ensure"}, words: func(r Remediation) string {
		list, ok := map[string]string{"alias": "the alias ", "ipset": "the ipset ", "group": "the security group ", "rules": "the rules "}[r.Section]
		if !ok {
			return options.words(r)
		}
		verb, where := "add to ", ""
		if r.Ensure == "absent" {
			verb = "take out of "
		}
		if r.Each != "" {
			where = " of each one listed"
		}
		return verb + list + pairs(r.Set) + where
	}}
}

// permissionSetting is a change of users, groups, roles, tokens or entries of the access control list; dangling needs no more than its name.
func permissionSetting() kindRule {
	return kindRule{needs: []string{"section"}, allows: []string{"set", "each", "name", "ensure"}, words: func(r Remediation) string {
		what := "the " + r.Section
		switch {
		case r.Section == "dangling":
			return "take away what is given to users, groups and tokens that do not exist"
		case r.Section == "acl":
			what = "the access control list"
		case r.Name != "":
			what += " " + r.Name
		case r.Each != "":
			what = "each " + r.Section + " listed"
		}
		switch {
		case r.Ensure == "absent" && r.Section == "acl":
			return "take " + pairs(r.Set) + " out of " + what
		case r.Ensure == "absent":
			return "remove " + what
		}
		return "set " + pairs(r.Set) + " of " + what
	}}
}
