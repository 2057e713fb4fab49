package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/castellan-project/castellan/internal/expr"
	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/posture"
	"github.com/castellan-project/castellan/internal/posture/collect"
)

const estateDir = "../../examples/estate"

// plantedFault is an entry of FAULTS.yaml: something wrong in the sample estate, and what must find it.
type plantedFault struct {
	ID      string `yaml:"id"`
	Where   string `yaml:"where"`
	Text    string `yaml:"text"`
	What    string `yaml:"what"`
	FoundBy []struct {
		Control  string   `yaml:"control"`
		Command  string   `yaml:"command"`
		Mentions []string `yaml:"mentions"`
	} `yaml:"found_by"`
}

func plantedFaults(t *testing.T) []plantedFault {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(estateDir, "FAULTS.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var faults []plantedFault
	if err := yaml.UnmarshalWithOptions(b, &faults, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	if len(faults) == 0 {
		t.Fatal("FAULTS.yaml lists nothing")
	}
	return faults
}

// run calls castellan with the arguments and returns what it prints.
func run(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errw bytes.Buffer
	code = Main(args, strings.NewReader(""), &out, &errw)
	return out.String(), errw.String(), code
}

// judgedEstate is the estate with what the controls of the source tree say about it.
type judgedEstate struct {
	env      *expr.Env
	facts    *posture.Facts
	controls map[string]posture.Control
	findings map[string]posture.Finding
}

var judgeEstate = sync.OnceValues(func() (*judgedEstate, error) {
	env, err := posture.NewEnv()
	if err != nil {
		return nil, err
	}
	controls, err := controlsOf(catalogueDir, env)
	if err != nil {
		return nil, err
	}
	d, err := host.OpenDir(estateDir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	e := &judgedEstate{env: env, controls: map[string]posture.Control{}, findings: map[string]posture.Finding{}}
	if e.facts, err = collect.Run(d, d.Describe(), collect.All()); err != nil {
		return nil, err
	}
	for _, c := range controls {
		e.controls[c.ID] = c
	}
	for _, f := range posture.NewJudge(env, controls, nil, nil).Evaluate(e.facts).Findings {
		e.findings[f.Control] = f
	}
	return e, nil
})

// mentions reports whether a control that failed names something: in its reason or evidence, or among the offenders, of which
// the reason shows a few only.
func (e *judgedEstate) mentions(t *testing.T, id, word string) bool {
	t.Helper()
	b, err := json.Marshal(e.findings[id])
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b), jsonText(word)) {
		return true
	}
	c := e.controls[id].ForCluster()
	if c.Cluster = nil; c.Offenders == "" {
		return false
	}
	c.Applies, c.Attest = "", nil
	c.Check = "!(" + c.Offenders + ").exists(offender, offender.contains(" + strconv.Quote(word) + "))"
	return posture.NewJudge(e.env, []posture.Control{c}, nil, nil).Evaluate(e.facts).Findings[0].Status == posture.Fail
}

// TestPlantedFaultsAreWhereTheySay holds that FAULTS.yaml is about the estate as it is.
func TestPlantedFaultsAreWhereTheySay(t *testing.T) {
	seen := map[string]bool{}
	groups := map[string]bool{}
	for _, f := range plantedFaults(t) {
		if seen[f.ID] {
			t.Errorf("%s is listed twice", f.ID)
		}
		seen[f.ID] = true
		group, _, _ := strings.Cut(f.ID, "-")
		groups[group] = true
		if len(f.FoundBy) == 0 {
			t.Errorf("%s: nothing must find it", f.ID)
		}
		name, number, _ := strings.Cut(f.Where, ":")
		b, err := os.ReadFile(filepath.Join(estateDir, name))
		if err != nil {
			t.Errorf("%s: %v", f.ID, err)
			continue
		}
		n, _ := strconv.Atoi(number)
		lines := strings.Split(string(b), "\n")
		if n < 1 || n > len(lines) || !strings.Contains(lines[n-1], strings.TrimSpace(f.Text)) {
			t.Errorf("%s: %s does not hold %q", f.ID, f.Where, f.Text)
		}
	}
	for _, g := range []string{"IAM", "FW", "NET", "VM", "CT", "LIF", "BAK", "CLU"} {
		if !groups[g] {
			t.Errorf("no fault of the group %s is planted", g)
		}
	}
}

// TestPlantedFaultsAreFound is the demand on everything that looks at a cluster: each planted fault is found by the control
// or the command that is there for it, and named.
func TestPlantedFaultsAreFound(t *testing.T) {
	estate, err := judgeEstate()
	if err != nil {
		t.Fatal(err)
	}
	answers := map[string]string{}
	for _, f := range plantedFaults(t) {
		t.Run(f.ID, func(t *testing.T) {
			for _, by := range f.FoundBy {
				if by.Control != "" {
					foundByControl(t, estate, by.Control, by.Mentions)
					continue
				}
				answer, ok := answers[by.Command]
				if !ok {
					out, errText, _ := run(t, append(strings.Fields(by.Command), "--root", estateDir, "--json")...)
					answer = out
					answers[by.Command] = answer
					if answer == "" {
						t.Errorf("castellan %s says nothing: %s", by.Command, errText)
					}
				}
				for _, m := range by.Mentions {
					if !strings.Contains(answer, jsonText(m)) {
						t.Errorf("castellan %s does not mention %q", by.Command, m)
					}
				}
			}
		})
	}
}

// foundByControl holds that one of the controls "A|B" fails and mentions every one of the words.
func foundByControl(t *testing.T, e *judgedEstate, ids string, words []string) {
	t.Helper()
	var said []string
	for _, id := range strings.Split(ids, "|") {
		f, ok := e.findings[id]
		missing := slices.DeleteFunc(slices.Clone(words), func(m string) bool { return e.mentions(t, id, m) })
		switch {
		case !ok:
			said = append(said, id+" does not exist")
		case f.Status != posture.Fail:
			said = append(said, id+" is "+string(f.Status)+": "+f.Reason)
		case len(missing) > 0:
			said = append(said, id+" fails without a mention of "+strings.Join(missing, ", "))
		default:
			return
		}
	}
	t.Error(strings.Join(said, "; "))
}

// jsonText is a text as it stands in JSON.
func jsonText(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		return s
	}
	return strings.Trim(string(b), `"`)
}

