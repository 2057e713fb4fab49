//go:build lab

package lab

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/posture/collect"
)

// roundsOf, when set, makes the test binary collect the facts of that target and print how many round trips it
// took. The tests run it in the network namespace of a host.
const roundsOf = "CASTELLAN_LAB_ROUNDS_OF"

func TestMain(m *testing.M) {
	if target := os.Getenv(roundsOf); target != "" {
		if err := countRounds(target); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "lab: these tests boot hosts and need root: run them as root (make lab)")
		os.Exit(1)
	}
	code := m.Run()
	if built, err := filepath.Glob(filepath.Join(home(), "bin.*", ".pid-"+strconv.Itoa(os.Getpid()))); err == nil {
		for _, mark := range built {
			os.RemoveAll(filepath.Dir(mark))
		}
	}
	os.Exit(code)
}

// reach is the key and the host keys in a scratch directory.
func reach(target, dir string) (host.SSHTarget, error) {
	t, err := host.ParseSSH(target)
	t.Home, t.Identities, t.KnownHosts = dir, []string{dir + "/key"}, []string{dir + "/known_hosts"}
	return t, err
}

func countRounds(target string) error {
	t, err := reach(target, os.Getenv("HOME"))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	r, err := host.DialSSH(ctx, t)
	if err != nil {
		return err
	}
	defer r.Close()
	start := time.Now()
	d := r.Describe()
	f, err := collect.Run(r, d, collect.All())
	if err != nil {
		return err
	}
	b, err := json.Marshal(f)
	if err != nil {
		return err
	}
	fmt.Printf("%d %v %d %s %d\n", r.Rounds(), d.Root, r.Bytes(), time.Since(start).Round(time.Millisecond),
		strings.Count(string(b), host.ErrPending.Error()))
	return nil
}

// finding is one entry of a scan's JSON report.
type finding struct {
	Control string `json:"control"`
	Status  string `json:"status"`
	Reason  string `json:"reason"`
}

// scan runs the real binary and returns its findings by control.
func scan(t *testing.T, argv []string) map[string]finding {
	t.Helper()
	out, err := output(t, 3*time.Minute, argv...)
	var report struct {
		Targets []struct {
			Error    string    `json:"error"`
			Findings []finding `json:"findings"`
		} `json:"targets"`
	}
	if jerr := json.Unmarshal(out, &report); jerr != nil || len(report.Targets) != 1 {
		t.Fatalf("%v\n%v: %s", err, jerr, out)
	}
	if report.Targets[0].Error != "" {
		t.Fatal(report.Targets[0].Error)
	}
	found := map[string]finding{}
	for _, f := range report.Targets[0].Findings {
		found[f.Control] = f
	}
	return found
}

// expectations reads expect/NAME.txt: a control and its status a line, "#" starts a comment.
func expectations(t *testing.T, name string) map[string]string {
	t.Helper()
	f, err := os.Open(filepath.Join("expect", name+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	want := map[string]string{}
	sc := bufio.NewScanner(f)
	for n := 1; sc.Scan(); n++ {
		line, _, _ := strings.Cut(sc.Text(), "#")
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		if _, twice := want[fields[0]]; twice || len(fields) != 2 {
			t.Fatalf("%s:%d: want one control and one status a line, once", f.Name(), n)
		}
		want[fields[0]] = fields[1]
	}
	if err := sc.Err(); err != nil {
		t.Fatal(err)
	}
	return want
}

// compare tells every control whose status is not the wanted one; a wanted status may be a choice ("fail|unknown").
func compare(t *testing.T, what string, want map[string]string, got map[string]finding) {
	t.Helper()
	var ids []string
	for id := range want {
		ids = append(ids, id)
	}
	sort.Strings(ids)
	for _, id := range ids {
		f, ok := got[id]
		if !ok {
			t.Errorf("%s: %s is not in the report", what, id)
			continue
		}
		allowed := false
		for _, w := range strings.Split(want[id], "|") {
			allowed = allowed || w == f.Status
		}
		if !allowed {
			t.Errorf("%s: %s is %s, want %s: %s", what, id, f.Status, want[id], f.Reason)
		}
	}
}

// binaryOnce builds castellan, static, as it is shipped. TestMain removes it.
var binaryOnce = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp(home(), "bin.")
	if err != nil {
		return "", err
	}
	// By this mark TestMain finds it.
	if err := os.WriteFile(filepath.Join(dir, ".pid-"+strconv.Itoa(os.Getpid())), nil, 0o600); err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "castellan")
	cmd := exec.Command("go", "build", "-o", binary, "../cmd/castellan")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return dir, fmt.Errorf("%w: %s", err, out)
	}
	return binary, nil
})

