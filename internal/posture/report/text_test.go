package report

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
	"pgregory.net/rapid"

	"github.com/castellan-project/castellan/internal/posture"
)

// hostile are strings that a host can put into facts to harm whoever shows them.
func hostile() []string {
	return []string{
		"<script>alert(1)</script>", `"><img src=x onerror=alert(1)>`, "'-alert(1)-'", "</script><script>alert(1)</script>",
		"javascript:alert(1)", "]]><failure/>", "{{.}} ${7*7} `id`", "</style><style>*{display:none}",
		"\x1b[2J\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "\u009b31m", "a\x00b\x7fc", "\r\nfake line\r", "tab\there",
		"\u202eevil\u2066", "zero\u200bwidth\ufeff", "\xff\xfe\xc3\x28", "\ue000\U000e0041", "｀全角文字列のとても長い文章です。" + "漢字漢字漢字漢字漢字漢字漢字漢字",
		"👩‍👩‍👧‍👦👍🏽🇩🇪❤️1️⃣", "e\u0301\u0301\u0301\u0301", "ﷺ", strings.Repeat("x", 300), strings.Repeat("word ", 100), "", " ",
		"\u2028\u2029", "--help", "$(reboot)", "'; rm -rf /",
	}
}

func texts(t *rapid.T, label string) string {
	return rapid.OneOf(rapid.SampledFrom(hostile()), rapid.String(), rapid.StringN(0, 400, -1),
		rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) })).Draw(t, label)
}

// anyFinding draws a finding with arbitrary strings.
func anyFinding(t *rapid.T) posture.Finding {
	f := posture.Finding{
		Control:  rapid.OneOf(rapid.StringMatching(`[A-Z]{2,4}-[0-9]{1,3}`), rapid.SampledFrom(hostile())).Draw(t, "control"),
		Status:   rapid.SampledFrom(append(statuses(), "", "odd")).Draw(t, "status"),
		Severity: rapid.SampledFrom(append(posture.Severities(), "", "odd")).Draw(t, "severity"),
		Title:    texts(t, "title"), Reason: texts(t, "reason"), Rationale: texts(t, "rationale"),
		Code:      rapid.SampledFrom([]string{"", posture.CodeFailed, posture.CodeExpired, posture.CodeAttested}).Draw(t, "code"),
		NeedsRoot: rapid.Bool().Draw(t, "root"), Manual: texts(t, "manual"),
		Lockout: rapid.SampledFrom([]string{"", "none", "session", "odd\x1b[m"}).Draw(t, "lockout"),
		Group:   rapid.OneOf(rapid.SampledFrom(posture.Groups()), rapid.SampledFrom(hostile())).Draw(t, "group"),
	}
	for range rapid.IntRange(0, 2).Draw(t, "n") {
		f.Evidence = append(f.Evidence, posture.Evidence{Path: texts(t, "path"), Value: texts(t, "value"),
			Origin: texts(t, "origin"), Source: texts(t, "source"), Problem: texts(t, "problem")})
		f.Remediation = append(f.Remediation, posture.Advice{Kind: "file", Text: texts(t, "advice")})
		f.Refs = append(f.Refs, posture.Ref{Doc: texts(t, "doc"), Clause: texts(t, "clause")})
		f.Obsolete = append(f.Obsolete, posture.Obsolete{Form: texts(t, "form"), Current: texts(t, "current")})
	}
	if rapid.Bool().Draw(t, "waiver") {
		f.Waiver = &posture.Waiver{Control: f.Control, Reason: texts(t, "why"), Approver: texts(t, "who"), Expires: date("2027-01-31")}
	}
	return f
}

// anyReport draws a report with arbitrary strings everywhere.
func anyReport(t *rapid.T) *posture.Report {
	r := &posture.Report{Version: posture.ReportVersion, Tool: texts(t, "tool"), Profile: texts(t, "profile")}
	for range rapid.IntRange(0, 3).Draw(t, "targets") {
		x := target(texts(t, "target"), rapid.IntRange(-5, 105).Draw(t, "score"), texts(t, "grade"),
			rapid.SliceOfN(rapid.Custom(anyFinding), 0, 4).Draw(t, "findings")...)
		x.Hostname, x.OS = texts(t, "hostname"), texts(t, "os")
		x.Kind = rapid.SampledFrom([]string{"", "local", "ssh", "dir"}).Draw(t, "kind")
		if rapid.Bool().Draw(t, "notice") {
			x.Notices = []string{texts(t, "notice")}
		}
		if rapid.IntRange(0, 4).Draw(t, "broken") == 0 {
			x.Error = texts(t, "error")
		}
		r.Targets = append(r.Targets, x)
	}
	for range rapid.IntRange(0, 2).Draw(t, "clusters") {
		c := posture.ClusterReport{Name: texts(t, "cluster"), Targets: []string{texts(t, "node"), texts(t, "node")}}
		for range rapid.IntRange(0, 3).Draw(t, "deviations") {
			c.Deviations = append(c.Deviations, posture.Deviation{Control: texts(t, "control"), Title: texts(t, "title"), Results: []posture.NodeResult{
				{Target: c.Targets[0], Status: posture.Pass}, {Target: c.Targets[1], Status: posture.Fail}}})
		}
		r.Clusters = append(r.Clusters, c)
	}
	for range rapid.IntRange(0, 2).Draw(t, "channels") {
		r.GuestChannels = append(r.GuestChannels, posture.GuestChannel{Channel: texts(t, "channel"), PVE: posture.ChannelCount{Guests: 7, Open: 2, Names: []string{texts(t, "guest")}},
			VMware: posture.ChannelCount{Guests: 1, NotThere: rapid.Bool().Draw(t, "there"), Names: []string{texts(t, "guest"), texts(t, "guest")}}})
	}
	return r
}

