package collect

import (
	"strconv"
	"strings"
	"time"

	"github.com/castellan-project/castellan/internal/inventory"
	"github.com/castellan-project/castellan/internal/inventory/exposure"
	"github.com/castellan-project/castellan/internal/posture"
	"github.com/castellan-project/castellan/internal/pve/guestcfg"
)

// life reads what guests of both kinds have.
func (g *guestReader) life(guest *inventory.Guest, cfg *guestcfg.Config, name string, tags []string, life exposure.Life) {
	s := &cfg.Current
	l := posture.GuestLife{
		ID: guest.ID, Kind: string(guest.Kind), Guest: name, Source: guest.Config.Path, Tags: tags,
		Running: g.running(guest), IdleDays: g.idle(guest), Template: life.Template, OnBoot: s.On("onboot"), Protection: s.On("protection"),
		Lock: exposure.Clip(life.Lock), LockHours: g.locked(guest, life), HookScript: exposure.Clip(s.Value("hookscript")),
		Owner: life.Owner, Purpose: life.Purpose, Expires: life.Expires, Expired: g.expired(life),
		From: lineage(guest, life), Lineage: life.LineageKnown, Unused: nonNil(clipped(life.Unused)),
		Snapshots: life.Snapshots, OldestSnapshot: days(life.Oldest, g.c.Now), MemorySnapshots: life.Memory, UnfinishedSnapshots: life.Unfinished,
		Pending: hasPending(cfg), OSType: exposure.Clip(s.Value("ostype")), OSSupported: supported(""),
		Secret: s.LineOf("cipassword") > 0 || s.Value("ciuser") == "root",
	}
	if guest.Kind == inventory.QEMU {
		l.OSSupported = supported(l.OSType)
	}
	l.StoppedDays = l.IdleDays.Value
	l.Created, l.Dated = g.created(guest, life)
	g.lives = append(g.lives, l)
}

// machine reads a virtual machine.
func (g *guestReader) machine(guest *inventory.Guest, cfg *guestcfg.Config, name string, tags []string, life exposure.Life) {
	s := &cfg.Current
	cpu, agent, board, firmware := g.judge.CPUOf(s), exposure.AgentOf(s), exposure.MachineOf(s), exposure.FirmwareOf(s)
	vm := posture.VM{
		ID: guest.ID, Name: exposure.Clip(cfg.Name()), Title: name, Node: guest.Node, Source: guest.Config.Path, Here: guest.Node == g.cl.Here, Tags: tags,
		Template: life.Template,
		Memory:   megabytes(s), Cores: atLeastOne(s, "cores") * atLeastOne(s, "sockets"), CPULimit: decimal(s.Value("cpulimit")), NICs: cards(s),
		Args: exposure.MaskArguments(s.Value("args")), Agent: agent.Enabled, Freeze: agent.Freeze,
		CPU: exposure.Clip(cpu.Type), CPUDefault: cpu.Default, CPUVendor: cpu.Vendor, CPUFlags: nonNil(clipped(cpu.On)), CPUMissing: nonNil(cpu.Missing), CPUKnown: modelKnown(cpu),
		CPUBare: cpu.Bare, Nested: cpu.Nested && !g.nestingOff(guest), KVM: on(s, "kvm", true),
		Machine: exposure.Clip(board.Type), MachineVersion: exposure.Clip(board.Version),
		OVMF: firmware.OVMF, SecureBoot: firmware.SecureBoot, Certificates: exposure.Clip(firmware.Certificates), TPM: exposure.Clip(firmware.TPM),
		VGA: exposure.Clip(s.Properties("vga", "type").Value("type")), Tablet: on(s, "tablet", true), AllowKSM: on(s, "allow-ksm", true),
		VMGenID: s.Value("vmgenid") != "" && s.Value("vmgenid") != "0", CIUser: exposure.Clip(s.Value("ciuser")), CIPassword: s.LineOf("cipassword") > 0,
	}
	vm.Created, vm.Dated = g.created(guest, life)
	vm.OSType = exposure.Clip(s.Value("ostype"))
	confidential(&vm, s)
	for _, v := range s.Volumes() {
		if v.Cloudinit {
			vm.CloudInit = true
		}
		if !v.CDROM && !v.EFI && !v.TPM && !v.Unused && !limited(v) {
			vm.UnlimitedDisks = append(vm.UnlimitedDisks, v.Key)
		}
	}
	vm.UnlimitedDisks = nonNil(vm.UnlimitedDisks)
	g.qemu(guest, &vm)
	g.vms = append(g.vms, vm)
}

