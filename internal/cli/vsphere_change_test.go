package cli

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/castellan-project/castellan/internal/change"
)

// faulty stands between castellan and a simulated vCenter and answers some calls itself. The simulator has no permissions, no
// conflicts and never falls silent.
type faulty struct {
	t *testing.T
	// target is how it is reached.
	target string
	// answer decides about a call of the API by its body and how many of the same name came before; "" passes it on.
	answer atomic.Pointer[func(body string, n int) string]
	writes atomic.Int64
	pages  atomic.Int64
	stop   chan struct{}
}

const (
	// silence is the answer that never comes.
	silence = "silence"
	// silentFor is how long a test waits for it: long enough for any answer that does come, from a simulator under the race
	// detector on a loaded machine.
	silentFor = "10s"
)

// soapFault is the answer with a fault of the API.
func soapFault(name string) string {
	return `<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body><soapenv:Fault>` +
		`<faultcode>ServerFaultCode</faultcode><faultstring>refused</faultstring><detail><` + name + `Fault xmlns="urn:vim25" ` +
		`xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="` + name + `"></` + name + `Fault></detail></soapenv:Fault></soapenv:Body></soapenv:Envelope>`
}

func newFaulty(t *testing.T, machines int) *faulty {
	t.Helper()
	target, _ := simulated(t, machines)
	_, address, _ := cutUser(strings.TrimSuffix(target, "/"))
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "https", Host: address})
	proxy.Transport = &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // a simulator in this process
	x := &faulty{t: t, stop: make(chan struct{})}
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		r.Body, r.Host = io.NopCloser(bytes.NewReader(body)), address
		n := 0
		switch text := string(body); {
		case strings.Contains(text, "<ReconfigVM_Task"):
			n = int(x.writes.Add(1))
		case strings.Contains(text, "RetrieveProperties"):
			n = int(x.pages.Add(1))
		}
		answer := ""
		if f := x.answer.Load(); f != nil {
			answer = (*f)(string(body), n)
		}
		switch answer {
		case "":
			proxy.ServeHTTP(w, r)
		case silence:
			<-x.stop
		default:
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(w, answer)
		}
	}))
	t.Cleanup(s.Close)
	t.Cleanup(func() { close(x.stop) })
	sum := sha256.Sum256(s.Certificate().Raw)
	t.Setenv(envVSpherePassword, "right")
	t.Setenv(envVSphereThumbprint, hex.EncodeToString(sum[:]))
	x.target = "vsphere://operator@vsphere.local@" + s.Listener.Addr().String()
	return x
}

// fail lets calls be answered from now on.
func (x *faulty) fail(answer func(body string, n int) string) {
	x.writes.Store(0)
	x.pages.Store(0)
	x.answer.Store(&answer)
}

// settings are the findings that fail, as the judge sees the machines.
func (x *faulty) failing() map[string]int {
	x.t.Helper()
	stdout, stderr, code := run(x.t, "scan", x.target, "--json", "--fail-on", "none")
	if code != 0 {
		x.t.Fatalf("code %d: %s", code, stderr)
	}
	var r struct {
		Targets []struct {
			Findings []struct{ Control, Status string }
		}
	}
	if err := json.Unmarshal([]byte(stdout), &r); err != nil {
		x.t.Fatal(err)
	}
	out := map[string]int{}
	for _, t := range r.Targets {
		for _, f := range t.Findings {
			if f.Status == "fail" {
				out[f.Control]++
			}
		}
	}
	return out
}

// plan makes a plan file and gives the plan.
func (x *faulty) plan(target string, more ...string) (string, *change.Plan) {
	x.t.Helper()
	file := filepath.Join(x.t.TempDir(), "plan.json")
	_, stderr, code := run(x.t, append([]string{"plan", target, "-o", file}, more...)...)
	if code != 0 {
		x.t.Fatalf("code %d: %s", code, stderr)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		x.t.Fatal(err)
	}
	p, err := change.ReadPlan(b)
	if err != nil {
		x.t.Fatal(err)
	}
	return file, p
}

