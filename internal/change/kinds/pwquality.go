package kinds

import (
	"maps"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/change"
	pamconf "github.com/castellan-project/castellan/internal/debian/pam"
	"github.com/castellan-project/castellan/internal/host"
)

const pwqualityFile = "/etc/security/pwquality.conf"

// pwquality sets keys of pwquality.conf(5): the main file is read after those of pwquality.conf.d, so it has the last word, but
// for arguments of the module. Without the module in the stack nothing would ask for them.
func pwquality(d *change.Draft, c change.Change) error {
	entries, err := readStack(d, "common-password")
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(entries, func(e pamconf.Entry) bool { return e.Module == "pam_pwquality.so" }) {
		return change.Cannot("pam_pwquality is not in /etc/pam.d/common-password: install libpam-pwquality, or run pam-auth-update " +
			"and choose pwquality, and plan again")
	}
	below := map[string]pamconf.Value{}
	files, err := d.List("/etc/security/pwquality.conf.d/*.conf")
	if err != nil && !host.NotExist(err) {
		return err
	}
	for _, f := range files { // sorted by path, as the library reads them
		if f.Type == host.Dir || strings.HasPrefix(f.Path[strings.LastIndexByte(f.Path, '/')+1:], ".") {
			continue
		}
		b, _, err := d.Content(f.Path)
		if err != nil {
			return err
		}
		maps.Copy(below, pamconf.ParseConf(b))
	}
	return moduleConf(d, moduleSettings{set: c.Set, file: pwqualityFile, stack: "common-password", module: "pam_pwquality.so", below: below})
}
