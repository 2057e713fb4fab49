package collect

// All lists the collectors of every subject, in the order of the fields of posture.Facts. Backends are those of [Context].
func All(backends ...string) []Collector {
	return []Collector{
		OS(), Kernel(), Sysctl(), Boot(), Packages(), SSHD(), SSHKeys(),
		Services(), Files(), Accounts(), Web(), Bans(), Logs(), Network(), Estate(backends...),
	}
}
