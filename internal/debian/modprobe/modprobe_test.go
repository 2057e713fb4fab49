package modprobe

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestConfig(t *testing.T) {
	rules := Parse("f", []byte("# c\ninstall usb-storage /bin/false\ninstall dccp \\\n  /bin/true\ninstall sctp /sbin/modprobe --ignore-install sctp\nblacklist tipc\noptions vfio_iommu_type1 allow_unsafe_interrupts=1 x=2\ninstall rds /bin/sh -c true\ninstall"))
	c := NewConfig(rules)
	for m, want := range map[string]bool{"usb_storage": true, "usb-storage": true, "dccp": true, "sctp": false, "tipc": false, "rds": false, "none": false} {
		if _, ok := c.Blocked(m); ok != want {
			t.Errorf("Blocked(%s) = %v", m, ok)
		}
	}
	if r, _ := c.Blocked("dccp"); r.Line != 3 || r.Rest != "/bin/true" {
		t.Errorf("continued line: %+v", r)
	}
	if _, ok := c.Blacklisted("tipc"); !ok {
		t.Error("tipc is blacklisted")
	}
	var opts []string
	for _, o := range c.Options() {
		opts = append(opts, o.Module+" "+o.Rest)
	}
	if d := cmp.Diff([]string{"vfio_iommu_type1 allow_unsafe_interrupts=1", "vfio_iommu_type1 x=2"}, opts); d != "" {
		t.Error(d)
	}
	if n := len(c.BlockedModules()); n != 2 {
		t.Errorf("%d blocked modules", n)
	}
}

func TestFirstInstallLineCounts(t *testing.T) {
	c := NewConfig(Parse("f", []byte("install udf /sbin/modprobe -i udf\ninstall udf /bin/false\n")))
	if _, ok := c.Blocked("udf"); ok {
		t.Error("kmod takes the first install line")
	}
}

func TestOrder(t *testing.T) {
	got := Order([]string{"/usr/lib/modprobe.d/a.conf", "/etc/modprobe.d/b.conf", "/etc/modprobe.d/a.conf", "/etc/modprobe.d/x"})
	if d := cmp.Diff([]string{"/etc/modprobe.d/a.conf", "/etc/modprobe.d/b.conf"}, got); d != "" {
		t.Error(d)
	}
}

func TestLists(t *testing.T) {
	if d := cmp.Diff([]string{"kvm", "usb_storage"}, ParseLoaded([]byte("usb_storage 1 0 - Live 0x0\nkvm 2 1 kvm_intel, Live 0x0\n\n"))); d != "" {
		t.Error(d)
	}
	got := ParseIndex([]byte("kernel/fs/udf/udf.ko.xz: kernel/lib/crc-itu-t.ko.xz\nkernel/net/sctp/sctp.ko:\nnonsense\n"))
	if d := cmp.Diff(map[string]bool{"udf": true, "sctp": true}, got); d != "" {
		t.Error(d)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("install a /bin/false\nblacklist b\n\\\n"))
	f.Add([]byte("\x00\xff \\"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := NewConfig(Parse("f", b))
		for _, r := range c.BlockedModules() {
			if _, ok := c.Blocked(r.Module); !ok {
				t.Fatalf("%q is listed and not blocked", r.Module)
			}
		}
		c.Options()
		ParseLoaded(b)
		ParseIndex(b)
	})
}
