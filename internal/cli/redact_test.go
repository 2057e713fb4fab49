package cli

import (
	"encoding/json"
	"regexp"
	"testing"
	"time"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/inventory"
	"github.com/castellan-project/castellan/internal/posture"
	"github.com/castellan-project/castellan/internal/posture/bundle"
	"github.com/castellan-project/castellan/internal/posture/collect"
)

// TestRedactedEstateNamesNobody walks the sample estate: none of its people, nodes and guests, and none of its secrets, is
// in a redacted bundle.
func TestRedactedEstateNamesNobody(t *testing.T) {
	d, err := host.OpenDir("../../examples/estate")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	desc := d.Describe()
	if desc.Now.IsZero() {
		desc.Now = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	}
	facts, err := collect.Run(d, desc, collect.All())
	if err != nil {
		t.Fatal(err)
	}
	c, err := inventory.Read(d, 0)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, u := range facts.Identity.Users.Value {
		if u.ID != "root@pam" {
			names[regexp.MustCompile(`@.*`).ReplaceAllString(u.ID, "")] = true
		}
	}
	for _, n := range c.Nodes {
		names[n.Name] = true
	}
	for _, v := range facts.Guests.QEMU.Value {
		names[v.Name] = true
	}
	for _, v := range facts.Guests.LXC.Value {
		names[v.Name] = true
	}
	for _, l := range facts.Guests.Lives.Value {
		if l.Owner != "" {
			names[l.Owner] = true
		}
	}
	if len(names) < 30 {
		t.Fatalf("only %d names were found", len(names))
	}
	whole, redacted := text(t, facts), text(t, bundle.Redact(facts))
	for n := range names {
		if n == "backup" || n == "web" || n == "monitor" { // words that settings and programs use too
			continue
		}
		word := regexp.MustCompile(`\b` + regexp.QuoteMeta(n) + `\b`)
		if !word.MatchString(whole) {
			t.Errorf("%s is not even in the bundle that was not redacted", n)
		}
		if at := word.FindStringIndex(redacted); at != nil {
			t.Errorf("%s is left in ...%s...", n, redacted[max(0, at[0]-60):min(len(redacted), at[1]+20)])
		}
	}
	if len(facts.Estate.Files) == 0 {
		t.Error("the bundle keeps no configuration")
	}
}

func text(t *testing.T, f *posture.Facts) string {
	t.Helper()
	b, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
