package exposure

import (
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/pve"
	"github.com/castellan-project/castellan/internal/pve/guestcfg"
)

// Model is a CPU model that an administrator defined in virtual-guest/cpu-models.conf.
type Model struct {
	// Reported is the model that the guest sees; Flags are switched on.
	Reported string
	Flags    []string
}

// ParseModels reads /etc/pve/virtual-guest/cpu-models.conf: sections "cpu-model: NAME".
func ParseModels(b []byte) map[string]Model {
	models := map[string]Model{}
	sections, _ := pve.ParseSections(b)
	for i := range sections {
		s := &sections[i]
		m := Model{Reported: s.Value("reported-model")}
		if m.Reported == "" {
			m.Reported = defaultCPU
		}
		m.Flags, _ = flags(s.Value("flags"))
		models[s.ID] = m
	}
	return models
}

// defaultCPU is the model of a virtual machine that names none (qemu-server src/PVE/QemuServer/CPUConfig.pm).
const defaultCPU = "kvm64"

// CPU is the processor that a virtual machine sees.
type CPU struct {
	// Type is the model as PVE would use it, kvm64 when nothing is set.
	Type string
	// Default is true when nothing is set.
	Default bool
	// Vendor is intel, amd, generic (a model of no vendor), host, or "" for a model that is not known.
	Vendor string
	// On and Off are the flags that are set, sorted.
	On, Off []string
	// Missing are the flags against flaws of processors that the model lacks and that are not switched on. Models of
	// x86-64-v2 and later are counted as enough although they carry none, see Bare; so is host, which has what the node has.
	Missing []string
	// Bare is true for a generic model without any of the flags.
	Bare bool
	// Nested is true when the guest can run virtual machines itself: nested-virt, or the node's own processor.
	Nested bool
	// Hidden is true when the guest is not told that it is a virtual machine.
	Hidden bool
}

// CPUOf reads the processor of a virtual machine.
//
// Which flags a model lacks follows the manual (pve-docs qm, "Meltdown / Spectre related CPU flags") and, for models that
// carry them by themselves, QEMU's definitions (target/i386/cpu.c): Intel needs spec-ctrl unless the name ends in -IBRS,
// and ssbd; AMD needs ibpb unless the name ends in -IBPB, and virt-ssbd or amd-ssbd.
func (j *Judge) CPUOf(s *guestcfg.Section) CPU {
	ps := s.Properties("cpu", "cputype")
	cpu := CPU{Type: ps.Value("cputype"), Hidden: ps.On("hidden")}
	if cpu.Type == "" {
		cpu.Type, cpu.Default = defaultCPU, true
	}
	cpu.On, cpu.Off = flags(ps.Value("flags"))
	model := cpu.Type
	if name, ok := strings.CutPrefix(model, "custom-"); ok {
		m, known := j.Models[name]
		if !known {
			return cpu
		}
		model = m.Reported
		cpu.On = union(cpu.On, m.Flags)
	}
	cpu.Vendor = vendor(model)
	cpu.Nested = !slices.Contains(cpu.Off, "nested-virt") &&
		(model == "host" || model == "max" || slices.Contains(cpu.On, "nested-virt") || slices.Contains(cpu.On, "vmx") || slices.Contains(cpu.On, "svm"))
	cpu.mitigations(model)
	return cpu
}

func (c *CPU) mitigations(model string) {
	has := func(names ...string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return slices.Contains(c.On, n) })
	}
	need := func(ok bool, name string) {
		if !ok {
			c.Missing = append(c.Missing, name)
		}
	}
	switch c.Vendor {
	case "intel":
		modern := modernIntel(model)
		need(modern || strings.HasSuffix(model, "-IBRS") || ibrsVersion(model) || has("spec-ctrl"), "spec-ctrl")
		need(modern || has("ssbd"), "ssbd")
	case "amd":
		need(model != "EPYC" && strings.HasPrefix(model, "EPYC") || has("ibpb"), "ibpb")
		need(modernAMD(model) || has("virt-ssbd", "amd-ssbd", "amd-no-ssb", "ssbd"), "virt-ssbd")
	case "generic":
		c.Bare = !has("spec-ctrl", "ibpb", "ssbd", "virt-ssbd", "amd-ssbd", "md-clear")
		if strings.HasPrefix(model, "x86-64-v") && model != "x86-64-v2" {
			return
		}
		// kvm64, qemu64 and their like: as a processor of either vendor would need them, and no AES
		need(has("spec-ctrl", "ibpb"), "spec-ctrl or ibpb")
		need(has("ssbd", "virt-ssbd", "amd-ssbd"), "ssbd or virt-ssbd")
		need(has("aes"), "aes")
	}
}

// vendor is a table: vendor by model name (qemu-server src/PVE/QemuServer/CPUConfig.pm $cpu_vendor_list).
func vendor(model string) string {
	for _, p := range []string{"Conroe", "Penryn", "Nehalem", "Westmere", "SandyBridge", "IvyBridge", "Haswell", "Broadwell", "Skylake", "Cascadelake",
		"Cooperlake", "KnightsMill", "Icelake", "SapphireRapids", "GraniteRapids", "SierraForest", "ClearwaterForest", "DiamondRapids"} {
		if strings.HasPrefix(model, p) {
			return "intel"
		}
	}
	switch model {
	case "486", "pentium", "pentium2", "pentium3", "coreduo", "core2duo":
		return "intel"
	case "athlon", "phenom":
		return "amd"
	case "host", "max":
		return "host"
	case "kvm32", "kvm64", "qemu32", "qemu64":
		return "generic"
	}
	switch {
	case strings.HasPrefix(model, "EPYC") || strings.HasPrefix(model, "Opteron_"):
		return "amd"
	case strings.HasPrefix(model, "x86-64-v"):
		return "generic"
	}
	return ""
}

// modernIntel reports whether QEMU's model has spec-ctrl and ssbd by itself.
func modernIntel(model string) bool {
	for _, p := range []string{"Cascadelake", "Cooperlake", "Icelake-Server", "SapphireRapids", "GraniteRapids", "SierraForest", "ClearwaterForest", "DiamondRapids"} {
		if strings.HasPrefix(model, p) {
			return true
		}
	}
	return false
}

// ibrsVersion reports whether a versioned name stands for a model with -IBRS.
func ibrsVersion(model string) bool {
	switch model {
	case "Skylake-Client-v4", "Skylake-Server-v4", "Skylake-Server-v5":
		return true
	}
	return false
}

// modernAMD reports whether QEMU's model has a protection against speculative store bypass by itself.
func modernAMD(model string) bool {
	for _, p := range []string{"EPYC-Milan", "EPYC-Genoa", "EPYC-Turin"} {
		if strings.HasPrefix(model, p) {
			return true
		}
	}
	switch model {
	case "EPYC-Rome-v2", "EPYC-Rome-v3", "EPYC-Rome-v4", "EPYC-Rome-v5":
		return true
	}
	return false
}

// maxFlags bounds the flags of one model.
const maxFlags = 200

// flags splits "+spec-ctrl;-ssbd".
func flags(s string) (on, off []string) {
	if s == "" {
		return nil, nil
	}
	for part := range strings.SplitSeq(s, ";") {
		if len(on)+len(off) >= maxFlags || len(part) < 2 {
			continue
		}
		switch part[0] {
		case '+':
			on = append(on, part[1:])
		case '-':
			off = append(off, part[1:])
		}
	}
	slices.Sort(on)
	slices.Sort(off)
	return on, off
}

func union(a, b []string) []string {
	all := append(slices.Clone(a), b...)
	slices.Sort(all)
	return slices.Compact(all)
}
