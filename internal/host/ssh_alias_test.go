package host_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/castellan-project/castellan/internal/host"
)

// TestHostKeyAlias: the keys of the nodes of a cluster are known under their names, whatever address they are reached at.
func TestHostKeyAlias(t *testing.T) {
	s := newSite(t, "", "")
	file := filepath.Join(s.home, ".ssh/known_hosts")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(b))
	write(t, s, "known_hosts", "pve2 "+strings.Join(f[1:], " ")+"\n")
	if _, err := host.DialSSH(t.Context(), s.target); err == nil {
		t.Error("the address is not known, and it connects")
	}
	s.target.HostKeyAlias = "pve2"
	s.dial(t)
	s.target.HostKeyAlias = "pve3"
	if _, err := host.DialSSH(t.Context(), s.target); err == nil || !strings.Contains(err.Error(), "not known") {
		t.Errorf("the key of another node: %v", err)
	}
}
