package vmx

import (
	"slices"
	"strconv"
	"strings"
)

// Key is a setting that matters for the boundary between a guest and its hypervisor.
type Key struct {
	// Name is the spelling of VMware's own guides; keys are compared without regard to case.
	Name string
	// Default is what ESXi 7 and later use when the key is absent (VMware SCG 8.0.3, "Installation Default Value").
	Default string
	// Want is the value that the guides want today; empty means that the key should be absent.
	Want string
}

// Keys are the settings by the name of the fact.
//
// table: VMware Security Configuration Guide 8.0.3 and DISA STIG vSphere 8 (VMCH-80)
func Keys() map[string]Key {
	return map[string]Key{
		"copy_off":      {"isolation.tools.copy.disable", "TRUE", "TRUE"},
		"paste_off":     {"isolation.tools.paste.disable", "TRUE", "TRUE"},
		"drag_off":      {"isolation.tools.dnd.disable", "TRUE", "TRUE"},
		"shrink_off":    {"isolation.tools.diskShrink.disable", "TRUE", "TRUE"},
		"wipe_off":      {"isolation.tools.diskWiper.disable", "TRUE", "TRUE"},
		"gui_enabled":   {"isolation.tools.setGUIOptions.enable", "FALSE", "FALSE"},
		"setinfo_off":   {KeySetInfo, "FALSE", "TRUE"},
		"setinfo_limit": {KeySetInfoLimit, "1048576", "1048576"},
		"connect_off":   {"isolation.device.connectable.disable", "TRUE", "TRUE"},
		"edit_off":      {"isolation.device.edit.disable", "TRUE", "TRUE"},
		"host_info":     {"tools.guestlib.enableHostInfo", "FALSE", "FALSE"},
		"consoles":      {"RemoteDisplay.maxConnections", "-1", "1"},
		"vnc":           {"RemoteDisplay.vnc.enabled", "FALSE", "FALSE"},
		"log_size":      {KeyLogSize, "2048000", "2048000"},
		"log_keep":      {"log.keepOld", "10", "10"},
		"salt":          {"sched.mem.pshare.salt", "", ""},
		"autolock":      {"tools.guest.desktop.autolock", "FALSE", "TRUE"},
		"graphics_3d":   {"mks.enable3d", "FALSE", "FALSE"},
		"folders_off":   {"isolation.tools.hgfs.disable", "TRUE", "TRUE"},
	}
}

// Obsolete is a setting of older guides that nothing reads today, or that means the opposite of what is wanted.
type Obsolete struct {
	Name string
	// Why says what is wrong with it; Today is the setting that does what was meant, empty when there is none.
	Why, Today string
}

// ObsoleteKeys lists them by their folded name.
//
// table: spellings of guides for ESX 3 to 6, with what is right today
func ObsoleteKeys() map[string]Obsolete {
	return map[string]Obsolete{
		"isolation.tools.copy.enable":         {"isolation.tools.copy.enable", "no ESXi reads it", `isolation.tools.copy.disable = "TRUE"`},
		"isolation.tools.paste.enable":        {"isolation.tools.paste.enable", "no ESXi reads it", `isolation.tools.paste.disable = "TRUE"`},
		"isolation.tools.connectable.disable": {"isolation.tools.connectable.disable", "the key has another name today", `isolation.device.connectable.disable = "TRUE"`},
		"isolation.tools.log.disable":         {"isolation.tools.log.disable", "logs are wanted today, limited in size and number", `logging = "TRUE", log.rotateSize = "2048000", log.keepOld = "10"`},
		"isolation.tools.hgfsserverset.disable": {"isolation.tools.hgfsServerSet.disable", "the key has another name since ESXi 6.5",
			`isolation.tools.hgfs.disable = "TRUE"`},
	}
}

// Today gives the line that says today what a line of an older guide means, in the spelling of today, and why when it is another
// one than key and value are. A key that nobody knows stays as it is.
func Today(key, value string) (line, why string) {
	folded := strings.ToLower(key)
	if o, ok := ObsoleteKeys()[folded]; ok {
		return o.Today, o.Why
	}
	for _, k := range Keys() {
		if !strings.EqualFold(k.Name, key) {
			continue
		}
		switch truth, ok := Bool(value); {
		case k.Name == KeyLogSize && value != k.Want:
			return k.Name + " = " + Quote(k.Want), "logs of " + value + " bytes lose in minutes what an incident needs"
		case k.Name == KeySetInfo && truth:
			return k.Name + " = " + Quote("TRUE"), "the guest cannot tell its name and address then; " + KeySetInfoLimit + " limits what it writes instead"
		case ok && (k.Want == "TRUE" || k.Want == "FALSE"):
			return k.Name + " = " + Quote(strings.ToUpper(strconv.FormatBool(truth))), ""
		}
		return k.Name + " = " + Quote(value), ""
	}
	return key + " = " + Quote(value), ""
}

// Legacy are the switches of features that ESXi 6.7 and later no longer have; they still mean something to Workstation and
// Fusion. All want TRUE.
//
// table: VMware Security Configuration Guide 6.0 and 6.5, CIS ESXi 7 sections 8.4.2 to 8.4.20
func Legacy() []string {
	return []string{
		"isolation.bios.bbs.disable", "isolation.ghi.host.shellAction.disable", "isolation.monitor.control.disable", "isolation.tools.autoInstall.disable",
		"isolation.tools.dispTopoRequest.disable", "isolation.tools.getCreds.disable", "isolation.tools.ghi.autologon.disable",
		"isolation.tools.ghi.launchmenu.change", "isolation.tools.ghi.protocolhandler.info.disable", "isolation.tools.ghi.trayicon.disable",
		"isolation.tools.guestDnDVersionSet.disable", "isolation.tools.memSchedFakeSampleStats.disable", "isolation.tools.trashFolderState.disable",
		"isolation.tools.unity.disable", "isolation.tools.unity.push.update.disable", "isolation.tools.unity.taskbar.disable",
		"isolation.tools.unity.windowContents.disable", "isolation.tools.unityActive.disable", "isolation.tools.unityInterlockOperation.disable",
		"isolation.tools.vixMessage.disable", "isolation.tools.vmxDnDVersionGet.disable",
	}
}

// The keys under which a .vmx file holds what vSphere has as typed settings.
const (
	KeyVMotion = "migrate.encryptionMode"
	KeyFT      = "ftcpt.ftEncryptionMode"
	KeyLogging = "logging"
)

// Keys of which more is known than a value that is wanted.
const (
	KeyLogSize      = "log.rotateSize"
	KeySetInfo      = "isolation.tools.setinfo.disable"
	KeySetInfoLimit = "tools.setInfo.sizeLimit"
)

// Relevant reports whether a key says something about the boundary of a guest: what is planned, shown and journalled of a machine
// of vSphere is these only, because other settings may hold secrets of the guest.
func Relevant(key string) bool {
	folded := strings.ToLower(key)
	if _, ok := ObsoleteKeys()[folded]; ok || IsFilter(key) {
		return true
	}
	for _, k := range Keys() {
		if strings.EqualFold(k.Name, key) {
			return true
		}
	}
	return slices.ContainsFunc(Legacy(), func(k string) bool { return strings.EqualFold(k, key) })
}
