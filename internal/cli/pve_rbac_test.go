package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/inventory"
	"github.com/castellan-project/castellan/internal/inventory/rbac"
	"github.com/castellan-project/castellan/internal/pve/usercfg"
)

// answering is a node that answers GET /access/permissions with what castellan computes, changed by spoil.
type answering struct {
	host.Reader
	engine *rbac.Engine
	spoil  func(id string, answer map[string]map[string]int)
	asked  []string
}

func (n *answering) Run(cmd host.Command) (host.Output, error) {
	i := slices.Index(cmd.Argv, "--userid")
	if i < 0 || cmd.Argv[2] != "/access/permissions" {
		return host.Output{}, errors.New("unexpected question " + strings.Join(cmd.Argv, " "))
	}
	id := cmd.Argv[i+1]
	n.asked = append(n.asked, id)
	answer := map[string]map[string]int{}
	for _, path := range []string{"/", "/vms", "/vms/100", "/access"} {
		p := n.engine.Permissions(id, path)
		for _, name := range p.Set.Names() {
			if answer[path] == nil {
				answer[path] = map[string]int{}
			}
			priv, _ := usercfg.PrivOf(name)
			answer[path][name] = 0
			if p.Propagate.Has(priv) {
				answer[path][name] = 1
			}
		}
	}
	n.spoil(id, answer)
	b, err := json.Marshal(answer)
	return host.Output{Stdout: b}, err
}

func TestSelfCheck(t *testing.T) {
	cfg, _ := usercfg.Parse([]byte("user:a@pve:1:\ntoken:a@pve!tt:0:1:\ngroup:g:a@pve,ghost@pve:\nacl:1:/:@g:PVEAuditor:\nacl:0:/vms/100:a@pve:PVEVMUser:\n"), 9)
	engine, err := rbac.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name  string
		spoil func(id string, answer map[string]map[string]int)
		code  int
		says  string
	}{
		{"the same", func(string, map[string]map[string]int) {}, ExitOK, "3 identities compared with the node, 0 differences"},
		{"one more on the node", func(id string, answer map[string]map[string]int) {
			if id == "a@pve" {
				answer["/vms/100"]["VM.Migrate"] = 0
			}
		}, ExitFindings, "only the node says:   VM.Migrate\n"},
		{"one less", func(id string, answer map[string]map[string]int) { delete(answer["/vms/100"], "VM.Console") }, ExitFindings, "only castellan says:  VM.Console\n"},
		{"another flag", func(id string, answer map[string]map[string]int) {
			if id == "a@pve" {
				answer["/"]["VM.Audit"] = 0
			}
		}, ExitFindings, "VM.Audit(passed-down)"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out, errw bytes.Buffer
			a := &app{out: &out, err: &errw}
			node := &answering{engine: engine, spoil: tc.spoil}
			o := &opened{reader: node, desc: host.Description{Kind: "pve", Now: time.Unix(0, 0)}}
			err := a.selfCheck(&principals{engine: engine}, o, &estateFlags{})
			code := ExitOK
			var e *exitError
			if errors.As(err, &e) {
				code = e.code
			}
			if code != tc.code || !strings.Contains(out.String(), tc.says) {
				t.Errorf("exit %d, want %d:\n%s", code, tc.code, out.String())
			}
			if slices.Contains(node.asked, "ghost@pve") || !slices.Contains(node.asked, "a@pve!tt") {
				t.Errorf("asked about %v", node.asked)
			}
		})
	}
}

func TestAPICommandTakesParameters(t *testing.T) {
	cmd := inventory.APICommand("/access/permissions?userid=a%40pve%21t+t")
	if got := strings.Join(cmd.Argv, "|"); got != "pvesh|get|/access/permissions|--userid|a@pve!t t|--output-format|json" {
		t.Error(got)
	}
}

func TestSafeAndNearest(t *testing.T) {
	if got := safe("a\x1b[31m\xff"); strings.ContainsRune(got, 0x1b) || got == "" {
		t.Errorf("%q", got)
	}
	if got := safe("für alle"); got != "für alle" {
		t.Errorf("%q", got)
	}
	if got := nearest("VM.Consol", usercfg.Privileges(9)); !strings.HasPrefix(got, "VM.Console") {
		t.Error(got)
	}
	nearest(strings.Repeat("x", 1<<20), usercfg.Privileges(9))
}

func FuzzQuestions(f *testing.F) {
	f.Add([]byte(`{"id":"a@pve","path":"/"}`))
	f.Add([]byte("\n\n{}\n"))
	f.Add([]byte(`{"id":null,"path":7}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		qs, err := parseQuestions("x", bytes.NewReader(b))
		if err != nil && qs != nil {
			t.Error("questions and an error")
		}
	})
}
