package report

import (
	"crypto/sha256"
	"encoding/base64"
	"html"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/castellan-project/castellan/internal/posture"
)

// filled is a report with s in every string that a host, a control or a user may supply.
func filled(s string) *posture.Report {
	r := fleet()
	r.Tool, r.Profile, r.CatalogueDigest = s, s, s
	for i := range r.Targets {
		t := &r.Targets[i]
		t.Target, t.Hostname, t.OS, t.Grade = s, s, s, s
		t.Notices = []string{s}
		if t.Error != "" {
			t.Error = s
		}
		for j := range t.Findings {
			f := &t.Findings[j]
			f.Control, f.Title, f.Reason, f.Rationale, f.Manual = s, s, s, s, s
			f.Code, f.Group, f.Lockout = s, s, s
			f.Evidence = []posture.Evidence{{Path: s, Value: s, Origin: s, Source: s}, {Path: s, Problem: s}}
			f.Remediation = []posture.Advice{{Kind: s, Text: s}}
			f.Refs = []posture.Ref{{Doc: s, Clause: s}}
			f.Obsolete = []posture.Obsolete{{Form: s, Current: s}}
			f.Waiver = &posture.Waiver{Control: s, Target: s, Reason: s, Approver: s, Expires: date("2027-01-31")}
			f.Status = statuses()[j%len(statuses())]
		}
	}
	return r
}

// tags counts what a browser would see as the begin of a tag or comment.
func tags(page string) map[string]int {
	n := map[string]int{}
	for _, m := range regexp.MustCompile(`<[/!?]*[A-Za-z-]+`).FindAllString(page, -1) {
		n[strings.ToLower(m)]++
	}
	return n
}

// attributes counts the names of all attributes.
func attributes(page string) map[string]int {
	n := map[string]int{}
	for _, tag := range regexp.MustCompile(`<[A-Za-z][^<>]*>`).FindAllString(page, -1) {
		for _, m := range regexp.MustCompile(`\s([A-Za-z-]+)(=("[^"]*"|[^\s">]*))?`).FindAllStringSubmatch(tag, -1) {
			n[m[1]]++
		}
	}
	return n
}

// Hostile strings must not add one tag or attribute to a page: it has the same ones as with harmless strings.
func TestHTMLHostileStrings(t *testing.T) {
	plain := render(t, "html", filled("x"), Options{})
	for _, s := range hostile() {
		if oneLine(s) == "" {
			continue
		}
		page := render(t, "html", filled(s), Options{})
		if d := cmp.Diff(tags(plain), tags(page)); d != "" {
			t.Errorf("%q changes the tags:\n%s", s, d)
		}
		if d := cmp.Diff(attributes(plain), attributes(page)); d != "" {
			t.Errorf("%q changes the attributes:\n%s", s, d)
		}
		if !strings.Contains(html.UnescapeString(page), oneLine(s)) {
			t.Errorf("%q is not shown", s)
		}
		for _, r := range page {
			if hidden(r) && r != '\n' {
				t.Errorf("%q: the page holds %U", s, r)
				break
			}
		}
	}
}

func TestHTMLAsksForNothing(t *testing.T) {
	page := render(t, "html", fleet(), Options{})
	for _, m := range regexp.MustCompile(`(?i)\b(src|href|action|srcset|poster|formaction|data|xlink:href)="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		if !strings.HasPrefix(m[2], "#") && m[2] != "data:," {
			t.Errorf("the page refers to %q", m[2])
		}
	}
	for _, bad := range []string{"@import", "url(", "fetch(", "XMLHttpRequest", "WebSocket", "innerHTML", "eval(", " style=\"", " onclick", "<iframe", "<form action"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page holds %q", bad)
		}
	}
	// Its own policy allows exactly its own style and script.
	csp := html.UnescapeString(regexp.MustCompile(`Content-Security-Policy" content="([^"]*)"`).FindStringSubmatch(page)[1])
	if !strings.HasPrefix(csp, "default-src 'none'; ") || strings.Contains(csp, "unsafe") {
		t.Errorf("the policy is %s", csp)
	}
	for _, tag := range []string{"style", "script"} {
		m := regexp.MustCompile(`(?s)<`+tag+`>(.*?)</`+tag+`>`).FindAllStringSubmatch(page, -1)
		if len(m) != 1 {
			t.Fatalf("%d times <%s>", len(m), tag)
		}
		sum := sha256.Sum256([]byte(m[0][1]))
		if want := tag + "-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; !strings.Contains(csp, want) {
			t.Errorf("the policy %q lacks %q", csp, want)
		}
	}
}

// Without the script everything is there and open.
func TestHTMLWithoutScript(t *testing.T) {
	r := fleet()
	page := render(t, "html", r, Options{})
	findings := 0
	for _, x := range r.Targets {
		findings += len(x.Findings)
	}
	if n := strings.Count(page, "<details "); n != findings {
		t.Errorf("%d details for %d findings", n, findings)
	}
	if n := strings.Count(page, `<details class="f" open `); n != findings {
		t.Errorf("%d of %d findings are open", n, findings)
	}
	if strings.Contains(page, " hidden>") && strings.Count(page, " hidden>") != 1 { // only the note that nothing matches
		t.Error("something is hidden")
	}
	text := html.UnescapeString(page)
	for _, w := range []string{
		"MaxAuthTries is 6; at most 4 is wanted", "sshd.root_elsewhere.maxauthtries", "/etc/ssh/sshd_config:33", "configured",
		"four still leaves room", "In sshd, set MaxAuthTries to 4", "CIS Debian Linux 12 Benchmark, 5.1.16", "(clause not verified)",
		"ChallengeResponseAuthentication no", "Waiver expired", "legacy backup robot", "Waived", "lab router", "Needs root.",
		"can cut off your own access", "Keep it in a sealed envelope.", "connection refused", "only 71 % of the controls",
		`aria-label="Score 61 of 100, grade C"`, `href="#t2"`, `id="t2"`,
	} {
		if !strings.Contains(text, w) {
			t.Errorf("%q is missing", w)
		}
	}
}

// Ids must be unique: links and labels go by them.
func TestHTMLIDs(t *testing.T) {
	seen := map[string]bool{}
	page := render(t, "html", fleet(), Options{})
	for _, m := range regexp.MustCompile(`\sid="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		if seen[m[1]] {
			t.Errorf("id %q twice", m[1])
		}
		seen[m[1]] = true
	}
	for _, m := range regexp.MustCompile(`\s(?:href="#|aria-labelledby=")([^"]*)"`).FindAllStringSubmatch(page, -1) {
		if !seen[m[1]] {
			t.Errorf("nothing has the id %q", m[1])
		}
	}
}

func TestSpreadFillsTheBar(t *testing.T) {
	parts := []htmlPart{{N: 1}, {N: 0}, {N: 3}, {N: 3}}
	spread(parts)
	want := []htmlPart{{N: 1, X: 0, Width: 142}, {N: 0, X: 142}, {N: 3, X: 142, Width: 429}, {N: 3, X: 571, Width: 429}}
	if d := cmp.Diff(want, parts); d != "" {
		t.Error(d)
	}
	none := []htmlPart{{}, {}}
	spread(none)
	if none[1].Width != 0 {
		t.Error("a bar of nothing has a part")
	}
}