// qemu compares the QEMU that runs with the one that its node has.
func (g *guestReader) qemu(guest *inventory.Guest, vm *posture.VM) {
	const source = "/nodes/NODE/qemu"
	st := g.states.ByID[guest.ID]
	vm.RunningQEMU = st.QEMU
	outdated, known := g.states.Outdated(guest)
	switch {
	case st.Status == "stopped":
		vm.Outdated = posture.Known(false, posture.Effective, g.states.Source)
	case !known:
		vm.Outdated = posture.Unknown[bool](posture.Problemf("unavailable", "which QEMU runs and which one is installed is known to the API only"), source)
	default:
		vm.Outdated = posture.Known(outdated, posture.Effective, source)
	}
	if outdated {
		e := g.judge.OldQEMU(st, g.states.Newest(guest.Node))
		g.exposures[e.Kind] = append(g.exposures[e.Kind], shown(guest, vm.Title, vm.Tags, vm.Template, e))
	}
}

// container reads a container.
func (g *guestReader) container(guest *inventory.Guest, cfg *guestcfg.Config, name string, tags []string, life exposure.Life) {
	s := &cfg.Current
	ct := posture.Container{
		ID: guest.ID, Name: exposure.Clip(cfg.Name()), Title: name, Node: guest.Node, Source: guest.Config.Path, Here: guest.Node == g.cl.Here, Tags: tags,
		Template: life.Template,
		Memory:   number(s, "memory", 512), MemorySet: s.LineOf("memory") > 0, Swap: number(s, "swap", 512), SwapSet: s.LineOf("swap") > 0,
		Cores: number(s, "cores", 0), CPULimit: decimal(s.Value("cpulimit")), NICs: cards(s),
		Unprivileged: s.On("unprivileged"), CMode: exposure.Clip(s.Value("cmode")),
	}
	if ct.CMode == "" {
		ct.CMode = "tty"
	}
	features := s.Properties("features", "")
	for _, f := range []string{"nesting", "keyctl", "fuse", "mknod", "force_rw_sys"} {
		if features.On(f) {
			ct.Features = append(ct.Features, f)
		}
	}
	if m := features.Value("mount"); m != "" {
		ct.Features = append(ct.Features, "mount="+exposure.Clip(m))
	}
	ct.Features = nonNil(ct.Features)
	ct.Platform = exposure.PlatformOf(cfg)
	g.cts = append(g.cts, ct)
}

// running is a fact for a guest of which the state is known.
func (g *guestReader) running(guest *inventory.Guest) posture.Fact[bool] {
	st, known := g.states.Of(guest.ID)
	switch {
	case known:
		return posture.Known(st.Status != "stopped", posture.Effective, g.states.Source)
	case g.states.Err != nil:
		return posture.Unknown[bool](g.states.Err, g.states.Source)
	}
	return posture.Unknown[bool](posture.Problemf("unavailable", "%s does not tell the state of guest %d", g.states.Source, guest.ID), g.states.Source)
}

// idle is how long a guest has been stopped, at least.
func (g *guestReader) idle(guest *inventory.Guest) posture.Fact[int] {
	st, known := g.states.Of(guest.ID)
	const log = "/var/log/pve/tasks/index"
	switch {
	case known && st.Status != "stopped":
		return posture.Known(0, posture.Effective, g.states.Source)
	case known && !st.LastStart.IsZero():
		return posture.Known(days(st.LastStart, g.c.Now), posture.Effective, log)
	case known && st.NotSince && guest.Node == g.cl.Here:
		return posture.Known(days(st.LogBegin, g.c.Now), posture.Effective, log)
	case known:
		return posture.Unknown[int](posture.Problemf("not-found", "the task log that was read does not tell when guest %d was last started", guest.ID), log)
	}
	return posture.Fact[int]{Problem: g.running(guest).Problem, Source: g.states.Source}
}

// locked is how long a configuration with a lock has not been written.
func (g *guestReader) locked(guest *inventory.Guest, life exposure.Life) posture.Fact[int] {
	if life.Lock == "" {
		return posture.Known(0, posture.Configured, guest.Config.Path)
	}
	st, err := g.c.Host.Stat(guest.Config.Path)
	if err == nil && st.ModTime.IsZero() {
		err = posture.Problemf("unavailable", "the copy does not tell when %s was written", guest.Config.Path)
	}
	if err != nil {
		return posture.Unknown[int](err, guest.Config.Path)
	}
	return posture.Known(max(0, int(g.c.Now.Sub(st.ModTime)/time.Hour)), posture.Configured, guest.Config.Path)
}

