package tasklog

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	got, bad := Parse([]byte("UPID:pve1:0003A2B4:0C1D2E3F:68D1B2C3:qmstart:101:alice@pve: 68D1B2C9 OK\nUPID:pve1:1:2:68D1B2C3:vzdump::root@pam: 68D1B2C9 job errors\nnoise\nUPID:pve1:1:2:zz:vzdump::root@pam: 1\n"))
	when := time.Unix(0x68D1B2C3, 0).UTC()
	want := []Task{{"pve1", when, "qmstart", "101", "alice@pve", "OK"}, {"pve1", when, "vzdump", "", "root@pam", "job errors"}}
	if d := cmp.Diff(want, got); d != "" || bad != 2 {
		t.Errorf("%s, %d bad lines", d, bad)
	}
	if got[0].Automatic() || !got[1].Automatic() {
		t.Error("who starts what is mixed up")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("UPID:n:1:2:3:qmstart:100:root@pam: 4 OK\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		tasks, _ := Parse(b)
		for _, task := range tasks {
			if task.User == "" {
				t.Fatal("a task without a user")
			}
		}
	})
}
