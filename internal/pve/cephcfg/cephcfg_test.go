package cephcfg_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/castellan-project/castellan/internal/pve/cephcfg"
)

func TestParse(t *testing.T) {
	c, problems := cephcfg.Parse([]byte("stray = 1\n[global]\n\tpublic network = 10.0.0.0/24, 10.1.0.0/24 # two\n auth-cluster-required = none\n osd_pool_default_size = 2\n key = KEEPOUT\n ms_cluster_mode = secure\nnonsense\n[mon.a]\n[mon.b]\n x = 1\n[broken\n"))
	if d := cmp.Diff([]string{"10.0.0.0/24", "10.1.0.0/24"}, c.ClusterNetworks()); d != "" {
		t.Error(d)
	}
	if c.Auth("cluster") != "none" || c.Auth("client") != "cephx" || c.PoolSize() != 2 || c.PoolMinSize() != 1 || c.MessengerMode("cluster") != "secure" || c.MessengerMode("client") != "crc secure" {
		t.Errorf("%+v", c)
	}
	if strings.Contains(fmt.Sprintf("%+v", c), "KEEPOUT") {
		t.Error("a key is kept")
	}
	if len(problems) != 3 || problems[0].Line != 1 {
		t.Errorf("%v", problems)
	}
	if c, _ := cephcfg.Parse(nil); c.PoolSize() != 3 || c.PoolMinSize() != 2 || len(c.PublicNetworks()) != 0 {
		t.Error("defaults")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("[global]\na = b\n"))
	f.Add([]byte("[\n=\n[]\n = x"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, _ := cephcfg.Parse(b)
		if c.PoolMinSize() < 0 || c.PoolSize() < 0 {
			t.Fatal("negative sizes")
		}
	})
}
