package collect

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/debian/efi"
	"github.com/castellan-project/castellan/internal/debian/grub"
	"github.com/castellan-project/castellan/internal/debian/sdboot"
	"github.com/castellan-project/castellan/internal/debian/smbios"
	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/posture"
)

const (
	grubCfg      = "/boot/grub/grub.cfg"
	grubCustom   = "/boot/grub/custom.cfg"
	grubScripts  = "/etc/grub.d/*"
	bootUUIDs    = "/etc/kernel/proxmox-boot-uuids"
	bootEFI      = "/sys/firmware/efi"
	bootSecurity = "/sys/firmware/dmi/entries/24-0/raw"
	bootIPMI     = "/sys/firmware/dmi/entries/38-0/raw"
	bootTPM      = "/sys/class/tpm/tpm0/tpm_version_major"
)

// loaderConfs are where the EFI system partition, and on it loader.conf, may be mounted.
func loaderConfs() []string {
	return []string{"/boot/efi/loader/loader.conf", "/efi/loader/loader.conf", "/boot/loader/loader.conf"}
}

// Boot collects the subject boot.
func Boot() Collector {
	needs := reads(grubCfg, grubCustom, grubScripts, bootUUIDs, bootSecurity, bootIPMI, bootTPM, efi.Dir+"/*-"+efi.Global,
		efi.Path("LoaderInfo", efi.Loader), "/etc/shadow", dpkgStatus)
	needs = append(needs, reads(loaderConfs()...)...)
	needs = append(needs, lists(efi.Dir+"/Boot*", grubScripts)...)
	needs = append(needs, stats(grubCfg, bootEFI, "/dev/ipmi0", "/sys/class/tpm", "/sys/firmware/dmi/entries", efi.Dir)...)
	needs = append(needs, bootShellNeeds()...)
	needs = append(needs, bootDiskNeeds()...)
	return Collector{Name: "boot", Needs: needs, Collect: collectBoot}
}

func collectBoot(c *Context) {
	f := &posture.Boot{}
	f.Firmware = firmware(c)
	there, err := exists(c, bootUUIDs)
	if err != nil {
		f.ProxmoxTool = posture.Unknown[bool](err, bootUUIDs)
	} else {
		f.ProxmoxTool = posture.Known(there, posture.Configured, bootUUIDs)
	}
	f.Loader = bootLoader(c, f)
	collectGRUB(c, &f.GRUB)
	f.Editor = bootEditor(c)
	bootEFIFacts(c, f)
	bootSMBIOS(c, f)
	bootDisks(c, f)
	bootShells(c, f)
	c.Facts.Boot = *f
}

func firmware(c *Context) posture.Fact[string] {
	return liveOnly(c, bootEFI, func() (string, error) {
		_, err := c.Host.Stat(bootEFI)
		if host.NotExist(err) {
			// In a container /sys/firmware is hidden; a machine started by a BIOS has it with other content.
			if _, err := c.Host.Stat("/sys/firmware"); err != nil {
				return "", err
			}
			return "bios", nil
		}
		return "uefi", err
	})
}

// bootLoader decides which boot loader starts this host. systemd-boot leaves a variable that says so; a BIOS can only
// have started GRUB; beyond that the files decide when they leave no doubt.
func bootLoader(c *Context, f *posture.Boot) posture.Fact[string] {
	info := efi.Path("LoaderInfo", efi.Loader)
	if c.Live && f.Firmware.IsKnown() && f.Firmware.Value == "uefi" {
		b, err := c.Host.ReadFile(info)
		if s, textErr := efi.Text(b); err == nil && textErr == nil && strings.HasPrefix(s, "systemd-boot") {
			return posture.Known("systemd-boot", posture.Effective, info)
		}
		if err != nil && !host.NotExist(err) {
			return posture.Unknown[string](err, info)
		}
	}
	_, grubErr := c.Host.Stat(grubCfg)
	if grubErr != nil && !host.NotExist(grubErr) {
		return posture.Unknown[string](grubErr, grubCfg)
	}
	if c.Live && f.Firmware.IsKnown() && grubErr == nil {
		return posture.Known("grub", posture.Effective, grubCfg)
	}
	conf, confErr := loaderConf(c)
	switch {
	case grubErr == nil && confErr != nil && !(f.ProxmoxTool.IsKnown() && f.ProxmoxTool.Value):
		return posture.Known("grub", posture.Configured, grubCfg)
	case grubErr != nil && confErr == nil:
		return posture.Known("systemd-boot", posture.Configured, conf.file)
	case grubErr == nil:
		return posture.Unknown[string](posture.Problemf("unavailable", "GRUB and systemd-boot are both there; which one starts is seen on the running host"), grubCfg)
	}
	return posture.Unknown[string](posture.Problemf("not-found", "neither %s nor a loader.conf is there", grubCfg), grubCfg)
}