func TestTextFitsAndIsHarmless(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := Options{
			Width: rapid.SampledFrom([]int{0, 40, 57, 80, 81, 132}).Draw(t, "width"), Verbose: rapid.Bool().Draw(t, "verbose"),
			ShowAll: rapid.Bool().Draw(t, "all"), Color: rapid.Bool().Draw(t, "color"),
		}
		width := o.Width
		if width == 0 {
			width = DefaultWidth
		}
		var b strings.Builder
		if err := Write(&b, "text", anyReport(t), o); err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(b.String(), "\n") {
			if n := ansi.StringWidth(line); n > width {
				t.Fatalf("line %d has %d cells by grapheme, more than %d: %q", i+1, n, width, line)
			}
			if n := ansi.StringWidthWc(line); n > width {
				t.Fatalf("line %d has %d cells by code point, more than %d: %q", i+1, n, width, line)
			}
			bare := line
			if o.Color {
				bare = ansi.Strip(line)
			}
			for _, r := range bare {
				if hidden(r) || unicode.IsControl(r) {
					t.Fatalf("line %d holds %U: %q", i+1, r, line)
				}
			}
			if !utf8.ValidString(line) {
				t.Fatalf("line %d is no UTF-8: %q", i+1, line)
			}
		}
	})
}

func TestColorChangesNothingElse(t *testing.T) {
	for _, o := range []Options{{}, {Verbose: true, ShowAll: true}} {
		colored := o
		colored.Color = true
		plain, withColor := render(t, "text", fleet(), o), render(t, "text", fleet(), colored)
		if strings.Contains(plain, "\x1b") {
			t.Error("escape sequences without Color")
		}
		if !strings.Contains(withColor, "\x1b[") {
			t.Error("no colour with Color")
		}
		trimmed := strings.Split(ansi.Strip(withColor), "\n")
		for i, l := range trimmed {
			trimmed[i] = strings.TrimRight(l, " ")
		}
		if got := strings.Join(trimmed, "\n"); got != plain {
			t.Errorf("the coloured report has another text:\n%s\n---\n%s", got, plain)
		}
	}
}

func TestTextShowsOneLinePerFinding(t *testing.T) {
	for _, all := range []bool{false, true} {
		r := many(1000)
		out := render(t, "text", r, Options{ShowAll: all})
		want := 0
		for _, f := range r.Targets[0].Findings {
			n := 0
			for _, l := range strings.Split(out, "\n") {
				mark := []rune(strings.TrimPrefix(l, "  "))
				if len(mark) > 1 && mark[1] == ' ' && strings.ContainsRune("✗?!~✓-", mark[0]) && strings.Contains(l, " "+f.Control+" ") {
					n++
				}
			}
			if all || f.Status == posture.Fail || f.Status == posture.StatusUnknown {
				want++
				if n != 1 {
					t.Fatalf("%s has %d lines", f.Control, n)
				}
			} else if n != 0 {
				t.Fatalf("%s (%s) has a line", f.Control, f.Status)
			}
		}
		if want == 0 {
			t.Fatal("the report has no finding to show")
		}
	}
}