func build(t *testing.T) string {
	t.Helper()
	if err := os.MkdirAll(home(), 0o755); err != nil {
		t.Fatal(err)
	}
	binary, err := binaryOnce()
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// TestHosts boots every host, and scans it from inside and from outside.
func TestHosts(t *testing.T) {
	if _, err := output(t, 10*time.Minute, "./setup.sh"); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(home(), 0o755); err != nil {
		t.Fatal(err)
	}
	layers, err := output(t, 22*time.Minute, "./roots.sh")
	if err != nil {
		t.Fatal(err)
	}
	binary := build(t)
	for _, line := range strings.Split(strings.TrimSpace(string(layers)), "\n") {
		name, dirs, ok := strings.Cut(line, " ")
		if !ok {
			t.Fatalf("roots.sh says %q", line)
		}
		t.Run(name, func(t *testing.T) { testHost(t, boot(t, name, dirs, binary)) })
	}
}

func testHost(t *testing.T, m *machine) {
	want := expectations(t, m.name)
	if len(want) < 60 {
		t.Errorf("%d expectations; at least 60 are wanted", len(want))
	}
	local := scan(t, m.enter("/usr/local/bin/castellan", "scan", "local", "--profile", "/usr/local/share/castellan-lab.yaml", "--format", "json", "--quiet"))
	compare(t, "local", want, local)

	root := m.from(os.Args[0], "-test.run=^$")
	remote := scan(t, m.ssh("root"))
	compare(t, "ssh", want, remote)
	for id, l := range local {
		if r := remote[id]; r.Status != l.Status {
			t.Errorf("%s is %s locally (%s) but %s over SSH (%s)", id, l.Status, l.Reason, r.Status, r.Reason)
		}
	}
	m.testRounds(t, root, "root", "true")

	_, variant, _ := strings.Cut(m.name, "-")
	image := scan(t, []string{filepath.Join(m.dir, "root/usr/local/bin/castellan"), "scan", filepath.Join(m.dir, "root"),
		"--profile", "profile.yaml", "--format", "json", "--quiet"})
	compare(t, "image", expectations(t, "image-"+variant), image)

	t.Run("questions", m.testQuestions)
	t.Run("ordinary user", func(t *testing.T) { m.testUnprivileged(t, local) })
}

func (m *machine) ssh(user string) []string {
	castellan := filepath.Join(m.dir, "root/usr/local/bin/castellan")
	return m.from(castellan, "scan", "ssh://"+user+"@"+inside, "--profile", "profile.yaml", "--format", "json", "--quiet",
		"--identity", m.dir+"/key", "--known-hosts", m.dir+"/known_hosts")
}

// testQuestions asks about the cluster inside the host and over SSH: the answers have to be the same.
func (m *machine) testQuestions(t *testing.T) {
	castellan := filepath.Join(m.dir, "root/usr/local/bin/castellan")
	for _, question := range []string{"permissions --id root@pam --path /vms/100", "who-can VM.Console /vms/100", "reach --to host:8006", "lint --fail-on none",
		"guests", "map"} {
		words := append([]string{"pve"}, strings.Fields(question)...)
		words = append(words, "--json")
		inner, err := output(t, time.Minute, m.enter(append([]string{"/usr/local/bin/castellan"}, words...)...)...)
		if err != nil {
			t.Errorf("%s, asked inside: %v", question, err)
			continue
		}
		words = append(words, "--target", "ssh://root@"+inside, "--identity", m.dir+"/key", "--known-hosts", m.dir+"/known_hosts")
		outer, err := output(t, time.Minute, m.from(append([]string{castellan}, words...)...)...)
		if err != nil {
			t.Errorf("%s, asked over SSH: %v", question, err)
			continue
		}
		if len(inner) < 10 || string(inner) != string(outer) {
			t.Errorf("%s: inside %.300s, over SSH %.300s", question, inner, outer)
		}
	}
}

// testRounds proves that one connection and three round trips are enough.
func (m *machine) testRounds(t *testing.T, self []string, user, wantRoot string) {
	t.Helper()
	argv := append([]string{"env", roundsOf + "=ssh://" + user + "@" + inside}, self...)
	out, err := output(t, 3*time.Minute, argv...)
	if err != nil {
		t.Fatal(err)
	}
	var rounds, bytes, pending int
	var root, took string
	if _, err := fmt.Sscan(string(out), &rounds, &root, &bytes, &took, &pending); err != nil {
		t.Fatalf("%v: %q", err, out)
	}
	t.Logf("%s: %d rounds, %d bytes, %s", user, rounds, bytes, took)
	if rounds < 1 || rounds > collect.MaxRounds || root != wantRoot {
		t.Errorf("%s: %d rounds, root %s; want at most %d, %s", user, rounds, root, collect.MaxRounds, wantRoot)
	}
	if pending != 0 {
		t.Errorf("%d facts would have needed another round", pending)
	}
}

// testUnprivileged scans without the rights of root: nothing may look better than it does to root.
func (m *machine) testUnprivileged(t *testing.T, asRoot map[string]finding) {
	runs := map[string][]string{
		"local": m.enter("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
			"/usr/local/bin/castellan", "scan", "local", "--profile", "/usr/local/share/castellan-lab.yaml", "--format", "json", "--quiet"),
	}
	if strings.HasSuffix(m.name, "hardened") {
		// anna may use sudo, but not without her password.
		runs["ssh"] = m.ssh("anna")
		m.testRounds(t, m.from(os.Args[0], "-test.run=^$"), "anna", "false")
	}
	// What only root can read: password hashes, sudo's rules, and in the hardened host the configuration of sshd.
	needRoot := map[string]string{"ACC-02": "unknown", "ACC-05": "unknown"}
	if strings.HasSuffix(m.name, "hardened") {
		for _, id := range []string{"SSH-01", "SSH-02", "SSH-06"} {
			needRoot[id] = "unknown"
		}
	}
	for how, argv := range runs {
		found := scan(t, argv)
		compare(t, how+", ordinary user", needRoot, found)
		for id, f := range found {
			if f.Status == "pass" && asRoot[id].Status != "pass" {
				t.Errorf("%s: %s passes for an ordinary user but is %s for root", how, id, asRoot[id].Status)
			}
		}
	}
}
