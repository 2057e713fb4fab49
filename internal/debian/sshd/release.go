package sshd

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Release says which sshd is meant. The zero Release is the one of Debian 13.
type Release struct {
	// Major and Minor are those of OpenSSH: 9 and 2 for "9.2p1".
	Major, Minor int
	// Banner is what the server calls itself ("OpenSSH_9.2p1 Debian-2+deb12u10"); Match version compares with it.
	Banner string
	// Update is the number of Debian's stable update (10 of "+deb12u10"); -1 when there is none in the version.
	Update int
}

var (
	packageVersion = regexp.MustCompile(`^(?:\d+:)?(\d+)\.(\d+)(p\d+)?(?:-(.+))?$`)
	stableUpdate   = regexp.MustCompile(`\+deb\d+u(\d+)`)
)

// ParsePackageVersion reads the version of Debian's package openssh-server, such as "1:9.2p1-2+deb12u10".
func ParsePackageVersion(v string) (Release, error) {
	m := packageVersion.FindStringSubmatch(v)
	if m == nil {
		return Release{}, fmt.Errorf("cannot read version %q of openssh-server: expected one like 1:9.2p1-2+deb12u10", v)
	}
	major, err := strconv.Atoi(m[1])
	if err != nil {
		return Release{}, fmt.Errorf("cannot read version %q of openssh-server: %w", v, err)
	}
	minor, err := strconv.Atoi(m[2])
	if err != nil {
		return Release{}, fmt.Errorf("cannot read version %q of openssh-server: %w", v, err)
	}
	r := Release{Major: major, Minor: minor, Update: -1}
	portable := m[3]
	if major == 10 && minor == 0 && portable == "p1" {
		// The release 10.0p1 was published with a version string that says p2.
		portable = "p2"
	}
	r.Banner = "OpenSSH_" + m[1] + "." + m[2] + portable
	if m[4] != "" {
		r.Banner += " Debian-" + m[4]
	}
	if u := stableUpdate.FindStringSubmatch(v); u != nil {
		r.Update, _ = strconv.Atoi(u[1]) // an overflow gives the largest int, which is right
	}
	return r, nil
}

// String gives the version as people write it: "9.2".
func (r Release) String() string {
	if r.Major == 0 {
		return "10.0"
	}
	return fmt.Sprintf("%d.%d", r.Major, r.Minor)
}

// Tested reports whether the rules of exactly this release were compared with the real server. Others get the rules
// of the nearer one: 9.2 below 9.8, 10.0 from there on.
func (r Release) Tested() bool {
	return r.Major == 9 && r.Minor == 2 || r.Major == 10 && r.Minor == 0 || r.Major == 0
}

// modern selects the rules of OpenSSH 10.0. Version 9.8 split the server and brought PerSourcePenalties.
func (r Release) modern() bool { return r.Major == 0 || r.Major > 9 || r.Major == 9 && r.Minor >= 8 }

// names returns the algorithms and defaults of the release.
func (r Release) names() algorithms {
	a := algorithms{
		ciphers: supportedCiphers, macs: supportedMACs, kex: supportedKex, keys: supportedKeys,
		defaultCiphers: split("chacha20-poly1305@openssh.com,aes128-gcm@openssh.com,aes256-gcm@openssh.com,aes128-ctr,aes192-ctr,aes256-ctr"),
		defaultMACs:    split(defaultMACs), defaultKeys: split(defaultKeys), defaultSignatures: split(defaultSignatures),
		defaultKex: split("mlkem768x25519-sha256," + defaultKex),
	}
	if r.modern() {
		a.keys = without(a.keys, "ssh-dss", "ssh-dss-cert-v01@openssh.com")
		return a
	}
	a.defaultCiphers = split("chacha20-poly1305@openssh.com,aes128-ctr,aes192-ctr,aes256-ctr,aes128-gcm@openssh.com,aes256-gcm@openssh.com")
	a.defaultKex = split(defaultKex + ",diffie-hellman-group-exchange-sha256,diffie-hellman-group16-sha512," +
		"diffie-hellman-group18-sha512,diffie-hellman-group14-sha256")
	a.kex = without(a.kex, "mlkem768x25519-sha256")
	if r.Update >= 0 && r.Update < 4 {
		// Debian added the name without a domain in 1:9.2p1-2+deb12u4.
		a.kex = without(a.kex, "sntrup761x25519-sha512")
		a.defaultKex = without(a.defaultKex, "sntrup761x25519-sha512")
	}
	return a
}

// deprecatesTOS reports whether IPQoS takes only DSCP names: Debian 13 since 1:10.0p1-7+deb13u3.
func (r Release) deprecatesTOS() bool {
	return r.modern() && !(r.Major == 10 && r.Minor == 0 && r.Update < 3) && !(r.Major == 9)
}

func split(s string) []string { return strings.Split(s, ",") }

func without(list []string, names ...string) []string {
	var out []string
	for _, l := range list {
		keep := true
		for _, n := range names {
			keep = keep && l != n
		}
		if keep {
			out = append(out, l)
		}
	}
	return out
}
