package report

import (
	"strings"
	"testing"

	"github.com/castellan-project/castellan/internal/posture"
)

func TestGuestsOfBothWorlds(t *testing.T) {
	r := sample()
	for _, format := range []string{"text", "html"} {
		if out := render(t, format, r, Options{}); strings.Contains(out, "Guests of both worlds") {
			t.Errorf("%s compares guests although there is one world", format)
		}
	}
	r.GuestChannels = []posture.GuestChannel{
		{Channel: "clipboard", PVE: posture.ChannelCount{Guests: 3, Open: 1, Names: []string{"vm 100 <b>"}}, VMware: posture.ChannelCount{Guests: 2, Open: 2, Names: []string{"web", "db"}}},
		{Channel: "log", PVE: posture.ChannelCount{Guests: 3, NotThere: true}, VMware: posture.ChannelCount{Guests: 2}},
	}
	html := render(t, "html", r, Options{})
	for _, want := range []string{"<th scope=\"row\">clipboard</th><td>1 of 3</td><td>2 of 2</td><td>vm 100 &lt;b&gt;, web, db</td>", "<th scope=\"row\">log</th><td>-</td><td>0 of 2</td><td></td>"} {
		if !strings.Contains(html, want) {
			t.Errorf("%q is not in the page", want)
		}
	}
	if text := render(t, "text", r, Options{}); !strings.Contains(text, "  clipboard       1 of 3        2 of 2        vm 100 <b>, web, db") {
		t.Errorf("%s", text)
	}
}
