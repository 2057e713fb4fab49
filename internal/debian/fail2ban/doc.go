// Package fail2ban understands the configuration of fail2ban as fail2ban does (0.11 to 1.1): files merged in its
// order, Python's configparser grammar with interpolation, <tag> substitution in filters, and the regular
// expressions, which are translated for Go. It answers what a configuration means: which jails run, what they read,
// when they ban, and whether a filter matches a given line ([Filter.Match]). It never runs fail2ban.
//
// Regular expressions run on Go's linear-time engine where they can. Those with look-around, conditionals or back
// references run on a backtracking engine with a time limit, because log lines hold text that attackers choose.
package fail2ban
