apt update
apt list --upgradable
