package collect

// All lists the collectors of every subject, in the order of the fields of posture.Facts.
func All() []Collector {
	return []Collector{
		OS(), Kernel(), Sysctl(), Boot(), Packages(), SSHD(), SSHKeys(),
		Services(), Files(), Accounts(), Web(), Bans(), Logs(), Network(), Estate(),
	}
}