func modelKnown(cpu exposure.CPU) posture.Fact[bool] {
	if cpu.Vendor == "" {
		return posture.Unknown[bool](posture.Problemf("unavailable", "the processor model %s is not known", exposure.Clip(cpu.Type)), "cpu")
	}
	return posture.Known(true, posture.Configured, "cpu")
}

func (g *guestReader) expired(life exposure.Life) bool {
	return !life.ExpiresAt.IsZero() && life.ExpiresAt.AddDate(0, 0, 1).Before(g.c.Now)
}

func (g *guestReader) created(guest *inventory.Guest, life exposure.Life) (posture.Fact[int], bool) {
	if life.Created.IsZero() {
		return posture.Unknown[int](posture.Problemf("not-found", "the configuration of guest %d does not say when it was made", guest.ID), guest.Config.Path), false
	}
	return posture.Known(days(life.Created, g.c.Now), posture.Configured, guest.Config.Path), true
}

func lineage(guest *inventory.Guest, life exposure.Life) posture.Fact[[]int] {
	if !life.LineageKnown {
		return posture.Unknown[[]int](posture.Problemf("not-found", "a full clone does not tell its template"), guest.Config.Path)
	}
	if life.From == nil {
		life.From = []int{}
	}
	return posture.Known(life.From, posture.Configured, guest.Config.Path)
}

// supported knows the operating systems that have no future: everything of Microsoft before Windows 10, and Linux 2.4.
func supported(ostype string) posture.Fact[bool] {
	switch ostype {
	case "wxp", "w2k", "w2k3", "w2k8", "wvista", "win7", "win8", "l24":
		return posture.Known(false, posture.Configured, "ostype "+ostype)
	}
	return posture.Unknown[bool](posture.Problemf("unavailable", "which release of its operating system a guest runs is known inside only"), "ostype")
}

func hasPending(cfg *guestcfg.Config) bool {
	return len(cfg.Pending.Entries) > 0 || len(cfg.Pending.Deletes) > 0
}

func cards(s *guestcfg.Section) []posture.GuestNIC {
	list := []posture.GuestNIC{}
	for _, n := range s.NICs() {
		list = append(list, posture.GuestNIC{Key: n.Key, Bridge: exposure.Clip(n.Bridge), Tag: n.Tag, Firewall: n.Firewall, Rate: n.Rate, LinkDown: n.LinkDown})
	}
	return list
}

// limited reports whether a disk has a limit that slows a guest down: of bytes or operations.
func limited(v guestcfg.Volume) bool {
	for _, p := range v.Options {
		if (strings.HasPrefix(p.Key, "mbps") || strings.HasPrefix(p.Key, "iops") || strings.HasPrefix(p.Key, "bps")) && p.Value != "0" {
			return true
		}
	}
	return false
}

// confidential reads memory encryption. Debugging is allowed unless no-debug=1.
func confidential(vm *posture.VM, s *guestcfg.Section) {
	if _, ok := s.Get("amd-sev"); ok {
		ps := s.Properties("amd-sev", "type")
		vm.Confidential, vm.Debuggable = "sev", !ps.On("no-debug")
		if t := ps.Value("type"); t == "es" || t == "snp" {
			vm.Confidential = "sev-" + t
		}
	} else if _, ok := s.Get("intel-tdx"); ok {
		vm.Confidential = "tdx"
	}
}

func on(s *guestcfg.Section, key string, byDefault bool) bool {
	if _, ok := s.Get(key); !ok {
		return byDefault
	}
	return s.On(key)
}

func number(s *guestcfg.Section, key string, byDefault int) int {
	if n, ok := s.Number(key); ok {
		return n
	}
	return byDefault
}

func atLeastOne(s *guestcfg.Section, key string) int { return min(max(number(s, key, 1), 1), 8192) }

// megabytes is the memory of a virtual machine: "2048" or "current=2048", 512 when nothing is set.
func megabytes(s *guestcfg.Section) int {
	if n, err := strconv.Atoi(s.Properties("memory", "current").Value("current")); err == nil {
		return n
	}
	return 512
}

func decimal(text string) float64 {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || n < 0 || n > 1e6 {
		return 0
	}
	return n
}

func clipped(list []string) []string {
	for i, s := range list {
		list[i] = exposure.Clip(s)
	}
	return list
}
