package apitree

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/pve/client"
)

// ask sends one question; lists that PVE gives out in pages are asked to their end.
func (t *Tree) ask(resource string) (client.Answer, error) {
	p, query, _ := strings.Cut(resource, "?")
	q, err := url.ParseQuery(query)
	if err != nil {
		return client.Answer{}, fmt.Errorf("cannot ask %s: %w", resource, err)
	}
	if strings.HasPrefix(p, "/nodes/") && strings.HasSuffix(p, "/tasks") {
		return t.c.Pages(t.ctx, p, q, maxTasks)
	}
	return t.c.Get(t.ctx, p, q)
}

// maxTasks bounds how much of a node's task list is read.
const maxTasks = 5000

// Run implements [host.Reader] for one command, "pvesh get PATH [--KEY VALUE]...": the API is asked the same question.
func (t *Tree) Run(cmd host.Command) (host.Output, error) {
	fail := func(err error) (host.Output, error) { return host.Output{}, err }
	if len(cmd.Argv) < 3 || cmd.Argv[0] != "pvesh" || cmd.Argv[1] != "get" {
		return fail(&host.Error{Op: "run", Path: cmd.Name, Err: host.ErrUnavailable})
	}
	q := url.Values{}
	for i := 3; i+1 < len(cmd.Argv); i += 2 {
		if key := strings.TrimLeft(cmd.Argv[i], "-"); key != "output-format" {
			q.Set(key, cmd.Argv[i+1])
		}
	}
	resource := cmd.Argv[2]
	if len(q) > 0 {
		resource += "?" + q.Encode()
	}
	if err := t.cut(cmd.Argv[2], q.Get("content")); err != nil {
		return fail(err)
	}
	a, err := t.get(resource)
	if err != nil {
		return fail(err)
	}
	b, err := numbers(a.Data)
	if err != nil {
		return fail(fmt.Errorf("cannot understand the answer of %s: %w", resource, err))
	}
	return host.Output{Stdout: b}, nil
}

// cut refuses lists that the API would shorten without a word.
func (t *Tree) cut(resource, content string) error {
	parts := strings.Split(strings.Trim(resource, "/"), "/")
	switch {
	case resource == "/cluster/resources":
		if err := t.whole(resource, "/vms", "VM.Audit"); err != nil {
			return err
		}
		return t.whole(resource, "/storage", "Datastore.Audit", "Datastore.AllocateSpace")
	case len(parts) == 3 && parts[0] == "nodes" && (parts[2] == "qemu" || parts[2] == "lxc"):
		return t.whole(resource, "/vms", "VM.Audit")
	case len(parts) == 5 && parts[0] == "nodes" && parts[2] == "storage" && parts[4] == "content":
		return t.contentCut(parts[3], content)
	}
	return nil
}

// contentCut knows whose volumes are shown (PVE::Storage::check_volume_access): all of them to those who may allocate the storage; backups
// also to those who may write to it and back the guest up.
func (t *Tree) contentCut(storage, content string) error {
	at := "/storage/" + storage
	if t.rights.have(at, "Datastore.Allocate") {
		return nil
	}
	if content == "backup" && t.rights.have(at, "Datastore.AllocateSpace") && t.rights.everywhere("/vms", "VM.Backup") == "" {
		return nil
	}
	err := &cutError{resource: "the content of the storage " + storage, privs: []string{"Datastore.Allocate"}, path: at}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.limits[err.Error()] = true
	return err
}

// numeric are the keys whose values are numbers and which Perl sometimes sends as texts.
func numeric(key string) bool {
	return slices.Contains([]string{"vmid", "uptime", "ctime", "size", "used", "maxmem", "mem", "maxdisk", "disk", "template", "starttime", "endtime", "pid", "notafter", "notbefore"}, key)
}

// numbers turns texts into numbers where numbers belong, so that what reads recorded answers of pvesh reads these. Answers that hold
// none stay as they came.
func numbers(raw json.RawMessage) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if !fix(v, 0) {
		return raw, nil
	}
	return json.Marshal(v)
}

// maxDepth bounds the nesting that is looked into.
const maxDepth = 8

func fix(v any, depth int) (changed bool) {
	if depth > maxDepth {
		return false
	}
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			changed = fix(x, depth+1) || changed
		}
	case map[string]any:
		for k, x := range v {
			if s, ok := x.(string); ok && numeric(k) && json.Valid([]byte(s)) && strings.Trim(s, "0123456789.") == "" {
				v[k], changed = json.Number(s), true
				continue
			}
			changed = fix(x, depth+1) || changed
		}
	}
	return changed
}
