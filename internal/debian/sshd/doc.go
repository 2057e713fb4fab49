// Package sshd computes what an OpenSSH server does with its configuration: for one connection (user, group, address)
// it gives every keyword the value that `sshd -T -C ...` prints, and says which file and line decided.
//
// It follows the grammar of the server of Debian 12 (OpenSSH 9.2) and Debian 13 (OpenSSH 10.0), Debian's patches
// included: Include with globs and nesting, Match with all its criteria, first value wins (and the few keywords where
// the last one does), lists that accumulate, algorithm lists with + - ^, and the values that apply when nothing is
// written. Like the server it reads the text twice: once for the global values, once per connection for Match.
//
// A configuration that the server refuses is refused here, with the file and line: see [Config.Problems].
//
// The package is pure. It reads files through [Files] and knows nothing of the machine that it runs on. The test
// data holds answers of the two real servers; lab/sshd compares with them again on generated configurations.
package sshd