func TestTextSaysWhatIsMissing(t *testing.T) {
	for _, c := range []struct {
		name   string
		o      Options
		report *posture.Report
		want   []string
		never  []string
	}{
		{"default", Options{}, sample(), []string{
			"Score  61 of 100   Grade C", "only 71 % of the controls", "Need root: 1", "sudo castellan scan",
			"castellan attest BOOT-05 --by NAME --note TEXT --until 2027-11-20", "Waivers that have expired: 1",
			"castellan controls show SSH-02", "1 manual, 1 waived, 2 pass, 1 not applicable", "castellan scan -v",
		}, []string{"default of OpenSSH", "SYS-10"}},
		{"verbose", Options{Verbose: true, Width: 120}, sample(), []string{
			"sshd.admin.maxauthtries = 6 [default of OpenSSH 9.2]", "[configured, /etc/ssh/sshd_config:33]", "In sshd, set MaxAuthTries to 4",
			"CIS Debian Linux 12 Benchmark, 5.1.16", "Virtualisation, A5 (clause not verified)", "can cut off your own access",
			"ChallengeResponseAuthentication no → KbdInteractiveAuthentication no", "accounts.shadow is unknown: cannot read",
		}, []string{"castellan scan -v", "SYS-10"}},
		{"all", Options{ShowAll: true}, sample(), []string{"SYS-10", "BOOT-08", "SSH-01"}, []string{"Not listed"}},
		{"fleet", Options{}, fleet(), []string{
			"cannot be scanned: cannot connect to pve3.example.org:22", "Target  ", "ssh://root@pve2.example.org  A         97",
		}, nil},
		{"unknown only", Options{}, &posture.Report{Targets: []posture.TargetReport{target("/srv/copy; rm x", 0, "F",
			posture.Finding{Control: "ACC-01", Status: posture.StatusUnknown, NeedsRoot: true, Title: "T"})}},
			[]string{"? ", "Need root: 1"}, []string{"✗"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := render(t, "text", c.report, c.o)
			for _, w := range c.want {
				if !strings.Contains(out, w) {
					t.Errorf("%q is missing in\n%s", w, out)
				}
			}
			for _, w := range c.never {
				if strings.Contains(out, w) {
					t.Errorf("%q is in\n%s", w, out)
				}
			}
		})
	}
}

func TestSuggestedCommandsAreQuoted(t *testing.T) {
	x := target("/srv/it's; reboot", 0, "F", posture.Finding{Control: "A-1", Status: posture.Fail, Title: "T"})
	x.Kind = "dir"
	out := render(t, "text", &posture.Report{Targets: []posture.TargetReport{x}}, Options{Width: 120})
	if !strings.Contains(out, `castellan scan -v '/srv/it'\''s; reboot'`) {
		t.Errorf("the target is not quoted:\n%s", out)
	}
}

// A command that does not fit is broken as a shell would read it, not cut.
func TestSuggestedCommandsCanBeCopied(t *testing.T) {
	x := target("ssh://root@a-host-with-a-very-long-name.example.org:2222", 0, "F",
		posture.Finding{Control: "A-1", Status: posture.Fail, Title: "T"}, posture.Finding{Control: "A-2", Status: posture.Manual, Title: "T"})
	x.Kind, x.Hostname = "ssh", "a-host-with-a-very-long-name"
	for _, width := range []int{64, 80} {
		out := render(t, "text", &posture.Report{Profile: "strict", Targets: []posture.TargetReport{x}}, Options{Width: width})
		joined := strings.Join(strings.Fields(strings.ReplaceAll(out, "\\\n", " ")), " ")
		for _, w := range []string{
			"$ castellan scan -v --profile strict ssh://root@a-host-with-a-very-long-name.example.org:2222",
			"$ castellan scan --format html -o report.html --profile strict ssh://root@a-host-with-a-very-long-name.example.org:2222",
			"$ castellan attest A-2 --by NAME --note TEXT --until 2027-11-20 --target a-host-with-a-very-long-name",
			"$ castellan controls show A-1",
		} {
			if !strings.Contains(joined, w) {
				t.Errorf("width %d: %q is not in\n%s", width, w, out)
			}
		}
	}
	many := &posture.Report{}
	for range 4 {
		many.Targets = append(many.Targets, x)
	}
	if out := render(t, "text", many, Options{}); !strings.Contains(out, "castellan scan -v TARGET...") {
		t.Errorf("four targets are spelled out:\n%s", out)
	}
}

// A value of ten megabytes, of whatever characters, must not make the report slow or long.
func TestTextOfHugeValues(t *testing.T) {
	for _, piece := range []string{"x", "x ", "漢", "\u0301", "\x1b[0m", "\n"} {
		huge := strings.Repeat(piece, (10<<20)/len(piece))
		f := sample().Targets[0].Findings[0]
		f.Reason, f.Rationale, f.Manual = huge, huge, huge
		f.Evidence = []posture.Evidence{{Path: "p", Value: huge, Source: huge}}
		r := &posture.Report{Targets: []posture.TargetReport{target("local", 0, "F", f)}}
		if n := len(render(t, "text", r, Options{Verbose: true})); n > 200_000 {
			t.Errorf("%q: the text report has %d bytes", piece, n)
		}
		if n := len(render(t, "html", r, Options{})); n > 400_000 {
			t.Errorf("%q: the page has %d bytes", piece, n)
		}
	}
}

func TestWorstFirst(t *testing.T) {
	out := render(t, "text", sample(), Options{ShowAll: true})
	at := -1
	for _, w := range []string{"\nSSH ", "SSH-02", "SSH-06", "SSH-01", "\nKernel", "SYS-9", "SYS-10", "\nLogging", "\nAccounts", "ACC-01", "ACC-12", "\nBoot"} {
		i := strings.Index(out, w)
		if i <= at {
			t.Errorf("%q stands at %d, not after %d:\n%s", w, i, at, out)
		}
		at = i
	}
}
