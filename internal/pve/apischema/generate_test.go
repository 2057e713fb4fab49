package apischema

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// update is a directory with api-permissions-VERSION.json, as reduced from pve-docs; the tables are written anew from it:
// go test ./internal/pve/apischema -run Generate -update DIR
var update = flag.String("update", "", "directory with the reduced permission data")

func TestGenerate(t *testing.T) {
	if *update == "" {
		t.Skip("-update DIR writes the tables")
	}
	for _, version := range Versions() {
		text, err := os.ReadFile(filepath.Join(*update, "api-permissions-"+version+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var in map[string]struct {
			AllowToken  int               `json:"allowtoken"`
			Name        string            `json:"name"`
			Params      map[string]string `json:"params"`
			Protected   int               `json:"protected"`
			ProxyTo     string            `json:"proxyto"`
			InCode      bool              `json:"described_in_prose"`
			Permissions *struct {
				Check json.RawMessage `json:"check"`
				User  string          `json:"user"`
			} `json:"permissions"`
		}
		if err := json.Unmarshal(text, &in); err != nil {
			t.Fatal(err)
		}
		var rows []row
		for _, key := range sortedKeys(in) {
			m := in[key]
			method, path, _ := strings.Cut(key, " ")
			r := row{Method: method, Path: path, Name: m.Name, NoToken: m.AllowToken == 0, Protected: m.Protected == 1, ProxyTo: m.ProxyTo, InCode: m.InCode, Params: m.Params}
			if p := m.Permissions; p != nil {
				r.User, r.Check = p.User, p.Check
			}
			rows = append(rows, r)
		}
		compact, err := json.Marshal(rows)
		if err != nil {
			t.Fatal(err)
		}
		var packed bytes.Buffer
		z, _ := gzip.NewWriterLevel(&packed, gzip.BestCompression)
		if _, err := z.Write(compact); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join("data", version+".json.gz"), packed.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestVersionsAreEmbedded(t *testing.T) {
	var names []string
	entries, err := tables.ReadDir("data")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".json.gz"))
	}
	for _, v := range Versions() {
		if !slices.Contains(names, v) {
			t.Errorf("the table %s is not embedded", v)
		}
	}
}