// TestEstateKeepsItsSecrets holds that no answer about the estate carries one of the secrets in it, which all say FAKE or
// fa4e.
func TestEstateKeepsItsSecrets(t *testing.T) {
	commands := [][]string{
		{"scan", estateDir, "--profile", "strict", "--fail-on", "none", "--format", "json"},
		{"scan", estateDir, "--profile", "strict", "--fail-on", "none", "-v"},
		{"scan", estateDir, "--profile", "strict", "--fail-on", "none", "--format", "html"},
	}
	for _, c := range []string{"tokens", "guests", "backups", "lint", "access a.hale@corp", "who-can VM.Allocate /", "reach --to host:8006", "map", "permissions --id root@pam!migrate-script --path /"} {
		args := append([]string{"pve"}, strings.Fields(c)...)
		args = append(args, "--root", estateDir)
		commands = append(commands, args, append(slices.Clone(args), "--json"))
	}
	for _, c := range commands {
		out, errText, _ := run(t, c...)
		for _, secret := range []string{"FAKE", "fa4efa4e"} {
			if i := strings.Index(out+errText, secret); i >= 0 {
				t.Errorf("castellan %s gives away a secret: %.80s", strings.Join(c, " "), (out + errText)[max(i-30, 0):])
			}
		}
	}
}

// TestEachIsAListOfNames holds that the expressions which say what a remediation changes are ones that can be evaluated.
func TestEachIsAListOfNames(t *testing.T) {
	estate, err := judgeEstate()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, c := range estate.controls {
		remediations := c.Remediation
		if c.Cluster != nil {
			remediations = append(slices.Clone(remediations), c.Cluster.Remediation...)
		}
		for _, r := range remediations {
			if r.Each == "" {
				continue
			}
			seen++
			if _, err := estate.env.Compile(string(r.Each), expr.Strings); err != nil {
				t.Errorf("%s: each: %v", c.ID, err)
			}
		}
	}
	if seen == 0 {
		t.Error("no remediation says what it changes")
	}
}