func collectGRUB(c *Context, f *posture.BootGRUB) {
	b, err := c.Host.ReadFile(grubCfg)
	if err != nil {
		f.Superusers, f.Hashed = posture.Unknown[[]string](err, grubCfg), posture.Unknown[[]string](err, grubCfg)
		f.HashedNames, f.Plain = f.Hashed, f.Hashed
		f.Entries = posture.Unknown[[]posture.BootMenuEntry](err, grubCfg)
	} else {
		conf := grub.Parse(b)
		if slices.ContainsFunc(conf.Sources, func(s string) bool { return strings.HasSuffix(s, "/custom.cfg") }) {
			if more, err := c.Host.ReadFile(grubCustom); err == nil {
				conf.Merge(grub.Parse(more))
			}
		}
		f.Superusers = posture.Known(nonNil(conf.Superusers), posture.Effective, source(grubCfg, conf.SuperusersLine))
		f.Hashed = posture.Known(userWords(conf.Hashed), posture.Effective, grubCfg)
		f.Plain = posture.Known(userWords(conf.Plain), posture.Effective, grubCfg)
		names := []string{}
		for _, u := range conf.Hashed {
			names = append(names, u.Name)
		}
		f.HashedNames = posture.Known(names, posture.Effective, grubCfg)
		f.Entries = posture.Known(menuEntries(conf), posture.Effective, grubCfg)
	}
	grubScriptFacts(c, f)
	st, err := c.Host.Stat(grubCfg)
	switch {
	case err != nil:
		f.Mode, f.Owner = posture.Unknown[string](err, grubCfg), posture.Unknown[string](err, grubCfg)
	case st.OwnerUnknown:
		f.Mode, f.Owner = posture.Unknown[string](errOwners, grubCfg), posture.Unknown[string](errOwners, grubCfg)
	default:
		f.Mode = posture.Known(fmt.Sprintf("%04o", st.Mode), posture.Effective, grubCfg)
		f.Owner = posture.Known(fmt.Sprintf("%d:%d", st.UID, st.GID), posture.Effective, grubCfg)
	}
}

func userWords(users []grub.User) []string {
	out := []string{}
	for _, u := range users {
		out = append(out, u.Name+" ("+source(grubCfg, u.Line)+")")
	}
	return out
}

func menuEntries(conf *grub.Config) []posture.BootMenuEntry {
	out := []posture.BootMenuEntry{}
	start := ""
	if i, ok := conf.DefaultEntry(); ok {
		start = conf.Entries[i].Path
	}
	for _, e := range conf.Entries {
		out = append(out, posture.BootMenuEntry{Title: e.Title, Submenu: e.Submenu, Unrestricted: e.Unrestricted, Recovery: e.Recovery,
			Default: e.Path == start || strings.HasPrefix(start, e.Path+">"), Nested: strings.Contains(e.Path, ">"), Users: nonNil(e.Users)})
	}
	return out
}

// packagedScripts are the scripts of /etc/grub.d that grub-common and Proxmox ship.
func packagedScripts() []string {
	return []string{"00_header", "05_debian_theme", "10_linux", "20_linux_xen", "20_memtest86+", "25_bli", "30_os-prober", "30_uefi-firmware", "000_proxmox_boot_header"}
}

// grubScriptFacts looks for passwords in the scripts that make grub.cfg. Scripts that are not executable do not run,
// which only the mode tells.
func grubScriptFacts(c *Context, f *posture.BootGRUB) {
	list, err := c.Host.List(grubScripts)
	if err != nil {
		f.InPackagedScript = posture.Unknown[[]string](err, grubScripts)
		return
	}
	if len(list) == 0 && !wholeSystem(c) {
		f.InPackagedScript = posture.Unknown[[]string](notCopied("/etc/grub.d"), grubScripts)
		return
	}
	packaged := []string{}
	for _, i := range list {
		if i.Type != host.Regular || path.Base(i.Path) == "README" {
			continue
		}
		b, err := c.Host.ReadFile(i.Path)
		if err != nil {
			f.InPackagedScript = posture.Unknown[[]string](err, i.Path)
			return
		}
		hashed, plain := grub.PasswordLines(b)
		if slices.Contains(packagedScripts(), path.Base(i.Path)) {
			for _, n := range append(slices.Clone(hashed), plain...) {
				packaged = append(packaged, source(i.Path, n))
			}
		}
		for _, n := range plain {
			if f.Plain.IsKnown() {
				f.Plain.Value = append(f.Plain.Value, "script ("+source(i.Path, n)+")")
			}
		}
	}
	f.InPackagedScript = posture.Known(packaged, posture.Configured, grubScripts)
}

