// Package lockout answers, before anything is changed, whether the people who administer a host still get in afterwards:
// under the sshd, the firewall, the pveproxy and the accounts of the draft. Each guard is one file; [All] lists them.
//
// A guard compares two pictures of the host, before and after a window, for the source address, user, key and port of each
// operator. It admits only what it can show: what cannot be read or computed is no admission, and a verdict always says
// which file and line decided and what to add. A guard is silent about windows that cannot touch what it knows.
//
// The guards read; they change nothing and know nothing of plans, steps or journals. One of them can let sshd itself judge
// a copy of the drafted configuration, in a scratch directory that it is given and that it leaves empty ([Options]).
package lockout