func TestVSphereChange(t *testing.T) {
	x := newFaulty(t, 2)
	state := t.TempDir()
	before := x.failing()
	file, p := x.plan(x.target, "--control", "VMX-14", "--control", "VMX-19", "--control", "VMX-23")
	if p.Host.Target != x.target || len(p.Windows) != 1 || len(p.Windows[0].Steps) != 4 || len(p.Changes) != 8 {
		t.Fatalf("%+v, %d changes", p.Host, len(p.Changes))
	}
	for _, c := range p.Changes {
		if c.Object == "" || c.Object != c.Path {
			t.Errorf("%+v", c)
		}
	}
	if len(p.Omitted) != 1 || p.Omitted[0].Code != "manual" || !strings.Contains(p.Omitted[0].Reason, "4 machines: ") {
		t.Errorf("%+v", p.Omitted)
	}
	stdout, stderr, code := run(t, "apply", file, "--yes", "--state", state)
	if code != 0 || !strings.Contains(stdout, "changed 4 machines") {
		t.Fatalf("code %d: %s%s", code, stdout, stderr)
	}
	if after := x.failing(); after["VMX-14"]+after["VMX-19"] != 0 || after["VMX-23"] != before["VMX-23"] {
		t.Errorf("%v", after)
	}
	if _, stderr, code := run(t, "confirm", "--state", state); code != 0 {
		t.Fatalf("code %d: %s", code, stderr)
	}
	if _, stderr, code := run(t, "apply", file, "--yes", "--state", state); code != 0 || !strings.Contains(stderr, "nothing to apply") {
		t.Errorf("code %d: %s", code, stderr)
	}
	if _, stderr, code := run(t, "revert", "--yes", "--state", state); code != 0 {
		t.Fatalf("code %d: %s", code, stderr)
	}
	if after := x.failing(); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("%v, before %v", after, before)
	}
	// Without the password nothing is taken back, and what is missing is said.
	t.Setenv(envVSpherePassword, "")
	if _, stderr, code := run(t, "apply", file, "--yes", "--state", state); code != ExitUsage || !strings.Contains(stderr, "--vsphere-password-file") {
		t.Errorf("code %d: %s", code, stderr)
	}
}

func TestVSphereOneMachine(t *testing.T) {
	x := newFaulty(t, 2)
	_, p := x.plan(x.target+"/DC0_H0_VM1", "--control", "VMX-21", "--param", "VMX-21.vmotion=required", "--param", "VMX-21.ft=required")
	if len(p.Windows) != 1 || len(p.Windows[0].Steps) != 1 || !strings.HasPrefix(p.Windows[0].Steps[0].Path, "/DC0_H0_VM1 (") || p.Host.Target != x.target {
		t.Fatalf("%+v", p)
	}
	for target, want := range map[string]string{x.target + "/none": "there is no machine", x.target + "/..": "there is no machine"} {
		for _, command := range []string{"plan", "scan"} {
			if _, stderr, code := run(t, command, target); code != ExitTarget || !strings.Contains(stderr, want) {
				t.Errorf("%s: code %d: %s", command, code, stderr)
			}
		}
	}
	if _, stderr, code := run(t, "plan", x.target, "--changes", "x"); code != ExitUsage || !strings.Contains(stderr, "are for hosts") {
		t.Errorf("code %d: %s", code, stderr)
	}
}

// Typed settings are changed as such, and taken back.
func TestVSphereTyped(t *testing.T) {
	x := newFaulty(t, 1)
	state := t.TempDir()
	file, _ := x.plan(x.target, "--control", "VMX-21", "--param", "VMX-21.vmotion=required", "--param", "VMX-21.ft=required")
	var bodies []string
	x.fail(func(body string, n int) string {
		if strings.Contains(body, "<ReconfigVM_Task") {
			bodies = append(bodies, body)
		}
		return ""
	})
	if _, stderr, code := run(t, "apply", file, "--yes", "--state", state); code != 0 {
		t.Fatalf("code %d: %s", code, stderr)
	}
	for _, b := range bodies {
		if !strings.Contains(b, "<migrateEncryption>required<") || !strings.Contains(b, "<ftEncryptionMode>ftEncryptionRequired<") || !strings.Contains(b, "<changeVersion>") ||
			strings.Contains(b, "extraConfig") {
			t.Errorf("%s", b)
		}
	}
	if len(bodies) != 2 {
		t.Errorf("%d machines were changed", len(bodies))
	}
	if _, stderr, code := run(t, "revert", "--yes", "--state", state); code != 0 {
		t.Fatalf("code %d: %s", code, stderr)
	}
}

func TestVSphereRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		fault, want string
	}{
		"read-only account":     {"NoPermission", "may not change virtual machines"},
		"changed by somebody":   {"ConcurrentAccess", "was changed since it was read"},
		"in a wrong state":      {"InvalidState", "refuses to change"},
		"a session that is out": {"NotAuthenticated", "may not change"},
	} {
		t.Run(name, func(t *testing.T) {
			x := newFaulty(t, 2)
			state := t.TempDir()
			file, _ := x.plan(x.target, "--control", "VMX-14")
			before := x.failing()
			x.fail(func(body string, n int) string {
				if strings.Contains(body, "<ReconfigVM_Task") && n == 1 {
					return soapFault(c.fault)
				}
				return ""
			})
			_, stderr, code := run(t, "apply", file, "--yes", "--state", state)
			if code != ExitTarget || !strings.Contains(stderr, c.want) || !strings.Contains(stderr, "DC0_C0_RP0_VM0") {
				t.Errorf("code %d: %s", code, stderr)
			}
			if after := x.failing(); fmt.Sprint(after) != fmt.Sprint(before) {
				t.Errorf("%v, before %v", after, before)
			}
		})
	}
}

// A vCenter that falls silent in the middle of an apply: what was done is in the record, and revert takes it back.
func TestVSphereSilentInApply(t *testing.T) {
	x := newFaulty(t, 2)
	state := t.TempDir()
	file, _ := x.plan(x.target, "--control", "VMX-14")
	before := x.failing()
	quiet := atomic.Bool{}
	x.fail(func(body string, n int) string {
		if strings.Contains(body, "<ReconfigVM_Task") && n >= 3 {
			quiet.Store(true)
		}
		if quiet.Load() {
			return silence
		}
		return ""
	})
	_, stderr, code := run(t, "apply", file, "--yes", "--state", state, "--vsphere-timeout", silentFor)
	if code != ExitTarget || !strings.Contains(stderr, "does not answer in time") || !strings.Contains(stderr, "castellan revert") {
		t.Errorf("code %d: %s", code, stderr)
	}
	x.fail(func(string, int) string { return "" })
	if after := x.failing(); after["VMX-14"] != 2 {
		t.Errorf("two of four were changed: %v", after)
	}
	if _, stderr, code := run(t, "apply", file, "--yes", "--state", state); code == 0 {
		t.Errorf("a second apply: code %d: %s", code, stderr)
	}
	if _, stderr, code := run(t, "revert", "--yes", "--state", state); code != 0 {
		t.Fatalf("code %d: %s", code, stderr)
	}
	if after := x.failing(); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("%v, before %v", after, before)
	}
}

// A vCenter that falls silent in the middle of the list: what was read is judged, and the rest is told.
func TestVSphereSilentInList(t *testing.T) {
	x := newFaulty(t, 60)
	for after, want := range map[int]int{0: ExitTarget, 1: ExitPartial} {
		x.fail(func(body string, n int) string {
			if (strings.Contains(body, "RetrieveProperties") || strings.Contains(body, "ContinueRetrieve")) && n > after {
				return silence
			}
			return ""
		})
		stdout, stderr, code := run(t, "scan", x.target, "--json", "--fail-on", "none", "--vsphere-timeout", silentFor)
		if code != want || !strings.Contains(stderr, "does not answer in time") || after == 1 && strings.Count(stdout, `"hostname"`) != 100 {
			t.Errorf("silent after %d: code %d with %d targets: %s", after, code, strings.Count(stdout, `"target"`), stderr)
		}
	}
}

// Machines of vSphere stand beside the guests of Proxmox VE.
func TestVSphereGuests(t *testing.T) {
	x := newFaulty(t, 2)
	stdout, stderr, code := run(t, "pve", "guests", "--root", "../../examples/estate", "--vmx", x.target)
	if code != 0 || !strings.Contains(stdout, "DC0_H0_VM0     running ") || !strings.Contains(stdout, "4 VMware guests") || !strings.Contains(stdout, "25 guests") {
		t.Errorf("code %d: %s%s", code, stdout, stderr)
	}
	t.Setenv(envVSpherePassword, "wrong")
	stdout, stderr, code = run(t, "pve", "guests", "--root", "../../examples/estate", "--vmx", x.target)
	if code != ExitTarget && code != ExitPartial || !strings.Contains(stderr, "password is wrong") {
		t.Errorf("code %d: %s%s", code, stdout, stderr)
	}
}
