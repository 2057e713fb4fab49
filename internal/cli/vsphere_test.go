package cli

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/castellan-project/castellan/internal/posture"
	"github.com/castellan-project/castellan/internal/vsphere/vctest"
)

// simulated starts a vCenter with machines and gives the target and the thumbprint of its certificate.
func simulated(t testing.TB, machines int) (target, thumbprint string) {
	t.Helper()
	s := vctest.Start(t, machines)
	return "vsphere://" + s.User + "@" + s.Host + "/", s.Thumbprint
}

func TestScanVSphere(t *testing.T) {
	target, thumbprint := simulated(t, 3)
	t.Setenv(envVSpherePassword, "right")
	t.Setenv(envVSphereThumbprint, thumbprint)
	stdout, stderr, code := run(t, "scan", target, "--json", "--fail-on", "none")
	var r posture.Report
	if err := json.Unmarshal([]byte(stdout), &r); err != nil || code != 0 {
		t.Fatalf("%v, code %d: %s", err, code, stderr)
	}
	if len(r.Targets) < 3 || !strings.Contains(stderr, "machines on") {
		t.Errorf("%d targets; %s", len(r.Targets), stderr)
	}
	for _, x := range r.Targets {
		if x.Kind != posture.KindVMX || x.Counts.Fail == 0 || !strings.HasPrefix(x.Target, strings.TrimSuffix(target, "/")+"/") {
			t.Errorf("%+v", x)
		}
		for _, f := range x.Findings {
			if !strings.HasPrefix(f.Control, "VMX-") {
				t.Fatalf("%s was judged", f.Control)
			}
		}
	}
}

func TestScanVSphereRefused(t *testing.T) {
	target, thumbprint := simulated(t, 1)
	for name, c := range map[string]struct {
		target, password, thumbprint string
		code                         int
	}{
		"password is wrong":        {target, "wrong", thumbprint, ExitTarget},
		"--vsphere-thumbprint":     {target, "right", "", ExitTarget},
		"there is no password for": {target, "", thumbprint, ExitUsage},
		"holds a password":         {strings.Replace(target, "operator@", "operator:hunter2@", 1), "right", thumbprint, ExitUsage},
		"is no target":             {"vsphere://host", "right", thumbprint, ExitUsage},
	} {
		t.Setenv(envVSpherePassword, c.password)
		t.Setenv(envVSphereThumbprint, c.thumbprint)
		_, stderr, code := run(t, "scan", c.target)
		if code != c.code || !strings.Contains(stderr, name) || strings.Contains(stderr, "hunter2") {
			t.Errorf("%s: code %d: %s", name, code, stderr)
		}
	}
}

// BenchmarkVSphere scans 2,000 machines.
func BenchmarkVSphere(b *testing.B) {
	target, thumbprint := simulated(b, 1000)
	b.Setenv(envVSpherePassword, "right")
	b.Setenv(envVSphereThumbprint, thumbprint)
	for b.Loop() {
		var out, errw strings.Builder
		if code := Main([]string{"scan", target, "--json", "--fail-on", "none"}, strings.NewReader(""), &out, &errw); code != 0 {
			b.Fatal(errw.String())
		}
		b.ReportMetric(float64(strings.Count(out.String(), `"target"`)), "machines")
	}
}

// BenchmarkVSphereChange plans, applies and takes back a change of 2,000 machines.
func BenchmarkVSphereChange(b *testing.B) {
	target, thumbprint := simulated(b, 1000)
	b.Setenv(envVSpherePassword, "right")
	b.Setenv(envVSphereThumbprint, thumbprint)
	for b.Loop() {
		dir := b.TempDir()
		for _, args := range [][]string{
			{"plan", target, "--profile", "vmx-explicit", "-o", dir + "/plan.json"},
			{"apply", dir + "/plan.json", "--yes", "--state", dir + "/state"},
			{"revert", "--yes", "--state", dir + "/state"},
		} {
			began := time.Now()
			var out, errw strings.Builder
			if code := Main(args, strings.NewReader(""), &out, &errw); code != 0 {
				b.Fatal(errw.String())
			}
			b.ReportMetric(time.Since(began).Seconds(), args[0]+"-s")
		}
	}
}
