package vmx

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The guide that first asked for these settings writes them with => and with names of 2009. Every line of it gets the line of today.
func TestToday(t *testing.T) {
	got := map[string]string{}
	want := map[string]string{
		"isolation.tools.copy.enable => false":          `isolation.tools.copy.disable = "TRUE"`,
		"isolation.tools.paste.enable => false":         `isolation.tools.paste.disable = "TRUE"`,
		"isolation.tools.setguioptions.enable => false": `isolation.tools.setGUIOptions.enable = "FALSE"`,
		"isolation.tools.setinfo.disable => true":       `isolation.tools.setinfo.disable = "TRUE"`,
		"isolation.tools.setInfo.disable => true":       `isolation.tools.setinfo.disable = "TRUE"`,
		"isolation.tools.log.disable => true":           `logging = "TRUE", log.rotateSize = "2048000", log.keepOld = "10"`,
		"log.rotatesize => 100000":                      `log.rotateSize = "2048000"`,
		"log.keepold => 10":                             `log.keepOld = "10"`,
		"tools.setinfo.sizeLimit => 1048576":            `tools.setInfo.sizeLimit = "1048576"`,
		"isolation.tools.connectable.disable => true":   `isolation.device.connectable.disable = "TRUE"`,
		"isolation.tools.diskshrink.disable => true":    `isolation.tools.diskShrink.disable = "TRUE"`,
		"isolation.tools.diskwiper.disable => true":     `isolation.tools.diskWiper.disable = "TRUE"`,
		"displayName => web":                            `displayName = "web"`,
	}
	for line := range want {
		f, err := Parse([]byte(line))
		if err != nil || len(f.Problems()) != 1 || len(f.Settings()) != 0 {
			t.Fatalf("%s: %v, %v", line, err, f.Problems())
		}
		got[line] = f.Problems()[0].Instead
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