type loaderFile struct {
	file string
	conf sdboot.Conf
}

// loaderConf reads loader.conf from wherever the EFI system partition is mounted.
func loaderConf(c *Context) (loaderFile, error) {
	for _, p := range loaderConfs() {
		b, err := c.Host.ReadFile(p)
		if err == nil {
			return loaderFile{p, sdboot.Parse(b)}, nil
		}
		if !host.NotExist(err) {
			return loaderFile{}, err
		}
	}
	return loaderFile{}, posture.Problemf("not-found", "no loader.conf is readable: the EFI system partition is not mounted (proxmox-boot-tool mounts it only while it writes)")
}

func bootEditor(c *Context) posture.Fact[bool] {
	l, err := loaderConf(c)
	if err != nil {
		return posture.Unknown[bool](err, "loader.conf")
	}
	return posture.Known(l.conf.Editor, originOf(l.conf.EditorLine), source(l.file, l.conf.EditorLine))
}

func bootEFIFacts(c *Context, f *posture.Boot) {
	flag := func(name string) posture.Fact[bool] {
		file := efi.Path(name, efi.Global)
		return liveOnly(c, file, func() (bool, error) {
			b, err := c.Host.ReadFile(file)
			if host.NotExist(err) && f.Firmware.IsKnown() && f.Firmware.Value == "bios" {
				return false, nil
			}
			if err != nil {
				return false, err
			}
			return efi.Flag(b)
		})
	}
	f.SecureBoot, f.SetupMode = flag("SecureBoot"), flag("SetupMode")
	f.Entries = liveOnly(c, efi.Path("BootOrder", efi.Global), func() ([]posture.BootEntry, error) {
		b, err := c.Host.ReadFile(efi.Path("BootOrder", efi.Global))
		if err != nil {
			return nil, err
		}
		order, err := efi.Order(b)
		if err != nil {
			return nil, err
		}
		out := []posture.BootEntry{}
		for _, n := range order {
			number := fmt.Sprintf("%04X", n)
			b, err := c.Host.ReadFile(efi.Path("Boot"+number, efi.Global))
			if host.NotExist(err) {
				continue // the firmware skips numbers without an entry
			}
			if err != nil {
				return nil, err
			}
			e, err := efi.ParseEntry(b)
			if err != nil {
				return nil, fmt.Errorf("cannot read Boot%s: %w", number, err)
			}
			out = append(out, posture.BootEntry{Number: number, Name: e.Description, Kind: e.Kind, Active: e.Active && !e.App, File: e.File})
		}
		return out, nil
	})
}

func bootSMBIOS(c *Context, f *posture.Boot) {
	var sec smbios.Security
	b, err := c.Host.ReadFile(bootSecurity)
	if err == nil {
		var s smbios.Structure
		if s, _, err = smbios.Parse(b); err == nil {
			sec, err = smbios.HardwareSecurity(s)
		}
	} else if host.NotExist(err) {
		err = posture.Problemf("not-found", "the firmware does not describe its passwords (no SMBIOS structure of type 24)")
	}
	password := func(s smbios.Status) posture.Fact[bool] {
		return liveOnly(c, bootSecurity, func() (bool, error) {
			switch {
			case err != nil:
				return false, err
			case s == smbios.Enabled || s == smbios.Disabled:
				return s == smbios.Enabled, nil
			}
			return false, posture.Problemf("unavailable", "the firmware says %q about this password", s)
		})
	}
	f.AdminPassword, f.PowerOnPassword = password(sec.AdministratorPassword), password(sec.PowerOnPassword)
	f.BMC = liveOnly(c, bootIPMI, func() (bool, error) {
		if _, err := c.Host.Stat("/dev/ipmi0"); err == nil {
			return true, nil
		}
		_, err := c.Host.ReadFile(bootIPMI)
		if !host.NotExist(err) {
			return err == nil, err
		}
		// Without any entries nothing was described; with some, the description has no controller.
		_, err = c.Host.Stat("/sys/firmware/dmi/entries")
		return false, err
	})
	f.TPM = liveOnly(c, bootTPM, func() (string, error) {
		b, err := c.Host.ReadFile(bootTPM)
		if host.NotExist(err) {
			if _, err := c.Host.Stat("/sys/class/tpm/tpm0"); err == nil {
				return "1.2", nil // kernels before 5.6 did not say the version; all kernels of Debian 12 and 13 do for 2.0
			}
			_, err = c.Host.Stat("/sys/class")
			return "none", err
		}
		if err != nil {
			return "", err
		}
		if strings.TrimSpace(string(b)) == "2" {
			return "2.0", nil
		}
		return "1.2", nil
	})
}
