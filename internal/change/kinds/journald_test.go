package kinds

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/castellan-project/castellan/internal/change"
)

func TestJournald(t *testing.T) {
	log01 := map[string]string{"Storage": "persistent", "Compress": "yes", "SystemMaxUse": "2G", "Seal": "yes"}
	for name, x := range map[string]struct {
		files map[string]string
		want  map[string]string
	}{
		"nothing set: no limit is brought in": {nil, map[string]string{journaldFile: "[Journal]\nCompress=yes\nSeal=yes\nStorage=persistent\n"}},
		"a small limit is raised": {map[string]string{"etc/systemd/journald.conf": "[Journal]\nSystemMaxUse=50M\nCompress=true\nSeal=1\n"},
			map[string]string{journaldFile: "[Journal]\nStorage=persistent\nSystemMaxUse=2G\n"}},
		"a large limit stays": {map[string]string{"etc/systemd/journald.conf": "[Journal]\nSystemMaxUse=8G\nCompress=512\nSeal=yes\nStorage=persistent\n"},
			map[string]string{journaldFile: "[Journal]\nCompress=yes\n"}},
		"all holds": {map[string]string{"usr/lib/systemd/journald.conf.d/x.conf": "[Journal]\nStorage=persistent\nCompress=yes\nSeal=yes\n"}, map[string]string{journaldFile: ""}},
		"another section does not count": {map[string]string{"etc/systemd/journald.conf": "[Other]\nStorage=persistent\n"},
			map[string]string{journaldFile: "[Journal]\nCompress=yes\nSeal=yes\nStorage=persistent\n"}},
		"own file keeps its lines": {map[string]string{"etc/systemd/journald.conf.d/castellan.conf": "; mine\r\n[Journal]\r\nStorage=volatile\r\nMaxLevelStore=info\r\n"},
			map[string]string{journaldFile: "; mine\r\n[Journal]\r\nStorage=persistent\r\nMaxLevelStore=info\r\nCompress=yes\r\nSeal=yes\r\n"}},
		"a later drop-in": {map[string]string{"etc/systemd/journald.conf.d/local.conf": "[Journal]\nStorage=volatile\n"},
			map[string]string{journaldFile: "", journaldLast: "[Journal]\nCompress=yes\nSeal=yes\nStorage=persistent\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, false, x.files)
			c := change.Change{Kind: "journald", Set: log01}
			var paths []string
			for p := range x.want {
				paths = append(paths, p)
			}
			if d := cmp.Diff(x.want, b.after(t, paths, c, c)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestJournaldActions(t *testing.T) {
	c := change.Change{Kind: "journald", Set: map[string]string{"Storage": "persistent", "Seal": "yes"}}
	p := newBench(t, true, nil).plan(t, c)
	if a := actionsOf(p); !slices.Equal(a, []string{"restart systemd-journald.service"}) {
		t.Errorf("%q", a)
	}
	if e := effectsOf(p); !strings.Contains(e, "--setup-keys") || !strings.Contains(e, "/var/log/journal") {
		t.Errorf("%q", e)
	}
	p = newBench(t, true, map[string]string{"etc/systemd/journald.conf": "[Journal]\nStorage=persistent\nSeal=yes\n"}).plan(t, c)
	if len(p.Windows) != 0 {
		t.Errorf("what holds is drafted: %+v", p.Windows)
	}
	late := newBench(t, false, map[string]string{"etc/systemd/journald.conf.d/zzz.conf": "[Journal]\nStorage=volatile\n"})
	if why := late.refusal(t, c); !strings.Contains(why, "zzz.conf:2") {
		t.Errorf("%q", why)
	}
	for _, v := range []string{"", "a\nb", "a\\"} {
		if why := late.refusal(t, change.Change{Kind: "journald", Set: map[string]string{"Storage": v}}); !strings.Contains(why, "nothing that") {
			t.Errorf("%q: %q", v, why)
		}
	}
}
